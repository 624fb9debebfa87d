package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Devices implements API. It shows what the server says, as far as that holds
// and the server answers soon; else what is known here.
func (e *engine) Devices(ctx context.Context) ([]Device, error) {
	soon, cancel := context.WithTimeout(ctx, 2*time.Second)
	if l, err := e.connected(soon); err == nil {
		_, _ = e.lookup(soon, l, e.self.address)
	}
	cancel()
	own, err := e.ownPerson(ctx)
	if err != nil {
		return nil, err
	}
	return own.devices(e.self.device), nil
}

// devices lists what the signed list says.
func (p *person) devices(current address.Device) []Device {
	var out []Device
	for _, d := range p.list.Devices {
		out = append(out, Device{
			ID: d.ID.String(), Name: d.Name, Current: d.ID == current,
			Revoked: d.Status == devicelist.Revoked, AddedAt: time.Unix(d.AddedAt, 0).UTC(),
		})
	}
	return out
}

// findDevice resolves the beginning of a device's id, or its name.
func (p *person) findDevice(word string) (found devicelist.Device, err error) {
	n := 0
	for _, d := range p.list.Devices {
		switch {
		case d.ID.String() == word:
			return d, nil
		case word != "" && strings.HasPrefix(d.ID.String(), strings.ToLower(word)), d.Status == devicelist.Active && d.Name == word && word != "":
			found, n = d, n+1
		}
	}
	switch {
	case n == 0:
		return found, ErrUnknownDevice
	case n > 1:
		return found, fmt.Errorf("%w: %d of its devices could be meant", ErrUnknownDevice, n)
	}
	return found, nil
}

// RenameDevice implements API.
func (e *engine) RenameDevice(ctx context.Context, id, name string) (Device, error) {
	if err := devicelist.CheckName(name); err != nil {
		return Device{}, &wrapped{ErrInvalidText, err}
	}
	return e.changeDevice(ctx, id, func(d *devicelist.Device) error {
		d.Name = name
		return nil
	})
}

// RevokeDevice implements API.
func (e *engine) RevokeDevice(ctx context.Context, id string) (Device, error) {
	return e.changeDevice(ctx, id, func(d *devicelist.Device) error {
		if d.ID == e.self.device {
			return fmt.Errorf("%w: a device cannot revoke itself", ErrRefused)
		}
		d.Status = devicelist.Revoked
		return nil
	})
}

// maxListTries bounds how often a list may move on under a change.
const maxListTries = 8

// changeDevice signs the next version of the own device list and hands it to
// the server. The list to change is the server's present one, as far as it
// extends what is held here.
func (e *engine) changeDevice(ctx context.Context, id string, change func(*devicelist.Device) error) (Device, error) {
	if e.self.account == nil {
		return Device{}, ErrNoAccountKey
	}
	l, err := e.connected(ctx)
	if err != nil {
		return Device{}, err
	}
	own, err := e.lookup(ctx, l, e.self.address)
	if err != nil {
		return Device{}, err
	}
	target, err := own.findDevice(id)
	if err != nil {
		return Device{}, err
	}
	for range maxListTries {
		if own, err = e.lookup(ctx, l, e.self.address); err != nil {
			return Device{}, err
		}
		next := own.list.Next(e.now())
		for i := range next.Devices {
			d := &next.Devices[i]
			if d.ID != target.ID {
				continue
			}
			if d.Status == devicelist.Revoked {
				return Device{}, fmt.Errorf("%w: that one is revoked already", ErrUnknownDevice)
			}
			if err := change(d); err != nil {
				return Device{}, err
			}
		}
		entry, err := devicelist.Sign(next, e.self.account)
		if err != nil {
			return Device{}, &wrapped{ErrRefused, err}
		}
		own, err = e.publish(ctx, l, own, entry)
		if errors.Is(err, relay.Conflict) {
			continue
		}
		if err != nil {
			return Device{}, err
		}
		if err := e.callOthers(ctx); err != nil {
			return Device{}, err
		}
		for _, d := range own.devices(e.self.device) {
			if d.ID == target.ID.String() {
				return d, nil
			}
		}
	}
	return Device{}, fmt.Errorf("%w: the account's device list keeps changing", ErrUnreachable)
}

// publish hands the next entry of the own device list to the server and takes
// it. An answer to a question asked before would look like a server that has
// gone back, so none is awaited meanwhile.
func (e *engine) publish(ctx context.Context, l *link, own *person, entry []byte) (*person, error) {
	defer e.contactMu.lock(e.self.address.String())()
	if err := l.conn.PutDeviceList(ctx, entry); err != nil {
		if errors.Is(err, relay.Conflict) {
			return nil, err
		}
		return nil, relayError(err)
	}
	return e.takeList(ctx, e.self.address, append(slices.Clip(own.record.Chain), entry))
}

// callOthers tells one's other devices that the own list has changed.
func (e *engine) callOthers(ctx context.Context) error {
	e.state.Lock()
	defer e.state.Unlock()
	defer wake(e.flushKick)
	return e.update(ctx, func(tx *vault.Tx) error { return e.tellOwn(tx, content.Sync{Refresh: true}, 0) })
}

// ownPerson is this account as its devices see it: with the device list that
// is held.
func (e *engine) ownPerson(ctx context.Context) (*person, error) {
	p, err := e.person(ctx, e.self.record.Address)
	if err == nil && p == nil {
		err = ErrStoreDamaged
	}
	return p, err
}

// keepOwnList makes the row that holds the own device list from the account
// record, the first time the account is opened.
func (e *engine) keepOwnList() error {
	p, err := e.person(e.life, e.self.record.Address)
	if err != nil || p != nil {
		return err
	}
	return e.update(e.life, func(tx *vault.Tx) error {
		err := e.putContact(tx, contactRecord{
			Address: e.self.record.Address, Chain: e.self.record.Chain, Verified: true, Known: true,
			FirstSeen: e.self.record.Created * 1000,
		})
		if err != nil {
			return err
		}
		return e.tellOwn(tx, content.Sync{Refresh: true}, 0) // here is a new device
	})
}

// refreshOwn holds the server's picture of this account against what is held
// here. A server that has gone back behind it is given the entries again that
// it lacks: they are signed, and it was told them before (R-CLT-26).
func (e *engine) refreshOwn(ctx context.Context, l *link) error {
	_, err := e.lookup(ctx, l, e.self.address)
	if !errors.Is(err, ErrDeviceList) {
		return err
	}
	entries, err := l.conn.Account(ctx, e.self.address.User())
	if err != nil {
		return relayError(err)
	}
	own, err := e.ownPerson(ctx)
	if err != nil {
		return err
	}
	for i := range entries {
		if i >= len(own.record.Chain) || !bytes.Equal(entries[i], own.record.Chain[i]) {
			return ErrDeviceList // a fork cannot be mended
		}
	}
	for _, entry := range own.record.Chain[len(entries):] {
		if err := l.conn.PutDeviceList(ctx, entry); err != nil {
			return relayError(err)
		}
	}
	return nil
}
