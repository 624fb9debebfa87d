package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// changeTries bounds how often a change is made on top of those of others.
const changeTries = 12

// changeGroup makes a change and returns when it is in the log. make says what
// it is for a roster; where somebody else's change came first it is asked again
// (R-GRP-46).
//
// A change of before that was cut short comes first: only one can be under way.
func (e *engine) changeGroup(ctx context.Context, id groups.ID, make func(groups.Roster) (groups.Change, error)) error {
	defer e.contactMu.lock("change/" + string(id[:]))()
	if err := e.finishChange(ctx, id); err != nil {
		return err
	}
	return e.makeChange(ctx, id, make)
}

// makeChange is changeGroup for whoever holds the group's lock.
func (e *engine) makeChange(ctx context.Context, id groups.ID, make func(groups.Roster) (groups.Change, error)) error {
	for n := range changeTries {
		l, err := e.connected(ctx)
		if err != nil {
			return err
		}
		switch err := e.followNow(ctx, l, id); {
		case errors.Is(err, errNoSender):
			return &wrapped{ErrGroupChanged, err} // by what cannot be read here yet
		case err != nil:
			return err
		}
		r, roster, err := e.readGroup(ctx, id)
		switch {
		case err != nil:
			return err
		case r == nil:
			return ErrUnknownGroup
		case r.Out:
			return ErrNotMember
		case r.Alarm != nil && r.Alarm.With == "":
			return ErrGroupForked // with a member it is over when they are none any more
		}
		c, err := make(roster)
		if err == nil {
			err = roster.Allows(e.self.record.Address, c)
		}
		if err != nil {
			if errors.Is(err, groups.ErrNotMember) { // this account is one: whom it is about is not
				err = &wrapped{ErrNothingToChange, errors.New("not a member")}
			}
			err = changeError(err)
			if n > 0 {
				err = fmt.Errorf("%w: %w", ErrGroupChanged, err)
			}
			return errors.Join(err, e.dropPending(ctx, id))
		}
		placed, err := e.place(ctx, l, id, c)
		if err != nil || placed {
			return err
		}
	}
	return errors.Join(ErrGroupChanged, e.dropPending(ctx, id))
}

// changeError turns the refusals of package groups into the client's errors.
func changeError(err error) error {
	for _, m := range []struct{ from, to error }{
		{groups.ErrNotMember, ErrNotMember}, {groups.ErrNotAllowed, ErrNotAllowed}, {groups.ErrLastAdmin, ErrNotAllowed},
		{groups.ErrFull, ErrGroupFull}, {groups.ErrName, ErrGroupName}, {groups.ErrNothing, ErrNothingToChange},
		{groups.ErrAlreadyMember, ErrNothingToChange},
	} {
		if errors.Is(err, m.from) {
			return &wrapped{m.to, err}
		}
	}
	return err
}

// place writes one change into the log, or reports that its place was taken. The
// order is that of R-GRP-47: what a crash would lose is durable first, then those
// who stay hold their keys, and only then does the change happen.
func (e *engine) place(ctx context.Context, l *link, id groups.ID, c groups.Change) (placed bool, err error) {
	chain, err := e.ownChain(ctx, l, id) // everybody can check what is signed with it
	if err != nil {
		return false, err
	}
	p, roster, after, err := e.propose(ctx, id, chain, c)
	if err != nil || p == nil {
		return false, err
	}
	all, err := e.audienceNow(ctx, l, after)
	if err != nil {
		return false, err
	}
	key, to := p.key, all
	if !key.advances {
		to = nil
		if c.Kind == groups.Add {
			to = slices.DeleteFunc(slices.Clone(all), func(d listener) bool {
				_, before := roster.Member(d.address)
				return before
			})
		}
	}
	if !key.advances {
		if err := e.notePerhaps(ctx, id, key.Chain.Chain, to); err != nil {
			return false, err
		}
	}
	e.beginStep(id, stepName(c.Kind), len(to))
	defer e.endStep(id)
	done, err := e.handOut(ctx, l, id, to, func(peerKey) groups.Signal {
		return groups.Signal{Group: id, Key: &key.Key}
	})
	if err != nil {
		return false, err
	}
	answer, err := l.conn.GroupAppend(ctx, p.request())
	if err != nil {
		return false, groupError(err)
	}
	if !answer.Ok {
		e.log.Info("somebody else changed the group first")
		return false, nil
	}
	if _, err := e.takeEntry(ctx, id, p.entry()); err != nil {
		return false, err
	}
	if key.advances {
		if err := e.notePerhaps(ctx, id, key.Chain.Chain, to); err != nil {
			return false, err
		}
	}
	if err := e.noteHolders(ctx, id, key.Chain.Chain, done); err != nil {
		return false, err
	}
	return true, e.afterChange(ctx, l, id, roster, after, c, to)
}

// handedKey is the signal that goes out before a change.
type handedKey struct {
	groups.Key
	advances bool
}

// proposal is a change that is ready to be placed.
type proposal struct {
	group  groups.ID
	seq    uint64
	prev   groups.Head
	token  [32]byte
	next   []byte // the token of the epoch that it begins
	placed groups.Proposal
	key    handedKey
}

func (p *proposal) request() relay.GroupAppend {
	return relay.GroupAppend{
		Group: p.group, Seq: p.seq, Prev: p.prev, Head: p.placed.Head, Blob: p.placed.Blob, Token: p.token, NextToken: p.next,
	}
}

func (p *proposal) entry() relay.GroupEntry {
	return relay.GroupEntry{Seq: p.seq, Prev: p.prev, Head: p.placed.Head, Blob: p.placed.Blob}
}

// propose makes the entry of a change and stores all that it takes to go on
// with it. It returns nil if the log has moved meanwhile.
func (e *engine) propose(ctx context.Context, id groups.ID, chain groups.Sending, c groups.Change) (p *proposal, roster, after groups.Roster, err error) {
	e.state.Lock()
	defer e.state.Unlock()
	err = e.update(ctx, func(tx *vault.Tx) error {
		p = nil
		r, err := getGroup(tx, id)
		if err != nil || r == nil || r.Out {
			return errors.Join(err, ErrNotMember)
		}
		if roster, err = r.roster(); err != nil {
			return err
		}
		present, now, err := r.sending(roster.Epoch)
		if err != nil || !now || present.ID() != chain.ID() {
			return err
		}
		key := present.Key()
		secret := r.secret()
		next, pending := (*groups.Secret)(nil), &pendingChange{Change: encodeChange(c)}
		handed := handedKey{Key: groups.Key{Epoch: roster.Epoch, Secret: secret, Chain: &key}}
		if c.Kind.Advances() {
			s := groups.NewSecret()
			next = &s
			fresh, err := groups.NewSending(id, roster.Epoch+1, e.groupSender(), e.now(), groups.Before{Chain: present.ID(), Count: present.Index()})
			if err != nil {
				return err
			}
			freshKey := fresh.Key()
			handed = handedKey{groups.Key{Epoch: roster.Epoch + 1, Secret: s, Chain: &freshKey}, true}
			pending.Secret, pending.Sending = s[:], fresh.AppendRecord(nil)
		}
		made, err := groups.Propose(roster, secret, present, groups.Author{Address: e.self.record.Address, Device: uint64(e.self.device)}, c, next, e.now())
		if err != nil {
			return changeError(err)
		}
		after = made.Roster
		handed.Seq, handed.Head = roster.Seq+1, made.Head
		if c.Kind == groups.Add {
			handed.Roster = after.Encode()
		}
		pending.Prev, pending.Head, pending.Blob, pending.Roster = roster.Head[:], made.Head[:], made.Blob, after.Encode()
		r.Pending = pending
		p = &proposal{group: id, seq: roster.Seq + 1, prev: roster.Head, token: secret.Token(id, roster.Epoch), placed: made, key: handed}
		if next != nil {
			token := next.Token(id, roster.Epoch+1)
			p.next = token[:]
		}
		return putGroup(tx, r)
	})
	return p, roster, after, err
}

// dropPending forgets a change that is not to be made any more.
func (e *engine) dropPending(ctx context.Context, id groups.ID) error {
	e.state.Lock()
	defer e.state.Unlock()
	return e.update(ctx, func(tx *vault.Tx) error {
		r, err := getGroup(tx, id)
		if err != nil || r == nil || r.Pending == nil {
			return err
		}
		r.Pending = nil
		return putGroup(tx, r)
	})
}

// afterChange tells those whom a change concerns and who cannot read the log.
func (e *engine) afterChange(ctx context.Context, l *link, id groups.ID, before, after groups.Roster, c groups.Change, added []listener) error {
	switch c.Kind {
	case groups.Remove:
		gone := before
		gone.Members = slices.DeleteFunc(slices.Clone(before.Members), func(m groups.Member) bool {
			_, stays := after.Member(m.Address)
			return stays
		})
		all, err := e.audienceNow(ctx, l, gone)
		if err != nil {
			return err
		}
		_, err = e.handOut(ctx, l, id, all, func(peerKey) groups.Signal { return groups.Signal{Group: id, Gone: &groups.Gone{}} })
		return err
	case groups.Add:
		if after.Policy.OpenHistory {
			return e.tellHistory(ctx, l, id, added)
		}
	}
	return nil
}

// resumeChange goes on with a change that was cut short, by the same way.
func (e *engine) resumeChange(ctx context.Context, l *link, id groups.ID) error {
	r, _, err := e.readGroup(ctx, id)
	if err != nil || r == nil || r.Out {
		return err
	}
	if r.Pending == nil {
		return e.letFirstIn(ctx, id)
	}
	c, err := decodeChange(r.Pending.Change)
	if err != nil {
		return err
	}
	if c.Kind == groups.Create {
		return errors.Join(e.registerGroup(ctx, l, id), e.letFirstIn(ctx, id))
	}
	defer e.contactMu.lock("change/" + string(id[:]))()
	return e.finishChange(ctx, id)
}

// finishChange makes a change that was cut short, unless it is made by now. The
// caller holds the group's lock.
func (e *engine) finishChange(ctx context.Context, id groups.ID) error {
	r, _, err := e.readGroup(ctx, id)
	if err != nil || r == nil || r.Pending == nil || r.Out {
		return err
	}
	c, err := decodeChange(r.Pending.Change)
	if err != nil || c.Kind == groups.Create {
		return err
	}
	err = e.makeChange(ctx, id, func(groups.Roster) (groups.Change, error) {
		r, _, err := e.readGroup(ctx, id)
		if err == nil && (r == nil || r.Pending == nil) {
			err = groups.ErrNothing // the log has shown that it had been placed
		}
		return c, err
	})
	if errors.Is(err, ErrGroupChanged) || errors.Is(err, ErrNotAllowed) || errors.Is(err, ErrNothingToChange) {
		e.log.Info("a change of a group that was cut short is not needed or not allowed any more")
		return nil
	}
	return err
}

// rekey replaces everybody's keys, unless somebody else has done so since an
// epoch.
func (e *engine) rekey(ctx context.Context, id groups.ID, epoch uint64) error {
	err := e.changeGroup(ctx, id, func(r groups.Roster) (groups.Change, error) {
		if r.Epoch > epoch {
			return groups.Change{}, groups.ErrNothing
		}
		return groups.Change{Kind: groups.Rekey}, nil
	})
	if errors.Is(err, ErrNothingToChange) {
		return nil
	}
	return err
}

func stepName(k groups.Kind) string {
	return [...]string{"", "create", "add", "remove", "leave", "role", "rename", "policy", "rekey"}[k]
}
