package client

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// This file keeps what the giving side knows of a history that was offered: who
// may have it, and how much of it that device was handed.

// metaOffer is the group of the offers.
var metaOffer = []byte("history-offer")

// offerRecord says that the person lets another device fetch the history, and
// how far that has come.
type offerRecord struct {
	Device   uint64 `cbor:"1,keyasint"`
	Next     uint64 `cbor:"2,keyasint,omitempty"` // the question that follows the last page
	Messages uint64 `cbor:"3,keyasint,omitempty"` // that were handed out
	Total    uint64 `cbor:"4,keyasint,omitempty"` // about how many there are
	Asked    int64  `cbor:"5,keyasint,omitempty"` // when it last asked, unix milliseconds
	Done     bool   `cbor:"6,keyasint,omitempty"` // it was given the last page
}

func offerKey(device address.Device) []byte {
	return binary.BigEndian.AppendUint64([]byte("history-offer/"), uint64(device))
}

func putOffer(tx *vault.Tx, o offerRecord) error {
	return tx.Put(tableMeta, offerKey(address.Device(o.Device)), metaOffer, 0, encodeRecord(o))
}

// offerHistory lets another device of this account fetch the history of this
// one (R-CLT-43). One that has already begun is left where it is.
func offerHistory(tx *vault.Tx, to address.Device) error {
	if _, ok, err := tx.Get(tableMeta, offerKey(to)); err != nil || ok {
		return err
	}
	return putOffer(tx, offerRecord{Device: uint64(to)})
}

// offeredTo reports whether a device may fetch the history: it was offered, or
// will be as soon as it is settled that the device has joined.
func offeredTo(tx *vault.Tx, device address.Device) (bool, error) {
	_, ok, err := tx.Get(tableMeta, offerKey(device))
	if err != nil || ok {
		return ok, err
	}
	a, _, err := getRecord[admitted](tx, tableMeta, admittedKey(device))
	return a.History, err
}

// handedOut notes a page, in the transaction that queues it. One that is made
// once more, because the device has asked once more, counts once (R-CLT-48).
func handedOut(tx *vault.Tx, to address.Device, page *content.HistoryPage, now time.Time) error {
	o, _, err := getRecord[offerRecord](tx, tableMeta, offerKey(to))
	if err != nil {
		return err
	}
	o.Device, o.Asked = uint64(to), now.UnixMilli()
	if page.From >= o.Next && !o.Done {
		o.Messages += uint64(len(page.Entries))
		o.Next, o.Total, o.Done = page.Next, page.Total, page.Next == 0
	}
	return putOffer(tx, o)
}

// historyGiven is what StatusReport says of the offers made here.
func (e *engine) historyGiven(ctx context.Context) (all []HistoryGiven, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableMeta, metaOffer, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			o, err := decodeRecord[offerRecord](r.Value)
			if err != nil {
				return err
			}
			g := HistoryGiven{
				Device: address.Device(o.Device).String(), Messages: int(o.Messages),
				Total: int(max(o.Total, o.Messages)), Done: o.Done,
			}
			if o.Done {
				g.Total = g.Messages // what is not handed out was counted before
			}
			if o.Asked != 0 {
				g.Asked = time.UnixMilli(o.Asked).UTC()
			}
			all = append(all, g)
			return nil
		})
	})
	return all, err
}
