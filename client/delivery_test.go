package client_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
)

// TestR_CLT_01_CatchUp: what was accepted while a device was away is there,
// once, when it comes back, also when its process was replaced meanwhile.
func TestR_CLT_01_CatchUp(t *testing.T) {
	w := newWorld(t)
	bobHome := config(t, "bob")
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(bobHome, "bob")
	bob.Close()
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprint("message ", i))
		send(t, alice, "bob", want[i])
	}
	bob = open(t, bobHome)
	if got := take(t, bob); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	bob.Close()
	bob = open(t, bobHome)
	if got := take(t, bob); len(got) != 0 {
		t.Fatalf("acknowledged messages came again: %q", got)
	}
	h, err := bob.History(ctx(t), "alice", 0, "")
	if err != nil || len(h) != 25 || h[24].Text != "message 24" {
		t.Fatalf("history: %d messages, %v", len(h), err)
	}
}

func open(t *testing.T, cfg client.Config) client.API {
	t.Helper()
	c, err := client.Open(ctx(t), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestR_CLT_02_ServerDown: a message for a server that is away stays queued,
// its sender is told, and it leaves by itself later, in order.
func TestR_CLT_02_ServerDown(t *testing.T) {
	w := newWorld(t)
	aliceHome := config(t, "alice")
	alice, bob := w.join(aliceHome, "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "first")
	addr := w.server.Addr()
	w.stop()
	for _, text := range []string{"second", "third"} {
		m, err := alice.Send(ctx(t), "bob", text, client.SendOptions{})
		if !errors.Is(err, client.ErrUnreachable) || m.Status != client.StatusSending {
			t.Fatalf("status %q, error %v", m.Status, err)
		}
	}
	alice.Close()
	alice = open(t, aliceHome)
	if s, err := alice.Status(ctx(t)); err != nil || s.Outbox != 2 {
		t.Fatalf("outbox %d, %v", s.Outbox, err)
	}
	w.serve(server.Config{Stores: w.stores, Listen: addr, Dir: w.dir})
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "the outbox is empty", func() bool {
		s, err := alice.Status(ctx(t))
		return err == nil && s.Outbox == 0
	})
	if got := take(t, bob); !slices.Equal(got, []string{"first", "second", "third"}) {
		t.Fatalf("got %q", got)
	}
	h, _ := alice.History(ctx(t), "bob", 0, "")
	for _, m := range h {
		if m.Status != client.StatusAccepted {
			t.Errorf("%q is %s", m.Text, m.Status)
		}
	}
}

// until waits for a condition that other goroutines bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("waited in vain until ", what)
		case <-tick.C:
		}
	}
}

// TestR_CLT_02_FirstContactWhileDown: the very first message to somebody can
// be queued without the server and is sealed when it is back.
func TestR_CLT_02_FirstContactWhileDown(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	addr := w.server.Addr()
	w.stop()
	if _, err := alice.Send(ctx(t), "bob", "hello", client.SendOptions{}); !errors.Is(err, client.ErrUnreachable) {
		t.Fatal(err)
	}
	w.serve(server.Config{Stores: w.stores, Listen: addr, Dir: w.dir})
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "bob has it", func() bool {
		return slices.Equal(peek(t, bob), []string{"hello"})
	})
}

func peek(t *testing.T, c client.API) (texts []string) {
	t.Helper()
	if err := c.Sync(ctx(t)); err != nil {
		return nil // reconnecting
	}
	got, err := c.Receive(ctx(t), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got {
		texts = append(texts, m.Text)
	}
	return texts
}

// TestR_CLT_03_RefusedInput: what cannot be sent is refused with a clear error
// and leaves nothing behind.
func TestR_CLT_03_RefusedInput(t *testing.T) {
	w := newWorld(t)
	alice := w.join(config(t, "alice"), "alice")
	w.join(config(t, "bob"), "bob")
	for _, c := range []struct {
		to, text string
		want     error
	}{
		{"nobody", "x", client.ErrUnknownRecipient},
		{"nobody@" + w.server.Host(), "x", client.ErrUnknownRecipient},
		{"bob@elsewhere.example", "x", client.ErrUnknownRecipient},
		{"a b c", "x", client.ErrUnknownRecipient},
		{"bob", strings.Repeat("x", 64<<10+1), client.ErrTooLong},
		{"bob", "broken \xff", client.ErrInvalidText},
	} {
		if _, err := alice.Send(ctx(t), c.to, c.text, client.SendOptions{}); !errors.Is(err, c.want) {
			t.Errorf("to %q: %v, want %v", c.to, err, c.want)
		}
	}
	if s, err := alice.Status(ctx(t)); err != nil || s.Outbox != 0 {
		t.Errorf("outbox %d, %v", s.Outbox, err)
	}
	if all, err := alice.Conversations(ctx(t)); err != nil || len(all) != 0 {
		t.Errorf("conversations %v, %v", all, err)
	}
	send(t, alice, "bob", strings.Repeat("ü", 32<<10)) // the longest
}

// TestR_CLT_02_Idempotent: a Send repeated under one ID is one message.
func TestR_CLT_02_Idempotent(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	m := send(t, alice, "bob", "once")
	for range 3 {
		again, err := alice.Send(ctx(t), "bob", "once", client.SendOptions{ID: m.ID})
		if err != nil || again.ID != m.ID {
			t.Fatal(err)
		}
	}
	if got := take(t, bob); !slices.Equal(got, []string{"once"}) {
		t.Fatalf("got %q", got)
	}
}

// TestR_CLT_10_ManyOnOneHome: processes that open one home at once all succeed,
// and go on when the owner among them leaves.
func TestR_CLT_10_ManyOnOneHome(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	alice, bob := w.join(home, "alice"), w.join(config(t, "bob"), "bob")
	const many = 20
	var wg sync.WaitGroup
	fail := make(chan error, many)
	for i := range many {
		wg.Go(func() {
			c, err := client.Open(ctx(t), home)
			if err != nil {
				fail <- err
				return
			}
			defer c.Close()
			if _, err := c.Send(ctx(t), "bob", fmt.Sprint(i), client.SendOptions{}); err != nil {
				fail <- err
			}
			if i == many/2 {
				alice.Close() // the owner leaves in the middle
			}
		})
	}
	wg.Wait()
	close(fail)
	for err := range fail {
		t.Error(err)
	}
	got := take(t, bob)
	slices.Sort(got)
	if len(got) != many || len(slices.Compact(got)) != many {
		t.Fatalf("got %d messages: %q", len(got), got)
	}
}

// TestR_CLT_10_AttachedErrors: an attached process sees the same errors and
// results as the owner.
func TestR_CLT_10_AttachedErrors(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	w.join(home, "alice")
	bob := w.join(config(t, "bob"), "bob")
	attached := open(t, home)
	if s, err := attached.Status(ctx(t)); err != nil || s.Role != "attached" {
		t.Fatalf("role %q, %v", s.Role, err)
	}
	if _, err := attached.Send(ctx(t), "nobody", "x", client.SendOptions{}); !errors.Is(err, client.ErrUnknownRecipient) {
		t.Error(err)
	}
	send(t, attached, "bob", "through the socket")
	if got := take(t, bob); !slices.Equal(got, []string{"through the socket"}) {
		t.Errorf("got %q", got)
	}
	send(t, bob, "alice", "back")
	for m, err := range attached.Follow(ctx(t), "other") {
		if err != nil || m.Text != "back" {
			t.Fatalf("%q, %v", m.Text, err)
		}
		break
	}
	wrong := home
	wrong.Unlock = client.Unlock{Passphrase: []byte("not it")}
	if _, err := client.Open(ctx(t), wrong); !errors.Is(err, client.ErrWrongPassphrase) {
		t.Error(err)
	}
}

// TestR_CLT_02_Expiry: what could not be sent for twelve hours fails visibly,
// with or without a server.
func TestR_CLT_02_Expiry(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	var late atomic.Bool
	home.Now = func() time.Time {
		if late.Load() {
			return time.Now().Add(client.OutboxFor + time.Minute)
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
		_ = alice.Sync(ctx(t)) // another attempt to connect
		got, err := alice.Message(ctx(t), m.ID)
		return err == nil && got.Status == client.StatusFailed && got.Cause == client.CauseExpired
	})
}
