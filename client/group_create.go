package client

import (
	"context"
	"errors"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// newGroup makes a group of this account alone and returns when the server has
// its first entry and one's other devices its keys (R-GRP-48).
//
// The first members are noted with it and let in by letFirstIn.
func (e *engine) newGroup(ctx context.Context, name string, first ...groups.Member) (groups.ID, error) {
	id, secret := groups.NewID(), groups.NewSecret()
	me := e.self.record.Address
	c := groups.Change{Kind: groups.Create, Name: name, Members: []groups.Member{
		{Address: me, Account: [32]byte(e.self.own.Account), Role: groups.Admin},
	}}
	l, err := e.connected(ctx)
	if err != nil {
		return id, err
	}
	chain, err := groups.NewSending(id, 1, e.groupSender(), e.now(), groups.Before{})
	if err != nil {
		return id, err
	}
	made, err := groups.Propose(groups.Roster{Group: id}, secret, chain, groups.Author{Address: me, Device: uint64(e.self.device)}, c, nil, e.now())
	if err != nil {
		return id, changeError(err)
	}
	r := &groupRecord{
		ID: id[:], Roster: made.Roster.Encode(), Secret: secret[:], Sending: chain.AppendRecord(nil), First: 1,
		Pending: &pendingChange{Change: encodeChange(c), Head: made.Head[:], Blob: made.Blob},
	}
	for part := range slices.Chunk(first, groups.MaxChangeMembers) {
		r.Then = append(r.Then, encodeChange(groups.Change{Kind: groups.Add, Members: part}))
	}
	e.state.Lock()
	err = e.update(ctx, func(tx *vault.Tx) error {
		line := logRecord{Head: made.Head[:], Author: me, Device: uint64(e.self.device), At: e.now().UnixMilli(), Change: encodeChange(c)}
		if err := tx.Put(tableGroupLog, seqKey(id, 1), id[:], 1, codec.Marshal(line)); err != nil {
			return err
		}
		if err := e.putNotice(tx, groupName(id), notice{kind: NoticeGroupCreated, about: name, by: me, mine: true}); err != nil {
			return err
		}
		return putGroup(tx, r)
	})
	e.state.Unlock()
	if err != nil {
		return id, err
	}
	return id, e.registerGroup(ctx, l, id)
}

// registerGroup hands the first entry of a group to the server, and the group
// to one's other devices. It may be repeated.
func (e *engine) registerGroup(ctx context.Context, l *link, id groups.ID) error {
	if err := e.placeFirst(ctx, l, id); err != nil {
		return err
	}
	return e.welcomeOwn(ctx, l, id)
}

// placeFirst hands the first entry of a group to the server, with the group
// held: what is under way then is that, and not a change that came after it.
func (e *engine) placeFirst(ctx context.Context, l *link, id groups.ID) error {
	defer e.contactMu.lock("change/" + string(id[:]))()
	r, roster, err := e.readGroup(ctx, id)
	if err != nil || r == nil || r.Pending == nil {
		return err
	}
	if c, err := decodeChange(r.Pending.Change); err != nil || c.Kind != groups.Create {
		return err
	}
	err = l.conn.GroupCreate(ctx, relay.GroupCreate{
		Group: id, Head: groups.Head(r.Pending.Head), Blob: r.Pending.Blob, Token: r.secret().Token(id, roster.Epoch),
	})
	var refusal *relay.Error
	if errors.As(err, &refusal) && refusal.Code != relay.Unavailable && refusal.Code != relay.Internal {
		return errors.Join(groupError(err), e.forgetGroup(ctx, id)) // it never was
	}
	if err != nil {
		return groupError(err)
	}
	return e.dropPending(ctx, id)
}

// letFirstIn adds the people that a group was made with. What is left when it is
// cut short is done later; what is refused is told and not tried again
// (R-GRP-48).
func (e *engine) letFirstIn(ctx context.Context, id groups.ID) error {
	for {
		r, _, err := e.readGroup(ctx, id)
		if err != nil || r == nil || r.Out || r.Pending != nil || len(r.Then) == 0 {
			return err
		}
		c, err := decodeChange(r.Then[0])
		if err != nil {
			return err
		}
		refused := e.addMembers(ctx, id, c.Members)
		if errors.Is(refused, ErrUnreachable) || errors.Is(refused, ErrRateLimited) || errors.Is(refused, errNoSender) ||
			errors.Is(refused, errClosed) || ctx.Err() != nil {
			return refused
		}
		err = e.groupStep(ctx, func(w *work) error {
			r, err := getGroup(w.tx, id)
			if err != nil || r == nil || len(r.Then) == 0 {
				return err
			}
			r.Then = r.Then[1:]
			return putGroup(w.tx, r)
		})
		if err != nil || refused != nil && !errors.Is(refused, ErrNothingToChange) {
			return errors.Join(refused, err)
		}
	}
}

// forgetGroup takes back a group that the server did not take.
func (e *engine) forgetGroup(ctx context.Context, id groups.ID) error {
	e.state.Lock()
	defer e.state.Unlock()
	return e.update(ctx, func(tx *vault.Tx) error {
		if err := deleteAll(tx, tableGroupLog, id[:]); err != nil {
			return err
		}
		if err := deleteAll(tx, tableMessage, []byte(groupName(id))); err != nil {
			return err
		}
		_, err := tx.Delete(tableGroup, id[:])
		return err
	})
}

// welcomeOwn hands a group to those of one's other devices that do not hold it
// yet, as far as this device knows: the same that a new member gets.
func (e *engine) welcomeOwn(ctx context.Context, l *link, id groups.ID) error {
	r, roster, err := e.readGroup(ctx, id)
	if err != nil || r == nil || r.Out {
		return err
	}
	own := roster
	own.Members = nil
	if m, ok := roster.Member(e.self.record.Address); ok {
		own.Members = []groups.Member{m}
	}
	all, err := e.audienceNow(ctx, l, own)
	if err != nil || len(all) == 0 {
		return err
	}
	all = slices.DeleteFunc(all, func(d listener) bool { return slices.Contains(r.Welcomed, uint64(d.device)) })
	if len(all) == 0 {
		return nil
	}
	done, err := e.welcomeGroup(ctx, l, id, all)
	if err != nil || len(done) == 0 {
		return err
	}
	e.state.Lock()
	defer e.state.Unlock()
	return e.update(ctx, func(tx *vault.Tx) error {
		r, err := getGroup(tx, id)
		if err != nil || r == nil {
			return err
		}
		for _, d := range done {
			r.Welcomed = append(r.Welcomed, uint64(d.device))
		}
		return putGroup(tx, r)
	})
}

// welcomeGroup hands devices the whole of what it takes to be in a group, as it
// stands at this device.
func (e *engine) welcomeGroup(ctx context.Context, l *link, id groups.ID, to []listener) (done []listener, err error) {
	chain, err := e.presentChain(ctx, id)
	if err != nil {
		return nil, err
	}
	r, roster, err := e.readGroup(ctx, id)
	if err != nil || r == nil || r.Out {
		return nil, err
	}
	key := chain.Key()
	if key.Epoch != roster.Epoch {
		return nil, nil // it has just moved on; there is another time
	}
	if err := e.notePerhaps(ctx, id, chain.ID(), to); err != nil {
		return nil, err
	}
	done, err = e.handOut(ctx, l, id, to, func(peerKey) groups.Signal {
		return groups.Signal{Group: id, Key: &groups.Key{
			Seq: roster.Seq, Head: roster.Head, Epoch: roster.Epoch, Secret: r.secret(), Roster: r.Roster, Chain: &key,
		}}
	})
	return done, errors.Join(err, e.noteHolders(ctx, id, chain.ID(), done))
}
