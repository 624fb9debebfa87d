package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// crash is where a login ends.
type crash int

const (
	whole       crash = iota // it does not
	unreached                // the server was not reached
	notSent                  // the offer is durable and was not sent
	answerLost               // the server has taken it and nobody heard of that
	notWritten               // the answer came and was not written down
	crashPoints int   = iota
)

// epochHome is one device's home and the server, as far as the epoch goes.
type epochHome struct {
	vault *vault.Vault
	store *memstore.Store
	dev   server.Device
}

func newEpochHome(t *testing.T) *epochHome {
	t.Helper()
	dir := t.TempDir()
	v, err := vault.Create(dir+"/home", vault.Unlock{KeyFile: dir + "/key"}, tables())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	h := &epochHome{vault: v, store: memstore.New(), dev: server.Device{User: "alice", ID: 1}}
	if err := h.store.CreateAccount(t.Context(), server.Registration{User: "alice"}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *epochHome) record(t *testing.T) (r epochRecord) {
	t.Helper()
	err := h.vault.View(t.Context(), func(tx *vault.Tx) (err error) {
		r, err = readEpoch(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (h *epochHome) put(t *testing.T, r epochRecord) {
	t.Helper()
	if err := h.vault.Update(t.Context(), func(tx *vault.Tx) error { return putEpoch(tx, r) }); err != nil {
		t.Fatal(err)
	}
}

// attempt is one login as engine.logIn makes it, up to the crash. It is passed
// only when the last login was to a fresh epoch.
func (h *epochHome) attempt(ctx context.Context, at crash) (passed bool, err error) {
	for {
		if at == unreached {
			return false, nil
		}
		p := epochs{commit: h.vault.Update}
		from, to, err := p.offer(ctx)
		if err != nil || at == notSent {
			return false, err
		}
		if err := h.store.AdvanceEpoch(ctx, h.dev, server.Epoch(from), server.Epoch(to)); err != nil {
			return false, err
		}
		if at == answerLost || at == notWritten {
			return false, nil
		}
		if err := p.taken(ctx); err != nil {
			return false, err
		}
		if !p.repeated {
			return true, nil
		}
	}
}

// TestR_CLT_31_NoCrashLocksOut: after any three logins, each cut short anywhere,
// the home gets in; and then no copy of it that was made before gets in any
// more, wherever in a login it was made.
func TestR_CLT_31_NoCrashLocksOut(t *testing.T) {
	h := newEpochHome(t)
	for n := range crashPoints * crashPoints * crashPoints {
		points := []crash{crash(n / (crashPoints * crashPoints)), crash(n / crashPoints % crashPoints), crash(n % crashPoints)}
		var copies []epochRecord
		for _, at := range points {
			copies = append(copies, h.record(t))
			if _, err := h.attempt(t.Context(), at); err != nil {
				t.Fatalf("%v: a login cut short at %d is refused: %v", points, at, err)
			}
		}
		copies = append(copies, h.record(t))
		if passed, err := h.attempt(t.Context(), whole); err != nil || !passed {
			t.Fatalf("%v: the home is locked out: %v", points, err)
		}
		now := h.record(t)
		for i, c := range copies {
			h.put(t, c)
			if _, err := h.attempt(t.Context(), whole); !errors.Is(err, server.ErrConflict) {
				t.Fatalf("%v: the copy before login %d passes: %v", points, i, err)
			}
		}
		h.put(t, now)
	}
}

// TestR_CLT_31_OfflineDrawsNothing: while the server is not reached nothing is
// drawn, so that a copy made then holds no value that the server will take.
func TestR_CLT_31_OfflineDrawsNothing(t *testing.T) {
	store := memstore.New()
	w := newBench(t, server.Stores{Directory: store, Mailbox: store, Wake: store})
	c, cfg := w.join("alice")
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &epochHome{vault: c.engine.vault}
	before := h.record(t)
	if len(before.Current) == 0 || len(before.Next) != 0 {
		t.Fatalf("after a login: %x, %x", before.Current, before.Next)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Dial = deadNetwork
	off, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer off.Close()
	if err := off.Sync(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	h.vault = off.(*Client).engine.vault
	if after := h.record(t); string(after.Current) != string(before.Current) || len(after.Next) != 0 {
		t.Errorf("an attempt that reached nobody: %x, %x", after.Current, after.Next)
	}
}

// TestR_CLT_30_NothingSealedBeforeTheLogin: without a login in this process a
// message is stored unsealed and no session moves; after it, it is sealed.
func TestR_CLT_30_NothingSealedBeforeTheLogin(t *testing.T) {
	store := memstore.New()
	w := newBench(t, server.Stores{Directory: store, Mailbox: store, Wake: store})
	alice, cfg := w.join("alice")
	bob, _ := w.join("bob")
	defer bob.Close()
	if _, err := alice.Send(t.Context(), "bob", "one", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	alice.Close()
	online := cfg
	cfg.Dial = deadNetwork
	off, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	before := sessionHeads(t, off.(*Client))
	m, err := off.Send(t.Context(), "bob", "two", SendOptions{})
	if !errors.Is(err, ErrUnreachable) || m.Status != StatusSending || !m.SealedAt.IsZero() {
		t.Fatalf("%+v, %v", m, err)
	}
	if after := sessionHeads(t, off.(*Client)); len(before) != 1 || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("a session moved")
	}
	for _, o := range outboxOf(t, off.(*Client)) {
		if len(o.Sealed) != 0 || len(o.Content) == 0 {
			t.Errorf("the outbox holds %d sealed copies", len(o.Sealed))
		}
	}
	off.Close()
	on, err := Open(t.Context(), online)
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	if err := on.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err = on.Message(t.Context(), m.ID); err != nil || m.Status != StatusAccepted || m.SealedAt.IsZero() {
		t.Errorf("%+v, %v", m, err)
	}
}

func sessionHeads(t *testing.T, c *Client) (heads []string) {
	t.Helper()
	err := c.engine.view(t.Context(), func(tx *vault.Tx) error {
		return tx.Scan(tableSession, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			heads = append(heads, string(r.Key)+string(r.Value))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return heads
}

func outboxOf(t *testing.T, c *Client) []outboxRecord {
	t.Helper()
	all, err := c.engine.outboxAfter(t.Context(), firstOrder)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A stored epoch of another size is damage, not another epoch.
func TestR_CLT_30_DamagedEpoch(t *testing.T) {
	h := newEpochHome(t)
	h.put(t, epochRecord{Current: make([]byte, len(relay.Epoch{})-1)})
	p := epochs{commit: h.vault.Update}
	if _, _, err := p.offer(t.Context()); !errors.Is(err, ErrStoreDamaged) {
		t.Errorf("%v", err)
	}
}
