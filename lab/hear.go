package lab

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	inside "github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/x3dh"
)

// What a device does with what comes for it from a group.

// errWaits: a message whose chain has not come, or that was sealed under entries
// that are not known yet. It is kept (R-GRP-52).
var errWaits = errors.New("lab: its chain has not come")

// hear gives a device one copy of a group message. A refusal changes nothing
// but, where the log is in doubt, the alarm.
func (w *world) hear(d *device, l *letter, crash string) error {
	txn := newWrite()
	o, err := w.listen(d, l, &txn)
	switch {
	case errors.Is(err, errWaits):
		d.parked = append(d.parked, l)
		return nil
	case err != nil:
		w.refuse(d, err)
		if errors.Is(err, errForkedLog) || errors.Is(err, errHeldBack) {
			d.disk.commit(&txn)
		}
		return nil
	case l.tampered:
		return fmt.Errorf("%w: %s opened a message that was changed on the way", ErrFault, d.name)
	case !bytes.Equal(o.Plaintext, l.text) || o.Index != l.number:
		return fmt.Errorf("%w: %s opened another message than was said", ErrFault, d.name)
	case l.opened && !d.setBack:
		return fmt.Errorf("%w: %s opened a message twice", ErrFault, d.name)
	}
	if crash == crashBefore {
		w.journal.crash(d, crash)
		d.mailbox = append(d.mailbox, l)
		return d.restart()
	}
	d.disk.commit(&txn)
	d.due = append(d.due, txn.receipts...)
	w.taken(l)
	if err := w.trace.heard(o.Next); err != nil {
		return err
	}
	if crash == crashAfter {
		w.journal.crash(d, crash)
		d.mailbox = append(d.mailbox, l)
		return d.restart()
	}
	return nil
}

// taken counts a letter that was opened.
func (w *world) taken(l *letter) {
	w.events++
	if !l.opened {
		l.opened, l.readAt = true, w.events
	}
	if l.injected {
		w.counts.accepted++
	}
	w.counts.opened++
	w.journal.read(l)
}

// refuse counts what a device did not take or not send.
func (w *world) refuse(d *device, err error) {
	w.counts.refused[reason(err)]++
	w.journal.refused(d, reason(err))
}

// listen opens a group message and gathers in txn what its success changes.
func (w *world) listen(d *device, l *letter, txn *write) (groups.Opened, error) {
	wire, err := groups.ParseMessage(l.body)
	if err != nil {
		return groups.Opened{}, err
	}
	var s *shelf
	for _, held := range w.groupsOf(&d.disk) {
		if _, ok := held.chains[wire.Chain]; ok {
			s = txn.shelf(d, held.group)
		}
	}
	if s == nil {
		return groups.Opened{}, errWaits
	}
	c := s.chains[wire.Chain]
	held, err := c.receiving()
	if err != nil {
		return groups.Opened{}, err
	}
	o, err := held.Open(l.body, w.now)
	if err != nil {
		return o, err
	}
	if err := w.place(d, s, o.Seq, o.Head, txn); err != nil {
		return o, err
	}
	r, err := s.takes()
	if err != nil {
		return o, err
	}
	if _, member := r.Member(c.from.address); !member { // R-GRP-42
		return o, errOutside
	}
	for _, id := range s.ids() { // R-GRP-53
		if c.used {
			break
		}
		x := s.chains[id]
		old, err := x.receiving()
		if err != nil {
			return o, err
		}
		if x.from == c.from && old.Epoch() < held.Epoch() && !old.Closed() {
			if old, err = old.Close(nil); err != nil {
				return o, err
			}
			s.keep(x.from, old, true)
		}
	}
	s.keep(c.from, o.Next, o.SkippedChanged)
	if !c.used {
		x := s.chains[wire.Chain]
		x.used = true
		s.chains[wire.Chain] = x
		txn.receipts = append(txn.receipts, receipt{c.from, wire.Chain})
	}
	return o, w.learn(d, s, o.Plaintext)
}

// place holds the log that a message was sealed under against the device's own
// (R-GRP-41).
func (w *world) place(d *device, s *shelf, seq uint64, head groups.Head, txn *write) error {
	r, err := s.takes()
	if err != nil {
		return errWaits
	}
	if seq > r.Seq {
		if err := w.follow(d, s.group, txn); err != nil {
			return err
		}
		if r, err = s.takes(); err != nil {
			return err
		}
	}
	if seq > r.Seq {
		if _, shown := w.relay.log(s.group).head(d.own.Address, seq); shown {
			return errWaits // its own keys have not come
		}
		w.alarm(s)
		return errHeldBack
	}
	if own, ok := s.heads[seq]; ok && own != head {
		w.alarm(s)
		return errForkedLog
	}
	return nil
}

// learn takes what a group message says to devices: a disclosed seed.
func (w *world) learn(d *device, s *shelf, plaintext []byte) error {
	sig, ok := signalIn(plaintext)
	if !ok || sig.Disclosed == nil {
		return nil
	}
	x, ok := s.chains[sig.Disclosed.Chain]
	if !ok {
		return nil
	}
	c, err := x.receiving()
	if err != nil {
		return err
	}
	if c, err = c.Close(&sig.Disclosed.Seed); err != nil {
		return nil // not the chain's: it says nothing
	}
	s.keep(x.from, c, true)
	return nil
}

// signalIn is the signal that a plaintext holds, if it is one.
func signalIn(plaintext []byte) (groups.Signal, bool) {
	c, err := inside.Decode(plaintext)
	if err != nil || c.Kind != inside.KindGroup {
		return groups.Signal{}, false
	}
	s, err := groups.ParseSignal(c.Body)
	return s, err == nil
}

// absorb takes what a pairwise letter says to devices: keys of a group, and who
// has opened something on the own chain.
func (w *world) absorb(d *device, from x3dh.Party, plaintext []byte, txn *write) error {
	c, err := inside.Decode(plaintext)
	if err != nil {
		return nil // a farewell
	}
	if c.Kind == inside.KindText {
		txn.texts = append(txn.texts, c.ID)
		return nil
	}
	p := peer{from.Address, from.Device}
	if c.Kind == inside.KindReceipt {
		for _, id := range c.Receipt.IDs {
			for _, held := range w.groupsOf(&d.disk) {
				if own, err := groups.ParseSending(held.own); err == nil && own.ID() == groups.ChainID(id) {
					txn.shelf(d, held.group).heard[p] = true
				}
			}
		}
		return nil
	}
	sig, ok := signalIn(plaintext)
	if !ok || sig.Key == nil {
		return nil
	}
	if _, known := w.relay.logs[sig.Group]; !known {
		return nil
	}
	s := txn.shelf(d, sig.Group)
	if k := sig.Key; w.takeUp(d, s, k, p) {
		w.takeKeys(d, s, k, from)
		return w.follow(d, sig.Group, txn)
	}
	return nil
}

// takeUp takes a welcome into a group, if it is one for this device and the
// log shows what it counts from (R-GRP-49). It reports whether the keys are to be
// taken.
func (w *world) takeUp(d *device, s *shelf, k *groups.Key, from peer) bool {
	r, err := groups.ParseRoster(k.Roster)
	if s.roster != nil && !s.out || err != nil {
		return !s.out // keys alone, or a welcome into what one is in
	}
	me, in := r.Member(d.own.Address)
	_, fellow := r.Member(from.address)
	head, shown := w.relay.log(s.group).head(d.own.Address, k.Seq)
	if !in || !fellow || me.Account != [32]byte(d.own.Account) || !r.Holds(k.Secret) || r.Group != s.group || r.Head != k.Head || !shown || head != k.Head {
		w.refuse(d, errOutside)
		return false
	}
	s.out, s.own, s.handed, s.heard = false, nil, map[peer]bool{}, map[peer]bool{}
	s.follow(r)
	return true
}

// takeKeys keeps the secret and the chain that a device handed out over its own
// session (R-GRP-05, R-GRP-51).
func (w *world) takeKeys(d *device, s *shelf, k *groups.Key, from x3dh.Party) {
	d.stirred = true
	if !k.Secret.IsZero() && !slices.Contains(s.secrets[k.Epoch], k.Secret) {
		s.secrets[k.Epoch] = append(slices.Clone(s.secrets[k.Epoch]), k.Secret)
	}
	if k.Chain == nil {
		return
	}
	c, err := groups.Accept(*k.Chain, groups.Sender{Address: from.Address, Device: from.Device, Identity: from.Identity.Array()})
	if err != nil {
		w.refuse(d, err)
		return
	}
	for _, id := range s.ids() { // R-GRP-53: it comes after its end, and its signing key may be out
		x := s.chains[id]
		if later, err := x.receiving(); err == nil && x.used && x.from == (peer{from.Address, from.Device}) && later.Epoch() > c.Epoch() {
			w.counts.refused[reason(errOver)]++
			return
		}
	}
	if x, ok := s.chains[c.ID()]; ok {
		old, err := x.receiving()
		if err == nil {
			c, err = old.Renew(*k.Chain)
		}
		if err != nil {
			w.refuse(d, err)
			return
		}
	}
	s.keep(peer{from.Address, from.Device}, c, true)
}

// receipt says to a device that something on its chain was opened.
type receipt struct {
	to    peer
	chain groups.ChainID
}

// answer sends the receipts that are due, and discloses what everybody has
// closed (R-GRP-16).
func (w *world) answer(d *device) error {
	due := d.due
	d.due = nil
	for _, x := range due {
		list, entries, err := w.look(d, x.to.address)
		if err != nil {
			continue // its owner sends nothing to whom it does not trust
		}
		txn := newWrite()
		txn.lists[x.to.address] = entries
		c := inside.NewReceipts(inside.Delivered, []inside.ID{inside.ID(x.chain)}, w.now)[0]
		letters, err := w.seal(d, x.to, &list, c.Encode(), 0, &txn)
		if err != nil {
			w.refuse(d, err)
			if err := d.restart(); err != nil {
				return err
			}
			continue
		}
		d.disk.commit(&txn)
		if err := w.leaves(letters, false); err != nil {
			return err
		}
	}
	for _, s := range w.groupsOf(&d.disk) {
		if err := w.disclose(d, s); err != nil {
			return err
		}
	}
	return nil
}

// acknowledge sends one receipt for all that a device has opened of another's
// since the last one.
func (w *world) acknowledge(d, of *device) error {
	ids := d.read
	d.read = nil
	if len(ids) == 0 {
		return nil
	}
	list, entries, err := w.look(d, of.own.Address)
	if err != nil {
		return nil // its owner sends nothing to whom it does not trust
	}
	txn := newWrite()
	txn.lists[of.own.Address] = entries
	for _, c := range inside.NewReceipts(inside.Delivered, ids, w.now) {
		letters, err := w.seal(d, of.peer(), &list, c.Encode(), 0, &txn)
		if err != nil {
			return w.unsent(d, err)
		}
		d.disk.commit(&txn)
		if err := w.leaves(letters, false); err != nil {
			return err
		}
	}
	return nil
}

// disclose tells the group the signing keys of chains that are over, once every
// device that holds the present chain has closed them.
func (w *world) disclose(d *device, s *shelf) error {
	r, err := s.takes()
	if err != nil || len(s.closing) == 0 || s.alarm {
		return nil
	}
	own, has, err := s.sending(&r)
	if err != nil || !has || own.Index() == 0 {
		return err
	}
	for p := range s.handed {
		if !s.heard[p] {
			return nil
		}
	}
	for _, c := range s.closing {
		txn := newWrite()
		sig, err := inside.NewGroup(groups.Signal{Group: s.group, Disclosed: &c}.Encode(), w.now)
		if err != nil {
			return err
		}
		letters, err := w.speak(d, s.group, sig.Encode(), 0, &txn)
		if err != nil {
			return w.unsent(d, err)
		}
		next := txn.shelf(d, s.group)
		next.closing = next.closing[1:]
		d.disk.commit(&txn)
		for _, l := range letters {
			if l.said != nil {
				l.discloses, l.closed = &c, next.handed
			}
		}
		if err := w.leaves(letters, false); err != nil {
			return err
		}
	}
	return nil
}

// age erases what a group's chains hold for too long (R-GRP-11, R-GRP-13).
func (w *world) age(d *device, now time.Time, txn *write) error {
	for _, held := range w.groupsOf(&d.disk) {
		for _, id := range held.ids() {
			x := held.chains[id]
			c, err := x.receiving()
			if err != nil {
				return err
			}
			if c, changed := c.Expire(now); changed {
				txn.shelf(d, held.group).keep(x.from, c, true)
			}
		}
	}
	return nil
}
