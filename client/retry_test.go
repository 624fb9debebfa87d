package client_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// full is a mailbox without room for bob.
type full struct {
	server.Mailbox
	on    atomic.Bool
	tries atomic.Int64
}

func (m *full) Append(ctx context.Context, in []server.Envelope) ([]server.Result, error) {
	if in[0].Device.User == "bob" && m.on.Load() {
		m.tries.Add(1)
		return nil, server.ErrFull
	}
	return m.Mailbox.Append(ctx, in)
}

// TestR_CLT_23_Retries: a message for a full mailbox is kept, tried again with
// the next send and whenever somebody asks, and leaves in order once there is
// room.
func TestR_CLT_23_Retries(t *testing.T) {
	m := memstore.New()
	box := &full{Mailbox: m}
	w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: m, Mailbox: box, Wake: m}}
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
	aliceHome := config(t, "alice")
	alice, bob := friends(t, w, aliceHome, config(t, "bob"))
	until(t, "all receipts have left", func() bool {
		s, err := alice.Status(ctx(t))
		return err == nil && s.Outbox == 0
	})
	box.on.Store(true)
	first, err := alice.Send(ctx(t), "bob", "first", client.SendOptions{})
	if !errors.Is(err, client.ErrMailboxFull) || first.Status != client.StatusSending {
		t.Fatalf("%s, %v", first.Status, err)
	}
	before := box.tries.Load()
	if _, err := alice.Send(ctx(t), "bob", "second", client.SendOptions{NoWait: true}); err != nil {
		t.Fatal(err)
	}
	until(t, "the first is tried with the next send", func() bool { return box.tries.Load() > before })
	before = box.tries.Load()
	if err := alice.Sync(ctx(t)); err != nil || box.tries.Load() == before {
		t.Fatalf("asking did not try it, %v", err)
	}
	alice.Close()
	box.on.Store(false)
	alice = open(t, aliceHome) // its pause is not over
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "both have left", func() bool {
		s, err := alice.Status(ctx(t))
		return err == nil && s.Outbox == 0
	})
	if got := take(t, bob); !slices.Equal(got, []string{"first", "second"}) {
		t.Fatalf("got %q", got)
	}
}

// TestR_CLT_02_ExpiryConfigured: the time after which a message fails is the
// program's choice.
func TestR_CLT_02_ExpiryConfigured(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	var late atomic.Bool
	home.OutboxFor = time.Minute
	home.Now = func() time.Time {
		if late.Load() {
			return time.Now().Add(2 * time.Minute)
		}
		return time.Now()
	}
	alice := w.join(home, "alice")
	w.join(config(t, "bob"), "bob")
	w.stop()
	m, err := alice.Send(ctx(t), "bob", "too late", client.SendOptions{})
	if !errors.Is(err, client.ErrUnreachable) {
		t.Fatal(err)
	}
	late.Store(true)
	until(t, "it has failed", func() bool {
		_ = alice.Sync(ctx(t))
		got, err := alice.Message(ctx(t), m.ID)
		return err == nil && got.Status == client.StatusFailed && got.Cause == client.CauseExpired
	})
}
