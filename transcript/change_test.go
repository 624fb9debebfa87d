package transcript_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/transcript"
)

// R-TRN-07: the text is another, the verdict is not.
func TestR_TRN_07_Modify(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	id := groups.NewID()
	for name, tr := range map[string]*transcript.Transcript{
		"pair":  genuine(t, a, b, script(20, alice, bob)),
		"group": genuineGroup(t, id, []*device{a, b}, script(20, alice, bob)),
	} {
		before := verify(t, tr)
		old, sealed := tr.Messages[5].Text, bytes.Clone(tr.Messages[5].Envelope)
		if err := tr.Modify(5, "", "I never said"); err != nil {
			t.Fatal(name, err)
		}
		after := verify(t, tr)
		if before.Verified != after.Verified || after.Bad != 0 || tr.Messages[5].Text != "I never said            "[:len(old)] {
			t.Errorf("%s: %+v, %q", name, after, tr.Messages[5].Text)
		}
		// What the readers of the old and of the new body would see differs in the
		// text and nowhere else.
		x, y := bodyOf(t, tr.Kind, sealed), bodyOf(t, tr.Kind, tr.Messages[5].Envelope)
		at := content.TextOffset(len(old))
		for i := range x {
			want := byte(0)
			if i >= at && i < at+len(old) {
				want = old[i-at] ^ tr.Messages[5].Text[i-at]
			}
			if x[i]^y[i] != want {
				t.Fatalf("%s: byte %d of the body", name, i)
			}
		}
		for _, c := range []struct {
			i         int
			old, text string
			err       error
		}{
			{20, "a", "b", transcript.ErrNoMessage}, {-1, "a", "b", transcript.ErrNoMessage}, {5, "a", "ab", transcript.ErrTextLong},
			{5, string(make([]byte, 5000)), "x", transcript.ErrText},
		} {
			if err := tr.Modify(c.i, c.old, c.text); !errors.Is(err, c.err) {
				t.Errorf("%s: %v, want %v", name, err, c.err)
			}
		}
		if name == "pair" {
			if err := tr.Modify(19, "", "no"); !errors.Is(err, transcript.ErrNoKey) {
				t.Errorf("without a disclosed key: %v", err)
			}
		}
		tr = bare(tr)
		if err := tr.Modify(5, "", "no"); !errors.Is(err, transcript.ErrText) {
			t.Errorf("%s: without a text: %v", name, err)
		}
	}
}

// R-TRN-07: whoever still had the key would read the new text, and every other
// field as it was.
func TestModifiedReadsAsWanted(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	for _, old := range []string{"yes", "I will be there at noon.", strings.Repeat("a long text, ", 60), strings.Repeat("x", 70), strings.Repeat("y", 300), strings.Repeat("z", 5000)} {
		lines := script(12, alice, bob)
		lines[4].Text = old
		tr, readers := remembered(t, a, b, lines)
		if got := readers[4].text(t, tr.Messages[4].Envelope); got != old {
			t.Fatalf("%q", got)
		}
		want := "no" + strings.Repeat(" ", len(old)-2)
		if err := tr.Modify(4, "", "no"); err != nil {
			t.Fatal(err)
		}
		if got := readers[4].text(t, tr.Messages[4].Envelope); got != want {
			t.Errorf("%d bytes: it reads %q", len(old), got)
		}
	}
}

func bodyOf(t *testing.T, kind transcript.Kind, envelope []byte) []byte {
	t.Helper()
	env, err := content.DecodeEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	if kind == transcript.Group {
		w, err := groups.ParseMessage(env.Message)
		if err != nil {
			t.Fatal(err)
		}
		return w.Body
	}
	w, err := ratchet.ParseMessage(env.Message)
	if err != nil {
		t.Fatal(err)
	}
	return w.Body
}

// R-TRN-08: a tag for whatever was done to a message.
func TestR_TRN_08_Remac(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	tr := genuine(t, a, b, script(30, alice, bob))
	r := verify(t, tr)
	i, like := chainMates(t, tr, r)
	spoil(tr, i)
	if r := verify(t, tr); r.Verdicts[i].State != transcript.Bad {
		t.Fatalf("%+v", r.Verdicts[i])
	}
	if err := tr.Remac(i, like, tr.Messages[i].Place.Number); err != nil {
		t.Fatal(err)
	}
	if again := verify(t, tr); again.Verified != r.Verified || again.Bad != 0 {
		t.Errorf("%+v", again)
	}
	for _, c := range []struct{ i, like int }{{99, 0}, {0, 99}} {
		if err := tr.Remac(c.i, c.like, 0); !errors.Is(err, transcript.ErrNoMessage) {
			t.Error(err)
		}
	}
	if err := tr.Remac(i, 29, 0); !errors.Is(err, transcript.ErrNoKey) {
		t.Errorf("with a key that was not disclosed: %v", err)
	}
	g := genuineGroup(t, groups.NewID(), []*device{a, b}, script(10, alice, bob))
	spoil(g, 2)
	if err := g.Remac(2, 0, 0); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, g); r.Verified != 10 {
		t.Errorf("%+v", r)
	}
	g.Keys = nil
	if err := g.Remac(2, 0, 0); !errors.Is(err, transcript.ErrNoKey) {
		t.Error(err)
	}
}

// chainMates are two verified messages of one chain.
func chainMates(t *testing.T, tr *transcript.Transcript, r *transcript.Report) (i, j int) {
	t.Helper()
	for i := range tr.Messages {
		for j := range i {
			if tr.Messages[i].Place.Chain == tr.Messages[j].Place.Chain && r.Verdicts[i].State == transcript.Verified {
				return i, j
			}
		}
	}
	t.Fatal("the script has no chain of two messages")
	return 0, 0
}

// spoil flips a bit of a body.
func spoil(tr *transcript.Transcript, i int) {
	env := bytes.Clone(tr.Messages[i].Envelope)
	env[len(env)-80] ^= 1
	tr.Messages[i].Envelope = env
}
