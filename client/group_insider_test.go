package client

import (
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
)

// chainOf is how somebody holds the present chain of another one's device.
func (c *circle) chainOf(holder, of string, id groups.ID) (found groups.Receiving) {
	c.t.Helper()
	err := c.of[holder].engine.view(c.t.Context(), func(tx *vault.Tx) error {
		return tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[chainRecord](row.Value)
			if err != nil || r.From != c.address(of) {
				return err
			}
			found, err = groups.ParseReceiving(r.State)
			return err
		})
	})
	if err != nil || found.ID().IsZero() {
		c.t.Fatalf("%s holds no chain of %s: %v", holder, of, err)
	}
	return found
}

// R-GRP-65: a member cannot say something in the name of another one as long as
// that one's signing key is not disclosed, neither on the other's chain nor on
// one's own.
func TestR_GRP_65_Insider(t *testing.T) {
	c, group, s := lossyCircle(t, "alice", "bob", "carol")
	ctx := t.Context()
	id, _ := groupID(group)
	c.say("alice", "one")
	c.say("carol", "two")
	c.got("bob")
	c.got("carol")
	alice, bob, carol := c.of["alice"].engine, c.of["bob"].engine, c.of["carol"].engine
	_, roster, err := bob.readGroup(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: "forged"})
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := carol.readGroup(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	own, _, err := r.sending(roster.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	onOwn, err := own.Seal(roster.Seq, roster.Head, text.Encode())
	if err != nil {
		t.Fatal(err)
	}
	held := c.chainOf("carol", "alice", id)
	chain := held.ID()
	onHers := slices.Clone(onOwn.Message) // as hers, in its place
	copy(onHers[1:], chain[:])
	onHers[20] = byte(held.Index())
	if w, err := groups.ParseMessage(onHers); err != nil || w.Chain != chain || w.Index != held.Index() {
		t.Fatalf("%+v, %v", w, err)
	}
	for _, m := range [][]byte{onHers, onOwn.Message} {
		env := content.Envelope{From: alice.self.address, Device: alice.self.device, Message: m}
		_, err := s.Append(ctx, []server.Envelope{{
			Device: server.Device{User: "bob", ID: bob.self.device}, ID: server.MessageID(content.NewID()), At: time.Now(), Body: env.Encode(),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	c.say("alice", "three")
	if got := c.got("bob"); !slices.Equal(got, []string{"ali: three"}) {
		t.Errorf("bob got %q", got)
	}
}

// R-GRP-75: nobody closes another one's chain, nor one's own with a key that is
// not its.
func TestR_GRP_75_FalseDisclosures(t *testing.T) {
	c, group, _ := lossyCircle(t, "alice", "bob", "carol")
	ctx := t.Context()
	id, _ := groupID(group)
	c.say("alice", "one")
	c.say("carol", "two")
	c.got("bob")
	seedOf := func(name string) [32]byte {
		r, roster, err := c.of[name].engine.readGroup(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		own, _, err := r.sending(roster.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		return own.Seed()
	}
	alice, carol := c.chainOf("bob", "alice", id), c.chainOf("bob", "carol", id)
	b := c.of["bob"].engine
	by := peerKey{c.address("carol"), c.of["carol"].engine.self.device}
	for name, d := range map[string]groups.Disclosed{
		"another's chain":          {Chain: alice.ID(), Seed: seedOf("alice")},
		"another key":              {Chain: carol.ID(), Seed: seedOf("alice")},
		"a chain that nobody has":  {Chain: groups.ChainID{1}, Seed: seedOf("carol")},
		"another's, with her seed": {Chain: alice.ID(), Seed: seedOf("carol")},
	} {
		err := b.groupStep(ctx, func(w *work) error {
			if err := w.disclosed(by, id, &d); err != nil {
				return err
			}
			return w.writeChains()
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"alice", "carol"} {
			if c.chainOf("bob", who, id).Closed() {
				t.Errorf("%s: the chain of %s is closed", name, who)
			}
		}
	}
	c.say("alice", "three")
	c.say("carol", "four")
	got := c.got("bob")
	slices.Sort(got)
	if !slices.Equal(got, []string{"ali: three", "car: four"}) {
		t.Errorf("got %q", got)
	}
}
