package braid

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// states are one of each turn, early and late in it, by name.
func states(t testing.TB) map[string]State {
	w := newWorld(t)
	all := map[string]State{"resting": w.states[0], "listening": w.states[1]}
	w.receive(1, w.send(0, 80))
	all["listening, some of the header"] = w.states[1]
	w.receive(1, w.send(0, 171))
	all["listening, header whole"] = w.states[1]
	w.receive(0, w.send(1, 80))
	all["offering"], all["answering"] = w.states[0], w.states[1]
	for w.receive(1, w.send(0, 171)); w.states[1].turn.status() != holdsFirst|holdsSecond; w.receive(1, w.send(0, 171)) {
		w.receive(0, w.send(1, 171))
	}
	all["offering, some of the ciphertext"], all["answering, vector whole"] = w.states[0], w.states[1]
	w.send(1, 20)
	all["done"] = w.states[1]
	w.send(0, 171)
	w.receive(0, w.send(1, 1200))
	w.receive(0, w.send(1, 1200))
	all["listening again"] = w.states[0]
	w.receive(1, w.send(0, 171))
	all["resting again"] = w.states[1]
	if w.states[0].epoch != 2 || w.states[1].epoch != 2 {
		t.Fatal("the first epoch is not over")
	}
	return all
}

// R-BRD-15: a record is read as it was written, and no prefix, extension or
// other length of it is one.
func TestR_BRD_15_Records(t *testing.T) {
	kinds := map[byte]bool{}
	for name, s := range states(t) {
		b := s.AppendRecord([]byte("before"))[6:]
		kinds[b[recordHead-1]] = true
		if len(b) > MaxRecord {
			t.Errorf("%s: %d bytes", name, len(b))
		}
		got, err := ParseRecord(b)
		if err != nil || !bytes.Equal(got.AppendRecord(nil), b) {
			t.Errorf("%s: read as something else: %v", name, err)
		}
		for n := range b {
			if _, err := ParseRecord(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: a prefix of %d bytes: %v", name, n, err)
			}
		}
		if _, err := ParseRecord(append(bytes.Clone(b), 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a byte too many: %v", name, err)
		}
		for what, at := range map[string]int{"version": 0, "side": 1, "role": 5, "turn": recordHead - 1} {
			bad := bytes.Clone(b)
			bad[at] ^= 1
			if what == "turn" {
				bad[at] = 9
			}
			if what == "side" {
				bad[at] = 3
			}
			if _, err := ParseRecord(bad); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: a wrong %s: %v", name, what, err)
			}
		}
		// A changed record is refused, or read and written as it is: never
		// read as something else.
		r := rand.New(rand.NewPCG(8, 9))
		for range 300 {
			bad := bytes.Clone(b)
			bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			if s, err := ParseRecord(bad); err == nil && !bytes.Equal(s.AppendRecord(nil), bad) {
				t.Fatalf("%s: a changed record is written as another", name)
			}
		}
	}
	if len(kinds) != 5 {
		t.Errorf("%d of 5 kinds of turn seen", len(kinds))
	}
	if _, err := ParseRecord(make([]byte, MaxRecord+1)); !errors.Is(err, ErrMalformed) {
		t.Error("a record that is too long:", err)
	}
}

// The longest record there can be is as long as the limit says.
func TestLongestRecord(t *testing.T) {
	w := newWorld(t)
	w.receive(1, w.send(0, 2000))
	w.send(1, 80)
	p := w.send(1, 2000)
	answer, err := parsePiece(p)
	if err != nil {
		t.Fatal(err)
	}
	answer.runs[0].chunks = answer.runs[0].chunks[:(firstChunks-1)*ChunkSize]
	s := w.states[0]
	next := *s.turn.(*offering)
	next.in.add(&answered, &answer)
	s.turn = &next
	b := s.AppendRecord(nil)
	if _, err := ParseRecord(b); err != nil || len(b) != MaxRecord {
		t.Errorf("%d bytes, the limit is %d: %v", len(b), MaxRecord, err)
	}
}

func TestContradictingRecords(t *testing.T) {
	all := states(t)
	change := func(name string, f func(b []byte)) {
		t.Helper()
		b := all[name].AppendRecord(nil)
		f(b)
		if _, err := ParseRecord(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	change("resting", func(b []byte) { copy(b[2:6], []byte{0, 0, 0, 0}) })
	change("offering", func(b []byte) { b[recordHead+seedLen+4] = 4 })                                                        // status of the peer
	change("answering", func(b []byte) { b[recordHead+randomLen+headerLen+3] = 1 })                                           // index of a part that is not there
	change("done", func(b []byte) { b[recordHead+4] = 3 })                                                                    // the peer would be in the next epoch
	change("listening, some of the header", func(b []byte) { b[recordHead] = 3 })                                             // as many chunks as restore it
	change("listening, some of the header", func(b []byte) { copy(b[recordHead+1+entryLen:], b[recordHead+1:recordHead+3]) }) // the same chunk twice
	whole := all["offering"].AppendRecord(nil)
	whole = whole[:len(whole)-2*collectedHead-(len(whole)-recordHead-seedLen-outgoingHead-offerLen-vectorLen-2*collectedHead)]
	whole = append(append(whole, wholePart), make([]byte, ct1Len)...)
	whole = append(append(whole, wholePart), make([]byte, answerLen)...)
	if _, err := ParseRecord(whole); !errors.Is(err, ErrMalformed) {
		t.Error("a ciphertext that is whole and was not looked at:", err)
	}
}

// A record that holds a vector which is not the header's cannot come from here.
// It still leads to nothing but a new gathering.
func TestVectorOfAMadeUpRecord(t *testing.T) {
	b := states(t)["answering, vector whole"].AppendRecord(nil)
	b[len(b)-1] ^= 1
	s, err := ParseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	out := s.Send(100, new([seedLen]byte))
	if out.Secret.Epoch != 0 || out.Next.turn.status() != holdsFirst {
		t.Error("a foreign vector was answered")
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range states(f) {
		f.Add(s.AppendRecord(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseRecord(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.AppendRecord(nil), b) {
			t.Fatal("written as something else")
		}
		// Whatever was read can go on without a panic.
		out := s.Send(300, new([seedLen]byte))
		if len(out.Piece) > 300 {
			t.Fatal("a piece longer than the room")
		}
		out.Next.Receive(out.Piece)
	})
}

// FuzzReceive hands a piece to a side in each turn: it is refused or taken, and
// the next state has a record that is read again.
func FuzzReceive(f *testing.F) {
	w := newWorld(f)
	for range 10 {
		f.Add(w.send(0, 171))
		w.receive(1, w.sent[0][len(w.sent[0])-1])
		f.Add(w.send(1, 171))
		w.receive(0, w.sent[1][len(w.sent[1])-1])
	}
	all := states(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, s := range all {
			got, err := s.Receive(b)
			if err != nil {
				continue
			}
			record := got.Next.AppendRecord(nil)
			if again, err := ParseRecord(record); err != nil || !bytes.Equal(again.AppendRecord(nil), record) {
				t.Fatalf("%s: the next state has no record that is read: %v", name, err)
			}
		}
	})
}
