package client

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// A message that could not be opened, or is missing, is asked for again: the
// need is written down with its tombstone, worked off when there is a
// connection, and answered by the device that sent it. Every step is bounded by
// the hour, because a server can make up messages that nobody can open.

// repairRecord is what stands open with one device: a row of tableRepair,
// whose order is when something is due.
type repairRecord struct {
	Address string `cbor:"1,keyasint"`
	Device  uint64 `cbor:"2,keyasint"`
	// What this device lacks and has not asked for yet.
	Lost  uint64   `cbor:"3,keyasint,omitempty"`
	Fresh bool     `cbor:"4,keyasint,omitempty"` // a new session is to carry the question
	Since int64    `cbor:"5,keyasint,omitempty"` // when the first of them was taken by the server
	Tombs [][]byte `cbor:"6,keyasint,omitempty"` // their tombstones
	// The question that was asked last, and what came since.
	Asked  int64    `cbor:"7,keyasint,omitempty"`
	Open   bool     `cbor:"8,keyasint,omitempty"` // not answered whole yet
	About  [][]byte `cbor:"9,keyasint,omitempty"` // its tombstones
	Came   uint64   `cbor:"10,keyasint,omitempty"`
	New    uint64   `cbor:"11,keyasint,omitempty"` // of those that came, not here before
	Done   bool     `cbor:"12,keyasint,omitempty"` // the peer says that it has sent all
	Expect uint64   `cbor:"13,keyasint,omitempty"` // and how many
	// Gaps (R-CLT-39).
	Missing uint64 `cbor:"14,keyasint,omitempty"` // skipped messages that the person was told of
	GapNext int64  `cbor:"15,keyasint,omitempty"` // when to look whether some still are
	// What the other device has asked for (R-CLT-37).
	Owed      bool  `cbor:"16,keyasint,omitempty"`
	OwedSince int64 `cbor:"17,keyasint,omitempty"`
	Answered  int64 `cbor:"18,keyasint,omitempty"`
	// After is until when everything rests, because it could not be done.
	After    int64  `cbor:"19,keyasint,omitempty"`
	GapAsked uint64 `cbor:"20,keyasint,omitempty"` // skipped messages that were asked for
}

// What Message.Repair says, as it is stored.
var repairStates = []RepairState{"", RepairAsked, RepairDone, RepairNothing}

const (
	repairAsked = 1 + iota
	repairDone
	repairNothing
)

// due is when the next thing is to be done with a device; lastOrder is never.
func (r *repairRecord) due() int64 {
	next := int64(lastOrder)
	if r.GapNext != 0 {
		next = r.GapNext
	}
	if r.Lost != 0 {
		next = min(next, r.Asked+RepairEvery.Milliseconds())
	}
	if r.Owed {
		next = min(next, r.Answered+RepairEvery.Milliseconds())
	}
	return max(next, r.After)
}

// passedSince reports whether so long has gone by since then.
func passedSince(now time.Time, then int64, long time.Duration) bool {
	return now.UnixMilli()-then >= long.Milliseconds()
}

func (e *engine) getRepair(tx *vault.Tx, k peerKey) (repairRecord, error) {
	r, ok, err := getRecord[repairRecord](tx, tableRepair, k.bytes())
	if !ok {
		r = repairRecord{Address: k.address, Device: uint64(k.device)}
	}
	return r, err
}

func (e *engine) putRepair(tx *vault.Tx, k peerKey, r *repairRecord) error {
	return tx.Put(tableRepair, k.bytes(), nil, r.due(), encodeRecord(r))
}

// repairOf reads what stands open with a device, once a batch.
func (w *work) repairOf(k peerKey) (*repairRecord, error) {
	if r := w.repairs[k]; r != nil {
		return r, nil
	}
	if w.repairs == nil {
		n, err := w.tx.Count(tableRepair, nil)
		if err != nil {
			return nil, err
		}
		w.repairs, w.sound = map[peerKey]*repairRecord{}, n == 0
	}
	r := repairRecord{Address: k.address, Device: uint64(k.device)}
	if !w.sound { // the usual batch is spared a look for each device
		var err error
		if r, err = w.e.getRepair(w.tx, k); err != nil {
			return nil, err
		}
	}
	w.repairs[k] = &r
	return &r, nil
}

// repairChanged notes that a record is to be written with the batch.
func (w *work) repairChanged(k peerKey) {
	if w.repaired == nil {
		w.repaired = map[peerKey]bool{}
	}
	w.repaired[k] = true
}

func (w *work) writeRepairs() error {
	for k := range w.repaired {
		if err := w.e.putRepair(w.tx, k, w.repairs[k]); err != nil {
			return err
		}
	}
	return nil
}

// afresh reports whether a cause says that the session itself is lost, so that
// a question needs a new one: it is not here, or it has refused an authentic
// message of a kind after which it opens no other. Under the rest the session is
// sound, or the message was never a true one.
func afresh(cause string) bool {
	switch cause {
	case CauseNoSession, CauseNoPrekey, CauseReplayed, CauseTooFarAhead, CauseRolledBack:
		return true
	}
	return false
}

// lost writes down, in the transaction that stores its tombstone, that a
// message is to be asked for (R-CLT-35). Nobody is asked who is a stranger,
// whose identity waits for a decision, whose device is not in the pinned list
// or was revoked, or whose device would not know what it is asked.
func (w *work) lost(m *incoming, k peerKey, cause string, tombstone []byte) error {
	p, err := w.person(k.address)
	if err != nil || cause == CauseUnknownDevice || !repairable(p, k) {
		return err
	}
	r, err := w.repairOf(k)
	if err != nil {
		return err
	}
	if r.Lost == 0 || m.at < r.Since {
		r.Since = max(m.at, 1)
	}
	r.Lost++
	r.Fresh = r.Fresh || afresh(cause)
	if tombstone != nil {
		r.Tombs = append(r.Tombs, tombstone)
	}
	w.repairChanged(k)
	return nil
}

// repairable reports whether a device may be asked and answered.
func repairable(p *person, k peerKey) bool {
	if p == nil || p.pending != nil || p.stranger() {
		return false // R-CLT-14
	}
	d, ok := p.list.Device(k.device)
	return ok && d.Status == devicelist.Active && d.Can(devicelist.CapRepair) // R-CLT-46
}

// repairLoop does what is due whenever there is a connection.
func (e *engine) repairLoop() {
	var timer <-chan time.Time
	for {
		select {
		case <-e.life.Done():
			return
		case <-e.repairKick:
		case <-timer:
		}
		e.mu.Lock()
		l := e.link
		e.mu.Unlock()
		timer = nil
		if l == nil {
			continue // the next connection wakes
		}
		next, err := e.repair(e.life, l)
		if err != nil && e.life.Err() == nil {
			e.log.Warn("a repair was put off", "reason", reason(err))
			next = e.now().Add(expireEvery)
		}
		if !next.IsZero() {
			timer = time.After(max(next.Sub(e.now()), time.Second))
		}
	}
}

// repair does what is due with all devices, and says when something is due
// next. It begins once everything that waited at the server has been taken: a
// message may only be late.
func (e *engine) repair(ctx context.Context, l *link) (next time.Time, err error) {
	e.repairMu.Lock()
	defer e.repairMu.Unlock()
	if !isClosed(l.caught) {
		return next, nil
	}
	due, next, err := e.dueRepairs(ctx)
	if err != nil || len(due) == 0 {
		return next, err
	}
	for _, k := range due {
		if err := e.repairDevice(ctx, l, k); err != nil {
			return next, err
		}
	}
	wake(e.flushKick)
	e.changed()
	_, next, err = e.dueRepairs(ctx)
	return next, err
}

// dueRepairs lists the devices with which something is due, and when something
// is due with another; zero for never.
func (e *engine) dueRepairs(ctx context.Context) (due []peerKey, next time.Time, err error) {
	now := e.now()
	err = e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableRepair, nil, firstOrder, lastOrder-1, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[repairRecord](row.Value)
			if err != nil {
				return err
			}
			if row.Order > now.UnixMilli() {
				next = time.UnixMilli(row.Order)
				return errEnough
			}
			due = append(due, r.key())
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return due, next, err
}

// repairDevice does what is due with one device. What the device or its keys
// stand in the way of is put off; only an error of the connection or the store
// is returned.
func (e *engine) repairDevice(ctx context.Context, l *link, k peerKey) error {
	begin := false
	err := e.repairStep(ctx, k, func(w *work, p *person, r *repairRecord) error {
		if err := w.gap(k, p, r); err != nil {
			return err
		}
		if r.Owed && passedSince(e.now(), r.Answered, RepairEvery) {
			if err := w.answer(k, p, r); err != nil {
				return err
			}
		}
		if !repairable(p, k) {
			// Nothing is asked, now or later, for what came until now.
			r.Lost, r.Fresh, r.Tombs = 0, false, nil
		}
		if r.Lost != 0 && !r.Fresh {
			pair, err := w.pair(k)
			if err != nil {
				return err
			}
			r.Fresh = !pair.Ready(e.now()) // R-SES-17
		}
		begin = r.Lost != 0 && r.Fresh && passedSince(e.now(), r.Asked, RepairEvery)
		return nil
	})
	if err != nil {
		return err
	}
	if begin {
		p, err := e.person(ctx, k.address)
		if err != nil {
			return err
		}
		err = e.startSession(ctx, l, p, k, true)
		if errors.Is(err, ErrUnreachable) || ctx.Err() != nil {
			return err
		}
		if err != nil { // the session that is there, if one is, carries the question
			e.log.Warn("a new session could not be started for a repair", "reason", reason(err))
		}
	}
	return e.repairStep(ctx, k, func(w *work, p *person, r *repairRecord) error {
		if r.Lost == 0 || !repairable(p, k) || !passedSince(e.now(), r.Asked, RepairEvery) {
			return nil
		}
		return w.ask(k, r)
	})
}

// repairStep runs one step with one device in a transaction.
func (e *engine) repairStep(ctx context.Context, k peerKey, step func(w *work, p *person, r *repairRecord) error) error {
	e.state.Lock()
	defer e.state.Unlock()
	before := e.lastOrder
	var w *work
	err := e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = before
		w = &work{e: e, tx: tx, pairs: map[peerKey]session.Pair{}, people: map[string]*person{}}
		p, err := w.person(k.address)
		if err != nil {
			return err
		}
		r, err := w.repairOf(k)
		if err != nil {
			return err
		}
		if r.After <= e.now().UnixMilli() {
			r.After = 0
		}
		if err := step(w, p, r); err != nil {
			return err
		}
		return e.putRepair(tx, k, r)
	})
	if err != nil {
		e.lastOrder = before
		return err
	}
	e.remember(w.pairs)
	return nil
}

// ask seals the question on the active session (R-CLT-36). The time of asking
// is written with it: that is what bounds asking, and new sessions, to one an
// hour.
func (w *work) ask(k peerKey, r *repairRecord) error {
	pair, err := w.pair(k)
	if err != nil {
		return err
	}
	now := w.e.now()
	if !pair.Ready(now) {
		r.After = now.Add(RepairEvery).UnixMilli()
		return nil
	}
	c, err := content.NewRepair(content.Repair{Count: r.Lost, Since: time.UnixMilli(r.Since)}, now)
	if err != nil {
		return err
	}
	if err := w.controlTo(k, c, 0); err != nil {
		return err
	}
	r.About = append(r.About, r.Tombs...)
	if err := w.markRepair(r.About, repairAsked); err != nil {
		return err
	}
	r.Asked, r.Open, r.Done = now.UnixMilli(), true, false
	r.Came, r.New, r.Expect = 0, 0, 0
	r.Lost, r.Fresh, r.Since, r.Tombs = 0, false, 0, nil
	w.e.log.Info("a device was asked to send again what could not be opened")
	return nil
}

// again counts what a device has sent since it was asked.
func (w *work) again(k peerKey, fresh bool) error {
	r, err := w.repairOf(k)
	if err != nil || !r.Open {
		return err
	}
	r.Came++
	if fresh {
		r.New++
	}
	w.repairChanged(k)
	return w.settleRepair(k, r)
}

// answered takes the word of a device that it has sent everything again. It
// counts only for a question that is open.
func (w *work) answered(k peerKey, c content.Repair) error {
	r, err := w.repairOf(k)
	if err != nil || !r.Open {
		return err
	}
	r.Done, r.Expect = true, min(c.Count, MaxResend)
	w.repairChanged(k)
	return w.settleRepair(k, r)
}

// settleRepair closes a question once as many messages have come as the other
// device says it has sent, and tells the person what came of it (R-CLT-38).
// What had come unopened until then was sent before the answer was, and is
// settled with it.
func (w *work) settleRepair(k peerKey, r *repairRecord) error {
	if !r.Done || r.Came < r.Expect {
		return nil
	}
	if r.GapAsked > 0 { // the outbox of the other device was emptied before it answered
		if err := w.tellMissing(k, r, time.UnixMilli(r.Asked)); err != nil {
			return err
		}
	}
	found := min(r.New, r.Expect)
	state := uint64(repairNothing)
	if found > 0 {
		state = repairDone
		if err := w.e.putNotice(w.tx, k.address, notice{kind: NoticeMessagesRecovered, about: number(found)}); err != nil {
			return err
		}
	}
	if err := w.markRepair(append(r.About, r.Tombs...), state); err != nil {
		return err
	}
	r.Open, r.Done, r.About, r.Came, r.New, r.Expect = false, false, nil, 0, 0, 0
	r.Lost, r.Fresh, r.Since, r.Tombs = 0, false, 0, nil
	return nil
}

// markRepair writes into tombstones what became of them.
func (w *work) markRepair(tombs [][]byte, state uint64) error {
	for _, id := range tombs {
		m, order, ok, err := getMessage(w.tx, id)
		if err != nil {
			return err
		}
		if !ok || m.Kind != string(KindUndecryptable) {
			continue
		}
		m.order, m.Repair = order, state
		if err := putMessage(w.tx, &m); err != nil {
			return err
		}
	}
	return nil
}

func (r *repairRecord) key() peerKey { return peerKey{r.Address, address.Device(r.Device)} }
