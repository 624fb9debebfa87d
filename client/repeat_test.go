package client

import (
	"context"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// TestR_CLT_04_RepeatedID: one content sealed three times, each under a key of
// its own, is shown once; another person's content of the same ID is shown
// beside it.
func TestR_CLT_04_RepeatedID(t *testing.T) {
	store := memstore.New()
	w := newBench(t, server.Stores{Directory: store, Mailbox: store, Wake: store})
	alice, _ := w.join("alice")
	bob, _ := w.join("bob")
	carol, _ := w.join("carol")
	ctx := context.Background()
	id := content.NewID()
	for _, from := range []*Client{alice, carol} {
		defer from.Close()
		if _, err := from.Send(ctx, "bob", "hello", SendOptions{}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			sendSealed(t, from, bob, id)
		}
	}
	defer bob.Close()
	if err := bob.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := bob.Receive(ctx, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]int{}
	for _, m := range got {
		if m.Text == "repeated" {
			shown[m.From]++
		}
	}
	if len(shown) != 2 || shown[alice.account.Address] != 1 || shown[carol.account.Address] != 1 {
		t.Errorf("shown %v, of %d entries", shown, len(got))
	}
}

// sendSealed seals a content of a given ID and hands it to the server.
func sendSealed(t *testing.T, from, to *Client, id content.ID) {
	t.Helper()
	e := from.engine
	k := peerKey{to.account.Address, to.engine.self.device}
	c, err := content.NewText(id, time.Now(), 0, content.Text{Text: "repeated"})
	if err != nil {
		t.Fatal(err)
	}
	var sealed sealedCopy
	e.state.Lock()
	err = e.update(context.Background(), func(tx *vault.Tx) error {
		pair, err := e.pair(tx, k)
		if err != nil {
			return err
		}
		if pair, sealed, err = e.sealOne(tx, k, pair, c.Encode()); err == nil {
			e.pairs[k] = pair
		}
		return err
	})
	e.state.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.connected(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.conn.Send(context.Background(), relay.SendRequest{To: "bob", Messages: []relay.Outgoing{{
		Device: k.device, ID: relay.MessageID(sealed.ID), Body: sealed.Envelope,
	}}})
	if err != nil {
		t.Fatal(err)
	}
}
