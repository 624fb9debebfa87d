package ratchet_test

import (
	"testing"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
)

// TestExposureFollowsAConversation holds what a state says of itself against
// what is known of the talk.
func TestExposureFollowsAConversation(t *testing.T) {
	var secret [32]byte
	key, public := ratchet.GenerateKey()
	a, err := ratchet.Initiate(&secret, public)
	if err != nil {
		t.Fatal(err)
	}
	b := ratchet.Respond(&secret, key)
	now := time.Unix(1_800_000_000, 0)
	seal := func(s *ratchet.State) []byte {
		x, err := s.Seal([]byte("text"), nil)
		if err != nil {
			t.Fatal(err)
		}
		*s = x.Next
		return x.Message
	}
	disclosed := 0
	open := func(s *ratchet.State, m []byte) {
		o, err := s.Open(m, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		*s = o.Next
		disclosed += len(o.Disclosed)
	}
	want := func(s ratchet.State, w ratchet.Exposure) {
		t.Helper()
		if got := s.Exposure(); got != w {
			t.Fatalf("exposure %+v, want %+v", got, w)
		}
	}
	want(a, ratchet.Exposure{Sending: true})
	want(b, ratchet.Exposure{})
	lost, kept := seal(&a), seal(&a)
	open(&b, kept)
	want(b, ratchet.Exposure{Receiving: true, Skipped: 1, SkippedFirst: now, SkippedLast: now, Held: 1})
	open(&a, seal(&b))
	want(a, ratchet.Exposure{Receiving: true, Held: 1})
	want(b, ratchet.Exposure{Sending: true, Receiving: true, Skipped: 1, SkippedFirst: now, SkippedLast: now, Held: 1})
	was := now
	now = now.Add(time.Minute)
	seal(&a)
	open(&b, seal(&a)) // a new chain of a's; the lost message stays missing, and one more is
	want(b, ratchet.Exposure{Receiving: true, Skipped: 2, SkippedFirst: was, SkippedLast: now, Held: 2})
	open(&b, lost)
	want(b, ratchet.Exposure{Receiving: true, Skipped: 1, SkippedFirst: now, SkippedLast: now, Held: 1, Owed: 1})
	open(&a, seal(&b))
	want(b, ratchet.Exposure{Sending: true, Receiving: true, Skipped: 1, SkippedFirst: now, SkippedLast: now, Held: 1, Disclosed: 1})
	if disclosed != 1 {
		t.Fatalf("%d seeds came", disclosed)
	}
	for range 20 {
		open(&b, seal(&a))
		open(&a, seal(&b))
	}
	ea, eb := a.Exposure(), b.Exposure()
	if ea.Disclosed+eb.Disclosed != disclosed {
		t.Fatalf("%d and %d disclosed, %d came", ea.Disclosed, eb.Disclosed, disclosed)
	}
}
