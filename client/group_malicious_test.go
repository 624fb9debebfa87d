package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
)

// rogue is a member with a program of their own: they have every key that a
// member has, and say what they like over their own sessions and connection.
type rogue struct {
	c    *circle
	name string
	id   groups.ID
	e    *engine
}

func (c *circle) rogue(name, group string) *rogue {
	id, ok := groupID(group)
	if !ok {
		c.t.Fatal("no group")
	}
	return &rogue{c, name, id, c.of[name].engine}
}

func (c *circle) device(name string) peerKey {
	return peerKey{c.address(name), c.of[name].engine.self.device}
}

func (c *circle) sending(name string, id groups.ID) groups.Sending {
	c.t.Helper()
	r, roster := c.group(name, id)
	own, ok, err := r.sending(roster.Epoch)
	if err != nil || !ok {
		c.t.Fatalf("%s has no sender key, %v", name, err)
	}
	return own
}

// tell sends signals over the rogue's own sessions.
func (r *rogue) tell(to string, signals ...groups.Signal) {
	r.c.t.Helper()
	err := r.e.groupStep(r.c.t.Context(), func(w *work) error {
		for _, s := range signals {
			if err := w.signalTo(r.c.device(to), s); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = r.e.Sync(r.c.t.Context())
	}
	if err != nil {
		r.c.t.Fatal(err)
	}
}

// send hands an envelope to the server for the whole group, as from anybody.
func (r *rogue) send(from peerKey, message []byte) {
	r.c.t.Helper()
	l, err := r.e.connected(r.c.t.Context())
	if err != nil {
		r.c.t.Fatal(err)
	}
	g, roster := r.c.group(r.name, r.id)
	all, err := r.e.audienceNow(r.c.t.Context(), l, roster)
	if err != nil {
		r.c.t.Fatal(err)
	}
	audience, err := r.e.audienceOfGroup(r.c.t.Context(), all)
	if err != nil {
		r.c.t.Fatal(err)
	}
	addr, err := address.ParseCanonical(from.address)
	if err != nil {
		r.c.t.Fatal(err)
	}
	env := content.Envelope{From: addr, Device: from.device, Message: message}
	res, err := l.conn.GroupSend(r.c.t.Context(), relay.GroupSend{
		Group: r.id, Seq: roster.Seq, Head: roster.Head, Token: g.secret().Token(r.id, roster.Epoch),
		ID: relay.MessageID(content.NewID()), TTL: 3600, Body: env.Encode(), Audience: audience,
	})
	if err != nil || res.Stale != nil || len(res.Lists) > 0 {
		r.c.t.Fatal(res, err)
	}
}

// place writes an entry into the log that is signed with any chain, for a change
// as it would be if the roster were what the rogue says, and hands out nothing.
func (r *rogue) place(as groups.Roster, by groups.Sending, author groups.Author, x groups.Change, alter func([]byte)) {
	r.c.t.Helper()
	l, err := r.e.connected(r.c.t.Context())
	if err != nil {
		r.c.t.Fatal(err)
	}
	g, roster := r.c.group(r.name, r.id)
	var next *groups.Secret
	req := relay.GroupAppend{Group: r.id, Seq: roster.Seq + 1, Prev: roster.Head, Token: g.secret().Token(r.id, roster.Epoch)}
	if x.Kind.Advances() {
		s := groups.NewSecret()
		next = &s
	}
	p, err := groups.Propose(as, g.secret(), by, author, x, next, time.Now())
	if err != nil {
		r.c.t.Fatal(err)
	}
	if req.Blob = p.Blob; alter != nil {
		alter(req.Blob)
	}
	req.Head = groups.HeadOf(r.id, req.Seq, req.Prev, req.Blob)
	placed, err := l.conn.GroupAppend(r.c.t.Context(), req)
	if err != nil || !placed.Ok {
		r.c.t.Fatal(placed, err)
	}
}

func text(t *testing.T, s string) []byte {
	t.Helper()
	c, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: s})
	if err != nil {
		t.Fatal(err)
	}
	return c.Encode()
}

// TestR_GRP_07_InsiderForges: a member who has every key that a member has, and
// owns a device in the group, makes nothing that others take for somebody else's
// before a signing key is disclosed; what they try costs the true message nothing.
func TestR_GRP_07_InsiderForges(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "mallory")
	m := c.rogue("mallory", group)
	c.say("alice", "one")
	c.say("mallory", "mine")
	if got := c.got("bob"); len(got) != 2 {
		t.Fatalf("got %q", got)
	}
	alice, mallory, bob := c.device("alice"), c.device("mallory"), c.device("bob")
	own, hers := c.sending("mallory", m.id), c.sending("alice", m.id)
	_, roster := c.group("bob", m.id)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// The chain of alice as every member holds it, and the rogue's signing keys.
	var attempts [][]byte
	plain := text(t, "I, alice, owe mallory a fortune")
	for _, seed := range [][32]byte{own.Seed(), [32]byte(private.Seed())} {
		k := hers.Key()
		k.Verify = [32]byte(ed25519.NewKeyFromSeed(seed[:])[32:])
		k.Chain = groups.ChainIDOf(m.id, k.Epoch, hers.Sender(), k.Verify)
		forged, err := groups.Forge(seed, k, hers.Sender(), k.Index, roster.Seq, roster.Head, plain)
		if err != nil {
			t.Fatal(err)
		}
		attempts = append(attempts, slices.Clone(forged))
		id := hers.ID()
		copy(forged[1:], id[:]) // on her chain, with another's signature
		attempts = append(attempts, forged)
	}
	mine, err := own.Seal(roster.Seq, roster.Head, plain)
	if err != nil {
		t.Fatal(err)
	}
	attempts = append(attempts, mine.Message) // as from alice, on one's own chain
	true1, err := hers.Seal(roster.Seq, roster.Head, text(t, "the truth"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range true1.Message { // her next message, altered everywhere in turn
		if i%9 == 0 || i < 61 {
			bad := bytes.Clone(true1.Message)
			bad[i] ^= 1
			attempts = append(attempts, bad)
		}
	}
	before := c.record("bob", hers.ID())
	for i, a := range attempts {
		m.send(alice, a)
		if i%16 == 0 {
			m.send(bob, a) // and as from the reader themselves
		}
	}
	if got := c.got("bob"); len(got) != 0 {
		t.Errorf("bob was shown %q", got)
	}
	if after := c.record("bob", hers.ID()); !bytes.Equal(before, after) {
		t.Error("a forged message has changed alice's chain at bob")
	}
	// What is mallory's own is shown as mallory's, and only that.
	m.send(mallory, mine.Message)
	m.send(alice, true1.Message)
	if got := c.got("bob"); !slices.Equal(got, []string{"mal: I, alice, owe mallory a fortune", "ali: the truth"}) {
		t.Errorf("bob was shown %q", got)
	}
}

// record is somebody's chain of another device, as it is stored.
func (c *circle) record(name string, chain groups.ChainID) []byte {
	c.t.Helper()
	var b []byte
	err := c.of[name].engine.groupStep(c.t.Context(), func(w *work) error {
		x, err := w.chain(chain)
		if err == nil && x != nil {
			b = x.state.AppendRecord(nil)
		}
		return err
	})
	if err != nil || b == nil {
		c.t.Fatal("no chain", err)
	}
	return b
}

// TestR_GRP_51_SomebodyElsesChain: a sender key is taken from its own device
// only. What another member hands out under its id, or about it, moves nothing,
// and its messages go on being read.
func TestR_GRP_51_SomebodyElsesChain(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "mallory")
	m := c.rogue("mallory", group)
	c.say("alice", "one")
	c.say("mallory", "hello")
	if got := c.got("bob"); len(got) != 2 {
		t.Fatalf("got %q", got)
	}
	hers, own := c.sending("alice", m.id), c.sending("mallory", m.id)
	_, roster := c.group("bob", m.id)
	signal := func(k groups.ChainKey) groups.Signal {
		return groups.Signal{Group: m.id, Key: &groups.Key{Seq: roster.Seq, Head: roster.Head, Epoch: k.Epoch, Chain: &k}}
	}
	before := c.record("bob", hers.ID())
	true1 := hers.Key()
	ahead := true1
	ahead.Index += 3 * groups.MaxJump
	rand.Read(ahead.Key[:])
	other := own.Key()
	other.Chain = true1.Chain
	spoilt := true1
	rand.Read(spoilt.Key[:])
	m.tell("bob", signal(true1), signal(ahead), signal(other), signal(spoilt),
		groups.Signal{Group: m.id, Again: &groups.Again{Chain: true1.Chain, Index: true1.Index, Content: text(t, "alice said so")}},
		groups.Signal{Group: m.id, Disclosed: &groups.Disclosed{Chain: true1.Chain, Seed: hers.Seed()}})
	if got := c.got("bob"); len(got) != 0 {
		t.Errorf("bob was shown %q", got)
	}
	if !bytes.Equal(before, c.record("bob", hers.ID())) {
		t.Error("mallory has changed alice's chain at bob")
	}
	// Even inside the group, where disclosures belong.
	said := content.NewControl(content.KindGroup, time.Now())
	said.Body = groups.Signal{Group: m.id, Disclosed: &groups.Disclosed{Chain: true1.Chain, Seed: hers.Seed()}}.Encode()
	sealed, err := own.Seal(roster.Seq, roster.Head, said.Encode())
	if err != nil {
		t.Fatal(err)
	}
	m.send(c.device("mallory"), sealed.Message)
	c.say("alice", "two")
	if got := c.got("bob"); !slices.Equal(got, []string{"ali: two"}) {
		t.Errorf("bob was shown %q", got)
	}
}

// TestR_GRP_53_AnEarlierChainLate: a chain of an earlier epoch that is handed out
// when something was opened on a later one is not taken any more: its signing key
// may be with every member by then, and a server may have held the letter back.
func TestR_GRP_53_AnEarlierChainLate(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "mallory")
	m := c.rogue("mallory", group)
	_, roster := c.group("mallory", m.id)
	late, err := groups.NewSending(m.id, roster.Epoch, m.e.groupSender(), time.Now(), groups.Before{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.of["alice"].ChangeGroup(t.Context(), group, GroupChange{Rekey: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.look("alice", "bob", "mallory")
	}
	c.say("mallory", "in the next epoch")
	if got := c.got("bob"); len(got) != 1 {
		t.Fatalf("bob was shown %q", got)
	}
	key := late.Key()
	m.tell("bob", groups.Signal{Group: m.id, Key: &groups.Key{Seq: roster.Seq, Head: roster.Head, Epoch: roster.Epoch, Chain: &key}})
	said := text(t, "anybody could have made this")
	sealed, err := late.Seal(roster.Seq, roster.Head, said)
	if err != nil {
		t.Fatal(err)
	}
	m.send(c.device("mallory"), sealed.Message)
	if got := c.got("bob"); len(got) != 0 {
		t.Errorf("bob was shown %q", got)
	}
	if c.holds("bob", late.ID()) {
		t.Error("bob keeps the chain")
	}
}

// TestR_GRP_26_VoidEntries: whatever a member writes into the log that they may
// not write, or that is not what it says, moves the log on at everybody alike
// and changes nothing; the group goes on.
func TestR_GRP_26_VoidEntries(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "mallory")
	m := c.rogue("mallory", group)
	if _, err := c.of["bob"].ChangeGroup(t.Context(), group, GroupChange{Rekey: true}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"alice", "bob", "mallory"} {
		c.look("alice", "bob", "mallory")
		c.say(n, "in the second epoch")
	}
	c.look("alice", "bob", "mallory")
	all := []string{"alice", "bob", "mallory"}
	me := groups.Author{Address: c.address("mallory"), Device: uint64(c.device("mallory").device)}
	crown := groups.Change{Kind: groups.SetRole, Members: []groups.Member{{Address: c.address("bob"), Role: groups.Admin}}}
	// as is the roster with mallory for an admin, as they would like it.
	as := func(r groups.Roster) groups.Roster {
		r.Members = slices.Clone(r.Members)
		for i := range r.Members {
			r.Members[i].Role = groups.Admin
		}
		return r
	}
	as2 := func(who string) func(groups.Roster) groups.Roster {
		return func(r groups.Roster) groups.Roster {
			r.Members = slices.Clone(r.Members)
			for i := range r.Members {
				if r.Members[i].Address == who {
					r.Members[i].Role = groups.Admin
				}
			}
			return r
		}
	}
	plain := func(r groups.Roster) groups.Roster { return r }
	for _, x := range []struct {
		what   string
		as     func(groups.Roster) groups.Roster
		by     func() groups.Sending
		author groups.Author
		change groups.Change
		alter  func([]byte)
	}{
		{"a removal without the right to", as, func() groups.Sending { return c.sending("mallory", m.id) }, me, c.removal("bob"), nil},
		{"a name without the right to", as, func() groups.Sending { return c.sending("mallory", m.id) }, me, groups.Change{Kind: groups.Rename, Name: "mine"}, nil},
		{"a role without the right to", as2(me.Address), func() groups.Sending { return c.sending("mallory", m.id) }, me, crown, nil},
		{"an entry that nobody can read", plain, func() groups.Sending { return c.sending("mallory", m.id) }, me, groups.Change{Kind: groups.Leave}, func(b []byte) { b[60] ^= 1 }},
		{"an entry of another version", plain, func() groups.Sending { return c.sending("mallory", m.id) }, me, groups.Change{Kind: groups.Leave}, func(b []byte) { b[0] = 2 }},
		{"an epoch upon another roster", as, func() groups.Sending { return c.sending("mallory", m.id) }, me, groups.Change{Kind: groups.Rekey}, nil},
	} {
		before := c.same(m.id, all...)
		m.place(x.as(before), x.by(), x.author, x.change, x.alter)
		c.look(all...)
		after := c.same(m.id, all...)
		if after.Seq != before.Seq+1 || after.Hash() != before.Hash() || after.Head == before.Head {
			t.Errorf("%s: %+v, was %+v", x.what, after, before)
		}
		r, _ := c.group("bob", m.id)
		line, _, err := c.line("bob", m.id, after.Seq)
		alarm := x.change.Kind == groups.Rekey // which mallory may, but leads elsewhere (R-GRP-56)
		if err != nil || line.Void == "" || (r.Alarm != nil) != alarm {
			t.Errorf("%s: %+v, alarm %v, %v", x.what, line, r.Alarm, err)
		}
	}
	if _, err := c.of["alice"].ChangeGroup(t.Context(), group, GroupChange{Remove: []string{"mallory"}}); err != nil {
		t.Fatal(err)
	}
	c.look("bob")
	c.say("alice", "unimpressed")
	if got := c.got("bob"); len(got) == 0 || got[len(got)-1] != "ali: unimpressed" {
		t.Errorf("bob was shown %q", got)
	}
}

// line is an entry of the log as somebody has it.
func (c *circle) line(name string, id groups.ID, seq uint64) (line logRecord, ok bool, err error) {
	err = c.of[name].engine.groupStep(c.t.Context(), func(w *work) (err error) {
		line, ok, err = getRecord[logRecord](w.tx, tableGroupLog, seqKey(id, seq))
		return err
	})
	return line, ok, err
}
