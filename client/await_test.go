package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// sent is what a Send in the background came to.
type sent struct {
	m   client.Message
	err error
}

func sendBeside(t *testing.T, c client.API, to string, o client.SendOptions) <-chan sent {
	out := make(chan sent, 1)
	go func() {
		m, err := c.Send(ctx(t), to, "wait for it", o)
		out <- sent{m, err}
	}()
	return out
}

// TestR_CLT_20_Wait: Send returns with the receipt that it waits for, and with
// how far the message has come when the time runs out.
func TestR_CLT_20_Wait(t *testing.T) {
	w := newWorld(t)
	bobHome := config(t, "bob")
	alice, bob := friends(t, w, config(t, "alice"), bobHome)
	bob.Close() // so that nothing is taken by itself
	m, err := alice.Send(ctx(t), "bob", "too soon", client.SendOptions{Wait: client.StatusDelivered, Timeout: 100 * time.Millisecond})
	if !errors.Is(err, client.ErrTimeout) || m.Status != client.StatusAccepted || m.ID == "" {
		t.Fatalf("%s %q, %v", m.ID, m.Status, err)
	}
	for _, want := range []client.Status{client.StatusDelivered, client.StatusRead} {
		waiting := sendBeside(t, alice, "bob", client.SendOptions{Wait: want, Timeout: 20 * time.Second})
		bob = open(t, bobHome)
		until(t, "bob was shown it", func() bool { return len(take(t, bob)) > 0 })
		bob.Close()
		if got := <-waiting; got.err != nil || (got.m.Status != want && got.m.Status != client.StatusRead) {
			t.Fatalf("%q, %v, want %q", got.m.Status, got.err, want)
		}
	}
	if m, err := alice.Send(ctx(t), "me", "a note", client.SendOptions{Wait: client.StatusRead}); err != nil || m.Status != client.StatusAccepted {
		t.Errorf("a note: %q, %v", m.Status, err)
	}
	if _, err := alice.Send(ctx(t), "bob", "x", client.SendOptions{Wait: client.StatusFailed}); err == nil {
		t.Error("one can wait for failure")
	}
}

// TestR_CLT_20_OwnerLeaves: an attached process waits through the owner, and
// goes on by itself when that is gone.
func TestR_CLT_20_OwnerLeaves(t *testing.T) {
	w := newWorld(t)
	home, bobHome := config(t, "alice"), config(t, "bob")
	alice, bob := friends(t, w, home, bobHome)
	bob.Close()
	attached := open(t, home)
	m, err := attached.Send(ctx(t), "bob", "x", client.SendOptions{Wait: client.StatusRead, Timeout: 100 * time.Millisecond})
	if !errors.Is(err, client.ErrTimeout) || m.Status != client.StatusAccepted {
		t.Fatalf("%q, %v", m.Status, err)
	}
	waiting := sendBeside(t, attached, "bob", client.SendOptions{Wait: client.StatusRead, Timeout: 20 * time.Second})
	until(t, "it is accepted", func() bool {
		h, err := alice.History(ctx(t), "bob", 1, "")
		return err == nil && len(h) == 1 && h[0].Text == "wait for it" && h[0].Status == client.StatusAccepted
	})
	start := time.Now()
	alice.Close()
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("the waiting process kept the owner for %v", d)
	}
	bob = open(t, bobHome)
	take(t, bob)
	bob.Close()
	if got := <-waiting; got.err != nil || got.m.Status != client.StatusRead {
		t.Fatalf("%q, %v", got.m.Status, got.err)
	}
}
