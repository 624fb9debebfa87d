package client_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

func security(t *testing.T, c client.API, only string) client.SecurityReport {
	t.Helper()
	r, err := c.Security(ctx(t), only)
	if err != nil {
		t.Fatalf("security: %v", err)
	}
	return r
}

func exposureOf(t *testing.T, c client.API, who string) client.ConversationExposure {
	t.Helper()
	r := security(t, c, who)
	if all := append(r.People, r.Groups...); len(all) == 1 {
		return all[0]
	}
	t.Fatalf("%d conversations for %s", len(r.People)+len(r.Groups), who)
	return client.ConversationExposure{}
}

// TestR_SEC_01_Counts: the numbers are those of the state, as a talk goes on.
// R-SEC-02, R-SEC-03
func TestR_SEC_01_Counts(t *testing.T) {
	w, box := newHostileWorld(t)
	bobHome := config(t, "bob")
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(bobHome, "bob")
	if r := security(t, alice, ""); len(r.People) != 0 || r.History.Messages != 0 || r.Outbox != 0 {
		t.Fatalf("of a new account: %+v", r)
	}
	before := time.Now().Add(-time.Second)
	first := send(t, alice, "bob", "one")
	a := exposureOf(t, alice, "bob")
	if a.Sessions != 1 || a.ReadsYours != 1 || a.ReadsTheirs != 0 || a.Heals != client.HealsWithReply || a.HealsQuantum != client.HealsNever ||
		a.History.Messages != 1 || !a.History.Oldest.Equal(first.SentAt) || a.Since.Before(before) || a.MACHeld != 0 {
		t.Fatalf("after a first message: %+v", a)
	}
	take(t, bob)
	// Bob's receipt went out at once, so that he sends on a chain of his own.
	if _, err := bob.Send(ctx(t), "alice", "two", client.SendOptions{TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	b := exposureOf(t, bob, "alice")
	if b.ReadsYours != 1 || b.ReadsTheirs != 1 || b.Heals != client.HealsWithReply || b.History.Messages != 2 || b.History.Mortal != 1 || b.MACHeld != 1 {
		t.Fatalf("after an answer: %+v", b)
	}
	take(t, alice)
	// What alice writes next is lost on the way, and then something is not.
	bob.Close()
	box.set(func(server.Envelope) []server.Envelope { return nil })
	for i := range 3 {
		send(t, alice, "bob", fmt.Sprint("lost ", i))
	}
	box.set(nil)
	send(t, alice, "bob", "there")
	bob = open(t, bobHome)
	take(t, bob)
	b = exposureOf(t, bob, "alice")
	if b.Skipped < 3 || b.SkippedSince.Before(before) || b.SkippedUntil.Sub(b.SkippedSince) < ratchet.SkippedLife {
		t.Fatalf("after a loss: %+v", b)
	}
	all := security(t, bob, "")
	s, err := bob.Status(ctx(t))
	if err != nil || s.SkippedKeys != b.Skipped || s.Sessions != all.People[0].Sessions {
		t.Fatalf("status says %d skipped in %d sessions, the report %+v; %v", s.SkippedKeys, s.Sessions, all, err)
	}
	if _, err := bob.Security(ctx(t), "nobody@elsewhere"); !errors.Is(err, client.ErrUnknownRecipient) {
		t.Fatalf("of nobody: %v", err)
	}
}

// TestR_SEC_04_Prekeys: what is kept for first messages is counted, and what it
// was used for.
func TestR_SEC_04_Prekeys(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	kept := func(want map[string]int) {
		t.Helper()
		got := map[string]int{}
		for _, k := range security(t, bob, "").Prekeys {
			got[k.Kind] = k.Held
			if k.Replaced != 0 || !k.Until.IsZero() || k.Answered != 0 {
				t.Fatalf("of a new account: %+v", k)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	kept(map[string]int{"signed": 1, "one_time": 100, "one_time_kem": 100, "last_resort": 1})
	send(t, alice, "bob", "hello")
	take(t, bob)
	kept(map[string]int{"signed": 1, "one_time": 99, "one_time_kem": 99, "last_resort": 1})
}

// TestR_SEC_06_Copy: keys are handed out to who knows the store's secret only,
// and do not print.
func TestR_SEC_06_Copy(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	alice, bob := w.join(home, "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "hello")
	take(t, bob)
	c, err := alice.SecurityCopy(ctx(t), "")
	if err != nil || len(c.Sessions) != 1 || len(c.Prekeys) != 202 || c.Report.People[0].Sessions != 1 || len(c.IdentityKey) != 32 {
		t.Fatalf("%d sessions, %d prekeys, %v", len(c.Sessions), len(c.Prekeys), err)
	}
	for _, printed := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c.Sessions), fmt.Sprintf("%x", c)} {
		if !strings.Contains(printed, "redacted") || len(printed) > 100 {
			t.Errorf("prints %q", printed)
		}
	}
	attached := home
	attached.Unlock = client.Unlock{}
	other, err := client.Open(ctx(t), attached)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.SecurityCopy(ctx(t), ""); !errors.Is(err, client.ErrLocked) {
		t.Fatalf("without the secret: %v", err)
	}
	if r := security(t, other, ""); len(r.People) != 1 {
		t.Fatalf("the report of an attached process: %+v", r)
	}
	c.Erase()
	for _, b := range c.IdentityKey {
		if b != 0 {
			t.Fatal("not erased")
		}
	}
}

// TestR_SEC_03_LastResort: a beginning without one-time keys is told of, on the
// side that keeps the keys and only there.
func TestR_SEC_03_LastResort(t *testing.T) {
	m := memstore.New()
	w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: drained{m}, Mailbox: m, Wake: m}}
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "hello")
	if got := take(t, bob); !slices.Equal(got, []string{"hello"}) {
		t.Fatalf("got %q", got)
	}
	answered := func(c client.API) (n int) {
		for _, k := range security(t, c, "").Prekeys {
			n += k.Answered
		}
		return n
	}
	if a, b := exposureOf(t, alice, "bob"), exposureOf(t, bob, "alice"); a.LastResort != 0 || b.LastResort != 1 || answered(alice) != 0 || answered(bob) != 1 {
		t.Fatalf("alice %+v, bob %+v", a, b)
	}
}

// R-SEC-10: a device that was revoked keeps nobody from having healed, and its
// sessions still count.
func TestSecurityOfRevokedDevices(t *testing.T) {
	w := newWorld(t)
	alice := w.join(config(t, "alice"), "alice")
	phone := w.another(alice, "phone")
	if all, err := alice.Devices(ctx(t)); err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	send(t, alice, "me", "note")
	if x := exposureOf(t, alice, "me"); x.Sessions == 0 || x.Heals == client.HealsNever {
		t.Fatalf("before: %+v", x)
	}
	if _, err := alice.RevokeDevice(ctx(t), phone.Account().Device); err != nil {
		t.Fatal(err)
	}
	if x := exposureOf(t, alice, "me"); x.Sessions == 0 || x.Heals != client.HealsNever {
		t.Fatalf("after: %+v", x)
	}
}
