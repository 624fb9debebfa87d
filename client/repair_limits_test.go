package client_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
)

// TestR_CLT_36_TwiceInAnHour: what is lost soon after a repair waits for its
// hour, also in another process, and is healed then.
func TestR_CLT_36_TwiceInAnHour(t *testing.T) {
	x := newLossy(t)
	for _, text := range []string{"first", "second"} {
		if err := client.LoseSessions(ctx(t), x.bob, "alice"); err != nil {
			t.Fatal(err)
		}
		send(t, x.alice, "bob", text)
		if text == "first" {
			reached(t, "it came again", has(t, x.bob, "alice", text, "messages_recovered:1"), x.bob, x.alice)
			x.quiet()
		}
	}
	before := x.keys.taken.Load()
	for range 3 {
		if err := x.bob.Sync(ctx(t)); err != nil {
			t.Fatal(err)
		}
		x.bob.Close()
		x.bob = open(t, x.bobHome)
		x.later(5 * time.Minute)
	}
	if got := shown(t, x.bob, "alice"); slices.Contains(got, "second") || x.keys.taken.Load() != before ||
		!slices.Contains(got, "undecryptable:no_session:") {
		t.Fatalf("within the hour: %q", got)
	}
	x.later(client.RepairEvery)
	reached(t, "the second came again", has(t, x.bob, "alice", "second"), x.bob, x.alice)
	if got := shown(t, x.bob, "alice"); slices.Contains(got, "undecryptable:no_session:") {
		t.Errorf("bob was shown %q", got)
	}
}

// TestR_CLT_38_AnswerOutOfOrder: a server that delivers the word that all was
// sent before what was sent does not make the device say that nothing was.
func TestR_CLT_38_AnswerOutOfOrder(t *testing.T) {
	x := newLossy(t)
	if err := client.LoseSessions(ctx(t), x.bob, "alice"); err != nil {
		t.Fatal(err)
	}
	x.bob.Close()
	send(t, x.alice, "bob", "lost")
	x.alice.Close()
	var held []server.Envelope
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User == "bob" && len(held) == 0 {
			held = append(held, e) // the text comes first, then the word
			return nil
		}
		return []server.Envelope{e}
	})
	x.bob = open(t, x.bobHome)
	if err := x.bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	x.alice = open(t, x.aliceHome)
	for range 3 {
		for _, c := range []client.API{x.alice, x.bob} {
			if err := c.Sync(ctx(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := shown(t, x.bob, "alice"); !slices.Contains(got, "undecryptable:no_session:asked") {
		t.Fatalf("before the text came: %q", got)
	}
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User != "bob" {
			return []server.Envelope{e}
		}
		out := append([]server.Envelope{e}, held...)
		held = nil
		return out
	})
	send(t, x.alice, "bob", "next")
	reached(t, "the text came", has(t, x.bob, "alice", "lost", "next", "undecryptable:no_session:repaired", "messages_recovered:1"), x.bob)
	all := strings.Join(shown(t, x.bob, "alice"), ",")
	if strings.Count(all, ",lost") != 1 {
		t.Errorf("bob was shown %s", all)
	}
}
