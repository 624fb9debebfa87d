package lab

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/codec"
)

// Groups in a trace (R-LAB-24): what devices keep of them, the entries of their
// logs, and what the relay shows.

// fits refuses lists that no reader would take.
func (j *journal) fits(lengths ...int) {
	if slices.Max(lengths) > codec.MaxArray && j.err == nil {
		j.err = fmt.Errorf("%w: its trace would have a list of more than %d", ErrScenario, codec.MaxArray)
	}
}

// peers are the numbers of devices, ascending.
func (j *journal) peers(all map[peer]bool) (out []uint64) {
	for p, in := range all {
		if in {
			out = append(out, j.who(p))
		}
	}
	slices.Sort(out)
	return out
}

func chainEntryOf(k *groups.ChainKey) chainEntry {
	return chainEntry{
		Group: k.Group[:], Epoch: k.Epoch, Chain: k.Chain[:], Index: uint64(k.Index), Key: k.Key[:], Verify: k.Verify[:], Created: k.Created,
		Before: k.Before.Chain[:], BeforeCount: uint64(k.Before.Count),
	}
}

func (j *journal) shelf(s *shelf) shelfEntry {
	e := shelfEntry{
		Group: s.group[:], Roster: j.blob(s.roster), Own: j.blob(s.own), Handed: j.peers(s.handed), Heard: j.peers(s.heard), Known: j.peers(s.known), Alarm: s.alarm, Out: s.out,
	}
	for _, seq := range slices.Sorted(maps.Keys(s.heads)) {
		h := s.heads[seq]
		e.Heads = append(e.Heads, headEntry{Seq: seq, Head: h[:]})
	}
	for _, epoch := range slices.Sorted(maps.Keys(s.secrets)) {
		for _, x := range s.secrets[epoch] {
			e.Secrets = append(e.Secrets, secretEntry{Epoch: epoch, Secret: x[:]})
		}
	}
	for _, id := range s.ids() {
		c := s.chains[id]
		e.Chains = append(e.Chains, heldEntry{From: j.who(c.from), Used: c.used, Head: j.blob(c.head), Skipped: j.blob(c.skipped)})
	}
	for _, c := range s.closing {
		e.Closing = append(e.Closing, closingEntry{Chain: c.Chain[:], Seed: c.Seed[:]})
	}
	j.fits(len(e.Heads), len(e.Secrets), len(e.Chains), len(e.Closing))
	return e
}

// logs writes the groups of a run, the entries that were placed, and what the
// relay shows of them.
func (j *journal) logs(w *world) {
	number := map[groups.ID]uint64{}
	for i, g := range w.made {
		number[g] = uint64(i)
		j.put(groupItem{Kind: kindGroup, ID: g[:], Name: w.groupName(g)})
	}
	for _, e := range w.entries {
		n := j.blob(e.data)
		j.put(entryItem{Kind: kindEntry, Group: number[e.group], Seq: e.seq, Prev: e.prev[:], Epoch: e.epoch, Data: n})
	}
	for i, g := range w.made {
		b := w.relay.log(g)
		others := map[string]bool{"": true}
		for a := range b.of {
			others[a] = true
		}
		for a := range b.frozen {
			others[a] = true
		}
		for _, a := range slices.Sorted(maps.Keys(others)) {
			item := logItem{Kind: kindLog, Group: uint64(i), Address: a}
			for _, x := range b.shown(a) {
				item.Entries = append(item.Entries, placedEntry{Head: x.head[:], Data: j.blob(x.data)})
			}
			j.fits(len(item.Entries))
			j.put(item)
		}
	}
}

// chainKey reads a chain as it is handed out.
func (p *replayed) chainKey(e *chainEntry) (k groups.ChainKey, err error) {
	if len(e.Group) != len(k.Group) || len(e.Chain) != len(k.Chain) || len(e.Key) != len(k.Key) || len(e.Verify) != len(k.Verify) || len(e.Before) != len(k.Before.Chain) ||
		e.Index > 1<<32-1 || e.BeforeCount > 1<<32-1 {
		return k, p.wrong("it is not a chain")
	}
	return groups.ChainKey{
		Group: groups.ID(e.Group), Epoch: e.Epoch, Chain: groups.ChainID(e.Chain), Index: uint32(e.Index), Key: [32]byte(e.Key), Verify: [32]byte(e.Verify), Created: e.Created,
		Before: groups.Before{Chain: groups.ChainID(e.Before), Count: uint32(e.BeforeCount)},
	}, nil
}

// spoken adds to a letter what it says to a group.
func (p *replayed) spoken(l *letter, i *letterItem, from *device) error {
	if len(i.Said) > 1 || len(i.Said) == 0 && len(i.Closed) > 0 {
		return p.wrong("it is not a letter")
	}
	if len(i.Said) == 0 {
		return nil
	}
	k, err := p.chainKey(&i.Said[0])
	if err != nil {
		return err
	}
	l.said = &spoken{group: k.Group, key: k, sender: senderOf(from)}
	if s, ok := signalIn(l.text); ok && s.Disclosed != nil {
		l.discloses = s.Disclosed
	}
	l.closed, err = p.peers(i.Closed)
	return err
}

func (p *replayed) peers(numbers []uint64) (map[peer]bool, error) {
	all := map[peer]bool{}
	for _, n := range numbers {
		d, err := p.who(n)
		if err != nil {
			return nil, err
		}
		all[d.peer()] = true
	}
	return all, nil
}

func (p *replayed) shelf(e *shelfEntry) (*shelf, error) {
	if len(e.Group) != len(groups.ID{}) {
		return nil, p.wrong("it is not a group")
	}
	s := newShelf(groups.ID(e.Group))
	s.alarm, s.out = e.Alarm, e.Out
	part := func(n uint64, parse func([]byte) error) ([]byte, error) {
		b, err := p.blob(n)
		if err != nil || len(b) == 0 {
			return nil, err
		}
		if parse(b) != nil {
			return nil, p.wrong("a record of a group that is none")
		}
		return b, nil
	}
	var err error
	if s.roster, err = part(e.Roster, func(b []byte) error { _, err := groups.ParseRoster(b); return err }); err != nil {
		return nil, err
	}
	if s.own, err = part(e.Own, func(b []byte) error { _, err := groups.ParseSending(b); return err }); err != nil {
		return nil, err
	}
	for _, h := range e.Heads {
		if len(h.Head) != len(groups.Head{}) {
			return nil, p.wrong("it is not a head")
		}
		s.heads[h.Seq] = groups.Head(h.Head)
	}
	for _, x := range e.Secrets {
		if len(x.Secret) != len(groups.Secret{}) {
			return nil, p.wrong("it is not a secret")
		}
		s.secrets[x.Epoch] = append(s.secrets[x.Epoch], groups.Secret(x.Secret))
	}
	for i := range e.Chains {
		if err := p.held(s, &e.Chains[i]); err != nil {
			return nil, err
		}
	}
	for _, c := range e.Closing {
		if len(c.Chain) != len(groups.ChainID{}) || len(c.Seed) != 32 {
			return nil, p.wrong("it is not a signing key")
		}
		s.closing = append(s.closing, groups.Disclosed{Chain: groups.ChainID(c.Chain), Seed: [32]byte(c.Seed)})
	}
	if s.handed, err = p.peers(e.Handed); err == nil {
		s.heard, err = p.peers(e.Heard)
	}
	if err == nil {
		s.known, err = p.peers(e.Known)
	}
	return s, err
}

func (p *replayed) held(s *shelf, e *heldEntry) error {
	from, err := p.who(e.From)
	if err != nil {
		return err
	}
	c := shelved{from: from.peer(), used: e.Used}
	if c.head, err = p.blob(e.Head); err == nil {
		c.skipped, err = p.blob(e.Skipped)
	}
	if err != nil {
		return err
	}
	r, err := c.receiving()
	if err != nil {
		return p.wrong("it has something that is not a chain")
	}
	s.chains[r.ID()] = c
	return nil
}

func (p *replayed) group(i *groupItem) error {
	w := p.world
	if len(i.ID) != len(groups.ID{}) || len(w.made) >= MaxSteps {
		return p.wrong("it is not a group, or one too many")
	}
	g := groups.ID(i.ID)
	if _, again := w.relay.logs[g]; again {
		return p.wrong("a group again")
	}
	w.groups[i.Name] = g
	w.made = append(w.made, g)
	w.relay.logs[g] = newLogbook()
	return nil
}

func (p *replayed) whose(n uint64) (groups.ID, error) {
	if n >= uint64(len(p.world.made)) {
		return groups.ID{}, p.wrong("there is no such group")
	}
	return p.world.made[n], nil
}

func (p *replayed) entry(i *entryItem) error {
	g, err := p.whose(i.Group)
	if err != nil {
		return err
	}
	data, err := p.blob(i.Data)
	if err != nil {
		return err
	}
	if len(i.Prev) != len(groups.Head{}) {
		return p.wrong("it is not an entry")
	}
	w := p.world
	w.entries = append(w.entries, &entry{index: len(w.entries), group: g, seq: i.Seq, prev: groups.Head(i.Prev), epoch: i.Epoch, data: data})
	return nil
}

// log reads what the relay shows: everybody's log first.
func (p *replayed) log(i *logItem) error {
	g, err := p.whose(i.Group)
	if err != nil {
		return err
	}
	b := p.world.relay.log(g)
	var all []blob
	for _, e := range i.Entries {
		data, err := p.blob(e.Data)
		if err != nil {
			return err
		}
		if len(e.Head) != len(groups.Head{}) {
			return p.wrong("it is not an entry")
		}
		all = append(all, blob{groups.Head(e.Head), data})
	}
	if i.Address == "" {
		b.branches[0] = all
		return nil
	}
	b.branches = append(b.branches, all)
	b.of[i.Address] = len(b.branches) - 1
	return nil
}
