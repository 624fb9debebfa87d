package client

import (
	"context"
	"testing"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// circle is a server and people who make groups.
type circle struct {
	t  *testing.T
	w  *bench
	of map[string]*Client
	at map[string]Config
}

func newCircle(t *testing.T, names ...string) *circle {
	t.Helper()
	store := memstore.New()
	c := &circle{t: t, w: newBench(t, server.Stores{Directory: store, Mailbox: store, Wake: store}), of: map[string]*Client{}, at: map[string]Config{}}
	for _, n := range names {
		c.of[n], c.at[n] = c.w.join(n)
		t.Cleanup(func() { c.of[n].Close() })
	}
	return c
}

// address is a person's.
func (c *circle) address(name string) string { return c.of[name].account.Address }

// member makes the groups.Member that an engine would.
func (c *circle) member(by *Client, name string) groups.Member {
	c.t.Helper()
	addr, err := by.engine.resolve(context.Background(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := by.engine.recipient(context.Background(), addr, true)
	if err != nil {
		c.t.Fatal(err)
	}
	return groups.Member{Address: addr.String(), Account: [32]byte(p.list.Account), Role: 1}
}

// look waits until everybody has looked after their groups.
func (c *circle) look(names ...string) {
	c.t.Helper()
	for _, n := range names {
		if err := c.tryLook(n); err != nil {
			c.t.Fatalf("%s: %v", n, err)
		}
	}
}

// tryLook has somebody take what waits and look after all groups.
func (c *circle) tryLook(name string) error {
	ctx := context.Background()
	e := c.of[name].engine
	if err := e.Sync(ctx); err != nil {
		return err
	}
	l, err := e.connected(ctx)
	if err != nil {
		return err
	}
	for id := range e.dueGroups(&link{}, true) {
		if err := e.lookAfter(ctx, l, id); err != nil {
			return err
		}
	}
	return nil
}

// same checks that people hold the same roster.
func (c *circle) same(id groups.ID, names ...string) groups.Roster {
	c.t.Helper()
	var first groups.Roster
	for i, n := range names {
		r, roster, err := c.of[n].engine.readGroup(context.Background(), id)
		if err != nil || r == nil || r.Out {
			c.t.Fatalf("%s: %+v, %v", n, r, err)
		}
		if i == 0 {
			first = roster
		} else if roster.Hash() != first.Hash() || roster.Head != first.Head {
			c.t.Fatalf("%s holds %+v, %s holds %+v", names[0], first, n, roster)
		}
	}
	return first
}

// R-GRP-46, R-GRP-47, R-GRP-48, R-GRP-49: a group is made, people are added and
// removed, and everybody who is in it holds the same roster.
func TestR_GRP_46_Changes(t *testing.T) {
	c := newCircle(t, "alice", "bob", "carol", "dave")
	ctx := context.Background()
	a := c.of["alice"]
	id, err := a.engine.newGroup(ctx, "friends")
	if err != nil {
		t.Fatal(err)
	}
	add := func(by *Client, names ...string) error {
		var ms []groups.Member
		for _, n := range names {
			ms = append(ms, c.member(by, n))
		}
		return by.engine.changeGroup(ctx, id, func(groups.Roster) (groups.Change, error) {
			return groups.Change{Kind: groups.Add, Members: ms}, nil
		})
	}
	if err := add(a, "bob", "carol"); err != nil {
		t.Fatal(err)
	}
	c.look("bob", "carol")
	if r := c.same(id, "alice", "bob", "carol"); len(r.Members) != 3 || r.Epoch != 1 {
		t.Fatalf("%+v", r)
	}
	if err := add(c.of["bob"], "dave"); err == nil {
		t.Error("somebody who is no admin adds")
	}
	if err := add(a, "dave"); err != nil {
		t.Fatal(err)
	}
	c.look("bob", "carol", "dave")
	c.same(id, "alice", "bob", "carol", "dave")
	err = a.engine.changeGroup(ctx, id, func(groups.Roster) (groups.Change, error) {
		return groups.Change{Kind: groups.Remove, Members: []groups.Member{{Address: c.address("bob")}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.look("bob", "carol", "dave")
	if r := c.same(id, "alice", "carol", "dave"); r.Epoch != 2 || len(r.Members) != 3 {
		t.Fatalf("%+v", r)
	}
	if r, _, err := c.of["bob"].engine.readGroup(ctx, id); err != nil || !r.Out || len(r.Secret)+len(r.Sending) > 0 {
		t.Errorf("bob holds %+v, %v", r, err)
	}
	if err := c.of["carol"].engine.rekey(ctx, id, 2); err != nil {
		t.Fatal(err)
	}
	c.look("alice", "dave")
	if r := c.same(id, "alice", "carol", "dave"); r.Epoch != 3 {
		t.Fatalf("%+v", r)
	}
}
