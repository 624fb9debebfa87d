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
// and bob.
func astray(t *testing.T, write func(r groups.Roster, secret groups.Secret, own groups.Sending, by groups.Author) (groups.Proposal, error)) (*circle, groups.ID, groups.Roster) {
	t.Helper()
	c := newCircle(t, "alice", "bob")
	ctx := context.Background()
	a := c.of["alice"]
	g, err := a.CreateGroup(ctx, "friends", []string{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.look("bob")
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

// TestR_GRP_57: an entry signed with a key that nobody was handed stops a group
// for two days and no longer.
func TestR_GRP_57(t *testing.T) {
	c, id, before := astray(t, func(r groups.Roster, secret groups.Secret, own groups.Sending, by groups.Author) (groups.Proposal, error) {
		hidden, err := groups.NewSending(r.Group, r.Epoch, own.Sender(), time.Now(), groups.Before{})
		if err != nil {
			return groups.Proposal{}, err
		}
		return groups.Propose(r, secret, hidden, by, groups.Change{Kind: groups.Rename, Name: "foes"}, nil, time.Now())
	})
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
	err = e.groupStep(ctx, func(w *work) error {
		r, err := getGroup(w.tx, id)
		if err != nil || r.Waiting == 0 {
			return errors.Join(err, errors.New("nothing waits"))
		}
		r.Waiting -= GroupWaitFor.Milliseconds()
		return putGroup(w.tx, r)
	})
	if err != nil {
		t.Fatal(err)
	}
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
