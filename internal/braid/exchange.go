package braid

import (
	"math"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// Side tells the two ends of a conversation apart, so that in each epoch one
// offers a key and the other answers.
type Side byte

const (
	// Initiator offers the key in odd epochs, the first among them.
	Initiator Side = 1
	// Responder offers it in even epochs.
	Responder Side = 2
)

// State is one side of the exchange. The zero State is invalid; [Start] makes
// one.
type State struct {
	_     [0]func() // not comparable
	side  Side
	epoch uint32
	auth  authKey // of this epoch; of the next once the ciphertext is whole
	turn  turn
}

// turn is what the side is about in its epoch. The side that offers a key goes
// from resting to offering, the other from listening to answering to done; then
// the next epoch begins with exchanged roles.
type turn interface{ status() byte }

type (
	// resting: it is for this side to offer a key, and none is made yet.
	resting struct{}
	// offering: the key is on its way.
	offering struct {
		seed [seedLen]byte
		out  outgoing // header and MAC; vector
		in   incoming // the parts of the ciphertext, the second with its MAC
	}
	// listening: the header is awaited, or there and nothing drawn for it yet.
	listening struct {
		in incoming // header and MAC, authentic once whole; vector, checked once the header is there
	}
	// answering: the first part of the ciphertext is on its way.
	answering struct {
		m      [randomLen]byte
		header [headerLen]byte
		out    outgoing
		vector collected // checked once whole
	}
	// done: the ciphertext is whole, and the secret of this epoch known here.
	done struct {
		out outgoing
	}
)

func (resting) status() byte { return 0 }

func (o *offering) status() byte { return o.in.status() }

func (l *listening) status() byte {
	if l.in[0].part == nil {
		return 0 // a vector without its header may be anything
	}
	return l.in.status()
}

func (a *answering) status() byte {
	if a.vector.part == nil {
		return holdsFirst
	}
	return holdsFirst | holdsSecond
}

func (done) status() byte { return holdsFirst | holdsSecond }

func (in *incoming) status() (s byte) {
	if in[0].part != nil {
		s = holdsFirst
	}
	if in[1].part != nil {
		s |= holdsSecond
	}
	return s
}

// Start begins an exchange in epoch 1. Both sides hold secret, which the caller
// keeps and erases, and which nobody else knows.
func Start(secret *[kdf.Size]byte, side Side) State {
	if side != Initiator && side != Responder {
		panic("braid: no such side")
	}
	return begin(side, 1, start(secret))
}

// begin is the state of side at the beginning of epoch (R-BRD-11).
func begin(side Side, epoch uint32, auth authKey) State {
	s := State{side: side, epoch: epoch, auth: auth, turn: resting{}}
	if !offers(side, epoch) {
		s.turn = &listening{}
	}
	return s
}

// offers reports whether side offers the key in epoch.
func offers(side Side, epoch uint32) bool { return (epoch%2 == 1) == (side == Initiator) }

// Epoch is the epoch the side is in. The secret of the one before is the newest
// that both sides are sure to hold: what a side seals under it the other can
// open (R-BRD-12).
func (s State) Epoch() uint32 { return s.epoch }

// Sent is what [State.Send] gives: the piece, empty if there was not room for
// the smallest; the state that must be durable before the piece leaves the
// device (R-BRD-13); and the secret of the epoch if this step completed it.
type Sent struct {
	Piece  []byte
	Next   State
	Secret Secret
}

// Draws is how many bytes of randomness the next [State.Send] uses, the first
// of those it is given: a key or its answer is made when it is first sent and not
// before (R-BRD-13).
func (s State) Draws() int {
	switch t := s.turn.(type) {
	case resting:
		return seedLen
	case *listening:
		if t.in[0].part != nil {
			return randomLen
		}
	}
	return 0
}

// Newest is the newest epoch whose secret this side has been given. It is the
// one before [State.Epoch], or that epoch itself on the side that has answered it
// (R-BRD-12).
func (s State) Newest() uint32 {
	if _, ended := s.turn.(*done); ended {
		return s.epoch
	}
	return s.epoch - 1
}

// Send makes a piece of at most room bytes for the next message. random is new
// in each call, as far as [State.Draws] tells, and the caller's to erase: the seed
// of a key, or in its first 32 bytes the m of an encapsulation.
func (s State) Send(room int, random *[RandomLen]byte) Sent {
	if room < MinPiece {
		return Sent{Next: s}
	}
	var secret Secret
	switch t := s.turn.(type) {
	case resting:
		s.turn = s.offer(random)
	case *listening:
		if t.in[0].part != nil {
			s.turn = answer(t, (*[randomLen]byte)(random[:]))
		}
	}
	if t, ok := s.turn.(*answering); ok && t.vector.part != nil {
		secret = s.complete(t)
	}

	b := make([]byte, 0, min(room, MaxPiece))
	b = appendPiece(b, s.epoch, s.turn.status())
	room -= MinPiece
	switch t := s.turn.(type) {
	case *offering:
		next := *t
		b = next.out.fill(b, &offered, room)
		s.turn = &next
	case *answering:
		next := *t
		b = next.out.fill(b, &answered, room)
		s.turn = &next
	case *done:
		next := *t
		b = next.out.fill(b, &answered, room)
		s.turn = &next
	}
	return Sent{Piece: b, Next: s, Secret: secret}
}

// offer makes a key.
func (s *State) offer(seed *[seedLen]byte) *offering {
	header, vector := newKey(seed)
	tag := s.auth.header(s.epoch, &header)
	t := &offering{seed: *seed}
	t.out.parts = [2][]byte{append(header[:], tag[:]...), vector}
	return t
}

// answer makes the first part of the ciphertext for a header that has arrived.
func answer(l *listening, m *[randomLen]byte) *answering {
	t := &answering{m: *m, header: [headerLen]byte(l.in[0].part), vector: l.in[1]}
	t.out.parts[0] = encapsulate1(&t.header, m)
	return t
}

// complete makes the second part once the vector is there, and with it the
// secret of the epoch.
func (s *State) complete(t *answering) Secret {
	ct2, shared, err := encapsulate2(&t.header, t.vector.part, &t.m)
	if err != nil {
		// Only a record that was made up holds such a vector: it was checked when
		// it arrived. The other side's next chunks are awaited.
		next := *t
		next.vector = collected{}
		s.turn = &next
		return Secret{}
	}
	next, secret, mac := s.auth.advance(s.epoch, &shared)
	tag := mac.ciphertext(s.epoch, &t.header, t.out.parts[0], ct2)
	d := &done{out: t.out} // without m (R-BRD-16)
	d.out.parts[1] = append(ct2, tag[:]...)
	s.auth, s.turn = next, d
	return secret
}

// Received is what [State.Receive] gives: the next state, and the secret of the
// epoch if this step completed it. Discarded tells that a part was whole and not
// what the other side made: its chunks are dropped and gathered anew.
type Received struct {
	Next      State
	Secret    Secret
	Discarded bool
}

// Receive takes a piece of an authentic message. Pieces may come late, twice, in
// any order or not at all (R-BRD-14).
func (s State) Receive(b []byte) (Received, error) {
	p, err := parsePiece(b)
	if err != nil {
		return Received{}, err
	}
	if p.epoch < s.epoch {
		return Received{Next: s}, nil // that epoch is over
	}
	if _, ended := s.turn.(*done); ended && p.epoch-s.epoch == 1 {
		// The other side could not be there without the whole ciphertext.
		s = begin(s.side, p.epoch, s.auth)
	}
	if p.epoch != s.epoch {
		return Received{}, ErrEpoch
	}
	if !fits(&p, offers(s.side, s.epoch)) {
		return Received{}, ErrMalformed
	}
	empty := p.status == 0 && p.runs[0].chunks == nil && p.runs[1].chunks == nil
	switch t := s.turn.(type) {
	case resting:
		if !empty {
			return Received{}, ErrRolledBack // an answer, and no key was offered
		}
		return Received{Next: s}, nil
	case *offering:
		return s.gather(t, &p)
	case *listening:
		if p.status != 0 {
			return Received{}, ErrRolledBack // parts of a ciphertext, and none was made
		}
		return s.listen(t, &p), nil
	case *answering:
		return s.learn(t, &p), nil
	case *done:
		next := *t
		next.out.held = p.status
		s.turn = &next
		return Received{Next: s}, nil
	}
	panic("braid: Receive of the zero State")
}

// fits reports whether the runs of p are no longer than the parts of the other
// side, which answers if this one offers. A side that offers never holds both
// parts of the ciphertext: it would be in the next epoch.
func fits(p *piece, offers bool) bool {
	shapes := &offered
	if offers {
		shapes = &answered
	} else if p.status == holdsFirst|holdsSecond {
		return false
	}
	return len(p.runs[0].chunks) <= shapes[0].length() && len(p.runs[1].chunks) <= shapes[1].length()
}

// gather takes chunks of the ciphertext, and ends the epoch when it is whole and
// authentic (R-BRD-05, R-BRD-08).
func (s State) gather(t *offering, p *piece) (Received, error) {
	next := *t
	next.out.held = p.status
	next.in.add(&answered, p)
	s.turn = &next
	if !next.in.whole() {
		return Received{Next: s}, nil
	}
	ct1, ct2 := next.in[0].part, next.in[1].part[:ct2Len]
	shared := decapsulate(&next.seed, ct1, ct2)
	auth, secret, mac := s.auth.advance(s.epoch, &shared)
	tag := mac.ciphertext(s.epoch, (*[headerLen]byte)(next.out.parts[0]), ct1, ct2)
	if !kdf.Equal(tag[:], next.in[1].part[ct2Len:]) {
		next.in = incoming{}
		return Received{Next: s, Discarded: true}, nil
	}
	if s.epoch == math.MaxUint32 {
		return Received{}, ErrExhausted
	}
	// The next epoch begins without the seed of this one (R-BRD-16).
	return Received{Next: begin(s.side, s.epoch+1, auth), Secret: secret}, nil
}

// listen takes chunks of the header and of the vector before anything is
// answered.
func (s State) listen(t *listening, p *piece) Received {
	next := *t
	next.in.add(&offered, p)
	s.turn = &next
	h := next.in[0].part
	if h == nil {
		return Received{Next: s}
	}
	if t.in[0].part == nil {
		tag := s.auth.header(s.epoch, (*[headerLen]byte)(h))
		if !kdf.Equal(tag[:], h[headerLen:]) {
			next.in[0] = collected{}
			return Received{Next: s, Discarded: true}
		}
	}
	if t.in[1].part != nil && t.in[0].part != nil {
		return Received{Next: s} // checked before
	}
	return Received{Next: s, Discarded: next.in[1].check((*[headerLen]byte)(h))}
}

// learn takes chunks of the vector.
func (s State) learn(t *answering, p *piece) Received {
	next := *t
	next.out.held = p.status
	s.turn = &next
	if next.vector.part != nil {
		return Received{Next: s}
	}
	next.vector.add(offered[1], p.runs[1])
	return Received{Next: s, Discarded: next.vector.check(&next.header)}
}

// check drops a whole vector that is not the header's and reports whether it did
// so (R-BRD-04).
func (c *collected) check(header *[headerLen]byte) bool {
	if c.part == nil {
		return false
	}
	if err := checkVector(header, c.part); err != nil {
		*c = collected{}
		return true
	}
	return false
}
