package client

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// GroupInvite implements API (R-GRP-82). The link alone lets nobody in: it names
// whom to ask, and carries what they know the question by.
func (e *engine) GroupInvite(ctx context.Context, who string) (link string, err error) {
	id, err := e.findGroup(ctx, who)
	if err != nil {
		return "", err
	}
	e.state.Lock()
	defer e.state.Unlock()
	err = e.update(ctx, func(tx *vault.Tx) error {
		g, err := getGroup(tx, id)
		if err != nil || g == nil {
			return errors.Join(err, ErrUnknownGroup)
		}
		roster, err := g.roster()
		if err != nil {
			return err
		}
		me, ok := roster.Member(e.self.record.Address)
		switch {
		case g.Out || !ok:
			return ErrNotMember
		case me.Role != groups.Admin && !roster.Policy.AddByMembers:
			return ErrNotAllowed
		}
		i := groups.NewInvite(e.self.address.Host(), id, e.self.record.Address)
		if len(g.Invite) == len(i.Token) {
			i.Token = [16]byte(g.Invite)
			link = i.String()
			return nil
		}
		g.Invite = i.Token[:]
		link = i.String()
		return putGroup(tx, g)
	})
	return link, err
}

// JoinGroup implements API: it asks every device of the person who has made the
// link, of which the one that has made it knows it.
func (e *engine) JoinGroup(ctx context.Context, link string) (JoinRequest, error) {
	if err := e.refusal(); err != nil {
		return JoinRequest{}, err
	}
	i, err := groups.ParseInvite(link)
	if err != nil {
		return JoinRequest{}, &wrapped{ErrGroupInvite, err}
	}
	addr, err := e.resolve(ctx, i.By)
	if err != nil {
		return JoinRequest{}, &wrapped{ErrGroupInvite, err}
	}
	if i.Host != e.self.address.Host() || addr.Host() != i.Host {
		return JoinRequest{}, fmt.Errorf("%w at this server: groups on other servers cannot be reached yet", ErrGroupInvite)
	}
	if addr == e.self.address {
		return JoinRequest{}, fmt.Errorf("%w: it is your own", ErrGroupInvite)
	}
	if g, _, err := e.readGroup(ctx, i.Group); err != nil {
		return JoinRequest{}, err
	} else if g != nil && !g.Out {
		return JoinRequest{}, fmt.Errorf("%w: you are in that group", ErrNothingToChange)
	}
	p, err := e.recipient(ctx, addr, false)
	if err != nil {
		return JoinRequest{}, err
	}
	if p.pending != nil {
		return JoinRequest{}, ErrIdentityChanged
	}
	req := JoinRequest{Group: groupName(i.Group), Asked: addr.String()}
	c, err := groupContent(groups.Signal{Group: i.Group, Join: &groups.Join{Token: i.Token}}, e)
	if err != nil {
		return req, err
	}
	id := content.NewID()
	result := e.expect(id[:])
	defer e.unexpect(id[:], result)
	e.state.Lock()
	o := &outboxRecord{
		ID: id[:], To: addr.String(), Content: c.Encode(), Created: e.now().UnixMilli(), Quiet: true, Alone: true,
		order: e.nextOrder(),
	}
	err = e.update(ctx, func(tx *vault.Tx) error { return putOutbox(tx, o) })
	if err == nil {
		e.unsealed.queued(o)
	}
	e.state.Unlock()
	if err != nil {
		return req, err
	}
	_, err = e.outcome(ctx, Message{Status: StatusSending}, SendOptions{}, result)
	return req, err
}

// groupJoin takes down that somebody asks to be let in, with a link of this
// device's making. The person decides; adding them is what lets them in.
func (w *work) groupJoin(k peerKey, p *person, id groups.ID, j *groups.Join) error {
	g, err := getGroup(w.tx, id)
	if err != nil || g == nil || g.Out || p == nil || p.pending != nil || !activeIn(p.list, k.device) {
		return err
	}
	if len(g.Invite) != len(j.Token) || subtle.ConstantTimeCompare(g.Invite, j.Token[:]) != 1 {
		w.e.log.Info("somebody has asked to be let into a group with a link that is not of this device's making")
		return nil
	}
	roster, err := g.roster()
	if err != nil {
		return err
	}
	if _, in := roster.Member(k.address); in {
		return nil
	}
	g.Asked = slices.DeleteFunc(g.Asked, func(a joinRecord) bool {
		_, in := roster.Member(a.Address)
		return in
	})
	known := slices.ContainsFunc(g.Asked, func(a joinRecord) bool { return a.Address == k.address })
	if known || len(g.Asked) >= MaxJoinAsked {
		return nil
	}
	g.Asked = append(g.Asked, joinRecord{Address: k.address, At: w.e.now().UnixMilli()})
	if err := w.e.putNotice(w.tx, groupName(id), notice{kind: NoticeGroupJoinAsk, about: k.address, by: k.address}); err != nil {
		return err
	}
	return putGroup(w.tx, g)
}

// groupGone takes the word of a member that this account is none: the log
// decides, and it is looked at. Where it cannot be read any more, and that member
// was asked for a welcome, the answer decides (R-GRP-72).
func (w *work) groupGone(k peerKey, p *person, id groups.ID) error {
	ask, err := getAsk(w.tx, id, k)
	if err != nil {
		return err
	}
	asked := ask.Welcome && ask.Asked != 0
	r, err := getGroup(w.tx, id)
	if err != nil {
		return err
	}
	if r == nil || r.Out {
		if !asked {
			return nil
		}
		return w.stayOut(k, id, &ask)
	}
	if member, err := w.fellow(id, p); err != nil || !member {
		return err
	}
	w.follows(id)
	if !asked {
		return nil
	}
	roster, err := r.roster()
	if err != nil {
		return err
	}
	if err := w.writeChains(); err != nil {
		return err
	}
	w.chains = nil // as some go now
	if err := w.e.dropOut(w.tx, r, roster.Seq, k); err != nil {
		return err
	}
	r.ByWord = true
	return putGroup(w.tx, r)
}

// stayOut takes the answer of a device that handed out its sender key to this one
// though the account is not in, and was asked for a welcome: it knows better by now.
func (w *work) stayOut(k peerKey, id groups.ID, ask *askRecord) error {
	ask.Welcome, ask.Lacks = false, nil
	ask.settle()
	if err := putAsk(w.tx, id, ask); err != nil {
		return err
	}
	mine := func(from string, device uint64) bool { return from == k.address && device == uint64(k.device) }
	err := deleteSome(w.tx, tableGroupKey, id[:], func(row vault.Row) (bool, error) {
		c, err := decodeRecord[candidateRecord](row.Value)
		return mine(c.From, c.Device), err
	})
	if err != nil {
		return err
	}
	all, err := w.chainsOf(id, k)
	for _, x := range all {
		if err == nil {
			_, err = w.tx.Delete(tableChain, x[:])
			delete(w.chains, x)
		}
	}
	return err
}
