package server_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// fill puts so many messages into a mailbox.
func fill(t *testing.T, m server.Mailbox, user string, device address.Device, count int) {
	t.Helper()
	for n := range count {
		e := server.Envelope{Device: server.Device{User: user, ID: device}, ID: server.MessageID{1, byte(n), byte(n >> 8)}, Body: []byte("x")}
		if _, err := m.Append(t.Context(), []server.Envelope{e}); err != nil {
			t.Fatal(err)
		}
	}
}

func sendRest(t *testing.T, c *relayclient.Conn, r relay.SendRequest) relay.SendResult {
	t.Helper()
	result, err := c.Send(t.Context(), r)
	if err != nil || result.Stale != nil {
		t.Fatalf("Send = %+v, %v", result, err)
	}
	return result
}

// crowd is two people with two devices each at a server over mem.
type crowd struct {
	*world
	mem          *memstore.Store
	alice, bob   *person
	a, b         *relayclient.Conn
	desk, tablet address.Device
}

func newCrowd(t *testing.T, adjust ...func(*server.Config)) *crowd {
	t.Helper()
	mem := memstore.New()
	t.Cleanup(func() { mem.Close() })
	x := &crowd{mem: mem}
	x.world = serve(t, append([]func(*server.Config){func(c *server.Config) { c.Stores = storesOf(mem) }}, adjust...)...)
	x.alice, x.bob = x.person("alice"), x.person("bob")
	x.a, x.b = x.alice.connect(), x.bob.connect()
	x.desk, x.tablet = x.alice.second(x.a).Device, x.bob.second(x.b).Device
	return x
}

func (x *crowd) request(body string) relay.SendRequest {
	r := to(x.bob, body)
	r.Own = copies(x.alice, x.alice.device, body)
	return r
}

// R-REL-35: devices without room are left out and named, everybody else gets
// what was sent, once, however often it is repeated.
func TestR_REL_35_LeftOut(t *testing.T) {
	x := newCrowd(t)
	fill(t, x.mem, "bob", x.tablet, server.MailboxMessages)
	r := x.request("one")
	for range 2 {
		got := sendRest(t, x.a, r)
		if !slices.Equal(got.Accepted, []address.Device{x.bob.device}) || !slices.Equal(got.Full, []address.Device{x.tablet}) || got.OwnFull != nil {
			t.Fatalf("the tablet is full: %+v", got)
		}
	}
	fill(t, x.mem, "alice", x.desk, server.MailboxMessages-1) // and "one" is there
	r = x.request("two")
	for range 2 {
		got := sendRest(t, x.a, r)
		if !slices.Equal(got.Full, []address.Device{x.tablet}) || !slices.Equal(got.OwnFull, []address.Device{x.desk}) {
			t.Fatalf("tablet and desk are full: %+v", got)
		}
	}
	if got := bodies(receive(t, x.b, 2)); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("bob got %q", got)
	}
	for who, dev := range map[*person]address.Device{x.bob: x.tablet, x.alice: x.desk} {
		if n := waiting(t, x.world, who, dev); n != server.MailboxMessages {
			t.Errorf("%d messages in a full mailbox", n)
		}
	}
	// Once there is room, a repetition reaches those that were left out.
	msgs, _, err := x.mem.Read(t.Context(), server.Device{User: "bob", ID: x.tablet}, 0, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.mem.Ack(t.Context(), server.Device{User: "bob", ID: x.tablet}, []server.Seq{msgs[0].Seq}); err != nil {
		t.Fatal(err)
	}
	if got := sendRest(t, x.a, r); got.Full != nil || len(got.Accepted) != 2 {
		t.Errorf("repeated with room: %+v", got)
	}
	// The tablet is full again.
	// For a device alone that is full nothing else can be done, nor for all of
	// the recipient's; then nobody gets anything.
	_, err = x.a.Send(t.Context(), relay.SendRequest{To: "bob", Messages: []relay.Outgoing{outgoing(x.tablet, "alone")}})
	wantCode(t, err, relay.MailboxFull)
	fill(t, x.mem, "bob", x.bob.device, server.MailboxMessages)
	_, err = x.a.Send(t.Context(), x.request("three"))
	wantCode(t, err, relay.MailboxFull)
	// A note to one's own devices is for recipients, too.
	note := to(x.alice, "note")
	note.Messages = slices.DeleteFunc(note.Messages, func(m relay.Outgoing) bool { return m.Device == x.alice.device })
	_, err = x.a.Send(t.Context(), note)
	wantCode(t, err, relay.MailboxFull)
	phone := x.alice.second(x.a).Device
	note.ListVersion, note.Messages = x.alice.list.Version, append(note.Messages, outgoing(phone, "note"))
	if got := sendRest(t, x.a, note); !slices.Equal(got.Accepted, []address.Device{phone}) || !slices.Equal(got.Full, []address.Device{x.desk}) {
		t.Errorf("a note: %+v", got)
	}
}

// R-REL-35, R-REL-16: a request that has itself filled a mailbox finds its copy
// there when it is repeated.
func TestR_REL_35_RepeatedIntoTheLastPlace(t *testing.T) {
	x := newCrowd(t)
	fill(t, x.mem, "bob", x.bob.device, server.MailboxMessages-1)
	fill(t, x.mem, "bob", x.tablet, server.MailboxMessages)
	fill(t, x.mem, "alice", x.desk, server.MailboxMessages-1)
	r := x.request("last")
	for range 3 {
		got := sendRest(t, x.a, r)
		if !slices.Equal(got.Accepted, []address.Device{x.bob.device}) || got.OwnFull != nil {
			t.Fatalf("%+v", got)
		}
	}
	_, err := x.a.Send(t.Context(), x.request("one too many"))
	wantCode(t, err, relay.MailboxFull)
}

// heavy is a mailbox in which one device has no bytes left, and which fails
// from the second try on if it is told to.
type heavy struct {
	server.Mailbox
	device atomic.Uint64
	fault  atomic.Pointer[error]
	blind  atomic.Bool // Stat knows nothing of it
}

func (h *heavy) Append(ctx context.Context, in []server.Envelope) ([]server.Result, error) {
	for _, e := range in {
		if uint64(e.Device.ID) == h.device.Load() {
			return nil, server.ErrFull
		}
	}
	if err := h.fault.Load(); err != nil {
		return nil, *err
	}
	return h.Mailbox.Append(ctx, in)
}

func (h *heavy) Stat(ctx context.Context, dev server.Device) (server.Stat, error) {
	if uint64(dev.ID) == h.device.Load() && !h.blind.Load() {
		return server.Stat{Count: 1, Bytes: server.MailboxBytes - server.SealOverhead}, nil
	}
	return h.Mailbox.Stat(ctx, dev)
}

// R-REL-35: bytes count as messages do, and what there is room for is stored
// whole or not at all.
func TestR_REL_35_BytesAndFaults(t *testing.T) {
	var box heavy
	x := newCrowd(t, func(c *server.Config) {
		box.Mailbox = c.Mailbox
		c.Mailbox = &box
	})
	box.device.Store(uint64(x.tablet))
	for _, c := range []struct {
		err  error
		code relay.Code
	}{{server.ErrDiskFull, relay.Unavailable}, {server.ErrFull, relay.MailboxFull}} {
		box.fault.Store(&c.err)
		_, err := x.a.Send(t.Context(), x.request("lost"))
		wantCode(t, err, c.code)
	}
	removed := error(server.ErrRemoved)
	box.fault.Store(&removed)
	if got, err := x.a.Send(t.Context(), x.request("lost")); err == nil && got.Stale == nil {
		t.Errorf("to a device just removed: %+v", got)
	}
	box.fault.Store(nil)
	box.blind.Store(true) // nobody knows who is to be left out
	_, err := x.a.Send(t.Context(), x.request("lost"))
	wantCode(t, err, relay.MailboxFull)
	for who, dev := range map[*person]address.Device{x.bob: x.bob.device, x.alice: x.desk} {
		if n := waiting(t, x.world, who, dev); n != 0 {
			t.Errorf("%d messages of refused sends are stored", n)
		}
	}
	box.blind.Store(false)
	if got := sendRest(t, x.a, x.request("kept")); !slices.Equal(got.Full, []address.Device{x.tablet}) || got.OwnFull != nil {
		t.Errorf("%+v", got)
	}
}
