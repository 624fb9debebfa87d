package client_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/content"
)

// TestR_CLT_46_Capabilities: a new device lists what it understands, and so
// does one that joins.
func TestR_CLT_46_Capabilities(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	desktop := w.another(laptop, "desktop")
	for _, c := range []client.API{laptop, desktop} {
		if err := c.Sync(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	reached(t, "both know the list", func() bool {
		all, err := client.ListedCapabilities(ctx(t), laptop)
		return err == nil && len(all) == 2 && slices.Equal(all[0], all[1]) && slices.Equal(all[0], []uint64{1, 2, 3})
	}, laptop, desktop)
}

// TestR_CLT_47_UnknownAppears: what an earlier version could only keep is shown
// by one that knows its kind, in its place; what this one does not know either stays.
func TestR_CLT_47_UnknownAppears(t *testing.T) {
	w := newWorld(t)
	bobHome := config(t, "bob")
	alice, bob := friends(t, w, config(t, "alice"), bobHome)
	text, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: "from the future", Subject: "now"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.KeepUnknown(ctx(t), bob, "alice", 1, text.Body)
	if err != nil {
		t.Fatal(err)
	}
	stays, err := client.KeepUnknown(ctx(t), bob, "alice", 1<<40, []byte{0x80})
	if err != nil {
		t.Fatal(err)
	}
	broken, err := client.KeepUnknown(ctx(t), bob, "alice", 1, []byte{0x80})
	if err != nil {
		t.Fatal(err)
	}
	send(t, alice, "bob", "present")
	take(t, bob)
	before := history(t, bob, "alice")
	bob.Close()
	for range 2 {
		bob = open(t, bobHome)
		after := history(t, bob, "alice")
		if len(after) != len(before) {
			t.Fatalf("%d messages, %d before", len(after), len(before))
		}
		for i, m := range after {
			if m.ID != before[i].ID || !m.SentAt.Equal(before[i].SentAt) || !m.ReceivedAt.Equal(before[i].ReceivedAt) {
				t.Errorf("%d is now %+v, was %+v", i, m, before[i])
			}
			switch m.ID {
			case id:
				if m.Kind != client.KindText || m.Text != "from the future" || m.Subject != "now" {
					t.Errorf("shown as %+v", m)
				}
			case stays, broken:
				if m.Kind != client.KindUnknown {
					t.Errorf("made up: %+v", m)
				}
			}
		}
		bob.Close()
	}
}
