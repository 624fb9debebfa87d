package client_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
)

// TestR_CLT_22_Lifetime: when its time is over the content is gone on both
// sides, whoever asks and however; what was said of it stays, and what had no
// lifetime, too.
func TestR_CLT_22_Lifetime(t *testing.T) {
	w := newWorld(t)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	homes := []client.Config{config(t, "alice"), config(t, "bob")}
	homes[0].Now, homes[1].Now = now, now
	alice, bob := friends(t, w, homes[0], homes[1])
	m, err := alice.Send(ctx(t), "bob", "burn this", client.SendOptions{Subject: "secret", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	kept := send(t, alice, "bob", "keep this")
	if err := bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	note, err := alice.Send(ctx(t), "me", "a note", client.SendOptions{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bob.Receive(ctx(t), "other", 10)
	if err != nil || got[len(got)-2].Text != "burn this" || got[len(got)-2].Subject != "secret" {
		t.Fatalf("%+v, %v", got, err)
	}
	becomes(t, alice, m.ID, client.StatusDelivered)
	ahead.Store(int64(61 * time.Second))
	got, err = bob.Receive(ctx(t), "other", 10)
	if err != nil {
		t.Fatal(err)
	}
	h, err := alice.History(ctx(t), "bob", 2, "")
	if err != nil {
		t.Fatal(err)
	}
	bob.Close()
	bob = open(t, homes[1]) // and in what is stored
	stored, err := bob.Message(ctx(t), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []client.Message{got[len(got)-2], h[0], stored} {
		if x.ID != m.ID || !x.Expired || x.Text != "" || x.Subject != "" || x.Kind != client.KindText || x.SentAt.IsZero() {
			t.Errorf("%+v", x)
		}
	}
	if h[0].Status != client.StatusDelivered || got[len(got)-1].Text != "keep this" || h[1].ID != kept.ID || h[1].Expired {
		t.Errorf("%+v", h)
	}
	if x, err := alice.Message(ctx(t), note.ID); err != nil || x.Expired || x.Text != "a note" {
		t.Errorf("%+v, %v", x, err)
	}
	take(t, bob) // the placeholder is no text that was read
	bob.Close()
	becomes(t, alice, kept.ID, client.StatusRead)
	if x, err := alice.Message(ctx(t), m.ID); err != nil || x.Status != client.StatusDelivered {
		t.Errorf("%s, %v", x.Status, err)
	}
}

// TestR_CLT_22_TooLate: what arrives after its time is not shown, and what
// could not leave in time fails and says so.
func TestR_CLT_22_TooLate(t *testing.T) {
	w := newWorld(t)
	aliceHome, bobHome := config(t, "alice"), config(t, "bob")
	var ahead atomic.Int64
	aliceHome.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	bobHome.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } // the lifetime ends for him, not for the server
	alice, bob := friends(t, w, aliceHome, bobHome)
	m, err := alice.Send(ctx(t), "bob", "late", client.SendOptions{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	got, err := bob.Receive(ctx(t), "", 10)
	if err != nil || len(got) != 1 || got[0].Text != "" || !got[0].Expired {
		t.Fatalf("%+v, %v", got, err)
	}
	addr := w.server.Addr()
	w.stop()
	stuck, err := alice.Send(ctx(t), "bob", "stuck", client.SendOptions{TTL: time.Minute})
	if err == nil || stuck.Status != client.StatusSending {
		t.Fatalf("%s, %v", stuck.Status, err)
	}
	ahead.Store(int64(2 * time.Minute))
	if x, err := alice.Message(ctx(t), stuck.ID); err != nil || x.Status != client.StatusFailed || x.Cause != client.CauseLifetime || x.Text != "" {
		t.Errorf("%+v, %v", x, err)
	}
	w.serve(server.Config{Stores: w.stores, Listen: addr, Dir: w.dir})
	until(t, "alice is back", func() bool { return alice.Sync(ctx(t)) == nil })
	if s, err := alice.Status(ctx(t)); err != nil || s.Outbox != 0 {
		t.Errorf("outbox %d, %v", s.Outbox, err)
	}
	until(t, "bob is back", func() bool { return bob.Sync(ctx(t)) == nil })
	if got, err := bob.Receive(ctx(t), "", 10); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if x, err := alice.Message(ctx(t), m.ID); err != nil || x.Status != client.StatusAccepted {
		t.Errorf("%s, %v", x.Status, err)
	}
}
