package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
)

// maxRecoverTries bounds how often a list may move on under a device that joins.
const maxRecoverTries = 32

// newDevice draws all keys of another device of an account: none is anybody's
// before. Of base it takes what belongs to the account.
func newDevice(base accountRecord, account ed25519.PublicKey, name string, now time.Time) (accountRecord, prekeys.Upload, []prekeys.Private) {
	sign := make([]byte, ed25519.SeedSize)
	rand.Read(sign)
	key, _ := dh.Generate()
	priv := key.Export()
	record := accountRecord{
		Version: 1, Address: base.Address, Device: uint64(address.NewDevice()), DeviceName: name,
		AccountKey: bytes.Clone(base.AccountKey), SignKey: sign, DHKey: priv[:],
		Host: base.Host, Pin: base.Pin, Created: base.Created, Chain: base.Chain, Account: base.Account,
	}
	up, private := prekeys.Generate(now, prekeys.Owner{Account: account, Device: record.Device}, ed25519.NewKeyFromSeed(sign))
	record.Upload = up.Bytes()
	return record, up, private
}

// entrant is a device on its way onto the list of an account whose key it
// holds: after a restored backup, or in place of a device that was rolled back.
type entrant struct {
	cfg    Config
	self   *self // the new device; its record's chain is what is held of the list
	list   devicelist.List
	revoke func(devicelist.Device) bool // which devices leave when this one joins
	told   bool                         // the server may have heard of the new device
}

// join adds the device to the account's list at the server, after bringing the
// list that is held up to date (R-BAK-06), and returns the list with it. The
// server's entries are verified: they extend what is held, or it stops
// (R-RCV-04). It may be repeated.
func (j *entrant) join(ctx context.Context) (chain [][]byte, err error) {
	rec := &j.self.record
	chain, list := slices.Clip(rec.Chain), j.list
	for range maxRecoverTries {
		if d, ok := list.Device(j.self.device); ok {
			if d.Status != devicelist.Active {
				return nil, ErrRevoked
			}
			return chain, nil // an earlier attempt went through
		}
		entry, err := j.entry(list)
		if err != nil {
			return nil, err
		}
		j.told = true
		lacking, err := relayclient.Recover(ctx, j.self.target(j.cfg.Dial), relay.RecoverRequest{Entry: entry, Upload: rec.Upload})
		if err == nil {
			return append(chain, entry), nil
		}
		if !errors.Is(err, relay.Conflict) {
			j.told = !settledRefusal(relayError(err))
			if errors.Is(err, relay.Unauthorized) {
				j.told = false
				return nil, fmt.Errorf("%w: it does not have this account under this key", ErrRefused)
			}
			return nil, relayError(err)
		}
		if len(lacking) == 0 {
			j.told = false
			return nil, fmt.Errorf("%w: its device list is older than the one held here", ErrRefused)
		}
		for _, e := range lacking {
			if list, err = devicelist.Extend(list, e); err != nil {
				j.told = false
				return nil, &wrapped{ErrRefused, fmt.Errorf("its device list does not extend the one held here: %w", err)}
			}
			chain = append(chain, e)
		}
	}
	return nil, fmt.Errorf("%w: the account's device list keeps changing", ErrUnreachable)
}

// entry is the next version of the list, with the new device and without those
// that leave.
func (j *entrant) entry(list devicelist.List) ([]byte, error) {
	now := j.cfg.clock()()
	next := list.Next(now)
	for i := range next.Devices {
		if j.revoke(next.Devices[i]) {
			next.Devices[i].Status = devicelist.Revoked
		}
	}
	s := j.self
	d := devicelist.NewDevice(list.Account, s.address, s.device, s.sign, s.own.Identity, s.record.DeviceName, time.Unix(max(now.Unix(), list.Time), 0))
	d.Caps = capabilities()
	next.Devices = append(next.Devices, d)
	entry, err := devicelist.Sign(next, s.account)
	if errors.Is(err, devicelist.ErrLimit) {
		return nil, fmt.Errorf("%w: revoke one first", ErrTooManyDevices)
	}
	return entry, err
}
