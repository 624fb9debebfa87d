package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/owner"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
)

// RestoreRequest is what a restore needs beside the backup.
type RestoreRequest struct {
	BackupOptions
	// DeviceName is that of the new device; may be empty.
	DeviceName string
	// RevokeOld removes the device that made the backup from the account.
	RevokeOld bool
	// RevokeAll removes every other device: for who lost them all.
	RevokeAll bool
}

// metaRestore names the backup that is being restored, until that is done.
var metaRestore = []byte("restore")

// restoreBatch is how many records one transaction of a restore writes.
const restoreBatch = 500

// Restore makes a new home of a backup: a new device of the same account, with
// the backup's contacts and history, and without any session (R-BAK-06). The
// backup is read twice: nothing is made before all of it has been checked.
// Repeating a restore that was cut short takes it up again (R-BAK-07).
func Restore(ctx context.Context, cfg Config, from io.ReadSeeker, req RestoreRequest) (_ API, s BackupSummary, err error) {
	if err := devicelist.CheckName(req.DeviceName); err != nil {
		return nil, s, &wrapped{ErrInvalidText, err}
	}
	id, identity, end, err := readBackup(ctx, from, BackupOptions{Passphrase: req.Passphrase, Recovery: req.Recovery}, nil)
	if err != nil {
		return nil, s, err
	}
	defer clear(identity.AccountKey)
	if s, err = summary(identity, end); err != nil {
		return nil, s, err
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return nil, s, fmt.Errorf("reading the backup again: %w", err)
	}
	api, err := rebuild(ctx, cfg, id, identity, from, req)
	return api, s, err
}

// rebuild makes the home: of an identity and, unless from is nil, of the
// records that belong to it. id names both, so that a repetition is known.
func rebuild(ctx context.Context, cfg Config, id []byte, identity *backup.Identity, from io.Reader, req RestoreRequest) (API, error) {
	role, err := owner.Acquire(ctx, cfg.Home, owner.WithSecret(cfg.Unlock.secret()))
	if err != nil {
		return nil, ownerError(err)
	}
	own, ok := role.(*owner.Owner)
	if !ok {
		role.Close()
		return nil, ErrAlreadyHere
	}
	v, err := vault.Create(cfg.Home, cfg.Unlock.vault(), tables())
	made := err == nil
	if errors.Is(err, vault.ErrExists) {
		v, err = vault.Open(cfg.Home, cfg.Unlock.vault(), tables())
	}
	if err != nil {
		own.Close()
		return nil, storeError(err)
	}
	r := &restore{ctx: ctx, cfg: cfg, req: req, vault: v, id: id, identity: identity}
	if err := r.do(from); err != nil {
		// Keys that the server may have heard of are kept, so that repeating
		// the restore goes on with them.
		if made && !r.told {
			err = errors.Join(err, v.Destroy())
		} else {
			v.Close()
		}
		own.Close()
		return nil, err
	}
	c := &Client{cfg: cfg}
	if err := c.own(own, v); err != nil {
		return nil, err
	}
	return c, nil
}

// restore is one restore under way.
type restore struct {
	ctx      context.Context
	cfg      Config
	req      RestoreRequest
	vault    *vault.Vault
	id       []byte
	identity *backup.Identity
	list     devicelist.List
	self     *self
	told     bool // the server may have heard of the new device
}

// revokes says which devices the restored one takes the place of.
func (r *restore) revokes(d devicelist.Device) bool {
	return r.req.RevokeAll || (r.req.RevokeOld && uint64(d.ID) == r.identity.Device)
}

func (r *restore) do(from io.Reader) error {
	if err := r.begin(); err != nil {
		return err
	}
	if from != nil {
		if err := r.fill(from); err != nil {
			return err
		}
	}
	in := entrant{cfg: r.cfg, self: r.self, list: r.list, revoke: r.revokes, told: r.told}
	chain, err := in.join(r.ctx)
	if r.told = in.told; err != nil {
		return err
	}
	r.self.record.Chain = chain
	r.self.record.Registered, r.self.record.Upload = true, nil
	return storeError(r.vault.Update(r.ctx, func(tx *vault.Tx) error {
		if _, err := tx.Delete(tableMeta, metaRestore); err != nil {
			return err
		}
		return tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(r.self.record))
	}))
}

// begin draws the keys of the new device and makes them durable, or finds
// those of an earlier attempt at the same backup.
func (r *restore) begin() (err error) {
	if r.list, err = r.identity.List(); err != nil {
		return backupError(err)
	}
	var begun []byte
	err = storeError(r.vault.View(r.ctx, func(tx *vault.Tx) error {
		begun, _, err = tx.Get(tableMeta, metaRestore)
		return err
	}))
	if err != nil {
		return err
	}
	r.self, err = readSelf(r.vault)
	switch {
	case err == nil && !r.self.record.Registered && bytes.Equal(begun, r.id):
		r.told = true
		r.self.record.Chain = r.identity.Chain // of words: it may have grown
		return nil
	case err == nil:
		return ErrAlreadyHere
	case !errors.Is(err, ErrNotRegistered):
		return err
	}
	record, up, private := newDevice(accountRecord{
		Address: r.identity.Address, AccountKey: r.identity.AccountKey, Host: r.identity.Host, Pin: r.identity.Pin,
		Created: r.identity.Created, Chain: r.identity.Chain,
	}, r.list.Account, r.req.DeviceName, r.cfg.clock()())
	digest := up.Digest()
	err = storeError(r.vault.Update(r.ctx, func(tx *vault.Tx) error {
		if err := tx.Put(tableMeta, metaRestore, nil, 0, r.id); err != nil {
			return err
		}
		if err := tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(record)); err != nil {
			return err
		}
		return storePrekeys(tx, private, prekeyRecord{Digest: digest[:], Left: prekeys.OneTimeKeys})
	}))
	if err != nil {
		return err
	}
	r.self, err = record.live()
	return err
}

// fill writes contacts, messages and consumers. Orders are the positions in
// the backup, so that doing it twice changes nothing.
func (r *restore) fill(from io.Reader) error {
	var batch []backup.Record
	order := int64(0)
	flush := func() error {
		base := order
		err := storeError(r.vault.Update(r.ctx, func(tx *vault.Tx) error {
			order = base
			for _, record := range batch {
				if err := fillRecord(tx, record, &order); err != nil {
					return err
				}
			}
			return nil
		}))
		batch = batch[:0]
		return err
	}
	id, again, _, err := readBackup(r.ctx, from, r.req.BackupOptions, func(record backup.Record) error {
		if batch = append(batch, record); len(batch) < restoreBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	if !bytes.Equal(id, r.id) || again.Address != r.identity.Address {
		return fmt.Errorf("%w: it changed while it was read", ErrBackupDamaged)
	}
	clear(again.AccountKey)
	return flush()
}

func fillRecord(tx *vault.Tx, record backup.Record, order *int64) error {
	switch v := record.(type) {
	case *backup.Contact:
		return putContact(tx, contactRecord{
			Address: v.Address, Alias: v.Alias, Chain: v.Chain, Verified: v.Verified, Pending: v.Pending,
			FirstSeen: v.FirstSeen, Known: v.Known,
		})
	case *backup.Message:
		*order++
		r := restored(v, *order)
		kept, err := insertMessage(tx, r)
		if err == nil && kept {
			err = putLifetime(tx, r) // what was erased before comes without content and is marked anew
		}
		return err
	case *backup.Consumer:
		return tx.Put(tableMeta, consumerKey(v.Name), nil, 0, encodeRecord(consumerRecord{Acked: int64(v.Taken)}))
	}
	return nil
}
