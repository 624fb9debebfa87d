package lab

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/groups"
)

// forgeInGroups finds out which devices would take a group message that is made
// from a stolen chain for the victim's (R-LAB-32): as NAME in GROUP. A chain of
// somebody else's makes none, for it has no signing key.
func (w *world) forgeInGroups(v *Verdict, l *loot) error {
	for _, s := range w.groupsOf(&l.disk) {
		if s.own == nil {
			continue
		}
		own, err := groups.ParseSending(s.own)
		if err != nil {
			return err
		}
		for _, d := range w.devices {
			if d.peer() != l.self && w.takesFrom(d, s.group, own) {
				v.Forges = append(v.Forges, d.name+" in "+w.groupName(s.group))
			}
		}
	}
	return nil
}

// takesFrom reports whether a device would take a message on a chain. Who makes
// it has seen on the wire under which head everybody speaks.
func (w *world) takesFrom(d *device, g groups.ID, c groups.Sending) bool {
	held := d.disk.shelves[g]
	if held == nil {
		return false
	}
	r, err := held.takes()
	if err != nil {
		return false
	}
	for range groups.MaxJump {
		x, err := c.Seal(r.Seq, r.Head, nil)
		if err != nil {
			return false
		}
		err = w.wouldHear(d, x.Message)
		if !errors.Is(err, groups.ErrDuplicate) && !errors.Is(err, groups.ErrTooOld) {
			return err == nil
		}
		c = x.Next
	}
	return false
}

// wouldHear is nil when a device takes a group message. It changes nothing.
func (w *world) wouldHear(d *device, message []byte) error {
	txn := newWrite()
	before := w.counts.found
	_, err := w.listen(d, &letter{body: message}, &txn)
	w.counts.found = before
	return err
}

// told are the signing keys that were told to the members of groups in letters,
// by chain.
func told(letters []*letter) map[groups.ChainID]*letter {
	seeds := map[groups.ChainID]*letter{}
	for _, l := range letters {
		if l.discloses != nil && !l.injected {
			seeds[l.discloses.Chain] = l
		}
	}
	return seeds
}

// signable counts the group messages among letters whose signing key every member
// had been told: any of them can have made those.
func (w *world) signable(letters []*letter) int {
	seeds := told(letters)
	messages := map[int]bool{}
	for _, l := range letters {
		if l.said == nil || !l.counted() || messages[l.message] {
			continue
		}
		by, ok := seeds[l.said.key.Chain]
		if ok && groups.VerifyDisclosed(by.discloses.Seed, l.said.key, l.said.sender, l.body) {
			messages[l.message] = true
		}
	}
	return len(messages)
}

// disclosedIsDead holds what disclosure promises (R-GRP-16, R-GRP-18): with a seed
// that was told and the chain as it was handed out, anybody makes messages that
// verify as its owner's, and no device takes one that takes part.
func (w *world) disclosedIsDead() error {
	seeds := told(w.letters)
	done := map[groups.ChainID]bool{}
	for _, l := range slices.Backward(w.letters) { // a number that nobody has seen
		if l.said == nil || done[l.said.key.Chain] || l.injected {
			continue
		}
		k := l.said.key
		by, ok := seeds[k.Chain]
		if !ok {
			continue
		}
		seed := by.discloses.Seed
		done[k.Chain] = true
		forged, err := groups.Forge(seed, k, l.said.sender, k.Index+1, 1, groups.Head{}, []byte("never said"))
		if err != nil || !groups.VerifyDisclosed(seed, k, l.said.sender, forged) {
			return fmt.Errorf("%w: what a disclosed key makes does not verify", ErrFault)
		}
		for _, d := range w.devices {
			if err := w.wouldHear(d, forged); err == nil && by.closed[d.peer()] && !d.setBack {
				return fmt.Errorf("%w: %s takes what everybody can make", ErrFault, d.name)
			}
		}
	}
	return nil
}
