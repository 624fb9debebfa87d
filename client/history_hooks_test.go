package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// ExpectHistory does to a fresh device what joining an account with the offer
// of another's history does.
func ExpectHistory(tb testing.TB, c, from API) {
	tb.Helper()
	e := c.(*Client).engine
	e.state.Lock()
	defer e.state.Unlock()
	err := e.update(context.Background(), func(tx *vault.Tx) error {
		if err := expectHistory(tx, from.(*Client).engine.self.device); err != nil {
			return err
		}
		var err error
		e.lastOrder, err = reserved(tx)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// OfferHistory lets to fetch the history of c.
func OfferHistory(tb testing.TB, c, to API) {
	tb.Helper()
	err := c.(*Client).engine.update(context.Background(), func(tx *vault.Tx) error {
		return offerHistory(tx, to.(*Client).engine.self.device)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Fill puts n texts from a person into the store, as if they had been received.
func Fill(tb testing.TB, c API, from string, n int) {
	tb.Helper()
	e := c.(*Client).engine
	e.state.Lock()
	defer e.state.Unlock()
	err := e.update(context.Background(), func(tx *vault.Tx) error {
		for i := range n {
			if err := putMessage(tx, e.received(from, i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	e.changed()
}

// received is the i-th text of somebody.
func (e *engine) received(from string, i int) *messageRecord {
	id := content.ID{1: 7}
	binary.BigEndian.PutUint32(id[8:], uint32(i)+1)
	return &messageRecord{
		ID: id[:], Conversation: from, From: from, FromDevice: 9, To: e.self.record.Address, Kind: string(KindText),
		Text: fmt.Sprintf("text %d", i), SentAt: 1_800_000_000_000 + int64(i), ReceivedAt: 1_800_000_000_500 + int64(i),
		Status: string(StatusReceived), order: e.nextOrder(),
	}
}

// batched does something as part of a batch of received messages.
func (e *engine) batched(fn func(w *work) error) error {
	e.state.Lock()
	defer e.state.Unlock()
	before := e.lastOrder
	err := e.update(context.Background(), func(tx *vault.Tx) error {
		w := &work{
			e: e, tx: tx, pairs: map[peerKey]session.Pair{}, changes: map[peerKey]*session.Change{},
			people: map[string]*person{}, owed: map[peerKey][]content.ID{},
		}
		if err := fn(w); err != nil {
			return err
		}
		return w.finish()
	})
	if err != nil {
		e.lastOrder = before
	}
	return err
}

// queued reads what waits for one's own devices.
func (e *engine) queued(tb testing.TB) (out []content.Sync, to []address.Device) {
	tb.Helper()
	all, err := e.outboxAfter(context.Background(), firstOrder)
	if err != nil {
		tb.Fatal(err)
	}
	for _, o := range all {
		if !o.Quiet {
			continue
		}
		c, err := content.Decode(o.Content)
		if err != nil {
			tb.Fatal(err)
		}
		out, to = append(out, c.Sync), append(to, address.Device(o.Only))
	}
	return out, to
}

// Refusals makes a device believe that it was refused so often.
func Refusals(tb testing.TB, c API, n int) {
	tb.Helper()
	err := c.(*Client).engine.update(context.Background(), func(tx *vault.Tx) error {
		h, _, err := getHistory(tx)
		if err != nil {
			return err
		}
		h.Refusals = uint64(n)
		return putHistory(tx, h)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// HomeOf is how c was opened.
func HomeOf(c API) Config { return c.(*Client).cfg }
