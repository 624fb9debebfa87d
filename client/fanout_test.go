package client_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// another makes one more device of c's account: by a recovery of it, which
// needs nobody's approval.
func (w *world) another(c client.API, name string) client.API {
	w.t.Helper()
	return w.anotherIn(config(w.t, name), c, name)
}

func (w *world) anotherIn(home client.Config, c client.API, name string) client.API {
	w.t.Helper()
	var file bytes.Buffer
	secret := client.BackupOptions{Passphrase: []byte("a long enough passphrase"), Recovery: true}
	if _, err := c.Backup(ctx(w.t), &file, secret); err != nil {
		w.t.Fatal(err)
	}
	d, _, err := client.Restore(ctx(w.t), home, bytes.NewReader(file.Bytes()), client.RestoreRequest{
		BackupOptions: secret, DeviceName: name,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	return d
}

// reached calls get, syncing all devices in between, until it says that it has
// seen what it looks for.
func reached(t *testing.T, what string, seen func() bool, devices ...client.API) {
	t.Helper()
	limit := ctx(t)
	pace := time.NewTicker(20 * time.Millisecond) // every look costs the server one
	defer pace.Stop()
	for !seen() {
		select {
		case <-limit.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-pace.C:
		}
		for _, d := range devices {
			if err := d.Sync(limit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("sync: %v", err)
			}
		}
	}
}

func history(t *testing.T, c client.API, with string) (out []client.Message) {
	t.Helper()
	all, err := c.History(ctx(t), with, 0, "")
	if err != nil && !errors.Is(err, client.ErrUnknownRecipient) {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Kind != client.KindNotice {
			out = append(out, m)
		}
	}
	return out
}

func TestR_CLT_27_28_EveryMessageReachesAllDevices(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	bob := w.join(config(t, "bob"), "bob")
	send(t, laptop, "bob", "before")
	take(t, bob)
	send(t, bob, "alice", "hello") // no stranger any more
	desktop, phone := w.another(laptop, "desktop"), w.another(laptop, "phone")
	tablet := w.another(bob, "tablet")
	alice, bobs := laptop.Account().Address, bob.Account().Address

	sent := send(t, laptop, "bob", "to all")
	for _, d := range []client.API{bob, tablet} {
		if got := take(t, d); !slices.Contains(got, "to all") {
			t.Errorf("a device of bob's got %q", got)
		}
	}
	for _, d := range []client.API{desktop, phone} {
		reached(t, "the sent message on another device", func() bool { return len(history(t, d, bobs)) == 1 }, d)
		m := history(t, d, bobs)[0]
		if m.ID != sent.ID || m.Direction != client.Out || m.Text != "to all" || m.FromDevice != laptop.Account().Device ||
			!m.AcceptedAt.After(m.SentAt.AddDate(0, 0, -1)) || len(m.PerDevice) != 2 {
			t.Errorf("another device shows %+v", m)
		}
		if got := take(t, d); slices.Contains(got, "to all") {
			t.Error("an own message came in as if it were another's")
		}
	}
	// Claims of bob's devices are passed on.
	reached(t, "both claims on the desktop", func() bool {
		m := history(t, desktop, bobs)[0]
		return len(m.Receipts) == 2 && m.Status == client.StatusRead
	}, bob, tablet, laptop, desktop)

	// Sent by the desktop, which had no session with anybody of bob's.
	send(t, desktop, "bob", "from the desktop")
	for _, d := range []client.API{bob, tablet} {
		if got := take(t, d); !slices.Contains(got, "from the desktop") {
			t.Errorf("a device of bob's got %q", got)
		}
	}
	reached(t, "the desktop's message on the laptop", func() bool { return len(history(t, laptop, bobs)) == 4 }, laptop)

	// An answer reaches all three.
	send(t, tablet, "alice", "answer")
	for _, d := range []client.API{laptop, desktop, phone} {
		if got := take(t, d); !slices.Contains(got, "answer") {
			t.Errorf("a device of alice's got %q", got)
		}
	}
	// A note to oneself.
	note := send(t, phone, "me", "milk")
	for _, d := range []client.API{laptop, desktop} {
		reached(t, "the note", func() bool { return len(history(t, d, alice)) == 1 }, d)
		if m := history(t, d, alice)[0]; m.ID != note.ID || m.Text != "milk" || m.Direction != client.Out {
			t.Errorf("the note came as %+v", m)
		}
	}
}

func TestR_CLT_28_DecisionsAppearOnTheOtherDevices(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	bob := w.join(config(t, "bob"), "bob")
	desktop := w.another(laptop, "desktop")
	bobs := bob.Account().Address
	send(t, laptop, "bob", "hello")
	if err := laptop.SetAlias(ctx(t), "bob", "robert"); err != nil {
		t.Fatal(err)
	}
	if err := laptop.Confirm(ctx(t), "bob"); err != nil {
		t.Fatal(err)
	}
	reached(t, "alias and verification", func() bool {
		all, err := desktop.Contacts(ctx(t))
		return err == nil && len(all) == 1 && all[0].Alias == "robert" && all[0].Trust == client.TrustVerified
	}, laptop, desktop)

	// What was read on one device is not unread on the other.
	send(t, bob, "alice", "news")
	if err := desktop.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	unread := func(c client.API) int {
		all, err := c.Conversations(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Peer == bobs {
				return c.Unread
			}
		}
		return 0
	}
	if n := unread(desktop); n != 1 {
		t.Errorf("%d unread before", n)
	}
	take(t, laptop)
	reached(t, "the read mark", func() bool { return unread(desktop) == 0 }, laptop, desktop)
	if got := take(t, desktop); !slices.Contains(got, "news") {
		t.Errorf("a script on the desktop was not given the message: %q", got)
	}

	if err := desktop.RemoveContact(ctx(t), "robert"); err != nil {
		t.Fatal(err)
	}
	until(t, "the laptop knows of the removal by itself", func() bool {
		all, err := laptop.Contacts(ctx(t))
		return err == nil && len(all) == 0
	})
}

// R-CLT-28: a device that has joined is told of contacts as soon as another one
// sees it in the list, and not with the next thing that happens there.
func TestR_CLT_28_WelcomedAtOnce(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	bob := w.join(config(t, "bob"), "bob")
	send(t, laptop, "bob", "hello")
	if err := laptop.SetAlias(ctx(t), bob.Account().Address, "robert"); err != nil {
		t.Fatal(err)
	}
	desktop := w.another(laptop, "desktop")
	for _, d := range []client.API{laptop, desktop} { // both are connected; nobody does anything after that
		if err := d.Sync(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the desktop knows robert", func() bool {
		all, err := desktop.Contacts(ctx(t))
		return err == nil && len(all) == 1 && all[0].Alias == "robert"
	})
}

func TestR_CLT_28_OnlyOwnDevicesAreBelieved(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	mallory := w.join(config(t, "mallory"), "mallory")
	send(t, laptop, "mallory", "hello")
	take(t, mallory)
	before := history(t, laptop, mallory.Account().Address)
	if err := client.SendForeign(ctx(t), mallory, "alice"); err != nil {
		t.Fatal(err)
	}
	send(t, mallory, "alice", "after")
	got := take(t, laptop)
	if strings.Join(got, ",") != "after" {
		t.Errorf("shown %q", got)
	}
	after := history(t, laptop, mallory.Account().Address)
	if len(after) != len(before)+1 || after[0].Text != "hello" {
		t.Errorf("the history is now %+v", after)
	}
	if all, err := laptop.Contacts(ctx(t)); err != nil || len(all) != 1 || all[0].Alias != "" || all[0].Trust != client.TrustFirstUse {
		t.Errorf("contacts are now %+v, %v", all, err)
	}
}

func TestR_CLT_27_ARevokedDeviceIsCutOff(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	bob := w.join(config(t, "bob"), "bob")
	send(t, laptop, "bob", "one")
	take(t, bob)
	send(t, bob, "alice", "two")
	lost := w.another(laptop, "lost phone")
	take(t, lost)
	send(t, bob, "alice", "in flight")

	gone, err := laptop.RevokeDevice(ctx(t), lost.Account().Device[:6])
	if err != nil || !gone.Revoked || gone.Name != "lost phone" {
		t.Fatalf("revoked %+v, %v", gone, err)
	}
	if err := lost.Sync(ctx(t)); !errors.Is(err, client.ErrRevoked) {
		t.Errorf("the revoked device synchronised: %v", err)
	}
	if _, err := lost.Send(ctx(t), "bob", "still here?", client.SendOptions{}); !errors.Is(err, client.ErrRevoked) {
		t.Errorf("the revoked device sent: %v", err)
	}
	if got := take(t, laptop); !slices.Contains(got, "in flight") {
		t.Errorf("what was in flight to the laptop: %q", got)
	}
	m := send(t, bob, "alice", "after")
	if _, sealed := m.PerDevice[lost.Account().Device]; sealed || len(m.PerDevice) != 1 {
		t.Errorf("bob sealed for %v", m.PerDevice)
	}
	if got := take(t, laptop); !slices.Contains(got, "after") {
		t.Errorf("the laptop got %q", got)
	}
	if got := take(t, bob); !slices.Contains(got, "notice:device_revoked") {
		t.Errorf("bob was not told: %q", got)
	}
	if _, err := laptop.RevokeDevice(ctx(t), laptop.Account().Device); !errors.Is(err, client.ErrRefused) {
		t.Errorf("a device revoked itself: %v", err)
	}
	if _, err := laptop.RevokeDevice(ctx(t), lost.Account().Device); !errors.Is(err, client.ErrUnknownDevice) {
		t.Errorf("revoked twice: %v", err)
	}
}
