package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// Devices implements API.
func (e *engine) Devices(ctx context.Context) ([]Device, error) {
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

func (e *engine) changeDevice(context.Context, string, func(*devicelist.Device) error) (Device, error) {
	return Device{}, ErrNoAccountKey
}

func (e *engine) ownPerson(context.Context) (*person, error) {
	return contactRecord{Address: e.self.record.Address, Chain: e.self.record.Chain}.live()
}
