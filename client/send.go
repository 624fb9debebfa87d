package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Send implements API (R-CLT-02): the message, the next session states and the
// sealed envelopes are one transaction; only then does anything leave.
func (e *engine) Send(ctx context.Context, to, text string, o SendOptions) (Message, error) {
	if err := e.refusal(); err != nil {
		return Message{}, err
	}
	c, err := e.compose(text, o)
	if err != nil {
		return Message{}, err
	}
	if o.ID != "" { // else it was drawn just now
		if done, err := e.sentBefore(ctx, c.ID); err != nil || done != nil {
			if err != nil {
				return Message{}, err
			}
			return e.await(ctx, *done, o)
		}
	}
	if isGroupWord(to) {
		return e.sendToGroup(ctx, to, c, o)
	}
	if len(o.Mentions) > 0 {
		return Message{}, fmt.Errorf("%w: only in a group can somebody be mentioned", ErrInvalidText)
	}
	addr, err := e.resolve(ctx, to)
	if err != nil {
		return Message{}, err
	}
	if o.Sign {
		if c, err = e.sign(c, addr.String()); err != nil {
			return Message{}, err
		}
	}
	if addr == e.self.address {
		return e.noteToSelf(ctx, c, o)
	}
	p, err := e.recipient(ctx, addr, o.Refresh)
	if err != nil && !errors.Is(err, ErrUnreachable) {
		return Message{}, err
	}
	if p != nil && p.pending != nil {
		return Message{}, ErrIdentityChanged
	}
	result := e.expect(c.ID[:])
	defer e.unexpect(c.ID[:], result)
	r, err := e.enqueue(ctx, addr, p, c, c)
	if err != nil {
		return Message{}, err
	}
	return e.outcome(ctx, r.message(), o, result)
}

// compose checks what a person typed before anything is stored (R-CLT-03).
func (e *engine) compose(text string, o SendOptions) (content.Content, error) {
	id := content.NewID()
	var err error
	if o.ID != "" {
		if id, err = content.ParseID(o.ID); err != nil {
			return content.Content{}, &wrapped{ErrNotFound, err}
		}
	}
	t := content.Text{Text: text, Subject: o.Subject}
	if o.ReplyTo != "" {
		if t.ReplyTo, err = content.ParseID(o.ReplyTo); err != nil {
			return content.Content{}, &wrapped{ErrNotFound, err}
		}
	}
	if o.TTL < 0 || o.TTL > content.MaxTTL || (o.TTL > 0 && o.TTL < time.Second) {
		return content.Content{}, fmt.Errorf("%w: a lifetime is from one second to 30 days", ErrInvalidText)
	}
	c, err := content.NewText(id, e.now(), o.TTL, t)
	switch {
	case errors.Is(err, content.ErrTooLong):
		return c, fmt.Errorf("%w: at most %d bytes of text and %d of subject", ErrTooLong, content.MaxText, content.MaxSubject)
	case errors.Is(err, content.ErrUTF8):
		return c, ErrInvalidText
	}
	return c, err
}

// sentBefore finds an own message by its ID: sending is idempotent.
func (e *engine) sentBefore(ctx context.Context, id content.ID) (found *messageRecord, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		r, ok, err := getRecord[messageRecord](tx, tableMessage, id[:])
		if ok && r.Outgoing {
			found = &r
		} else if ok {
			return fmt.Errorf("%w: that ID is another person's message", ErrRefused)
		}
		return err
	})
	return found, err
}

// recipient returns the pinned contact, asking the server the first time.
func (e *engine) recipient(ctx context.Context, addr address.Address, refresh bool) (*person, error) {
	p, err := e.person(ctx, addr.String())
	if err != nil || (p != nil && !refresh) {
		return p, err
	}
	l, err := e.connected(ctx)
	if err != nil {
		return p, err
	}
	fresh, err := e.lookup(ctx, l, addr)
	if err != nil {
		return p, err
	}
	return fresh, nil
}

// enqueue commits a message to its conversation and the outbox, sealed if
// every device that is to have it already has a session. What travels is told,
// which is the message itself but for notes to oneself.
func (e *engine) enqueue(ctx context.Context, addr address.Address, p *person, c, told content.Content) (*messageRecord, error) {
	e.state.Lock()
	defer e.state.Unlock()
	now := e.now()
	r := e.outgoing(c, addr.String())
	o := &outboxRecord{
		ID: c.ID[:], To: addr.String(), Content: told.Encode(), TTL: seconds(c.TTL),
		Created: now.UnixMilli(),
	}
	before := e.lastOrder
	r.order = e.nextOrder()
	o.order = r.order
	var sealed map[peerKey]session.Pair
	met := false
	err := e.update(ctx, func(tx *vault.Tx) (err error) {
		if p != nil {
			// The list may have moved on since p was read.
			if p, err = e.readPerson(tx, addr.String()); err != nil {
				return err
			}
		}
		if p != nil {
			if e.isChecked() && !e.unsealed.before(o) { // else the outbox seals it (R-CLT-30, R-CLT-52)
				if sealed, err = e.seal(tx, o, p); err != nil {
					return err
				}
			}
			if met = !p.record.Known; met {
				p.record.Known = true
				if err := e.putContact(tx, p.record); err != nil {
					return err
				}
			}
			for _, d := range e.others(p) {
				r.Devices = append(r.Devices, deviceState{Device: uint64(d.ID), Status: string(StatusSending)})
			}
			r.sealedFor(o, now)
		}
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
	e.remember(sealed)
	e.unsealed.queued(o)
	if met {
		wake(e.owedKick) // what a stranger was not told (R-CLT-14)
	}
	return r, nil
}

func (e *engine) outgoing(c content.Content, to string) *messageRecord {
	r := &messageRecord{
		ID: c.ID[:], Conversation: to, From: e.self.record.Address, FromDevice: uint64(e.self.device), To: to,
		Outgoing: true, Kind: string(KindText), Text: c.Text.Text, Subject: c.Text.Subject,
		SentAt: c.SentAt.UnixMilli(), Status: string(StatusSending),
	}
	if !c.Text.ReplyTo.IsZero() {
		r.ReplyTo = c.Text.ReplyTo[:]
	}
	if len(c.Text.Signature) > 0 {
		r.Signature, r.Signed = c.Text.Signature, signatureValid
	}
	if c.TTL > 0 {
		r.ExpiresAt = c.SentAt.Add(c.TTL).UnixMilli()
	}
	return r
}

// sealOne seals one copy and writes the next state.
func (e *engine) sealOne(tx *vault.Tx, k peerKey, pair session.Pair, padded []byte) (session.Pair, sealedCopy, error) {
	s, err := pair.Seal(padded, e.now())
	if err != nil {
		return pair, sealedCopy{}, err
	}
	if e.probe != nil {
		e.probe.sealed(k, padded, s)
	}
	if err := storeChange(tx, k, s.Change); err != nil {
		return pair, sealedCopy{}, err
	}
	c := e.wrap(k, s.Initial, s.Message)
	c.at = positionOf(k, s.Session, s.At, e.now())
	return s.Next, c, e.record(tx, k.address, c.Envelope, c.at)
}

// wrap puts a sealed message into an envelope under a fresh id.
func (e *engine) wrap(k peerKey, initial, message []byte) sealedCopy {
	env := content.Envelope{
		From: e.self.address, Device: e.self.device, To: k.device, Initial: initial, Message: message,
	}
	id := content.NewID()
	return sealedCopy{Device: uint64(k.device), ID: id[:], Envelope: env.Encode()}
}

// noteToSelf keeps a message in one's own conversation, and tells one's other
// devices of it if there are any.
func (e *engine) noteToSelf(ctx context.Context, c content.Content, o SendOptions) (Message, error) {
	own, err := e.ownPerson(ctx)
	if err != nil {
		return Message{}, err
	}
	var r *messageRecord
	if len(e.others(own)) > 0 {
		told, err := content.NewSync(content.Sync{Sent: content.NewSent(own.record.Address, c, nil)}, c.SentAt)
		if err != nil {
			return Message{}, err
		}
		if r, err = e.enqueue(ctx, own.address, own, c, told); err != nil {
			return Message{}, err
		}
		return e.await(ctx, *r, o)
	}
	e.state.Lock()
	defer e.state.Unlock()
	r = e.outgoing(c, own.record.Address)
	r.Status = string(StatusAccepted)
	before := e.lastOrder
	r.order = e.nextOrder()
	err = e.update(ctx, func(tx *vault.Tx) error {
		if err := putLifetime(tx, r); err != nil {
			return err
		}
		return putMessage(tx, r)
	})
	if err != nil {
		e.lastOrder = before
		return Message{}, err
	}
	e.lives(r.ExpiresAt)
	return r.message(), nil
}

// await waits for what the server says of a message, unless told not to.
func (e *engine) await(ctx context.Context, r messageRecord, o SendOptions) (Message, error) {
	m := r.message()
	result := e.expect(r.ID)
	defer e.unexpect(r.ID, result)
	// The outcome may have come before the waiter was there.
	if done := e.settledAs(r.ID); done != nil {
		m.accepted(done)
		return m, nil
	}
	if !o.NoWait && m.Status == StatusSending && e.written(ctx, &m) {
		return m, nil
	}
	return e.outcome(ctx, m, o, result)
}

// expect makes the place where the outcome of an outbox entry is put, from
// before it can come; unexpect takes it away.
func (e *engine) expect(id []byte) chan outcome {
	result := make(chan outcome, 1)
	e.mu.Lock()
	e.waiters[string(id)] = result
	e.mu.Unlock()
	return result
}

func (e *engine) unexpect(id []byte, result chan outcome) {
	e.mu.Lock()
	if e.waiters[string(id)] == result {
		delete(e.waiters, string(id))
	}
	e.mu.Unlock()
}

// outcome waits for it, unless told not to.
func (e *engine) outcome(ctx context.Context, m Message, o SendOptions, result <-chan outcome) (Message, error) {
	if o.NoWait || m.Status != StatusSending {
		e.push()
		return m, nil
	}
	if _, err := e.connected(ctx); err != nil {
		return m, err
	}
	e.push()
	select {
	case got := <-result:
		if got.accepted != nil {
			m.accepted(got.accepted)
		}
		if got.failed {
			m.failed()
		}
		return m, got.err
	case <-ctx.Done():
		return m, ctx.Err()
	case <-e.life.Done():
		return m, errClosed
	}
}

// written reads the message as it is written down and reports whether it is
// decided.
func (e *engine) written(ctx context.Context, m *Message) bool {
	again, err := e.Message(ctx, m.ID)
	if err != nil {
		return false
	}
	*m = again
	return m.Status != StatusSending
}

// awaitStatus waits until an own message has come as far as q.Want or has
// failed. It keeps the connection up while it waits (R-CLT-20).
func (e *engine) awaitStatus(ctx context.Context, q awaitQuery) (Message, error) {
	if _, err := e.connected(ctx); errors.Is(err, ErrRolledBack) { // else the loop goes on trying
		m, _ := e.Message(ctx, q.ID)
		return m, err
	}
	for {
		news := e.watch()
		m, err := e.Message(ctx, q.ID)
		switch {
		case err != nil, m.Status.reached(q.Want):
			return m, err
		case m.Status == StatusFailed:
			return m, failure(m.Cause)
		case e.refusal() != nil:
			return m, e.refusal()
		case m.Group != "" && len(m.PerMember) == 0 && m.Status == StatusAccepted: // alone in a group
			return m, nil
		case m.To == e.self.record.Address: // a note to oneself has nobody to answer
			return m, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return m, ctx.Err()
		case <-e.life.Done():
			return m, errClosed
		}
	}
}

// failure is the error behind the cause of a failed message.
func failure(cause string) error {
	switch cause {
	case CauseExpired:
		return ErrUnreachable
	case CauseIdentityChanged:
		return ErrIdentityChanged
	case CauseDeviceList:
		return ErrDeviceList
	case CauseUnknown:
		return ErrUnknownRecipient
	case CauseLifetime:
		return ErrUnreachable // it would have left in time
	case CauseNotMember:
		return ErrNotMember
	case CauseGroupForked:
		return ErrGroupForked
	}
	return ErrRefused
}
