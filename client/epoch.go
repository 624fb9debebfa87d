package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/internal/vault"
)

// The state epoch (docs/design/state-epoch.md): this home and the server hold the same
// random value, which changes with every login. A home that was set back to an
// earlier state has an earlier value; of two copies of a home, the one that
// connects second has. The server refuses it before anything else happens, and
// this home stops (R-CLT-30).

// metaEpoch is the row of tableMeta that holds the epoch.
var metaEpoch = []byte("epoch")

// epochRecord is what this home knows of its epoch.
type epochRecord struct {
	Current []byte `cbor:"1,keyasint,omitempty"` // the server has confirmed it
	Next    []byte `cbor:"2,keyasint,omitempty"` // offered; whether the server took it is not known
	Refused int64  `cbor:"3,keyasint,omitempty"` // when the server last refused it, unix milliseconds; only told, never acted upon
}

func (r epochRecord) valid() bool {
	size := len(relay.Epoch{})
	return (len(r.Current) == 0 || len(r.Current) == size) && (len(r.Next) == 0 || len(r.Next) == size)
}

// epochOf turns a stored value into an epoch; none is zeros.
func epochOf(b []byte) (e relay.Epoch) {
	copy(e[:], b)
	return e
}

func readEpoch(tx *vault.Tx) (epochRecord, error) {
	r, _, err := getRecord[epochRecord](tx, tableMeta, metaEpoch)
	if err == nil && !r.valid() {
		err = ErrStoreDamaged
	}
	return r, err
}

func putEpoch(tx *vault.Tx, r epochRecord) error {
	return tx.Put(tableMeta, metaEpoch, nil, 0, encodeRecord(r))
}

// epochs moves the epoch of a home on, one login at a time.
type epochs struct {
	// commit runs a durable transaction of the home's store.
	commit func(context.Context, func(*vault.Tx) error) error
	// repeated is set by offer when the epoch was offered before.
	repeated bool
	offered  relay.Epoch
}

// offer returns what the next login says. A fresh epoch is durable before the
// server hears of it, and drawn only when the server has been reached: a home
// that lies about for days while it is offline, and is copied then, must not
// hold a value that the server is going to take (R-CLT-31). One that was offered
// before without an answer is offered again.
func (p *epochs) offer(ctx context.Context) (from, to relay.Epoch, err error) {
	err = p.commit(ctx, func(tx *vault.Tx) error {
		r, err := readEpoch(tx)
		if err != nil {
			return err
		}
		p.repeated = len(r.Next) > 0
		if !p.repeated {
			r.Next = make([]byte, len(relay.Epoch{}))
			rand.Read(r.Next)
			if err := putEpoch(tx, r); err != nil {
				return err
			}
		}
		from, to = epochOf(r.Current), epochOf(r.Next)
		return nil
	})
	p.offered = to
	return from, to, err
}

// taken writes down that the server has taken what was offered.
func (p *epochs) taken(ctx context.Context) error {
	return p.commit(ctx, func(tx *vault.Tx) error {
		return putEpoch(tx, epochRecord{Current: p.offered[:]})
	})
}

// logIn logs in and moves the epoch on. After a login whose epoch was offered
// before, it logs in once more to a fresh one: a copy that was made in between
// holds the same offer and would pass as well (R-CLT-31).
func (e *engine) logIn(ctx context.Context, l relayclient.Login) (*relayclient.Conn, error) {
	for {
		p := epochs{commit: e.update}
		l.Epoch = p.offer
		conn, err := relayclient.Dial(ctx, e.self.target(e.transport), l)
		if err != nil {
			return nil, relayError(err)
		}
		if err := p.taken(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		if !p.repeated {
			return conn, nil
		}
		conn.Close()
	}
}

// refusal returns why nothing goes to the server any more, or nil (R-CLT-32).
func (e *engine) refusal() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refused
}

// isChecked reports whether this process has logged in: until then the states
// in the store may be old, and nothing is sealed with them (R-CLT-30).
func (e *engine) isChecked() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.checked
}

// rolledBack explains a refused epoch: all that is known is that this home and
// the server do not hold the same.
func rolledBack() error {
	return fmt.Errorf("%w: it was restored from an earlier copy or snapshot, or a copy of it has been at the server since, "+
		"or the server is wrong; nothing was sent", ErrRolledBack)
}

// noteRefused writes down that the epoch was refused, for later processes to
// tell.
func (e *engine) noteRefused(ctx context.Context) {
	err := e.update(ctx, func(tx *vault.Tx) error {
		r, err := readEpoch(tx)
		if err != nil {
			return err
		}
		r.Refused = e.now().UnixMilli()
		return putEpoch(tx, r)
	})
	if err != nil {
		e.log.Error("the refusal could not be written down", "reason", reason(err))
	}
}

// warnings is what a status says about it, also in a process that has not
// connected.
func (e *engine) warnings(ctx context.Context) (all []string, err error) {
	var r epochRecord
	err = e.view(ctx, func(tx *vault.Tx) (err error) {
		r, err = readEpoch(tx)
		return err
	})
	if e.refusal() != nil || r.Refused != 0 {
		all = append(all, "the server has refused this home: it was restored from an earlier copy or snapshot, or a copy of it is in use elsewhere, "+
			"or the server is wrong; `pawl device relink` goes on as a new device, with the history")
	}
	return all, err
}

// openDeferred opens what is held for identities that were accepted while it
// was not known whether this home is the latest: opening may seal an answer.
func (e *engine) openDeferred(ctx context.Context) error {
	n := 0
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		n, err = tx.Count(tableHeld, nil)
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	contacts, err := e.contactRecords(ctx)
	for _, c := range contacts {
		if err == nil && len(c.Pending) == 0 {
			err = e.openHeld(ctx, c.Address)
		}
	}
	return err
}

// unfinished reports whether a relink was begun in this home and not finished.
func (e *engine) unfinished(ctx context.Context) (begun bool) {
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		_, begun, err = tx.Get(tableMeta, metaRelink)
		return err
	})
	return err == nil && begun
}

// loginError is what a failed login means to this home.
func (e *engine) loginError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, relay.RolledBack):
		e.noteRefused(ctx)
		return rolledBack()
	case errors.Is(err, ErrRevoked) && e.unfinished(ctx):
		return &wrapped{ErrRolledBack, fmt.Errorf("joining the account again was begun and not finished: %w", err)}
	}
	return err
}
