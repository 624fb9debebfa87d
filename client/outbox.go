package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

// outboxLoop sends what waits whenever there is a connection and something
// new: in order for each recipient, and again after what the server asked to
// wait or a reconnect.
func (e *engine) outboxLoop() {
	var timer <-chan time.Time
	for {
		select {
		case <-e.life.Done():
			return
		case <-e.flushKick:
		case <-timer:
		}
		e.mu.Lock()
		e.begun++
		l, err := e.link, e.lastErr
		e.mu.Unlock()
		if l == nil {
			if err != nil {
				e.tellAll(err)
			}
			if err := e.expireOutbox(e.life); err != nil && e.life.Err() == nil {
				e.log.Error("the outbox could not be read", "reason", reason(err))
			}
			e.roundEnded()
			continue
		}
		again, err := e.flush(e.life, l)
		if err != nil && e.life.Err() == nil {
			e.log.Info("the outbox waits", "reason", reason(err))
			e.tellAll(err)
			again = earliest(again, e.now().Add(pause(QuickTries))) // if the connection outlives it
		}
		timer = nil
		if !again.IsZero() {
			timer = time.After(max(again.Sub(e.now()), 50*time.Millisecond))
		}
		if err := e.writeSettled(e.life); err != nil && e.life.Err() == nil {
			e.log.Error("statuses could not be written", "reason", reason(err))
		}
		e.roundEnded()
	}
}

func (e *engine) roundEnded() {
	e.mu.Lock()
	e.ended = e.begun
	e.mu.Unlock()
	e.changed()
}

// emptied waits until the outbox has tried everything that is due once, in a
// round that begins now or later.
func (e *engine) emptied(ctx context.Context) error {
	e.mu.Lock()
	round := e.begun + 1
	e.mu.Unlock()
	wake(e.flushKick)
	for {
		news := e.watch()
		e.mu.Lock()
		done := e.ended >= round
		e.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-news:
		case <-e.life.Done():
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// flush tries every entry that is due once and says when to come back.
func (e *engine) flush(ctx context.Context, l *link) (again time.Time, err error) {
	pushed := e.takePush()
	held := map[string]bool{} // lanes with an earlier entry that must wait
	var last int64 = firstOrder
	for {
		entries, err := e.outboxAfter(ctx, last)
		if err != nil || len(entries) == 0 {
			return again, err
		}
		for i := range entries {
			o := &entries[i]
			last = o.order
			if e.isSettled(o.ID) || held[o.To] || held[o.lane()] {
				continue
			}
			now := e.now()
			if due := o.due(pushed); due.After(now) {
				held[o.lane()] = true
				again = earliest(again, due)
				continue
			}
			if e.overdue(o) {
				if err := e.fail(ctx, o, CauseExpired, ErrUnreachable); err != nil {
					return again, err
				}
				continue
			}
			if o.TTL > 0 && now.Sub(time.UnixMilli(o.Created)) >= time.Duration(o.TTL)*time.Second {
				if err := e.fail(ctx, o, CauseLifetime, failure(CauseLifetime)); err != nil {
					return again, err
				}
				continue
			}
			wait, err := e.deliver(ctx, l, o)
			var refusal *relay.Error
			if errors.As(err, &refusal) {
				// It answered, and cannot for now: no new connection will say when.
				wait, err = e.postpone(ctx, o, err)
			}
			if err != nil {
				return again, err
			}
			if wait > 0 {
				held[o.lane()] = true
				again = earliest(again, now.Add(wait))
			}
		}
		if len(entries) < outboxPage {
			return again, nil // whoever adds to it wakes the next round
		}
	}
}

// expireOutbox fails what has been tried for too long, also while there is no
// connection.
func (e *engine) expireOutbox(ctx context.Context) error {
	entries, err := e.outboxAfter(ctx, firstOrder)
	for i := range entries {
		o := &entries[i]
		if !e.overdue(o) || e.isSettled(o.ID) {
			continue
		}
		if err := e.fail(ctx, o, CauseExpired, ErrUnreachable); err != nil {
			return err
		}
	}
	return err
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// outboxPage is how many entries are read at a time.
const outboxPage = 64

func (e *engine) outboxAfter(ctx context.Context, after int64) (out []outboxRecord, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableOutbox, nil, after+1, lastOrder, outboxPage, false, func(r vault.Row) error {
			o, err := decodeRecord[outboxRecord](r.Value)
			o.order = r.Order
			out = append(out, o)
			return err
		})
	})
	return out, err
}

// Causes of own messages that failed, as Message.Cause carries them.
const (
	CauseExpired         = "expired"
	CauseIdentityChanged = "identity_changed"
	CauseUnknown         = "unknown_recipient"
	CauseRefused         = "refused"
	CauseLifetime        = "lifetime" // over before it could leave
	CauseDeviceList      = "device_list"
	CauseNotMember       = "not_member"
	CauseGroupForked     = "group_forked"
)

// deliver hands one entry to the server. It returns how long to wait before
// trying again, or an error that concerns the whole connection.
func (e *engine) deliver(ctx context.Context, l *link, o *outboxRecord) (wait time.Duration, err error) {
	if o.toGroup() {
		return e.deliverGroup(ctx, l, o)
	}
	const repairs = 6 // device lists that change under our hands
	stale := false
	for range repairs {
		if len(o.Sealed) == 0 || stale {
			err := e.prepare(ctx, l, o)
			if errors.Is(err, errMeanwhile) {
				continue
			}
			if err != nil {
				return e.undeliverable(ctx, o, err)
			}
		}
		res, err := l.conn.Send(ctx, o.request())
		switch {
		case err == nil && res.Stale == nil:
			e.settle(o, &res)
			return 0, nil
		case err == nil && (o.Control || o.Only != 0):
			return 0, e.drop(ctx, o) // the device it was for is gone
		case err == nil:
			stale = true
			if err := e.catchUpList(ctx, l, o, res.Stale); err != nil {
				return e.undeliverable(ctx, o, err)
			}
		default:
			return e.undeliverable(ctx, o, relayError(err))
		}
	}
	return e.postpone(ctx, o, ErrRefused)
}

// undeliverable decides about an entry that did not get to the server: it has
// failed for good, or waits; or the error concerns the whole connection.
func (e *engine) undeliverable(ctx context.Context, o *outboxRecord, err error) (wait time.Duration, _ error) {
	for _, f := range []struct {
		is    error
		cause string
	}{
		{ErrIdentityChanged, CauseIdentityChanged}, {ErrDeviceList, CauseDeviceList},
		{ErrUnknownRecipient, CauseUnknown}, {ErrTooLong, CauseRefused}, {ErrRefused, CauseRefused},
	} {
		if errors.Is(err, f.is) {
			return 0, e.fail(ctx, o, f.cause, err)
		}
	}
	if errors.Is(err, ErrRateLimited) || errors.Is(err, ErrMailboxFull) {
		return e.postpone(ctx, o, err)
	}
	return 0, err
}

// ensureSession starts a session with a device that has none: one bundle from
// the server, verified, and the handshake committed before anything is sealed.
func (e *engine) ensureSession(ctx context.Context, l *link, p *person, k peerKey) error {
	return e.startSession(ctx, l, p, k, false)
}

// startSession is ensureSession and, with again, a new session beside one that
// is there (R-CLT-36): a session that the device has not answered carries the
// handshake itself and needs none; one that it has answered gives way only to
// one that rests on one-time keys.
func (e *engine) startSession(ctx context.Context, l *link, p *person, k peerKey, again bool) error {
	defer e.contactMu.lock(string(k.bytes()))()
	e.state.Lock()
	var pair session.Pair
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		pair, err = e.pair(tx, k)
		return err
	})
	e.state.Unlock()
	if err != nil || !e.startable(pair, again) {
		return err
	}
	device, ok := p.list.Device(k.device)
	if !ok {
		return ErrUnknownRecipient
	}
	raw, err := l.conn.TakeBundle(ctx, p.address.User(), k.device)
	if err != nil {
		return relayError(err)
	}
	bundle, err := prekeys.ParseBundle(raw)
	if err != nil {
		return &wrapped{ErrRefused, err}
	}
	offer, err := bundle.Verify(p.party(device), device.Sign, e.now())
	if err != nil {
		return &wrapped{ErrRefused, err}
	}
	started, err := x3dh.Initiate(&e.self.own, &offer)
	if err != nil {
		return &wrapped{ErrRefused, err}
	}
	e.state.Lock()
	defer e.state.Unlock()
	var next session.Pair
	err = e.update(ctx, func(tx *vault.Tx) error {
		pair, err := e.pair(tx, k)
		if err != nil {
			return err
		}
		if pair.Ready(e.now()) {
			next = pair
			if !e.startable(pair, again) {
				return nil // the other side has begun one meanwhile, or this one has
			}
			if started.Strength.Reusable() {
				return errWeaker
			}
			if err := e.putNotice(tx, k.address, notice{kind: NoticeSessionReset}); err != nil {
				return err
			}
			e.log.Info("the active session with a device was switched", "new", true)
		}
		var ch session.Change
		if next, ch, err = pair.Begin(started, e.now()); err != nil {
			return err
		}
		if started.Strength.Reusable() { // R-CLT-24
			if err := e.putNotice(tx, k.address, notice{kind: NoticeLastResort}); err != nil {
				return err
			}
		}
		return (&work{e: e, tx: tx}).write(k, ch)
	})
	if err == nil {
		e.remember(map[peerKey]session.Pair{k: next})
	}
	return err
}

// errWeaker: a new session would rest on a last-resort key, and the one that is
// there does not have to.
var errWeaker = fmt.Errorf("%w: there is no one-time key for a new session", ErrRefused)

func (e *engine) startable(pair session.Pair, again bool) bool {
	return !pair.Ready(e.now()) || again && pair.Active().Answered
}

// postpone puts an entry off and tells its sender why.
func (e *engine) postpone(ctx context.Context, o *outboxRecord, cause error) (time.Duration, error) {
	wait := o.putOff(e.now(), cause)
	err := e.update(ctx, func(tx *vault.Tx) error { return putOutbox(tx, o) })
	e.tell(o.ID, outcome{err: cause})
	return wait, err
}

// settle notes that the server has an entry, and which devices it has left out
// (R-CLT-51). The caller that waits is told at once; the outbox row goes with the
// next write, and if that is lost the server sees the same ids again.
func (e *engine) settle(o *outboxRecord, res *relay.SendResult) {
	s := settledMessage{id: o.ID, control: o.Control || o.Quiet, full: numbers(res.Full), ownFull: numbers(res.OwnFull)}
	if o.To == e.self.record.Address {
		s.ownFull = s.full
	}
	for _, c := range o.Sealed {
		s.devices = append(s.devices, c.Device)
	}
	if len(s.full)+len(s.ownFull) > 0 {
		e.log.Info("devices whose mailboxes are full were left out", "theirs", len(s.full), "own", len(s.ownFull))
	}
	e.mu.Lock()
	e.settled = append(e.settled, s)
	e.mu.Unlock()
	e.tell(o.ID, outcome{accepted: &s})
}

func numbers(devices []address.Device) (out []uint64) {
	for _, d := range devices {
		out = append(out, uint64(d))
	}
	return out
}

func (e *engine) isSettled(id []byte) bool { return e.settledAs(id) != nil }

// settledAs is what the server has said of an entry, if that is not written
// down yet.
func (e *engine) settledAs(id []byte) *settledMessage {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.settled {
		if string(s.id) == string(id) {
			return &s
		}
	}
	return nil
}

// writeSettled writes down what the server has accepted.
func (e *engine) writeSettled(ctx context.Context) error {
	// One at a time: the outbox and whoever hands out keys may both be here.
	e.state.Lock()
	defer e.state.Unlock()
	e.mu.Lock()
	settled := e.settled
	e.mu.Unlock()
	if len(settled) == 0 {
		return nil
	}
	err := e.update(ctx, func(tx *vault.Tx) error {
		for _, s := range settled {
			if _, err := tx.Delete(tableOutbox, s.id); err != nil {
				return err
			}
			if s.control {
				continue
			}
			if err := setAccepted(tx, &s, e.now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.mu.Lock()
		e.settled = e.settled[len(settled):]
		e.mu.Unlock()
		e.changed()
	}
	return err
}

// fail ends an entry for good; the message stays in the conversation as
// failed, with its cause.
func (e *engine) fail(ctx context.Context, o *outboxRecord, cause string, why error) error {
	if o.Control || o.Quiet {
		err := e.drop(ctx, o)
		e.tell(o.ID, outcome{failed: true, err: why})
		return err
	}
	e.state.Lock()
	defer e.state.Unlock()
	err := e.update(ctx, func(tx *vault.Tx) error {
		if _, err := tx.Delete(tableOutbox, o.ID); err != nil {
			return err
		}
		return setFailed(tx, o.ID, cause)
	})
	if err != nil {
		return err
	}
	e.tell(o.ID, outcome{failed: true, err: why})
	e.changed()
	return nil
}

func (e *engine) drop(ctx context.Context, o *outboxRecord) error {
	return e.update(ctx, func(tx *vault.Tx) error {
		_, err := tx.Delete(tableOutbox, o.ID)
		return err
	})
}

// tell passes an outcome to the caller that waits for it, if one does.
func (e *engine) tell(id []byte, o outcome) {
	e.mu.Lock()
	w := e.waiters[string(id)]
	delete(e.waiters, string(id))
	e.mu.Unlock()
	if w != nil {
		w <- o
	}
}

// tellAll tells everyone who waits that the connection is not there; their
// messages stay queued.
func (e *engine) tellAll(err error) {
	e.mu.Lock()
	waiters := e.waiters
	e.waiters = map[string]chan outcome{}
	e.mu.Unlock()
	for _, w := range waiters {
		w <- outcome{err: err}
	}
}
