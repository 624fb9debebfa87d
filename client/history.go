package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// A device that has joined the account can fetch the messages of the one that
// let it in, if the person has offered that: page by page, each asked for and
// each stored in one transaction with the question for the next (R-CLT-40).
// This file is the side that fetches; history_page.go makes and takes pages.

// metaHistory is where a device keeps how far its copy of the history has come.
var metaHistory = []byte("history")

// historyRecord is that.
type historyRecord struct {
	Device   uint64 `cbor:"1,keyasint"` // that offers its history
	Next     uint64 `cbor:"2,keyasint"` // the position to ask for
	Total    uint64 `cbor:"3,keyasint"` // about how many messages there are
	Messages uint64 `cbor:"4,keyasint"` // that have come
	Done     bool   `cbor:"5,keyasint"`
	Last     int64  `cbor:"6,keyasint"`            // order of the last one that was new here
	Top      int64  `cbor:"7,keyasint"`            // orders below are the history's
	Tries    uint64 `cbor:"8,keyasint,omitempty"`  // questions since a page came
	Refusals uint64 `cbor:"9,keyasint,omitempty"`  // answers since then that held nothing
	After    int64  `cbor:"10,keyasint,omitempty"` // not to be asked again before, unix milliseconds
}

func getHistory(tx *vault.Tx) (historyRecord, bool, error) {
	return getRecord[historyRecord](tx, tableMeta, metaHistory)
}

func putHistory(tx *vault.Tx, h historyRecord) error {
	return tx.Put(tableMeta, metaHistory, nil, 0, encodeRecord(h))
}

// expectHistory notes that another device lets this one fetch its history. It
// runs before the account is at work here. What is received from then on comes
// after the history, whenever that arrives: the orders in between are kept free
// for it (R-CLT-42).
func expectHistory(tx *vault.Tx, from address.Device) error {
	var last int64
	for _, t := range []vault.Table{tableMessage, tableOutbox} {
		n, _, err := tx.MaxOrder(t, nil)
		if err != nil {
			return err
		}
		last = max(last, n)
	}
	old, _, err := getHistory(tx)
	if err != nil {
		return err
	}
	last = max(last, old.Top)
	h := historyRecord{Device: uint64(from), Last: last, Top: (last/HistoryOrders + 1) * HistoryOrders}
	if n, err := tx.Count(tableMessage, nil); err != nil {
		return err
	} else if n == 0 {
		if err := tx.Put(tableMeta, consumerKey(""), nil, 0, encodeRecord(consumerRecord{Acked: h.Top})); err != nil {
			return err
		}
	}
	return putHistory(tx, h)
}

// reserved is the highest order that is not for what happens on this device.
func reserved(tx *vault.Tx) (int64, error) {
	h, _, err := getHistory(tx)
	return h.Top, err
}

// progress is what a person is told.
func (h historyRecord) progress(offered bool) HistoryProgress {
	return HistoryProgress{Offered: offered, Messages: int(h.Messages), Total: int(max(h.Total, h.Messages)), Done: h.Done}
}

// ask queues the question for the next page. The caller holds state and writes
// h.
func (e *engine) askHistory(tx *vault.Tx, h *historyRecord) error {
	h.After = e.now().Add(historyPause(h.Tries)).UnixMilli()
	h.Tries++
	return e.tellOwn(tx, content.Sync{Ask: &content.HistoryAsk{From: h.Next, Limit: content.MaxPageEntries}}, address.Device(h.Device))
}

// historyPause is how long a page is waited for after so many questions: a
// device that is away finds a few of them when it comes back, not thousands.
func historyPause(tries uint64) time.Duration {
	return min(HistoryPatience<<min(tries, 16), time.Hour)
}

// FetchHistory implements API (R-CLT-41). Pages are taken whenever there is a
// connection; this sees to it that there is one and that a page which does not
// come is asked for again.
func (e *engine) FetchHistory(ctx context.Context) error {
	var h historyRecord
	var offered bool
	look := func(tx *vault.Tx) (err error) {
		h, offered, err = getHistory(tx)
		return err
	}
	if err := e.view(ctx, look); err != nil {
		return err
	}
	if !offered {
		return fmt.Errorf("%w: no device has offered its history to this one", ErrRefused)
	}
	if h.Done {
		return nil
	}
	if _, err := e.connected(ctx); err != nil {
		return err
	}
	once := h.Refusals >= HistoryRefusals // asked again by the person: one more try
	for {
		news := e.watch()
		if err := e.view(ctx, look); err != nil || h.Done {
			return err
		}
		if h.Refusals >= HistoryRefusals && !once {
			return fmt.Errorf("%w: the other device does not hand out its history", ErrRefused)
		}
		if err := e.cutOff(); err != nil {
			return err
		}
		wait := time.UnixMilli(h.After).Sub(e.now())
		if wait <= 0 || once {
			if err := e.askAgain(ctx, &h); err != nil {
				return err
			}
			once = false
			continue
		}
		t := time.NewTimer(wait + rand.N(time.Second))
		select {
		case <-news:
		case <-t.C:
		case <-ctx.Done():
		case <-e.life.Done():
		}
		t.Stop()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case e.life.Err() != nil:
			return errClosed
		}
	}
}

// cutOff is why there is no connection and will be none soon. The loop that
// keeps it goes on trying for everything else.
func (e *engine) cutOff() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link != nil || e.lastErr == nil || errors.Is(e.lastErr, ErrUnreachable) || errors.Is(e.lastErr, ErrRateLimited) {
		return nil
	}
	return e.lastErr
}

// askAgain asks for the page that has not come.
func (e *engine) askAgain(ctx context.Context, seen *historyRecord) error {
	e.state.Lock()
	before := e.lastOrder
	err := e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = before
		h, _, err := getHistory(tx)
		if err != nil || h.Done || h.Next != seen.Next {
			return err // a page has just come
		}
		h.Refusals = min(h.Refusals, HistoryRefusals-1)
		if err := e.askHistory(tx, &h); err != nil {
			return err
		}
		return putHistory(tx, h)
	})
	if err != nil {
		e.lastOrder = before
	}
	e.state.Unlock()
	e.push()
	return err
}

// historyProgress is what StatusReport says.
func (e *engine) historyProgress(ctx context.Context) (p HistoryProgress, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		h, offered, err := getHistory(tx)
		p = h.progress(offered)
		return err
	})
	return p, err
}
