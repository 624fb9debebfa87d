package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/x3dh"
)

// person is a pinned contact with its verified device list.
type person struct {
	record  contactRecord
	address address.Address
	list    devicelist.List
	pending *devicelist.List // under another account key, when the identity changed
}

func (r contactRecord) live() (*person, error) {
	a, err := address.ParseCanonical(r.Address)
	if err != nil {
		return nil, ErrStoreDamaged
	}
	p := &person{record: r, address: a}
	if p.list, err = devicelist.VerifyChain(r.Chain); err != nil {
		return nil, ErrStoreDamaged
	}
	if len(r.Pending) > 0 {
		l, err := devicelist.VerifyChain(r.Pending)
		if err != nil {
			return nil, ErrStoreDamaged
		}
		p.pending = &l
	}
	return p, nil
}

func (p *person) trust() Trust {
	switch {
	case p.pending != nil:
		return TrustChanged
	case p.record.Verified:
		return TrustVerified
	}
	return TrustFirstUse
}

// party is the public view of one of the person's devices.
func (p *person) party(d devicelist.Device) x3dh.Party {
	return x3dh.Party{Account: p.list.Account, Address: p.record.Address, Device: uint64(d.ID), Identity: d.DH}
}

// person returns a pinned contact, or nil.
func (e *engine) person(ctx context.Context, addr string) (p *person, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		p, err = e.readPerson(tx, addr)
		return err
	})
	return p, err
}

// findPerson resolves a word to a contact, asking the server when it is an
// address that is not pinned yet.
func (e *engine) findPerson(ctx context.Context, word string) (*person, error) {
	addr, err := e.resolve(ctx, word)
	if err != nil {
		return nil, err
	}
	if p, err := e.person(ctx, addr.String()); err != nil || p != nil {
		return p, err
	}
	l, err := e.connected(ctx)
	if err != nil {
		return nil, err
	}
	return e.lookup(ctx, l, addr)
}

// resolve finds whom a word means: a whole address, an alias, the name of a
// contact, "me", or a bare name on this account's own server (R-CLT-16).
func (e *engine) resolve(ctx context.Context, word string) (address.Address, error) {
	word = strings.TrimSpace(word)
	if word == "me" {
		return e.self.address, nil
	}
	if word == "" { // would match whoever has no alias
		return address.Address{}, ErrUnknownRecipient
	}
	if strings.Contains(word, "@") {
		a, err := address.Parse(word)
		if err != nil {
			return address.Address{}, &wrapped{ErrUnknownRecipient, err}
		}
		return a, nil
	}
	all, err := e.names(ctx)
	if err != nil {
		return address.Address{}, err
	}
	var found []string
	for _, n := range all {
		if strings.EqualFold(n.alias, word) || strings.EqualFold(n.user, word) {
			found = append(found, n.address)
		}
	}
	switch {
	case len(found) == 1:
		return address.ParseCanonical(found[0])
	case len(found) > 1:
		slices.Sort(found)
		return address.Address{}, &AmbiguousError{Word: word, Candidates: found}
	}
	a, err := address.New(word, e.self.address.Host())
	if err != nil {
		return address.Address{}, &wrapped{ErrUnknownRecipient, err}
	}
	return a, nil
}

// contactRecords reads everybody but this account itself.
func (e *engine) contactRecords(ctx context.Context) ([]contactRecord, error) {
	all, err := e.everybody(ctx)
	return slices.DeleteFunc(all, func(c contactRecord) bool { return c.Address == e.self.record.Address }), err
}

// everybody reads the contacts and, for its other devices, this account.
func (e *engine) everybody(ctx context.Context) (all []contactRecord, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableContact, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			c, err := decodeRecord[contactRecord](r.Value)
			all = append(all, c)
			return err
		})
	})
	return all, err
}

// changePerson applies fn to a contact's record in one transaction.
func (e *engine) changePerson(ctx context.Context, who string, fn func(tx *vault.Tx, p *person) error) error {
	p, err := e.findPerson(ctx, who)
	if err != nil {
		return err
	}
	e.state.Lock()
	defer e.state.Unlock()
	err = e.update(ctx, func(tx *vault.Tx) error {
		if p, err = e.readPerson(tx, p.record.Address); err != nil {
			return err
		}
		if p == nil {
			return ErrUnknownRecipient
		}
		p.record.Changed = e.now().UnixMilli()
		if p.address == e.self.address {
			return errIsMe
		}
		if err := fn(tx, p); err != nil {
			return err
		}
		if p, err = e.readPerson(tx, p.record.Address); err != nil {
			return err
		}
		return e.tellContact(tx, p, false)
	})
	e.changed()
	wake(e.flushKick)
	return err
}

// Contact implements API.
func (e *engine) Contact(ctx context.Context, who string) (Contact, error) {
	p, err := e.findPerson(ctx, who)
	if err != nil {
		return Contact{}, err
	}
	return p.contact(), nil
}

// Contacts implements API.
func (e *engine) Contacts(ctx context.Context) ([]Contact, error) {
	records, err := e.contactRecords(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Contact, 0, len(records))
	for _, r := range records {
		p, err := r.live()
		if err != nil {
			return nil, err
		}
		out = append(out, p.contact())
	}
	slices.SortFunc(out, func(a, b Contact) int { return strings.Compare(a.Address, b.Address) })
	return out, nil
}

func (p *person) contact() Contact {
	c := Contact{
		Address: p.record.Address, Alias: p.record.Alias, Trust: p.trust(),
		Identity: devicelist.Fingerprint(p.list.Account), FirstSeen: time.UnixMilli(p.record.FirstSeen).UTC(),
	}
	if p.pending != nil {
		c.Pending = devicelist.Fingerprint(p.pending.Account)
	}
	for _, d := range p.list.Devices {
		c.Devices = append(c.Devices, Device{
			ID: d.ID.String(), Name: d.Name, Revoked: d.Status == devicelist.Revoked,
			AddedAt: time.Unix(d.AddedAt, 0).UTC(),
		})
	}
	return c
}

func checkAlias(alias string) error {
	if len(alias) > MaxAlias || !utf8.ValidString(alias) || strings.ContainsFunc(alias, func(r rune) bool {
		return !unicode.IsPrint(r) || strings.ContainsRune("@#/:", r)
	}) || alias == "me" {
		return fmt.Errorf("%w: an alias is at most %d bytes of printable text without the characters @#:/ in it", ErrInvalidText, MaxAlias)
	}
	return nil
}

// SetAlias implements API.
func (e *engine) SetAlias(ctx context.Context, who, alias string) error {
	if err := checkAlias(alias); err != nil {
		return err
	}
	return e.changePerson(ctx, who, func(tx *vault.Tx, p *person) error {
		p.record.Alias = alias
		return e.putContact(tx, p.record)
	})
}

// RemoveContact implements API. Pinned identity and sessions go; the
// conversation stays.
func (e *engine) RemoveContact(ctx context.Context, who string) error {
	addr, err := e.resolve(ctx, who)
	if err != nil {
		return err
	}
	e.state.Lock()
	defer e.state.Unlock()
	defer wake(e.flushKick) // one's other devices are told
	return e.update(ctx, func(tx *vault.Tx) error {
		p, err := e.readPerson(tx, addr.String())
		if err != nil {
			return err
		}
		if p == nil {
			return ErrUnknownRecipient
		}
		if p.address == e.self.address {
			return errIsMe
		}
		if err := e.dropSessions(tx, p); err != nil {
			return err
		}
		if err = e.dropContact(tx, p.record.Address); err != nil {
			return err
		}
		return e.tellContact(tx, p, true)
	})
}

// dropSessions erases all sessions with a person. The caller holds state.
func (e *engine) dropSessions(tx *vault.Tx, p *person) error {
	for _, d := range p.list.Devices {
		k := peerKey{p.record.Address, d.ID}
		pair, err := e.pair(tx, k)
		if err != nil {
			return err
		}
		var ch session.Change
		for _, s := range pair.Sessions() {
			ch.Erase = append(ch.Erase, s.ID)
		}
		if err := storeChange(tx, k, ch); err != nil {
			return err
		}
		delete(e.pairs, k)
	}
	return nil
}

// SafetyNumber implements API. For a changed identity it is the number of the
// new one: what the person is about to decide on.
func (e *engine) SafetyNumber(ctx context.Context, who string) (SafetyNumber, error) {
	p, err := e.findPerson(ctx, who)
	if err != nil {
		return SafetyNumber{}, err
	}
	own, theirs := e.self.own.Account, p.list.Account
	if p.pending != nil {
		theirs = p.pending.Account
	}
	return SafetyNumber{
		Peer: p.record.Address, Digits: devicelist.SafetyNumber(own, theirs),
		QR: devicelist.QRText(own, theirs), Trust: p.trust(),
	}, nil
}

// Confirm implements API.
func (e *engine) Confirm(ctx context.Context, who string) error {
	var held bool
	err := e.changePerson(ctx, who, func(tx *vault.Tx, p *person) error {
		p.record.Verified, p.record.Known = true, true
		if p.pending != nil {
			if err := e.dropSessions(tx, p); err != nil {
				return err
			}
			p.record.Chain, p.record.Pending = p.record.Pending, nil
			held = true
		}
		return e.putContact(tx, p.record)
	})
	if err == nil {
		wake(e.owedKick)
	}
	if err == nil && held {
		err = e.openHeld(ctx, who)
	}
	return err
}

// Untrust implements API.
func (e *engine) Untrust(ctx context.Context, who string) error {
	return e.changePerson(ctx, who, func(tx *vault.Tx, p *person) error {
		p.record.Verified = false
		return e.putContact(tx, p.record)
	})
}

var errIsMe = errors.New("that is this account itself")

// encodeRecord is the stored form of a record.
func encodeRecord(v any) []byte { return codec.Marshal(v) }
