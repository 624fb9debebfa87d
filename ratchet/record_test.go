package ratchet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// manyStates returns states of every shape.
func manyStates(t *testing.T) map[string]State {
	c := newTalk(t)
	all := map[string]State{"fresh initiator": c.alice, "waiting": c.bob}
	c.pass(&c.alice, &c.bob, "1")
	all["replying"] = c.bob
	c.pass(&c.bob, &c.alice, "2")
	all["sending"] = c.bob
	for range 7 {
		c.burst(&c.alice, 3)
		c.pass(&c.alice, &c.bob, "3")
		c.pass(&c.bob, &c.alice, "4")
	}
	all["five chains"] = c.bob
	all["five chains, owing"], _ = c.bob.Expire(c.now.Add(2 * SkippedLife))
	c.burst(&c.alice, 1500)
	c.pass(&c.alice, &c.bob, "5")
	all["many skipped"] = c.bob
	return all
}

func TestR_RAT_24_RecordIsStrict(t *testing.T) {
	for name, s := range manyStates(t) {
		b := s.AppendRecord(nil)
		again, err := ParseRecord(b)
		if err != nil || !bytes.Equal(again.AppendRecord(nil), b) {
			t.Errorf("%s: %v", name, err)
		}
		if prefixed := s.AppendRecord([]byte("prefix")); !bytes.Equal(prefixed[6:], b) {
			t.Errorf("%s: AppendRecord depends on what it appends to", name)
		}
		step := max(1, len(b)/2000)
		for n := 0; n < len(b); n += step {
			if _, err := ParseRecord(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %d of %d bytes accepted", name, n, len(b))
			}
		}
		for _, extra := range []byte{0, 1, 255} {
			if _, err := ParseRecord(append(bytes.Clone(b), extra)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: trailing %d accepted", name, extra)
			}
		}
		// One changed byte is refused or means another state, which is written as
		// it was read.
		for n := 0; n < len(b); n += step {
			changed := bytes.Clone(b)
			changed[n] ^= 1 << (n % 8)
			if s, err := ParseRecord(changed); err == nil && !bytes.Equal(s.AppendRecord(nil), changed) {
				t.Errorf("%s: byte %d changed is accepted and written otherwise", name, n)
			}
		}
	}
}

func TestR_RAT_24_ContradictionsAreRefused(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	for range 3 {
		c.burst(&c.alice, 3)
		c.pass(&c.alice, &c.bob, "3")
		c.pass(&c.bob, &c.alice, "4")
	}
	many := c.bob
	seeds := func(n int) [][32]byte { return make([][32]byte, n) }
	breaks := map[string]func(*State){
		"heartbeat over its limit": func(s *State) { s.unanswered = HeartbeatAfter + 1 },
		"six owed":                 func(s *State) { s.owed = seeds(6) },
		"six chains":               func(s *State) { s.older = append(append([]receiving{}, s.older...), s.older...) },
		"order of chains":          func(s *State) { s.older = []receiving{s.older[1], s.older[0]} },
		"chain twice":              func(s *State) { s.older = []receiving{s.older[0], s.older[0]} },
		"chain of ours":            func(s *State) { o := s.older[0]; o.id++; s.older = []receiving{o} },
		"chain zero":               func(s *State) { o := s.older[0]; o.id = 0; s.older = []receiving{o} },
		"closed without keys":      func(s *State) { o := s.older[0]; o.skipped = nil; s.older = []receiving{o} },
		"floor over length":        func(s *State) { s.current.floor = s.current.next + 1 },
		"older floor over length":  func(s *State) { o := s.older[0]; o.floor = o.next + 1; s.older = []receiving{o} },
		"nothing opened":           func(s *State) { s.current.next = 0; s.current.skipped = nil; s.current.floor = 0 },
		"step of another turn":     func(s *State) { s.step++ },
		"current chain too old":    func(s *State) { s.older = nil; s.step += 2 },
		"no step":                  func(s *State) { s.step = 0 },
		"waiting with chains":      func(s *State) { s.turn = &waiting{} },
		"waiting after steps":      func(s *State) { *s = State{braid: s.braid, turn: &waiting{}, following: s.following, step: 1} },
		"replying without chain": func(s *State) {
			*s = State{braid: s.braid, turn: &replying{peer: c.bob.peerKey(t)}, following: s.following, step: 1}
		},
		"first chain with one before": func(s *State) {
			u := copySending(s)
			u.previous = 1
			*s = State{braid: s.braid, turn: &u, following: s.following, step: 1}
		},
		"owing without chain": func(s *State) {
			u := copySending(s)
			u.previous = 0
			*s = State{braid: s.braid, turn: &u, following: s.following, step: 1, owed: seeds(1)}
		},
		"heartbeat without chain": func(s *State) {
			u := copySending(s)
			u.previous = 0
			*s = State{braid: s.braid, turn: &u, following: s.following, step: 1, unanswered: 1}
		},
		"skipped number not reached": func(s *State) { s.current.skipped = []skippedKey{{number: s.current.next}} },
		"skipped twice": func(s *State) {
			k := s.current.skipped[0]
			s.current.skipped = []skippedKey{k, k}
		},
		"skipped descending": func(s *State) {
			k := s.current.skipped
			s.current.skipped = []skippedKey{k[1], k[0]}
		},
		"skipped before 1970": func(s *State) { s.current.skipped = []skippedKey{{at: -1}} },
		"too many skipped": func(s *State) {
			s.current.next = 5000
			s.current.skipped = nil
			for n := range uint32(1001) {
				s.current.skipped = append(s.current.skipped, skippedKey{number: n})
			}
		},
		"too many skipped in all": func(s *State) {
			o := append([]receiving{}, s.older...)
			for i := range o {
				o[i].next, o[i].skipped = 5000, nil
				for n := range uint32(999) {
					o[i].skipped = append(o[i].skipped, skippedKey{number: n})
				}
			}
			s.older = o
		},
	}
	for name, f := range breaks {
		s := many
		f(&s)
		if _, err := ParseRecord(s.AppendRecord(nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseRecord(many.AppendRecord(nil)); err != nil {
		t.Error("the unbroken state is refused:", err)
	}
	// Unknown versions and turns, a chain of no keys, a bad public key.
	b := many.AppendRecord(nil)
	head := int(binary.BigEndian.Uint32(b[1:]))
	turn := 5 + 1 + 8 + 8 + 32 + 1
	for name, at := range map[string]int{"version": 0, "head's version": 5, "skipped part's version": 5 + head, "turn": turn} {
		for _, v := range []byte{0, 9, 255} {
			changed := bytes.Clone(b)
			changed[at] = v
			if _, err := ParseRecord(changed); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s %d: %v", name, v, err)
			}
		}
	}
	for name, key := range badKeys() {
		changed := bytes.Clone(b)
		copy(changed[turn+1+32:], key[:])
		if _, err := ParseRecord(changed); !errors.Is(err, ErrMalformed) {
			t.Errorf("public key %s: %v", name, err)
		}
	}
	empty := append(bytes.Clone(many.AppendSkipped(nil)[:9]), 1)
	empty = binary.BigEndian.AppendUint64(empty, many.current.id)
	empty = append(empty, 0, 0)
	if _, err := Join(many.AppendHead(nil), empty); !errors.Is(err, ErrMalformed) {
		t.Error("a chain with no skipped keys in the skipped part", err)
	}
}

// copySending is the turn of s, to be changed.
func copySending(s *State) sending {
	t := s.turn.(*sending)
	chain := *t.sendingChain
	return sending{&chain, t.key, t.number}
}

// peerKey is some acceptable public key.
func (State) peerKey(t *testing.T) PublicKey {
	t.Helper()
	_, p := GenerateKey()
	return p
}

func TestR_RAT_25_TwoParts(t *testing.T) {
	c := newTalk(t)
	all := c.burst(&c.alice, 4)
	c.open(&c.bob, all[3])
	head, skipped := c.bob.AppendHead(nil), c.bob.AppendSkipped(nil)
	if s, err := Join(head, skipped); err != nil || !bytes.Equal(s.AppendRecord(nil), c.bob.AppendRecord(nil)) {
		t.Error(err)
	}
	// In order, and sealing: the skipped part stands.
	if o := c.pass(&c.alice, &c.bob, "x"); o.SkippedChanged {
		t.Error("changed in order")
	}
	c.seal(&c.bob, "y")
	if _, err := Join(c.bob.AppendHead(nil), skipped); err != nil {
		t.Error(err)
	}
	// A late one: the old part would bring a used key back, and does not join.
	if o := c.open(&c.bob, all[1]); !o.SkippedChanged {
		t.Error("not changed by a late message")
	}
	if _, err := Join(c.bob.AppendHead(nil), skipped); !errors.Is(err, ErrMalformed) {
		t.Error("an old skipped part joins a newer head")
	}
	if _, err := Join(head, c.bob.AppendSkipped(nil)); !errors.Is(err, ErrMalformed) {
		t.Error("a newer skipped part joins an old head")
	}
}
