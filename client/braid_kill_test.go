package client

import (
	"context"
	"fmt"
	"testing"

	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// TestR_BRD_13_KilledWhileHealing: two people who write to each other and whose
// programs are killed in most transactions, before they are durable or after it,
// still get through one epoch of the post-quantum exchange after the other. A key or
// an answer that was drawn twice, or a piece that left before its state was durable,
// would stop it for good.
func TestR_BRD_13_KilledWhileHealing(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	ctx := context.Background()
	sent := map[string]int{}
	killed := 0
	for round := range 44 {
		name, peer := "alice", "bob"
		if round%2 == 1 {
			name, peer = peer, name
		}
		f := &fuse{}
		c.restart(name, f)
		f.light(1+round/2%3, round/6%2 == 0)
		err := c.of[name].Sync(ctx)
		for try := range 4 {
			if f.blown() {
				killed++
				f = &fuse{}
				c.restart(name, nil)
			}
			if _, err = c.of[name].Send(ctx, c.address(peer), fmt.Sprint(name, " ", round, " ", try), SendOptions{}); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := c.of[peer].Sync(ctx); err != nil {
			t.Fatal(err)
		}
		sent[name]++
	}
	if killed < 20 {
		t.Errorf("only %d were killed", killed)
	}
	for name, peer := range map[string]string{"alice": "bob", "bob": "alice"} {
		e := c.of[name].engine
		var pair session.Pair
		err := e.view(ctx, func(tx *vault.Tx) (err error) {
			pair, err = loadPair(tx, peerKey{c.address(peer), c.of[peer].engine.self.device})
			return err
		})
		if err != nil || pair.Active() == nil {
			t.Fatal("no session", err)
		}
		if epoch := pair.Active().State.Epoch(); epoch < 2 {
			t.Errorf("%s's keys rest on epoch %d after %v messages", name, epoch, sent)
		}
	}
}
