package lab

import (
	"encoding/binary"

	"github.com/pawl-chat/pawl/internal/fixed"
	"github.com/pawl-chat/pawl/ratchet"
)

// The thief reads the ratchet's record as spec/ratchet.md describes it, and
// writes records of other states with the keys found in it. Keys are moved
// here, never computed: that is left to the real code, which reads what is
// written here with ratchet.Join.

type key = [32]byte

// Turns of a record.
const (
	waiting  = 1
	replying = 2
	sending  = 3
)

// Turns of the braid's record (spec/braid.md, "Record"), and where in it they and
// what follows them stand.
const (
	braidResting   = 1
	braidOffering  = 2
	braidListening = 3
	braidAnswering = 4
	braidAuth      = 6
	braidTurn      = 38
	braidDrawn     = 39
)

// head is the head of a record in its parts.
type head struct {
	generation, step uint64
	root             key
	unanswered       byte
	turn             byte
	own, public      key // sending
	header, seed     key // sending: of our chain
	chain            key // sending: chain key at number
	number           uint32
	peer             key // replying
	previous         uint32
	next             key // header key of our next chain
	following        key // header key of the peer's next chain
	open             key // chain key of receiving[0]
	receiving        []receiving
	owed             []key
	epoch            uint32 // that the root key rests on
	waiting          []key  // secrets of the epochs after it
	exchange         []byte // the braid's record
}

type receiving struct {
	id           uint64
	header, seed key
	epoch        uint32
	next, floor  uint32
	skipped      []skipped
}

type skipped struct {
	number uint32
	at     uint64
	key    key
}

// read takes the record of a state apart.
func read(s ratchet.State) head {
	r := fixed.Reader{Rest: s.AppendHead(nil)}
	r.Take(1)
	h := head{generation: r.Uint64(), step: r.Uint64(), root: r.Key(), unanswered: r.Byte(), turn: r.Byte()}
	switch h.turn {
	case waiting:
		h.own, h.next = r.Key(), r.Key()
	case replying:
		h.peer, h.next, h.previous = r.Key(), r.Key(), r.Uint32()
	case sending:
		h.own, h.public, h.header, h.seed, h.chain = r.Key(), r.Key(), r.Key(), r.Key(), r.Key()
		h.number, h.previous, h.next = r.Uint32(), r.Uint32(), r.Key()
	}
	h.following = r.Key()
	if n := int(r.Byte()); n > 0 {
		h.open = r.Key()
		for range n {
			h.receiving = append(h.receiving, receiving{id: r.Uint64(), header: r.Key(), seed: r.Key(), epoch: r.Uint32(), next: r.Uint32(), floor: r.Uint32()})
		}
	}
	for n := int(r.Byte()); n > 0; n-- {
		h.owed = append(h.owed, r.Key())
	}
	h.epoch = r.Uint32()
	for n := int(r.Byte()); n > 0; n-- {
		h.waiting = append(h.waiting, r.Key())
	}
	h.exchange = r.Rest
	h.readSkipped(s.AppendSkipped(nil))
	return h
}

func (h *head) readSkipped(b []byte) {
	r := fixed.Reader{Rest: b}
	r.Take(9)
	for n := int(r.Byte()); n > 0; n-- {
		id, count := r.Uint64(), int(r.Uint16())
		for i := range h.receiving {
			if c := &h.receiving[i]; c.id == id {
				for range count {
					c.skipped = append(c.skipped, skipped{r.Uint32(), r.Uint64(), r.Key()})
				}
			}
		}
	}
}

// state is the state that h is the record of, as the real code reads it.
func (h *head) state() (ratchet.State, error) {
	u32, u64 := binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	b := u64(u64([]byte{2}, h.generation), h.step)
	b = append(append(b, h.root[:]...), h.unanswered, h.turn)
	put := func(keys ...key) {
		for i := range keys {
			b = append(b, keys[i][:]...)
		}
	}
	switch h.turn {
	case waiting:
		put(h.own, h.next)
	case replying:
		put(h.peer, h.next)
		b = u32(b, h.previous)
	case sending:
		put(h.own, h.public, h.header, h.seed, h.chain)
		b = u32(u32(b, h.number), h.previous)
		put(h.next)
	}
	put(h.following)
	b = append(b, byte(len(h.receiving)))
	s := append(u64([]byte{2}, h.generation), 0)
	if len(h.receiving) > 0 {
		put(h.open)
	}
	for _, c := range h.receiving {
		b = u64(b, c.id)
		put(c.header, c.seed)
		b = u32(u32(u32(b, c.epoch), c.next), c.floor)
		if len(c.skipped) > 0 {
			s[9]++
			s = binary.BigEndian.AppendUint16(u64(s, c.id), uint16(len(c.skipped)))
		}
		for _, k := range c.skipped {
			s = append(u64(u32(s, k.number), k.at), k.key[:]...)
		}
	}
	b = append(b, byte(len(h.owed)))
	put(h.owed...)
	b = append(u32(b, h.epoch), byte(len(h.waiting)))
	put(h.waiting...)
	if h.exchange == nil {
		h.exchange = idle(h.epoch)
	}
	return ratchet.Join(append(b, h.exchange...), s)
}

// idle is the braid's record of a side that has not begun epoch + 1, with an
// authentication key of the thief's own: it takes no piece that the victim's peer
// sends, and the ratchet goes on without.
func idle(epoch uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{1, 1 + byte(epoch)&1}, epoch+1) // whose turn it is to offer
	k := passing()
	return append(append(b, k[:]...), braidResting)
}
