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
