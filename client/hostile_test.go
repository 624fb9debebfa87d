package client_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// tap is a mailbox in a malicious server's hands: it records what passes, and
// change, when set, decides what is stored in the place of an envelope.
type tap struct {
	server.Mailbox
	turns  sync.Mutex // held while change is asked: a fan-out appends to several mailboxes at once
	mu     sync.Mutex
	seen   [][]byte
	change func(server.Envelope) []server.Envelope
}

func (m *tap) Append(ctx context.Context, in []server.Envelope) ([]server.Result, error) {
	m.mu.Lock()
	change := m.change
	for _, e := range in {
		m.seen = append(m.seen, bytes.Clone(e.Body))
	}
	m.mu.Unlock()
	if change == nil {
		return m.Mailbox.Append(ctx, in)
	}
	var out []server.Envelope
	m.turns.Lock()
	for _, e := range in {
		out = append(out, change(e)...)
	}
	m.turns.Unlock()
	res := make([]server.Result, len(in))
	for _, e := range out {
		r, err := m.Mailbox.Append(ctx, []server.Envelope{e})
		if err != nil {
			return nil, err
		}
		for i := range in {
			res[i] = r[0]
		}
	}
	return res, nil
}

func (m *tap) set(change func(server.Envelope) []server.Envelope) {
	m.mu.Lock()
	m.change = change
	m.mu.Unlock()
}

func (m *tap) recorded() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

func newHostileWorld(t *testing.T) (*world, *tap) {
	t.Helper()
	m := memstore.New()
	box := &tap{Mailbox: m}
	w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: m, Mailbox: box, Wake: m}}
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
	return w, box
}

// TestR_CLT_04_ReplayedDeliveries: a server that delivers everything three
// times, also much later, shows nothing twice.
func TestR_CLT_04_ReplayedDeliveries(t *testing.T) {
	w, box := newHostileWorld(t)
	bobHome := config(t, "bob")
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(bobHome, "bob")
	n := byte(0)
	repeat := func(e server.Envelope) []server.Envelope {
		out := []server.Envelope{e}
		for range 2 {
			n++
			e.ID[0] ^= n // a fresh id, as a server may claim
			out = append(out, e)
		}
		return out
	}
	box.set(repeat)
	send(t, alice, "bob", "one")
	send(t, alice, "bob", "two")
	if got := take(t, bob); !slices.Equal(got, []string{"one", "two"}) {
		t.Fatalf("got %q", got)
	}
	send(t, bob, "alice", "three")
	if got := take(t, alice); !slices.Equal(got, []string{"three"}) {
		t.Fatalf("got %q", got)
	}
	// Everything ever recorded once more, in reverse.
	old := box.recorded()
	slices.Reverse(old)
	box.set(func(e server.Envelope) []server.Envelope {
		out := []server.Envelope{e}
		for i, b := range old {
			c := e
			c.ID[1], c.ID[2], c.Body = byte(i), 0xff, b
			out = append(out, c)
		}
		return out
	})
	for _, text := range []string{"four", "five"} {
		send(t, alice, "bob", text)
		if got := take(t, bob); !slices.Equal(got, []string{text}) {
			t.Fatalf("got %q", got)
		}
		bob.Close() // what was handled is remembered on disk
		bob = open(t, bobHome)
	}
}

// TestR_CLT_05_Tampered: an altered message leaves a tombstone that says so and
// does not disturb the conversation; the true one still opens afterwards.
func TestR_CLT_05_Tampered(t *testing.T) {
	w, box := newHostileWorld(t)
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "one")
	take(t, bob)
	send(t, bob, "alice", "two")
	take(t, alice)
	var once atomic.Bool
	box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User != "bob" || once.Swap(true) {
			return []server.Envelope{e}
		}
		bad := e
		bad.ID[0]++
		bad.Body = bytes.Clone(e.Body)
		bad.Body[len(bad.Body)-1] ^= 1
		return []server.Envelope{bad, e}
	})
	send(t, alice, "bob", "three")
	if got := take(t, bob); !slices.Equal(got, []string{"undecryptable:forged", "three"}) {
		t.Fatalf("got %q", got)
	}
	// The true message is here: bob's device asks, and finds that it lacks nothing.
	reached(t, "alice's device has answered", func() bool {
		h := history(t, bob, "alice")
		return len(h) == 4 && h[2].Repair == client.RepairNothing && !h[2].Repaired
	}, alice, bob)
	box.set(func(e server.Envelope) []server.Envelope {
		e.Body = e.Body[:len(e.Body)/2]
		return []server.Envelope{e}
	})
	send(t, alice, "bob", "lost on the way")
	box.set(nil)
	send(t, alice, "bob", "five")
	if got := take(t, bob); !slices.Equal(got, []string{"five"}) {
		t.Fatalf("got %q", got)
	}
}

// TestR_CLT_05_TombstonesBounded: a server that makes up messages cannot fill a
// conversation.
func TestR_CLT_05_TombstonesBounded(t *testing.T) {
	w, box := newHostileWorld(t)
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "one")
	send(t, bob, "alice", "two")
	take(t, alice)
	box.set(func(e server.Envelope) []server.Envelope {
		out := []server.Envelope{e}
		for i := range 3 * client.MaxTombstones {
			bad := e
			bad.ID[3], bad.ID[4] = byte(i), byte(i>>8)
			bad.Body = bytes.Clone(e.Body)
			bad.Body[len(bad.Body)-1-i%32] ^= byte(1 + i/32)
			out = append(out, bad)
		}
		return out
	})
	send(t, alice, "bob", "three")
	got := take(t, bob)
	if n := len(got); n > 2+client.MaxTombstones || n < client.MaxTombstones {
		t.Fatalf("%d entries", n)
	}
}

// swapped answers for one user from another directory: a server that
// substitutes keys.
type swapped struct {
	server.Directory
	mu    sync.Mutex
	other server.Directory
	user  string
}

func (s *swapped) now(user string) server.Directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user == s.user && s.other != nil {
		return s.other
	}
	return s.Directory
}

func (s *swapped) Account(ctx context.Context, user string) (server.Account, error) {
	return s.now(user).Account(ctx, user)
}

func (s *swapped) TakeOneTime(ctx context.Context, d server.Device) (server.Taken, error) {
	return s.now(d.User).TakeOneTime(ctx, d)
}

func (s *swapped) CountOneTime(ctx context.Context, d server.Device) (int, int, error) {
	return s.now(d.User).CountOneTime(ctx, d)
}

func (s *swapped) PutOneTime(ctx context.Context, user string, sets ...server.OneTimeSet) error {
	return s.now(user).PutOneTime(ctx, user, sets...)
}

func (s *swapped) UpdateAccount(ctx context.Context, c server.Change) (server.Version, error) {
	return s.now(c.User).UpdateAccount(ctx, c)
}

// TestR_CLT_07_IdentityChanged, R-CLT-08: another account key in the place of a pinned
// one stops sending, is shown, and holds what comes from it until the person
// has decided.
func TestR_CLT_07_IdentityChanged(t *testing.T) {
	m, impostors := memstore.New(), memstore.New()
	dir := &swapped{Directory: m}
	w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: dir, Mailbox: m, Wake: m}}
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "one")
	send(t, bob, "alice", "two")
	take(t, alice)
	bob.Close()
	before, err := alice.SafetyNumber(ctx(t), "bob")
	if err != nil {
		t.Fatal(err)
	}
	// A second server with the same name and key makes the other bob.
	second := &world{t: t, dir: w.dir, stores: server.Stores{Directory: impostors, Mailbox: impostors, Wake: impostors}}
	addr, host := w.server.Addr(), w.server.Host()
	w.stop()
	second.serve(server.Config{Stores: second.stores, Listen: addr, Host: host, Dir: w.dir})
	otherHome := config(t, "other")
	other := second.join(otherHome, "bob")
	other.Close()
	second.stop()
	dir.mu.Lock()
	dir.other, dir.user = impostors, "bob"
	dir.mu.Unlock()
	w.serve(server.Config{Stores: w.stores, Listen: addr, Host: host, Dir: w.dir})

	_, err = alice.Send(ctx(t), "bob", "three", client.SendOptions{})
	for errors.Is(err, client.ErrUnreachable) { // the old connection was still dying
		_, err = alice.Send(ctx(t), "bob", "three", client.SendOptions{})
	}
	if !errors.Is(err, client.ErrIdentityChanged) {
		t.Fatalf("sent to a changed identity: %v", err)
	}
	c, err := alice.Contact(ctx(t), "bob")
	if err != nil || c.Trust != client.TrustChanged || c.Pending == "" || c.Pending == c.Identity {
		t.Fatalf("contact %+v, %v", c, err)
	}
	other = open(t, otherHome)
	send(t, other, "alice", "it is me, really")
	if got := take(t, alice); !slices.Equal(got, []string{"notice:identity_changed"}) {
		t.Fatalf("got %q", got)
	}
	after, err := alice.SafetyNumber(ctx(t), "bob")
	if err != nil || after.Digits == before.Digits || after.Trust != client.TrustChanged {
		t.Fatalf("safety number %+v, %v", after, err)
	}
	if err := alice.Confirm(ctx(t), "bob"); err != nil {
		t.Fatal(err)
	}
	if got := take(t, alice); !slices.Equal(got, []string{"it is me, really"}) {
		t.Fatalf("held messages after confirming: %q", got)
	}
	send(t, alice, "bob", "four")
	if got := take(t, other); !slices.Equal(got, []string{"four"}) {
		t.Fatalf("got %q", got)
	}
}

// TestR_CLT_06_Pin: a server with another key than the invite's is refused,
// before anything is said to it.
func TestR_CLT_06_Pin(t *testing.T) {
	w := newWorld(t)
	alice := w.join(config(t, "alice"), "alice")
	addr := w.server.Addr()
	w.stop()
	other := &world{t: t, dir: t.TempDir(), stores: w.stores}
	other.serve(server.Config{Stores: w.stores, Listen: addr, Dir: other.dir})
	until(t, "the other key is noticed", func() bool {
		return errors.Is(alice.Sync(ctx(t)), client.ErrServerIdentity)
	})
	home := config(t, "bob")
	_, err := client.Register(ctx(t), home, client.RegisterRequest{Name: "bob", Invite: w.invite})
	if !errors.Is(err, client.ErrServerIdentity) {
		t.Fatal(err)
	}
	if _, err := client.Open(ctx(t), home); !errors.Is(err, client.ErrNotRegistered) {
		t.Fatalf("a refused registration left an account: %v", err)
	}
}

// TestR_CLT_09_Registration: refusals leave a home that can be used again.
func TestR_CLT_09_Registration(t *testing.T) {
	w := newWorld(t)
	w.join(config(t, "alice"), "alice")
	home := config(t, "bob")
	bad := w.invite[:strings.Index(w.invite, "/invite/")+8] + "AAAAAAAAAAAAAAAAAAAAAA" + w.invite[strings.Index(w.invite, "?pin"):]
	for _, c := range []struct {
		req  client.RegisterRequest
		want error
	}{
		{client.RegisterRequest{Name: "bob", Invite: "pawl://nonsense"}, client.ErrInvite},
		{client.RegisterRequest{Name: "bob", Invite: bad}, client.ErrInvite},
		{client.RegisterRequest{Name: "bob"}, client.ErrInvite},
		{client.RegisterRequest{Name: "bob@elsewhere.example", Invite: w.invite}, client.ErrInvite},
		{client.RegisterRequest{Name: "alice", Invite: w.invite}, client.ErrNameTaken},
		{client.RegisterRequest{Name: "b\u202eob", Invite: w.invite}, client.ErrInvalidText},
		{client.RegisterRequest{Name: "bob", Invite: w.invite, DeviceName: "evil\x1b[2J"}, client.ErrInvalidText},
	} {
		if _, err := client.Register(ctx(t), home, c.req); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.req, err, c.want)
		}
	}
	bob, err := client.Register(ctx(t), home, client.RegisterRequest{Name: "BOB", Invite: w.invite, DeviceName: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	if a := bob.Account(); a.Address != "bob@"+w.server.Host() || a.DeviceName != "laptop" || len(a.Device) != 16 {
		t.Errorf("account %+v", a)
	}
	if _, err := client.Register(ctx(t), home, client.RegisterRequest{Name: "bob2", Invite: w.invite}); !errors.Is(err, client.ErrAlreadyHere) {
		t.Errorf("a second account in one home: %v", err)
	}
}

// TestR_CLT_11_Clock: with a clock hours off nothing is sent and nothing lost.
func TestR_CLT_11_Clock(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	alice, bob := w.join(home, "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "one")
	alice.Close()
	off := home
	off.Now = func() time.Time { return time.Now().Add(-5 * time.Hour) }
	alice = open(t, off)
	if _, err := alice.Send(ctx(t), "bob", "two", client.SendOptions{}); !errors.Is(err, client.ErrClock) {
		t.Fatal(err)
	}
	alice.Close()
	alice = open(t, home)
	if err := alice.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "both are there", func() bool { return slices.Equal(peek(t, bob), []string{"one", "two"}) })
}

// TestR_CLT_12_LogsNameNobody: a log at the most talkative level holds no name,
// address, text or key.
func TestR_CLT_12_LogsNameNobody(t *testing.T) {
	w, box := newHostileWorld(t)
	var log lockedBuffer
	home := config(t, "alice")
	home.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	alice, bob := w.join(home, "alice-in-the-log"), w.join(config(t, "bob"), "bob-in-the-log")
	send(t, bob, "alice-in-the-log", "text-in-the-log")
	box.set(func(e server.Envelope) []server.Envelope {
		e.Body = bytes.Clone(e.Body)
		e.Body[len(e.Body)-1] ^= 1
		return []server.Envelope{e}
	})
	send(t, bob, "alice-in-the-log", "text-in-the-log")
	take(t, alice)
	w.stop()
	_, _ = alice.Send(ctx(t), "bob-in-the-log", "text-in-the-log", client.SendOptions{})
	out := log.String()
	if !strings.Contains(out, "could not be opened") {
		t.Fatal("the log is empty: the test proves nothing")
	}
	for _, word := range []string{"in-the-log", "127.0.0.1", alice.Account().Device, bob.Account().Device, alice.Account().Identity} {
		if strings.Contains(out, word) {
			t.Errorf("the log names %q", word)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// drained is a directory that has handed out all one-time keys.
type drained struct{ server.Directory }

func (drained) TakeOneTime(context.Context, server.Device) (server.Taken, error) {
	return server.Taken{}, nil
}

// TestR_X3D_10_SpoiledFirstMessage: with only a last-resort key left, a server
// that delivers the initial message with garbage first does not spoil the true
// one, and the true one is not opened a second time as a new session.
func TestR_X3D_10_SpoiledFirstMessage(t *testing.T) {
	m := memstore.New()
	box := &tap{Mailbox: m}
	w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: drained{m}, Mailbox: box, Wake: m}}
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
	bobHome := config(t, "bob")
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(bobHome, "bob")
	box.set(func(e server.Envelope) []server.Envelope {
		bad, again := e, e
		bad.ID[0]++
		bad.Body = bytes.Clone(e.Body)
		bad.Body[len(bad.Body)-1] ^= 1
		again.ID[0] += 2
		again.Body = e.Body
		return []server.Envelope{bad, e, again}
	})
	send(t, alice, "bob", "hello")
	got := take(t, bob)
	if len(got) != 2 || got[0] == "hello" || got[1] != "hello" {
		t.Fatalf("got %q", got)
	}
	// R-CLT-24: the sender is told what the first message rested on.
	if got := take(t, alice); !slices.Equal(got, []string{"notice:last_resort_key"}) {
		t.Errorf("alice was told %q", got)
	}
	if s, err := bob.Status(ctx(t)); err != nil || s.Sessions != 1 {
		t.Fatalf("%d sessions, %v", s.Sessions, err)
	}
}
