package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/linking"
	"github.com/pawl-chat/pawl/internal/vault"
)

type approveQuery struct {
	URI     string
	Options ApproveOptions
}

var callApprove = method[approveQuery, Device]{"approve", func(ctx context.Context, e *engine, q approveQuery) (Device, error) {
	return e.Approve(ctx, q.URI, q.Options)
}}

// Approve implements API.
func (c *Client) Approve(ctx context.Context, uri string, o ApproveOptions) (Device, error) {
	return run(ctx, c, callApprove, approveQuery{uri, o})
}

// admitted is a device that was given an entry and of which the list does not
// tell yet: what it is to be sent once it does.
type admitted struct {
	Device  uint64 `cbor:"1,keyasint"`
	History bool   `cbor:"2,keyasint"`
	At      int64  `cbor:"3,keyasint"` // unix milliseconds
}

var metaAdmitted = []byte("admitted") // group of its rows

// admittedFor is how long a device may take to appear in the list.
const admittedFor = 24 * time.Hour

func admittedKey(d address.Device) []byte {
	return binary.BigEndian.AppendUint64([]byte("admitted/"), uint64(d))
}

// Approve lets the device that shows the URI into this account (R-LNK-09). It
// returns when the device is on the list; what it was promised is queued.
func (e *engine) Approve(ctx context.Context, uri string, o ApproveOptions) (Device, error) {
	return e.approve(ctx, uri, o, nil)
}

func (e *engine) approve(ctx context.Context, uri string, o ApproveOptions, s steps) (Device, error) {
	if e.self.account == nil {
		return Device{}, ErrNoAccountKey
	}
	l, err := linking.ParseURI(uri)
	if err == nil {
		err = l.CheckTime(e.now())
	}
	if err != nil {
		return Device{}, linkError(err)
	}
	conn, err := e.connected(ctx)
	if err != nil {
		return Device{}, err
	}
	own, err := e.lookup(ctx, conn, e.self.address)
	if err != nil {
		return Device{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	raw, offer, err := e.reach(ctx, l)
	if err != nil {
		return Device{}, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	s.done("reached")
	ch, err := linking.Hail(linking.Frames(raw), l, offer, linking.Hello{
		Chain: own.record.Chain, Host: e.self.record.Host, Pin: e.self.record.Pin, Device: e.self.device, History: o.History,
	})
	if err != nil {
		return Device{}, e.lostDevice(ctx, err)
	}
	s.done("hailed")
	var part linking.Join
	if err := ch.Receive(&part); err != nil {
		return Device{}, e.lostDevice(ctx, err)
	}
	s.done("answered")
	held := len(own.record.Chain)
	for range maxListTries {
		entry, err := e.admit(own, offer, part)
		if err != nil {
			reason := linking.Failed
			if errors.Is(err, ErrTooManyDevices) {
				reason = linking.Full
			}
			ch.Send(&linking.Refusal{Reason: reason})
			return Device{}, err
		}
		if err := e.noteAdmitted(ctx, part.Device, o.History); err != nil {
			return Device{}, err
		}
		s.done("noted")
		err = ch.Send(&linking.Entry{Lacking: own.record.Chain[held:], Entry: entry})
		held = len(own.record.Chain)
		s.done("signed")
		var outcome linking.Outcome
		if err == nil {
			err = ch.Receive(&outcome)
		}
		s.done("heard")
		// The server knows, whatever the device said or could not say.
		fresh, asked := e.joined(ctx, conn, part.Device, err)
		if asked == nil {
			own = fresh
			if d, ok := own.list.Device(part.Device); ok {
				if err := e.settleAdmitted(ctx, own, e.now()); err != nil {
					e.log.Warn("what a new device is owed was put off", "reason", reason(err))
				}
				s.done("settled")
				return deviceOf(d, e.self.device), nil
			}
		}
		switch {
		case err != nil:
			return Device{}, e.lostDevice(ctx, err)
		case asked != nil:
			return Device{}, asked
		case outcome.Result == linking.Done:
			return Device{}, fmt.Errorf("%w: the server does not show the device that says it has joined", ErrDeviceList)
		}
	}
	ch.Send(&linking.Refusal{Reason: linking.Failed})
	return Device{}, fmt.Errorf("%w: the account's device list keeps changing", ErrUnreachable)
}

// joined asks the server for the list. When the new device has fallen silent it
// may be about to join, so the question is put again.
func (e *engine) joined(ctx context.Context, l *link, d address.Device, lost error) (own *person, err error) {
	refused := new(linking.Refusal)
	for tries := range 4 {
		own, err = e.lookup(ctx, l, e.self.address)
		if err != nil || lost == nil || errors.As(lost, &refused) {
			return own, err
		}
		if _, ok := own.list.Device(d); ok {
			return own, nil
		}
		t := time.NewTimer(time.Duration(tries+1) * 200 * time.Millisecond)
		select {
		case <-t.C:
		case <-l.failed:
		case <-ctx.Done():
		}
		t.Stop()
	}
	return own, err
}

// lostDevice is the error of a new device that is gone, or speaks out of turn.
func (e *engine) lostDevice(ctx context.Context, err error) error {
	err = linkError(err)
	if errors.Is(err, ErrRefused) || errors.Is(err, ErrTooManyDevices) || errors.Is(err, ErrUnreachable) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the other device has not answered in time: %w", ErrUnreachable, ctx.Err())
	}
	return fmt.Errorf("%w: the other device has gone away before it had joined", ErrUnreachable)
}

// admit signs the entry that lets a device in.
func (e *engine) admit(own *person, o linking.Offer, part linking.Join) ([]byte, error) {
	draft, err := linking.Draft(own.list, o, part, e.now())
	if err != nil {
		return nil, linkError(err)
	}
	size := 0
	for _, entry := range own.record.Chain {
		size += len(entry)
	}
	entry, err := linking.Sign(draft, e.self.account)
	if err == nil && (len(own.record.Chain) >= MaxChain || size+len(entry) > MaxChainBytes) {
		return nil, fmt.Errorf("%w: the device list is too long", ErrRefused)
	}
	return entry, linkError(err)
}

// reach connects to the device that waits.
func (e *engine) reach(ctx context.Context, l linking.Link) (io.ReadWriteCloser, linking.Offer, error) {
	if l.Meet.Host == "" {
		return reachDirect(ctx, e.transport, l)
	}
	return e.reachServer(ctx, l)
}

func deviceOf(d devicelist.Device, current address.Device) Device {
	return Device{
		ID: d.ID.String(), Name: d.Name, Current: d.ID == current,
		Revoked: d.Status == devicelist.Revoked, AddedAt: time.Unix(d.AddedAt, 0).UTC(),
	}
}

// noteAdmitted makes durable what a device is owed that may join from now on.
func (e *engine) noteAdmitted(ctx context.Context, d address.Device, history bool) error {
	return e.update(ctx, func(tx *vault.Tx) error {
		at := e.now().UnixMilli()
		r := admitted{Device: uint64(d), History: history, At: at}
		return tx.Put(tableMeta, admittedKey(d), metaAdmitted, at, codec.Marshal(r))
	})
}

// admittedRows reads the devices that are owed something.
func admittedRows(tx *vault.Tx) (all []admitted, err error) {
	err = tx.Scan(tableMeta, metaAdmitted, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
		a, err := decodeRecord[admitted](r.Value)
		all = append(all, a)
		return err
	})
	return all, err
}

// mendAdmitted gives devices what they are owed that joined while nobody here
// listened: an approval was cut short (R-LNK-14).
func (e *engine) mendAdmitted(ctx context.Context, l *link, now time.Time) error {
	var waiting []admitted
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		waiting, err = admittedRows(tx)
		return err
	})
	if err != nil || len(waiting) == 0 {
		return err
	}
	own, err := e.lookup(ctx, l, e.self.address)
	if err != nil {
		return err
	}
	return e.settleAdmitted(ctx, own, now)
}

// settleAdmitted queues for devices that have joined what they are owed, and
// forgets those that did not in time.
func (e *engine) settleAdmitted(ctx context.Context, own *person, now time.Time) error {
	e.state.Lock()
	defer e.state.Unlock()
	before := e.lastOrder
	err := e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = before
		waiting, err := admittedRows(tx)
		if err != nil {
			return err
		}
		for _, a := range waiting {
			id := address.Device(a.Device)
			d, listed := own.list.Device(id)
			if !listed && now.Sub(time.UnixMilli(a.At)) < admittedFor {
				continue
			}
			if d.Status == devicelist.Active && a.History {
				if err := offerHistory(tx, id); err != nil {
					return err
				}
			}
			if _, err := tx.Delete(tableMeta, admittedKey(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.lastOrder = before
		return err
	}
	wake(e.flushKick)
	return nil
}
