package client_test

import (
	"slices"
	"testing"
)

func TestTwoPeopleTalk(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	for i, text := range []string{"one", "two", "three"} {
		from, to, peer := alice, bob, "bob"
		if i == 1 {
			from, to, peer = bob, alice, "alice"
		}
		send(t, from, peer, text)
		if got := take(t, to); !slices.Equal(got, []string{text}) {
			t.Fatalf("got %q, want %q", got, text)
		}
	}
}
