package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

const (
	// handOutAt is how many devices are handed something in one transaction.
	handOutAt = 64
	// handOutAtOnce is how many requests are under way at one time.
	handOutAtOnce = 16
)

// listener is one device of a member, other than this one.
type listener struct {
	peerKey
	identity [32]byte // its identity key
}

// listeners are the devices that are to have what is said in a group with a
// roster: those of the pinned, signed lists, under the account keys that the
// roster names. unknown are members that have never been looked up.
func (e *engine) listeners(tx *vault.Tx, roster groups.Roster) (all []listener, unknown []string, err error) {
	for _, m := range roster.Members {
		p, err := e.readPerson(tx, m.Address)
		if err != nil {
			return nil, nil, err
		}
		if p == nil {
			unknown = append(unknown, m.Address)
			continue
		}
		if [32]byte(p.list.Account) != m.Account || p.pending != nil {
			continue // who has another identity now was not let in under it
		}
		for _, d := range e.others(p) {
			all = append(all, listener{peerKey{m.Address, d.ID}, d.DH.Array()})
		}
	}
	return all, unknown, nil
}

// audienceNow is listeners after looking up whom this device does not know.
func (e *engine) audienceNow(ctx context.Context, l *link, roster groups.Roster) (all []listener, err error) {
	for range 2 {
		var unknown []string
		err := e.view(ctx, func(tx *vault.Tx) (err error) {
			all, unknown, err = e.listeners(tx, roster)
			return err
		})
		if err != nil || len(unknown) == 0 {
			return all, err
		}
		for _, who := range unknown {
			addr, err := address.ParseCanonical(who)
			if err != nil {
				return nil, ErrStoreDamaged
			}
			if _, err := e.lookup(ctx, l, addr); err != nil && !errors.Is(err, ErrUnknownRecipient) {
				return nil, err
			}
		}
	}
	return all, nil
}

// handOut sends each device a signal of its own, in batches, and returns those
// for which the server has it. A device that cannot be reached, because its
// mailbox is full or it has no prekeys, is left out: it asks when it is back
// (R-GRP-44). Only what concerns the connection or the store is an error.
func (e *engine) handOut(ctx context.Context, l *link, id groups.ID, to []listener, sig func(peerKey) groups.Signal) (done []listener, err error) {
	for part := range slices.Chunk(to, handOutAt) {
		ready, err := e.reachable(ctx, l, part)
		if err != nil {
			return done, err
		}
		sent, err := e.handOutPart(ctx, l, ready, sig)
		done = append(done, sent...)
		if err != nil {
			return done, err
		}
		e.stepDone(id, len(part))
	}
	return done, nil
}

// reachable starts the sessions that are missing and returns the devices that
// have one.
func (e *engine) reachable(ctx context.Context, l *link, to []listener) (ready []listener, err error) {
	for _, d := range to {
		p, err := e.person(ctx, d.address)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		for {
			err = e.ensureSession(ctx, l, p, d.peerKey)
			var refusal *relay.Error
			if !errors.Is(err, ErrRateLimited) || !errors.As(err, &refusal) {
				break
			}
			if err := e.rest(ctx, refusal.RetryAfter); err != nil {
				return nil, err
			}
		}
		switch {
		case errors.Is(err, ErrRefused), errors.Is(err, ErrUnknownRecipient), errors.Is(err, ErrIdentityChanged):
			e.log.Warn("a device of a group has no session", "reason", reason(err))
		case err != nil:
			return nil, err
		default:
			ready = append(ready, d)
		}
	}
	return ready, nil
}

// handed is a signal on its way to a device.
type handed struct {
	to   listener
	o    *outboxRecord
	done bool
}

// handOutPart seals the signals of one batch, commits them, and sends them. The
// outbox may send them too; whoever is first, the result is the same.
func (e *engine) handOutPart(ctx context.Context, l *link, to []listener, sig func(peerKey) groups.Signal) (done []listener, err error) {
	all, err := e.sealSignals(ctx, to, sig)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	turns := make(chan struct{}, handOutAtOnce)
	var sending sync.WaitGroup
	for _, x := range all {
		turns <- struct{}{}
		sending.Go(func() {
			defer func() { <-turns }()
			if err := e.sendHanded(ctx, l, x); err != nil {
				stop(err)
			}
		})
	}
	sending.Wait()
	for _, x := range all {
		if x.done {
			done = append(done, x.to)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return done, err
	}
	return done, e.writeSettled(ctx)
}

// sealSignals commits a signal for each device, sealed and in the outbox.
func (e *engine) sealSignals(ctx context.Context, to []listener, sig func(peerKey) groups.Signal) (all []*handed, err error) {
	e.state.Lock()
	defer e.state.Unlock()
	var w *work
	before := e.lastOrder
	err = e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder, all = before, nil
		w = newWork(e, tx)
		for _, d := range to {
			pair, err := w.pair(d.peerKey)
			if err != nil {
				return err
			}
			if !pair.Ready(e.now()) {
				continue // it ended in this moment
			}
			c := content.NewControl(content.KindGroup, e.now())
			c.Body = sig(d.peerKey).Encode()
			o, err := w.sealControl(d.peerKey, c, 0)
			if err != nil {
				return err
			}
			if err := putOutbox(tx, o); err != nil {
				return err
			}
			all = append(all, &handed{to: d, o: o})
		}
		return nil
	})
	if err != nil {
		e.lastOrder = before
		return nil, err
	}
	e.remember(w.pairs)
	return all, nil
}

// sendHanded hands one signal to the server, and waits where that asks to slow
// down. A signal that was dropped or must wait for the device is left to the
// outbox.
func (e *engine) sendHanded(ctx context.Context, l *link, x *handed) error {
	for {
		result := e.expect(x.o.ID)
		wait, err := e.deliver(ctx, l, x.o)
		e.unexpect(x.o.ID, result)
		if err != nil {
			return err
		}
		var got outcome
		select {
		case got = <-result:
		default:
		}
		if x.done = got.accepted != nil; x.done || !errors.Is(got.err, ErrRateLimited) {
			return nil
		}
		if err := e.rest(ctx, wait); err != nil {
			return err
		}
	}
}

// rest waits as the server has asked.
func (e *engine) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(d, time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.life.Done():
		return errClosed
	}
}

// newWork is work outside the receiving of messages.
func newWork(e *engine, tx *vault.Tx) *work {
	return &work{e: e, tx: tx, pairs: map[peerKey]session.Pair{}}
}

// ownChain returns the own sender key of the present epoch, which every device
// of the group has been handed, making one if there is none (R-GRP-43, R-GRP-44).
func (e *engine) ownChain(ctx context.Context, l *link, id groups.ID) (chain groups.Sending, err error) {
	var roster groups.Roster
	for {
		if chain, err = e.presentChain(ctx, id); err != nil {
			return chain, err
		}
		var r *groupRecord
		if r, roster, err = e.readGroup(ctx, id); err != nil || r == nil {
			return chain, errors.Join(err, ErrUnknownGroup)
		}
		if roster.Epoch == chain.Key().Epoch {
			break // else the group has moved on between the two
		}
	}
	all, err := e.audienceNow(ctx, l, roster)
	if err != nil {
		return chain, err
	}
	lacking, err := e.lackingChain(ctx, id, chain.ID(), all)
	if err != nil || len(lacking) == 0 {
		return chain, err
	}
	if err := e.notePerhaps(ctx, id, chain.ID(), lacking); err != nil {
		return chain, err
	}
	key := chain.Key()
	e.beginStep(id, "keys", len(lacking))
	defer e.endStep(id)
	done, err := e.handOut(ctx, l, id, lacking, func(peerKey) groups.Signal {
		return groups.Signal{Group: id, Key: &groups.Key{Seq: roster.Seq, Head: roster.Head, Epoch: roster.Epoch, Chain: &key}}
	})
	return chain, errors.Join(err, e.noteHolders(ctx, id, chain.ID(), done))
}

// presentChain reads or makes the own chain of the present epoch.
func (e *engine) presentChain(ctx context.Context, id groups.ID) (chain groups.Sending, err error) {
	e.state.Lock()
	defer e.state.Unlock()
	err = e.update(ctx, func(tx *vault.Tx) error {
		r, err := getGroup(tx, id)
		if err != nil || r == nil || r.Out {
			return errors.Join(err, ErrNotMember)
		}
		roster, err := r.roster()
		if err != nil {
			return err
		}
		var now bool
		if chain, now, err = r.sending(roster.Epoch); err != nil || now {
			return err
		}
		if err := e.closeOwn(tx, r); err != nil {
			return err
		}
		if chain, err = e.newChain(r, roster.Epoch); err != nil {
			return err
		}
		r.Sending, r.Sent = chain.AppendRecord(nil), 0
		return putGroup(tx, r)
	})
	return chain, err
}

// newChain draws a chain for an epoch, naming the last one.
func (e *engine) newChain(r *groupRecord, epoch uint64) (groups.Sending, error) {
	var before groups.Before
	if n := len(r.Closed); n > 0 {
		before = groups.Before{Chain: groups.ChainID(r.Closed[n-1].Chain), Count: r.Closed[n-1].Count}
	}
	return groups.NewSending(r.id(), epoch, e.groupSender(), e.now(), before)
}

// groupSender is this device as the author of group messages.
func (e *engine) groupSender() groups.Sender {
	own := e.self.own
	return groups.Sender{Address: e.self.record.Address, Device: uint64(e.self.device), Identity: own.Identity.Array()}
}

// closeOwn puts the own chain of an epoch that is over with those whose signing
// keys are to be disclosed, and forgets who holds it.
func (e *engine) closeOwn(tx *vault.Tx, r *groupRecord) error {
	if len(r.Sending) == 0 {
		return nil
	}
	c, err := groups.ParseSending(r.Sending)
	if err != nil {
		return ErrStoreDamaged
	}
	id, seed := c.ID(), c.Seed()
	r.Closed = append(r.Closed, closedChain{Chain: id[:], Seed: seed[:], Count: c.Index(), Last: max(r.Sent, c.Created().UnixMilli())})
	r.Sending = nil
	return deleteAll(tx, tableLedger, r.ID)
}

// lackingChain are the devices that were not handed the own chain under the
// identity key that they have now.
func (e *engine) lackingChain(ctx context.Context, id groups.ID, chain groups.ChainID, all []listener) (lacking []listener, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		for _, d := range all {
			h, ok, err := getLedger(tx, id, d.peerKey)
			if err != nil {
				return err
			}
			if !ok || h.Perhaps || string(h.Chain) != string(chain[:]) || string(h.Identity) != string(d.identity[:]) {
				lacking = append(lacking, d)
			}
		}
		return nil
	})
	return lacking, err
}

// noteHolders writes down who holds the own chain, once the server has taken it
// for them (R-GRP-44).
func (e *engine) noteHolders(ctx context.Context, id groups.ID, chain groups.ChainID, done []listener) error {
	return e.putHolders(ctx, id, chain, done, false)
}

// notePerhaps writes down who is about to be handed the own chain: whether the
// server takes it or not, and whether the change that lets them in is made or not.
// If one of them is not to have it any more, or never was, the keys are replaced
// (R-GRP-45).
func (e *engine) notePerhaps(ctx context.Context, id groups.ID, chain groups.ChainID, to []listener) error {
	e.mu.Lock()
	delete(e.ready, id)
	e.mu.Unlock()
	return e.putHolders(ctx, id, chain, to, true)
}

func (e *engine) putHolders(ctx context.Context, id groups.ID, chain groups.ChainID, done []listener, perhaps bool) error {
	if len(done) == 0 {
		return nil
	}
	e.state.Lock()
	defer e.state.Unlock()
	return e.update(ctx, func(tx *vault.Tx) error {
		r, err := getGroup(tx, id)
		if err != nil || r == nil || len(r.Sending) == 0 {
			return err
		}
		if c, err := groups.ParseSending(r.Sending); err != nil || c.ID() != chain {
			return nil // it is over already
		}
		for _, d := range done {
			err := putLedger(tx, id, ledgerRecord{Address: d.address, Device: uint64(d.device), Identity: d.identity[:], Chain: chain[:], Perhaps: perhaps})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// departed reports whether somebody holds the own chain who is not to: a device
// that was revoked or replaced, or whose account has another identity
// (R-GRP-45).
func (e *engine) departed(ctx context.Context, id groups.ID, all []listener) (gone bool, err error) {
	meant := make(map[peerKey][32]byte, len(all))
	for _, d := range all {
		meant[d.peerKey] = d.identity
	}
	err = e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableLedger, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			h, err := decodeRecord[ledgerRecord](row.Value)
			if err != nil {
				return err
			}
			identity, ok := meant[peerKey{h.Address, address.Device(h.Device)}]
			if !ok || string(identity[:]) != string(h.Identity) {
				gone = true
				return errEnough
			}
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return gone, err
}
