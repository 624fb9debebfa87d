package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/mnemonic"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
)

// RecoveryWords is the account key as words, and where the account is. Who has
// them has the account.
type RecoveryWords struct {
	Address string
	Pin     string // of the server's key; empty when its certificate verifies by the system's roots
	Words   []string
}

// Format prints everything but the words, whatever the verb.
func (r RecoveryWords) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "recovery words of %s (redacted)", r.Address)
}

// WordsRequest is what RestoreWords needs: what is on the paper.
type WordsRequest struct {
	Address string
	// Pin is that of the server's key; or Invite is any invite link of the server,
	// which has it too. Both empty: the system's roots.
	Pin    string
	Invite string
	Words  string
	// DeviceName is that of the new device; may be empty.
	DeviceName string
	// RevokeAll removes every other device: for who lost them all.
	RevokeAll bool
}

// RecoveryWords implements API.
func (c *Client) RecoveryWords(ctx context.Context) (RecoveryWords, error) {
	start, err := run(ctx, c, callBackup, backupQuery{Start: true, Secret: c.cfg.Unlock.secret()})
	if err != nil {
		return RecoveryWords{}, err
	}
	i := start.Identity
	defer clear(i.AccountKey)
	if len(i.AccountKey) != ed25519.SeedSize {
		return RecoveryWords{}, ErrNoAccountKey
	}
	r := RecoveryWords{Address: i.Address, Words: mnemonic.Encode([ed25519.SeedSize]byte(i.AccountKey))}
	if len(i.Pin) > 0 {
		r.Pin = base64.RawURLEncoding.EncodeToString(i.Pin)
	}
	return r, nil
}

// RestoreWords takes an account back by its recovery words: as a new device in
// a new home, without history and contacts (R-BAK-11). Repeating one that was
// cut short takes it up again.
func RestoreWords(ctx context.Context, cfg Config, req WordsRequest) (API, error) {
	addr, target, err := req.where()
	if err != nil {
		return nil, err
	}
	target.Dial = cfg.Dial
	seed, err := mnemonic.Decode(req.Words)
	if err != nil {
		return nil, wordsError(err)
	}
	defer clear(seed[:])
	account := ed25519.NewKeyFromSeed(seed[:])
	defer clear(account)
	chain, err := askChain(ctx, target, addr, account, cfg.clock()())
	if err != nil {
		return nil, err
	}
	first, err := devicelist.Verify(chain[0])
	if err != nil {
		return nil, &wrapped{ErrRefused, err}
	}
	id := sha256.Sum256([]byte("recovery words of " + addr.String() + " " + string(account.Public().(ed25519.PublicKey))))
	identity := &backup.Identity{
		Address: addr.String(), AccountKey: seed[:], Chain: chain, Host: target.Host, Pin: target.Pin,
		Device: uint64(first.Devices[0].ID), Created: first.Time, Made: cfg.clock()().UnixMilli(),
	}
	return rebuild(ctx, cfg, id[:], identity, nil, RestoreRequest{DeviceName: req.DeviceName, RevokeAll: req.RevokeAll})
}

// where checks what a person typed.
func (req WordsRequest) where() (addr address.Address, target relayclient.Target, err error) {
	if err := devicelist.CheckName(req.DeviceName); err != nil {
		return addr, target, &wrapped{ErrInvalidText, err}
	}
	if addr, err = address.Parse(req.Address); err != nil {
		return addr, target, &wrapped{ErrUnknownRecipient, err}
	}
	target.Host = addr.Host()
	switch {
	case req.Invite != "":
		inv, err := relay.ParseInvite(req.Invite)
		if err != nil {
			return addr, target, &wrapped{ErrInvite, err}
		}
		if inv.Host != target.Host {
			return addr, target, fmt.Errorf("%w: it is for the server %s", ErrInvite, inv.Host)
		}
		target.Pin = inv.Pin
	case req.Pin != "":
		target.Pin, err = base64.RawURLEncoding.Strict().DecodeString(req.Pin)
		if err != nil || len(target.Pin) != sha256.Size {
			return addr, target, fmt.Errorf("%w: that is not the pin of a server", ErrInvite)
		}
	}
	return addr, target, nil
}

// wordsError says where the mistake is, and never which word was read.
func wordsError(err error) error {
	var unknown *mnemonic.WordError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: word %d is not in the list", ErrWords, unknown.Number)
	case errors.Is(err, mnemonic.ErrCount):
		return fmt.Errorf("%w: there are %d of them", ErrWords, mnemonic.Words)
	}
	return fmt.Errorf("%w: one of them is another word of the list, or they are in another order", ErrWords)
}

// askChain gets the account's device list from the server without a login, by
// the account key alone (R-RCV-05). The entry that asks for it is signed, so it
// is made to be of no use to anybody: it follows an entry that does not exist,
// and the keys of its device are forgotten here.
func askChain(ctx context.Context, target relayclient.Target, addr address.Address, account ed25519.PrivateKey, now time.Time) ([][]byte, error) {
	public := account.Public().(ed25519.PublicKey)
	_, sign, _ := ed25519.GenerateKey(rand.Reader)
	defer clear(sign)
	_, key := dh.Generate()
	id := address.NewDevice()
	ask := devicelist.First(public, addr, devicelist.NewDevice(public, addr, id, sign, key, "", now), now)
	ask.Version = 2
	rand.Read(ask.Prev[:])
	entry, err := devicelist.Sign(ask, account)
	if err != nil {
		return nil, err
	}
	up, _ := prekeys.Generate(now, prekeys.Owner{Account: public, Device: uint64(id)}, sign)
	chain, err := relayclient.Recover(ctx, target, relay.RecoverRequest{Entry: entry, Upload: up.Bytes()})
	switch {
	case errors.Is(err, relay.Unauthorized):
		return nil, fmt.Errorf("%w: it does not have this account under this key", ErrRefused)
	case err == nil:
		return nil, fmt.Errorf("%w: it took what nobody may take", ErrRefused)
	case !errors.Is(err, relay.Conflict):
		return nil, relayError(err)
	}
	list, err := devicelist.VerifyChain(chain)
	if err != nil || !list.Account.Equal(public) || list.Address != addr {
		return nil, fmt.Errorf("%w: the device list that it shows is not one of this account", ErrRefused)
	}
	return chain, nil
}
