package lab

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/ratchet"
)

// forge finds out who would take what a thief writes (R-LAB-09): letters are
// sealed by the real code from stolen state and given to the devices as they
// are when the run ends, without keeping what comes of it.
func (w *world) forge(v *Verdict, l *loot) error {
	sessions, err := l.stolen()
	if err != nil {
		return err
	}
	victim := w.find(l.self)
	for _, s := range sessions {
		other := w.find(s.peer)
		if other == nil || victim == nil {
			continue
		}
		if !slices.Contains(v.Forges, other.name) && taken(s.State, s.AD, s.Initial, w.would(other, l.self)) {
			v.Forges = append(v.Forges, other.name)
		}
		writer, ok, err := peerOf(s.State)
		if err != nil {
			return err
		}
		if ok && !slices.Contains(v.FooledBy, other.name) && taken(writer, s.AD, nil, w.would(victim, s.peer)) {
			v.FooledBy = append(v.FooledBy, other.name)
		}
	}
	if err := w.forgeInGroups(v, l); err != nil {
		return err
	}
	slices.Sort(v.Forges)
	slices.Sort(v.FooledBy)
	return nil
}

// would returns what says whether a device takes a letter from somebody. It
// changes nothing.
func (w *world) would(d *device, from peer) func(initial, message []byte) error {
	sender, _, err := w.sender(d, from)
	return func(initial, message []byte) error {
		if err != nil {
			return err
		}
		txn := newWrite()
		_, err := d.pairs[from].Open(initial, message, w.now, d.disk.responder(&d.own, sender, &txn))
		return err
	}
}

// taken seals letters until one is taken or refused for another reason than its
// number.
func taken(s ratchet.State, ad [32]byte, initial []byte, would func(initial, message []byte) error) bool {
	if !s.CanSeal() {
		return false
	}
	for range ratchet.MaxJump {
		x, err := s.Seal(nil, ad[:])
		if err != nil {
			return false
		}
		err = would(initial, x.Message)
		if !errors.Is(err, ratchet.ErrDuplicate) && !errors.Is(err, ratchet.ErrTooOld) {
			return err == nil
		}
		s = x.Next
	}
	return false
}

// peerOf is a state that seals what the owner of s takes for the peer's, in the
// peer's open chain, of which s holds all keys.
func peerOf(s ratchet.State) (ratchet.State, bool, error) {
	h := read(s)
	if len(h.receiving) == 0 {
		return ratchet.State{}, false, nil
	}
	c := h.receiving[0]
	some, public := ratchet.GenerateKey()
	writer := head{
		step: 1, turn: sending, own: some.Export(), public: public.Array(),
		header: c.header, seed: c.seed, chain: h.open, number: c.next, epoch: c.epoch,
	}
	state, err := writer.state()
	if err != nil {
		return state, false, fmt.Errorf("%w: writing as a peer: %w", ErrFault, err)
	}
	return state, true, nil
}
