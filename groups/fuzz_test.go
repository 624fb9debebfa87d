package groups

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// pinned reads the vectors for seeds.
func pinned(f *testing.F) (out []readVector) {
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		f.Fatal(err)
	}
	var doc struct{ Vectors []readVector }
	if err := json.Unmarshal(b, &doc); err != nil {
		f.Fatal(err)
	}
	return doc.Vectors
}

func unhex(f *testing.F, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// enough wants n seeds at least.
func enough(f *testing.F, got, want int) {
	if got < want {
		f.Fatalf("%d seeds", got)
	}
}

// FuzzMessage gives any bytes to a receiver: nothing but an authentic message
// opens, and nothing refused changes the chain (R-GRP-04).
func FuzzMessage(f *testing.F) {
	var r Receiving
	genuine := map[string]bool{}
	seeds := 0
	for _, v := range pinned(f) {
		if v.Fields.Function == "open" && v.Name == "received-out-of-order" {
			var err error
			if r, err = ParseReceiving(unhex(f, v.Fields.Record)); err != nil {
				f.Fatal(err)
			}
		}
		if v.Fields.Message == "" {
			continue
		}
		m := unhex(f, v.Fields.Message)
		f.Add(m)
		seeds++
		// Those that the owner or a forger with the seed made.
		switch v.Name {
		case "message-0", "message-1", "message-2", "disclosed", "too-far-ahead", "closed", "closed-forged", "duplicate", "late-twice", "skipped-key-expired", "chain-too-old", "before-it-was-handed-out":
			genuine[string(m)] = true
		}
	}
	enough(f, seeds, 15)
	if r.binding == nil {
		f.Fatal("no chain")
	}
	record := r.AppendRecord(nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ParseMessage(b)
		o, oerr := r.Open(b, testNow)
		if err != nil && oerr == nil || oerr == nil && !genuine[string(b)] {
			t.Errorf("%x opens as %q", b, o.Plaintext)
		}
		if !bytes.Equal(record, r.AppendRecord(nil)) {
			t.Error("the chain has changed")
		}
		if err != nil {
			return
		}
		m := write(w.Chain, w.Index, w.Seq, w.Head, len(w.Body))
		copy(m[bodyAt:], w.Body)
		copy(m[len(m)-signatureLen:], w.Signature[:])
		if !bytes.Equal(m, b) {
			t.Error("another message from the parts")
		}
	})
}

// FuzzRead gives any plaintext of an entry to a member: a hostile member has
// the log key. What is read encodes to itself, and applied moves seq and head.
func FuzzRead(f *testing.F) {
	g, s := draw[ID](50), draw[Secret](51)
	var before Roster
	var plains [][]byte
	for _, v := range pinned(f) {
		if v.Fields.Function != "entry" {
			continue
		}
		e, err := Read(g, v.Fields.Seq, Head(unhex(f, v.Fields.Prev)), Secret(unhex(f, v.Fields.Secret)), v.Fields.Epoch, unhex(f, v.Fields.Blob))
		if err == nil {
			plains = append(plains, codec.Marshal(entryWire{Body: e.signed, Signature: e.signature[:]}))
		}
		if v.Name == "entry-add" {
			if before, err = ParseRoster(unhex(f, v.Fields.Before)); err != nil {
				f.Fatal(err)
			}
		}
	}
	enough(f, len(plains), 10)
	for _, p := range plains {
		f.Add(p)
	}
	if before.Seq == 0 || !before.Holds(s) {
		f.Fatal("no roster")
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) >= MaxEntry {
			return
		}
		blob := sealBlob(s.logKey(g, 1), &[saltLen]byte{}, g, before.Seq+1, &before.Head, padEntry(plain))
		e, err := Read(g, before.Seq+1, before.Head, s, 1, blob)
		if err != nil {
			return
		}
		if again := codec.Marshal(entryWire{Body: e.signed, Signature: e.signature[:]}); !bytes.Equal(again, plain) {
			t.Errorf("%x encodes to %x", plain, again)
		}
		if err := e.Change.check(); err != nil || !bytes.Equal(e.Change.encode(), e.Change.canonical().encode()) {
			t.Error("a change that is not canonical was read", err)
		}
		next, _ := before.Apply(e, e.State, Sender{Address: e.Author.Address, Device: e.Author.Device})
		if next.Seq != before.Seq+1 || next.Head != e.Head || next.Hash() != before.Hash() {
			t.Error("nobody's signature changes the roster")
		}
		// What the rules allow gives a roster that can be handed on.
		if after, err := before.After(e.Author.Address, e.Change, e.Time); err == nil {
			after.Seq, after.Head = next.Seq, next.Head
			if again, err := ParseRoster(after.Encode()); err != nil || again.Hash() != after.Hash() {
				t.Error(err)
			}
		}
	})
}

// FuzzBlob gives any bytes for an entry.
func FuzzBlob(f *testing.F) {
	seeds := 0
	genuine := map[string]bool{}
	for _, v := range pinned(f) {
		if v.Fields.Blob != "" && v.Fields.Seq == 2 {
			b := unhex(f, v.Fields.Blob)
			f.Add(b)
			genuine[string(b)] = true
			seeds++
		}
	}
	enough(f, seeds, 5)
	g, s := draw[ID](50), draw[Secret](51)
	var prev Head
	for _, v := range pinned(f) {
		if v.Name == "entry-add" {
			prev = Head(unhex(f, v.Fields.Prev))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Read(g, 2, prev, s, 1, b); err == nil && !genuine[string(b)] {
			t.Errorf("%x is read", b)
		}
		HeadOf(g, 2, prev, b)
	})
}

func FuzzParseRoster(f *testing.F) {
	seeds := 0
	for _, v := range pinned(f) {
		if v.Fields.Roster.Encoded != "" {
			f.Add(unhex(f, v.Fields.Roster.Encoded))
			seeds++
		}
	}
	enough(f, seeds, 5)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRoster(b)
		if err == nil && !bytes.Equal(r.Encode(), b) {
			t.Errorf("%x encodes to %x", b, r.Encode())
		}
	})
}

func FuzzParseSignal(f *testing.F) {
	seeds := 0
	for _, v := range pinned(f) {
		if v.Fields.Signal.Encoded != "" {
			f.Add(unhex(f, v.Fields.Signal.Encoded))
			seeds++
		}
	}
	enough(f, seeds, 40)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSignal(b)
		if err == nil && !bytes.Equal(s.Encode(), b) {
			t.Errorf("%x encodes to %x", b, s.Encode())
		}
		if err == nil && s.Key != nil && s.Key.Chain != nil {
			Accept(*s.Key.Chain, alice)
		}
	})
}

func FuzzParseInvite(f *testing.F) {
	seeds := 0
	for _, v := range pinned(f) {
		if v.Fields.Link != "" {
			f.Add(v.Fields.Link)
			seeds++
		}
	}
	enough(f, seeds, 3)
	f.Fuzz(func(t *testing.T, s string) {
		i, err := ParseInvite(s)
		if err != nil {
			return
		}
		if again, err := ParseInvite(i.String()); err != nil || again != i {
			t.Errorf("%q becomes %q", s, i.String())
		}
	})
}

func FuzzParseSending(f *testing.F) {
	seeds := 0
	for _, v := range pinned(f) {
		if v.Fields.Function == "chain" {
			f.Add(unhex(f, v.Fields.Record))
			seeds++
		}
	}
	c := newChain(f, ID{1}, 1, alice)
	f.Add(c.AppendRecord(nil))
	enough(f, seeds, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseSending(b)
		if err != nil {
			return
		}
		if !bytes.Equal(c.AppendRecord(nil), b) {
			t.Errorf("%x is written otherwise", b)
		}
		if x, err := c.Seal(1, Head{}, []byte("text")); err == nil {
			if r, err := Accept(c.Key(), c.Sender()); err != nil {
				t.Error(err)
			} else if _, err := r.Open(x.Message, c.Created()); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzParseReceiving(f *testing.F) {
	for _, r := range states(f) {
		if r.Missing() < 10 {
			f.Add(r.AppendRecord(nil))
		}
	}
	seeds := 0
	for _, v := range pinned(f) {
		if v.Fields.Function == "open" {
			f.Add(unhex(f, v.Fields.Record))
			seeds++
		}
	}
	enough(f, seeds, 10)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReceiving(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.AppendRecord(nil), b) {
			t.Errorf("%x is written otherwise", b)
		}
		r.Lost(1<<31, 10)
		r.Missed()
		if e, changed := r.Expire(testNow); changed && bytes.Equal(e.AppendSkipped(nil), r.AppendSkipped(nil)) {
			t.Error("changed, and the skipped part has not")
		}
		if c, err := r.Close(nil); err != nil || c.Missing() != 0 {
			t.Error(err)
		}
	})
}

// FuzzStory lets bytes choose what happens in a group.
func FuzzStory(f *testing.F) {
	for seed := range byte(8) {
		b := draw[[64]byte](seed)
		f.Add(bytes.Repeat(b[:], 4))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2000 {
			return
		}
		choose := func(n int) int {
			if len(b) == 0 {
				return 0
			}
			c := int(b[0]) % n
			b = b[1:]
			return c
		}
		w := newStory(choose, 3)
		for len(b) > 0 {
			if err := w.act(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.insiders(); err != nil {
			t.Fatal(err)
		}
		if err := w.readers(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzLog lets bytes choose who changes the group, when, and what a hostile
// member places.
func FuzzLog(f *testing.F) {
	for seed := range byte(8) {
		b := draw[[64]byte](seed)
		f.Add(bytes.Repeat(b[:], 2))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1000 {
			return
		}
		choose := func(n int) int {
			if len(b) == 0 {
				return 0
			}
			c := int(b[0]) % n
			b = b[1:]
			return c
		}
		w := newLogWorld(t, choose)
		for len(b) > 0 {
			if err := w.act(t); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.agree(); err != nil {
			t.Fatal(err)
		}
	})
}

// readVector is a vector as the file has it.
type readVector struct {
	Name, Kind, Reason string
	Fields             struct {
		Function, Record, Message, Blob, Before, Group, Prev, Secret, Verify, Link, Head, Seed string
		Seq, Epoch                                                                             uint64
		Now                                                                                    int64
		Messages, Records                                                                      []string
		Sender                                                                                 struct{ Address, Device, Identity string }
		Signal, Object, Roster                                                                 struct{ Encoded string }
	}
}
