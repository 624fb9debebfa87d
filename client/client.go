package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
)

func (cfg Config) logger() *slog.Logger {
	if cfg.Log != nil {
		return cfg.Log
	}
	return slog.New(slog.DiscardHandler)
}

func (cfg Config) clock() func() time.Time {
	if cfg.Now != nil {
		return cfg.Now
	}
	return time.Now
}

func (u Unlock) vault() vault.Unlock { return vault.Unlock(u) }

var metaAccount = []byte("account")

func readSelf(v *vault.Vault) (s *self, err error) {
	err = storeError(v.View(context.Background(), func(tx *vault.Tx) error {
		r, ok, err := getRecord[accountRecord](tx, tableMeta, metaAccount)
		if err != nil {
			return err
		}
		if !ok {
			return ErrNotRegistered
		}
		s, err = r.live()
		return err
	}))
	return s, err
}

func writeSelf(v *vault.Vault, r accountRecord) error {
	return storeError(v.Update(context.Background(), func(tx *vault.Tx) error {
		return tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(r))
	}))
}

// where finds the server and the address that a registration asks for.
func (r RegisterRequest) where() (addr address.Address, target relayclient.Target, token string, err error) {
	if r.Invite != "" {
		inv, err := relay.ParseInvite(r.Invite)
		if err != nil {
			return addr, target, "", &wrapped{ErrInvite, err}
		}
		target.Host, target.Pin, token = inv.Host, inv.Pin, inv.Token
	}
	if addr, err = address.Parse(r.Name); err != nil {
		if target.Host == "" {
			return addr, target, "", fmt.Errorf("%w: without an invite the name needs a host: user@host", ErrInvite)
		}
		if addr, err = address.New(r.Name, target.Host); err != nil {
			return addr, target, "", &wrapped{ErrInvalidText, err}
		}
	}
	if target.Host == "" {
		target.Host = addr.Host()
	}
	if addr.Host() != target.Host {
		return addr, target, "", fmt.Errorf("%w: it is for the server %s", ErrInvite, target.Host)
	}
	if err := devicelist.CheckName(r.DeviceName); err != nil {
		return addr, target, "", &wrapped{ErrInvalidText, err}
	}
	return addr, target, token, nil
}

// newAccount draws all keys of a new account and its first device.
func newAccount(addr address.Address, target relayclient.Target, deviceName string, now time.Time) (
	r accountRecord, up prekeys.Upload, private []prekeys.Private, err error) {
	var seeds [2][ed25519.SeedSize]byte
	rand.Read(seeds[0][:])
	rand.Read(seeds[1][:])
	key, pub := dh.Generate()
	priv := key.Export()
	r = accountRecord{
		Version: 1, Address: addr.String(), Device: uint64(address.NewDevice()), DeviceName: deviceName,
		AccountKey: seeds[0][:], SignKey: seeds[1][:], DHKey: priv[:],
		Host: target.Host, Pin: target.Pin, Created: now.Unix(),
	}
	account, sign := ed25519.NewKeyFromSeed(r.AccountKey), ed25519.NewKeyFromSeed(r.SignKey)
	accountPub := account.Public().(ed25519.PublicKey)
	d := devicelist.NewDevice(accountPub, addr, address.Device(r.Device), sign, pub, deviceName, now)
	d.Caps = capabilities()
	entry, err := devicelist.Sign(devicelist.First(accountPub, addr, d, now), account)
	if err != nil {
		return r, up, nil, err
	}
	up, private = prekeys.Generate(now, prekeys.Owner{Account: accountPub, Device: r.Device}, sign)
	r.Chain, r.Upload = [][]byte{entry}, up.Bytes()
	return r, up, private, nil
}

// enroll registers the account of a home that this process owns (R-CLT-09).
// Keys are durable before the server hears of them, and a registration that
// was cut short is taken up again with the same keys. After a clear refusal the
// account is forgotten, so that another attempt starts afresh.
func enroll(ctx context.Context, v *vault.Vault, cfg Config, req RegisterRequest) error {
	addr, target, token, err := req.where()
	if err != nil {
		return err
	}
	target.Dial = cfg.Dial
	s, err := readSelf(v)
	switch {
	case err == nil && s.record.Registered:
		return ErrAlreadyHere
	case err == nil && s.account != nil && s.address == addr && s.record.Host == target.Host:
		s.record.Pin = target.Pin // taken up again
	case err == nil || errors.Is(err, ErrNotRegistered):
		r, up, private, err := newAccount(addr, target, req.DeviceName, cfg.clock()())
		if err != nil {
			return err
		}
		digest := up.Digest()
		err = storeError(v.Update(ctx, func(tx *vault.Tx) error {
			if err := tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(r)); err != nil {
				return err
			}
			return storePrekeys(tx, private, prekeyRecord{Digest: digest[:], Left: prekeys.OneTimeKeys})
		}))
		if err != nil {
			return err
		}
		if s, err = r.live(); err != nil {
			return err
		}
	default:
		return err
	}
	_, err = relayclient.Register(ctx, target, relay.RegisterRequest{
		Invite: token, Entry: s.record.Chain[0], Upload: s.record.Upload,
	})
	if err != nil {
		return relayError(err)
	}
	s.record.Registered, s.record.Upload = true, nil
	return writeSelf(v, s.record)
}
