package client

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/transcript"
)

// R-TRN-01, R-TRN-06: of a group the signing keys are kept when they are
// disclosed, one's own and others', and the messages of their chains verify.
func TestRecordedGroup(t *testing.T) {
	c, group := talkers(t, "alice", "bob")
	for _, n := range []string{"alice", "bob"} {
		if _, err := c.of[n].Record(t.Context(), group, true); err != nil {
			t.Fatal(err)
		}
	}
	say := func(who, text string) {
		t.Helper()
		if _, err := c.of[who].Send(t.Context(), group, text, SendOptions{}); err != nil {
			t.Fatal(err)
		}
		c.look("alice", "bob")
	}
	say("alice", "one")
	say("bob", "two")
	if _, err := c.of["alice"].ChangeGroup(t.Context(), group, GroupChange{Rekey: true}); err != nil {
		t.Fatal(err)
	}
	c.look("alice", "bob")
	say("alice", "three")
	say("bob", "four")
	whole := func(name string) (*transcript.Transcript, *transcript.Report) {
		t.Helper()
		tr, err := c.of[name].Transcript(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		r, err := tr.Verify()
		if err != nil {
			t.Fatal(err)
		}
		return tr, r
	}
	c.until("disclosure", func() bool {
		_, a := whole("alice")
		_, b := whole("bob")
		return a.Verified == 2 && b.Verified == 2
	}, "alice", "bob")
	a, report := whole("alice")
	b, _ := whole("bob")
	if report.Bad != 0 || len(a.Parties) != 2 || a.Kind != transcript.Group {
		t.Errorf("%+v", report)
	}
	texts := map[string]bool{}
	for i, m := range a.Messages {
		texts[m.Text] = true
		if m.Text == "two" && report.Verdicts[i].State != transcript.Verified {
			t.Error("what bob said on the closed chain does not verify")
		}
	}
	for _, text := range []string{"one", "two", "three", "four"} {
		if !texts[text] {
			t.Errorf("%q is not in the transcript", text)
		}
	}
	same := 0
	for _, m := range a.Messages {
		for _, n := range b.Messages {
			if bytes.Equal(m.Envelope, n.Envelope) {
				same++
			}
		}
	}
	if same < 4 {
		t.Errorf("%d envelopes are with both", same)
	}
}

// R-TRN-01: the oldest go when a conversation has too many, and too much.
func TestRecordingIsBounded(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	e := c.of["alice"].engine
	ctx := t.Context()
	bob := c.of["bob"].Account().Address
	if _, err := e.Contact(ctx, bob); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Record(ctx, bob, true); err != nil {
		t.Fatal(err)
	}
	put := func(n, size int) {
		t.Helper()
		e.state.Lock()
		defer e.state.Unlock()
		err := e.update(ctx, func(tx *vault.Tx) error {
			for range n {
				b := make([]byte, size)
				rand.Read(b)
				if err := e.record(tx, bob, b, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	held := func() (n, size int) {
		t.Helper()
		err := e.view(ctx, func(tx *vault.Tx) error {
			return tx.Scan(tableWire, []byte(bob), firstOrder, lastOrder, 0, false, func(r vault.Row) error {
				w, err := decodeRecord[wireRecord](r.Value)
				n, size = n+1, size+len(w.Body)
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return n, size
	}
	put(MaxRecorded+20, 100)
	list, err := e.Recordings(ctx)
	if n, size := held(); err != nil || n != MaxRecorded || list[0].Messages != n || list[0].Bytes != size {
		t.Errorf("%d messages are held, %+v", n, list)
	}
	put(1100, 48<<10)
	list, err = e.Recordings(ctx)
	if n, size := held(); err != nil || size > MaxRecordedBytes || size < MaxRecordedBytes-48<<10 || list[0].Messages != n || list[0].Bytes != size {
		t.Errorf("%d messages, %d bytes are held, %+v", n, size, list)
	}
}
