package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// R-CLT-15: in a group, too, the keys in a copied home open nothing that was
// received before. What is under way they open, and what the owner goes on to
// say with the keys of the copy.
func TestR_CLT_15_ThiefInAGroup(t *testing.T) {
	w, box := newHostileWorld(t)
	bobHome := config(t, "bob")
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(bobHome, "bob")
	g, err := alice.CreateGroup(ctx(t), "friends", []string{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	say := func(from client.API, text string) {
		t.Helper()
		if _, err := from.Send(ctx(t), g.ID, text, client.SendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	take(t, bob)
	say(alice, "received")
	take(t, bob)
	say(bob, "sent by bob")
	take(t, alice)
	take(t, bob)
	earlier := box.recorded()
	bob.Close()
	say(alice, "not yet received")
	stolen := bobHome
	stolen.Home = filepath.Join(t.TempDir(), "stolen")
	if err := os.CopyFS(stolen.Home, os.DirFS(bobHome.Home)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(stolen.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	if bob, err = client.Open(ctx(t), bobHome); err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	take(t, bob)
	say(bob, "by the old keys")
	thief, err := client.Examine(stolen)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	for i, e := range earlier {
		if text, err := thief.TryOpen(ctx(t), e); !errors.Is(err, client.ErrStaysClosed) {
			t.Errorf("envelope %d was opened: %q, %v", i, text, err)
		}
	}
	opened := map[string]bool{}
	for _, e := range box.recorded()[len(earlier):] {
		if text, err := thief.TryOpen(ctx(t), e); err == nil {
			opened[text] = true
		}
	}
	if !opened["not yet received"] || !opened["by the old keys"] {
		t.Errorf("the controls did not open: %v", opened)
	}
}
