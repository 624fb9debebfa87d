package lab

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// The attacking judge (R-LAB-06): the real code on stolen bytes and recorded
// traffic. It computes no key of its own. What the API of the ratchet does not
// offer, such as opening what the victim sealed, is reached by writing the
// record of a state that would do it and letting the real code read that.

// line is one way to open letters of a session: a state, and where it came to.
type line struct {
	from, to   peer
	session    session.ID
	ad         [32]byte
	base, head ratchet.State
	opened     int
	marks      []ratchet.State // heads on the way, one in reach of every number
	origin     *line           // of a quantum thief: where it was crossed from
	exchange   *exchange
}

type attack struct {
	world   *world
	loot    *loot
	lines   []*line
	tried   map[session.ID]bool   // first messages answered with stolen prekeys
	current map[session.ID][]head // sending turns that were stolen, by session
	opened  []bool                // by index of the letter
	crossed map[crossing]bool     // of a quantum thief
	hoard
}

// thiefTime is the thief's clock: no stolen key is too old by it.
var thiefTime = time.Unix(0, 0)

// attack tries to open every letter with what was stolen.
func (w *world) attack(l *loot) ([]bool, error) {
	a, err := w.ransack(l)
	if err != nil {
		return nil, err
	}
	return a.opened, nil
}

// ransack is attack, with all that the thief comes to have.
func (w *world) ransack(l *loot) (*attack, error) {
	a := &attack{world: w, loot: l, tried: map[session.ID]bool{}, current: map[session.ID][]head{}, opened: make([]bool, len(w.letters)), crossed: map[crossing]bool{}}
	sessions, err := l.stolen()
	if err != nil {
		return nil, err
	}
	for _, s := range sessions {
		if err := a.take(s.peer, s.Session); err != nil {
			return nil, err
		}
	}
	if err := a.sack(); err != nil {
		return nil, err
	}
	for more := true; more; {
		more = false
		for _, letter := range w.letters {
			if a.opened[letter.index] || letter.farewell || letter.said == nil && letter.from != l.self && letter.to != l.self {
				continue
			}
			ok, err := a.try(letter)
			if err != nil {
				return nil, err
			}
			if ok {
				a.opened[letter.index], more = true, true
			}
		}
	}
	a.readLogs()
	return a, nil
}

// take adds the ways that one stolen session opens.
func (a *attack) take(p peer, s *session.Session) error {
	h := read(s.State)
	in := &line{from: p, to: a.loot.self, session: s.ID, ad: s.AD, base: s.State, head: s.State, exchange: a.follows(&h)}
	a.lines = append(a.lines, in)
	if h.turn != sending {
		return a.cross(in)
	}
	a.current[s.ID] = append(a.current[s.ID], h)
	m, err := h.mirror().state()
	if err != nil {
		return fmt.Errorf("%w: the mirror of a state: %w", ErrFault, err)
	}
	a.lines = append(a.lines, &line{from: a.loot.self, to: p, session: s.ID, ad: s.AD, base: m, head: m})
	for _, f := range h.forgetful() {
		m, err := f.state()
		if err != nil {
			return fmt.Errorf("%w: a state without memory: %w", ErrFault, err)
		}
		a.lines = append(a.lines, &line{from: p, to: a.loot.self, session: s.ID, ad: s.AD, base: m, head: m, exchange: in.exchange})
	}
	return nil
}

// forgetful are states that expect the same next chain as h and have received
// nothing, or one message, before it. A peer that runs on an old copy of itself
// announces less than was received from it; the victim refuses that (R-RAT-32),
// a thief does not mind.
func (h *head) forgetful() []*head {
	nothing := &head{
		step: 1, root: h.root, turn: sending, own: h.own, public: h.public, header: passing(), seed: h.seed,
		number: h.number, next: h.next, following: h.following, epoch: h.epoch, waiting: h.waiting, exchange: h.exchange,
	}
	one := *nothing
	one.step = 2
	one.receiving = []receiving{{id: 1, header: passing(), next: 1}}
	return []*head{nothing, &one}
}

// passing is a header key of the thief's own.
func passing() key { return key{1} }

// mirror is the state of the peer that has received all of h's sending chain so
// far: it opens what h seals next.
func (h *head) mirror() *head {
	return &head{
		step: h.step, root: h.root, turn: replying, peer: h.public, next: h.following, following: h.next, open: h.chain,
		receiving: []receiving{{id: h.step, header: h.header, seed: h.seed, epoch: h.epoch, next: h.number, floor: h.number}},
		epoch:     h.epoch,
	}
}

// try opens one letter in every way there is.
func (a *attack) try(l *letter) (bool, error) {
	if l.said != nil {
		return a.eavesdrop(l)
	}
	for i := 0; i < len(a.lines); i++ { // a quantum thief's become more on the way
		n := a.lines[i]
		if n.from != l.from || n.to != l.to {
			continue
		}
		ok, err := a.open(n, l)
		if ok || err != nil {
			return ok, err
		}
	}
	if len(l.initial) == 0 || l.to != a.loot.self || a.tried[session.ID(x3dh.SessionID(l.initial))] {
		return false, nil
	}
	n, err := a.answer(l)
	if n == nil || err != nil {
		return false, err
	}
	a.lines = append(a.lines, n)
	ok, err := a.open(n, l)
	if ok && err == nil {
		err = a.back(n)
	}
	return ok, err
}

func (a *attack) open(n *line, l *letter) (bool, error) {
	o, err := a.listen(n, l)
	if errors.Is(err, ratchet.ErrEpoch) {
		o, err = n.finish(l, err)
	}
	if err == nil {
		n.head = o.Next
		if n.opened++; n.opened%(ratchet.MaxJump/2) == 0 {
			n.marks = append(n.marks, n.head)
		}
	} else if o, err = n.again(l); err != nil {
		if o, err = a.lately(n, l, err); err != nil {
			return false, nil
		}
		h := read(o.Next)
		other := &line{from: n.from, to: n.to, session: n.session, ad: n.ad, base: o.Next, head: o.Next, origin: n.origin, exchange: n.exchange}
		if n.to == a.loot.self {
			other.exchange = a.follows(&h)
		}
		a.lines = append(a.lines, other)
		n = other
	} else if o.Ratcheted { // the sender went two ways from one state
		other := &line{from: n.from, to: n.to, session: n.session, ad: n.ad, base: n.base, head: o.Next, origin: n.origin, exchange: n.exchange}
		if n.to == a.loot.self {
			h := read(o.Next)
			other.exchange = a.follows(&h)
		}
		a.lines = append(a.lines, other)
		n = other
	}
	if !bytes.Equal(o.Plaintext, l.text) {
		return false, fmt.Errorf("%w: the thief opened another text than was sent", ErrFault)
	}
	if err := a.cross(n); err != nil {
		return false, err
	}
	return true, a.profit(l, o.Plaintext)
}

// finish opens a letter that rests on an epoch which the victim answered after
// the theft with what it had drawn before. The thief draws the same conclusion from
// what was stolen and what came since: it seals a letter that nobody gets.
func (n *line) finish(l *letter, err error) (ratchet.Opened, error) {
	if h := read(n.head); h.turn != sending || h.exchange[braidTurn] != braidAnswering {
		return ratchet.Opened{}, err
	}
	x, err := n.head.Seal(make([]byte, 256), n.ad[:])
	if err != nil {
		return ratchet.Opened{}, err
	}
	return x.Next.Open(l.body, n.ad[:], thiefTime)
}

// again opens a letter with a state that the line has left behind.
func (n *line) again(l *letter) (ratchet.Opened, error) {
	o, first := n.base.Open(l.body, n.ad[:], thiefTime)
	err := first
	for i := 0; err != nil && i < len(n.marks); i++ {
		o, err = n.marks[i].Open(l.body, n.ad[:], thiefTime)
	}
	if err != nil {
		err = first
	}
	return o, err
}

// answer answers a first message with stolen prekeys, as the victim did or would.
func (a *attack) answer(l *letter) (*line, error) {
	in, err := x3dh.ParseInitial(l.initial)
	if err != nil {
		return nil, nil
	}
	a.tried[in.ID] = true
	sender := a.world.find(l.from)
	if sender == nil {
		return nil, nil
	}
	stolen := a.loot.prekeysIn(a.world)
	keys, _, err := stolen.keys(&in)
	if err != nil {
		return nil, nil
	}
	own := x3dh.Own{Party: a.loot.party, IdentityKey: x3dh.PrivateKeyFromBytes(a.loot.identity)}
	acc, err := in.Respond(&own, sender.own.Party, &keys)
	if err != nil {
		return nil, nil
	}
	s := ratchet.Respond(&acc.Secret, acc.RatchetKey)
	h := read(s)
	return &line{from: l.from, to: l.to, session: in.ID, ad: acc.AD, base: s, head: s, exchange: a.follows(&h)}, nil
}

// back goes the other way round. A thief who answered a first message and so
// has the root key of the first chain may hold, from the stolen session, the
// private key of the victim's own first chain. Both give that chain from its
// beginning: what the victim sealed before the theft. The step is the real
// code's: it opens a letter that the thief seals with the real code under the
// stolen MAC seed, numbered so high that all keys below are skipped, and kept.
func (a *attack) back(first *line) error {
	root := read(first.head)
	for _, h := range a.current[first.session] {
		if h.step != 2 || root.step != 1 {
			continue
		}
		// Each shot keeps the keys of 1 000 numbers below it, and uses up the one
		// it stands at. From the last on, the chain goes forward.
		shots := []uint32{min(h.number, ratchet.MaxChainSkipped)}
		if h.number > ratchet.MaxChainSkipped {
			shots = append(shots, min(h.number, ratchet.MaxJump))
		}
		if h.number > ratchet.MaxJump {
			shots = append(shots, ratchet.MaxJump-1)
		}
		for _, n := range shots {
			s, err := h.rewind(root.root, root.peer, n, first.ad)
			if err != nil {
				return fmt.Errorf("%w: rewinding a chain: %w", ErrFault, err)
			}
			a.lines = append(a.lines, &line{from: first.to, to: first.from, session: first.session, ad: first.ad, base: s, head: s})
		}
	}
	return nil
}

// rewind returns a state that holds the message keys of h's sending chain below
// number, at most MaxChainSkipped of them. root is the root key before that chain.
func (h *head) rewind(root, peer key, number uint32, ad [32]byte) (ratchet.State, error) {
	writer := head{step: 1, turn: sending, own: h.own, public: peer, header: passing(), seed: h.seed, number: number}
	w, err := writer.state()
	if err != nil {
		return w, err
	}
	sealed, err := w.Seal(nil, ad[:])
	if err != nil {
		return w, err
	}
	reader := head{step: 1, root: root, turn: sending, own: h.own, public: h.public, number: 1, following: passing()}
	r, err := reader.state()
	if err != nil {
		return r, err
	}
	o, err := r.Open(sealed.Message, ad[:], thiefTime)
	if err != nil {
		return r, err
	}
	back := read(o.Next)
	back.receiving[0].header = h.header
	return back.state()
}
