package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/owner"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
)

// ErrInUse: another process has the home open, and what is asked for needs it
// alone.
var ErrInUse = errors.New("another process has this home open")

// metaRelink is the row of tableMeta that holds the device that this home is
// about to become.
var metaRelink = []byte("relink")

// relinkRecord is that device: it is whole, and not this home's yet.
type relinkRecord struct {
	Account accountRecord `cbor:"1,keyasint"`
	Private [][]byte      `cbor:"2,keyasint"` // its private prekeys
	Digest  []byte        `cbor:"3,keyasint"` // of its upload
}

// Relink makes a new device of a home that was rolled back, or copied: other
// keys, no session, nothing of the old device's, and the history, contacts and
// verifications as they are (R-CLT-33). The old device leaves the account. Of
// req it uses DeviceName; without one the device keeps its name. A relink that
// was cut short goes on with the same keys when it is repeated; until the last
// step the home is the old device, afterwards the new one (R-CLT-34).
func Relink(ctx context.Context, cfg Config, req LinkRequest) (API, error) {
	return relinkHome(ctx, cfg, req, nil)
}

func relinkHome(ctx context.Context, cfg Config, req LinkRequest, cut func(step string) error) (API, error) {
	if err := devicelist.CheckName(req.DeviceName); err != nil {
		return nil, &wrapped{ErrInvalidText, err}
	}
	if err := vault.Present(cfg.Home); err != nil {
		return nil, storeError(err)
	}
	role, err := owner.Acquire(ctx, cfg.Home, owner.WithSecret(cfg.Unlock.secret()))
	if err != nil {
		return nil, ownerError(err)
	}
	own, ok := role.(*owner.Owner)
	if !ok {
		role.Close()
		return nil, ErrInUse
	}
	v, err := vault.Open(cfg.Home, cfg.Unlock.vault(), tables())
	if err != nil {
		own.Close()
		return nil, storeError(err)
	}
	r := &relink{cfg: cfg, req: req, vault: v, cut: cut}
	if err := r.do(ctx); err != nil {
		v.Close()
		own.Close()
		return nil, err
	}
	c := &Client{cfg: cfg}
	if err := c.own(own, v); err != nil {
		return nil, err
	}
	return c, nil
}

// relink is one relink under way.
type relink struct {
	cfg   Config
	req   LinkRequest
	vault *vault.Vault
	cut   func(step string) error // tests end it there

	old     *self
	list    devicelist.List // the own list as it is held here
	chain   [][]byte
	pending relinkRecord
	next    *self          // of pending
	from    address.Device // that offers its history; zero for none
}

// at is called between any two steps.
func (r *relink) at(step string) error {
	if r.cut == nil {
		return nil
	}
	return r.cut(step)
}

func (r *relink) do(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	begun := r.next != nil
	if !begun {
		if err := r.draw(ctx); err != nil {
			return err
		}
	}
	err := r.enter(ctx)
	if begun && errors.Is(err, ErrRevoked) {
		// It had got onto the list, and off again since: those keys are of no use.
		if err = r.draw(ctx); err == nil {
			err = r.enter(ctx)
		}
	}
	if err != nil {
		return err
	}
	if err := r.at("entered"); err != nil {
		return err
	}
	if err := storeError(r.vault.Update(ctx, r.swap)); err != nil {
		return err
	}
	if err := r.at("swapped"); err != nil {
		return err
	}
	// The old keys leave the log as well; if that fails now, the vault does it
	// later.
	if err := r.vault.Checkpoint(ctx); err != nil {
		r.cfg.logger().Warn("erased keys may stay in the store's log for a while", "reason", reason(storeError(err)))
	}
	return nil
}

// read finds the device that the home is, and the one it was to become.
func (r *relink) read(ctx context.Context) (err error) {
	if r.old, err = readSelf(r.vault); err != nil {
		return err
	}
	if !r.old.record.Registered {
		return ErrNotRegistered
	}
	var begun bool
	err = storeError(r.vault.View(ctx, func(tx *vault.Tx) (err error) {
		r.chain = r.old.record.Chain
		own, ok, err := getContact(tx, r.old.record.Address)
		if err != nil {
			return err
		}
		if ok {
			r.chain = own.Chain
		}
		r.pending, begun, err = getRecord[relinkRecord](tx, tableMeta, metaRelink)
		return err
	}))
	if err != nil {
		return err
	}
	if r.list, err = devicelist.VerifyChain(r.chain); err != nil {
		return ErrStoreDamaged
	}
	if begun {
		r.next, err = r.pending.Account.live()
	}
	return err
}

// draw makes the new device and makes it durable before anybody hears of it.
func (r *relink) draw(ctx context.Context) (err error) {
	name := r.req.DeviceName
	if name == "" {
		name = r.old.record.DeviceName
	}
	record, up, private := newDevice(r.old.record, r.old.own.Account, name, r.cfg.clock()())
	digest := up.Digest()
	r.pending = relinkRecord{Account: record, Digest: digest[:]}
	for i := range private {
		r.pending.Private = append(r.pending.Private, private[i].Record())
		private[i].Erase()
	}
	if r.next, err = record.live(); err != nil {
		return err
	}
	if err := r.at("drawn"); err != nil {
		return err
	}
	err = storeError(r.vault.Update(ctx, func(tx *vault.Tx) error {
		return tx.Put(tableMeta, metaRelink, nil, 0, codec.Marshal(r.pending))
	}))
	if err != nil {
		return err
	}
	return r.at("pending")
}

// enter puts the new device on the account's list in place of the old one.
func (r *relink) enter(ctx context.Context) error {
	r.next.record.Chain = r.chain
	var chain [][]byte
	var err error
	if r.old.account == nil {
		chain, err = r.joinBy(ctx)
	} else {
		in := entrant{cfg: r.cfg, self: r.next, list: r.list, revoke: func(d devicelist.Device) bool { return d.ID == r.old.device }}
		chain, err = in.join(ctx)
	}
	if err == nil {
		r.next.record.Chain = chain
	}
	return err
}

// swap makes the home the new device, in one transaction: there is no state
// between.
func (r *relink) swap(tx *vault.Tx) error {
	now := r.cfg.clock()()
	record := r.next.record
	record.Registered, record.Upload = true, nil
	order, err := reserved(tx)
	if err != nil {
		return err
	}
	for _, t := range []vault.Table{tableMessage, tableOutbox} {
		n, _, err := tx.MaxOrder(t, nil)
		if err != nil {
			return err
		}
		order = max(order, n)
	}
	tell := func(conversation, kind, about string) error {
		order++
		id := content.NewID()
		return putMessage(tx, &messageRecord{
			ID: id[:], Conversation: conversation, From: conversation, To: record.Address, Kind: string(KindNotice), Notice: kind, Text: about,
			SentAt: now.UnixMilli(), ReceivedAt: now.UnixMilli(), Status: string(StatusReceived), order: order,
		})
	}
	err = r.giveUpHeld(tx, now, &order)
	for _, t := range []vault.Table{tableSession, tableSkipped, tablePrekey, tableOwed, tableSeen, tableHeld, tableRepair, tableLedger, tableGroupKey} {
		if err == nil {
			err = eraseTable(tx, t)
		}
	}
	if err == nil {
		err = newInGroups(tx, r.old.device)
	}
	if err == nil {
		err = unseal(tx, now)
	}
	for _, key := range [][]byte{metaEpoch, metaRelink, metaLink} {
		if err == nil {
			_, err = tx.Delete(tableMeta, key)
		}
	}
	if err != nil {
		return err
	}
	own, ok, err := getContact(tx, record.Address)
	if err != nil {
		return err
	}
	if ok {
		own.Chain = record.Chain
		if err := putContact(tx, own); err != nil {
			return err
		}
	}
	var private []prekeys.Private
	for _, b := range r.pending.Private {
		p, err := prekeys.ParsePrivate(b)
		if err != nil {
			return ErrStoreDamaged
		}
		private = append(private, p)
	}
	if err := storePrekeys(tx, private, prekeyRecord{Digest: r.pending.Digest, Left: prekeys.OneTimeKeys}); err != nil {
		return err
	}
	if err := tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(record)); err != nil {
		return err
	}
	if r.from != 0 { // what is younger than the home's state
		if err := expectHistory(tx, r.from); err != nil {
			return err
		}
	}
	name := r.next.device.String()
	if record.DeviceName != "" {
		name = fmt.Sprintf("%s (%s)", record.DeviceName, name)
	}
	return tell(record.Address, NoticeRelinked, name)
}

// giveUpHeld leaves a tombstone for each message that is held for an identity
// which was not accepted: without the sessions and prekeys it can never be
// opened.
func (r *relink) giveUpHeld(tx *vault.Tx, now time.Time, order *int64) error {
	var rows []vault.Row
	err := tx.Scan(tableHeld, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		rows = append(rows, row)
		return nil
	})
	for _, row := range rows {
		if err != nil {
			return err
		}
		held, decodeErr := decodeRecord[heldRecord](row.Value)
		if decodeErr != nil {
			return decodeErr
		}
		*order++
		id, from := content.NewID(), string(row.Group)
		m := messageRecord{
			ID: id[:], Conversation: from, From: from, To: r.old.record.Address, Kind: string(KindUndecryptable), Cause: CauseNoSession,
			SentAt: held.At, ReceivedAt: now.UnixMilli(), Status: string(StatusReceived), order: *order,
		}
		if env, err := content.DecodeEnvelope(held.Body); err == nil {
			m.FromDevice = uint64(env.Device)
		}
		err = putMessage(tx, &m)
	}
	return err
}

// eraseTable removes every row.
func eraseTable(tx *vault.Tx, t vault.Table) error {
	var keys [][]byte
	err := tx.Scan(t, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
		keys = append(keys, r.Key)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			_, err = tx.Delete(t, key)
		}
	}
	return err
}

// unseal turns the outbox back to what people wrote: it is sealed anew, by the
// sessions of the new device. What only the old sessions needed goes.
func unseal(tx *vault.Tx, now time.Time) error {
	var all []outboxRecord
	err := tx.Scan(tableOutbox, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
		o, err := decodeRecord[outboxRecord](r.Value)
		o.order = r.Order
		all = append(all, o)
		return err
	})
	for i := range all {
		o := &all[i]
		switch {
		case err != nil:
		case o.Control:
			_, err = tx.Delete(tableOutbox, o.ID)
		case len(o.Content) == 0:
			if _, err = tx.Delete(tableOutbox, o.ID); err == nil {
				err = setFailed(tx, o.ID, CauseRefused)
			}
		default:
			o.Sealed, o.Own, o.List, o.After, o.Demand, o.Group, o.GroupHead = nil, nil, 0, 0, 0, nil, nil
			err = putOutbox(tx, o)
		}
	}
	return err
}
