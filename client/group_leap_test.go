package client

import (
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// R-GRP-71: a device that has missed the keys of several epochs asks, and goes
// on from the answer.
func TestR_GRP_71_LostKeys(t *testing.T) {
	c, group, s := lossyCircle(t, "alice", "bob", "carol")
	ctx := t.Context()
	c.say("alice", "one")
	c.got("carol")
	s.mu.Lock()
	s.lose = func(to string, e content.Envelope) bool { return to == "carol" } // as if her mailbox were full
	s.mu.Unlock()
	for range 3 {
		if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Rekey: true}); err != nil {
			t.Fatal(err)
		}
		c.look("bob")
	}
	if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Name: "good friends"}); err != nil {
		t.Fatal(err)
	}
	c.look("bob")
	s.loseNothing()
	c.until("carol is with them", func() bool {
		g, err := c.of["carol"].Group(ctx, group)
		return err == nil && g.Epoch == 4 && g.Name == "good friends"
	}, "alice", "bob", "carol")
	id, _ := groupID(group)
	c.same(id, "alice", "bob", "carol")
	if _, err := c.of["bob"].Send(ctx, group, "two", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.of["carol"].Send(ctx, group, "three", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := c.got("carol"); !slices.Equal(got, []string{"bob: two"}) {
		t.Errorf("carol got %q", got)
	}
	if got := c.got("alice"); !slices.Contains(got, "car: three") {
		t.Errorf("alice got %q", got)
	}
	var asked []askRecord
	err := c.of["carol"].engine.view(ctx, func(tx *vault.Tx) (err error) {
		asked, err = welcomeAsked(tx, id)
		return err
	})
	if err != nil || len(asked) != 0 {
		t.Errorf("still asking: %+v, %v", asked, err)
	}
}

// R-GRP-54: who was let in and has not heard of it asks those who hand out their
// keys.
func TestR_GRP_54_LostWelcome(t *testing.T) {
	c, group, s := lossyCircle(t, "alice", "bob")
	ctx := t.Context()
	c.of["dave"], _ = c.w.join("dave")
	t.Cleanup(func() { c.of["dave"].Close() })
	if _, err := c.of["dave"].Send(ctx, "bob", "hello", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.lose = func(to string, e content.Envelope) bool { return to == "dave" }
	s.mu.Unlock()
	if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Add: []string{"dave"}}); err != nil {
		t.Fatal(err)
	}
	s.loseNothing()
	c.look("bob")
	c.say("bob", "one")
	var got []string
	c.until("dave is in", func() bool {
		got = append(got, c.got("dave")...)
		return len(got) > 0
	}, "alice", "bob", "dave")
	if !slices.Equal(got, []string{"bob: one"}) {
		t.Errorf("got %q", got)
	}
}
