package transcript_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/transcript"
)

func written(t testing.TB, tr *transcript.Transcript) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tr.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// R-TRN-02: what is read is what was written, and nothing else is read.
func TestR_TRN_02_File(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	for _, tr := range []*transcript.Transcript{
		genuine(t, a, b, script(6, alice, bob)), genuineGroup(t, groups.NewID(), []*device{a, b}, script(6, alice, bob)),
		{Kind: transcript.Pair, Parties: []transcript.Party{a.party(), b.party()}},
	} {
		file := written(t, tr)
		again, err := transcript.Read(bytes.NewReader(file))
		if err != nil || !reflect.DeepEqual(tr, again) {
			t.Fatalf("%v\n%+v\n%+v", err, tr, again)
		}
		for n := range file {
			if n > 300 && n%7 != 0 && n < len(file)-20 {
				continue
			}
			if _, err := transcript.Read(bytes.NewReader(file[:n])); !errors.Is(err, transcript.ErrMalformed) {
				t.Fatalf("a file cut at %d: %v", n, err)
			}
		}
		if _, err := transcript.Read(bytes.NewReader(append(bytes.Clone(file), 0))); !errors.Is(err, transcript.ErrMalformed) {
			t.Errorf("a byte more: %v", err)
		}
	}
}

// R-TRN-03: who is not named, and what is too much, is refused; memory grows with what is
// read and not with what is announced.
func TestR_TRN_03_Bounds(t *testing.T) {
	a, b, c := newDevice(t, alice, 1), newDevice(t, bob, 2), newDevice(t, "carol@example.org", 3)
	tr := genuine(t, a, b, script(4, alice, bob))
	file := written(t, tr)
	huge := bytes.Clone(file)
	binary.BigEndian.PutUint32(huge[16:], 1<<31)
	if _, err := transcript.Read(bytes.NewReader(huge)); !errors.Is(err, transcript.ErrLimit) {
		t.Errorf("an item of 2 GiB: %v", err)
	}
	binary.BigEndian.PutUint32(huge[16:], transcript.MaxItem)
	if allocated := testing.AllocsPerRun(1, func() {
		if _, err := transcript.Read(bytes.NewReader(huge)); !errors.Is(err, transcript.ErrMalformed) {
			t.Errorf("an item longer than the file: %v", err)
		}
	}); allocated > 1000 {
		t.Error("a short file is read with ", allocated, " allocations")
	}
	later := bytes.Replace(file, []byte{0xa1, 0x01, 0xa3, 0x01, 0x01}, []byte{0xa1, 0x01, 0xa3, 0x01, 0x02}, 1)
	if _, err := transcript.Read(bytes.NewReader(later)); !errors.Is(err, transcript.ErrVersion) {
		t.Errorf("a later version: %v", err)
	}
	refused := func(name string, want error, change func(tr *transcript.Transcript)) {
		t.Helper()
		x := *tr
		x.Parties = []transcript.Party{a.party(), b.party()}
		x.Messages = append([]transcript.Message(nil), tr.Messages...)
		change(&x)
		if err := x.Check(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if _, err := x.Verify(); !errors.Is(err, want) && want != transcript.ErrLimit {
			t.Errorf("%s: verify: %v", name, err)
		}
	}
	refused("another person", transcript.ErrParty, func(x *transcript.Transcript) { x.Parties[0] = c.party() })
	refused("another device", transcript.ErrParty, func(x *transcript.Transcript) { x.Parties[1].Devices[0].ID = 9 })
	refused("one person twice", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Parties[1] = x.Parties[0] })
	refused("one device twice", transcript.ErrMalformed, func(x *transcript.Transcript) {
		x.Parties[0].Devices = append(x.Parties[0].Devices, x.Parties[0].Devices[0])
	})
	refused("a key of low order", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Parties[0].Devices[0].Identity = [32]byte{} })
	refused("three people", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Parties = append(x.Parties, c.party()) })
	refused("no kind", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Kind = 0 })
	refused("a group without an id", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Kind = transcript.Group })
	refused("keys between two", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Keys = make([]transcript.Key, 1) })
	refused("an envelope of nothing", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Messages[0].Envelope = []byte{1} })
	refused("a text that is none", transcript.ErrMalformed, func(x *transcript.Transcript) { x.Messages[0].Text = "\xff" })
	refused("a long text", transcript.ErrLimit, func(x *transcript.Transcript) { x.Messages[0].Text = strings.Repeat("x", transcript.MaxText+1) })
	refused("too many messages", transcript.ErrLimit, func(x *transcript.Transcript) {
		x.Messages = make([]transcript.Message, transcript.MaxMessages+1)
		for i := range x.Messages {
			x.Messages[i] = tr.Messages[0]
		}
	})
	for _, lines := range [][]transcript.Line{nil, make([]transcript.Line, transcript.MaxLines+1)} {
		if _, err := transcript.Forge(a.party(), b.party(), lines); !errors.Is(err, transcript.ErrLines) {
			t.Error(err)
		}
	}
	if _, err := transcript.Forge(a.party(), b.party(), script(2, "carol@example.org")); !errors.Is(err, transcript.ErrParty) {
		t.Error(err)
	}
}

// The search for keys ends, whatever a file discloses: a message can disclose
// five keys, and each of thousands could be of any chain.
//
// R-TRN-05
func TestSearchIsBounded(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	var lines []transcript.Line
	for range 4 {
		lines = append(lines, script(1000, alice, bob)...)
	}
	tr, err := transcript.Forge(a.party(), b.party(), lines[:1000])
	if err != nil {
		t.Fatal(err)
	}
	other, err := transcript.Forge(a.party(), b.party(), lines[:1000])
	if err != nil {
		t.Fatal(err)
	}
	tr = bare(tr)
	for i := range tr.Messages { // tags that hold under nothing
		spoil(tr, i)
	}
	tr.Messages = append(tr.Messages, bare(other).Messages...)
	if r := verify(t, tr); r.Complete || r.Verified+r.NoKey+r.Bad != len(tr.Messages) {
		t.Errorf("complete: %v; %d verified, %d without a key, %d bad", r.Complete, r.Verified, r.NoKey, r.Bad)
	}
}

// R-TRN-04: every field is named, and nothing of it takes a key.
func TestR_TRN_04_Explain(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	tr := genuine(t, a, b, script(8, alice, bob))
	all, err := tr.Explain()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range all {
		n := 0
		for _, f := range e.Fields {
			names[f.Name] = true
			if f.Meaning == "" {
				t.Errorf("%s has no meaning", f.Name)
			}
			switch {
			case f.Name == "session_id":
			case strings.HasSuffix(f.Name, "_device"): // short ones take fewer bytes
				n++
			default:
				n += f.Bytes
			}
		}
		if n > e.Size || e.From == e.To {
			t.Errorf("message %d: %d bytes of fields in %d", e.Number, n, e.Size)
		}
	}
	for _, want := range []string{"ephemeral_key", "kem_ciphertext", "salt", "header", "disclosed_key", "body", "tag", "claimed_place", "claimed_text"} {
		if !names[want] {
			t.Errorf("%s is not explained", want)
		}
	}
	if identity := hex.EncodeToString(a.own.Identity.Bytes()); all[0].Fields[3].Value != identity {
		t.Errorf("%+v", all[0].Fields)
	}
	tr.Messages[0].Envelope = a.envelope(t, 2, []byte{1}, []byte{2})
	if all, err = tr.Explain(); err != nil || all[0].Type != "malformed" {
		t.Errorf("%v, %v", all[0], err)
	}
	if v := verify(t, tr).Verdicts[0]; v.State != transcript.Bad || v.Reason != "malformed" {
		t.Errorf("%+v", v)
	}
	// A first message of another identity key than the device's.
	tr.Parties[0].Devices[0].Identity = b.own.Identity.Array()
	good := genuine(t, a, b, script(2, alice, bob))
	good.Parties[0] = tr.Parties[0]
	if v := verify(t, good).Verdicts[0]; v.Reason != "identity" {
		t.Errorf("%+v", v)
	}
}

func FuzzRead(f *testing.F) {
	a, b := newDevice(f, alice, 1), newDevice(f, bob, 2)
	f.Add(written(f, genuine(f, a, b, script(5, alice, bob))))
	f.Add(written(f, genuineGroup(f, groups.NewID(), []*device{a, b}, script(5, alice, bob))))
	f.Fuzz(func(t *testing.T, file []byte) {
		tr, err := transcript.Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		if !bytes.Equal(written(t, tr), file) {
			t.Fatal("a transcript is written in two ways")
		}
		if len(tr.Messages) > 20 {
			return
		}
		if _, err := tr.Explain(); err != nil {
			t.Fatal(err)
		}
		r, err := tr.Verify()
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Verdicts {
			if r.Verdicts[i].State == transcript.Verified && tr.Messages[i].Text != "" {
				if err := tr.Modify(i, "", tr.Messages[i].Text); err != nil && !errors.Is(err, transcript.ErrText) {
					t.Fatal(err)
				}
			}
		}
	})
}
