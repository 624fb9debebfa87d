package ratchet

import (
	"crypto/rand"
	"math"

	"github.com/pawl-chat/pawl/internal/braid"
	"github.com/pawl-chat/pawl/internal/dh"
)

// Position names a message within its session: the same on both sides
// (R-RAT-28).
type Position struct {
	Chain  uint64 // counts DH steps: the initiator's chains are odd
	Number uint32 // within the chain, from 0
}

// Sealed is what Seal returns.
type Sealed struct {
	Message []byte
	Next    State
	At      Position
}

// Seal encrypts plaintext and authenticates it together with ad, which must be
// what the peer passes to Open. If plaintext ends in zeros, as padding does, a
// piece of the post-quantum exchange takes their place on the way: the more room
// there is, the sooner a theft heals (R-RAT-44).
//
// Contract: Message must not leave the device before Next is durable. The use of
// a key once, the safety of disclosure and the exchange rest on that (R-RAT-19,
// R-BRD-13).
func (s State) Seal(plaintext, ad []byte) (Sealed, error) {
	var r randomness
	r.draw(&s, plaintext) // a new salt for each message (R-RAT-31)
	return s.seal(plaintext, ad, &r)
}

// Farewell returns the last message of a session. It discloses the MAC seed of
// every receiving chain, the open one included, so this side must accept
// nothing afterwards.
//
// Contract: the state is wiped in the same transaction that stores the message
// for sending, and the message leaves after that is durable (R-RAT-21).
func (s State) Farewell(ad []byte) ([]byte, error) {
	var r randomness
	r.draw(&s, nil)
	return s.farewell(ad, &r)
}

// randomness is all that sealing draws: a salt, the private ratchet key if one is
// made, and what the exchange draws for its piece.
type randomness [braidAt + braid.RandomLen]byte

const braidAt = saltLen + dh.Size

// draw draws what sealing plaintext with s uses.
func (r *randomness) draw(s *State, plaintext []byte) {
	n := saltLen
	if _, ok := s.turn.(*replying); ok {
		n = braidAt
	}
	if k := s.braid.Draws(); k > 0 && s.room(plaintext) > 0 {
		n = braidAt + k
	}
	rand.Read(r[:n])
}

func (s State) seal(plaintext, ad []byte, r *randomness) (Sealed, error) {
	if len(plaintext) > MaxPlaintext || len(ad) > MaxAD {
		return Sealed{}, ErrTooLong
	}
	owed := s.owed
	s.owed = nil
	message, at, err := s.write(TypeMessage, plaintext, ad, owed, r)
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{Message: message, Next: s, At: at}, nil
}

func (s State) farewell(ad []byte, r *randomness) ([]byte, error) {
	if len(ad) > MaxAD {
		return nil, ErrTooLong
	}
	seeds := append(make([][32]byte, 0, MaxFarewell), s.owed...)
	for i := range s.older {
		seeds = append(seeds, s.older[i].seed)
	}
	if s.Received() {
		seeds = append(seeds, s.current.seed)
	}
	message, _, err := s.write(TypeFarewell, nil, ad, seeds, r)
	return message, err
}

// write makes one message and moves s, the caller's copy, past it.
func (s *State) write(kind byte, plaintext, ad []byte, seeds [][32]byte, r *randomness) ([]byte, Position, error) {
	var t *sending
	switch now := s.turn.(type) {
	case *sending:
		if now.number == math.MaxUint32 { // R-RAT-30
			return nil, Position{}, ErrExhausted
		}
		t = &sending{now.sendingChain, now.key, now.number}
	case *replying:
		var err error
		t, err = s.begin(now, dh.FromBytes([dh.Size]byte(r[saltLen:])))
		clear(r[saltLen:braidAt])
		if err != nil {
			return nil, Position{}, err
		}
	default: // R-RAT-29
		return nil, Position{}, ErrWaiting
	}

	at := Position{s.step, t.number}
	body := seedsAt + len(seeds)*seedLen
	tag := body + len(plaintext)
	m := make([]byte, tag+tagLen)
	m[0] = kind
	copy(m[saltAt:], r[:saltLen])

	copy(m[body:], plaintext)
	carried := kind == TypeMessage && s.load(m[body:tag], r)
	clear(r[braidAt:])

	// The IV is the salt and four zero bytes, which stand in the message until
	// the header is written over the latter.
	key := t.key.step()
	key.xor(m[body:tag], m[saltAt:saltAt+16], m[body:tag])
	clear(key[:])

	t.cipher.seal(m, &header{t.public, t.previous, t.number, s.mixed, carried})
	// Disclosed seeds are public, and under the tag (R-RAT-20).
	m[countAt] = byte(len(seeds))
	for i := range seeds {
		copy(m[seedsAt+i*seedLen:], seeds[i][:])
	}
	mac := t.seed.key(t.number)
	sum := mac.tag(ad, m[:tag])
	copy(m[tag:], sum[:])

	t.number++
	s.turn = t
	s.unanswered = 0
	return m, at, nil
}
