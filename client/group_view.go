package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Groups implements API.
func (e *engine) Groups(ctx context.Context) (all []Group, err error) {
	all = []Group{}
	err = e.view(ctx, func(tx *vault.Tx) error {
		return eachGroup(tx, func(r *groupRecord) error {
			g, err := e.showGroup(tx, r)
			all = append(all, g)
			return err
		})
	})
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID, b.ID))
	})
	return all, err
}

// Group implements API.
func (e *engine) Group(ctx context.Context, who string) (Group, error) {
	id, err := e.findGroup(ctx, who)
	if err != nil {
		return Group{}, err
	}
	return e.groupNow(ctx, id)
}

func (e *engine) groupNow(ctx context.Context, id groups.ID) (g Group, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		r, err := getGroup(tx, id)
		if err != nil || r == nil {
			return errors.Join(err, ErrUnknownGroup)
		}
		g, err = e.showGroup(tx, r)
		return err
	})
	return g, err
}

// showGroup is a group as the person sees it: who is in it, with which devices,
// whether those identities were compared, and who holds this device's keys
// (R-GRP-80).
func (e *engine) showGroup(tx *vault.Tx, r *groupRecord) (Group, error) {
	roster, err := r.roster()
	if err != nil {
		return Group{}, err
	}
	g := Group{
		ID: groupName(r.id()), Name: roster.Name, Epoch: roster.Epoch, EpochAt: roster.EpochAt, RekeyDue: roster.RekeyDue,
		Seq: roster.Seq, Head: hex.EncodeToString(roster.Head[:]), Policy: GroupPolicy(roster.Policy), Members: []GroupMember{},
		Alarm: r.branch(),
	}
	own, now, err := r.sending(roster.Epoch)
	if err != nil {
		return g, err
	}
	for _, m := range roster.Members {
		if r.Out && m.Address == e.self.record.Address {
			continue // the last roster that can be read may be of before
		}
		shown := GroupMember{Address: m.Address, Role: roleName(m.Role), You: m.Address == e.self.record.Address, Devices: []GroupDevice{}}
		if shown.You {
			g.Mine = shown.Role
		}
		p, err := e.readPerson(tx, m.Address)
		if err != nil {
			return g, err
		}
		if shown.Trust = trustIn(p, m); shown.You {
			shown.Trust = TrustVerified
		}
		if p != nil {
			for _, d := range p.list.Active() {
				dev := GroupDevice{ID: d.ID.String(), Name: d.Name, Current: shown.You && d.ID == e.self.device}
				if now && !r.Out && !dev.Current {
					if dev.HasKeys, err = hasKeys(tx, r.id(), own, peerKey{m.Address, d.ID}, d); err != nil {
						return g, err
					}
				}
				shown.Devices = append(shown.Devices, dev)
			}
		}
		g.Members = append(g.Members, shown)
	}
	for _, a := range r.Asked {
		if _, in := roster.Member(a.Address); !in {
			g.Requests = append(g.Requests, JoinAsked{Address: a.Address, At: time.UnixMilli(a.At).UTC()})
		}
	}
	return g, e.showPending(&g, r)
}

// showPending tells of what is under way.
func (e *engine) showPending(g *Group, r *groupRecord) error {
	if g.Pending = e.step(r.id()); g.Pending != nil || r.Pending == nil || r.Out {
		return nil
	}
	c, err := decodeChange(r.Pending.Change)
	if err != nil {
		return err
	}
	g.Pending = &GroupStep{What: stepName(c.Kind), Done: int(r.Pending.Done), Total: int(r.Pending.Total)}
	return nil
}

// trustIn is what is known about a member's identity: that of the contact, if
// the contact is pinned under the account key that the roster names.
func trustIn(p *person, m groups.Member) Trust {
	switch {
	case p == nil:
		return TrustFirstUse
	case [32]byte(p.list.Account) != m.Account:
		return TrustChanged
	}
	return p.trust()
}

// hasKeys reports whether a device was given the present own chain, under the
// identity key that it has now.
func hasKeys(tx *vault.Tx, id groups.ID, own groups.Sending, k peerKey, d devicelist.Device) (bool, error) {
	h, ok, err := getLedger(tx, id, k)
	if err != nil || !ok {
		return false, err
	}
	chain, key := own.ID(), d.DH.Array()
	return bytes.Equal(h.Chain, chain[:]) && bytes.Equal(h.Identity, key[:]), nil
}

// groupConversations are the lines of groups in the list of conversations.
func (e *engine) groupConversations(ctx context.Context) (all []Conversation, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		return eachGroup(tx, func(r *groupRecord) error {
			roster, err := r.roster()
			if err != nil {
				return err
			}
			c := Conversation{Peer: groupName(r.id()), Alias: roster.Name, Trust: TrustVerified}
			for _, m := range roster.Members {
				if m.Address == e.self.record.Address {
					continue
				}
				p, err := e.readPerson(tx, m.Address)
				if err != nil {
					return err
				}
				switch t := trustIn(p, m); {
				case t == TrustChanged:
					c.Trust = TrustChanged
				case t == TrustFirstUse && c.Trust == TrustVerified:
					c.Trust = TrustFirstUse
				}
			}
			all = append(all, c)
			return nil
		})
	})
	return all, err
}
