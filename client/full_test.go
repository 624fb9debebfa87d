package client_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// cramped is a mailbox in which one device has no room.
type cramped struct {
	server.Mailbox
	device atomic.Value // string
	alone  atomic.Int64 // envelopes refused that came by themselves
}

func (m *cramped) has(d server.Device) bool { return d.ID.String() == m.device.Load() }

func (m *cramped) Append(ctx context.Context, in []server.Envelope) ([]server.Result, error) {
	if slices.ContainsFunc(in, func(e server.Envelope) bool { return m.has(e.Device) }) {
		if len(in) == 1 {
			m.alone.Add(1)
		}
		return nil, server.ErrFull
	}
	return m.Mailbox.Append(ctx, in)
}

func (m *cramped) Stat(ctx context.Context, dev server.Device) (server.Stat, error) {
	if m.has(dev) {
		return server.Stat{Count: server.MailboxMessages}, nil
	}
	return m.Mailbox.Stat(ctx, dev)
}

// crowded is two friends, each with a second device, at a server with one clock
// for all.
type crowded struct {
	*world
	box                          *cramped
	ahead                        atomic.Int64 // nanoseconds
	alice, desktop, bob, tablet  client.API
	aliceIs, bobIs, tabletDevice string
}

func newCrowded(t *testing.T) *crowded {
	t.Helper()
	m := memstore.New()
	x := &crowded{box: &cramped{Mailbox: m}}
	now := func() time.Time { return time.Now().Add(time.Duration(x.ahead.Load())) }
	x.world = &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: m, Mailbox: x.box, Wake: m}}
	x.serve(server.Config{Stores: x.stores, Listen: "127.0.0.1:0", Dir: x.dir, Now: now})
	home := func(name string) client.Config {
		c := config(t, name)
		c.Now = now
		return c
	}
	x.alice, x.bob = friends(t, x.world, home("alice"), home("bob"))
	x.desktop = x.anotherIn(home("desktop"), x.alice, "desktop")
	x.tablet = x.anotherIn(home("tablet"), x.bob, "tablet")
	x.aliceIs, x.bobIs, x.tabletDevice = x.alice.Account().Address, x.bob.Account().Address, x.tablet.Account().Device
	send(t, x.alice, "bob", "before")
	reached(t, "everybody knows everybody", func() bool {
		knows := func(c client.API, who string) bool {
			all, err := c.Contacts(ctx(t))
			return err == nil && slices.ContainsFunc(all, func(c client.Contact) bool { return c.Address == who })
		}
		return knows(x.tablet, x.aliceIs) && knows(x.desktop, x.bobIs) &&
			has(t, x.tablet, x.aliceIs, "before")() && has(t, x.desktop, x.bobIs, "before")()
	}, x.all()...)
	x.quiet()
	return x
}

func (x *crowded) all() []client.API { return []client.API{x.alice, x.desktop, x.bob, x.tablet} }

func (x *crowded) later(d time.Duration) { x.ahead.Add(int64(d)) }

// quiet waits until nothing is on its way any more.
func (x *crowded) quiet() {
	x.t.Helper()
	reached(x.t, "every outbox is empty", func() bool {
		for _, c := range x.all() {
			if status(x.t, c).Outbox != 0 {
				return false
			}
		}
		return true
	}, x.all()...)
}

func claims(s client.Status) bool { return s == client.StatusDelivered || s == client.StatusRead }

func count(all []string, want string) (n int) {
	for _, s := range all {
		if s == want {
			n++
		}
	}
	return n
}

// TestR_CLT_51_FullTablet: a device of the recipient whose mailbox is full
// keeps nobody from anything; nothing is claimed of it; and when it is back it
// asks for what it was left out of and gets it.
func TestR_CLT_51_FullTablet(t *testing.T) {
	x := newCrowded(t)
	bobs := x.bob.Account().Device
	x.box.device.Store(x.tabletDevice)
	var sent []client.Message
	for i := range 3 {
		m := send(t, x.alice, "bob", fmt.Sprint("left out ", i)) // accepted, as a whole
		if m.PerDevice[x.tabletDevice] != client.StatusFailed || m.PerDevice[bobs] != client.StatusAccepted || m.Cause != "" {
			t.Fatalf("sent as %+v", m)
		}
		sent = append(sent, m)
	}
	for _, s := range sent {
		until(t, "that is written down", func() bool {
			m, err := x.alice.Message(ctx(t), s.ID)
			return err == nil && !m.AcceptedAt.IsZero()
		})
		m, err := x.alice.Message(ctx(t), s.ID)
		if err != nil || m.PerDevice[x.tabletDevice] != client.StatusFailed || m.Cause != "" || m.AcceptedAt.IsZero() {
			t.Errorf("stored as %+v, %v", m, err)
		}
		said := fmt.Sprint(client.Explain(m))
		if !strings.Contains(said, "device "+x.tabletDevice+" was left out, for its mailbox was full") {
			t.Errorf("explained as %s", said)
		}
	}
	if got := take(t, x.bob); !slices.Contains(got, "left out 0") || !slices.Contains(got, "left out 2") {
		t.Errorf("bob got %q", got)
	}
	x.later(3 * 24 * time.Hour)
	x.box.device.Store("")
	send(t, x.alice, "bob", "back again")
	reached(t, "the tablet is back", has(t, x.tablet, x.aliceIs, "back again"), x.tablet)
	if got := shown(t, x.tablet, x.aliceIs); count(got, "left out 0") != 0 {
		t.Fatalf("the tablet was not left out: %q", got)
	}
	x.later(client.GapAfter + 2*time.Second)
	reached(t, "the tablet has everything", has(t, x.tablet, x.aliceIs, "left out 0", "left out 1", "left out 2"), x.tablet, x.alice)
	reached(t, "and says so", func() bool {
		for _, s := range sent {
			if m, err := x.alice.Message(ctx(t), s.ID); err != nil || !claims(m.PerDevice[x.tabletDevice]) {
				return false
			}
		}
		return true
	}, x.tablet, x.alice)
	for _, s := range sent {
		if n := count(shown(t, x.tablet, x.aliceIs), s.Text); n != 1 {
			t.Errorf("%q is shown %d times", s.Text, n)
		}
	}
	if m, err := x.alice.Message(ctx(t), sent[0].ID); err != nil || strings.Contains(fmt.Sprint(client.Explain(m)), "mailbox was full") {
		t.Errorf("still explained as left out: %v", err)
	}
}

// TestR_CLT_51_FullDesktop: another device of one's own whose mailbox is full
// is left out as well, and learns what was sent meanwhile, however long ago.
func TestR_CLT_51_FullDesktop(t *testing.T) {
	x := newCrowded(t)
	x.box.device.Store(x.desktop.Account().Device)
	for _, s := range []string{"one", "two"} {
		m := send(t, x.alice, "bob", s)
		if len(m.PerDevice) != 2 || m.PerDevice[x.tabletDevice] != client.StatusAccepted {
			t.Fatalf("sent as %+v", m)
		}
		x.later(3 * 24 * time.Hour)
	}
	if got := take(t, x.bob); !slices.Contains(got, "one") || !slices.Contains(got, "two") {
		t.Errorf("bob got %q", got)
	}
	x.box.device.Store("")
	send(t, x.alice, "bob", "back again")
	reached(t, "the desktop is back", has(t, x.desktop, x.bobIs, "back again"), x.desktop)
	x.later(client.GapAfter + 2*time.Second)
	if err := x.desktop.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, x.desktop, x.bobIs); count(got, "one")+count(got, "two") != 0 {
		t.Fatalf("the desktop was not left out: %q", got)
	}
	x.later(client.OutboxFor + time.Minute)
	reached(t, "the desktop has everything", has(t, x.desktop, x.bobIs, "one", "two"), x.desktop, x.alice)
	for _, m := range history(t, x.desktop, x.bobIs) {
		if m.Text == "one" && m.Direction != client.Out {
			t.Errorf("it came as %+v", m)
		}
	}
	if got := shown(t, x.desktop, x.bobIs); count(got, "one") != 1 || count(got, "two") != 1 {
		t.Errorf("the desktop shows %q", got)
	}
}

// TestR_CLT_51_NothingWaitsBehindIt: what is for the full device alone, such as a
// receipt, waits, and nothing else behind it.
func TestR_CLT_51_NothingWaitsBehindIt(t *testing.T) {
	x := newCrowded(t)
	x.box.device.Store(x.tabletDevice)
	word := send(t, x.tablet, x.aliceIs, "the last word of the tablet")
	take(t, x.alice)
	reached(t, "the receipt waits", func() bool { return x.box.alone.Load() > 0 && status(t, x.alice).Outbox > 0 }, x.alice)
	m := send(t, x.alice, "bob", "passes by")
	if m.PerDevice[x.tabletDevice] != client.StatusFailed {
		t.Errorf("sent as %+v", m)
	}
	if got := take(t, x.bob); !slices.Contains(got, "passes by") {
		t.Errorf("bob got %q", got)
	}
	x.box.device.Store("")
	reached(t, "the receipt comes after all", func() bool {
		m, err := x.tablet.Message(ctx(t), word.ID)
		return err == nil && m.Status == client.StatusRead
	}, x.alice, x.tablet)
}
