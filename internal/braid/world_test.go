package braid

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"testing"
)

// world is two sides, what they yielded, and all pieces ever sent. Randomness
// counts up, so that runs repeat.
type world struct {
	t      testing.TB
	states [2]State
	yields [2][]Secret
	sent   [2][][]byte // by who sent them
	drawn  uint64
	broken bool // errors are expected: somebody tampers
}

func newWorld(t testing.TB) *world {
	secret := [32]byte{7}
	return &world{t: t, states: [2]State{Start(&secret, Initiator), Start(&secret, Responder)}}
}

func (w *world) random() *[seedLen]byte {
	w.drawn++
	var b [seedLen]byte
	binary.BigEndian.PutUint64(b[:], w.drawn)
	return &b
}

// send makes a piece and checks what R-BRD-01 and R-BRD-05 say.
func (w *world) send(who, room int) []byte {
	s := w.states[who]
	before := s.AppendRecord(nil)
	out := s.Send(room, w.random())
	if len(out.Piece) > room {
		w.t.Fatalf("a piece of %d bytes, with room for %d", len(out.Piece), room)
	}
	if !bytes.Equal(before, s.AppendRecord(nil)) {
		w.t.Fatal("sending changed the state it started from")
	}
	w.states[who] = out.Next
	w.yield(who, out.Secret)
	if out.Piece != nil {
		w.sent[who] = append(w.sent[who], out.Piece)
	}
	return out.Piece
}

// receive hands a piece to who.
func (w *world) receive(who int, piece []byte) Received {
	s := w.states[who]
	before := s.AppendRecord(nil)
	got, err := s.Receive(piece)
	if !bytes.Equal(before, s.AppendRecord(nil)) {
		w.t.Fatal("receiving changed the state it started from")
	}
	if err != nil {
		if !w.broken {
			w.t.Fatal(err)
		}
		return Received{Next: s}
	}
	if got.Discarded && !w.broken {
		w.t.Fatal("something honest was discarded")
	}
	w.states[who] = got.Next
	w.yield(who, got.Secret)
	return got
}

// yield notes a secret and checks order, exactness and agreement (R-BRD-05).
func (w *world) yield(who int, s Secret) {
	if s.Epoch == 0 {
		if s.Key != [32]byte{} {
			w.t.Fatal("a key without an epoch")
		}
		return
	}
	if int(s.Epoch) != len(w.yields[who])+1 {
		w.t.Fatalf("epoch %d yielded after %d others", s.Epoch, len(w.yields[who]))
	}
	w.yields[who] = append(w.yields[who], s)
	if other := w.yields[1-who]; len(other) >= int(s.Epoch) && other[s.Epoch-1].Key != s.Key {
		w.t.Fatalf("epoch %d: the sides hold different secrets", s.Epoch)
	}
	for _, y := range w.yields[who][:s.Epoch-1] {
		if y.Key == s.Key {
			w.t.Fatal("two epochs yield the same secret")
		}
	}
	// Who answers yields first: what the other side has, this side has. And
	// what a side may seal under, the other holds (R-BRD-12).
	for side := range 2 {
		if n := w.states[side].Epoch() - 1; int(n) > len(w.yields[1-side]) && !w.broken {
			w.t.Fatalf("side %d may seal under epoch %d, which the other does not have", side, n)
		}
	}
}

// restart passes a side through its record.
func (w *world) restart(who int) {
	b := w.states[who].AppendRecord(nil)
	s, err := ParseRecord(b)
	if err != nil {
		w.t.Fatalf("a record is refused: %v", err)
	}
	if !bytes.Equal(s.AppendRecord(nil), b) {
		w.t.Fatal("a record changes when it is read")
	}
	w.states[who] = s
}

// done is how many epochs both sides have.
func (w *world) done() int { return min(len(w.yields[0]), len(w.yields[1])) }

// talk has both sides send in turn, and everything arrive, until n more epochs
// are over; it returns the messages each way.
func (w *world) talk(room, n int) int {
	until := w.done() + n
	for i := 1; ; i++ {
		w.receive(1, w.send(0, room))
		w.receive(0, w.send(1, room))
		if w.done() >= until {
			return i
		}
		if i > 500*n {
			w.t.Fatalf("%d epochs take more than %d messages each way", n, i)
		}
	}
}

// drawn is new randomness.
func drawn() *[RandomLen]byte {
	var b [RandomLen]byte
	rand.Read(b[:])
	return &b
}
