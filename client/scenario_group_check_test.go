package client

import (
	"fmt"
	"maps"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/vault"
)

// truth is the roster at the end of the server's log, as somebody holds it; ok
// is false while nobody does.
func (c *crowd) truth() (roster groups.Roster, ok bool) {
	c.archive.mu.Lock()
	n := len(c.archive.log)
	c.archive.mu.Unlock()
	for d := range c.all() {
		if l := d.alive(); l != nil && d.survives() {
			if r, held, err := l.engine.readGroup(l.ctx, c.id); err == nil && r != nil && !r.Out && held.Seq == uint64(n) {
				return held, true
			}
		}
	}
	return roster, false
}

// left is how many accounts think that they are in. Somebody who was not handed
// an epoch by a device that is revoked, while everybody else has left, has nobody to ask.
func (c *crowd) left() int {
	in := map[string]bool{}
	for d := range c.all() {
		if l := d.alive(); l != nil && d.survives() {
			if r, _, err := l.engine.readGroup(l.ctx, c.id); err != nil || r != nil && !r.Out {
				in[d.owner.address.String()] = true
			}
		}
	}
	return len(in)
}

// stray reports whether a device is out and cannot know: it was not handed the
// secret of an epoch before, and nobody tells it more once it is out. This is a
// known gap: it says nothing, and is counted.
func (c *crowd) stray(d *device) bool {
	truth, ok := c.truth()
	l := d.alive()
	if !ok || l == nil || !d.survives() {
		return false
	}
	r, roster, err := l.engine.readGroup(l.ctx, c.id)
	_, member := truth.Member(d.owner.address.String())
	return err == nil && r != nil && !r.Out && !member && roster.Epoch < truth.Epoch && c.calls > 20
}

// rest tells what is on its way to or from a device.
func (c *crowd) rest(d *device) string {
	if c.stray(d) {
		return ""
	}
	if why := d.rest(); why != "" || !d.survives() {
		return why
	}
	truth, ok := c.truth()
	if !ok {
		if c.left() < 2 {
			return ""
		}
		return "nobody has come to the end of the log"
	}
	l := d.alive()
	r, roster, err := l.engine.readGroup(l.ctx, c.id)
	_, member := truth.Member(d.owner.address.String())
	switch {
	case err != nil:
		return err.Error()
	case !member && r != nil && !r.Out:
		return "it does not know that it is out"
	case !member:
		if r != nil && c.asks(l) {
			return "it asks whether it is in"
		}
		return c.lacks(l)
	case r == nil || r.Out:
		return "it does not know that it is in"
	case roster.Seq != truth.Seq:
		return fmt.Sprintf("it is at change %d of %d", roster.Seq, truth.Seq)
	case r.Pending != nil:
		return "a change of its own is under way"
	}
	return c.lacks(l)
}

// asks reports whether a device that is out holds sender keys that somebody has
// handed it since, and so asks for more (R-GRP-54).
func (c *crowd) asks(l *life) (asks bool) {
	err := l.engine.view(l.ctx, func(tx *vault.Tx) error {
		n, err := tx.Count(tableChain, c.id[:])
		asks = n > 0
		return err
	})
	return err == nil && asks
}

// lacks tells what a device still asks another one for that is there to answer.
func (c *crowd) lacks(l *life) (why string) {
	there := map[peerKey]bool{}
	for d := range c.all() {
		there[d.key()] = d.survives()
	}
	err := l.engine.view(l.ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableGroupAsk, c.id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[askRecord](row.Value)
			if err == nil && r.lacking() && there[r.key()] {
				why = fmt.Sprintf("it asks %s for %+v, everything %v", r.Address, r.Lacks, r.Welcome)
			}
			return err
		})
	})
	if err != nil {
		return err.Error()
	}
	return why
}

// told is what the log says of the membership, entry by entry.
type told struct {
	in    []map[string]bool // after each entry, from the empty log on
	epoch []uint64
	open  bool // the history was open at some time
}

// history plays the log.
func (c *crowd) history() (h told) {
	now, epoch := map[string]bool{}, uint64(0)
	add := func() { h.in, h.epoch = append(h.in, maps.Clone(now)), append(h.epoch, epoch) }
	add()
	for seq := uint64(1); seq <= uint64(len(c.archive.log)); seq++ {
		line, ok := c.archive.lines[seq]
		if !ok {
			c.fault("nobody could read change %d", seq)
		}
		if change, err := decodeChange(line.Change); err == nil && ok && line.Void == "" {
			for _, m := range change.Members {
				switch change.Kind {
				case groups.Create, groups.Add:
					now[m.Address] = true
				case groups.Remove:
					delete(now, m.Address)
				}
			}
			switch {
			case change.Kind == groups.Leave:
				delete(now, line.Author)
			case change.Kind == groups.SetPolicy && change.Policy.OpenHistory:
				h.open = true
			}
			if change.Kind.Advances() || change.Kind == groups.Create {
				epoch++
			}
		}
		add()
	}
	return h
}

// stays reports whether somebody who was in after an entry has been ever since.
func (h *told) stays(who string, seq uint64) bool {
	for _, in := range h.in[min(seq, uint64(len(h.in)-1)):] {
		if !in[who] {
			return false
		}
	}
	return true
}

// within reports whether somebody was in at some time of an epoch.
func (h *told) within(who string, epoch uint64) bool {
	for i, in := range h.in {
		if h.epoch[i] == epoch && in[who] {
			return true
		}
	}
	return false
}

// examine holds the invariants against what the devices have in the end.
func (c *crowd) examine() {
	truth, ok := c.truth()
	for d := range c.all() {
		if l := d.alive(); l != nil {
			c.harvest(d, l.vault)
		}
	}
	h := c.history()
	found := map[*device]*holding{}
	for d := range c.all() {
		l := d.alive()
		if !d.survives() || l == nil {
			continue
		}
		if c.stray(d) {
			c.thefts.strays++
			continue
		}
		c.sameRoster(d, l, truth, ok)
		all, err := l.everything()
		if err != nil {
			c.fault("%s cannot be read: %v", d.name(), err)
			continue
		}
		own := &holding{own: map[string]Message{}, in: map[string]int{}, out: map[string]int{}, place: map[string]int{}}
		for _, m := range all {
			if m.Group == "" || m.Kind != KindText {
				continue
			}
			if m.Direction == Out {
				own.own[m.ID] = m
				own.out[m.Text]++
				continue
			}
			own.in[m.Text]++
			c.meant(d, m, &h)
		}
		found[d] = own
	}
	for _, s := range c.texts {
		c.once(s, found, &h)
	}
	c.lastEverywhere(found, truth, ok)
	c.changesKept()
}

// sameRoster: every device of every member holds the same roster, and nobody
// who is out holds a key (R-GRP-40, R-GRP-42).
func (c *crowd) sameRoster(d *device, l *life, truth groups.Roster, ok bool) {
	r, roster, err := l.engine.readGroup(l.ctx, c.id)
	if err != nil {
		c.fault("the group cannot be read at %s: %v", d.name(), err)
		return
	}
	_, member := truth.Member(d.owner.address.String())
	switch {
	case member && (r == nil || r.Out):
		c.fault("%s is in the group and does not know", d.name())
	case member && (roster.Hash() != truth.Hash() || roster.Head != truth.Head || roster.Epoch != truth.Epoch):
		c.fault("%s holds %+v, others hold %+v", d.name(), roster, truth)
	case !member && ok && r != nil:
		c.holdsNothing(d, l)
	case r != nil && r.Alarm != nil:
		c.fault("%s raises an alarm without a reason: %+v", d.name(), r.Alarm)
	}
}

// holdsNothing: who is out holds no secret, sender key or candidate, but for
// welcomes whose entries have not come (R-GRP-49), with the sender keys of their epochs.
func (c *crowd) holdsNothing(d *device, l *life) {
	x := &loot{}
	welcomes := map[uint64]bool{}
	err := l.vault.View(l.ctx, func(tx *vault.Tx) error {
		if err := x.group(tx, c.id); err != nil {
			return err
		}
		err := tx.Scan(tableGroupKey, c.id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			key, err := candidateSignal(row)
			if err != nil {
				return err
			}
			if len(key.Roster) > 0 {
				welcomes[key.Epoch] = true
			} else {
				x.secrets = append(x.secrets, epochSecret{key.Epoch, key.Secret})
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Scan(tableChain, c.id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[chainRecord](row.Value)
			if err != nil || welcomes[r.Epoch] {
				return err
			}
			s, err := groups.ParseReceiving(r.State)
			x.chains = append(x.chains, s)
			return err
		})
	})
	if err != nil {
		c.fault("%s cannot be read: %v", d.name(), err)
		return
	}
	if len(x.secrets)+len(x.chains) > 0 {
		c.fault("%s is out and holds %d secrets and %d chains", d.name(), len(x.secrets), len(x.chains))
	}
}

// meant: what a device shows at first hand was said while its account was in
// (R-GRP-67), and what was retold was of a group that allows it (R-GRP-78).
func (c *crowd) meant(d *device, m Message, h *told) {
	if m.RetoldBy != "" {
		if !h.open {
			c.fault("%s was retold %q of a group without an open history", d.name(), m.Text)
		}
		return
	}
	left := false
	for _, w := range c.archive.wires {
		if s := c.archive.sealed[place{w.Chain, w.Index}]; s != nil && s.id.String() == m.ID {
			if left = true; h.in[w.Seq][d.owner.address.String()] {
				return
			}
		}
	}
	if !left && c.absent {
		return // its sender gave it up, and told it to those who asked for what is missing of the chain
	}
	c.fault("%s shows %q, which was said while it was not in", d.name(), m.Text)
}

// once: what was said is, once, wherever it had to go, and nobody else was sent
// it (R-GRP-50, R-GRP-66).
func (c *crowd) once(s *saying, found map[*device]*holding, h *told) {
	var wires []*wireSeen
	for _, w := range c.archive.wires {
		if x := c.archive.sealed[place{w.Chain, w.Index}]; x != nil && x.id.String() == s.id {
			wires = append(wires, w)
		}
	}
	own, kept := Message{}, false
	if f := found[s.from]; f != nil {
		own, kept = f.own[s.id]
		if s.told && !kept {
			c.fault("%s has lost its own %q", s.from.name(), s.text)
		}
	}
	c.settled(s, own, kept, h)
	for to := range c.all() {
		who := to.owner.address.String()
		var sent, should, stayed bool
		for i, w := range wires {
			if w.stored[to.id] {
				if sent = true; !h.in[w.Seq][who] {
					c.fault("%q was sent to %s, who is not in then", s.text, to.name())
				}
				// Of somebody who is out nothing is taken (R-GRP-42), also of what
				// they said before.
				stayed = stayed || h.stays(who, w.Seq) && h.stays(s.from.owner.address.String(), w.Seq)
			}
			if i == len(wires)-1 && len(w.present) > 0 && w.present[to] && h.in[w.Seq][who] {
				should = true
			}
		}
		// Of an author who is out by now what was on its way may be missing (R-GRP-42).
		should = should && h.stays(s.from.owner.address.String(), wires[len(wires)-1].Seq)
		if should && !sent && !c.absent && to != s.from && kept && own.Status.reached(StatusAccepted) {
			c.fault("%q was not sent to %s, who is in then", s.text, to.name())
		}
		there := found[to]
		if there == nil || to == s.from {
			continue
		}
		n := there.in[s.text]
		if to.owner == s.from.owner {
			n = there.out[s.text]
		}
		switch {
		case n > 1:
			c.fault("%s has %q %d times", to.name(), s.text, n)
		case n == 0 && sent && stayed && found[s.from] != nil:
			c.fault("%s does not have %q; its status there is %q%s", to.name(), s.text, own.PerDevice[to.id.String()], c.traces(wires, to))
		case n == 1 && to.owner != s.from.owner && to.shown[s.text] == 0 && sent && stayed:
			c.fault("%s was never shown %q", to.name(), s.text)
		}
	}
}

// traces tells of which copies of a message a device was sent the ciphertext, and
// handed the key.
func (c *crowd) traces(wires []*wireSeen, to *device) (text string) {
	for _, w := range wires {
		text += fmt.Sprintf("; message %d of chain %s after change %d, stored there %v", w.Index, w.Chain, w.Seq, w.stored[to.id])
		for _, g := range c.archive.given {
			if k := g.signal.Key; k != nil && k.Chain != nil && k.Chain.Chain == w.Chain && g.to == to.key() {
				text += fmt.Sprintf(", handed from %d on, as the relay has taken %v", k.Chain.Index, c.ledger.took(g.hash, to.id))
			}
		}
	}
	return text
}

// settled: what a device still has under way, or gave up, has a reason.
func (c *crowd) settled(s *saying, own Message, kept bool, h *told) {
	switch {
	case !kept, own.Status.reached(StatusAccepted), own.Status == StatusFailed && own.Cause == CauseExpired && c.absent:
		return
	case own.Status == StatusFailed && own.Cause == CauseNotMember && !h.stays(s.from.owner.address.String(), 0) && !s.last:
		return
	}
	c.fault("%q of %s is %s (%s) in the end", s.text, s.from.name(), own.Status, own.Cause)
}

// lastEverywhere: what was said when nothing went wrong any more is on every
// device of every member.
func (c *crowd) lastEverywhere(found map[*device]*holding, truth groups.Roster, ok bool) {
	if !ok {
		return
	}
	for _, s := range c.texts {
		if !s.last {
			continue
		}
		for d, f := range found {
			if _, in := truth.Member(d.owner.address.String()); in && f.in[s.text]+f.out[s.text] != 1 {
				c.fault("%s has the last word %q %d times", d.name(), s.text, f.in[s.text]+f.out[s.text])
			}
		}
	}
}
