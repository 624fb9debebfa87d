package client

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// receiveLoop takes deliveries until the connection ends: commit first, then
// acknowledge (R-CLT-01). An error of the store ends the connection; what was
// not acknowledged comes again.
func (e *engine) receiveLoop(l *link) {
	defer close(l.failed)
	acks := make(chan []uint64, 1)
	acked := make(chan struct{})
	go func() { defer close(acked); e.acknowledge(l, acks) }()
	defer func() { close(acks); <-acked }()
	for {
		select {
		case <-e.life.Done():
			l.err = errClosed
			return
		case batch, ok := <-l.conn.Deliveries():
			if !ok {
				l.err = relayError(l.conn.Err())
				return
			}
			batch = more(batch, l.conn.Deliveries())
			if len(batch.Messages) > 0 {
				seqs, err := e.take(e.life, l, batch.Messages)
				if err != nil {
					l.err = err
					e.log.Error("receiving stopped", "reason", reason(err))
					return
				}
				acks <- seqs
			}
			if batch.Empty && !isClosed(l.caught) {
				close(l.caught)
				wake(e.repairKick)
				wake(e.groupKick)
			}
		}
	}
}

// more adds what has arrived meanwhile, so that a backlog is committed in
// larger transactions.
func more(batch relayclient.Batch, from <-chan relayclient.Batch) relayclient.Batch {
	for len(batch.Messages) < ReceiveBatch && !batch.Empty {
		select {
		case next, ok := <-from:
			if !ok {
				return batch // the end is noticed at the next receive
			}
			batch.Messages = append(batch.Messages, next.Messages...)
			batch.Empty = next.Empty
		default:
			return batch
		}
	}
	return batch
}

// acknowledge tells the relay what it may forget, beside the next batch. What
// the relay cannot note at the moment it is told again: as long as the
// connection lasts it would not come again, and would count against what may
// be delivered. It ends with what it was given, also when the engine closes; what
// the relay did not hear of by then comes again and is known then (R-CLT-04).
func (e *engine) acknowledge(l *link, acks <-chan []uint64) {
	const patience = 5 * time.Second
	var owed []uint64
	var again <-chan time.Time
	for open := true; open; {
		select {
		case seqs, ok := <-acks:
			owed, open = append(owed, seqs...), ok
		case <-again:
		}
		again = nil
		if len(owed) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.life), patience)
		err := l.conn.Ack(ctx, owed)
		cancel()
		switch {
		case err == nil:
			owed = nil
		case isClosed(l.conn.Done()):
			e.log.Info("messages were not acknowledged and will come again", "reason", reason(relayError(err)))
			owed = nil
		default:
			again = time.After(patience)
		}
	}
}

// take commits one batch of deliveries and returns what to acknowledge.
func (e *engine) take(ctx context.Context, l *link, batch []relay.Delivery) ([]uint64, error) {
	in := make([]incoming, len(batch))
	seqs := make([]uint64, len(batch))
	for i, d := range batch {
		in[i] = incoming{at: d.At, body: d.Body}
		seqs[i] = d.Seq
	}
	if err := e.introduce(ctx, l, in); err != nil {
		return nil, err
	}
	if err := e.open(ctx, in); err != nil {
		return nil, err
	}
	l.taken.Store(seqs[len(seqs)-1])
	e.changed()
	wake(e.flushKick) // heartbeats and farewells
	return seqs, nil
}

// incoming is one envelope on its way in.
type incoming struct {
	at      int64 // the server's clock, milliseconds
	body    []byte
	env     content.Envelope
	known   bool // the envelope is well formed and for this device
	nobody  bool // its sender does not exist
	heldKey []byte
	place   *devicePosition // where it was opened
	order   int64           // of what was held
	still   bool            // it has to be held longer
}

// work is what a batch does to session states until it is committed.
type work struct {
	e           *engine
	tx          *vault.Tx
	pairs       map[peerKey]session.Pair
	changes     map[peerKey]*session.Change
	people      map[string]*person
	handled     []envelopeHash           // to remember
	owed        map[peerKey][]content.ID // texts that were stored
	owedInGroup map[peerKey][]content.ID // texts of groups that were stored
	expiry      []int64                  // ends of lifetimes
	wanted      []string                 // people to look up after the commit
	refresh     bool                     // the own device list has changed
	claims      []content.Claims         // receipts that one's other devices are to hear of
	asks        map[address.Device]content.HistoryAsk
	// befriended: somebody is a stranger no longer, and may be owed receipts.
	befriended bool

	repairs  map[peerKey]*repairRecord // read in this batch
	sound    bool                      // nothing stood open with anybody before it
	repaired map[peerKey]bool          // of them, changed

	chains    map[groups.ChainID]*openChain // sender keys read in this batch
	follow    map[groups.ID]bool            // groups to look after
	groupTold map[content.ID]*messageRecord // own messages to groups that receipts came for
	heldFor   []groups.ChainID              // chains that messages wait for
}

// open opens envelopes and commits plaintexts, next states, consumed prekeys
// and what is owed in one transaction. A message that cannot be opened leaves
// a tombstone; only an error of the store fails the batch.
func (e *engine) open(ctx context.Context, in []incoming) error {
	e.state.Lock()
	defer e.state.Unlock()
	var w *work
	order := e.lastOrder
	err := e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = order
		w = &work{
			e: e, tx: tx, pairs: map[peerKey]session.Pair{}, changes: map[peerKey]*session.Change{},
			people: map[string]*person{}, owed: map[peerKey][]content.ID{},
		}
		for i := range in {
			if err := w.one(&in[i]); err != nil {
				return err
			}
		}
		return w.finish()
	})
	if err != nil {
		e.lastOrder = order
		return err
	}
	e.remember(w.pairs)
	e.seen.add(w.handled)
	for _, at := range w.expiry {
		e.lives(at)
	}
	if len(w.owed) > 0 || len(w.owedInGroup) > 0 || w.befriended {
		wake(e.owedKick)
	}
	if len(w.wanted) > 0 || w.refresh {
		wake(e.askKick)
	}
	if len(w.repaired) > 0 {
		wake(e.repairKick)
	}
	e.dueNow(w.follow)
	return nil
}

func (w *work) pair(k peerKey) (session.Pair, error) {
	if p, ok := w.pairs[k]; ok {
		return p, nil
	}
	return w.e.pair(w.tx, k)
}

func (w *work) person(addr string) (*person, error) {
	if p, ok := w.people[addr]; ok {
		return p, nil
	}
	p, err := w.e.readPerson(w.tx, addr)
	if err == nil {
		w.people[addr] = p
	}
	return p, err
}

// change notes a step; states that later steps replace are never written.
func (w *work) change(k peerKey, next session.Pair, ch session.Change) {
	w.pairs[k] = next
	all := w.changes[k]
	if all == nil {
		all = &session.Change{}
		w.changes[k] = all
	}
	all.Merge(ch)
}

func (w *work) finish() error {
	if err := w.rememberHandled(); err != nil {
		return err
	}
	if err := w.oweAll(); err != nil {
		return err
	}
	if err := w.passOn(); err != nil {
		return err
	}
	if err := w.handOut(); err != nil {
		return err
	}
	if err := w.writeChains(); err != nil {
		return err
	}
	if err := w.writeTold(); err != nil {
		return err
	}
	for k, ch := range w.changes {
		if err := w.write(k, *ch); err != nil {
			return err
		}
		if len(ch.Skipped) > 0 {
			if err := w.skipped(k); err != nil {
				return err
			}
		}
		if w.pairs[k].HeartbeatDue() {
			if p, err := w.person(k.address); err != nil {
				return err
			} else if p != nil && p.record.Known { // never to strangers (R-CLT-14)
				if err := w.heartbeat(k); err != nil {
					return err
				}
			}
		}
	}
	return w.writeRepairs()
}

// write writes a change and queues the farewells of sessions that gave way.
func (w *work) write(k peerKey, ch session.Change) error {
	if err := storeChange(w.tx, k, ch); err != nil {
		return err
	}
	for _, f := range ch.Farewells {
		if err := w.farewell(k, f.Message); err != nil {
			return err
		}
	}
	return nil
}

// one opens one envelope.
func (w *work) one(m *incoming) error {
	now := w.e.now()
	if !m.known || m.nobody {
		w.e.log.Warn("an envelope was dropped", "reason", "malformed, misdirected or from nobody")
		return nil
	}
	if m.env.To == 0 {
		return w.groupEnvelope(m)
	}
	k := peerKey{m.env.From.String(), m.env.Device}
	p, err := w.person(k.address)
	if err != nil {
		return err
	}
	if p == nil {
		return nil
	}
	device, listed := p.list.Device(m.env.Device)
	if !listed && p.pending != nil {
		return w.hold(m, k.address)
	}
	if !listed {
		return w.refused(m, k, errUnknownDevice)
	}
	pair, err := w.pair(k)
	if err != nil {
		return err
	}
	var used spent
	opened, err := pair.Open(m.env.Initial, m.env.Message, now, func(initial []byte) (x3dh.Accepted, error) {
		acc, uses, err := w.respond(p.party(device), initial, now)
		used = uses
		return acc, err
	})
	if err != nil {
		if errors.Is(err, errStore) {
			return err
		}
		return w.refused(m, k, err)
	}
	c, err := content.Decode(opened.Plaintext)
	if err != nil {
		c = content.Content{Kind: 0, ID: content.NewID(), SentAt: time.UnixMilli(m.at), Body: opened.Plaintext}
	}
	w.handled = append(w.handled, hashEnvelope(m.body))
	if err := w.e.record(w.tx, k.address, m.body, positionOf(k, opened.Session, opened.At, now)); err != nil {
		return err
	}
	if opened.New {
		if err := w.spend(used); err != nil {
			return err
		}
	}
	w.change(k, opened.Next, opened.Change)
	if opened.Switched {
		w.e.log.Info("the active session with a device was switched", "new", opened.New)
		if opened.New && pair.Active().Answered {
			if err := w.e.putNotice(w.tx, k.address, notice{kind: NoticeSessionReset}); err != nil {
				return err
			}
		}
	}
	switch {
	case len(opened.Reply) > 0:
		return w.farewell(k, opened.Reply)
	case c.Kind == content.KindRepair:
		return w.repairSaid(k, p, opened.Session, c.Repair)
	case c.Kind == content.KindGroup:
		return w.groupSaid(k, p, c.Body)
	}
	m.place = positionOf(k, opened.Session, opened.At, now)
	return w.keep(m, k, c)
}

// keep writes an opened message into its conversation.
func (w *work) keep(m *incoming, k peerKey, c content.Content) error {
	if k.address == w.e.self.record.Address {
		if c.Kind == content.KindSync {
			return w.syncAgain(m, k, c.Sync)
		}
		if c.Kind == content.KindReceipt { // of a message to a group (R-GRP-64)
			return w.receipt(k, c.Receipt)
		}
		return nil
	}
	r := &messageRecord{
		Conversation: k.address, From: k.address, FromDevice: uint64(k.device), To: w.e.self.record.Address,
		SentAt: c.SentAt.UnixMilli(), ReceivedAt: w.e.now().UnixMilli(), Status: string(StatusReceived),
	}
	if m.place != nil {
		r.Positions = []devicePosition{*m.place}
	}
	switch c.Kind {
	case content.KindHeartbeat, content.KindFarewell:
		return nil
	case content.KindReceipt:
		return w.receipt(k, c.Receipt)
	case content.KindSync:
		w.e.log.Warn("a contact has sent what only one's own devices may")
		return nil
	case content.KindText:
		r.Kind, r.Text, r.Subject = string(KindText), c.Text.Text, c.Text.Subject
		if !c.Text.ReplyTo.IsZero() {
			r.ReplyTo = c.Text.ReplyTo[:]
		}
	default:
		r.Kind, r.RawKind, r.RawBody = string(KindUnknown), uint64(c.Kind), c.Body
	}
	if err := w.checked(r, c); err != nil {
		return err
	}
	if c.TTL > 0 { // a sender whose clock is ahead gains nothing
		r.ExpiresAt = min(r.SentAt, r.ReceivedAt) + c.TTL.Milliseconds()
		if r.expires(r.ReceivedAt) {
			r.erase()
		}
		w.expiry = append(w.expiry, r.ExpiresAt)
	}
	if c.Kind == content.KindText && !r.Expired {
		// R-CLT-17; of a repetition, too: the last receipt may be lost.
		w.owed[k] = append(w.owed[k], c.ID)
	}
	r.ID, r.order = c.ID[:], w.e.nextOrder()
	kept, err := insertMessage(w.tx, r)
	if err == nil && c.Kind == content.KindText {
		err = w.again(k, kept && !r.Expired)
	}
	if err == nil && kept {
		err = w.badSignature(r)
	}
	if err != nil || kept {
		return errors.Join(err, putLifetime(w.tx, r))
	}
	// The ID is taken. The sender's own repetition under it, sealed anew, is
	// shown once (R-CLT-04); beside somebody else's message it gets another.
	old, _, ok, err := getMessage(w.tx, c.ID[:])
	if err != nil || (ok && !old.Outgoing && old.From == k.address) { // whichever device repeats it (R-CLT-33)
		return err
	}
	id := derivedID(c.ID, k.address, k.device)
	r.ID, r.Original = id[:], c.ID[:]
	kept, err = insertMessage(w.tx, r)
	if err == nil && kept {
		err = putLifetime(w.tx, r)
	}
	return err
}

// errUnknownDevice: the sender's list does not have the device.
var errUnknownDevice = errors.New("client: unknown device")

// refused decides what an unopened message leaves behind: nothing for what is
// known already, a tombstone with its cause otherwise (R-CLT-05).
func (w *work) refused(m *incoming, k peerKey, err error) error {
	hash := hashEnvelope(m.body)
	if seen, err := w.handledBefore(hash); err != nil || seen {
		return err // (R-CLT-04)
	}
	cause := CauseForged
	switch {
	case errors.Is(err, ratchet.ErrDuplicate):
		return nil
	case errors.Is(err, errUnknownDevice):
		cause = CauseUnknownDevice
	case errors.Is(err, ErrReplayed):
		cause = CauseReplayed
	case errors.Is(err, ratchet.ErrTooOld):
		cause = CauseTooOld
	case errors.Is(err, ratchet.ErrTooFarAhead):
		cause = CauseTooFarAhead
	case errors.Is(err, ratchet.ErrRolledBack):
		cause = CauseRolledBack
	case errors.Is(err, session.ErrNoSession), errors.Is(err, session.ErrUnopened), errors.Is(err, ratchet.ErrUnknownChain):
		if msg, perr := ratchet.ParseMessage(m.env.Message); perr == nil && msg.Type == ratchet.TypeFarewell {
			return nil // the end of a session that is gone here
		}
		cause = CauseNoSession
	case errors.Is(err, errNoPrekey):
		cause = CauseNoPrekey
	}
	return w.tombstone(m, k, cause)
}

// Causes of undecryptable messages, as Message.Cause carries them.
const (
	CauseForged        = "forged"
	CauseReplayed      = "replayed"
	CauseTooOld        = "too_old"
	CauseTooFarAhead   = "too_far_ahead"
	CauseRolledBack    = "rolled_back"
	CauseNoSession     = "no_session"
	CauseNoPrekey      = "no_prekey"
	CauseUnknownDevice = "unknown_device"
)

// tombstone shows that a message came that could not be opened. They are
// bounded for each conversation: what a server can make up must not fill a
// disk.
func (w *work) tombstone(m *incoming, k peerKey, cause string) error {
	w.e.log.Warn("a message could not be opened", "cause", cause)
	meta := []byte("tombstones/" + k.address)
	n, _, err := getRecord[countRecord](w.tx, tableMeta, meta)
	if err != nil {
		return err
	}
	if n.N >= MaxTombstones {
		return w.lost(m, k, cause, nil)
	}
	n.N++
	w.handled = append(w.handled, hashEnvelope(m.body))
	if err := w.tx.Put(tableMeta, meta, nil, 0, encodeRecord(n)); err != nil {
		return err
	}
	id := content.NewID()
	err = putMessage(w.tx, &messageRecord{
		ID: id[:], Conversation: k.address, From: k.address, FromDevice: uint64(k.device), To: w.e.self.record.Address,
		Kind: string(KindUndecryptable), Cause: cause, SentAt: m.at, ReceivedAt: w.e.now().UnixMilli(),
		Status: string(StatusReceived), order: w.e.nextOrder(),
	})
	if err != nil {
		return err
	}
	return w.lost(m, k, cause, id[:])
}

type countRecord struct {
	N uint64 `cbor:"1,keyasint"`
}

// hold keeps an envelope of an identity that the person has not accepted yet
// (R-CLT-08).
func (w *work) hold(m *incoming, addr string) error {
	n, err := w.tx.Count(tableHeld, []byte(addr))
	if err != nil || n >= MaxHeld {
		return err
	}
	key := hashEnvelope(m.body)
	return w.tx.Put(tableHeld, key[:], []byte(addr), w.e.nextOrder(), encodeRecord(heldRecord{At: m.at, Body: m.body}))
}

// openHeld opens what was held for a contact whose new identity was accepted.
func (e *engine) openHeld(ctx context.Context, who string) error {
	if !e.isChecked() {
		return nil // openDeferred does it after the login
	}
	addr, err := e.resolve(ctx, who)
	if err != nil {
		return err
	}
	var in []incoming
	err = e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableHeld, []byte(addr.String()), firstOrder, lastOrder, MaxHeld, false, func(r vault.Row) error {
			h, err := decodeRecord[heldRecord](r.Value)
			if err != nil {
				return err
			}
			env, err := content.DecodeEnvelope(h.Body)
			in = append(in, incoming{at: h.At, body: h.Body, env: env, known: err == nil, heldKey: r.Key})
			return nil
		})
	})
	if err != nil || len(in) == 0 {
		return err
	}
	if err := e.open(ctx, in); err != nil {
		return err
	}
	err = e.update(ctx, func(tx *vault.Tx) error {
		for _, m := range in {
			if _, err := tx.Delete(tableHeld, m.heldKey); err != nil {
				return err
			}
		}
		return nil
	})
	e.changed()
	return err
}
