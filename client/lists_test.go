package client_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
)

func notices(t *testing.T, c client.API, with string) (out []string) {
	t.Helper()
	all, err := c.History(ctx(t), with, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Kind == client.KindNotice {
			out = append(out, m.Notice+" "+m.Text)
		}
	}
	return out
}

func TestR_CLT_25_ChangesOfAListAreTold(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	bob := w.join(config(t, "bob"), "bob")
	alice := laptop.Account().Address
	send(t, bob, alice, "hello")
	desktop := w.another(laptop, "desktop")
	id := desktop.Account().Device
	named := func(what, name string) string { return what + " " + name + " (" + id + ")" }
	want := []string{named(client.NoticeDeviceAdded, "desktop")}
	look := func(what string) {
		t.Helper()
		send(t, bob, alice, what)
		if got := notices(t, bob, alice); !slices.Equal(got, want) {
			t.Errorf("after %s bob is told %q, not %q", what, got, want)
		}
	}
	look("joining")
	if d, err := laptop.RenameDevice(ctx(t), "desktop", "office"); err != nil || d.Name != "office" || d.ID != id {
		t.Fatalf("renamed: %+v, %v", d, err)
	}
	want = append(want, named(client.NoticeDeviceRenamed, "office"))
	look("renaming")
	// The other device is told, too.
	reached(t, "the new name on the other device", func() bool {
		return slices.Contains(notices(t, desktop, "me"), named(client.NoticeDeviceRenamed, "office"))
	}, laptop, desktop)
	if _, err := laptop.RevokeDevice(ctx(t), "office"); err != nil {
		t.Fatal(err)
	}
	want = append(want, named(client.NoticeDeviceRevoked, "office"))
	look("revoking")
	if got := notices(t, laptop, "me"); !slices.Equal(got, want) {
		t.Errorf("alice is told %q", got)
	}
	for _, word := range []string{"", "office", "zz", alice} {
		if _, err := laptop.RenameDevice(ctx(t), word, "x"); !errors.Is(err, client.ErrUnknownDevice) {
			t.Errorf("renaming %q: %v", word, err)
		}
	}
	if _, err := laptop.RenameDevice(ctx(t), laptop.Account().Device, "bad\nname"); !errors.Is(err, client.ErrInvalidText) {
		t.Errorf("a name with a line break: %v", err)
	}
}

func TestR_CLT_07_26_AServerThatWentBack(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	laptop := w.join(home, "alice")
	bob := w.join(config(t, "bob"), "bob")
	alice := laptop.Account().Address
	old, err := w.stores.Directory.Account(ctx(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	desktop := w.another(laptop, "desktop")
	send(t, bob, alice, "to both")
	for _, d := range []client.API{laptop, desktop} {
		if got := take(t, d); !slices.Contains(got, "to both") {
			t.Errorf("received %q", got)
		}
	}
	now, err := w.stores.Directory.Account(ctx(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.stores.Directory.UpdateAccount(ctx(t), server.Change{User: "alice", Old: now.Version, Record: old.Record})
	if err != nil {
		t.Fatal(err)
	}
	// Bob, who knows better, is told and sends nothing on the older list.
	if _, err := bob.Send(ctx(t), alice, "on the old list?", client.SendOptions{Refresh: true}); !errors.Is(err, client.ErrDeviceList) {
		t.Errorf("sent on an older list: %v", err)
	}
	if _, err := bob.Send(ctx(t), alice, "again", client.SendOptions{Refresh: true}); !errors.Is(err, client.ErrDeviceList) {
		t.Errorf("sent on an older list: %v", err)
	}
	alarms := 0
	for _, n := range notices(t, bob, alice) {
		if n == client.NoticeListRolledBack+" " {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("bob saw %d alarms: %q", alarms, notices(t, bob, alice))
	}
	if c, err := bob.Contact(ctx(t), alice); err != nil || len(c.Devices) != 2 {
		t.Errorf("bob now believes %+v, %v", c, err)
	}
	// The laptop gives the server back what it lost, at its next connection.
	laptop.Close()
	if laptop, err = client.Open(ctx(t), home); err != nil {
		t.Fatal(err)
	}
	defer laptop.Close()
	reached(t, "the list at the server", func() bool {
		_, err := bob.Send(ctx(t), alice, "healed", client.SendOptions{Refresh: true})
		return err == nil
	}, laptop)
	if !slices.Contains(notices(t, laptop, "me"), client.NoticeListRolledBack+" ") {
		t.Errorf("alice was not told: %q", notices(t, laptop, "me"))
	}
	if got := take(t, desktop); !slices.Contains(got, "healed") {
		t.Errorf("the desktop received %q", got)
	}
}
