package client_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
)

// TestR_CLT_39_Withheld: a message that the server withholds is noticed after a
// minute, asked for on the session that is there, told of once, and shown once
// though the server delivers it after all.
func TestR_CLT_39_Withheld(t *testing.T) {
	x := newLossy(t)
	var held []server.Envelope
	var hold atomic.Bool
	hold.Store(true)
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User == "bob" && hold.Swap(false) {
			held = append(held, e)
			return nil
		}
		return []server.Envelope{e}
	})
	send(t, x.alice, "bob", "withheld")
	send(t, x.alice, "bob", "after")
	reached(t, "the second came", has(t, x.bob, "alice", "after"), x.bob)
	if got := shown(t, x.bob, "alice"); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "messages_") }) {
		t.Fatalf("told too early: %q", got)
	}
	before := x.keys.taken.Load()
	x.later(client.GapAfter + 2*time.Second)
	reached(t, "it was asked for and came", has(t, x.bob, "alice", "messages_missing:1", "messages_recovered:1", "withheld"), x.bob, x.alice)
	if x.keys.taken.Load() != before {
		t.Error("a sound session was given up for a gap")
	}
	x.box.set(func(e server.Envelope) []server.Envelope {
		out := []server.Envelope{e}
		out = append(out, held...)
		held = nil
		return out
	})
	send(t, x.alice, "bob", "last")
	x.later(3 * client.GapAfter)
	reached(t, "the last came", has(t, x.bob, "alice", "last"), x.bob)
	if err := x.bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range shown(t, x.bob, "alice") {
		count[s]++
	}
	for _, s := range []string{"withheld", "messages_missing:1", "messages_recovered:1", "after", "last"} {
		if count[s] != 1 {
			t.Errorf("%q is shown %d times", s, count[s])
		}
	}
}

// TestR_CLT_39_Late: what is merely late is no gap.
func TestR_CLT_39_Late(t *testing.T) {
	x := newLossy(t)
	var held []server.Envelope
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User != "bob" {
			return []server.Envelope{e}
		}
		if held == nil {
			held = []server.Envelope{e}
			return nil
		}
		out := append([]server.Envelope{e}, held...)
		held = []server.Envelope{}
		return out
	})
	send(t, x.alice, "bob", "late")
	send(t, x.alice, "bob", "early")
	reached(t, "both came", has(t, x.bob, "alice", "late", "early"), x.bob)
	x.later(2 * client.GapAfter)
	for range 2 {
		if err := x.bob.Sync(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := shown(t, x.bob, "alice"); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "messages_") }) {
		t.Errorf("told of a gap: %q", got)
	}
}

// TestR_CLT_39_SenderAway: a gap is not told of while its sender may still
// hold the message, but is when no outbox can hold it any more.
func TestR_CLT_39_SenderAway(t *testing.T) {
	x := newLossy(t)
	var hold atomic.Bool
	hold.Store(true)
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User == "bob" && hold.Swap(false) {
			return nil
		}
		return []server.Envelope{e}
	})
	send(t, x.alice, "bob", "withheld")
	send(t, x.alice, "bob", "after")
	x.alice.Close()
	reached(t, "the second came", has(t, x.bob, "alice", "after"), x.bob)
	missing := func() (n int) {
		for range 2 {
			if err := x.bob.Sync(ctx(t)); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range shown(t, x.bob, "alice") {
			if s == "messages_missing:1" {
				n++
			}
		}
		return n
	}
	x.later(5 * time.Minute)
	if missing() != 0 {
		t.Error("told of it while its sender may hold it")
	}
	x.later(client.OutboxFor + time.Minute)
	if n := missing(); n != 1 {
		t.Errorf("told %d times after half a day", n)
	}
	x.alice = open(t, x.aliceHome)
	reached(t, "it came", has(t, x.bob, "alice", "withheld", "messages_recovered:1"), x.alice, x.bob)
	if n := missing(); n != 1 {
		t.Errorf("told %d times in the end", n)
	}
}
