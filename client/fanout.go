package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// A message is sealed for every device of its recipient and for every other
// device of one's own, in one transaction, and leaves in one request (R-CLT-27).

// others are the active devices of a person, without this one.
func (e *engine) others(p *person) []devicelist.Device {
	return slices.DeleteFunc(p.list.Active(), func(d devicelist.Device) bool {
		return d.ID == e.self.device && p.record.Address == e.self.record.Address
	})
}

// audience is for whom an entry of the outbox is to be sealed.
type audience struct {
	to   *person
	own  *person             // nil when one's other devices are not told
	list []devicelist.Device // of to
	mine []devicelist.Device // of own
}

// audienceOf reads it as it stands. p is the recipient.
func (e *engine) audienceOf(tx *vault.Tx, o *outboxRecord, p *person) (a audience, err error) {
	a = audience{to: p, list: e.others(p)}
	if o.Only != 0 {
		a.list = slices.DeleteFunc(a.list, func(d devicelist.Device) bool { return uint64(d.ID) != o.Only })
	}
	if o.Alone || p.record.Address == e.self.record.Address {
		return a, nil
	}
	own, err := e.readPerson(tx, e.self.record.Address)
	if err != nil || own == nil {
		return a, errors.Join(err, ErrStoreDamaged)
	}
	// A device that is alone says so too: another may have joined.
	a.own, a.mine = own, e.others(own)
	return a, nil
}

// seal seals the content of o for everybody in its audience that it is not
// sealed for yet. If a device has no session, o stays as it is and the outbox
// starts the sessions first; the pairs are nil then. The caller holds state,
// writes o, and remembers the pairs after the commit.
func (e *engine) seal(tx *vault.Tx, o *outboxRecord, p *person) (map[peerKey]session.Pair, error) {
	a, err := e.audienceOf(tx, o, p)
	if err != nil {
		return nil, err
	}
	b := batch{e: e, tx: tx, pairs: map[peerKey]session.Pair{}}
	if ready, err := b.ready(p, a.list); err != nil || !ready {
		return nil, err
	}
	if a.own != nil {
		if ready, err := b.ready(a.own, a.mine); err != nil || !ready {
			return nil, err
		}
	}
	sealed, err := b.sealAll(p, a.list, o.Sealed, o.Content)
	if err != nil {
		return nil, err
	}
	same := sameDevices(o.Sealed, sealed)
	o.Sealed, o.List = sealed, p.list.Version
	if a.own == nil {
		o.Own = nil
		return b.pairs, nil
	}
	told, err := o.forOwn()
	if err != nil {
		return nil, err
	}
	var before []sealedCopy
	if o.Own != nil && same { // else they would tell of other devices
		before = o.Own.Sealed
	}
	copies, err := b.sealAll(a.own, a.mine, before, told)
	if err != nil {
		return nil, err
	}
	o.Own = &ownCopies{List: a.own.list.Version, Sealed: copies}
	return b.pairs, nil
}

func sameDevices(a, b []sealedCopy) bool {
	return slices.EqualFunc(a, b, func(a, b sealedCopy) bool { return a.Device == b.Device })
}

// forOwn is what one's other devices are told of a message.
func (o *outboxRecord) forOwn() ([]byte, error) {
	c, err := content.Decode(o.Content)
	if err != nil {
		return nil, ErrStoreDamaged
	}
	var devices []address.Device
	for _, s := range o.Sealed {
		devices = append(devices, address.Device(s.Device))
	}
	told, err := content.NewSync(content.Sync{Sent: content.NewSent(o.To, c, devices)}, c.SentAt)
	return told.Encode(), err
}

// batch seals for many devices in one transaction.
type batch struct {
	e     *engine
	tx    *vault.Tx
	pairs map[peerKey]session.Pair
}

// ready reads the sessions with a person's devices and reports whether there
// is one with each.
func (b *batch) ready(p *person, devices []devicelist.Device) (bool, error) {
	for _, d := range devices {
		k := peerKey{p.record.Address, d.ID}
		pair, err := b.e.pair(b.tx, k)
		if err != nil {
			return false, err
		}
		if !pair.Ready(b.e.now()) {
			return false, nil
		}
		b.pairs[k] = pair
	}
	return true, nil
}

// sealAll seals a content for each device that has no copy in before.
func (b *batch) sealAll(p *person, devices []devicelist.Device, before []sealedCopy, padded []byte) ([]sealedCopy, error) {
	var copies []sealedCopy
	for _, d := range devices {
		i := slices.IndexFunc(before, func(c sealedCopy) bool { return c.Device == uint64(d.ID) })
		if i >= 0 {
			copies = append(copies, before[i])
			continue
		}
		k := peerKey{p.record.Address, d.ID}
		next, c, err := b.e.sealOne(b.tx, k, b.pairs[k], padded)
		if err != nil {
			return nil, err
		}
		b.pairs[k] = next
		copies = append(copies, c)
	}
	return copies, nil
}

// request is what the server is asked to store for an entry, all or nothing.
func (o *outboxRecord) request() relay.SendRequest {
	user, _, _ := cutAddress(o.To)
	req := relay.SendRequest{To: user, TTL: int64(o.TTL), Messages: outgoing(o.Sealed)}
	if !o.Control && o.Only == 0 {
		req.ListVersion = o.List
	}
	if o.Own != nil {
		req.Own = &relay.OwnCopies{ListVersion: o.Own.List, Messages: outgoing(o.Own.Sealed)}
	}
	return req
}

func outgoing(copies []sealedCopy) (out []relay.Outgoing) {
	for _, c := range copies {
		out = append(out, relay.Outgoing{Device: address.Device(c.Device), ID: relay.MessageID(c.ID), Body: c.Envelope})
	}
	return out
}

func cutAddress(s string) (user, host string, err error) {
	a, err := address.ParseCanonical(s)
	return a.User(), a.Host(), err
}

// prepare starts the sessions that an entry needs, and seals it for whom it is
// not sealed for yet.
func (e *engine) prepare(ctx context.Context, l *link, o *outboxRecord) error {
	addr, err := address.ParseCanonical(o.To)
	if err != nil {
		return ErrStoreDamaged
	}
	p, err := e.person(ctx, o.To)
	if err == nil && p == nil {
		p, err = e.lookup(ctx, l, addr)
	}
	if err != nil {
		return err
	}
	if p.pending != nil {
		return ErrIdentityChanged
	}
	var a audience
	err = e.view(ctx, func(tx *vault.Tx) error {
		a, err = e.audienceOf(tx, o, p)
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range a.list {
		if err := e.ensureSession(ctx, l, p, peerKey{o.To, d.ID}); err != nil {
			return e.goneMeanwhile(ctx, l, p, d.ID, err)
		}
	}
	for _, d := range a.mine {
		err := e.ensureSession(ctx, l, a.own, peerKey{a.own.record.Address, d.ID})
		if err != nil {
			err = e.goneMeanwhile(ctx, l, a.own, d.ID, err)
		}
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrUnknownRecipient) {
			// One's own device must not stand in the way of a message to others.
			e.log.Warn("another device of this account cannot be told of a message", "reason", reason(err))
			o.Alone = true
			break
		}
		if err != nil {
			return err
		}
	}
	e.state.Lock()
	defer e.state.Unlock()
	var pairs map[peerKey]session.Pair
	met := false
	err = e.update(ctx, func(tx *vault.Tx) error {
		if p, err = e.readPerson(tx, o.To); err != nil || p == nil {
			return errors.Join(err, ErrUnknownRecipient)
		}
		if pairs, err = e.seal(tx, o, p); err != nil {
			return err
		}
		if pairs == nil {
			return errMeanwhile
		}
		if len(o.Sealed) == 0 {
			return errNobody
		}
		if err := noteSealed(tx, o, e.now()); err != nil {
			return err
		}
		if met = !p.record.Known; met {
			p.record.Known = true
			if err := e.putContact(tx, p.record); err != nil {
				return err
			}
		}
		return putOutbox(tx, o)
	})
	if err == nil {
		e.remember(pairs)
		e.unsealed.done(o)
	}
	if err == nil && met {
		wake(e.owedKick)
	}
	return err
}

// goneMeanwhile looks whether a device whose prekeys the server does not have
// is on its list no longer: then what came of it is not worth telling.
func (e *engine) goneMeanwhile(ctx context.Context, l *link, p *person, id address.Device, err error) error {
	if !errors.Is(err, ErrUnknownRecipient) {
		return err
	}
	now, asked := e.lookup(ctx, l, p.address)
	if asked != nil {
		return asked
	}
	if !activeIn(now.list, id) || now.pending != nil {
		return errMeanwhile
	}
	return err
}

// errMeanwhile: a device joined while sessions with the others were started.
var errMeanwhile = errors.New("client: the devices have changed meanwhile")

// errNobody: there is no device left to seal an entry for.
var errNobody = fmt.Errorf("%w: there is no device left to seal it for", ErrRefused)

// catchUpList brings a device list up to date that the server called stale: by
// the entries that it sent along, or by asking.
func (e *engine) catchUpList(ctx context.Context, l *link, o *outboxRecord, stale *relay.StaleList) error {
	who := o.To
	if stale.Own {
		who = e.self.record.Address
	}
	addr, err := address.ParseCanonical(who)
	if err != nil {
		return ErrStoreDamaged
	}
	if len(stale.Entries) > 0 {
		if done, err := e.takeEntries(ctx, addr, stale); done || err != nil {
			return err
		}
	}
	_, err = e.lookup(ctx, l, addr)
	return err
}

// takeEntries takes the entries that came with the word that a list is stale,
// and reports whether that was all. The list is read once nobody else asks for
// it any more: it may have gone further than the server's word.
func (e *engine) takeEntries(ctx context.Context, addr address.Address, stale *relay.StaleList) (done bool, err error) {
	defer e.contactMu.lock(addr.String())()
	p, err := e.person(ctx, addr.String())
	if err != nil || p == nil || p.list.Version >= stale.Version {
		return p != nil, err
	}
	next, err := e.takeList(ctx, addr, append(slices.Clip(p.record.Chain), stale.Entries...))
	return err == nil && next.list.Version >= stale.Version, nil
}

// tellOwn queues something for one's other devices; only, when not zero, is the
// one it is for. It is sealed by the outbox. The caller holds state.
func (e *engine) tellOwn(tx *vault.Tx, s content.Sync, only address.Device) error {
	own, err := e.readPerson(tx, e.self.record.Address)
	if err != nil || own == nil || len(e.others(own)) == 0 {
		return err
	}
	c, err := content.NewSync(s, e.now())
	if err != nil {
		return err
	}
	id := content.NewID()
	return putOutbox(tx, &outboxRecord{
		ID: id[:], To: e.self.record.Address, Content: c.Encode(), Created: e.now().UnixMilli(),
		Quiet: true, Only: uint64(only), order: e.nextOrder(),
	})
}

// seconds is a lifetime as the relay is told it.
func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }
