package lab

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/pawl-chat/pawl/groups"
)

// Refusals of a device in a group that are not package groups'.
var (
	errForkedLog = errors.New("lab: the sender holds another group log")
	errHeldBack  = errors.New("lab: the sender knows entries that the relay does not show")
	errAlarm     = errors.New("lab: the group's log is in doubt")
	errBehind    = errors.New("lab: the keys of the newest entries have not come")
	errOutside   = errors.New("lab: not in the group")
	errOver      = errors.New("lab: the chain is over")
	errMoved     = errors.New("lab: the relay has another entry there")
	errAccount   = errors.New("lab: the member's account is another than the roster's")
)

// shelf is what a device keeps of one group (R-LAB-30), in the stored forms of
// package groups. What is on a disk is never changed: a step changes a copy.
type shelf struct {
	group   groups.ID
	roster  []byte                     // nil: handed keys of it, and no roster yet
	heads   map[uint64]groups.Head     // of the log, as far as it was followed
	secrets map[uint64][]groups.Secret // of the epoch, and of those that somebody would begin
	own     []byte                     // own chain, of the newest epoch in which it was needed
	chains  map[groups.ChainID]shelved
	handed  map[peer]bool // who holds own
	heard   map[peer]bool // and has shown that it opened something on it
	known   map[peer]bool // devices of the group that need no welcome
	closing []groups.Disclosed
	alarm   bool // the log contradicts what is held: nothing more is said
	out     bool // not a member any more
}

// shelved is another device's chain.
type shelved struct {
	from          peer
	used          bool // something was opened on it
	head, skipped []byte
}

func newShelf(g groups.ID) *shelf {
	return &shelf{
		group: g, heads: map[uint64]groups.Head{}, secrets: map[uint64][]groups.Secret{}, chains: map[groups.ChainID]shelved{},
		handed: map[peer]bool{}, heard: map[peer]bool{},
	}
}

func (s *shelf) copy() *shelf {
	c := *s
	c.heads, c.secrets, c.chains = maps.Clone(s.heads), maps.Clone(s.secrets), maps.Clone(s.chains)
	c.handed, c.heard, c.known = maps.Clone(s.handed), maps.Clone(s.heard), maps.Clone(s.known)
	c.closing = slices.Clone(s.closing)
	return &c
}

// shelf is the device's shelf as it will be once w is durable, to be changed.
func (w *write) shelf(d *device, g groups.ID) *shelf {
	if s := w.shelves[g]; s != nil {
		return s
	}
	s := newShelf(g)
	if old := d.disk.shelves[g]; old != nil {
		s = old.copy()
	}
	if w.shelves == nil {
		w.shelves = map[groups.ID]*shelf{}
	}
	w.shelves[g] = s
	return s
}

// takes reports what the device takes the group for.
func (s *shelf) takes() (groups.Roster, error) {
	if s.roster == nil || s.out {
		return groups.Roster{}, errOutside
	}
	return groups.ParseRoster(s.roster)
}

// follow writes down the roster after an entry.
func (s *shelf) follow(r groups.Roster) {
	s.roster = r.Encode()
	s.heads[r.Seq] = r.Head
}

// secret is the secret of the roster's epoch.
func (s *shelf) secret(r *groups.Roster) (groups.Secret, bool) {
	for _, x := range s.secrets[r.Epoch] {
		if r.Holds(x) {
			return x, true
		}
	}
	return groups.Secret{}, false
}

// sending is the device's own chain in the roster's epoch, if it has one.
func (s *shelf) sending(r *groups.Roster) (groups.Sending, bool, error) {
	if s.own == nil {
		return groups.Sending{}, false, nil
	}
	c, err := groups.ParseSending(s.own)
	return c, err == nil && c.Epoch() == r.Epoch, err
}

// use makes c the own chain; the one before is put aside for its disclosure.
func (s *shelf) use(c groups.Sending) error {
	if s.own != nil {
		before, err := groups.ParseSending(s.own)
		if err != nil {
			return err
		}
		s.closing = append(s.closing, groups.Disclosed{Chain: before.ID(), Seed: before.Seed()})
	}
	s.own, s.handed, s.heard = c.AppendRecord(nil), map[peer]bool{}, map[peer]bool{}
	return nil
}

func (c shelved) receiving() (groups.Receiving, error) {
	return groups.JoinReceiving(c.head, c.skipped)
}

// keep writes a chain down, the skipped part only if it is another.
func (s *shelf) keep(from peer, r groups.Receiving, skipped bool) {
	was := s.chains[r.ID()]
	if skipped || was.skipped == nil {
		was.skipped = r.AppendSkipped(nil)
	}
	s.chains[r.ID()] = shelved{from, was.used, r.AppendHead(nil), was.skipped}
}

// drop erases the chains of devices that keep does not name.
func (s *shelf) drop(keep func(peer) bool) {
	maps.DeleteFunc(s.chains, func(_ groups.ChainID, c shelved) bool { return !keep(c.from) })
}

// leave erases every key of the group (R-GRP-42).
func (s *shelf) leave() {
	s.out, s.own, s.closing = true, nil, nil
	clear(s.secrets)
	clear(s.chains)
}

// ids lists the chains held, in one order in every state of one disk.
func (s *shelf) ids() []groups.ChainID {
	return slices.SortedFunc(maps.Keys(s.chains), func(a, b groups.ChainID) int { return bytes.Compare(a[:], b[:]) })
}

// groupsOf lists the groups that a disk knows of, in the order of their making.
func (w *world) groupsOf(d *disk) (out []*shelf) {
	for _, g := range w.made {
		if s := d.shelves[g]; s != nil {
			out = append(out, s)
		}
	}
	return out
}

// groupName names a group.
func (w *world) groupName(g groups.ID) string {
	for name, id := range w.groups {
		if id == g {
			return name
		}
	}
	return ""
}

// comparePeers is an order that does not depend on the run.
func comparePeers(a, b peer) int {
	if c := cmp.Compare(a.address, b.address); c != 0 {
		return c
	}
	return cmp.Compare(a.device, b.device)
}

// senderOf is a device as groups name it.
func senderOf(d *device) groups.Sender {
	return groups.Sender{Address: d.own.Address, Device: d.own.Device, Identity: d.own.Identity.Array()}
}
