package client

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// TestR_GRP_71_FalseLeap: a member who changes the group without handing their
// sender key to somebody cannot then tell them whatever roster they like: the
// word of an admin is needed for what one cannot check.
func TestR_GRP_71_FalseLeap(t *testing.T) {
	c, group, sieve := lossyCircle(t, "alice", "bob", "mallory")
	m := c.rogue("mallory", group)
	c.of["eve"], _ = c.w.join("eve")
	t.Cleanup(func() { c.of["eve"].Close() })
	sieve.mu.Lock()
	quiet := false
	sieve.lose = func(to string, env content.Envelope) bool { // mallory's program answers nobody
		return to == "mallory" || quiet && to == "bob" && env.From.User() == "alice"
	}
	sieve.mu.Unlock()
	own, err := m.e.presentChain(t.Context(), m.id) // handed to alice, and not to bob
	if err != nil {
		t.Fatal(err)
	}
	g, roster := c.group("mallory", m.id)
	first := own.Key()
	m.tell("alice", groups.Signal{Group: m.id, Key: &groups.Key{Seq: roster.Seq, Head: roster.Head, Epoch: 1, Chain: &first}})
	next := groups.NewSecret()
	me := groups.Author{Address: c.address("mallory"), Device: uint64(c.device("mallory").device)}
	p, err := groups.Propose(roster, g.secret(), own, me, groups.Change{Kind: groups.Rekey}, &next, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := groups.NewSending(m.id, 2, own.Sender(), time.Now(), groups.Before{Chain: own.ID(), Count: own.Index()})
	if err != nil {
		t.Fatal(err)
	}
	key := fresh.Key()
	true1 := groups.Key{Seq: roster.Seq + 1, Head: p.Head, Epoch: 2, Secret: next, Chain: &key}
	m.tell("alice", groups.Signal{Group: m.id, Key: &true1})
	l, err := m.e.connected(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token := next.Token(m.id, 2)
	placed, err := l.conn.GroupAppend(t.Context(), relay.GroupAppend{
		Group: m.id, Seq: roster.Seq + 1, Prev: roster.Head, Head: p.Head, Blob: p.Blob, Token: g.secret().Token(m.id, 1), NextToken: token[:],
	})
	if err != nil || !placed.Ok {
		t.Fatal(placed, err)
	}
	c.look("alice")
	sieve.mu.Lock()
	quiet = true
	sieve.mu.Unlock()
	c.look("bob")
	// An hour later bob asks mallory for everything.
	err = c.of["bob"].engine.groupStep(t.Context(), func(w *work) error { return w.e.lackWelcome(w.tx, m.id, c.device("mallory")) })
	if err != nil {
		t.Fatal(err)
	}
	false1 := p.Roster
	false1.Members = append(slices.Clone(false1.Members), groups.Member{
		Address: c.address("eve"), Account: [32]byte(c.of["eve"].engine.self.own.Account), Role: groups.RoleMember, Since: 2,
	})
	slices.SortFunc(false1.Members, func(a, b groups.Member) int { return bytes.Compare([]byte(a.Address), []byte(b.Address)) })
	lie := true1
	lie.Roster, lie.Secret = false1.Encode(), next
	if _, err := groups.ParseRoster(lie.Roster); err != nil {
		t.Fatal(err)
	}
	m.tell("bob", groups.Signal{Group: m.id, Key: &lie})
	for range 3 {
		c.look("bob")
	}
	_, now := c.group("bob", m.id)
	if _, in := now.Member(c.address("eve")); in {
		t.Error("bob believes that eve is a member")
	}
	if _, held := c.group("alice", m.id); held.Hash() != p.Roster.Hash() {
		t.Fatal("alice does not follow: the test proves nothing")
	}
	if now.Hash() != roster.Hash() {
		t.Errorf("bob holds %+v", now)
	}
	// Nor is he lost: an admin brings him back.
	sieve.mu.Lock()
	quiet = false
	sieve.mu.Unlock()
	err = c.of["bob"].engine.groupStep(t.Context(), func(w *work) error {
		r, err := getAsk(w.tx, m.id, c.device("alice"))
		if err != nil {
			return err
		}
		r.Welcome, r.Asked, r.Tries = true, 0, 0 // hours later
		return putAsk(w.tx, m.id, &r)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.until("bob is with alice", func() bool {
		_, now := c.group("bob", m.id)
		return now.Hash() == p.Roster.Hash()
	}, "alice", "bob")
	c.same(m.id, "alice", "bob")
}

// rows is how many rows somebody's store has in a table.
func (c *circle) rows(name string, t vault.Table, group []byte) (n int) {
	c.t.Helper()
	err := c.of[name].engine.view(c.t.Context(), func(tx *vault.Tx) (err error) {
		n, err = tx.Count(t, group)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// TestR_GRP_51_Floods: keys that a member makes up, for entries that never come
// and for groups that are none, take a bounded place and crowd out nobody's true
// ones.
func TestR_GRP_51_Floods(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "mallory")
	m := c.rogue("mallory", group)
	_, roster := c.group("mallory", m.id)
	whom := groups.Sender{Address: c.address("mallory"), Device: uint64(c.device("mallory").device), Identity: m.e.groupSender().Identity}
	madeUp := func(id groups.ID) groups.Signal {
		s, err := groups.NewSending(id, roster.Epoch, whom, time.Now(), groups.Before{})
		if err != nil {
			t.Fatal(err)
		}
		key := s.Key()
		k := &groups.Key{Seq: roster.Seq + 1, Epoch: roster.Epoch, Secret: groups.NewSecret(), Chain: &key}
		secret := groups.NewSecret()
		copy(k.Head[:], secret[:])
		return groups.Signal{Group: id, Key: k}
	}
	var all []groups.Signal
	for range 2 * MaxCandidates {
		all = append(all, madeUp(m.id))
	}
	for range 2 * MaxStrangeGroups {
		all = append(all, madeUp(groups.NewID()))
	}
	m.tell("bob", all[:MaxCandidates]...)
	if err := c.change("alice", m.id, groups.Change{Kind: groups.Rekey}); err != nil { // hers come in the middle of it
		t.Fatal(err)
	}
	m.tell("bob", all[MaxCandidates:]...)
	c.look("bob")
	if n := c.rows("bob", tableGroupKey, m.idBytes()); n > MaxCandidates {
		t.Errorf("%d keys for entries to come", n)
	}
	if n := c.rows("bob", tableGroupKey, nil); n > MaxCandidates+MaxStrangeGroups {
		t.Errorf("%d keys for entries to come in all groups", n)
	}
	if n := c.rows("bob", tableChain, nil); n > MaxChains+MaxStrangeGroups+2 {
		t.Errorf("%d sender keys", n)
	}
	c.same(m.id, "alice", "bob")
	c.say("alice", "still here")
	if got := c.got("bob"); !slices.Equal(got, []string{"ali: still here"}) {
		t.Errorf("bob got %q", got)
	}
}

func (r *rogue) idBytes() []byte { return r.id[:] }
