package linking

import (
	"bytes"
	"testing"
)

func FuzzParseURI(f *testing.F) {
	w := waiting(f, 1)
	for _, m := range []Meet{here, {Host: "example.org:99"}, {Host: "a", Pin: make([]byte, 32)}} {
		l, err := w.Link(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(l.URI())
	}
	f.Add("pawl://example.org/invite/AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseURI(s)
		if err != nil {
			return
		}
		again, err := ParseURI(l.URI())
		if err != nil || again.URI() != l.URI() || len(l.URI()) > MaxURI {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func FuzzParseOffer(f *testing.F) {
	f.Add(waiting(f, 1).offer)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseOffer(b)
		if err != nil {
			return
		}
		if len(o.Sign) != 32 || o.DH.IsZero() || o.seal == nil {
			t.Error("an offer without its keys is accepted")
		}
	})
}

func FuzzParseHello(f *testing.F) {
	a := newAccount(f, "alice@example.org", 10)
	f.Add(a.hello().encode())
	a.rename(f, "x")
	f.Add(a.hello().encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, list, err := parseHello(b)
		if err == nil && (!bytes.Equal(h.encode(), b) || list.Version == 0) {
			t.Error("not what was encoded")
		}
	})
}

func FuzzMessages(f *testing.F) {
	proof := make([]byte, 64)
	for _, m := range []Message{
		&Join{Device: 1, Name: "x", Proof: proof}, &Join{Device: 1, Proof: proof, Replaces: 2, ReplaceProof: proof, Caps: []uint64{1}},
		&Entry{Entry: []byte{1}, Lacking: [][]byte{{2}}}, &Outcome{Done}, &Refusal{Full},
	} {
		kind, body := m.encode()
		f.Add(uint8(kind), body)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		for _, m := range []Message{&Join{}, &Entry{}, &Outcome{}, &Refusal{}} {
			if m.kind() != Kind(kind) || m.decode(b) != nil {
				continue
			}
			if _, again := m.encode(); !bytes.Equal(again, b) {
				t.Errorf("%T: not what was encoded", m)
			}
		}
	})
}

// FuzzGreet hands a waiting device bytes in the place of a hello.
func FuzzGreet(f *testing.F) {
	w := waiting(f, 1)
	a := newAccount(f, "alice@example.org", 10)
	p := &record{}
	if _, err := Hail(p, linkOf(f, w), w.parsed, a.hello()); err != nil {
		f.Fatal(err)
	}
	f.Add(p.sent[0][:encSize+10])
	f.Add(make([]byte, encSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := w.Greet(&record{in: [][]byte{b}}, at(start)); err == nil {
			t.Error("a hello that nobody made is accepted")
		}
	})
}
