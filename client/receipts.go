package client

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Receipts tell the device that sent a text that this device has it, or that
// the person was shown it. What is owed is committed together with what it is
// owed for; it is sealed and queued later, many texts in one receipt
// (R-CLT-17).

// owedRecord is what one device of a contact is owed in one state: the ids of
// its messages, 16 bytes each, oldest first.
type owedRecord struct {
	Address string `cbor:"1,keyasint"`
	Device  uint64 `cbor:"2,keyasint"`
	State   uint64 `cbor:"3,keyasint"`
	IDs     []byte `cbor:"4,keyasint"`
	Fellow  bool   `cbor:"5,keyasint,omitempty"` // for what was said in a group
}

// owe adds to what a device is owed. Beyond the bound the oldest are
// forgotten: a receipt that is never sent claims too little, not too much.
func owe(tx *vault.Tx, k peerKey, state content.ReceiptState, ids []content.ID, bound int, now time.Time) error {
	return oweFor(tx, k, state, false, ids, bound, now)
}

// oweInGroup owes receipts for what a fellow member of a group has said there:
// they are sent even to who is a stranger otherwise (R-GRP-64).
func oweInGroup(tx *vault.Tx, k peerKey, state content.ReceiptState, ids []content.ID, now time.Time) error {
	return oweFor(tx, k, state, true, ids, MaxOwed, now)
}

func oweFor(tx *vault.Tx, k peerKey, state content.ReceiptState, fellow bool, ids []content.ID, bound int, now time.Time) error {
	key := append([]byte{byte(state)}, k.bytes()...)
	if fellow {
		key[0] |= 0x80
	}
	r, _, err := getRecord[owedRecord](tx, tableOwed, key)
	if err != nil {
		return err
	}
	r.Address, r.Device, r.State, r.Fellow = k.address, uint64(k.device), uint64(state), fellow
	for _, id := range ids {
		r.IDs = append(r.IDs, id[:]...)
	}
	if over := len(r.IDs) - bound*len(content.ID{}); over > 0 {
		r.IDs = r.IDs[over:]
	}
	return tx.Put(tableOwed, key, nil, now.UnixMilli(), encodeRecord(r))
}

// owedBound is how many receipts are kept for a device of p.
func (p *person) owedBound() int {
	if p.stranger() {
		return MaxOwedStranger
	}
	return MaxOwed
}

// stranger reports whether nothing may be sent to p by itself (R-CLT-14).
func (p *person) stranger() bool { return !p.record.Known && !p.record.Verified }

// oweAll writes down the receipts for what a batch has stored.
func (w *work) oweAll() error {
	for k, ids := range w.owed {
		p, err := w.person(k.address)
		if err != nil {
			return err
		}
		if err := owe(w.tx, k, content.Delivered, ids, p.owedBound(), w.e.now()); err != nil {
			return err
		}
	}
	for k, ids := range w.owedInGroup {
		if err := oweInGroup(w.tx, k, content.Delivered, ids, w.e.now()); err != nil {
			return err
		}
	}
	return nil
}

// receiptID is the ID by which a message's sender knows it.
func (r *messageRecord) receiptID() content.ID {
	if len(r.Original) == len(content.ID{}) {
		return content.ID(r.Original)
	}
	return content.ID(r.ID)
}

// oweRead owes read receipts for texts that a person was shown, if the person
// allows them (R-CLT-18).
func (e *engine) oweRead(tx *vault.Tx, shown []messageRecord) (owed bool, err error) {
	if len(shown) == 0 {
		return false, nil
	}
	if err := e.oweOwn(tx, shown); err != nil {
		return false, err
	}
	s, _, err := getRecord[settingsRecord](tx, tableMeta, metaSettings)
	if err != nil || s.NoReadReceipts {
		return true, err
	}
	by, fellows := map[peerKey][]content.ID{}, map[peerKey][]content.ID{}
	for i := range shown {
		k := peerKey{shown[i].From, address.Device(shown[i].FromDevice)}
		if _, ok := groupID(shown[i].Conversation); ok {
			fellows[k] = append(fellows[k], shown[i].receiptID())
			continue
		}
		by[k] = append(by[k], shown[i].receiptID())
	}
	for k, ids := range fellows {
		if err := oweInGroup(tx, k, content.Read, ids, e.now()); err != nil {
			return false, err
		}
		owed = true
	}
	for k, ids := range by {
		p, err := e.readPerson(tx, k.address)
		if err != nil {
			return false, err
		}
		if p == nil {
			continue // removed
		}
		if err := owe(tx, k, content.Read, ids, p.owedBound(), e.now()); err != nil {
			return false, err
		}
		owed = true
	}
	return owed, nil
}

// oweOwn owes one's other devices word of what was read here: under the device
// zero of the own address, to be sealed like receipts.
func (e *engine) oweOwn(tx *vault.Tx, shown []messageRecord) error {
	own, err := e.readPerson(tx, e.self.record.Address)
	if err != nil || own == nil || len(e.others(own)) == 0 {
		return err
	}
	ids := make([]content.ID, len(shown))
	for i := range shown {
		ids[i] = shown[i].receiptID()
	}
	return owe(tx, peerKey{own.record.Address, 0}, content.Read, ids, MaxOwed, e.now())
}

// tellRead queues what was read here for one's other devices.
func (w *work) tellRead(ids []content.ID) error {
	slices.SortFunc(ids, func(a, b content.ID) int { return bytes.Compare(a[:], b[:]) })
	for part := range slices.Chunk(slices.Compact(ids), content.MaxReceipt) {
		if err := w.e.tellOwn(w.tx, content.Sync{Read: part}, 0); err != nil {
			return err
		}
	}
	return nil
}

// passOn tells one's other devices of the receipts that came for what this one
// has sent.
func (w *work) passOn() error {
	for i := range w.claims {
		if err := w.e.tellOwn(w.tx, content.Sync{Claims: &w.claims[i]}, 0); err != nil {
			return err
		}
	}
	return nil
}

// readable reports whether a read receipt can be due for a message.
func (r *messageRecord) readable() bool {
	return !r.Outgoing && r.Kind == string(KindText) && !r.Told && !r.Expired
}

// receiptLoop seals what is owed a moment after it became owed: the moment is
// drawn at random, so that its time tells little of the person, and gathers
// what comes meanwhile.
//
// It also erases what has outlived its lifetime.
func (e *engine) receiptLoop() {
	minute := time.NewTicker(expireEvery)
	defer minute.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case <-minute.C:
			if err := e.expire(e.life); err != nil && e.life.Err() == nil {
				e.log.Error("content could not be erased", "reason", reason(err))
			}
			continue
		case <-e.owedKick:
		}
		t := time.NewTimer(rand.N(receiptJitter))
		select {
		case <-e.life.Done():
			t.Stop()
			return
		case <-t.C:
		}
		e.mu.Lock()
		l := e.link
		e.mu.Unlock()
		if l == nil {
			continue // what is owed stays so until there is a connection
		}
		n, err := e.sealReceipts(e.life)
		if err != nil && e.life.Err() == nil {
			e.log.Error("receipts were put off", "reason", reason(err))
		}
		if n > 0 {
			wake(e.flushKick)
		}
	}
}

// sealReceipts turns what is owed into sealed receipts in the outbox, in one
// transaction, and returns how many. What is owed to a stranger, to an identity
// that the person has not accepted, or without a session stays owed.
func (e *engine) sealReceipts(ctx context.Context) (n int, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		n, err = tx.Count(tableOwed, nil)
		return err
	})
	if err != nil || n == 0 {
		return 0, err
	}
	e.state.Lock()
	defer e.state.Unlock()
	before := e.lastOrder
	var w *work
	err = e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder, n = before, 0
		w = &work{e: e, tx: tx, pairs: map[peerKey]session.Pair{}, people: map[string]*person{}}
		settings, _, err := getRecord[settingsRecord](tx, tableMeta, metaSettings)
		if err != nil {
			return err
		}
		read := map[peerKey]map[content.ID]bool{}
		var rows []vault.Row
		// Read before delivered: a text that was read needs no other receipt.
		err = tx.Scan(tableOwed, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			rows = append(rows, r)
			return nil
		})
		if err != nil {
			return err
		}
		for _, state := range []content.ReceiptState{content.Read, content.Delivered} {
			for _, row := range rows {
				r, err := decodeRecord[owedRecord](row.Value)
				if err != nil {
					return err
				}
				if content.ReceiptState(r.State) != state {
					continue
				}
				k := peerKey{r.Address, address.Device(r.Device)}
				if r.Device == 0 {
					if _, err := tx.Delete(tableOwed, row.Key); err != nil {
						return err
					}
					if err := w.tellRead(r.ids()); err != nil {
						return err
					}
					n++
					continue
				}
				send, gone, err := w.mayAcknowledge(k, r.Fellow)
				if err != nil {
					return err
				}
				if state == content.Read && settings.NoReadReceipts {
					send, gone = false, true
				}
				if !send && !gone {
					continue
				}
				if _, err := tx.Delete(tableOwed, row.Key); err != nil {
					return err
				}
				if !send {
					continue
				}
				if read[k] == nil {
					read[k] = map[content.ID]bool{}
				}
				made, err := w.acknowledge(k, state, r.ids(), read[k])
				if err != nil {
					return err
				}
				n += made
			}
		}
		return nil
	})
	if err != nil {
		e.lastOrder = before
		return 0, err
	}
	e.remember(w.pairs)
	return n, nil
}

func (r owedRecord) ids() (ids []content.ID) {
	for b := r.IDs; len(b) >= len(content.ID{}); b = b[len(content.ID{}):] {
		ids = append(ids, content.ID(b[:len(content.ID{})]))
	}
	return ids
}

// mayAcknowledge reports whether receipts may go to a device now, and whether
// they never may again.
func (w *work) mayAcknowledge(k peerKey, fellow bool) (send, gone bool, err error) {
	p, err := w.person(k.address)
	if err != nil {
		return false, false, err
	}
	if p == nil {
		return false, true, nil
	}
	if d, ok := p.list.Device(k.device); !ok || !activeIn(p.list, d.ID) {
		return false, p.pending == nil, nil
	}
	if p.pending != nil || p.stranger() && !fellow {
		return false, false, nil
	}
	pair, err := w.pair(k)
	return err == nil && pair.Ready(w.e.now()), false, err
}

// acknowledge queues receipts for a device. IDs in done are left out; all are added to it.
func (w *work) acknowledge(k peerKey, state content.ReceiptState, ids []content.ID, done map[content.ID]bool) (n int, err error) {
	var left []content.ID
	for _, id := range ids {
		if !done[id] {
			done[id], left = true, append(left, id)
		}
	}
	for _, c := range content.NewReceipts(state, left, w.e.now()) {
		if err := w.controlTo(k, c, 0); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// parting sends what is still owed before a process that took messages ends.
// It costs a round trip; a connection that hangs is not waited for.
func (e *engine) parting() {
	e.mu.Lock()
	l := e.link
	e.mu.Unlock()
	if l == nil || isClosed(l.failed) {
		return
	}
	ctx, cancel := context.WithTimeout(e.life, partingTime)
	defer cancel()
	waiting, err := e.sealReceipts(ctx)
	if err == nil && waiting == 0 {
		err = e.view(ctx, func(tx *vault.Tx) (err error) {
			waiting, err = tx.Count(tableOutbox, nil)
			return err
		})
	}
	if err == nil && waiting > 0 {
		err = e.emptied(ctx)
	}
	if err != nil {
		e.log.Info("receipts were put off", "reason", reason(err))
	}
}

// receipt takes what a device says of own messages. It is believed for texts
// that were sealed for that very device and nothing else (R-CLT-19).
func (w *work) receipt(k peerKey, c content.Receipt) error {
	status := StatusDelivered
	if c.State == content.Read {
		status = StatusRead
	}
	var mine []content.ID
	for _, id := range c.IDs {
		if told := w.groupTold[id]; told != nil {
			if changed, err := w.groupReceipt(told, k, status); err != nil {
				return err
			} else if changed && told.FromDevice == uint64(w.e.self.device) {
				mine = append(mine, id)
			}
			continue
		}
		r, order, ok, err := getMessage(w.tx, id[:])
		if err != nil {
			return err
		}
		if !ok || !r.Outgoing {
			continue
		}
		if _, group := groupID(r.Conversation); group {
			if changed, err := w.groupReceipt(&r, k, status); err != nil {
				return err
			} else if !changed {
				continue
			}
			w.toldInGroup(id, &r, order)
			if r.FromDevice == uint64(w.e.self.device) {
				mine = append(mine, id)
			}
			continue
		}
		if r.To != k.address || !r.claimed(k.device, status, w.e.now()) {
			continue
		}
		if r.FromDevice == uint64(w.e.self.device) {
			mine = append(mine, id)
		}
		r.order = order
		if err := putMessage(w.tx, &r); err != nil {
			return err
		}
	}
	if len(mine) > 0 && k.address != w.e.self.record.Address {
		w.claims = append(w.claims, content.Claims{Peer: k.address, Device: k.device, State: c.State, IDs: mine})
	}
	return nil
}

// forgetOwed drops receipts that could not be sent for too long.
func forgetOwed(tx *vault.Tx, now time.Time) error {
	var old [][]byte
	err := tx.Scan(tableOwed, nil, firstOrder, now.Add(-OwedFor).UnixMilli(), 0, false, func(r vault.Row) error {
		old = append(old, r.Key)
		return nil
	})
	for _, key := range old {
		if err == nil {
			_, err = tx.Delete(tableOwed, key)
		}
	}
	return err
}
