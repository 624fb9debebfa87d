package client

import (
	"errors"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

const (
	// MaxChains is how many chains of one device are kept in a group.
	MaxChains = 16
	// MaxCandidates is how many keys for entries to come are kept for a group.
	MaxCandidates = 32
	// MaxGroupHeld is how many messages wait for a chain or for the log, in all
	// groups together.
	MaxGroupHeld = 4096
)

// openChain is a chain that a batch works on.
type openChain struct {
	record  chainRecord
	state   groups.Receiving
	changed bool
}

// groupEnvelope opens a message to a group. One whose chain has not come yet,
// or that was sealed after changes that are not known here, is kept until they
// are (R-GRP-52).
func (w *work) groupEnvelope(m *incoming) error {
	m.still = false
	if err := w.openInGroup(m); err != nil || m.heldKey == nil || m.still {
		return err
	}
	_, err := w.tx.Delete(tableGroupHeld, m.heldKey)
	return err
}

func (w *work) openInGroup(m *incoming) error {
	wire, err := groups.ParseMessage(m.env.Message)
	if err != nil {
		w.e.log.Warn("an envelope was dropped", "reason", "malformed")
		return nil
	}
	if seen, err := w.handledBefore(hashEnvelope(m.body)); err != nil || seen {
		return err
	}
	k := peerKey{m.env.From.String(), m.env.Device}
	c, err := w.chain(wire.Chain)
	if err != nil {
		return err
	}
	if c == nil {
		return w.holdGroup(m, wire.Chain)
	}
	if c.record.From != k.address || c.record.Device != uint64(k.device) {
		return nil // the claim on the envelope is false
	}
	id := groups.ID(c.record.Group)
	opened, err := c.state.Open(m.env.Message, w.e.now())
	if err != nil {
		return w.groupRefused(m, k, id, err)
	}
	r, err := getGroup(w.tx, id)
	if err != nil {
		return err
	}
	if r == nil || r.Out { // one is let in, and does not know yet
		return w.holdGroup(m, wire.Chain)
	}
	roster, err := r.roster()
	if err != nil {
		return err
	}
	if opened.Seq > roster.Seq {
		if m.heldKey == nil { // else the log was followed just now, as far as it goes
			w.follows(id)
		}
		return w.holdGroup(m, wire.Chain)
	}
	if same, err := w.sameHead(r, roster, opened.Seq, opened.Head); err != nil {
		return err
	} else if !same {
		return w.forked(id, k, opened.Seq, opened.Head) // R-GRP-41
	}
	if _, member := roster.Member(k.address); !member {
		return nil // R-GRP-42
	}
	p, err := w.person(k.address)
	if err != nil || p == nil {
		return err
	}
	if _, active := p.list.Device(k.device); !active {
		return nil
	}
	inner, err := content.Decode(opened.Plaintext)
	if err != nil {
		inner = content.Content{Kind: 0, ID: content.NewID(), Body: opened.Plaintext}
	}
	if waits, err := w.earlierHeld(id, k, c); err != nil {
		return err
	} else if waits {
		w.follows(id)
		return w.holdGroup(m, wire.Chain)
	}
	w.handled = append(w.handled, hashEnvelope(m.body))
	if err := w.closeEarlier(id, k, c); err != nil {
		return err
	}
	if err := w.e.record(w.tx, groupName(id), m.body, nil); err != nil {
		return err
	}
	c.state, c.changed, c.record.Used = opened.Next, true, true
	return w.keepGroup(m, k, id, &c.record, opened, inner)
}

// sameHead reports whether a message was sealed by somebody who holds the same
// log. What is older than this device's part in the group cannot be compared.
func (w *work) sameHead(r *groupRecord, roster groups.Roster, seq uint64, head groups.Head) (bool, error) {
	if seq == roster.Seq {
		return head == roster.Head, nil
	}
	if seq < r.First {
		return true, nil
	}
	line, ok, err := getRecord[logRecord](w.tx, tableGroupLog, seqKey(r.id(), seq))
	if err != nil || !ok {
		return !ok, err
	}
	return string(line.Head) == string(head[:]), nil
}

// chain reads a chain; nil is for none.
func (w *work) chain(id groups.ChainID) (*openChain, error) {
	if c, ok := w.chains[id]; ok {
		return c, nil
	}
	r, ok, err := getRecord[chainRecord](w.tx, tableChain, id[:])
	if err != nil || !ok {
		return nil, err
	}
	s, err := groups.ParseReceiving(r.State)
	if err != nil {
		return nil, ErrStoreDamaged
	}
	if w.chains == nil {
		w.chains = map[groups.ChainID]*openChain{}
	}
	c := &openChain{record: r, state: s}
	w.chains[id] = c
	return c, nil
}

// writeChains writes what the batch has changed.
func (w *work) writeChains() error {
	for id, c := range w.chains {
		if !c.changed {
			continue
		}
		c.record.State = c.state.AppendRecord(nil)
		if err := w.putChain(id, c.record); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) putChain(id groups.ChainID, r chainRecord) error {
	return w.tx.Put(tableChain, id[:], r.Group, int64(r.Epoch), codec.Marshal(r))
}

// earlierHeld reports whether messages on a device's earlier chains are kept
// until the log has come: they go first, for the first message on the new chain
// closes the earlier ones.
func (w *work) earlierHeld(id groups.ID, k peerKey, c *openChain) (bool, error) {
	if c.record.Used {
		return false, nil
	}
	earlier, err := w.chainsOf(id, k)
	if err != nil {
		return false, err
	}
	for _, x := range earlier {
		old, err := w.chain(x)
		if err != nil {
			return false, err
		}
		if old == nil || old.state.Epoch() >= c.state.Epoch() || old.state.Closed() {
			continue
		}
		if n, err := w.tx.Count(tableGroupHeld, x[:]); err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// closeEarlier closes the other chains of a device when the first message on
// its new one was opened: what is missing of them is asked for, and nothing is
// taken on them any more, so that their signing keys can be disclosed
// (R-GRP-53).
func (w *work) closeEarlier(id groups.ID, k peerKey, c *openChain) error {
	if c.record.Used {
		return nil
	}
	earlier, err := w.chainsOf(id, k)
	if err != nil {
		return err
	}
	for _, x := range earlier {
		if x == c.state.ID() {
			continue
		}
		old, err := w.chain(x)
		if err != nil || old == nil || old.state.Epoch() >= c.state.Epoch() || old.state.Closed() {
			if err != nil {
				return err
			}
			continue
		}
		if err := w.missedAtEnd(id, k, old, c.state.Before()); err != nil {
			return err
		}
		if old.state, err = old.state.Close(nil); err != nil {
			return err
		}
		old.changed = true
	}
	return nil
}

// chainsOf are the chains of one device that are kept, oldest first.
func (w *work) chainsOf(id groups.ID, k peerKey) (all []groups.ChainID, err error) {
	return all, w.tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		r, err := decodeRecord[chainRecord](row.Value)
		if err == nil && r.From == k.address && r.Device == uint64(k.device) {
			s, perr := groups.ParseReceiving(r.State)
			if perr != nil {
				return ErrStoreDamaged
			}
			all = append(all, s.ID())
		}
		return err
	})
}

// groupRefused decides about a message that its chain does not open.
func (w *work) groupRefused(m *incoming, k peerKey, id groups.ID, err error) error {
	switch {
	case errors.Is(err, groups.ErrDuplicate), errors.Is(err, groups.ErrClosed):
		return nil // known, or asked for when its chain was closed
	case errors.Is(err, groups.ErrTooOld): // sealed before this device was handed the chain, perhaps
		return w.groupUnopened(m, k, id, CauseTooOld)
	case errors.Is(err, groups.ErrTooFarAhead):
		return w.groupUnopened(m, k, id, CauseTooFarAhead)
	}
	w.e.log.Warn("a message to a group was refused", "reason", "forged")
	return nil // anybody at the server can make these up; they fill no conversation
}

// holdGroup keeps an envelope until its chain or the log has come.
func (w *work) holdGroup(m *incoming, chain groups.ChainID) error {
	if m.heldKey != nil {
		m.still = true
		return nil
	}
	n, err := w.tx.Count(tableGroupHeld, nil)
	if err != nil || n >= MaxGroupHeld {
		return err
	}
	key := hashEnvelope(m.body)
	w.heldFor = append(w.heldFor, chain)
	return w.tx.Put(tableGroupHeld, key[:], chain[:], w.e.nextOrder(), encodeRecord(heldRecord{At: m.at, Body: m.body}))
}

// follows notes a group that is to be looked at after the commit.
func (w *work) follows(id groups.ID) {
	if w.follow == nil {
		w.follow = map[groups.ID]bool{}
	}
	w.follow[id] = true
}

// groupSaid takes a signal of a member's device, which came over the session
// with that device.
func (w *work) groupSaid(k peerKey, p *person, body []byte) error {
	s, err := groups.ParseSignal(body)
	if err != nil {
		w.e.log.Warn("a signal of a group was malformed")
		return nil
	}
	switch {
	case s.Key != nil:
		return w.groupKey(k, p, s)
	case s.Ask != nil:
		return w.groupAsked(k, p, s.Group, s.Ask)
	case s.Again != nil:
		return w.groupAgain(k, p, s.Group, s.Again)
	case s.History != nil:
		return w.groupHistory(k, p, s.Group, s.History)
	case s.Join != nil:
		return w.groupJoin(k, p, s.Group, s.Join)
	case s.Branch != nil:
		return w.groupBranch(k, p, s.Group, s.Branch)
	case s.Gone != nil:
		return w.groupGone(k, p, s.Group)
	}
	return nil
}

// groupKey takes a device's sender key, and what it hands out for an entry of
// the log that is to come. A sender key is taken only from its own device
// (R-GRP-51).
func (w *work) groupKey(k peerKey, p *person, s groups.Signal) error {
	device, ok := p.list.Device(k.device)
	if !ok || !activeIn(p.list, k.device) {
		return nil
	}
	w.follows(s.Group)
	if err := w.roomForStrange(k, s.Group); err != nil {
		return err
	}
	if late, err := w.late(s.Group, s.Key); err != nil || late {
		return err
	}
	if c := s.Key.Chain; c != nil && c.Group == s.Group {
		if err := w.takeChain(k, groups.Sender{Address: k.address, Device: uint64(k.device), Identity: device.DH.Array()}, *c); err != nil {
			return err
		}
	}
	id := s.Group
	if keep, err := w.maybeFor(id, s.Key); err != nil || !keep {
		return err
	}
	if err := w.roomForCandidate(id); err != nil {
		return err
	}
	head := s.Key.Head
	key := candidateKey(id, head, k)
	return w.tx.Put(tableGroupKey, key, id[:], w.e.nextOrder(), codec.Marshal(candidateRecord{
		From: k.address, Device: uint64(k.device), Signal: s.Encode(), At: w.e.now().UnixMilli(),
	}))
}

// late reports whether a key is of the time before this account was out: it is
// not kept (R-GRP-42). Where somebody is about to let it in again, it may be of
// now.
func (w *work) late(id groups.ID, k *groups.Key) (bool, error) {
	r, err := getGroup(w.tx, id)
	if err != nil || r == nil || !r.Out || len(k.Roster) > 0 {
		return false, err
	}
	roster, err := r.roster()
	if err != nil || k.Epoch > roster.Epoch {
		return false, err
	}
	n, err := w.tx.Count(tableGroupKey, id[:])
	return n == 0, err
}

// maybeFor reports whether a secret that was handed out may be needed. Somebody
// who is out needs none but after a welcome (R-GRP-42): who hands one out does
// not know that they are out, or else has welcomed them before.
func (w *work) maybeFor(id groups.ID, k *groups.Key) (bool, error) {
	if k.Secret.IsZero() {
		return false, nil
	}
	r, err := getGroup(w.tx, id)
	if err != nil || r == nil || !r.Out || len(k.Roster) > 0 {
		return true, err
	}
	n, err := w.tx.Count(tableGroupKey, id[:])
	return n > 0, err
}

// candidateKey names what a device has handed out for a head.
func candidateKey(id groups.ID, head groups.Head, k peerKey) []byte {
	return append(append(append([]byte(nil), id[:]...), head[:]...), k.bytes()...)
}

// takeChain keeps a chain that is not known yet.
func (w *work) takeChain(k peerKey, sender groups.Sender, key groups.ChainKey) error {
	known, err := w.chain(key.Chain)
	if err != nil {
		return err
	}
	if known != nil {
		if known.state.Sender() != sender || known.state.Group() != key.Group {
			w.e.log.Warn("a sender key that is another device's was refused")
			return nil
		}
		if key.Index > known.state.Index()+groups.MaxJump {
			if next, err := known.state.Renew(key); err == nil { // what is between is lost anyway
				known.state, known.changed = next, true
			}
		}
		return nil
	}
	state, err := groups.Accept(key, sender)
	if err != nil {
		w.e.log.Warn("a sender key was refused")
		return nil
	}
	all, err := w.chainsOf(key.Group, k)
	if err != nil {
		return err
	}
	if over, err := w.isOver(all, key.Epoch); err != nil || over {
		return err
	}
	if len(all) >= MaxChains {
		least, err := w.leastChain(all, key.Epoch)
		if err != nil {
			return err
		}
		if _, err := w.tx.Delete(tableChain, least[:]); err != nil {
			return err
		}
		delete(w.chains, least)
	}
	r := chainRecord{Group: key.Group[:], From: k.address, Device: uint64(k.device), Epoch: key.Epoch, State: state.AppendRecord(nil)}
	if w.chains == nil {
		w.chains = map[groups.ChainID]*openChain{}
	}
	w.chains[key.Chain] = &openChain{record: r, state: state, changed: true}
	return w.putChain(key.Chain, r)
}

// isOver reports whether a device's chain of that epoch has ended here without
// ever having come: something was opened on a later one, the device was told so,
// and may have disclosed the signing key (R-GRP-53, R-GRP-16).
func (w *work) isOver(all []groups.ChainID, epoch uint64) (bool, error) {
	for _, x := range all {
		c, err := w.chain(x)
		if err != nil || c == nil {
			return false, errors.Join(err, ErrStoreDamaged)
		}
		if c.record.Used && c.record.Epoch > epoch {
			return true, nil
		}
	}
	return false, nil
}

// leastChain is the chain of a device that is given up for one of an epoch: one
// that is closed, else one of the same epoch, which lost a race, else the
// oldest.
func (w *work) leastChain(all []groups.ChainID, epoch uint64) (groups.ChainID, error) {
	least := all[0]
	for _, x := range all {
		c, err := w.chain(x)
		if err != nil || c == nil {
			return least, errors.Join(err, ErrStoreDamaged)
		}
		if c.state.Closed() {
			return x, nil
		}
		if c.record.Epoch == epoch && !c.record.Used {
			least = x
		}
	}
	return least, nil
}

// roomForCandidate drops a row if a group has as many as are kept: the oldest
// of the device that has handed out the most, so that nobody crowds out others.
func (w *work) roomForCandidate(id groups.ID) error {
	n := 0
	of, first := map[peerKey]int{}, map[peerKey][]byte{}
	var most peerKey
	err := w.tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		c, err := decodeRecord[candidateRecord](row.Value)
		if err != nil {
			return err
		}
		k := peerKey{c.From, address.Device(c.Device)}
		if n++; of[k] == 0 {
			first[k] = row.Key
		}
		if of[k]++; of[k] > of[most] {
			most = k
		}
		return nil
	})
	if err != nil || n < MaxCandidates {
		return err
	}
	_, err = w.tx.Delete(tableGroupKey, first[most])
	return err
}
