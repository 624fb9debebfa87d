package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/storetest"
)

// relinkWorld is alice's home, set back to before her last message, and bob.
type relinkWorld struct {
	*bench
	store  *memstore.Store
	fault  atomic.Int64 // storetest.Fault for the next UpdateAccount
	home   Config       // alice's, as it was before "three"
	before Account
	bob    *Client
}

func newRelinkWorld(t *testing.T) *relinkWorld {
	t.Helper()
	w := &relinkWorld{store: memstore.New()}
	dir := &storetest.Faulty{Store: w.store, Decide: func(method string) storetest.Fault {
		if method == "UpdateAccount" {
			return storetest.Fault(w.fault.Swap(int64(storetest.None)))
		}
		return storetest.None
	}}
	w.bench = newBench(t, server.Stores{Directory: dir, Mailbox: w.store, Wake: w.store})
	alice, home := w.join("alice")
	w.bob, _ = w.join("bob")
	t.Cleanup(func() { w.bob.Close() })
	say(t, alice, "bob", "one")
	hear(t, w.bob)
	say(t, w.bob, "alice", "two")
	hear(t, alice)
	if err := alice.Confirm(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	alice.Close()
	w.home = home
	w.home.Home = duplicate(t, home)
	later, err := Open(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	say(t, later, "bob", "three")
	w.before = later.Account()
	later.Close()
	hear(t, w.bob)
	return w
}

func duplicate(t *testing.T, cfg Config) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(cfg.Home)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	return to
}

func say(t *testing.T, c API, to, text string) {
	t.Helper()
	if _, err := c.Send(t.Context(), to, text, SendOptions{}); err != nil {
		t.Fatalf("send %q: %v", text, err)
	}
}

// hear takes everything that waits.
func hear(t *testing.T, c API) (got []string) {
	t.Helper()
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := c.Receive(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Kind == KindText {
			got = append(got, m.Text)
		} else if m.Kind != KindNotice {
			got = append(got, string(m.Kind)+":"+m.Cause)
		}
		if err := c.Ack(t.Context(), "", m.ID); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func refusedOnce(t *testing.T, cfg Config) {
	t.Helper()
	c, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Sync(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("the home that was set back: %v", err)
	}
}

// secrets lists the keys of rows that belong to one device alone.
func secrets(t *testing.T, c API) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	e := c.(*Client).engine
	err := e.view(t.Context(), func(tx *vault.Tx) error {
		for _, table := range []vault.Table{tableSession, tableSkipped, tablePrekey, tableSeen, tableHeld} {
			err := tx.Scan(table, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
				keys[table.Name+string(r.Key)] = true
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r := e.self.record
	keys["sign"+string(r.SignKey)], keys["dh"+string(r.DHKey)], keys["device"+e.self.device.String()] = true, true, true
	return keys
}

// TestR_CLT_33_Relink: the home goes on as another device with the history it
// has, what waited leaves once, through new sessions, and nothing of the old
// device is left.
func TestR_CLT_33_Relink(t *testing.T) {
	w := newRelinkWorld(t)
	alice, err := Open(t.Context(), w.home)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := alice.Send(t.Context(), "bob", "four", SendOptions{})
	if !errors.Is(err, ErrRolledBack) || waiting.ID == "" {
		t.Fatalf("%+v, %v", waiting, err)
	}
	old := secrets(t, alice)
	if len(old) < 200 {
		t.Fatalf("only %d rows: the test proves little", len(old))
	}
	if _, err := Relink(t.Context(), w.home, LinkRequest{}); !errors.Is(err, ErrInUse) {
		t.Errorf("while another process has the home: %v", err)
	}
	alice.Close()
	if _, err := Relink(t.Context(), w.home, LinkRequest{DeviceName: "x\x1b[2J"}); !errors.Is(err, ErrInvalidText) {
		t.Errorf("a name that is none: %v", err)
	}

	next, err := Relink(t.Context(), w.home, LinkRequest{DeviceName: "again"})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	for k := range secrets(t, next) {
		if old[k] {
			t.Errorf("%q is still there", k[:6])
		}
	}
	now := next.Account()
	if now.Device == w.before.Device || now.DeviceName != "again" || now.Address != w.before.Address || now.Identity != w.before.Identity {
		t.Errorf("%+v after %+v", now, w.before)
	}
	if c, err := next.Contact(t.Context(), "bob"); err != nil || c.Trust != TrustVerified {
		t.Errorf("%+v, %v", c, err)
	}
	h, err := next.History(t.Context(), "bob", 0, "")
	var shown []string
	for _, m := range h {
		if m.Kind == KindText {
			shown = append(shown, m.Text)
		}
	}
	if err != nil || !slices.Equal(shown, []string{"one", "two", "four"}) {
		t.Errorf("history %q, %v", shown, err)
	}
	if m, err := next.History(t.Context(), "me", 1, ""); err != nil || len(m) != 1 || m[0].Notice != NoticeRelinked || !strings.Contains(m[0].Text, now.Device) {
		t.Errorf("%+v, %v", m, err)
	}
	if err := next.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err := next.Message(t.Context(), waiting.ID); err != nil || m.Status != StatusAccepted {
		t.Errorf("what waited: %+v, %v", m, err)
	}
	if got := hear(t, w.bob); !slices.Equal(got, []string{"four"}) {
		t.Errorf("bob received %q", got)
	}
	say(t, w.bob, "alice", "five")
	if got := hear(t, next); !slices.Equal(got, []string{"five"}) {
		t.Errorf("alice received %q", got)
	}
	ds, err := next.Devices(t.Context())
	if err != nil || len(ds) != 2 || !ds[0].Revoked || ds[1].Revoked || !ds[1].Current {
		t.Errorf("%+v, %v", ds, err)
	}
}

// TestR_CLT_33_TheCopyIsOut: after a relink the other copy, which was first, is
// no device of the account any more.
func TestR_CLT_33_TheCopyIsOut(t *testing.T) {
	w := newRelinkWorld(t)
	thief := w.home
	thief.Home = duplicate(t, w.home)
	next, err := Relink(t.Context(), w.home, LinkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	say(t, w.bob, "alice", "for the new device")
	c, err := Open(t.Context(), thief)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Sync(t.Context()); !errors.Is(err, ErrRevoked) {
		t.Errorf("the copy: %v", err)
	}
	if got := hear(t, next); !slices.Equal(got, []string{"for the new device"}) {
		t.Errorf("alice received %q", got)
	}
}

// TestR_CLT_33_WhatWaits: what is sealed in the outbox is opened again for new
// sessions, what only the old ones needed goes, and what was held is not passed
// over in silence.
func TestR_CLT_33_WhatWaits(t *testing.T) {
	w := newRelinkWorld(t)
	v, err := vault.Open(w.home.Home, w.home.Unlock.vault(), tables())
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSelf(v)
	if err != nil {
		t.Fatal(err)
	}
	text := content.NewID()
	c, err := content.NewText(text, time.Now(), 0, content.Text{Text: "sealed under an old key"})
	if err != nil {
		t.Fatal(err)
	}
	empty, bob := content.NewID(), w.bob.account.Address
	err = v.Update(t.Context(), func(tx *vault.Tx) error {
		stale := []sealedCopy{{Device: uint64(w.bob.engine.self.device), ID: text[:], Envelope: []byte("an old key's")}}
		order := int64(1000)
		for _, o := range []outboxRecord{
			{ID: text[:], To: bob, Content: c.Encode(), Sealed: stale, List: 1, Created: time.Now().UnixMilli(), After: 1 << 60, Demand: 1 << 60},
			{ID: []byte("control 16 bytes"), To: bob, Sealed: stale, Control: true, Created: time.Now().UnixMilli()},
			{ID: empty[:], To: bob, Sealed: stale, List: 1, Created: time.Now().UnixMilli()},
		} {
			order++
			o.order = order
			if err := putOutbox(tx, &o); err != nil {
				return err
			}
			if o.Control {
				continue
			}
			err := putMessage(tx, &messageRecord{
				ID: o.ID, Conversation: bob, From: s.record.Address, To: bob, Outgoing: true, Kind: string(KindText),
				Text: "?", SentAt: o.Created, Status: string(StatusSending), order: order,
			})
			if err != nil {
				return err
			}
		}
		if err := owe(tx, peerKey{bob, w.bob.engine.self.device}, content.Read, []content.ID{text}, 10, time.Now()); err != nil {
			return err
		}
		return tx.Put(tableHeld, []byte("held"), []byte(bob), 1, encodeRecord(heldRecord{At: 1, Body: []byte("?")}))
	})
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	next, err := Relink(t.Context(), w.home, LinkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	waiting := outboxOf(t, next.(*Client))
	if len(waiting) != 1 || string(waiting[0].ID) != string(text[:]) || len(waiting[0].Sealed) != 0 || waiting[0].due(false).After(time.Now()) {
		t.Errorf("%d entries wait: %+v", len(waiting), waiting)
	}
	if m, err := next.Message(t.Context(), empty.String()); err != nil || m.Status != StatusFailed {
		t.Errorf("what cannot be sealed again: %+v, %v", m, err)
	}
	missing := false
	h, err := next.History(t.Context(), "bob", 0, "")
	for _, m := range h {
		missing = missing || m.Kind == KindUndecryptable && m.Cause == CauseNoSession
	}
	if err != nil || !missing {
		t.Errorf("no trace of what was held, %v", err)
	}
	if err := next.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, w.bob); !slices.Equal(got, []string{"sealed under an old key"}) {
		t.Errorf("bob received %q", got)
	}
}

// TestR_CLT_34_RevokedMeanwhile: the new device was on the list, and has been
// taken off it, before the home became it. Its keys are of no use any more.
func TestR_CLT_34_RevokedMeanwhile(t *testing.T) {
	w := newRelinkWorld(t)
	killed := errors.New("killed")
	_, err := relinkHome(t.Context(), w.home, LinkRequest{}, func(step string) error {
		if step == "entered" {
			return killed
		}
		return nil
	})
	if !errors.Is(err, killed) {
		t.Fatal(err)
	}
	dropped := pendingDevice(t, w.home)
	other := w.home // another copy, which goes on in the same way
	other.Home = duplicate(t, w.home)
	first, err := Relink(t.Context(), other, LinkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	again, err := Relink(t.Context(), other, LinkRequest{}) // drops the device that both had pending
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	next, err := Relink(t.Context(), w.home, LinkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if next.Account().Device == dropped {
		t.Error("the home is a device that was revoked")
	}
	say(t, next, "bob", "back")
	if got := hear(t, w.bob); !slices.Equal(got, []string{"back"}) {
		t.Errorf("bob received %q", got)
	}
}

// TestR_CLT_33_NotSentTwice: what the newer state of the home had sent already,
// and the older one has in its outbox, is shown once.
func TestR_CLT_33_NotSentTwice(t *testing.T) {
	w := newRelinkWorld(t)
	cfg := w.home
	cfg.Dial = deadNetwork
	off, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := off.Send(t.Context(), "bob", "written offline", SendOptions{}); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	off.Close()
	snapshot := w.home
	snapshot.Home = duplicate(t, w.home)
	// This one goes on, as a new device already so that it is let in, and sends it.
	first, err := Relink(t.Context(), w.home, LinkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if got := hear(t, w.bob); !slices.Equal(got, []string{"written offline"}) {
		t.Fatalf("bob received %q", got)
	}
	second, err := Relink(t.Context(), snapshot, LinkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	say(t, second, "bob", "and on")
	if got := hear(t, w.bob); !slices.Equal(got, []string{"and on"}) {
		t.Errorf("bob received %q", got)
	}
}

// TestR_CLT_34_CutShort: killed between any two steps, or with the server's
// answer lost either way, the home is the old device or the new one, and
// repeating goes on with the same keys to the same end.
func TestR_CLT_34_CutShort(t *testing.T) {
	errKilled := errors.New("killed")
	for _, c := range []struct {
		name  string
		step  string
		fault storetest.Fault
		drawn bool // the keys of the new device are kept
		moved bool // the home is the new device
	}{
		{name: "before the keys are durable", step: "drawn"},
		{name: "before the server hears of them", step: "pending", drawn: true},
		{name: "the server did not store it", fault: storetest.Before, drawn: true},
		{name: "the server's answer is lost", fault: storetest.After, drawn: true},
		{name: "before the home is changed", step: "entered", drawn: true},
		{name: "after that", step: "swapped", drawn: true, moved: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newRelinkWorld(t)
			refusedOnce(t, w.home)
			w.fault.Store(int64(c.fault))
			_, err := relinkHome(t.Context(), w.home, LinkRequest{}, func(step string) error {
				if step == c.step {
					return errKilled
				}
				return nil
			})
			if err == nil || (c.step != "") != errors.Is(err, errKilled) {
				t.Fatalf("it ended with %v", err)
			}
			drawn := pendingDevice(t, w.home)
			if (drawn != "") != (c.drawn && !c.moved) {
				t.Errorf("a new device is pending: %q", drawn)
			}
			half, err := Open(t.Context(), w.home)
			if err != nil {
				t.Fatalf("the home does not open: %v", err)
			}
			if moved := half.Account().Device != w.before.Device; moved != c.moved {
				t.Errorf("the home is the new device: %v", moved)
			}
			// Old it is refused, whatever the server has taken of the new one.
			if err := half.Sync(t.Context()); c.moved != (err == nil) || err != nil && !errors.Is(err, ErrRolledBack) {
				t.Errorf("connecting: %v", err)
			}
			half.Close()
			var next API
			if c.moved {
				next, err = Open(t.Context(), w.home)
			} else {
				next, err = Relink(t.Context(), w.home, LinkRequest{})
			}
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			if got := next.Account().Device; got == w.before.Device || (drawn != "" && got != drawn) {
				t.Errorf("the device is %s, pending was %s", got, drawn)
			}
			if pendingDevice := pendingIn(t, next.(*Client).engine.vault); pendingDevice != "" {
				t.Error("a new device is still pending")
			}
			say(t, next, "bob", "back")
			if got := hear(t, w.bob); !slices.Equal(got, []string{"back"}) {
				t.Errorf("bob received %q", got)
			}
			say(t, w.bob, "alice", "welcome")
			if got := hear(t, next); !slices.Equal(got, []string{"welcome"}) {
				t.Errorf("alice received %q", got)
			}
			ds, err := next.Devices(t.Context())
			if err != nil || len(ds) != 2 || !ds[0].Revoked || ds[1].Revoked {
				t.Errorf("%+v, %v", ds, err)
			}
		})
	}
}

// pendingDevice is the device that a home is about to become.
func pendingDevice(t *testing.T, cfg Config) string {
	t.Helper()
	v, err := vault.Open(cfg.Home, cfg.Unlock.vault(), tables())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	return pendingIn(t, v)
}

func pendingIn(t *testing.T, v *vault.Vault) (device string) {
	t.Helper()
	err := v.View(t.Context(), func(tx *vault.Tx) error {
		r, ok, err := getRecord[relinkRecord](tx, tableMeta, metaRelink)
		if err == nil && ok {
			var s *self
			if s, err = r.Account.live(); err == nil {
				device = s.device.String()
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return device
}

// TestR_CLT_34_TheTransactionFails: a disk that fails in the last step leaves
// the old device whole.
func TestR_CLT_34_TheTransactionFails(t *testing.T) {
	w := newRelinkWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := relinkHome(ctx, w.home, LinkRequest{}, func(step string) error {
		if step == "entered" {
			cancel() // the update does not begin
		}
		return nil
	})
	if err == nil {
		t.Fatal("it went through")
	}
	v, err := vault.Open(w.home.Home, w.home.Unlock.vault(), tables())
	if err != nil {
		t.Fatal(err)
	}
	r := &relink{cfg: w.home, vault: v}
	if err := r.read(t.Context()); err != nil || r.next == nil {
		t.Fatal(err)
	}
	if _, err := (&entrant{cfg: w.home, self: r.next, list: r.list, revoke: func(devicelist.Device) bool { return false }}).join(t.Context()); err != nil {
		t.Error(err)
	}
	// Every write of it, undone after each number of them.
	failed := errors.New("the disk failed")
	if err := v.Update(t.Context(), func(tx *vault.Tx) error { return errors.Join(r.swap(tx), failed) }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if s, err := readSelf(v); err != nil || s.device != r.old.device {
		t.Errorf("the home is another device: %v", err)
	}
	v.Close()
	refusedOnce(t, w.home) // "begun and not finished"
	next, err := Relink(t.Context(), w.home, LinkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next.Close()
}

// TestR_CLT_33_WithoutTheAccountKey: a linked device cannot do it alone, and
// nothing is changed.
func TestR_CLT_33_WithoutTheAccountKey(t *testing.T) {
	w := newRelinkWorld(t)
	v, err := vault.Open(w.home.Home, w.home.Unlock.vault(), tables())
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSelf(v)
	if err != nil {
		t.Fatal(err)
	}
	linked := s.record
	linked.AccountKey, linked.Account = nil, s.own.Account
	if err := writeSelf(v, linked); err != nil {
		t.Fatal(err)
	}
	v.Close()
	if _, err := Relink(t.Context(), w.home, LinkRequest{}); !errors.Is(err, ErrNoAccountKey) {
		t.Errorf("%v", err)
	}
	refusedOnce(t, w.home)
}
