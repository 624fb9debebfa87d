package client

import (
	"context"
	"testing"
	"time"
)

// TestR_GRP_72: who was removed while away for longer than mailboxes keep
// anything cannot read that in the log; whoever they ask tells them.
func TestR_GRP_72(t *testing.T) {
	c := newCircle(t, "alice", "bob", "carol", "mallory")
	ctx := context.Background()
	a := c.of["alice"]
	g, err := a.CreateGroup(ctx, "friends", []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.look("bob", "carol")
	c.same(id, "alice", "bob", "carol")
	for _, change := range []GroupChange{{Rekey: true}, {Rekey: true}, {Remove: []string{"carol"}}} {
		if _, err := a.ChangeGroup(ctx, g.ID, change); err != nil {
			t.Fatal(err)
		}
	}
	c.look("bob")
	if _, err := c.store.Expire(ctx, time.Now().Add(40*24*time.Hour), 10000); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		c.look("carol")
		c.look("alice", "bob")
	}
	c.look("carol")
	if r, _, err := c.of["carol"].engine.readGroup(ctx, id); err != nil || !r.Out || len(r.Secret)+len(r.Sending) > 0 {
		t.Errorf("carol holds %+v, %v", r, err)
	}
	if now, err := c.of["carol"].Group(ctx, g.ID); err != nil || now.Mine != "" {
		t.Errorf("carol is shown %+v, %v", now, err)
	}
}

// TestR_GRP_58: members who are handed nothing for a change see it at once.
func TestR_GRP_58(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	ctx := context.Background()
	a, b := c.of["alice"], c.of["bob"]
	g, err := a.CreateGroup(ctx, "friends", []string{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	c.look("bob")
	if _, err := a.ChangeGroup(ctx, g.ID, GroupChange{Name: "rowing"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for { // bob is connected and does nothing
		news := b.engine.watch()
		now, err := b.engine.groupNow(ctx, must(groupID(g.ID)))
		if err != nil {
			t.Fatal(err)
		}
		if now.Name == "rowing" {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatalf("bob still sees %q", now.Name)
		}
	}
}

func must[T any](v T, _ bool) T { return v }
