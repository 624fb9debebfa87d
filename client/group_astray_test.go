package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/relay"
)

// astray is a group of alice, who has written an entry as no honest device does,
// and bob, and other admins.
func astray(t *testing.T, write func(r groups.Roster, secret groups.Secret, own groups.Sending, by groups.Author) (groups.Proposal, error), admins ...string) (*circle, groups.ID, groups.Roster) {
	t.Helper()
	c := newCircle(t, append([]string{"alice", "bob"}, admins...)...)
	ctx := context.Background()
	a := c.of["alice"]
	g, err := a.CreateGroup(ctx, "friends", append([]string{"bob"}, admins...))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range admins {
		if _, err := a.ChangeGroup(ctx, g.ID, GroupChange{Member: n, Role: GroupAdminRole}); err != nil {
			t.Fatal(err)
		}
	}
	id, _ := groupID(g.ID)
	c.look(append([]string{"bob"}, admins...)...)
	before := c.same(id, "alice", "bob")
	r, roster, err := a.engine.readGroup(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	own, err := groups.ParseSending(r.Sending)
	if err != nil {
		t.Fatal(err)
	}
	made, err := write(roster, r.secret(), own, groups.Author{Address: a.account.Address, Device: uint64(a.engine.self.device)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.engine.connected(ctx)
	if err != nil {
		t.Fatal(err)
	}
	placed, err := l.conn.GroupAppend(ctx, relay.GroupAppend{
		Group: id, Seq: roster.Seq + 1, Prev: roster.Head, Head: made.Head, Blob: made.Blob, Token: r.secret().Token(id, roster.Epoch),
	})
	if err != nil || !placed.Ok {
		t.Fatalf("%+v, %v", placed, err)
	}
	return c, id, before
}

// TestR_GRP_56: an entry that is allowed and leads to another roster is an alarm
// about its author, and is over when they are out.
func TestR_GRP_56(t *testing.T) {
	c, id, before := astray(t, func(r groups.Roster, secret groups.Secret, own groups.Sending, by groups.Author) (groups.Proposal, error) {
		r.Policy.AddByMembers = true // nobody has decided that
		return groups.Propose(r, secret, own, by, groups.Change{Kind: groups.Rename, Name: "foes"}, nil, time.Now())
	})
	ctx := context.Background()
	b := c.of["bob"]
	c.look("bob")
	g, err := b.Group(ctx, groupName(id))
	if err != nil || g.Name != before.Name || g.Seq != before.Seq+1 {
		t.Fatalf("%+v, %v", g, err)
	}
	if g.Alarm == nil || g.Alarm.With != c.address("alice") || g.Alarm.Seq != g.Seq {
		t.Errorf("the alarm is %+v", g.Alarm)
	}
	if _, err := b.Send(ctx, groupName(id), "hello", SendOptions{}); !errors.Is(err, ErrGroupForked) {
		t.Errorf("sending goes on: %v", err)
	}
}

// withHiddenKey signs with a sender key that nobody was handed.
func withHiddenKey(r groups.Roster, secret groups.Secret, own groups.Sending, by groups.Author) (groups.Proposal, error) {
	hidden, err := groups.NewSending(r.Group, r.Epoch, own.Sender(), time.Now(), groups.Before{})
	if err != nil {
		return groups.Proposal{}, err
	}
	return groups.Propose(r, secret, hidden, by, groups.Change{Kind: groups.Rename, Name: "foes"}, nil, time.Now())
}

// TestR_GRP_57: an entry signed with a key that nobody was handed stops a group
// for two days and no longer.
func TestR_GRP_57(t *testing.T) {
	c, id, before := astray(t, withHiddenKey)
	ctx := context.Background()
	e := c.of["bob"].engine
	l, err := e.connected(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.followGroup(ctx, l, id); !errors.Is(err, errNoSender) {
			t.Fatalf("following: %v", err)
		}
	}
	c.same(id, "bob")
	c.hasWaited("bob", id)
	if err := e.followGroup(ctx, l, id); err != nil {
		t.Fatal(err)
	}
	if now := c.same(id, "bob"); now.Seq != before.Seq+1 || now.Hash() != before.Hash() {
		t.Errorf("it stands at %+v", now)
	}
	if err := e.rekey(ctx, id, before.Epoch); err != nil {
		t.Errorf("the group does not go on: %v", err)
	}
}

// hasWaited makes a device wait for an entry's key since GroupWaitFor ago.
func (c *circle) hasWaited(name string, id groups.ID) {
	c.t.Helper()
	err := c.of[name].engine.groupStep(context.Background(), func(w *work) error {
		r, err := getGroup(w.tx, id)
		if err != nil || r.Waiting == 0 {
			return errors.Join(err, errors.New("nothing waits"))
		}
		r.Waiting -= GroupWaitFor.Milliseconds()
		return putGroup(w.tx, r)
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// R-GRP-57: who has merely been away is no reason to pass an entry over; that
// they are stuck as well is one.
func TestR_GRP_57_Away(t *testing.T) {
	c, id, before := astray(t, withHiddenKey, "carol")
	ctx := context.Background()
	e := c.of["bob"].engine
	l, err := e.connected(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.followGroup(ctx, l, id); !errors.Is(err, errNoSender) {
		t.Fatalf("following: %v", err)
	}
	c.hasWaited("bob", id)
	if err := e.followGroup(ctx, l, id); !errors.Is(err, errNoSender) {
		t.Fatalf("it goes on although nobody was asked: %v", err)
	}
	c.same(id, "bob")
	carol := peerKey{c.address("carol"), c.of["carol"].engine.self.device}
	if err := e.groupStep(ctx, func(w *work) error { return e.lackWelcome(w.tx, id, carol) }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.look("bob", "carol")
	}
	c.look("bob")
	if _, now, err := e.readGroup(ctx, id); err != nil || now.Seq != before.Seq+1 || now.Hash() != before.Hash() {
		t.Errorf("it stands at %+v, %v", now, err)
	}
}
