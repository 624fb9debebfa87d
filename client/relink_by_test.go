package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/linking"
)

// desk links a second device, lets it talk, and closes it.
func (w *linkWorld) desk(alice *Client) (Config, Account) {
	w.t.Helper()
	home := freshHome(w.t, "desk")
	a := w.link(home, nil)
	if _, err := alice.Approve(inTime(w.t), w.offer(a), ApproveOptions{}); err != nil {
		w.t.Fatal(err)
	}
	desk := w.arrived(a)
	if _, err := desk.Send(inTime(w.t), "bob", "before", SendOptions{}); err != nil {
		w.t.Fatal(err)
	}
	account := desk.Account()
	if err := desk.Close(); err != nil {
		w.t.Fatal(err)
	}
	return home, account
}

func (w *linkWorld) relink(home Config) *arriving {
	a := &arriving{shown: make(chan LinkOffer, 1), done: make(chan error, 1)}
	go func() {
		c, err := Relink(inTime(w.t), home, LinkRequest{Listen: "127.0.0.1:0", Show: func(o LinkOffer) { a.shown <- o }})
		a.api = c
		a.done <- err
	}()
	return a
}

// replaced checks that the account has the first device and one in the place of
// the old one, which is revoked, and that the new one has the history and talks.
func (w *linkWorld) replaced(alice, desk *Client, old Account) {
	w.t.Helper()
	if err := alice.Sync(inTime(w.t)); err != nil {
		w.t.Fatal(err)
	}
	l, err := alice.engine.connected(inTime(w.t))
	if err == nil {
		_, err = alice.engine.lookup(inTime(w.t), l, alice.engine.self.address)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	now := desk.Account()
	if now.Device == old.Device || now.DeviceName != old.DeviceName || now.Identity != old.Identity {
		w.t.Errorf("%+v after %+v", now, old)
	}
	for _, c := range []*Client{alice, desk} {
		all, err := c.Devices(inTime(w.t))
		if err != nil || len(all) != 3 || all[0].Revoked || !all[1].Revoked || all[2].Revoked || all[1].ID != old.Device || all[2].ID != now.Device {
			w.t.Errorf("devices: %+v, %v", all, err)
		}
	}
	if _, err := desk.Send(inTime(w.t), "bob", "after", SendOptions{}); err != nil {
		w.t.Fatal(err)
	}
	var said []string
	list, err := desk.History(inTime(w.t), "bob", 0, "")
	for _, m := range list {
		if m.Kind == KindText {
			said = append(said, m.Text)
		}
	}
	if err != nil || strings.Join(said, ",") != "before,after" {
		w.t.Errorf("history: %q, %v", said, err)
	}
	bob := w.open(w.bob)
	defer bob.Close()
	if err := bob.Sync(inTime(w.t)); err != nil {
		w.t.Fatal(err)
	}
	got, err := bob.Receive(inTime(w.t), "", 10)
	said = nil
	for _, m := range got {
		if m.Kind == KindText {
			said = append(said, m.Text)
		}
	}
	if err != nil || strings.Join(said, ",") != "before,after" {
		w.t.Errorf("bob received %q, %v", said, err)
	}
}

// R-LNK-15: a home without the account key gets a new device by way of another
// one, which revokes the old one in the same entry.
func TestR_LNK_15_RelinkByAnotherDevice(t *testing.T) {
	w := newLinkWorld(t)
	alice := w.open(w.alice)
	home, old := w.desk(alice)
	if _, err := Relink(inTime(t), home, LinkRequest{}); !errors.Is(err, ErrNoAccountKey) {
		t.Errorf("with nobody to show the URI to: %v", err)
	}
	a := w.relink(home)
	if _, err := alice.Approve(inTime(t), w.offer(a), ApproveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.replaced(alice, w.arrived(a), old)
}

// R-LNK-15: somebody else's account cannot take the home over, and the home goes
// on waiting for its own.
func TestR_LNK_15_RelinkByAStranger(t *testing.T) {
	w := newLinkWorld(t)
	alice, bob := w.open(w.alice), w.open(w.bob)
	home, old := w.desk(alice)
	a := w.relink(home)
	uri := w.offer(a)
	if _, err := bob.Approve(inTime(t), uri, ApproveOptions{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("by bob: %v", err)
	}
	bob.Close()
	if _, err := alice.Approve(inTime(t), uri, ApproveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.replaced(alice, w.arrived(a), old)
}

// R-LNK-12: killed at each step, the home is the old device or the new one, and
// repeating it ends with the new one.
func TestR_LNK_12_ARelinkIsKilled(t *testing.T) {
	for _, c := range []struct {
		step     string
		approved bool
		resumes  bool
	}{
		{"join shown", false, false}, {"join stored", false, false}, {"join joined", false, false}, {"join taken", false, true},
		{"join submitted", true, true}, {"join registered", true, true}, {"entered", true, true},
	} {
		t.Run(c.step, func(t *testing.T) {
			w := newLinkWorld(t)
			alice := w.open(w.alice)
			home, old := w.desk(alice)
			lines, ended := linkProcess(t, "relink", home, c.step, "")
			if !lines.Scan() {
				t.Fatal("nothing is shown")
			}
			_, err := alice.Approve(inTime(t), strings.TrimPrefix(lines.Text(), "uri "), ApproveOptions{})
			ended()
			if (err == nil) != c.approved || (err != nil && !errors.Is(err, ErrUnreachable)) {
				t.Errorf("the old device says %v", err)
			}
			a := w.relink(home)
			if !c.resumes {
				if _, err := alice.Approve(inTime(t), w.offer(a), ApproveOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			desk := w.arrived(a)
			if c.resumes && len(a.shown) != 0 {
				t.Error("a new offer was shown")
			}
			w.replaced(alice, desk, old)
		})
	}
}

// A device cannot have another one replaced: R-LNK-15.
func TestR_LNK_15_OnlyItself(t *testing.T) {
	w := newLinkWorld(t)
	alice := w.open(w.alice)
	own, err := alice.engine.ownPerson(inTime(t))
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := linking.New(alice.engine.now())
	if err != nil {
		t.Fatal(err)
	}
	part := waiting.Join(own.list, 7, "", nil)
	waiting.Replace(&part, alice.engine.self.device, waiting.Sign)
	if _, err := alice.engine.admit(own, linking.Offer{}, part); !errors.Is(err, ErrRefused) {
		t.Errorf("with a key of its own: %v", err)
	}
}
