package client

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// sieve is a mailbox that says yes to everything and loses what lose says.
type sieve struct {
	server.Mailbox
	mu   sync.Mutex
	lose func(user string, e content.Envelope) bool
}

func (s *sieve) Append(ctx context.Context, in []server.Envelope) ([]server.Result, error) {
	s.mu.Lock()
	lose := s.lose
	s.mu.Unlock()
	if lose == nil {
		return s.Mailbox.Append(ctx, in)
	}
	out := make([]server.Result, len(in))
	for i := range in {
		env, err := content.DecodeEnvelope(in[i].Body)
		if err == nil && lose(in[i].Device.User, env) {
			continue
		}
		r, err := s.Mailbox.Append(ctx, in[i:i+1])
		if err != nil {
			return nil, err
		}
		out[i] = r[0]
	}
	return out, nil
}

// loseFor has every message of a group to one person lost.
func (s *sieve) loseFor(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = func(to string, e content.Envelope) bool { return to == user && e.To == 0 }
}

func (s *sieve) loseNothing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = nil
}

func lossyCircle(t *testing.T, names ...string) (*circle, string, *sieve) {
	t.Helper()
	store := memstore.New()
	s := &sieve{Mailbox: store}
	c := &circle{t: t, w: newBench(t, server.Stores{Directory: store, Mailbox: s, Wake: store}), of: map[string]*Client{}, at: map[string]Config{}}
	for _, n := range names {
		c.of[n], c.at[n] = c.w.join(n)
		t.Cleanup(func() { c.of[n].Close() })
	}
	g, err := c.of[names[0]].CreateGroup(t.Context(), "friends", names[1:])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.look(names...)
	}
	return c, g.ID, s
}

func (c *circle) say(name, text string) Message {
	c.t.Helper()
	m, err := c.of[name].Send(c.t.Context(), "#friends", text, SendOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// R-GRP-66, R-GRP-67, R-GRP-68: what the server has lost of a chain is asked for
// and comes again from the one who has said it, whether more is said on the
// chain or it is over.
func TestR_GRP_66_LostMessagesComeAgain(t *testing.T) {
	for _, over := range []bool{false, true} {
		c, group, s := lossyCircle(t, "alice", "bob", "carol")
		c.say("alice", "one")
		if got := c.got("bob"); !slices.Equal(got, []string{"ali: one"}) {
			t.Fatalf("got %q", got)
		}
		s.loseFor("bob")
		c.say("alice", "two")
		c.say("alice", "three")
		s.loseNothing()
		if over {
			if _, err := c.of["carol"].ChangeGroup(t.Context(), group, GroupChange{Rekey: true}); err != nil {
				t.Fatal(err)
			}
			c.look("alice", "bob")
		}
		c.say("alice", "four")
		got := c.got("bob")
		c.until("everything again", func() bool {
			got = append(got, c.got("bob")...)
			return len(got) >= 3
		}, "alice", "bob", "carol")
		slices.Sort(got)
		if !slices.Equal(got, []string{"ali: four", "ali: three", "ali: two"}) {
			t.Errorf("over=%v: got %q", over, got)
		}
		id, _ := groupID(group)
		e := c.of["bob"].engine
		for range 3 { // nothing is asked twice
			c.look("bob", "alice")
		}
		err := e.view(t.Context(), func(tx *vault.Tx) error {
			r, err := getAsk(tx, id, peerKey{c.address("alice"), c.of["alice"].engine.self.device})
			if err == nil && (r.lacking() || r.Tries > 0) {
				t.Errorf("over=%v: still asking: %+v", over, r)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// R-GRP-66: a device that was never given the chain asks for it, and gets the
// messages that were sent under it before.
func TestR_GRP_66_LostChain(t *testing.T) {
	c, _, s := lossyCircle(t, "alice", "bob", "carol")
	s.mu.Lock()
	s.lose = func(to string, e content.Envelope) bool { return to == "bob" && e.From.User() == "carol" && e.To != 0 }
	s.mu.Unlock()
	c.say("carol", "one")
	c.say("carol", "two")
	s.loseNothing()
	var got []string
	c.until("two texts", func() bool {
		got = append(got, c.got("bob")...)
		return len(got) >= 2
	}, "carol", "bob", "alice")
	c.say("carol", "three")
	got = append(got, c.got("bob")...)
	slices.Sort(got)
	if !slices.Equal(got, []string{"car: one", "car: three", "car: two"}) {
		t.Errorf("got %q", got)
	}
}

// R-GRP-68: a message that was asked for is taken from the device that sent it
// only, and only if it was asked for; R-GRP-67: who was not to have a message
// gets it from nobody.
func TestR_GRP_68_OnlyWhoSentIt(t *testing.T) {
	c, group, s := lossyCircle(t, "alice", "bob", "carol")
	ctx := t.Context()
	id, _ := groupID(group)
	c.say("alice", "one")
	c.got("bob")
	s.loseFor("bob")
	lost := c.say("alice", "two")
	s.loseNothing()
	c.say("alice", "three")
	if err := c.of["bob"].engine.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	row, _, ok, err := getMessageOf(c.of["alice"].engine, lost.ID)
	if err != nil || !ok {
		t.Fatal(err)
	}
	text, err := content.NewText(content.NewID(), c.of["carol"].engine.now(), 0, content.Text{Text: "not what she said"})
	if err != nil {
		t.Fatal(err)
	}
	alice := peerKey{c.address("alice"), c.of["alice"].engine.self.device}
	bob := peerKey{c.address("bob"), c.of["bob"].engine.self.device}
	e := c.of["bob"].engine
	again := func(from *Client, index uint32) {
		t.Helper()
		err := from.engine.groupStep(ctx, func(w *work) error {
			return w.signalTo(bob, groups.Signal{Group: id, Again: &groups.Again{
				Chain: groups.ChainID(row.Chain), Index: index, Content: text.Encode(),
			}})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := from.Sync(ctx); err != nil {
			t.Fatal(err)
		}
	}
	again(c.of["carol"], row.Index)      // not hers
	again(c.of["alice"], row.Index+1000) // not asked for
	got := c.got("bob")
	if strings.Contains(strings.Join(got, " "), "not what") {
		t.Errorf("got %q", got)
	}
	// Who is let in later asks in vain for what was said before.
	c.of["dave"], _ = c.w.join("dave")
	t.Cleanup(func() { c.of["dave"].Close() })
	if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Add: []string{"dave"}}); err != nil {
		t.Fatal(err)
	}
	c.look("dave")
	d := c.of["dave"].engine
	err = d.update(ctx, func(tx *vault.Tx) error {
		return d.lackMessages(tx, id, alice, groups.ChainID(row.Chain), []uint32{row.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	c.until("an answer", func() bool {
		lacks := true
		_ = d.view(ctx, func(tx *vault.Tx) error {
			r, err := getAsk(tx, id, alice)
			lacks = r.lacking()
			return err
		})
		return !lacks
	}, "dave", "alice")
	if got := c.got("dave"); len(got) > 0 {
		t.Errorf("dave got %q", got)
	}
	_ = e
}

func getMessageOf(e *engine, id string) (m messageRecord, order int64, ok bool, err error) {
	parsed, err := content.ParseID(id)
	if err != nil {
		return m, 0, false, err
	}
	err = e.view(context.Background(), func(tx *vault.Tx) (err error) {
		m, order, ok, err = getMessage(tx, parsed[:])
		return err
	})
	return m, order, ok, err
}

// R-GRP-43, R-GRP-74, R-GRP-75: when everybody has a message on the new chain, the signing
// key of the old one is told to all of them, who take nothing on it any more; not
// before.
func TestR_GRP_74_Disclosure(t *testing.T) {
	c, group, s := lossyCircle(t, "alice", "bob", "carol")
	ctx := t.Context()
	id, _ := groupID(group)
	m := c.say("alice", "one")
	row, _, _, err := getMessageOf(c.of["alice"].engine, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	old := groups.ChainID(row.Chain)
	c.got("bob")
	c.got("carol")
	if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Rekey: true}); err != nil {
		t.Fatal(err)
	}
	seeds := func(name string) (seed [32]byte, ok bool) {
		t.Helper()
		e := c.of[name].engine
		err := e.view(ctx, func(tx *vault.Tx) error {
			r, found, err := getRecord[chainRecord](tx, tableChain, old[:])
			if err != nil || !found {
				return err
			}
			state, err := groups.ParseReceiving(r.State)
			seed, ok = state.Disclosed()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return seed, ok
	}
	closed := func() int {
		r, _, err := c.of["alice"].engine.readGroup(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Closed)
	}
	s.loseFor("carol")
	c.say("alice", "two")
	s.loseNothing()
	for range 3 {
		c.got("bob")
		c.got("carol")
		for _, n := range []string{"bob", "carol"} {
			if _, err := c.of[n].engine.sealReceipts(ctx); err != nil {
				t.Fatal(err)
			}
			c.look(n)
		}
		c.look("alice")
	}
	if _, ok := seeds("bob"); ok || closed() != 1 {
		t.Fatal("disclosed before carol has closed the chain")
	}
	c.say("alice", "three")
	c.until("disclosure", func() bool {
		_, b := seeds("bob")
		_, c := seeds("carol")
		return b && c
	}, "bob", "carol", "alice")
	if closed() != 0 {
		t.Error("the seed is kept by the one who disclosed it")
	}
	seed, _ := seeds("bob")
	// Anybody forges on the old chain now; nobody takes it.
	e := c.of["bob"].engine
	var key groups.ChainKey
	_ = e.view(ctx, func(tx *vault.Tx) error {
		r, _, err := getRecord[chainRecord](tx, tableChain, old[:])
		if err != nil {
			return err
		}
		state, err := groups.ParseReceiving(r.State)
		if err != nil {
			return err
		}
		key = groups.ChainKey{Group: id, Epoch: state.Epoch(), Chain: old, Verify: state.Verify(), Created: state.Created().Unix(), Before: state.Before()}
		forged, err := groups.Forge(seed, key, state.Sender(), 5, 2, groups.Head{1}, []byte("x"))
		if err != nil {
			return err
		}
		if _, err := state.Open(forged, e.now()); err != groups.ErrClosed {
			t.Errorf("a forgery: %v", err)
		}
		return nil
	})
}
