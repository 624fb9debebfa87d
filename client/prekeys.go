package client

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

// prekeyRecord is what this device last published.
type prekeyRecord struct {
	Digest  []byte `cbor:"1,keyasint"`
	Pending []byte `cbor:"2,keyasint,omitempty"` // an upload made and perhaps not arrived
	Due     int64  `cbor:"3,keyasint,omitempty"` // when the next one is to be made, unix milliseconds
	Ticked  int64  `cbor:"4,keyasint,omitempty"` // when sessions last aged, unix milliseconds
	Left    uint64 `cbor:"5,keyasint,omitempty"` // one-time keys the server last said it has
}

var metaPrekeys = []byte("prekeys")

var (
	// errNoPrekey: a first message names a prekey that is not here any more.
	errNoPrekey = errors.New("client: the prekey of this first message is gone")
	// errStore marks an error of the store inside a handshake.
	errStore = errors.New("client: the store failed")
	// ErrReplayed: a first message came a second time.
	ErrReplayed = x3dh.ErrReplayed
)

func prekeyKey(k prekeys.Kind, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(k)}, id)
}

// storePrekeys writes private halves and the upload made of them in one
// transaction, before the upload is sent.
func storePrekeys(tx *vault.Tx, private []prekeys.Private, r prekeyRecord) error {
	for i := range private {
		info := private[i].Info()
		if err := tx.Put(tablePrekey, prekeyKey(info.Kind, info.ID), nil, info.NotAfter, private[i].Record()); err != nil {
			return err
		}
	}
	return tx.Put(tableMeta, metaPrekeys, nil, 0, codec.Marshal(r))
}

// spent is what a first message uses up once it has opened: the one-time keys
// it named, or its place among the messages answered with a last-resort key.
type spent struct {
	keys   [][]byte
	replay []byte // key of the row, nil for none
	under  []byte // the last-resort key that it goes away with
}

// spend writes that down (R-PRE-10, R-X3D-10). It is called only after the
// first ratchet message has opened: an initial message alone is not
// authenticated, and whoever repeats one with another message must not use up
// the true one's place.
func (w *work) spend(s spent) error {
	for _, key := range s.keys {
		if _, err := w.tx.Delete(tablePrekey, key); err != nil {
			return err
		}
	}
	if s.replay == nil {
		return nil
	}
	return w.tx.Put(tableSeen, s.replay, s.under, lastOrder, []byte{})
}

// respond answers a first message inside the transaction that stores the
// session: it finds the private halves, refuses a replay, and says what will
// be used up.
func (w *work) respond(peer x3dh.Party, initial []byte, now time.Time) (acc x3dh.Accepted, used spent, err error) {
	in, err := x3dh.ParseInitial(initial)
	if err != nil {
		return acc, used, err
	}
	find := func(k prekeys.Kind, id uint64) (*prekeys.Private, error) {
		b, ok, err := w.tx.Get(tablePrekey, prekeyKey(k, id))
		if err != nil {
			return nil, errors.Join(errStore, err)
		}
		if !ok {
			return nil, errNoPrekey
		}
		p, err := prekeys.ParsePrivate(b)
		if err != nil {
			return nil, errors.Join(errStore, ErrStoreDamaged)
		}
		return &p, nil
	}
	kind := prekeys.Kind(in.KEMKind)
	if kind == prekeys.KEMLastResort {
		used.replay = append([]byte("handshake"), in.ID[:]...)
		used.under = prekeyKey(kind, in.KEMID)
		if _, seen, err := w.tx.Get(tableSeen, used.replay); err != nil {
			return acc, used, errors.Join(errStore, err)
		} else if seen {
			return acc, used, ErrReplayed
		}
	} else {
		used.keys = append(used.keys, prekeyKey(kind, in.KEMID))
	}
	signed, err := find(prekeys.Signed, in.SignedID)
	if err != nil {
		return acc, used, err
	}
	kemKey, err := find(kind, in.KEMID)
	if err != nil {
		return acc, used, err
	}
	var oneTime *prekeys.Private
	if in.OneTimeID != 0 {
		if oneTime, err = find(prekeys.OneTimeEC, in.OneTimeID); err != nil {
			return acc, used, err
		}
		used.keys = append(used.keys, prekeyKey(prekeys.OneTimeEC, in.OneTimeID))
	}
	keys, err := prekeys.Keys(signed, oneTime, kemKey)
	if err != nil {
		return acc, used, err
	}
	acc, err = in.Respond(&w.e.self.own, peer, &keys)
	return acc, used, err
}

// maintain does what is due once a connection is there: prekeys are uploaded,
// refilled and rotated, old private halves erased, sessions aged. What waited
// at the server comes first: it may belong to a session that is to age.
func (e *engine) maintain(l *link) {
	patience := time.NewTimer(time.Minute) // with a server that never says it is done
	defer patience.Stop()
	select {
	case <-l.caught:
	case <-patience.C:
	case <-l.failed:
		return
	case <-e.life.Done():
		return
	}
	for {
		next, err := e.maintainOnce(e.life, l)
		if err != nil {
			if e.life.Err() == nil {
				e.log.Warn("maintenance was put off", "reason", reason(err))
			}
			next = e.now().Add(10 * time.Minute)
		}
		t := time.NewTimer(max(next.Sub(e.now()), time.Second))
		select {
		case <-t.C:
		case <-l.failed:
			t.Stop()
			return
		case <-e.life.Done():
			t.Stop()
			return
		}
	}
}

func (e *engine) maintainOnce(ctx context.Context, l *link) (next time.Time, err error) {
	if err := e.age(ctx); err != nil {
		return next, err
	}
	if err := e.mendAdmitted(ctx, l, e.now()); err != nil {
		return next, err
	}
	status, err := l.conn.PrekeyStatus(ctx)
	if err != nil {
		return next, relayError(err)
	}
	r, held, err := e.heldPrekeys(ctx)
	if err != nil {
		return next, err
	}
	if left := min(status.EC, status.KEM); left != r.Left {
		r.Left = left
		if err := e.update(ctx, func(tx *vault.Tx) error { return storePrekeys(tx, nil, r) }); err != nil {
			return next, err
		}
	}
	if len(r.Pending) > 0 && string(r.Digest) != string(status.Digest[:]) {
		// The last upload was made and did not arrive, or its answer was lost.
		return e.now(), e.upload(ctx, l, r)
	}
	now := e.now()
	plan := prekeys.Plan(now, prekeys.Status{
		Held: held, AtServer: true, EC: int(status.EC), KEM: int(status.KEM),
		InStep: string(r.Digest) == string(status.Digest[:]), Rand: rand.Uint64(),
	})
	if err := e.erasePrekeys(ctx, plan.Erase); err != nil {
		return next, err
	}
	if plan.Make == prekeys.Nothing {
		return plan.Next, e.setDue(ctx, r, 0)
	}
	// The delay is drawn once and written down, so that a device whose
	// programs are short-lived refills too.
	if plan.Delay > 0 && r.Due == 0 {
		due := now.Add(plan.Delay)
		return due, e.setDue(ctx, r, due.UnixMilli())
	}
	if plan.Delay > 0 && r.Due > now.UnixMilli() {
		return time.UnixMilli(r.Due), nil
	}
	owner := prekeys.OwnerOf(e.self.own.Party)
	make := prekeys.Generate
	if plan.Make == prekeys.Rotation {
		make = prekeys.Rotate
	}
	up, private := make(now, owner, e.self.sign)
	digest := up.Digest()
	r.Digest, r.Pending, r.Due = digest[:], up.Bytes(), 0
	if err := e.update(ctx, func(tx *vault.Tx) error { return storePrekeys(tx, private, r) }); err != nil {
		return next, err
	}
	return now, e.upload(ctx, l, r)
}

func (e *engine) upload(ctx context.Context, l *link, r prekeyRecord) error {
	err := l.conn.PutPrekeys(ctx, r.Pending)
	if err != nil && !errors.Is(err, relay.BadRequest) {
		return relayError(err)
	}
	// A refused upload, one that lay too long for instance, is dropped: its
	// digest is not the server's, so that the next plan makes another.
	r.Pending = nil
	return e.update(ctx, func(tx *vault.Tx) error { return storePrekeys(tx, nil, r) })
}

func (e *engine) setDue(ctx context.Context, r prekeyRecord, due int64) error {
	if r.Due == due && len(r.Pending) == 0 {
		return nil
	}
	r.Due, r.Pending = due, nil
	return e.update(ctx, func(tx *vault.Tx) error { return storePrekeys(tx, nil, r) })
}

func (e *engine) heldPrekeys(ctx context.Context) (r prekeyRecord, held []prekeys.Info, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		if r, _, err = getRecord[prekeyRecord](tx, tableMeta, metaPrekeys); err != nil {
			return err
		}
		return tx.Scan(tablePrekey, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			p, err := prekeys.ParsePrivate(row.Value)
			if err != nil {
				return ErrStoreDamaged
			}
			held = append(held, p.Info())
			p.Erase()
			return nil
		})
	})
	return r, held, err
}

// erasePrekeys erases private halves whose time is over, and with a
// last-resort key the record of the first messages it answered.
func (e *engine) erasePrekeys(ctx context.Context, gone []prekeys.Info) error {
	if len(gone) == 0 {
		return nil
	}
	err := e.update(ctx, func(tx *vault.Tx) error {
		for _, i := range gone {
			key := prekeyKey(i.Kind, i.ID)
			if _, err := tx.Delete(tablePrekey, key); err != nil {
				return err
			}
			if _, err := tx.DeleteGroup(tableSeen, key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return storeError(e.vault.Checkpoint(ctx))
}

// age applies the passing of time, at most once an hour: sessions that idled
// out are wiped with a farewell, skipped keys and forgotten envelopes go.
func (e *engine) age(ctx context.Context) error {
	if err := e.expire(ctx); err != nil {
		return err
	}
	now := e.now()
	r, _, err := e.heldPrekeys(ctx)
	if err != nil || now.Sub(time.UnixMilli(r.Ticked)) < time.Hour {
		return err
	}
	contacts, err := e.everybody(ctx)
	if err != nil {
		return err
	}
	e.state.Lock()
	defer e.state.Unlock()
	before := e.lastOrder
	var w *work
	err = e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = before
		w = &work{e: e, tx: tx, pairs: map[peerKey]session.Pair{}}
		for _, c := range contacts {
			p, err := c.live()
			if err != nil {
				return err
			}
			for _, d := range p.list.Devices {
				if err := w.agePair(peerKey{c.Address, d.ID}, now); err != nil {
					return err
				}
			}
		}
		var old [][]byte
		err := tx.Scan(tableSeen, nil, firstOrder, now.UnixMilli(), 10000, false, func(r vault.Row) error {
			old = append(old, r.Key)
			return nil
		})
		if err != nil {
			return err
		}
		for _, key := range old {
			if _, err := tx.Delete(tableSeen, key); err != nil {
				return err
			}
		}
		if err := forgetOwed(tx, now); err != nil {
			return err
		}
		r.Ticked = now.UnixMilli()
		return storePrekeys(tx, nil, r)
	})
	if err != nil {
		e.lastOrder = before
		return err
	}
	e.remember(w.pairs)
	wake(e.flushKick)
	return storeError(e.vault.Checkpoint(ctx))
}

func (w *work) agePair(k peerKey, now time.Time) error {
	pair, err := w.e.pair(w.tx, k)
	if err != nil {
		return err
	}
	next, ch, farewells := pair.Tick(now)
	if len(ch.Write)+len(ch.Erase) == 0 {
		return nil
	}
	if err := storeChange(w.tx, k, ch); err != nil {
		return err
	}
	w.pairs[k] = next
	for _, f := range farewells {
		if err := w.farewell(k, f.Message); err != nil {
			return err
		}
	}
	return nil
}
