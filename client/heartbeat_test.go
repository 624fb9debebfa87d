package client

import (
	"context"
	"testing"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// TestR_CLT_14_HeartbeatIsQueued: the transaction that receives the fiftieth
// message without an answer queues a heartbeat, before any receipt is made of
// what is owed, and one that receives fewer queues nothing.
func TestR_CLT_14_HeartbeatIsQueued(t *testing.T) {
	store := memstore.New()
	w := newBench(t, server.Stores{Directory: store, Mailbox: store, Wake: store})
	alice, _ := w.join("alice")
	defer alice.Close()
	bob, home := w.join("bob")
	ctx := context.Background()
	if _, err := bob.Send(ctx, "alice", "hello", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := alice.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	envelopes := sealMany(t, alice, bob, ratchet.HeartbeatAfter)
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	x, err := Examine(home) // the engine alone: nothing leaves
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var in []incoming
	for _, b := range envelopes {
		env, err := content.DecodeEnvelope(b)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, incoming{body: b, env: env, known: true})
	}
	last := len(in) - 1
	for i, batch := range [][]incoming{in[:last], in[last:]} {
		if err := x.e.open(ctx, batch); err != nil {
			t.Fatal(err)
		}
		var queued int
		err := x.e.view(ctx, func(tx *vault.Tx) (err error) {
			queued, err = tx.Count(tableOutbox, nil)
			return err
		})
		if err != nil || queued != i {
			t.Errorf("after batch %d: %d queued, %v", i, queued, err)
		}
	}
}
