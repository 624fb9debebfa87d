package client_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
)

// friends are two people who have written to each other.
func friends(t *testing.T, w *world, aliceHome, bobHome client.Config) (alice, bob client.API) {
	t.Helper()
	alice, bob = w.join(aliceHome, "alice"), w.join(bobHome, "bob")
	send(t, alice, "bob", "hello")
	take(t, bob)
	send(t, bob, "alice", "hello yourself")
	take(t, alice)
	return alice, bob
}

// becomes waits until an own message has a status, in whole and at every device.
func becomes(t *testing.T, c client.API, id string, want client.Status) {
	t.Helper()
	var last client.Message
	defer func() {
		if t.Failed() {
			t.Logf("last seen: %+v", last)
		}
	}()
	until(t, "the status is "+string(want), func() bool {
		m, err := c.Message(ctx(t), id)
		if err != nil {
			t.Fatal(err)
		}
		last = m
		for _, s := range m.PerDevice {
			if s != want {
				return false
			}
		}
		return m.Status == want && len(m.PerDevice) > 0
	})
}

// TestR_CLT_17_Delivered: a text that the other device has stored becomes
// delivered, and nothing more, until it is read.
func TestR_CLT_17_Delivered(t *testing.T) {
	w := newWorld(t)
	alice, bob := friends(t, w, config(t, "alice"), config(t, "bob"))
	m := send(t, alice, "bob", "are you there?")
	if err := bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	becomes(t, alice, m.ID, client.StatusDelivered)
	if _, err := bob.Receive(ctx(t), "", 10); err != nil { // received, not acknowledged
		t.Fatal(err)
	}
	take(t, bob)
	becomes(t, alice, m.ID, client.StatusRead)
	got, err := alice.Message(ctx(t), m.ID)
	if err != nil || got.SealedAt.IsZero() || got.AcceptedAt.IsZero() || len(got.Receipts) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, at := range got.Receipts {
		if at.Delivered.IsZero() || at.Read.Before(at.Delivered) {
			t.Errorf("times %+v", at)
		}
	}
}

// TestR_CLT_17_OneShot: a program that takes what waits and ends sends what it
// owes before it is gone, in few envelopes however much it took.
func TestR_CLT_17_OneShot(t *testing.T) {
	w, box := newHostileWorld(t)
	bobHome := config(t, "bob")
	alice, bob := friends(t, w, config(t, "alice"), bobHome)
	bob.Close()
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	const many = 150
	var sent []client.Message
	for i := range many {
		sent = append(sent, send(t, alice, "bob", fmt.Sprint(i)))
	}
	until(t, "alice's receipts have left", func() bool { // for what bob wrote before
		s, err := alice.Status(ctx(t))
		return err == nil && s.Outbox == 0
	})
	var fromBob atomic.Int64
	box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User == "alice" {
			fromBob.Add(1)
		}
		return []server.Envelope{e}
	})
	bob = open(t, bobHome)
	if got := take(t, bob); len(got) != many {
		t.Fatalf("%d messages", len(got))
	}
	start := time.Now()
	bob.Close()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("closing took %v", d)
	}
	for _, m := range sent {
		becomes(t, alice, m.ID, client.StatusRead)
	}
	// One drain may have sealed receipts of delivery and a heartbeat before.
	if n := fromBob.Load(); n < 3 || n > 12 {
		t.Errorf("%d envelopes for %d texts", n, many)
	}
}

// TestR_CLT_17_Strangers: somebody to whom nothing was ever written hears
// nothing, however much they send and whatever is read; once they are answered
// they do.
func TestR_CLT_17_Strangers(t *testing.T) {
	w, box := newHostileWorld(t)
	bobHome := config(t, "bob")
	mallory, bob := w.join(config(t, "mallory"), "mallory"), w.join(bobHome, "bob")
	var answers atomic.Int64
	box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User == "mallory" {
			answers.Add(1)
		}
		return []server.Envelope{e}
	})
	m := send(t, mallory, "bob", "hey")
	for i := range 20 {
		send(t, mallory, "bob", fmt.Sprint(i))
	}
	take(t, bob)
	if _, err := bob.History(ctx(t), "mallory", 0, ""); err != nil {
		t.Fatal(err)
	}
	bob.Close() // would send what it may
	if n := answers.Load(); n != 0 {
		t.Fatalf("a stranger got %d envelopes", n)
	}
	bob = open(t, bobHome)
	send(t, bob, "mallory", "who are you?")
	bob.Close()
	if err := mallory.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	becomes(t, mallory, m.ID, client.StatusRead)
}

// TestR_CLT_17_Crash: what is owed is as durable as the text. A program that
// ends without a connection owes it still, and the next one sends it.
func TestR_CLT_17_Crash(t *testing.T) {
	w := newWorld(t)
	bobHome := config(t, "bob")
	alice, bob := friends(t, w, config(t, "alice"), bobHome)
	m := send(t, alice, "bob", "one")
	if err := bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	addr := w.server.Addr()
	w.stop()
	until(t, "bob has noticed", func() bool {
		s, err := bob.Status(ctx(t))
		return err == nil && !s.Connected
	})
	got, err := bob.Receive(ctx(t), "", 10)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if err := bob.Ack(ctx(t), "", got[0].ID); err != nil { // read while offline
		t.Fatal(err)
	}
	bob.Close()
	w.serve(server.Config{Stores: w.stores, Listen: addr, Dir: w.dir})
	bob = open(t, bobHome)
	if err := bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "alice is back", func() bool { return alice.Sync(ctx(t)) == nil })
	becomes(t, alice, m.ID, client.StatusRead)
}

// TestR_CLT_17_NoEcho: receipts are not acknowledged, so that two devices that
// are both there fall silent.
func TestR_CLT_17_NoEcho(t *testing.T) {
	w, box := newHostileWorld(t)
	alice, bob := friends(t, w, config(t, "alice"), config(t, "bob"))
	m := send(t, alice, "bob", "one")
	take(t, bob)
	becomes(t, alice, m.ID, client.StatusRead)
	n := len(box.recorded())
	for range 3 { // each close would send what is owed
		for _, c := range []client.API{alice, bob} {
			if err := c.Sync(ctx(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	alice.Close()
	bob.Close()
	// Bob's receipt of delivery may come after that of reading; nothing answers it.
	if more := len(box.recorded()) - n; more > 2 {
		t.Errorf("%d envelopes after the last receipt", more)
	}
}

// TestR_CLT_18_Off: without read receipts a text stays delivered for its
// sender, also when they are switched on later.
func TestR_CLT_18_Off(t *testing.T) {
	w := newWorld(t)
	bobHome := config(t, "bob")
	alice, bob := friends(t, w, config(t, "alice"), bobHome)
	if s, err := bob.Settings(ctx(t)); err != nil || !s.ReadReceipts {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := bob.SetSettings(ctx(t), client.Settings{}); err != nil {
		t.Fatal(err)
	}
	m := send(t, alice, "bob", "one")
	take(t, bob)
	if _, err := bob.History(ctx(t), "alice", 0, ""); err != nil {
		t.Fatal(err)
	}
	bob.Close()
	bob = open(t, bobHome)
	if s, err := bob.Settings(ctx(t)); err != nil || s.ReadReceipts {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := bob.SetSettings(ctx(t), client.Settings{ReadReceipts: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.History(ctx(t), "alice", 0, ""); err != nil {
		t.Fatal(err)
	}
	second := send(t, alice, "bob", "two")
	take(t, bob)
	bob.Close()
	becomes(t, alice, second.ID, client.StatusRead)
	becomes(t, alice, m.ID, client.StatusDelivered)
}

// TestR_CLT_18_History: a text that the history shows is read, once, whatever
// is acknowledged later.
func TestR_CLT_18_History(t *testing.T) {
	w := newWorld(t)
	alice, bob := friends(t, w, config(t, "alice"), config(t, "bob"))
	m := send(t, alice, "bob", "one")
	if err := bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if h, err := bob.History(ctx(t), "alice", 0, ""); err != nil || len(h) != 3 {
			t.Fatal(len(h), err)
		}
	}
	becomes(t, alice, m.ID, client.StatusRead)
	if got := take(t, bob); !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %q", got)
	}
}
