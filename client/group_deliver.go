package client

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// deliverGroup hands one message to a group to the server, as one ciphertext
// for all devices (R-GRP-50). Before that the log is followed, the keys are
// replaced if they have to be (R-GRP-45), and every device is handed the chain: a
// message never leaves under keys that somebody who is gone still holds.
func (e *engine) deliverGroup(ctx context.Context, l *link, o *outboxRecord) (wait time.Duration, err error) {
	id, ok := groupID(o.To)
	if !ok {
		return 0, ErrStoreDamaged
	}
	const tries = 8 // heads and device lists that move under our hands
	for n := range tries {
		done, err := e.tryGroup(ctx, l, id, o, n == 0)
		switch {
		case errors.Is(err, ErrNotMember), errors.Is(err, ErrUnknownGroup):
			return 0, e.fail(ctx, o, CauseNotMember, err)
		case errors.Is(err, ErrGroupForked):
			return 0, e.fail(ctx, o, CauseGroupForked, err)
		case errors.Is(err, ErrGroupChanged), errors.Is(err, errNoSender):
			return e.postpone(ctx, o, err)
		case err != nil:
			return e.undeliverable(ctx, o, err)
		case done:
			return 0, nil
		}
	}
	return e.postpone(ctx, o, ErrGroupChanged)
}

// errNoSender: this device cannot send to the group yet.
var errNoSender = errors.New("client: the keys of the group have not come yet")

// tryGroup makes one attempt; the first trusts what is known of the log.
func (e *engine) tryGroup(ctx context.Context, l *link, id groups.ID, o *outboxRecord, first bool) (done bool, err error) {
	if !first {
		if err := e.followNow(ctx, l, id); err != nil {
			return false, err
		}
	}
	due, done, err := e.sendHeld(ctx, l, id, o)
	if err == nil && due != 0 {
		err = e.rekey(ctx, id, due)
	}
	return done, err
}

// sendHeld makes the attempt with the group held: no change of this device comes
// between the look at who holds the keys and the sealing. due is the
// epoch whose keys have to be replaced first, or zero.
func (e *engine) sendHeld(ctx context.Context, l *link, id groups.ID, o *outboxRecord) (due uint64, done bool, err error) {
	defer e.contactMu.lock("change/" + string(id[:]))()
	r, roster, err := e.readGroup(ctx, id)
	switch {
	case err != nil:
		return 0, false, err
	case r == nil:
		return 0, false, ErrUnknownGroup
	case r.Out:
		return 0, false, ErrNotMember
	case r.stopped(roster):
		return 0, false, ErrGroupForked
	}
	now := e.contacts.Load() // before reading
	ready, err := e.readyAudience(r, roster, now)
	if err != nil {
		return 0, false, err
	}
	var all []listener
	if ready != nil {
		all = ready.all
	} else if all, err = e.audienceNow(ctx, l, roster); err != nil {
		return 0, false, err
	}
	if due, err := e.rekeyDue(ctx, r, roster, all, ready != nil); err != nil || due {
		return roster.Epoch, false, err
	}
	if ready == nil {
		if ready, err = e.makeReady(ctx, l, id, roster, all, now); err != nil {
			return 0, false, err
		}
		if e.contacts.Load() != now {
			return 0, false, nil // a device list has moved on meanwhile
		}
	}
	sealed, err := e.sealGroup(ctx, id, ready.chain, roster, o, all)
	if err != nil || !sealed {
		return 0, false, err
	}
	sealedOnce := hashEnvelope(o.Group)
	res, err := l.conn.GroupSend(ctx, relay.GroupSend{
		Group: id, Seq: roster.Seq, Head: roster.Head, Token: r.secret().Token(id, roster.Epoch),
		// Of the ciphertext, not of the text: what was sealed again under a later head
		// is no repetition, and must not be kept from those who have the first.
		ID: relay.MessageID(sealedOnce[:]), TTL: int64(o.TTL), Body: o.Group, Prepared: ready.audience,
	})
	switch {
	case err != nil:
		return 0, false, groupError(err)
	case res.Stale != nil:
		e.log.Info("the group has changed meanwhile")
		return 0, false, nil
	case len(res.Lists) > 0:
		for _, user := range res.Lists {
			addr, err := address.New(user, e.self.address.Host())
			if err != nil {
				return 0, false, ErrRefused
			}
			if _, err := e.lookup(ctx, l, addr); err != nil {
				return 0, false, err
			}
		}
		return 0, false, nil
	}
	e.settleGroup(o, &res)
	return 0, true, nil
}

// rekeyDue reports whether the keys have to be replaced before anything is sent
// (R-GRP-45). Who holds the chain is not looked at again if that is known.
func (e *engine) rekeyDue(ctx context.Context, r *groupRecord, roster groups.Roster, all []listener, held bool) (bool, error) {
	age := e.now().Sub(roster.EpochAt)
	if roster.RekeyDue || age >= groups.EpochLife || age < -24*time.Hour { // the time is what its author says
		return true, nil
	}
	chain, now, err := r.sending(roster.Epoch)
	if err != nil {
		return false, err
	}
	if now && chain.Index() >= groups.EpochMessages {
		return true, nil
	}
	if held {
		return false, nil
	}
	return e.departed(ctx, r.id(), all)
}

// sealGroup seals an entry of the outbox under the present head, if it is not,
// and commits it with the next state of the chain. It reports false if the
// group has moved on.
func (e *engine) sealGroup(ctx context.Context, id groups.ID, chain groups.ChainID, roster groups.Roster, o *outboxRecord, all []listener) (ok bool, err error) {
	if len(o.Group) > 0 && string(o.GroupHead) == string(roster.Head[:]) {
		return true, e.addressAgain(ctx, o.ID, all)
	}
	e.state.Lock()
	defer e.state.Unlock()
	next := *o
	err = e.update(ctx, func(tx *vault.Tx) error {
		ok = false
		r, err := getGroup(tx, id)
		if err != nil || r == nil || r.Out {
			return errors.Join(err, ErrNotMember)
		}
		now, err := r.roster()
		if err != nil || now.Head != roster.Head {
			return err
		}
		c, present, err := r.sending(now.Epoch)
		if err != nil || !present || c.ID() != chain {
			return err
		}
		s, err := c.Seal(roster.Seq, roster.Head, o.Content)
		if err != nil {
			return err
		}
		if e.probe != nil && e.probe.groupSealed != nil {
			e.probe.groupSealed(id, chain, s.Index, o.Content)
		}
		env := content.Envelope{From: e.self.address, Device: e.self.device, Message: s.Message}
		next.Group, next.GroupHead = env.Encode(), roster.Head[:]
		r.Sending, r.Sent = s.Next.AppendRecord(nil), e.now().UnixMilli()
		if err := putGroup(tx, r); err != nil {
			return err
		}
		if err := e.record(tx, groupName(id), next.Group, nil); err != nil {
			return err
		}
		if err := e.noteGroupSealed(tx, o.ID, chain, s.Index, roster.Seq, all); err != nil {
			return err
		}
		ok = true
		return putOutbox(tx, &next)
	})
	if err == nil && ok {
		*o = next
	}
	return ok, err
}

// audienceOfGroup is how the server is told where a message goes. The own
// account is named even without another device, so that a device that has
// joined is noticed before it misses something (R-CLT-28).
func (e *engine) audienceOfGroup(ctx context.Context, all []listener) (list []relay.GroupAudience, err error) {
	own, err := e.ownPerson(ctx)
	if err != nil {
		return nil, err
	}
	list = append(list, relay.GroupAudience{User: e.self.address.User(), Version: own.list.Version})
	byMember := map[string]int{e.self.record.Address: 0}
	for _, d := range all {
		i, ok := byMember[d.address]
		if !ok {
			p, err := e.person(ctx, d.address)
			if err != nil || p == nil {
				return nil, errors.Join(err, ErrStoreDamaged)
			}
			i = len(list)
			byMember[d.address] = i
			list = append(list, relay.GroupAudience{User: p.address.User(), Version: p.list.Version})
		}
		list[i].Devices = append(list[i].Devices, d.device)
	}
	return list, nil
}
