package client

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
)

// errEnough ends a scan early.
var errEnough = errors.New("client: enough")

func getMessage(tx *vault.Tx, id []byte) (m messageRecord, order int64, ok bool, err error) {
	row, ok, err := tx.Row(tableMessage, id)
	if err != nil || !ok {
		return m, 0, false, err
	}
	m, err = decodeMessage(row)
	return m, row.Order, err == nil, err
}

// Account implements API.
func (e *engine) Account() Account {
	r := e.self.record
	return Account{
		Address: r.Address, Device: e.self.device.String(), DeviceName: r.DeviceName, Server: r.Host,
		CreatedAt: time.Unix(r.Created, 0).UTC(), Identity: devicelist.Fingerprint(e.self.own.Account),
	}
}

// Sync implements API. A connection that turns out to be dead is replaced
// once: the server may just have come back.
func (e *engine) Sync(ctx context.Context) error {
	l, err := e.connected(ctx)
	if err != nil {
		return err
	}
	if err = e.catchUp(ctx, l); errors.Is(err, ErrUnreachable) && isClosed(l.failed) {
		if l, err = e.connected(ctx); err == nil {
			err = e.catchUp(ctx, l)
		}
	}
	return err
}

// takeWaiting takes what waits at the server.
func (e *engine) takeWaiting(ctx context.Context, l *link) error {
	select {
	case <-l.caught:
	case <-l.failed:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
	return e.fence(ctx, l)
}

// catchUp takes what waits at the server and lets the outbox try once.
func (e *engine) catchUp(ctx context.Context, l *link) error {
	if err := e.takeWaiting(ctx, l); err != nil {
		return err
	}
	if _, err := e.repair(ctx, l); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.log.Warn("a repair was put off", "reason", reason(err))
	}
	e.tend(ctx, l, true)
	e.push()
	return e.emptied(ctx)
}

// fence waits until everything that had reached the mailbox by now is taken.
func (e *engine) fence(ctx context.Context, l *link) error {
	last, err := l.conn.MailboxEnd(ctx)
	if errors.Is(err, relay.RateLimited) {
		return nil // asked very often: what is on its way comes by itself
	}
	if err != nil {
		return relayError(err)
	}
	for {
		news := e.watch()
		if l.taken.Load() >= last {
			return nil
		}
		select {
		case <-news:
		case <-l.failed:
			return l.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Receive implements API.
func (e *engine) Receive(ctx context.Context, consumer string, limit int) (out []Message, err error) {
	if err := e.expire(ctx); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 100
	}
	size := 0
	err = e.view(ctx, func(tx *vault.Tx) error {
		c, _, err := getRecord[consumerRecord](tx, tableMeta, consumerKey(consumer))
		if err != nil {
			return err
		}
		from := max(c.Acked, e.passed(consumer, 0))
		return scanMessages(tx, "", from+1, lastOrder, 0, false, func(m *messageRecord) error {
			if m.Outgoing || m.Past {
				if len(out) == 0 {
					e.passed(consumer, m.order)
				}
				return nil
			}
			out = append(out, m.message())
			if size += m.weight(); len(out) == limit || size > pageBytes {
				return errEnough
			}
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

// passed notes up to which order there is nothing for a consumer to receive
// beyond what it has acknowledged, so that own messages are not read again and
// again, and returns it.
func (e *engine) passed(consumer string, order int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nothing[consumer] = max(e.nothing[consumer], order)
	return e.nothing[consumer]
}

// Ack implements API: messages are acknowledged in order, so everything up to
// the latest of ids is.
func (e *engine) Ack(ctx context.Context, consumer string, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	owed := false
	err := e.update(ctx, func(tx *vault.Tx) error {
		c, _, err := getRecord[consumerRecord](tx, tableMeta, consumerKey(consumer))
		if err != nil {
			return err
		}
		before := c.Acked
		for _, s := range ids {
			id, err := content.ParseID(s)
			if err != nil {
				return &wrapped{ErrNotFound, err}
			}
			_, order, ok, err := getMessage(tx, id[:])
			if err != nil {
				return err
			}
			if !ok {
				return ErrNotFound
			}
			c.Acked = max(c.Acked, order)
		}
		if consumer == "" || consumer == defaultConsumer {
			if owed, err = e.readUpTo(tx, before, c.Acked); err != nil {
				return err
			}
		}
		return tx.Put(tableMeta, consumerKey(consumer), nil, 0, encodeRecord(c))
	})
	if err == nil && owed {
		wake(e.owedKick)
	}
	return err
}

// readUpTo owes read receipts for the texts that the default consumer has
// acknowledged, in the same transaction.
func (e *engine) readUpTo(tx *vault.Tx, from, to int64) (owed bool, err error) {
	var shown []messageRecord
	if from < to {
		err = scanMessages(tx, "", from+1, to, 0, false, func(m *messageRecord) error {
			if m.readable() {
				shown = append(shown, *m)
			}
			return nil
		})
	}
	if err != nil {
		return false, err
	}
	return e.oweRead(tx, shown)
}

// seenInHistory owes read receipts for texts that the history has shown before
// the default consumer took them, and notes that.
func (e *engine) seenInHistory(ctx context.Context, shown [][]byte) error {
	if len(shown) == 0 {
		return nil
	}
	owed := false
	err := e.update(ctx, func(tx *vault.Tx) error {
		var fresh []messageRecord
		for _, id := range shown {
			r, order, ok, err := getMessage(tx, id)
			if err != nil {
				return err
			}
			if !ok || !r.readable() {
				continue
			}
			fresh = append(fresh, r)
			r.order, r.Told = order, true
			if err := putMessage(tx, &r); err != nil {
				return err
			}
		}
		var err error
		owed, err = e.oweRead(tx, fresh)
		return err
	})
	if err == nil && owed {
		wake(e.owedKick)
	}
	return err
}

// Wait returns when the consumer has something to receive. It keeps the
// connection up while it waits.
func (e *engine) Wait(ctx context.Context, consumer string) error {
	_, _ = e.connected(ctx) // the loop goes on trying
	for {
		news := e.watch()
		if m, err := e.Receive(ctx, consumer, 1); err != nil || len(m) > 0 {
			return err
		}
		if err := e.refusal(); err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.life.Done():
			return errClosed
		}
	}
}

// Conversations implements API.
func (e *engine) Conversations(ctx context.Context) ([]Conversation, error) {
	if err := e.expire(ctx); err != nil {
		return nil, err
	}
	contacts, err := e.contactRecords(ctx)
	if err != nil {
		return nil, err
	}
	var all []Conversation
	for _, c := range contacts {
		p, err := c.live()
		if err != nil {
			return nil, err
		}
		all = append(all, Conversation{Peer: c.Address, Alias: c.Alias, Trust: p.trust()})
	}
	all = append(all, Conversation{Peer: e.self.record.Address, Trust: TrustVerified})
	inGroups, err := e.groupConversations(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, inGroups...)
	err = e.view(ctx, func(tx *vault.Tx) error {
		c, _, err := getRecord[consumerRecord](tx, tableMeta, consumerKey(""))
		if err != nil {
			return err
		}
		for i := range all {
			conv := &all[i]
			err := scanMessages(tx, conv.Peer, firstOrder, lastOrder, 1, true, func(m *messageRecord) error {
				conv.Last = m.message()
				return nil
			})
			if err != nil {
				return err
			}
			err = scanMessages(tx, conv.Peer, c.Acked+1, lastOrder, 0, false, func(m *messageRecord) error {
				if !m.Outgoing && !m.Elsewhere {
					conv.Unread++
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	all = slices.DeleteFunc(all, func(c Conversation) bool { return c.Last.ID == "" })
	slices.SortFunc(all, func(a, b Conversation) int { return b.Last.moment().Compare(a.Last.moment()) })
	return all, err
}

// moment is when a message entered this device's view.
func (m Message) moment() time.Time {
	if !m.ReceivedAt.IsZero() {
		return m.ReceivedAt
	}
	return m.SentAt
}

// pageBytes bounds one page of messages, by weight. Between processes a
// character may take six bytes, and a page must fit one frame of the local
// socket.
const pageBytes = 256 << 10

// weight is what a message adds to a page.
func (r *messageRecord) weight() int {
	return len(r.Text) + len(r.Subject) + len(r.RawBody) + 512
}

// History returns one page of History.
func (e *engine) History(ctx context.Context, q historyQuery) (page historyPage, err error) {
	if err := e.expire(ctx); err != nil {
		return page, err
	}
	with, err := e.conversation(ctx, q.With)
	if err != nil {
		return page, err
	}
	var fresh [][]byte // shown here before the default consumer has taken them
	err = e.view(ctx, func(tx *vault.Tx) error {
		to := int64(lastOrder)
		if q.Before != "" {
			id, err := content.ParseID(q.Before)
			if err != nil {
				return &wrapped{ErrNotFound, err}
			}
			_, order, ok, err := getMessage(tx, id[:])
			if err != nil {
				return err
			}
			if !ok {
				return ErrNotFound
			}
			to = order - 1
		}
		if p, err := e.readPerson(tx, with); err != nil {
			return err
		} else if p == nil && with != e.self.record.Address && !isGroupWord(with) {
			if n, err := tx.Count(tableMessage, []byte(with)); err != nil {
				return err
			} else if n == 0 {
				return ErrUnknownRecipient
			}
		}
		c, _, err := getRecord[consumerRecord](tx, tableMeta, consumerKey(""))
		if err != nil {
			return err
		}
		size := 0
		err = scanMessages(tx, with, firstOrder, to, max(q.Limit, 0), true, func(m *messageRecord) error {
			page.Messages = append(page.Messages, m.message())
			if m.order > c.Acked && m.readable() {
				fresh = append(fresh, m.ID)
			}
			if size += m.weight(); size > pageBytes {
				page.More = true
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return err
	})
	slices.Reverse(page.Messages)
	if err == nil {
		err = e.seenInHistory(ctx, fresh)
	}
	return page, err
}

// Message implements API.
func (e *engine) Message(ctx context.Context, id string) (m Message, err error) {
	if err := e.expire(ctx); err != nil {
		return m, err
	}
	parsed, err := content.ParseID(id)
	if err != nil {
		return m, &wrapped{ErrNotFound, err}
	}
	err = e.view(ctx, func(tx *vault.Tx) error {
		r, _, ok, err := getMessage(tx, parsed[:])
		if err == nil && !ok {
			err = ErrNotFound
		}
		if err == nil {
			m = r.message()
		}
		return err
	})
	return m, err
}

// Resolve implements API.
func (e *engine) Resolve(ctx context.Context, word string) (string, error) {
	if isGroupWord(word) {
		id, err := e.findGroup(ctx, word)
		if err != nil {
			return "", err
		}
		return groupName(id), nil
	}
	a, err := e.resolve(ctx, word)
	return a.String(), err
}

// Status implements API.
func (e *engine) Status(ctx context.Context) (StatusReport, error) {
	r := StatusReport{Account: e.Account(), Role: "owner", OwnerPID: os.Getpid()}
	var err error
	if r.Warnings, err = e.warnings(ctx); err != nil {
		return r, err
	}
	e.mu.Lock()
	r.Connected, r.LastContact, r.ClockOffset = e.link != nil, e.lastLive, e.offset
	if e.link == nil && e.lastErr != nil {
		r.LastError = reason(e.lastErr)
	}
	e.mu.Unlock()
	published, held, err := e.heldPrekeys(ctx)
	if err != nil {
		return r, err
	}
	r.OneTimeLeft = int(published.Left)
	if r.History, err = e.historyProgress(ctx); err != nil {
		return r, err
	}
	if r.HistoryGiven, err = e.historyGiven(ctx); err != nil {
		return r, err
	}
	for _, i := range held {
		if made := time.Unix(i.Created, 0).UTC(); i.Kind == prekeys.Signed && made.After(r.SignedPrekey) {
			r.SignedPrekey = made
		}
	}
	contacts, err := e.everybody(ctx)
	if err != nil {
		return r, err
	}
	e.state.Lock()
	defer e.state.Unlock()
	err = e.view(ctx, func(tx *vault.Tx) error {
		n, err := tx.Count(tableOutbox, nil)
		if err != nil {
			return err
		}
		r.Outbox = n
		c, _, err := getRecord[consumerRecord](tx, tableMeta, consumerKey(""))
		if err != nil {
			return err
		}
		err = scanMessages(tx, "", c.Acked+1, lastOrder, 0, false, func(m *messageRecord) error {
			if !m.Outgoing && !m.Past {
				r.Undelivered++
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, c := range contacts {
			p, err := c.live()
			if err != nil {
				return err
			}
			if p.pending != nil {
				r.Warnings = append(r.Warnings, "the identity of a contact has changed: "+c.Address)
			}
			for _, d := range p.list.Devices {
				pair, err := e.pair(tx, peerKey{c.Address, d.ID})
				if err != nil {
					return err
				}
				r.Sessions += len(pair.Sessions())
				for _, s := range pair.Sessions() {
					r.SkippedKeys += s.State.SkippedCount()
				}
			}
		}
		return nil
	})
	if r.ClockOffset.Abs() > 5*time.Minute {
		r.Warnings = append(r.Warnings, "this machine's clock differs from the server's by more than five minutes")
	}
	return r, err
}
