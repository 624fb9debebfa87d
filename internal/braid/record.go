package braid

import (
	"encoding/binary"
	"slices"

	"github.com/pawl-chat/pawl/internal/fixed"
)

// The saved form of a State (spec/braid.md, "Record"): fixed layout, integers
// big-endian (R-BRD-15). A record holds secrets; sealing it is the store's
// concern.

// recordVersion is the first byte. A later version gets another number; this one
// stays readable.
const recordVersion = 1

const (
	kindResting   = 1
	kindOffering  = 2
	kindListening = 3
	kindAnswering = 4
	kindDone      = 5
)

// Lengths in bytes.
const (
	recordHead    = 1 + 1 + 4 + 32 + 1 // version, side, epoch, key, kind of turn
	outgoingHead  = 2 + 2 + 1          // indices, status of the peer
	collectedHead = 1
	entryLen      = 2 + ChunkSize // index, chunk
)

// wholePart stands for the number of chunks of a part that is restored.
const wholePart = 0xff

// AppendRecord appends the record of s to dst.
func (s State) AppendRecord(dst []byte) []byte {
	dst = slices.Grow(dst, MaxRecord)
	dst = append(dst, recordVersion, byte(s.side))
	dst = binary.BigEndian.AppendUint32(dst, s.epoch)
	dst = append(dst, s.auth[:]...)
	switch t := s.turn.(type) {
	case resting:
		dst = append(dst, kindResting)
	case *offering:
		dst = append(dst, kindOffering)
		dst = append(dst, t.seed[:]...)
		dst = t.out.appendRecord(dst)
		dst = t.in[0].appendRecord(dst)
		dst = t.in[1].appendRecord(dst)
	case *listening:
		dst = append(dst, kindListening)
		dst = t.in[0].appendRecord(dst)
		dst = t.in[1].appendRecord(dst)
	case *answering:
		dst = append(dst, kindAnswering)
		dst = append(dst, t.m[:]...)
		dst = append(dst, t.header[:]...)
		dst = t.out.appendRecord(dst)
		dst = t.vector.appendRecord(dst)
	case *done:
		dst = append(dst, kindDone)
		dst = t.out.appendRecord(dst)
	default:
		panic("braid: record of the zero State")
	}
	return dst
}

func (o *outgoing) appendRecord(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, o.next[0])
	dst = binary.BigEndian.AppendUint16(dst, o.next[1])
	dst = append(dst, o.held)
	return append(append(dst, o.parts[0]...), o.parts[1]...)
}

func (c *collected) appendRecord(dst []byte) []byte {
	if c.part != nil {
		return append(append(dst, wholePart), c.part...)
	}
	dst = append(dst, byte(len(c.indices)))
	for i, x := range c.indices {
		dst = binary.BigEndian.AppendUint16(dst, x)
		dst = append(dst, c.chunks[i*ChunkSize:(i+1)*ChunkSize]...)
	}
	return dst
}

// ParseRecord reads what AppendRecord wrote, and nothing else: every other
// string of bytes is ErrMalformed.
func ParseRecord(b []byte) (State, error) {
	if len(b) > MaxRecord {
		return State{}, ErrMalformed
	}
	r := reader{fixed.Reader{Rest: b}}
	if r.Byte() != recordVersion {
		return State{}, ErrMalformed
	}
	var s State
	s.side = Side(r.Byte())
	s.epoch = r.Uint32()
	copy(s.auth[:], r.Take(len(s.auth)))
	offer := false
	switch r.Byte() {
	case kindResting:
		s.turn, offer = resting{}, true
	case kindOffering:
		t := &offering{}
		copy(t.seed[:], r.Take(seedLen))
		t.out = r.outgoing(&offered, 2)
		t.in[0] = r.collected(answered[0])
		t.in[1] = r.collected(answered[1])
		if t.in.whole() {
			return State{}, ErrMalformed
		}
		s.turn, offer = t, true
	case kindListening:
		t := &listening{}
		t.in[0] = r.collected(offered[0])
		t.in[1] = r.collected(offered[1])
		s.turn = t
	case kindAnswering:
		t := &answering{}
		copy(t.m[:], r.Take(randomLen))
		copy(t.header[:], r.Take(headerLen))
		t.out = r.outgoing(&answered, 1)
		t.vector = r.collected(offered[1])
		if t.out.next[1] != 0 {
			return State{}, ErrMalformed
		}
		s.turn = t
	case kindDone:
		s.turn = &done{out: r.outgoing(&answered, 2)}
	default:
		return State{}, ErrMalformed
	}
	if r.Bad || len(r.Rest) > 0 || s.side != Initiator && s.side != Responder || s.epoch == 0 || offers(s.side, s.epoch) != offer {
		return State{}, ErrMalformed
	}
	return s, nil
}

// reader reads the fields of a record.
type reader struct{ fixed.Reader }

// outgoing reads the first n parts of shapes.
func (r *reader) outgoing(shapes *[2]code, n int) (o outgoing) {
	o.next[0] = r.Uint16()
	o.next[1] = r.Uint16()
	o.held = r.Byte()
	for i := range n {
		o.parts[i] = slices.Clone(r.Take(shapes[i].length()))
	}
	// Whoever holds both parts of a ciphertext is in the next epoch.
	if o.held > holdsFirst|holdsSecond || shapes == &answered && o.held == holdsFirst|holdsSecond {
		r.Bad = true
	}
	return o
}

func (r *reader) collected(s code) (c collected) {
	n := int(r.Byte())
	if n == wholePart {
		c.part = slices.Clone(r.Take(s.length()))
		return c
	}
	if n >= s.k || len(r.Rest) < n*entryLen {
		r.Bad = true
		return c
	}
	if n > 0 {
		c.indices, c.chunks = make([]uint16, 0, n), make([]byte, 0, n*ChunkSize)
	}
	for range n {
		x := r.Uint16()
		if slices.Contains(c.indices, x) {
			r.Bad = true
		}
		c.indices = append(c.indices, x)
		c.chunks = append(c.chunks, r.Take(ChunkSize)...)
	}
	return c
}
