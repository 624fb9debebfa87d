package client

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
)

// R-GRP-52: a message on a new chain waits for those on the chain before that
// wait themselves, and is shown after them.
func TestR_GRP_52_AfterThoseBefore(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	ctx := context.Background()
	a, b := c.of["alice"], c.of["bob"].engine
	g, err := a.CreateGroup(ctx, "friends", []string{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.look("bob")
	addr, err := address.ParseCanonical(c.address("alice"))
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(say string) (incoming, groups.ChainID) {
		own := c.sending("alice", id)
		_, roster := c.group("alice", id)
		m, err := own.Seal(roster.Seq, roster.Head, text(t, say))
		if err != nil {
			t.Fatal(err)
		}
		env := content.Envelope{From: addr, Device: a.engine.self.device, Message: m.Message}
		return incoming{at: time.Now().UnixMilli(), body: env.Encode(), env: env, known: true}, own.ID()
	}
	one, first := sealed("one")
	if _, err := a.ChangeGroup(ctx, g.ID, GroupChange{Rekey: true}); err != nil {
		t.Fatal(err)
	}
	c.look("bob")
	two, second := sealed("two")
	if first == second {
		t.Fatal("the keys were not replaced")
	}
	err = b.groupStep(ctx, func(w *work) error {
		return w.holdGroup(&one, first) // as it came when the log had not
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.open(ctx, []incoming{two}); err != nil {
		t.Fatal(err)
	}
	if got := c.texts("bob", g.ID); len(got) != 0 {
		t.Fatalf("bob is shown %q", got)
	}
	if err := b.openGroupHeld(ctx, id); err != nil {
		t.Fatal(err)
	}
	if got := c.texts("bob", g.ID); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("bob is shown %q", got)
	}
}

// texts are what somebody is shown of a group.
func (c *circle) texts(name, group string) (all []string) {
	c.t.Helper()
	got, err := c.of[name].History(context.Background(), group, 100, "")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, m := range got {
		if m.Kind == KindText {
			all = append(all, m.Text)
		}
	}
	return all
}
