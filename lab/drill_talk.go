package lab

import (
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/ratchet"
)

// foreign posts a letter that the thief must not open, or the drill is blind.
func (t *exercise) foreign() error {
	key, public := ratchet.GenerateKey()
	secret := key.Export()
	s, err := ratchet.Initiate(&secret, public)
	if err != nil {
		return err
	}
	m, err := s.Seal(textOf(TryForeign), t.stolen.AD[:])
	if err == nil {
		t.post(TryForeign, t.peer, t.self, m.Message, textOf(TryForeign))
	}
	return err
}

func textOf(what string) []byte { return []byte("drill: " + what) }

// theirs posts the peer's next message on the chain that is open.
func (t *exercise) theirs(what string, s ratchet.State) error {
	w, ok, err := peerOf(s)
	if err != nil || !ok {
		return err
	}
	m, err := w.Seal(textOf(what), t.stolen.AD[:])
	if err != nil {
		return fmt.Errorf("%w: sealing for the peer: %w", ErrFault, err)
	}
	t.post(what, t.peer, t.self, m.Message, textOf(what))
	return nil
}

// chains posts messages of numbers that were skipped, and of some that were
// received, of every chain that is held.
func (t *exercise) chains() error {
	h := read(t.stolen.State)
	for _, c := range h.receiving {
		skipped := map[uint32]bool{}
		for _, k := range c.skipped {
			skipped[k.number] = true
			m, err := t.missing(&c, k.number)
			if err != nil {
				return err
			}
			t.post(TryMissing, t.peer, t.self, m, textOf(TryMissing))
		}
		for n, tries := c.next, 0; n > 0 && tries < triesReceived; {
			if n--; skipped[n] {
				continue
			}
			tries++
			m, err := writeAt(&c, n, textOf(TryReceived), t.stolen.AD)
			if err != nil {
				return err
			}
			t.post(TryReceived, t.peer, t.self, m, textOf(TryReceived))
		}
	}
	return nil
}

// writeAt seals a message of a number of a chain under a message key of the
// drill's: header and MAC are those of the chain.
func writeAt(c *receiving, n uint32, text []byte, ad [32]byte) ([]byte, error) {
	some, public := ratchet.GenerateKey()
	writer := head{step: 1, turn: sending, own: some.Export(), public: public.Array(), header: c.header, seed: c.seed, number: n, epoch: c.epoch}
	w, err := writer.state()
	if err == nil {
		var m ratchet.Sealed
		if m, err = w.Seal(text, ad[:]); err == nil {
			return m.Message, nil
		}
	}
	return nil, fmt.Errorf("%w: sealing in a chain of the peer's: %w", ErrFault, err)
}

// missing makes the message that the peer sealed under a skipped number, as far
// as its text is known: the true message key is in the state, and the body is a
// stream cipher's. Opening some body shows the difference to the wanted text,
// and ratchet.Forge makes the message with it. What comes is bit for bit what
// sealing under the true message key gives.
func (t *exercise) missing(c *receiving, n uint32) ([]byte, error) {
	want := textOf(TryMissing)
	m, err := writeAt(c, n, make([]byte, len(want)), t.stolen.AD)
	if err != nil {
		return nil, err
	}
	o, err := t.stolen.State.Open(m, t.stolen.AD[:], thiefTime)
	if err != nil { // the state does not hold what its record says
		return m, nil
	}
	for i := range want {
		o.Plaintext[i] ^= want[i]
	}
	return ratchet.Forge(c.seed, n, m, t.stolen.AD[:], o.Plaintext)
}

// goesOn plays how the talk goes on from the state, with a stand-in at the other
// end, and returns the session after it. Nil: the state seals nothing yet.
func (t *exercise) goesOn(other *ratchet.PrivateKey) (*session.Session, error) {
	ad := t.stolen.AD[:]
	at := time.Unix(began.Unix(), 0)
	victim := t.stolen.State
	if err := t.theirs(TryTheirs, victim); err != nil {
		return nil, err
	}
	if n := len(t.letters); n > 0 && t.kinds[n-1] == TryTheirs {
		o, err := victim.Open(t.letters[n-1].body, ad, at)
		if err != nil {
			return nil, fmt.Errorf("%w: the peer's next message: %w", ErrFault, err)
		}
		victim = o.Next
	}
	if !victim.CanSeal() {
		return nil, nil
	}
	stand, err := standIn(victim, other)
	if err != nil {
		return nil, err
	}
	for i, what := range []string{TryYours, TryAnswer, TryHealed, TryHealed, TryHealed, TryHealed} {
		from, to, writer, reader := t.self, t.peer, &victim, &stand
		if i%2 == 1 {
			from, to, writer, reader = to, from, reader, writer
		}
		m, err := writer.Seal(textOf(what), ad)
		if err != nil {
			return nil, fmt.Errorf("%w: going on: %w", ErrFault, err)
		}
		*writer = m.Next
		o, err := reader.Open(m.Message, ad, at)
		if err != nil {
			return nil, fmt.Errorf("%w: going on: %w", ErrFault, err)
		}
		*reader = o.Next
		t.post(what, from, to, m.Message, textOf(what))
	}
	after := *t.stolen
	after.State, after.Answered, after.Initial = victim, true, nil
	return &after, nil
}

// standIn is a state that goes on at the other end. Of a victim whose chain is
// open it is the peer's, but for what the peer has skipped. Of one who is to make
// the next key, and was told a public key of the stand-in's in the place of the
// peer's, it has the private half of that.
func standIn(victim ratchet.State, other *ratchet.PrivateKey) (ratchet.State, error) {
	h := read(victim)
	m := h.mirror()
	var last uint32
	if len(h.receiving) > 0 {
		last = h.receiving[0].next
	}
	if m.previous = last; other != nil {
		c := h.receiving[0]
		m = &head{
			step: h.step, root: h.root, turn: sending, own: other.Export(), public: h.peer, header: c.header, seed: c.seed, chain: h.open,
			number: last, next: h.following, following: h.next, epoch: h.epoch,
		}
		if h.step > 1 {
			m.receiving = []receiving{{id: h.step - 1, header: passing(), epoch: h.epoch, next: h.previous, floor: h.previous}}
		}
	}
	// It has the epochs that the victim has, and begins none.
	m.waiting, m.exchange = h.waiting, idle(h.epoch+uint32(len(h.waiting)))
	s, err := m.state()
	if err != nil {
		return s, fmt.Errorf("%w: a stand-in for the peer: %w", ErrFault, err)
	}
	return s, nil
}
