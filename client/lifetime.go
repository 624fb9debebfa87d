package client

import (
	"context"
	"math"

	"github.com/pawl-chat/pawl/internal/vault"
)

// A message with a lifetime loses its content when that is over: text, subject
// and the body of an unknown kind, here and at the recipient's devices. A
// placeholder stays in its conversation (R-CLT-22).

// expires reports whether a message's lifetime is over.
func (r *messageRecord) expires(now int64) bool { return r.ExpiresAt != 0 && r.ExpiresAt <= now }

// erase takes the content out of a record.
func (r *messageRecord) erase() {
	r.Text, r.Subject, r.RawBody, r.Expired = "", "", nil, true
	r.Signature, r.Signed = nil, 0
}

// putLifetime notes when a message is to be erased, in the transaction that
// stores it. The caller calls lives after the commit.
func putLifetime(tx *vault.Tx, r *messageRecord) error {
	if r.ExpiresAt == 0 || r.Expired {
		return nil
	}
	return tx.Put(tableExpiry, r.ID, nil, r.ExpiresAt, []byte{})
}

// lives notes the lifetime of a message that was committed.
func (e *engine) lives(until int64) {
	if until == 0 {
		return
	}
	e.mu.Lock()
	e.nextExpiry = min(e.nextExpiry, until)
	e.mu.Unlock()
}

// expire erases what is due. It runs before anything is shown and once a
// minute while there is a connection; with nothing due it looks at one number.
func (e *engine) expire(ctx context.Context) error {
	now := e.now().UnixMilli()
	e.mu.Lock()
	due := e.nextExpiry <= now
	if due {
		e.nextExpiry = math.MaxInt64 // whatever is committed from here on lowers it again
	}
	e.mu.Unlock()
	if !due {
		return nil
	}
	next, err := e.eraseUntil(ctx, now)
	if err != nil {
		next = 0
	}
	e.mu.Lock()
	e.nextExpiry = min(e.nextExpiry, next)
	e.mu.Unlock()
	return err
}

// eraseUntil erases what ended by now and returns when the next message does.
func (e *engine) eraseUntil(ctx context.Context, now int64) (next int64, err error) {
	next = math.MaxInt64
	var over [][]byte
	err = e.view(ctx, func(tx *vault.Tx) error {
		err := tx.Scan(tableExpiry, nil, firstOrder, now, 0, false, func(r vault.Row) error {
			over = append(over, r.Key)
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Scan(tableExpiry, nil, now+1, lastOrder, 1, false, func(r vault.Row) error {
			next = r.Order
			return nil
		})
	})
	if err != nil || len(over) == 0 {
		return next, err
	}
	e.state.Lock()
	var unsent [][]byte
	err = e.update(ctx, func(tx *vault.Tx) error {
		unsent = nil
		for _, id := range over {
			if _, err := tx.Delete(tableExpiry, id); err != nil {
				return err
			}
			r, order, ok, err := getMessage(tx, id)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if r.Outgoing { // the outbox holds the text, too
				waited, err := tx.Delete(tableOutbox, id)
				if err != nil {
					return err
				}
				if waited && !e.isSettled(id) && Status(r.Status) == StatusSending {
					r.Cause = CauseLifetime
					r.raiseAll(StatusFailed)
					unsent = append(unsent, id)
				}
			}
			r.order = order
			r.erase()
			if err := putMessage(tx, &r); err != nil {
				return err
			}
		}
		return nil
	})
	e.state.Unlock()
	if err != nil {
		return 0, err
	}
	for _, id := range unsent {
		e.tell(id, outcome{failed: true, err: failure(CauseLifetime)})
	}
	e.changed()
	return next, storeError(e.vault.Checkpoint(ctx))
}
