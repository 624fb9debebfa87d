package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// sendToGroup makes a message to a group durable and waits for the server as
// Send does (R-GRP-61). It is sealed when it leaves, once for everybody, under
// the roster of that moment.
func (e *engine) sendToGroup(ctx context.Context, to string, c content.Content, o SendOptions) (Message, error) {
	id, err := e.findGroup(ctx, to)
	if err != nil {
		return Message{}, err
	}
	if len(o.Mentions) > 0 {
		if c, err = e.mentioning(ctx, id, c, o.Mentions); err != nil {
			return Message{}, err
		}
	}
	if o.Sign {
		if c, err = e.sign(c, groupName(id)); err != nil {
			return Message{}, err
		}
	}
	result := e.expect(c.ID[:])
	defer e.unexpect(c.ID[:], result)
	r, err := e.enqueueToGroup(ctx, id, c)
	if err != nil {
		return Message{}, err
	}
	return e.outcome(ctx, r.message(), o, result)
}

// mentioning adds members to a text. Only members can be mentioned (R-GRP-61).
func (e *engine) mentioning(ctx context.Context, id groups.ID, c content.Content, words []string) (content.Content, error) {
	r, roster, err := e.readGroup(ctx, id)
	if err != nil || r == nil {
		return c, errors.Join(err, ErrUnknownGroup)
	}
	for _, word := range words {
		addr, err := e.resolve(ctx, word)
		if err != nil {
			return c, err
		}
		if _, ok := roster.Member(addr.String()); !ok {
			return c, fmt.Errorf("%w: who is mentioned has to be a member of the group", ErrUnknownRecipient)
		}
		c.Text.Mentions = append(c.Text.Mentions, addr.String())
	}
	c, err = content.NewText(c.ID, c.SentAt, c.TTL, c.Text)
	if errors.Is(err, content.ErrTooLong) {
		return c, fmt.Errorf("%w: at most %d people are mentioned", ErrTooLong, content.MaxMentions)
	}
	return c, err
}

// mayTalk is why nothing can be sent to a group, or nil.
func (r *groupRecord) mayTalk(roster groups.Roster) error {
	switch {
	case r.Out:
		return ErrNotMember
	case r.stopped(roster):
		return ErrGroupForked // R-GRP-86
	}
	return nil
}

// enqueueToGroup commits a message to its conversation and, unsealed, to the
// outbox.
func (e *engine) enqueueToGroup(ctx context.Context, id groups.ID, c content.Content) (*messageRecord, error) {
	e.state.Lock()
	defer e.state.Unlock()
	r := e.outgoing(c, groupName(id))
	r.Mentions = c.Text.Mentions
	o := &outboxRecord{
		ID: c.ID[:], To: groupName(id), Content: c.Encode(), TTL: seconds(c.TTL), Created: e.now().UnixMilli(),
	}
	before := e.lastOrder
	r.order = e.nextOrder()
	o.order = r.order
	err := e.update(ctx, func(tx *vault.Tx) error {
		g, err := getGroup(tx, id)
		if err != nil || g == nil {
			return errors.Join(err, ErrUnknownGroup)
		}
		roster, err := g.roster()
		if err != nil {
			return err
		}
		if err := g.mayTalk(roster); err != nil {
			return err
		}
		all, err := e.addressees(tx, g, roster)
		if err != nil {
			return err
		}
		r.addressedTo(peerKeys(all))
		if err := putMessage(tx, r); err != nil {
			return err
		}
		if err := putLifetime(tx, r); err != nil {
			return err
		}
		return putOutbox(tx, o)
	})
	if err != nil {
		e.lastOrder = before
		return nil, err
	}
	e.lives(r.ExpiresAt)
	e.unsealed.queued(o)
	return r, nil
}

// sayInGroup queues a signal to everybody in a group. The caller holds state.
func (e *engine) sayInGroup(tx *vault.Tx, s groups.Signal) error {
	c, err := groupContent(s, e)
	if err != nil {
		return err
	}
	return putOutbox(tx, &outboxRecord{
		ID: c.ID[:], To: groupName(s.Group), Content: c.Encode(), Created: e.now().UnixMilli(), Quiet: true, order: e.nextOrder(),
	})
}

func groupContent(s groups.Signal, e *engine) (content.Content, error) {
	return content.NewGroup(s.Encode(), e.now())
}

// signalTo queues a signal for one device: sealed at once if there is a session,
// else when the outbox has started one.
func (w *work) signalTo(k peerKey, s groups.Signal) error {
	c, err := groupContent(s, w.e)
	if err != nil {
		return err
	}
	pair, err := w.pair(k)
	if err != nil {
		return err
	}
	if pair.Ready(w.e.now()) {
		return w.controlTo(k, c, 0)
	}
	id := content.NewID()
	o := &outboxRecord{
		ID: id[:], To: k.address, Content: c.Encode(), Created: w.e.now().UnixMilli(),
		Quiet: true, Only: uint64(k.device), Alone: true, order: w.e.nextOrder(),
	}
	w.e.unsealed.queued(o)
	return putOutbox(w.tx, o)
}

func peerKeys(all []listener) []peerKey {
	out := make([]peerKey, len(all))
	for i, d := range all {
		out[i] = d.peerKey
	}
	return out
}
