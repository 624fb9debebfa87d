package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/linking"
	"github.com/pawl-chat/pawl/internal/vault"
)

// joinBy has another device of the account let the new one in, in place of the
// old one, for a home that does not hold the account key (R-LNK-15). It returns
// the own list, with the new device, as the server has it then.
func (r *relink) joinBy(ctx context.Context) ([][]byte, error) {
	if r.req.Show == nil {
		return nil, ErrNoAccountKey // and nobody would see what to carry there
	}
	at, err := r.req.place()
	if err != nil {
		return nil, err
	}
	at.Dial = r.cfg.Dial
	j := &joining{cfg: r.cfg, req: r.req, at: at, vault: r.vault, now: r.cfg.clock(), old: r}
	if r.cut != nil {
		j.steps = func(step string) { r.cut("join " + step) }
	}
	if err := j.do(ctx); err != nil {
		return nil, err
	}
	if j.mark.History {
		r.from = address.Device(j.mark.From)
	}
	return j.record.Chain, nil
}

// waiting offers the keys of the device that the home is about to become.
func (r *relink) waiting(now time.Time) (*linking.Waiting, error) {
	var secret [linking.SecretSize]byte
	rand.Read(secret[:])
	return linking.NewWith(now, r.next.sign, r.next.own.IdentityKey, secret)
}

// keep writes how far that device has come.
func (r *relink) keep(tx *vault.Tx, record accountRecord) error {
	pending := r.pending
	pending.Account = record
	return tx.Put(tableMeta, metaRelink, nil, 0, codec.Marshal(pending))
}

// resumeRelink is resume for a home that has a device.
func (j *joining) resumeRelink(ctx context.Context) error {
	var mark linkRecord
	var linked bool
	err := storeError(j.vault.View(ctx, func(tx *vault.Tx) (err error) {
		mark, linked, err = getRecord[linkRecord](tx, tableMeta, metaLink)
		return err
	}))
	switch {
	case err != nil:
		return err
	case !linked || !mark.Entry || mark.Device != uint64(j.old.next.device):
		return errAfresh
	}
	j.record, j.mark = j.old.pending.Account, mark
	return j.repeat(ctx)
}

// beginRelink is begin for a home that has a device: its keys are there, and
// whoever greets must be of the same account, with a list that is no older.
func (j *joining) beginRelink(ctx context.Context, w *linking.Waiting, g *linking.Greeting) (linking.Join, error) {
	old := j.old
	if _, err := devicelist.Advance(old.list, g.Chain); err != nil || !bytes.Equal(g.List.Account, old.old.own.Account) || g.List.Address != old.old.address {
		return linking.Join{}, errAfresh
	}
	j.record = old.pending.Account
	j.record.Chain = g.Chain
	j.mark, j.told = linkRecord{Device: j.record.Device, From: uint64(g.Device), History: g.History}, false
	if err := j.writeMark(ctx); err != nil {
		return linking.Join{}, err
	}
	part := w.Join(g.List, address.Device(j.record.Device), j.record.DeviceName, capabilities())
	w.Replace(&part, old.old.device, old.old.sign)
	return part, nil
}
