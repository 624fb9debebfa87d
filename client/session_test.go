package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/x3dh"
)

// TestR_CLT_13_Restarts: every state survives closing and opening again.
func TestR_CLT_13_Restarts(t *testing.T) {
	w := newWorld(t)
	homes := []client.Config{config(t, "alice"), config(t, "bob")}
	names := []string{"alice", "bob"}
	for i := range homes {
		w.join(homes[i], names[i]).Close()
	}
	for i := range 12 {
		from, to := i%2, 1-i%2
		if i%3 == 2 {
			from, to = to, from
		}
		c := open(t, homes[from])
		text := fmt.Sprint(i)
		send(t, c, names[to], text)
		c.Close()
		d := open(t, homes[to])
		if got := take(t, d); !slices.Equal(got, []string{text}) {
			t.Fatalf("%d: got %q", i, got)
		}
		d.Close()
	}
}

// TestR_CLT_14_Heartbeat: in a one-sided conversation with a contact the
// receiver's device moves the ratchet on by itself, and the sender's next
// messages make it disclose what is spent. A stranger gets no sign of life.
func TestR_CLT_14_Heartbeat(t *testing.T) {
	w, box := newHostileWorld(t)
	bobHome := config(t, "bob")
	alice, bob, carol := w.join(config(t, "alice"), "alice"), w.join(bobHome, "bob"), w.join(config(t, "carol"), "carol")
	send(t, bob, "alice", "hello")
	take(t, alice)
	bob.Close() // away: one drain then takes all, before any receipt moves the ratchet
	var toAlice, toCarol atomic.Int64
	box.set(func(e server.Envelope) []server.Envelope {
		switch e.Device.User {
		case "alice":
			toAlice.Add(1)
		case "carol":
			toCarol.Add(1)
		}
		return []server.Envelope{e}
	})
	for i := range ratchet.HeartbeatAfter + 1 {
		send(t, alice, "bob", fmt.Sprint(i))
		send(t, carol, "bob", fmt.Sprint(i))
	}
	bob = open(t, bobHome)
	before := toAlice.Load()
	if got := take(t, bob); len(got) != 2*ratchet.HeartbeatAfter+2 {
		t.Fatalf("bob got %d messages", len(got))
	}
	until(t, "bob's device answered", func() bool { return toAlice.Load() > before })
	if got := take(t, alice); len(got) != 0 {
		t.Fatalf("a heartbeat was shown: %q", got)
	}
	if got := take(t, carol); len(got) != 0 {
		t.Fatalf("a stranger was answered: %q", got)
	}
	if n := toCarol.Load(); n != 0 {
		t.Fatalf("%d envelopes to a stranger", n)
	}
	send(t, alice, "bob", "after")
	take(t, bob)
	send(t, bob, "alice", "now")
	if seeds := disclosed(t, box); seeds == 0 {
		t.Fatal("nothing was disclosed")
	}
}

// disclosed counts the MAC seeds in the recorded traffic.
func disclosed(t *testing.T, box *tap) (n int) {
	t.Helper()
	for _, b := range box.recorded() {
		n += client.DisclosedIn(b)
	}
	return n
}

// TestR_CLT_14_Idle: a session that rested two weeks is wiped on both sides
// with a farewell that discloses its MAC keys, and talking goes on in a new
// one.
func TestR_CLT_14_Idle(t *testing.T) {
	w, box := newHostileWorld(t)
	var days atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(days.Load()) * 24 * time.Hour) }
	w.stop()
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir, Now: now})
	homes := []client.Config{config(t, "alice"), config(t, "bob")}
	for i := range homes {
		homes[i].Now = now
	}
	alice, bob := w.join(homes[0], "alice"), w.join(homes[1], "bob")
	send(t, alice, "bob", "one")
	take(t, bob)
	send(t, bob, "alice", "two")
	take(t, alice)
	bob.Close() // sends his receipt
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	alice.Close()
	before := disclosed(t, box)
	days.Store(15)
	alice = open(t, homes[0])
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "the farewell is sent", func() bool { return disclosed(t, box) > before })
	if s, err := alice.Status(ctx(t)); err != nil || s.Sessions != 0 {
		t.Fatalf("%d sessions, %v", s.Sessions, err)
	}
	bob = open(t, homes[1])
	if got := take(t, bob); len(got) != 0 {
		t.Fatalf("a farewell was shown: %q", got)
	}
	until(t, "bob has no session either", func() bool {
		s, err := bob.Status(ctx(t))
		return err == nil && s.Sessions == 0
	})
	send(t, alice, "bob", "three")
	if got := take(t, bob); !slices.Equal(got, []string{"three"}) {
		t.Fatalf("got %q", got)
	}
	if got := take(t, alice); len(got) != 0 {
		t.Fatalf("alice was shown %q", got)
	}
}

// TestR_CLT_15_ThiefAndForger: whoever copies a home and knows its passphrase opens none
// of the recorded messages that had been received before, and forges a
// message with a disclosed key that its true verifier cannot tell apart.
func TestR_CLT_15_ThiefAndForger(t *testing.T) {
	w, box := newHostileWorld(t)
	bobHome := config(t, "bob")
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(bobHome, "bob")
	const text, lie = "meet me at noon", "never trust him"
	for range 2 {
		send(t, alice, "bob", text)
		take(t, bob)
		send(t, bob, "alice", "yes, of course")
		take(t, alice)
	}
	earlier := box.recorded()
	take(t, bob) // receipts too: what was recorded by now he has received
	bob.Close()
	send(t, alice, "bob", "not yet received")
	stolen := bobHome
	stolen.Home = filepath.Join(t.TempDir(), "stolen")
	if err := os.CopyFS(stolen.Home, os.DirFS(bobHome.Home)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(stolen.Home, 0o700); err != nil {
		t.Fatal(err)
	}
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
	// The control: what Bob has not received yet does open with his keys.
	all := box.recorded()
	opened := false
	for _, e := range all[len(earlier):] { // receipts may be among them
		got, err := thief.TryOpen(ctx(t), e)
		opened = opened || (err == nil && got == "not yet received")
	}
	if !opened {
		t.Error("the control did not open")
	}
	parties, err := thief.Parties(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.ForgeText(all, parties, text, lie)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Verifies(f.Original) || !f.Verifies(f.Forged) {
		t.Error("forgery and original do not verify alike")
	}
	broken := slices.Clone(f.Forged)
	broken[len(broken)-40] ^= 1
	if f.Verifies(broken) {
		t.Error("anything verifies: the test proves nothing")
	}
	if _, err := client.ForgeText(all, parties, "a text nobody sent", "another text of it"); err == nil {
		t.Log("a text of the same padded length can be claimed too: forging needs a guess, not knowledge")
	}
	if _, err := client.ForgeText(all, []x3dh.Party{parties[0]}, text, lie); !errors.Is(err, client.ErrNothingDisclosed) {
		t.Errorf("forged without knowing whose messages they are: %v", err)
	}
}

// TestR_CLT_16_People: aliases, bare names and ambiguity.
func TestR_CLT_16_People(t *testing.T) {
	w := newWorld(t)
	alice := w.join(config(t, "alice"), "alice")
	for _, n := range []string{"bob", "carol"} {
		w.join(config(t, n), n)
		send(t, alice, n, "hi")
	}
	if err := alice.SetAlias(ctx(t), "bob", "Friend"); err != nil {
		t.Fatal(err)
	}
	if a, err := alice.Resolve(ctx(t), "friend"); err != nil || !strings.HasPrefix(a, "bob@") {
		t.Errorf("%q, %v", a, err)
	}
	if err := alice.SetAlias(ctx(t), "carol", "bob"); err != nil {
		t.Fatal(err)
	}
	var amb *client.AmbiguousError
	if _, err := alice.Send(ctx(t), "bob", "x", client.SendOptions{}); !errors.As(err, &amb) || len(amb.Candidates) != 2 {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"a@b", "#x", "me", "evil\u202e", strings.Repeat("x", 65)} {
		if err := alice.SetAlias(ctx(t), "carol", bad); !errors.Is(err, client.ErrInvalidText) {
			t.Errorf("alias %q: %v", bad, err)
		}
	}
	if m, err := alice.Send(ctx(t), "me", "a note", client.SendOptions{}); err != nil || m.Status != client.StatusAccepted {
		t.Errorf("note to self: %v", err)
	}
	if err := alice.RemoveContact(ctx(t), "carol@"+w.server.Host()); err != nil {
		t.Fatal(err)
	}
	if all, err := alice.Contacts(ctx(t)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestR_CLT_16_History pages back through a conversation.
func TestR_CLT_16_History(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	alice := w.join(home, "alice")
	w.join(config(t, "bob"), "bob")
	for i := range 30 {
		if _, err := alice.Send(ctx(t), "bob", fmt.Sprint(i), client.SendOptions{NoWait: true}); err != nil {
			t.Fatal(err)
		}
	}
	attached := open(t, home)
	for _, c := range []client.API{alice, attached} {
		page, err := c.History(ctx(t), "bob", 10, "")
		if err != nil || len(page) != 10 || page[9].Text != "29" {
			t.Fatalf("%v, %v", page, err)
		}
		page, err = c.History(ctx(t), "bob", 10, page[0].ID)
		if err != nil || len(page) != 10 || page[0].Text != "10" {
			t.Fatalf("%v, %v", page, err)
		}
		if all, err := c.History(ctx(t), "bob", 0, ""); err != nil || len(all) != 30 {
			t.Fatalf("%d, %v", len(all), err)
		}
	}
	if _, err := alice.History(ctx(t), "nobody", 0, ""); !errors.Is(err, client.ErrUnknownRecipient) {
		t.Error(err)
	}
	if _, err := alice.Message(context.Background(), strings.Repeat("a", 26)); !errors.Is(err, client.ErrNotFound) {
		t.Error(err)
	}
}

// TestR_CLT_10_PagesFitFrames: texts that grow between processes are read in
// pages that still fit.
func TestR_CLT_10_PagesFitFrames(t *testing.T) {
	w := newWorld(t)
	home := config(t, "bob")
	alice := w.join(config(t, "alice"), "alice")
	w.join(home, "bob")
	long := strings.Repeat("<", 60_000) // six times as long as JSON
	for range 25 {
		if _, err := alice.Send(ctx(t), "bob", long, client.SendOptions{NoWait: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	attached := open(t, home)
	if got := take(t, attached); len(got) != 25 || got[24] != long {
		t.Fatalf("%d messages were received", len(got))
	}
	if h, err := attached.History(ctx(t), "alice", 0, ""); err != nil || len(h) != 25 {
		t.Fatalf("%d messages in the history, %v", len(h), err)
	}
}
