package ratchet

import (
	"math"
	"time"

	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kdf"
)

// Opened is what Open returns: the plaintext with the state that has received
// it, to be stored together.
type Opened struct {
	Plaintext []byte
	Next      State
	At        Position
	// Farewell: the peer has ended the session and will open nothing more.
	Farewell bool
	// Disclosed are MAC seeds of chains of ours that the peer has closed.
	Disclosed [][32]byte
	// Ratcheted: the message began a new chain of the peer's.
	Ratcheted bool
	// SkippedChanged: the skipped part of the record has changed too.
	SkippedChanged bool
	// PieceRefused says why a piece that came with the message was dropped: the
	// peer has lost its state, or does not keep to the protocol. The message counts
	// all the same, but as long as this goes on nothing heals against quantum
	// computers.
	PieceRefused error
}

// Open authenticates and decrypts a message. now stamps the keys it skips.
//
// Order (R-RAT-11): outer form, header, MAC, number, and only then the chain:
// a forged message costs one header and two HMACs, never a step, and one DH if
// it carries the authentic header of a new chain. Nothing is changed before the
// MAC holds; after any error the state is what it was (R-RAT-01).
func (s State) Open(message, ad []byte, now time.Time) (Opened, error) {
	p, err := parse(message)
	if err != nil {
		return Opened{}, err
	}
	if len(ad) > MaxAD {
		return Opened{}, ErrTooLong
	}
	in := incoming{message: message, ad: ad, parts: p, now: seconds(now)}
	// One buffer: the header is decrypted into its front, which then serves as
	// the IV, and the body behind it.
	in.buf = make([]byte, headerLen+p.tag-p.body)

	generation := s.generation
	var key messageKey
	var id uint64
	ratcheted := false
	switch i := s.find(&in); i {
	case inNone:
		return Opened{}, ErrUnknownChain
	case inCurrent:
		id = s.current.id
		key, err = s.openCurrent(&in)
	case inFollowing:
		ratcheted = true
		key, err = s.openFollowing(&in)
		id = s.current.id
	default:
		id = s.older[i].id
		key, err = s.openOlder(int(i), &in)
	}
	if err != nil {
		return Opened{}, err
	}

	body := in.buf[headerLen:]
	iv := in.buf[:16]
	clear(in.buf[:headerLen])
	copy(iv, message[saltAt:sealedAt])
	key.xor(body, iv, message[p.body:p.tag])
	clear(key[:])
	var refused error
	if in.header.piece {
		refused = s.unload(body)
	}
	return Opened{
		Plaintext:      body,
		Next:           s,
		At:             Position{id, in.header.number},
		Farewell:       message[0] == TypeFarewell,
		Disclosed:      p.disclosed(message),
		Ratcheted:      ratcheted,
		SkippedChanged: s.generation != generation,
		PieceRefused:   refused,
	}, nil
}

// incoming is a message on its way through Open.
type incoming struct {
	message []byte
	ad      []byte
	parts   parts
	header  header
	buf     []byte
	now     int64 // Unix seconds
}

// authentic checks the MAC under the chain's seed, in constant time.
func (in *incoming) authentic(seed *macSeed) bool {
	key := seed.key(in.header.number)
	tag := key.tag(in.ad, in.message[:in.parts.tag])
	return kdf.Equal(tag[:], in.message[in.parts.tag:])
}

// place says which header key opened a message: an index into older, or:
type place int

const (
	inNone      place = -1
	inCurrent   place = -2
	inFollowing place = -3
)

// find decrypts the header: the open chain first, then the one that may follow,
// then closed ones, newest first. The next chain is only looked for while we
// hold the private key that its first message needs.
func (s *State) find(in *incoming) place {
	if c := s.current.cipher; c != nil && c.open(&in.header, in.buf, in.message) {
		return inCurrent
	}
	switch s.turn.(type) {
	case *waiting, *sending:
		if s.following.open(&in.header, in.buf, in.message) {
			return inFollowing
		}
	}
	for i := range s.older {
		if s.older[i].cipher.open(&in.header, in.buf, in.message) {
			return place(i)
		}
	}
	return inNone
}

// openCurrent receives in the open chain.
func (s *State) openCurrent(in *incoming) (messageKey, error) {
	c := &s.current
	if !in.authentic(&c.seed) {
		return messageKey{}, ErrForged
	}
	if in.header.epoch != c.epoch {
		return messageKey{}, ErrEpoch
	}
	n := in.header.number
	if n < c.next {
		key, err := c.take(n, in.now)
		if err != nil {
			return messageKey{}, err
		}
		s.generation++
		s.count()
		return key, nil
	}
	if n-c.next > MaxJump || n == math.MaxUint32 {
		return messageKey{}, ErrTooFarAhead
	}
	if n > c.next {
		s.key = c.skip(s.key, n, in.now)
		s.generation++
		s.enforce()
	}
	key := s.key.step()
	c.next++
	s.count()
	return key, nil
}

// openFollowing receives the first message of a new chain: it closes the open
// one and takes a DH step (R-RAT-09).
func (s *State) openFollowing(in *incoming) (messageKey, error) {
	peer, err := dh.ParsePublic(in.header.key[:]) // R-RAT-26
	if err != nil {
		return messageKey{}, ErrBadKey
	}
	reply := &replying{peer: peer}
	var own *dh.PrivateKey
	switch t := s.turn.(type) {
	case *waiting:
		own, reply.header = &t.own, t.header
	case *sending:
		own, reply.header, reply.previous = &t.own, t.header, t.number
	}
	// The epoch stands in the header because the keys, and so the MAC, rest on
	// it (R-RAT-43).
	epochs, ok := s.upTo(in.header.epoch)
	if !ok {
		return messageKey{}, ErrEpoch
	}
	shared, err := own.Shared(peer)
	if err != nil {
		return messageKey{}, ErrBadKey
	}
	root, b := s.root.advance(&shared, epochs)
	if !in.authentic(&b.seed) {
		return messageKey{}, ErrForged
	}
	previous, n := in.header.previous, in.header.number
	switch {
	case previous < s.current.next: // R-RAT-32
		return messageKey{}, ErrRolledBack
	case !s.Received() && previous != 0:
		return messageKey{}, ErrRolledBack
	case previous-s.current.next > MaxJump || n > MaxJump:
		return messageKey{}, ErrTooFarAhead
	}

	s.close(previous, in.now)
	s.root, s.turn = root, reply
	s.rest(in.header.epoch)
	s.step++
	s.current = receiving{id: s.step, cipher: s.following, seed: b.seed, epoch: s.mixed}
	s.key = b.chain
	s.following = newHeaderCipher(b.header)
	if n > 0 {
		s.key = s.current.skip(s.key, n, in.now)
		s.generation++
	}
	s.enforce()
	key := s.key.step()
	s.current.next++
	s.unanswered = 0
	s.count()
	return key, nil
}

// openOlder receives a late message of the closed chain older[i].
func (s *State) openOlder(i int, in *incoming) (messageKey, error) {
	c := s.older[i]
	if !in.authentic(&c.seed) {
		return messageKey{}, ErrForged
	}
	if in.header.epoch != c.epoch {
		return messageKey{}, ErrEpoch
	}
	if in.header.number >= c.next { // R-RAT-32
		return messageKey{}, ErrRolledBack
	}
	key, err := c.take(in.header.number, in.now)
	if err != nil {
		return messageKey{}, err
	}
	s.generation++
	s.replace(i, c)
	return key, nil
}

// count notes a message of the open chain for the heartbeat.
func (s *State) count() {
	if s.unanswered < HeartbeatAfter {
		s.unanswered++
	}
}

// seconds is t in whole seconds since 1970, and never before.
func seconds(t time.Time) int64 { return max(t.Unix(), 0) }
