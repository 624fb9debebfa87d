package ratchet

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/pawl-chat/pawl/internal/braid"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/fixed"
)

// The saved form of a State (spec/ratchet.md, "Record"): fixed layout, integers
// big-endian, two parts. The head is small and changes with every message; the
// skipped part holds up to 2 000 keys and changes only when one is added or
// goes, which Opened.SkippedChanged and Expire tell. Both carry a generation,
// so that parts of different states do not join (R-RAT-25).
//
// A record holds all secrets of the session. Sealing it is the store's concern.

// recordVersion is the first byte of every part and of the whole. A later
// version gets another number; this one stays readable. Version 1, which had no
// post-quantum exchange, was never in a release and is not read (R-RAT-48).
const (
	recordVersion = 2
	oldVersion    = 1
)

const (
	kindWaiting  = 1
	kindReplying = 2
	kindSending  = 3
)

// AppendRecord appends the whole state to dst: the version, the length of the
// head as 4 bytes, the head and the skipped part.
func (s State) AppendRecord(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, recordVersion, 0, 0, 0, 0)
	dst = s.AppendHead(dst)
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-5))
	return s.AppendSkipped(dst)
}

// ParseRecord reads what AppendRecord wrote, and nothing else: every other
// string of bytes is ErrMalformed (R-RAT-24).
func ParseRecord(b []byte) (State, error) {
	r := reader{fixed.Reader{Rest: b}}
	switch r.Byte() {
	case recordVersion:
	case oldVersion:
		return State{}, ErrOldRecord
	default:
		return State{}, ErrMalformed
	}
	n := r.Uint32()
	if r.Bad || uint64(n) > uint64(len(r.Rest)) {
		return State{}, ErrMalformed
	}
	return Join(r.Rest[:n], r.Rest[n:])
}

// AppendHead appends the part of the record that changes with every message.
func (s State) AppendHead(dst []byte) []byte {
	dst = slices.Grow(dst, 700+braid.MaxRecord)
	dst = append(dst, recordVersion)
	dst = binary.BigEndian.AppendUint64(dst, s.generation)
	dst = binary.BigEndian.AppendUint64(dst, s.step)
	dst = append(dst, s.root[:]...)
	dst = append(dst, s.unanswered)
	switch t := s.turn.(type) {
	case *waiting:
		dst = append(dst, kindWaiting)
		dst = appendPrivate(dst, &t.own)
		dst = append(dst, t.header[:]...)
	case *replying:
		dst = append(dst, kindReplying)
		dst = append(dst, t.peer.Bytes()...)
		dst = append(dst, t.header[:]...)
		dst = binary.BigEndian.AppendUint32(dst, t.previous)
	case *sending:
		dst = append(dst, kindSending)
		dst = appendPrivate(dst, &t.own)
		dst = append(dst, t.public[:]...)
		dst = append(dst, t.cipher.key[:]...)
		dst = append(dst, t.seed[:]...)
		dst = append(dst, t.key[:]...)
		dst = binary.BigEndian.AppendUint32(dst, t.number)
		dst = binary.BigEndian.AppendUint32(dst, t.previous)
		dst = append(dst, t.header[:]...)
	default:
		panic("ratchet: record of the zero State")
	}
	dst = append(dst, s.following.key[:]...)
	if s.Received() {
		dst = append(dst, byte(1+len(s.older)))
		dst = append(dst, s.key[:]...)
		dst = s.current.appendHead(dst)
		for i := range s.older {
			dst = s.older[i].appendHead(dst)
		}
	} else {
		dst = append(dst, 0)
	}
	dst = append(dst, byte(len(s.owed)))
	for i := range s.owed {
		dst = append(dst, s.owed[i][:]...)
	}
	dst = binary.BigEndian.AppendUint32(dst, s.mixed)
	dst = append(dst, byte(len(s.waiting)))
	for i := range s.waiting {
		dst = append(dst, s.waiting[i][:]...)
	}
	return s.braid.AppendRecord(dst)
}

func appendPrivate(dst []byte, k *dh.PrivateKey) []byte {
	b := k.Export()
	dst = append(dst, b[:]...)
	clear(b[:])
	return dst
}

func (c *receiving) appendHead(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, c.id)
	dst = append(dst, c.cipher.key[:]...)
	dst = append(dst, c.seed[:]...)
	dst = binary.BigEndian.AppendUint32(dst, c.epoch)
	dst = binary.BigEndian.AppendUint32(dst, c.next)
	return binary.BigEndian.AppendUint32(dst, c.floor)
}

// entryLen is the length of one skipped key in a record.
const entryLen = 4 + 8 + 32

// AppendSkipped appends the part of the record with the skipped keys: of each
// receiving chain that holds any, in the order of the head.
func (s State) AppendSkipped(dst []byte) []byte {
	dst = slices.Grow(dst, 10+MaxChains*10+s.SkippedCount()*entryLen)
	dst = append(dst, recordVersion)
	dst = binary.BigEndian.AppendUint64(dst, s.generation)
	at := len(dst)
	dst = append(dst, 0)
	put := func(c *receiving) {
		if len(c.skipped) == 0 {
			return
		}
		dst[at]++
		dst = binary.BigEndian.AppendUint64(dst, c.id)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.skipped)))
		for i := range c.skipped {
			k := &c.skipped[i]
			dst = binary.BigEndian.AppendUint32(dst, k.number)
			dst = binary.BigEndian.AppendUint64(dst, uint64(k.at))
			dst = append(dst, k.key[:]...)
		}
	}
	put(&s.current)
	for i := range s.older {
		put(&s.older[i])
	}
	return dst
}

// Join reads a state from its two parts. Parts of different states are
// ErrMalformed, as is every byte string that no state is written as.
func Join(head, skipped []byte) (State, error) {
	if len(head) > 0 && head[0] == oldVersion {
		return State{}, ErrOldRecord
	}
	s, ok := parseHead(head)
	if !ok || !s.parseSkipped(skipped) || !s.consistent() {
		return State{}, ErrMalformed
	}
	return s, nil
}

func parseHead(b []byte) (s State, ok bool) {
	r := reader{fixed.Reader{Rest: b}}
	if r.Byte() != recordVersion {
		return State{}, false
	}
	s.generation = r.Uint64()
	s.step = r.Uint64()
	s.root = r.Key()
	s.unanswered = r.Byte()
	switch r.Byte() {
	case kindWaiting:
		t := &waiting{own: dh.FromBytes(r.Key())}
		t.header = r.Key()
		s.turn = t
	case kindReplying:
		t := &replying{peer: r.public()}
		t.header = r.Key()
		t.previous = r.Uint32()
		s.turn = t
	case kindSending:
		t := &sending{sendingChain: &sendingChain{own: dh.FromBytes(r.Key())}}
		public := r.public()
		t.public = public.Array()
		t.cipher = r.cipher()
		t.seed = r.Key()
		t.key = r.Key()
		t.number = r.Uint32()
		t.previous = r.Uint32()
		t.header = r.Key()
		s.turn = t
	default:
		return State{}, false
	}
	s.following = r.cipher()
	if n := int(r.Byte()); n > MaxChains {
		return State{}, false
	} else if n > 0 {
		s.key = r.Key()
		s.current = r.receiving()
		if n > 1 {
			s.older = make([]receiving, n-1)
			for i := range s.older {
				s.older[i] = r.receiving()
			}
		}
	}
	if n := int(r.Byte()); n > MaxDisclosed {
		return State{}, false
	} else if n > 0 {
		s.owed = make([][32]byte, n)
		for i := range s.owed {
			s.owed[i] = r.Key()
		}
	}
	s.mixed = r.Uint32()
	if n := int(r.Byte()); n > MaxWaiting {
		return State{}, false
	} else if n > 0 {
		s.waiting = make([]epochKey, n)
		for i := range s.waiting {
			s.waiting[i] = r.Key()
		}
	}
	if r.Bad {
		return State{}, false
	}
	exchange, err := braid.ParseRecord(r.Rest)
	s.braid = exchange
	return s, err == nil
}

func (s *State) parseSkipped(b []byte) bool {
	r := reader{fixed.Reader{Rest: b}}
	if r.Byte() != recordVersion || r.Uint64() != s.generation {
		return false
	}
	chains := make([]*receiving, 0, MaxChains)
	if s.Received() {
		chains = append(chains, &s.current)
	}
	for i := range s.older {
		chains = append(chains, &s.older[i])
	}
	for n := int(r.Byte()); n > 0 && !r.Bad; n-- {
		id, count := r.Uint64(), int(r.Uint16())
		for len(chains) > 0 && chains[0].id != id {
			chains = chains[1:]
		}
		if len(chains) == 0 || count == 0 || count > MaxChainSkipped || len(r.Rest) < count*entryLen {
			return false
		}
		c := chains[0]
		chains = chains[1:]
		c.skipped = make([]skippedKey, count)
		for i := range c.skipped {
			k := &c.skipped[i]
			k.number = r.Uint32()
			at := r.Uint64()
			k.key = r.Key()
			if k.number >= c.next || i > 0 && k.number <= c.skipped[i-1].number || at > math.MaxInt64 {
				return false
			}
			k.at = int64(at)
		}
	}
	return !r.Bad && len(r.Rest) == 0
}

// consistent reports whether the parts of s fit together as those of every
// state that this package makes do.
func (s *State) consistent() bool {
	if s.unanswered > HeartbeatAfter || s.SkippedCount() > MaxSkipped {
		return false
	}
	// The secrets of all epochs are mixed in, or wait.
	if s.braid.Newest() > MaxEpoch || uint64(s.mixed)+uint64(len(s.waiting)) != uint64(s.braid.Newest()) {
		return false
	}
	chains := s.older
	last := s.step // the DH step of the newest receiving chain there can be
	switch t := s.turn.(type) {
	case *waiting:
		if s.step != 0 || s.Received() {
			return false
		}
	case *replying:
		if s.step == 0 || !s.Received() {
			return false
		}
	case *sending:
		if s.step == 0 || !s.Received() && (s.step != 1 || t.previous != 0) {
			return false
		}
		last--
	}
	if !s.Received() {
		return s.unanswered == 0 && len(s.owed) == 0 && len(chains) == 0
	}
	c := &s.current
	if c.id != last || c.id == 0 || c.next == 0 || c.floor > c.next || c.epoch > s.mixed {
		return false
	}
	epoch := c.epoch
	for i := range chains {
		o := &chains[i]
		if o.id == 0 || o.id >= last || (last-o.id)%2 != 0 || o.floor > o.next || len(o.skipped) == 0 || o.epoch > epoch {
			return false
		}
		last, epoch = o.id, o.epoch
	}
	return true
}

// reader reads the fields of a record.
type reader struct{ fixed.Reader }

func (r *reader) public() dh.PublicKey {
	p, err := dh.ParsePublic(r.Take(32))
	if err != nil {
		r.Bad = true
	}
	return p
}

func (r *reader) cipher() *headerCipher {
	k := r.Key()
	if r.Bad {
		return nil
	}
	return newHeaderCipher(k)
}

func (r *reader) receiving() receiving {
	c := receiving{id: r.Uint64(), cipher: r.cipher()}
	c.seed = r.Key()
	c.epoch = r.Uint32()
	c.next = r.Uint32()
	c.floor = r.Uint32()
	return c
}
