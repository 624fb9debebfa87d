package lab

import (
	"errors"
	"fmt"

	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
)

// The quantum thief (R-LAB-36) knows every X25519 private key that any device
// makes. The world has them from the records that devices write; nothing in the
// packages gives them out. To the graph it means that every agreement is known.
// The attack takes the other side of each DH step: where a state waits to answer
// a ratchet key, that key's owner, whose private half the thief has, is a state that
// opens the answer. So it goes from side to side with the real code, for as long as
// the secrets of epochs that are mixed in are among those it holds.

// exchange is how far the thief has followed the victim's part of the
// post-quantum exchange of a session: the secrets of epochs, and the braid.
type exchange struct {
	secrets map[uint32]key
	braid   []byte
}

// learnt notes how far a state of the victim's has come.
func (x *exchange) learnt(h *head) {
	for i, k := range h.waiting {
		x.secrets[h.epoch+1+uint32(i)] = k
	}
	x.braid = h.exchange
}

// follows begins to follow the exchange from a state that the thief has.
func (a *attack) follows(h *head) *exchange {
	if !a.loot.quantum {
		return nil
	}
	x := &exchange{secrets: map[uint32]key{}}
	x.learnt(h)
	return x
}

// furnished is a state with what the thief has of the exchange: on the victim's
// side the braid, on the peer's only the secrets. A side that has gone another way
// than the rest, because a device was set back, has the secrets too.
func (a *attack) furnished(n *line, h *head) (ratchet.State, error) {
	h.waiting = nil
	for e := h.epoch + 1; len(h.waiting) < ratchet.MaxWaiting; e++ {
		k, ok := n.exchange.secrets[e]
		if !ok {
			break
		}
		h.waiting = append(h.waiting, k)
	}
	if n.to == a.loot.self {
		h.exchange = n.exchange.braid
		if s, err := h.state(); err == nil {
			return s, nil
		}
	}
	h.exchange = idle(h.epoch + uint32(len(h.waiting)))
	return h.state()
}

// better is the state of a line with what the thief has learnt since of the
// exchange, from other lines.
func (a *attack) better(n *line) (ratchet.State, bool) {
	h := read(n.head)
	s, err := a.furnished(n, &h)
	return s, err == nil
}

// listen opens a letter as a quantum thief does.
func (a *attack) listen(n *line, l *letter) (ratchet.Opened, error) {
	o, err := n.head.Open(l.body, n.ad[:], thiefTime)
	if n.exchange == nil || err != nil && !errors.Is(err, ratchet.ErrEpoch) {
		return o, err
	}
	for range 2 {
		if s, ok := a.better(n); ok {
			if again, err := s.Open(l.body, n.ad[:], thiefTime); err == nil {
				return again, nil
			}
		}
		if err == nil || !a.conclude(n) {
			break
		}
	}
	return o, err
}

// lately opens a letter with a state that the line began from, and what has been
// learnt since.
func (a *attack) lately(n *line, l *letter, err error) (ratchet.Opened, error) {
	if n.exchange == nil || !errors.Is(err, ratchet.ErrEpoch) {
		return ratchet.Opened{}, err
	}
	h := read(n.base)
	s, err := a.furnished(n, &h)
	if err != nil {
		return ratchet.Opened{}, err
	}
	return s.Open(l.body, n.ad[:], thiefTime)
}

// conclude completes an epoch that the victim completes by sending, out of what it
// had drawn before the theft: the thief seals a letter that nobody gets. It
// reports whether there is a secret more.
func (a *attack) conclude(n *line) bool {
	if n.to != a.loot.self {
		n = n.origin
	}
	if n == nil {
		return false
	}
	s, ok := a.better(n)
	if !ok {
		return false
	}
	if h := read(s); h.exchange[braidTurn] != braidAnswering {
		return false
	}
	sealed, err := s.Seal(make([]byte, 256), n.ad[:])
	if err != nil {
		return false
	}
	x := n.exchange
	before := len(x.secrets)
	h := read(sealed.Next)
	x.learnt(&h)
	return len(x.secrets) > before
}

// cross adds the ways that lie on the other side of a line, if its state waits to
// answer: the owner's of the key that it would answer.
func (a *attack) cross(n *line) error {
	if n.exchange == nil {
		return nil
	}
	h := read(n.head)
	if n.to == a.loot.self {
		n.exchange.learnt(&h)
	}
	at := crossing{h.root, n.exchange, n.to == a.loot.self}
	own, ok := a.world.trace.privates[h.peer]
	if h.turn != replying || !ok || a.crossed[at] {
		return nil
	}
	a.crossed[at] = true
	c := head{
		step: 1, root: h.root, turn: sending, own: own, public: h.peer, header: passing(), seed: passing(), next: h.following, following: h.next,
		epoch: h.epoch, number: 1,
	}
	for _, f := range c.forgetful() {
		other := &line{from: n.to, to: n.from, session: n.session, ad: n.ad, origin: n, exchange: n.exchange}
		s, err := a.furnished(other, f)
		if err != nil {
			return fmt.Errorf("%w: the other side of a state: %w", ErrFault, err)
		}
		other.base, other.head = s, s
		a.lines = append(a.lines, other)
	}
	return nil
}

// crossing names a state that was crossed from, so that each is once.
type crossing struct {
	root   key
	with   *exchange
	victim bool
}

// agreements lists every agreement of the run.
func (t *trace) agreements() (all []name) {
	for n := range t.names {
		if n.role == agreement {
			all = append(all, n)
		}
	}
	return all
}

// curves adds to a disk what a quantum thief has beside it: all the device's
// X25519 prekeys, those erased and those to come.
func (w *world) curves(d disk, of peer) disk {
	c := d.copy()
	for r, k := range w.trace.curve[of] {
		c.prekeys[r] = k
	}
	return c
}

// remember keeps X25519 prekeys as they are made.
func (t *trace) remember(of peer, r row, k kept) {
	if r.kind != prekeys.Signed && r.kind != prekeys.OneTimeEC {
		return
	}
	if t.curve[of] == nil {
		t.curve[of] = map[row]kept{}
	}
	t.curve[of][r] = k
}

// ratchets keeps the private ratchet key that a record holds.
func (t *trace) ratchets(h *head) {
	if h.turn == sending {
		t.privates[h.public] = h.own
	}
}

// prekeysIn is the disk with the prekeys that the thief knows.
func (l *loot) prekeysIn(w *world) disk {
	if l.quantum {
		return w.curves(l.disk, l.self)
	}
	return l.disk
}
