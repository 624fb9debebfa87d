package client

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

type securityQuery struct {
	Only   string
	Secret []byte // the store's
}

var (
	callSecurity = method[string, SecurityReport]{"security", func(ctx context.Context, e *engine, only string) (SecurityReport, error) {
		return e.Security(ctx, only)
	}}
	callSecurityCopy = method[securityQuery, SecurityCopy]{"security copy", func(ctx context.Context, e *engine, q securityQuery) (SecurityCopy, error) {
		return e.SecurityCopy(ctx, q)
	}}
)

// copyBytes bounds the sessions in a copy of everything: encoded, it must fit one frame of the
// local socket beside the rest.
const copyBytes = 2 << 20

// census goes through a store once, in one transaction, and counts what it
// gives to a thief. With a copy it takes the keys along.
type census struct {
	e      *engine
	only   string
	now    time.Time
	report SecurityReport
	people map[string]*ConversationExposure // groups too
	copied *SecurityCopy                    // or nil
}

// Security implements API.
func (e *engine) Security(ctx context.Context, only string) (SecurityReport, error) {
	c, err := e.census(ctx, only, nil)
	if err != nil {
		return SecurityReport{}, err
	}
	return c.report, nil
}

// SecurityCopy implements API. It hands out keys, and so only to who knows the
// store's secret (R-SEC-06).
func (e *engine) SecurityCopy(ctx context.Context, q securityQuery) (SecurityCopy, error) {
	if err := e.checkSecret(q.Secret); err != nil {
		return SecurityCopy{}, err
	}
	own := &e.self.own
	x := SecurityCopy{
		Self:        SecurityParty{own.Address, own.Device, own.Account, own.Identity.Bytes()},
		IdentityKey: slices.Clone(e.self.record.DHKey), SigningKey: slices.Clone(e.self.record.SignKey),
	}
	c, err := e.census(ctx, q.Only, &x)
	if err != nil {
		return SecurityCopy{}, err
	}
	x.Report = c.report
	size := 0
	for _, s := range x.Sessions {
		size += len(s.Head) + len(s.Skipped)
	}
	if size > copyBytes && q.Only == "" {
		x.Sessions, x.Partly = nil, true
	}
	return x, nil
}

// census counts everything as of one moment (R-SEC-01).
func (e *engine) census(ctx context.Context, only string, copied *SecurityCopy) (*census, error) {
	if err := e.expire(ctx); err != nil {
		return nil, err
	}
	if only != "" {
		name, err := e.conversation(ctx, only)
		if err != nil {
			return nil, err
		}
		only = name
	}
	now := e.now()
	c := &census{
		e: e, only: only, now: now, people: map[string]*ConversationExposure{}, copied: copied,
		report: SecurityReport{At: now.UTC()},
	}
	err := e.view(ctx, func(tx *vault.Tx) error {
		for _, count := range []func(*vault.Tx) error{c.messages, c.waiting, c.prekeys, c.sessions, c.groups} {
			if err := count(tx); err != nil {
				return err
			}
		}
		if c.only == "" || c.people[c.only] != nil || isGroupWord(c.only) {
			return nil
		}
		if p, err := e.readPerson(tx, c.only); err != nil || p != nil {
			return err
		}
		return ErrUnknownRecipient
	})
	if err != nil {
		return nil, err
	}
	for name, p := range c.people {
		if _, ok := groupID(name); ok {
			c.report.Groups = append(c.report.Groups, *p)
		} else {
			c.report.People = append(c.report.People, *p)
		}
	}
	byName := func(a, b ConversationExposure) int { return cmp.Compare(a.Conversation, b.Conversation) }
	slices.SortFunc(c.report.People, byName)
	slices.SortFunc(c.report.Groups, byName)
	return c, nil
}

// of is the entry of a conversation; nil for one that was not asked for.
func (c *census) of(name string) *ConversationExposure {
	if c.only != "" && name != c.only {
		return nil
	}
	p := c.people[name]
	if p == nil {
		p = &ConversationExposure{Conversation: name}
		c.people[name] = p
	}
	return p
}

// messages counts what is kept in the clear (R-SEC-02).
func (c *census) messages(tx *vault.Tx) error {
	return scanMessages(tx, c.only, firstOrder, lastOrder, 0, false, func(m *messageRecord) error {
		if m.Expired || m.Text == "" && m.Subject == "" && len(m.RawBody) == 0 || m.Kind == string(KindNotice) {
			return nil
		}
		if p := c.of(m.Conversation); p != nil {
			p.History.add(m)
			c.report.History.add(m)
		}
		return nil
	})
}

func (h *KeptHistory) add(m *messageRecord) {
	h.Messages++
	if m.ExpiresAt != 0 {
		h.Mortal++
	}
	if at := moment(m.SentAt); h.Oldest.IsZero() || at.Before(h.Oldest) {
		h.Oldest = at
	}
}

// waiting counts what is on its way through this device.
func (c *census) waiting(tx *vault.Tx) error {
	err := tx.Scan(tableOutbox, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
		o, err := decodeRecord[outboxRecord](r.Value)
		if err == nil && !o.Quiet && !o.Control && (c.only == "" || o.To == c.only) {
			c.report.Outbox++
		}
		return err
	})
	if err != nil {
		return err
	}
	var group []byte
	if c.only != "" {
		group = []byte(c.only)
	}
	if c.report.Sealed, err = tx.Count(tableHeld, group); err != nil || c.only != "" {
		return err
	}
	n, err := tx.Count(tableGroupHeld, nil)
	c.report.Sealed += n
	return err
}

// prekeys counts the private halves, and until when each is kept (R-SEC-04).
func (c *census) prekeys(tx *vault.Tx) error {
	if c.only != "" {
		return nil
	}
	var held []prekeys.Info
	err := tx.Scan(tablePrekey, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		p, err := prekeys.ParsePrivate(row.Value)
		if err != nil {
			return ErrStoreDamaged
		}
		held = append(held, p.Info())
		p.Erase()
		if c.copied != nil {
			c.copied.Prekeys = append(c.copied.Prekeys, row.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	names := []struct {
		kind prekeys.Kind
		name string
	}{{prekeys.Signed, "signed"}, {prekeys.OneTimeEC, "one_time"}, {prekeys.KEMOneTime, "one_time_kem"}, {prekeys.KEMLastResort, "last_resort"}}
	erased := prekeys.Erasures(held)
	for _, n := range names {
		x := PrekeyExposure{Kind: n.name}
		for i, k := range held {
			if k.Kind != n.kind {
				continue
			}
			x.Held++
			if made := time.Unix(k.Created, 0).UTC(); x.Oldest.IsZero() || made.Before(x.Oldest) {
				x.Oldest = made
			}
			if at := erased[i]; !at.IsZero() {
				x.Replaced++
				x.Until = latest(x.Until, at.UTC())
			}
			if k.Kind == prekeys.KEMLastResort {
				answered, err := tx.Count(tableSeen, prekeyKey(k.Kind, k.ID))
				if err != nil {
					return err
				}
				x.Answered += answered
			}
		}
		c.report.Prekeys = append(c.report.Prekeys, x)
	}
	return nil
}

// sessions counts what the ratchets give (R-SEC-03).
func (c *census) sessions(tx *vault.Tx) error {
	pairs := map[string][]*session.Session{}
	err := c.scanSessions(tx, func(row vault.Row) error {
		if len(row.Group) < 8 {
			return ErrStoreDamaged
		}
		k := peerKey{string(row.Group[8:]), address.Device(binary.BigEndian.Uint64(row.Group))}
		p := c.of(k.address)
		if p == nil {
			return nil
		}
		skipped, _, err := tx.Get(tableSkipped, row.Key)
		if err != nil {
			return err
		}
		s, err := session.Parse(row.Value, skipped)
		if err != nil {
			return ErrStoreDamaged
		}
		if c.copied != nil {
			c.copied.Sessions = append(c.copied.Sessions, SessionCopy{k.address, uint64(k.device), row.Value, skipped})
		}
		pairs[string(row.Group)] = append(pairs[string(row.Group)], s)
		return c.session(tx, p, s)
	})
	if err != nil {
		return err
	}
	for k, sessions := range pairs {
		who, err := c.e.readPerson(tx, k[8:])
		if err != nil {
			return err
		}
		if who != nil && !activeIn(who.list, address.Device(binary.BigEndian.Uint64([]byte(k)))) {
			continue // nothing is sealed for it any more
		}
		p := c.of(k[8:])
		p.Heals = slower(p.Heals, heals(session.New(sessions...).Active()))
	}
	return nil
}

// scanSessions reads all sessions, or those of the person that is asked for.
func (c *census) scanSessions(tx *vault.Tx, fn func(vault.Row) error) error {
	if c.only == "" {
		return tx.Scan(tableSession, nil, firstOrder, lastOrder, 0, false, fn)
	}
	p, err := c.e.readPerson(tx, c.only)
	if err != nil || p == nil {
		return err
	}
	for _, d := range p.list.Devices {
		if err := tx.Scan(tableSession, peerKey{c.only, d.ID}.bytes(), firstOrder, lastOrder, 0, false, fn); err != nil {
			return err
		}
	}
	return nil
}

// session adds one ratchet to its person.
func (c *census) session(tx *vault.Tx, p *ConversationExposure, s *session.Session) error {
	x := s.State.Exposure()
	p.Sessions++
	if began := s.Started.UTC(); p.Since.IsZero() || began.Before(p.Since) {
		p.Since = began
	}
	if x.Sending {
		p.ReadsYours++
	}
	if x.Receiving {
		p.ReadsTheirs++
	}
	p.skipped(x.Skipped, x.SkippedFirst, x.SkippedLast, ratchet.SkippedLife)
	p.MACHeld, p.MACOwed, p.MACDisclosed = p.MACHeld+x.Held, p.MACOwed+x.Owed, p.MACDisclosed+x.Disclosed
	if s.Initiator || s.Strength != x3dh.LastResort {
		return nil
	}
	// While its last-resort key is here, so is the note that it was answered.
	_, noted, err := tx.Get(tableSeen, append([]byte("handshake"), s.ID[:]...))
	if noted {
		p.LastResort++
	}
	return err
}

// skipped adds skipped keys of one chain or session.
func (p *ConversationExposure) skipped(n int, first, last time.Time, life time.Duration) {
	if n == 0 {
		return
	}
	p.Skipped += n
	if p.SkippedSince.IsZero() || first.Before(p.SkippedSince) {
		p.SkippedSince = first.UTC()
	}
	p.SkippedUntil = latest(p.SkippedUntil, last.UTC().Add(life))
}

// heals is what has to happen until a session that sends has healed (R-SEC-10).
func heals(s *session.Session) Healing {
	switch {
	case s == nil:
		return HealsNever
	case s.State.Exposure().Sending:
		return HealsWithReply
	}
	return HealsWithYours
}

// slower is the healing that takes longer.
func slower(a, b Healing) Healing {
	rank := []Healing{HealsNever, HealsWithYours, HealsWithReply, HealsWithRekey}
	if slices.Index(rank, b) > slices.Index(rank, a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// groups counts what the sender keys give (R-SEC-05).
func (c *census) groups(tx *vault.Tx) error {
	err := eachGroup(tx, func(r *groupRecord) error {
		p := c.of(groupName(r.id()))
		if p == nil {
			return nil
		}
		if !r.Out {
			roster, err := r.roster()
			if err != nil {
				return err
			}
			p.RekeyDue = roster.EpochAt.Add(groups.EpochLife).UTC()
			if roster.RekeyDue {
				p.RekeyDue = c.now.UTC()
			}
		}
		if len(r.Sending) > 0 {
			s, err := groups.ParseSending(r.Sending)
			if err != nil {
				return ErrStoreDamaged
			}
			if p.ReadsYours = 1; c.copied != nil {
				c.copied.Chains = append(c.copied.Chains, ChainCopy{p.Conversation, r.Sending})
			}
			p.Since, p.Heals = s.Created().UTC(), HealsWithRekey
		}
		p.MACHeld = len(r.Closed)
		return nil
	})
	if err != nil {
		return err
	}
	return tx.Scan(tableChain, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		r, err := decodeRecord[chainRecord](row.Value)
		if err != nil || len(r.Group) != len(groups.ID{}) {
			return ErrStoreDamaged
		}
		p := c.of(groupName(groups.ID(r.Group)))
		if p == nil {
			return nil
		}
		s, err := groups.ParseReceiving(r.State)
		if err != nil {
			return ErrStoreDamaged
		}
		if _, ok := s.Disclosed(); ok {
			p.MACDisclosed++
		}
		if s.Closed() {
			return nil
		}
		p.Sessions++
		p.ReadsTheirs++
		p.Heals = HealsWithRekey
		if made := s.Created().UTC(); p.Since.IsZero() || made.Before(p.Since) {
			p.Since = made
		}
		first, last := s.MissingSince()
		p.skipped(s.Missing(), first, last, groups.SkippedLife)
		return nil
	})
}
