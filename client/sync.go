package client

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
)

// What one's other devices say is believed as if it had happened here, and
// only from them (R-CLT-28).

// sync applies what another device of this account tells.
func (w *work) sync(m *incoming, k peerKey, s content.Sync) error {
	switch {
	case s.Sent != nil:
		return w.sentElsewhere(m, k, s.Sent)
	case len(s.Read) > 0:
		return w.readElsewhere(s.Read)
	case s.Contact != nil:
		return w.contactElsewhere(s.Contact)
	case s.Claims != nil:
		state := content.Receipt{State: s.Claims.State, IDs: s.Claims.IDs}
		return w.receipt(peerKey{s.Claims.Peer, s.Claims.Device}, state)
	case s.Ask != nil:
		return w.historyAsked(k, s.Ask)
	case s.Page != nil:
		return w.historyCame(k, s.Page)
	case s.Refresh:
		w.refresh = true
	}
	return nil // from a newer version, or for nobody here
}

// sentElsewhere keeps a message that another device of this account has sent.
func (w *work) sentElsewhere(m *incoming, k peerKey, s *content.Sent) error {
	to, err := address.ParseCanonical(s.To)
	if err != nil || to.Host() != w.e.self.address.Host() {
		return nil
	}
	c, err := s.Open()
	if err != nil {
		w.e.log.Warn("what another device has sent cannot be read")
		return nil
	}
	r := w.e.outgoing(c, s.To)
	r.FromDevice, r.Status, r.AcceptedAt = uint64(k.device), string(StatusAccepted), m.at
	if c.Kind != content.KindText {
		r.Kind, r.RawKind, r.RawBody = string(KindUnknown), uint64(c.Kind), c.Body
	}
	if err := w.checked(r, c); err != nil {
		return err
	}
	for _, d := range s.Devices {
		r.Devices = append(r.Devices, deviceState{Device: uint64(d), Status: string(StatusAccepted)})
	}
	if r.expires(w.e.now().UnixMilli()) {
		r.erase()
	}
	if r.ExpiresAt != 0 {
		w.expiry = append(w.expiry, r.ExpiresAt)
	}
	r.order = w.e.nextOrder()
	kept, err := insertMessage(w.tx, r)
	if err == nil && !kept {
		old, _, ok, gerr := getMessage(w.tx, r.ID)
		if gerr != nil || (ok && old.Outgoing) {
			return gerr
		}
		id := derivedID(c.ID, k.address, k.device) // somebody else's has that id
		r.ID, r.Original = id[:], c.ID[:]
		kept, err = insertMessage(w.tx, r)
	}
	if err != nil || !kept {
		return err
	}
	if err := putLifetime(w.tx, r); err != nil || to == w.e.self.address {
		return err
	}
	return w.acquainted(s.To)
}

// acquainted notes that this account has written to somebody. Who is not
// pinned here yet is looked up after the batch.
func (w *work) acquainted(addr string) error {
	p, err := w.person(addr)
	switch {
	case err != nil:
		return err
	case p == nil:
		w.wanted = append(w.wanted, addr)
		return w.tx.Put(tableMeta, wantedKey(addr), nil, 0, encodeRecord(wantedRecord{Address: addr, Known: true}))
	case p.record.Known:
		return nil
	}
	p.record.Known, w.befriended = true, true
	return w.e.putContact(w.tx, p.record)
}

// readElsewhere takes messages out of what is unread here: the person has seen
// them on another device, which has also told their senders.
func (w *work) readElsewhere(ids []content.ID) error {
	for _, id := range ids {
		r, order, ok, err := getMessage(w.tx, id[:])
		if err != nil {
			return err
		}
		if !ok || r.Outgoing || r.Elsewhere {
			continue
		}
		r.order, r.Told, r.Elsewhere = order, true, true
		if err := putMessage(w.tx, &r); err != nil {
			return err
		}
	}
	return nil
}

// wantedRecord is what another device has said of somebody whom this one does
// not know yet, or knows under another account key.
type wantedRecord struct {
	Address string `cbor:"1,keyasint"`
	Known   bool   `cbor:"2,keyasint"`
	Mark    []byte `cbor:"3,keyasint,omitempty"` // the encoded KindSync content that says more
}

const wantedPrefix = "wanted/"

func wantedKey(addr string) []byte { return []byte(wantedPrefix + addr) }

// contactElsewhere applies what was changed about a contact. The latest change
// wins; an identity that was verified elsewhere is taken over only when the
// server shows that very one.
func (w *work) contactElsewhere(m *content.ContactMark) error {
	if to, err := address.ParseCanonical(m.Address); err != nil || to == w.e.self.address {
		return nil
	}
	if checkAlias(m.Alias) != nil {
		m.Alias = ""
	}
	p, err := w.person(m.Address)
	if err != nil {
		return err
	}
	if p != nil && p.record.Changed >= m.At.UnixMilli() {
		return nil
	}
	if m.Removed {
		if p == nil {
			return nil
		}
		if err := w.e.dropSessions(w.tx, p); err != nil {
			return err
		}
		w.people[m.Address] = nil
		return w.e.dropContact(w.tx, m.Address)
	}
	if p != nil && p.take(m) {
		w.befriended = true
		delete(w.people, m.Address)
		return w.e.putContact(w.tx, p.record)
	}
	c, err := content.NewSync(content.Sync{Contact: m}, w.e.now())
	if err != nil {
		return err
	}
	w.wanted = append(w.wanted, m.Address)
	return w.tx.Put(tableMeta, wantedKey(m.Address), nil, 0, encodeRecord(wantedRecord{
		Address: m.Address, Known: m.Known, Mark: c.Encode(),
	}))
}

// take applies a mark to a contact whose account key it names, be it the pinned
// one or the one that waits for a decision.
func (p *person) take(m *content.ContactMark) bool {
	switch {
	case bytes.Equal(p.list.Account, m.Account[:]):
	case p.pending != nil && bytes.Equal(p.pending.Account, m.Account[:]):
		p.record.Chain, p.record.Pending = p.record.Pending, nil
	default:
		return false
	}
	p.record.Alias, p.record.Verified, p.record.Known = m.Alias, m.Verified, m.Known || p.record.Known
	p.record.Changed = m.At.UnixMilli()
	return true
}

// getAcquainted looks up those of whom another device has spoken.
func (e *engine) getAcquainted(ctx context.Context, l *link) error {
	var all []wantedRecord
	err := e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableMeta, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			if !bytes.HasPrefix(r.Key, []byte(wantedPrefix)) {
				return nil
			}
			wanted, err := decodeRecord[wantedRecord](r.Value)
			all = append(all, wanted)
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, wanted := range all {
		addr, err := address.ParseCanonical(wanted.Address)
		if err != nil {
			return ErrStoreDamaged
		}
		_, err = e.lookup(ctx, l, addr)
		if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrRateLimited) || ctx.Err() != nil {
			return err
		}
		if err := e.met(ctx, wanted); err != nil {
			return err
		}
	}
	return nil
}

// met applies what was wanted of somebody who is pinned now.
func (e *engine) met(ctx context.Context, wanted wantedRecord) error {
	e.state.Lock()
	defer e.state.Unlock()
	defer e.changed()
	defer wake(e.owedKick)
	return e.update(ctx, func(tx *vault.Tx) error {
		p, err := e.readPerson(tx, wanted.Address)
		if err != nil {
			return err
		}
		if _, err := tx.Delete(tableMeta, wantedKey(wanted.Address)); err != nil || p == nil {
			return err
		}
		p.record.Known = p.record.Known || wanted.Known
		if len(wanted.Mark) > 0 {
			c, err := content.Decode(wanted.Mark)
			if err != nil || c.Sync.Contact == nil {
				return ErrStoreDamaged
			}
			if changed := p.pending != nil; p.take(c.Sync.Contact) && changed && p.record.Pending == nil {
				if err := e.dropSessions(tx, p); err != nil {
					return err
				}
			}
		}
		return e.putContact(tx, p.record)
	})
}

// tellContact queues what the person has changed about a contact for one's
// other devices. The caller holds state.
func (e *engine) tellContact(tx *vault.Tx, p *person, removed bool) error {
	return e.tellOwn(tx, content.Sync{Contact: p.mark(e, removed)}, 0)
}

func (p *person) mark(e *engine, removed bool) *content.ContactMark {
	return &content.ContactMark{
		Address: p.record.Address, Account: [32]byte(p.list.Account), Alias: p.record.Alias, Verified: p.record.Verified,
		Known: p.record.Known, Removed: removed, At: e.now(),
	}
}

// welcome introduces the devices that have joined the account to the people
// whom this one knows: to all of them, if it holds the account key, else to
// those about whom something was decided while the new device was unknown here.
func (e *engine) welcome(tx *vault.Tx, before, now devicelist.List) error {
	for _, d := range now.Devices[len(before.Devices):] {
		if d.ID == e.self.device || d.Status != devicelist.Active {
			continue
		}
		since := int64(0)
		if e.self.account == nil {
			since = time.Unix(d.AddedAt, 0).Add(-welcomeSince).UnixMilli()
		}
		if err := e.introduceTo(tx, d.ID, since); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) introduceTo(tx *vault.Tx, device address.Device, since int64) error {
	var marks []*content.ContactMark
	err := tx.Scan(tableContact, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
		p, err := e.people.decode(r.Value)
		if err != nil || p.address == e.self.address || p.record.Changed < since {
			return err
		}
		m := p.mark(e, false)
		m.At = time.UnixMilli(max(p.record.Changed, p.record.FirstSeen))
		marks = append(marks, m)
		return nil
	})
	for _, m := range marks {
		if err == nil {
			err = e.tellOwn(tx, content.Sync{Contact: m}, device)
		}
	}
	return err
}
