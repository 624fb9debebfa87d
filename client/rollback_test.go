package client_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/storetest"
)

// copyHome is a copy of a home, which may be in use but should be at rest: a
// snapshot, or what a thief has.
func copyHome(t *testing.T, cfg client.Config) client.Config {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(cfg.Home)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue // the owner's socket
		}
		b, err := os.ReadFile(filepath.Join(cfg.Home, f.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg.Home = to
	return cfg
}

// rolledBack is a world in which alice's home was set back to before "three".
func rolledBack(t *testing.T) (w *world, home client.Config, bob client.API) {
	t.Helper()
	w = newWorld(t)
	home = config(t, "alice")
	alice, bob := friends(t, w, home, config(t, "bob"))
	send(t, alice, "bob", "two")
	alice.Close()
	snapshot := copyHome(t, home)
	alice = open(t, home)
	send(t, alice, "bob", "three")
	take(t, bob)
	alice.Close()
	return w, snapshot, bob
}

// TestR_CLT_32_ARestoredSnapshot: a home that was set back stops at the next
// connection. What it says, what it still does, and what has left it: nothing.
func TestR_CLT_32_ARestoredSnapshot(t *testing.T) {
	w, home, bob := rolledBack(t)
	alice := open(t, home)
	m, err := alice.Send(ctx(t), "bob", "under an old key", client.SendOptions{})
	if !errors.Is(err, client.ErrRolledBack) || m.Status != client.StatusSending || !m.SealedAt.IsZero() {
		t.Fatalf("%+v, %v", m, err)
	}
	beside := open(t, home) // in another process, say
	for name, call := range map[string]func(client.API) error{
		"send":     func(c client.API) error { _, err := c.Send(ctx(t), "bob", "x", client.SendOptions{}); return err },
		"note":     func(c client.API) error { _, err := c.Send(ctx(t), "me", "x", client.SendOptions{}); return err },
		"stranger": func(c client.API) error { _, err := c.Send(ctx(t), "carol", "x", client.SendOptions{}); return err },
		"no wait": func(c client.API) error {
			_, err := c.Send(ctx(t), "bob", "x", client.SendOptions{NoWait: true})
			return err
		},
		"sync":   func(c client.API) error { return c.Sync(ctx(t)) },
		"lookup": func(c client.API) error { _, err := c.SafetyNumber(ctx(t), "carol"); return err },
		"follow": func(c client.API) error {
			if _, err := c.Receive(ctx(t), "fresh", 100); err != nil {
				return err
			}
			for m, err := range c.Follow(ctx(t), "fresh") {
				if err != nil {
					return err
				}
				if m.ID == "" {
					t.Error("no message and no error")
				}
			}
			return nil
		},
	} {
		for _, c := range []client.API{alice, beside} {
			if err := call(c); !errors.Is(err, client.ErrRolledBack) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if got := texts(t, alice, "bob"); !slices.Contains(got, "two") || slices.Contains(got, "three") {
		t.Errorf("history: %q", got)
	}
	if err := alice.SetAlias(ctx(t), "bob", "bobby"); err != nil {
		t.Error(err)
	}
	s, err := alice.Status(ctx(t))
	if err != nil || s.Connected || s.Outbox != 1 || !strings.Contains(strings.Join(s.Warnings, ";"), "relink") || s.LastError == "" {
		t.Errorf("%+v, %v", s, err)
	}
	var b bytes.Buffer
	if _, err := alice.Backup(ctx(t), &b, sealedUnder); err != nil {
		t.Error(err)
	}
	if _, all, err := alice.Export(ctx(t), ""); err != nil {
		t.Error(err)
	} else {
		for _, err := range all {
			if err != nil {
				t.Error(err)
			}
		}
	}
	if got := take(t, bob); len(got) != 0 {
		t.Errorf("bob received %q", got)
	}
	alice.Close()
	beside.Close()
	later := open(t, home)
	if s, err := later.Status(ctx(t)); err != nil || !strings.Contains(strings.Join(s.Warnings, ";"), "relink") {
		t.Errorf("a later process: %+v, %v", s, err)
	}
	later.Close()
	// A new process asks again, and is refused again.
	again := open(t, home)
	if err := again.Sync(ctx(t)); !errors.Is(err, client.ErrRolledBack) {
		t.Error(err)
	}
	w.stop()
}

// TestR_CLT_32_AThiefWhoComesFirst: a copy that connects while the device is
// there takes its place, and the device is told: also one that only listens.
func TestR_CLT_32_AThiefWhoComesFirst(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	alice, bob := friends(t, w, home, config(t, "bob"))
	alice.Close()
	stolen := copyHome(t, home)
	alice = open(t, home)
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	alice.Close()
	// The device was there last: the copy gets nothing, not what waits either.
	send(t, bob, "alice", "for her alone")
	thief := open(t, stolen)
	if err := thief.Sync(ctx(t)); !errors.Is(err, client.ErrRolledBack) {
		t.Fatalf("the copy: %v", err)
	}
	if got, err := thief.Receive(ctx(t), "", 100); err != nil || len(got) != 0 {
		t.Errorf("the copy received %d messages, %v", len(got), err)
	}
	thief.Close()
	alice = open(t, home)
	if got := take(t, alice); !slices.Equal(got, []string{"for her alone"}) {
		t.Errorf("alice received %q", got)
	}
	// A copy of the present state, and the device is connected.
	stopped := make(chan error, 1)
	go func() {
		for _, err := range alice.Follow(ctx(t), "") {
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	thief = open(t, copyHome(t, home))
	if err := thief.Sync(ctx(t)); err != nil {
		t.Fatal(err) // nobody can tell yet
	}
	if err := <-stopped; !errors.Is(err, client.ErrRolledBack) {
		t.Errorf("the device was told %v", err)
	}
}

// TestR_CLT_32_WhoIsRefusedThrowsNobodyOut: of two copies the second is stopped
// and the first stays connected.
func TestR_CLT_32_WhoIsRefusedThrowsNobodyOut(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	alice, _ := friends(t, w, home, config(t, "bob"))
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	alice.Close()
	stolen := copyHome(t, home)
	thief := open(t, stolen)
	if err := thief.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	listening := make(chan error, 1)
	go func() {
		for _, err := range thief.Follow(ctx(t), "") {
			if err != nil {
				listening <- err
				return
			}
		}
	}()
	// The device comes back and is refused; the copy, which was first, stays.
	alice = open(t, home)
	if err := alice.Sync(ctx(t)); !errors.Is(err, client.ErrRolledBack) {
		t.Fatal(err)
	}
	select {
	case err := <-listening:
		t.Errorf("a refused login threw the other out: %v", err)
	default:
	}
	if s, err := thief.Status(ctx(t)); err != nil || !s.Connected {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestR_CLT_31_LostAnswers: however often the answer to a login is lost, with or
// without the server having stored it, the home is not locked out.
func TestR_CLT_31_LostAnswers(t *testing.T) {
	for name, fault := range map[string]storetest.Fault{"not saved": storetest.Before, "saved": storetest.After} {
		t.Run(name, func(t *testing.T) {
			m := memstore.New()
			var broken atomic.Int64
			dir := &storetest.Faulty{Store: m, Decide: func(method string) storetest.Fault {
				if method == "AdvanceEpoch" && broken.Add(-1) >= 0 {
					return fault
				}
				return storetest.None
			}}
			w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: dir, Mailbox: m, Wake: m}}
			w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
			home := config(t, "alice")
			alice := w.join(home, "alice")
			if err := alice.Sync(ctx(t)); err != nil {
				t.Fatal(err)
			}
			alice.Close()
			for range 3 {
				broken.Store(1)
				alice = open(t, home)
				if err := alice.Sync(ctx(t)); err == nil || errors.Is(err, client.ErrRolledBack) {
					t.Errorf("with a lost answer: %v", err)
				}
				alice.Close()
			}
			copied := copyHome(t, home)
			broken.Store(0)
			alice = open(t, home)
			if err := alice.Sync(ctx(t)); err != nil {
				t.Fatal(err)
			}
			if err := open(t, copied).Sync(ctx(t)); !errors.Is(err, client.ErrRolledBack) {
				t.Errorf("a copy from between the tries: %v", err)
			}
			if s, err := alice.Status(ctx(t)); err != nil || !s.Connected {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// liar is a server that calls every epoch wrong.
type liar struct {
	server.Directory
	lies atomic.Bool
}

func (l *liar) AdvanceEpoch(ctx context.Context, d server.Device, from, to server.Epoch) error {
	if l.lies.Load() {
		return server.ErrConflict
	}
	return l.Directory.AdvanceEpoch(ctx, d, from, to)
}

// TestR_CLT_32_ALyingServer: a server that refuses everybody loses nobody
// anything. What the person is told claims no more than is known, and once the
// server is honest again all goes on where it was.
func TestR_CLT_32_ALyingServer(t *testing.T) {
	m := memstore.New()
	dir := &liar{Directory: m}
	w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: dir, Mailbox: m, Wake: m}}
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
	home := config(t, "alice")
	alice, bob := friends(t, w, home, config(t, "bob"))
	alice.Close()
	dir.lies.Store(true)
	for range 3 {
		alice = open(t, home)
		_, err := alice.Send(ctx(t), "bob", "kept", client.SendOptions{})
		if !errors.Is(err, client.ErrRolledBack) || !strings.Contains(err.Error(), "or the server is wrong") {
			t.Fatal(err)
		}
		alice.Close()
	}
	dir.lies.Store(false)
	alice = open(t, home)
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "all has left", func() bool {
		s, err := alice.Status(ctx(t))
		return err == nil && s.Outbox == 0 && len(s.Warnings) == 0
	})
	if got := take(t, bob); !slices.Equal(got, []string{"kept", "kept", "kept"}) {
		t.Errorf("bob received %q", got)
	}
}
