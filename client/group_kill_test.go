package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// errKilled is what the store of a process says that is being killed.
var errKilled = errors.New("the process was killed")

// fuse kills a process in its n-th transaction from when it is lit, before that
// is durable or after it. Nothing is written from then on.
type fuse struct {
	mu    sync.Mutex
	left  int // zero for never
	saved bool
	dead  bool
	once  func(*vault.Tx) bool // kills it after the transaction in which this is so
}

func (f *fuse) light(n int, saved bool) {
	f.mu.Lock()
	f.left, f.saved = n, saved
	f.mu.Unlock()
}

func (f *fuse) when(once func(*vault.Tx) bool) {
	f.mu.Lock()
	f.once = once
	f.mu.Unlock()
}

func (f *fuse) blown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *fuse) commit(ctx context.Context, v *vault.Vault, fn func(*vault.Tx) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errKilled
	}
	if f.once != nil {
		err := v.Update(ctx, func(tx *vault.Tx) error {
			err := fn(tx)
			f.dead = err == nil && f.once(tx)
			return err
		})
		if f.dead {
			return errors.Join(err, errKilled)
		}
		return err
	}
	if f.left == 0 {
		return v.Update(ctx, fn)
	}
	if f.left--; f.left > 0 {
		return v.Update(ctx, fn)
	}
	f.dead = true
	if !f.saved {
		return errKilled
	}
	return errors.Join(v.Update(ctx, fn), errKilled)
}

// restart ends somebody's process, if it has not ended, and starts the next on
// the same home. With a fuse it can be killed later.
func (c *circle) restart(name string, f *fuse) {
	c.t.Helper()
	c.of[name].Close()
	cfg := c.at[name]
	if f != nil {
		cfg.probe = &probe{commit: f.commit, sealed: func(peerKey, []byte, session.Sealed) {}}
	}
	again, err := Open(context.Background(), cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.of[name] = again.(*Client)
}

// group reads a group as somebody's store has it.
func (c *circle) group(name string, id groups.ID) (*groupRecord, groups.Roster) {
	c.t.Helper()
	r, roster, err := c.of[name].engine.readGroup(context.Background(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	return r, roster
}

// add makes somebody add people.
func (c *circle) add(by string, id groups.ID, names ...string) error {
	var all []groups.Member
	for _, n := range names {
		all = append(all, c.member(c.of[by], n))
	}
	return c.change(by, id, groups.Change{Kind: groups.Add, Members: all})
}

func (c *circle) change(by string, id groups.ID, x groups.Change) error {
	return c.of[by].engine.changeGroup(context.Background(), id, func(groups.Roster) (groups.Change, error) { return x, nil })
}

func (c *circle) removal(name string) groups.Change {
	return groups.Change{Kind: groups.Remove, Members: []groups.Member{{Address: c.address(name)}}}
}

// group makes one of several people.
func (c *circle) found(by string, others ...string) groups.ID {
	c.t.Helper()
	id, err := c.of[by].engine.newGroup(context.Background(), "friends")
	if err == nil && len(others) > 0 {
		err = c.add(by, id, others...)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.look(others...)
	c.same(id, append([]string{by}, others...)...)
	return id
}

// whole holds a group to what it is when nothing is under way: everybody has
// the same roster, secret and epoch, and the keys of everybody else who has any.
func (c *circle) whole(id groups.ID, names ...string) groups.Roster {
	c.t.Helper()
	roster := c.same(id, names...)
	for _, n := range names {
		r, _ := c.group(n, id)
		if !roster.Holds(r.secret()) {
			c.t.Fatalf("%s has a secret that is not that of the epoch", n)
		}
		if r.Pending != nil {
			c.t.Fatalf("%s has a change that is under way", n)
		}
		own, now, err := r.sending(roster.Epoch)
		if err != nil {
			c.t.Fatal(err)
		}
		if !now {
			continue
		}
		for _, other := range names {
			if other != n && !c.holds(other, own.ID()) {
				c.t.Fatalf("%s was not given the sender key of %s", other, n)
			}
		}
	}
	return roster
}

// holds reports whether somebody has a sender key.
func (c *circle) holds(name string, chain groups.ChainID) (ok bool) {
	c.t.Helper()
	err := c.of[name].engine.view(context.Background(), func(tx *vault.Tx) (err error) {
		_, ok, err = tx.Get(tableChain, chain[:])
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return ok
}

// TestR_GRP_47_KilledAuthor: whoever is killed in any transaction of a change,
// before it is durable or after it, finds the change made or not made when
// everything has come to rest, for all members alike: made if it was durable that
// it was to be, and if not, then nobody has seen anything of it.
func TestR_GRP_47_KilledAuthor(t *testing.T) {
	for _, saved := range []bool{false, true} {
		t.Run(fmt.Sprintf("saved=%v", saved), func(t *testing.T) {
			c := newCircle(t, "alice", "bob", "carol", "dave")
			id := c.found("alice", "bob", "carol")
			changes := map[string]groups.Change{
				"add":    {Kind: groups.Add, Members: []groups.Member{c.member(c.of["alice"], "dave")}},
				"remove": c.removal("dave"),
				"rekey":  {Kind: groups.Rekey},
			}
			in := []string{"alice", "bob", "carol"}
			kills := map[string]int{}
			made, unmade := 0, 0
			for step := 1; ; step++ {
				all := true
				for _, kind := range []string{"add", "rekey", "remove"} {
					_, before := c.group("bob", id)
					f := &fuse{}
					c.restart("alice", f)
					c.look("alice") // what a start does itself is not what is killed here
					f.light(step, saved)
					err := c.change("alice", id, changes[kind])
					blown := f.blown()
					f.light(0, false)
					if !blown && err != nil {
						t.Fatalf("%s, step %d: %v", kind, step, err)
					}
					if blown {
						all = false
						kills[kind]++
					}
					c.restart("alice", nil)
					r, roster := c.group("alice", id)
					durable := r.Pending != nil || roster.Seq > before.Seq
					if err == nil && !durable {
						t.Fatalf("%s, step %d: made, and not durable", kind, step)
					}
					c.look("alice")
					c.look("bob", "carol", "dave")
					_, after := c.group("alice", id)
					if (after.Seq > before.Seq) != durable {
						t.Fatalf("%s, step %d: durable %v, seq %d, was %d", kind, step, durable, after.Seq, before.Seq)
					}
					if durable {
						made++
					} else {
						unmade++
						if err := c.change("alice", id, changes[kind]); err != nil { // the person tries again
							t.Fatal(err)
						}
						c.look("bob", "carol", "dave")
					}
					switch kind {
					case "add":
						in = []string{"alice", "bob", "carol", "dave"}
					case "remove":
						in = in[:3]
						if r, _ := c.group("dave", id); !r.Out || len(r.Secret)+len(r.Sending) > 0 {
							t.Fatalf("step %d: dave is in, or has keys", step)
						}
					}
					c.look(in...)
					roster = c.whole(id, in...)
					if len(roster.Members) != len(in) {
						t.Fatalf("%s, step %d: %d members", kind, step, len(roster.Members))
					}
				}
				if all {
					break
				}
			}
			t.Logf("killed %v times; the change was made %d times, and not %d times", kills, made, unmade)
			for kind, n := range kills {
				if n < 4 {
					t.Errorf("%s has %d transactions: the test does not reach it", kind, n)
				}
			}
			if made == 0 || unmade == 0 && !saved {
				t.Error("only one of the two ways was seen")
			}
		})
	}
}

// TestR_GRP_47_KilledMember: a member who is killed in any transaction of
// following a change holds what everybody holds when it is back.
func TestR_GRP_47_KilledMember(t *testing.T) {
	for _, saved := range []bool{false, true} {
		t.Run(fmt.Sprintf("saved=%v", saved), func(t *testing.T) {
			c := newCircle(t, "alice", "bob", "carol")
			id := c.found("alice", "bob", "carol")
			kills := 0
			for step := 1; ; step++ {
				f := &fuse{}
				c.restart("bob", f)
				c.look("bob")
				f.light(step, saved)
				for range 3 {
					if err := c.change("alice", id, groups.Change{Kind: groups.Rekey}); err != nil {
						t.Fatal(err)
					}
				}
				c.look("carol")
				until := func() bool {
					_, a := c.group("alice", id)
					_, b := c.group("bob", id)
					return f.blown() || a.Head == b.Head
				}
				for !until() {
					if err := c.tryLook("bob"); err != nil && !f.blown() {
						t.Fatal(err)
					}
				}
				blown := f.blown()
				f.light(0, false)
				c.restart("bob", nil)
				c.look("bob")
				c.look("alice", "carol")
				c.whole(id, "alice", "bob", "carol")
				if !blown {
					break
				}
				kills++
			}
			t.Logf("killed %d times", kills)
			if kills < 6 {
				t.Errorf("killed %d times only", kills)
			}
		})
	}
}

// TestR_GRP_47_NextChange: a change that was cut short is not lost when the
// person makes another one before it has gone on, be that allowed or not.
func TestR_GRP_47_NextChange(t *testing.T) {
	c := newCircle(t, "alice", "bob", "dave")
	for _, next := range []groups.Change{
		{Kind: groups.Rename, Name: "colleagues"}, c.removal("bob"), c.removal("alice"),
	} {
		id := c.found("alice", "bob")
		f := &fuse{}
		c.restart("alice", f)
		c.look("alice")
		change := groups.Change{Kind: groups.Add, Members: []groups.Member{c.member(c.of["alice"], "dave")}}
		f.when(func(tx *vault.Tx) bool { // what it takes to go on is durable, and nothing else
			r, err := getGroup(tx, id)
			return err == nil && r.Pending != nil
		})
		if err := c.change("alice", id, change); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if r, _ := c.group("alice", id); r.Pending == nil {
			t.Fatal("nothing is pending")
		}
		c.restart("alice", nil)
		err := c.change("alice", id, next) // before the care for groups has looked, or beside it
		if next.Members != nil && next.Members[0].Address == c.address("alice") {
			if !errors.Is(err, ErrNotAllowed) {
				t.Errorf("alice removes herself: %v", err)
			}
		} else if err != nil {
			t.Error(err)
		}
		c.look("alice")
		_, roster := c.group("alice", id)
		if _, in := roster.Member(c.address("dave")); !in {
			t.Errorf("%v: the change before it is lost", next.Kind)
		}
	}
}
