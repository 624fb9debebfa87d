package server_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/sqlitestore"
)

func waiting(t *testing.T, w *world, p *person, dev address.Device) int {
	t.Helper()
	st, err := w.stores.Mailbox.Stat(t.Context(), server.Device{User: p.addr.User(), ID: dev})
	if err != nil {
		t.Fatal(err)
	}
	return st.Count
}

// R-REL-14: a send fits the recipient's devices or nothing of it is stored.
func TestR_REL_14_AllOrNone(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	old := to(bob, "old picture")
	second := address.NewDevice()
	entry := bob.next(func(l *devicelist.List) { l.Devices = append(l.Devices, bob.describe(second, key(t))) })
	if err := b.PutDeviceList(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	bob.held(entry)
	full := to(bob, "both")
	only := func(n int, version uint64) relay.SendRequest {
		r := full
		r.Messages, r.ListVersion = r.Messages[:n], version
		return r
	}
	stranger := to(bob, "one too many")
	stranger.Messages = append(stranger.Messages, outgoing(address.NewDevice(), "x"))
	unversioned := relay.SendRequest{To: "bob", Messages: stranger.Messages}
	for name, r := range map[string]relay.SendRequest{
		"the version before":                     old,
		"a version to come":                      only(2, 3),
		"a device is missing":                    only(1, 2),
		"a device too many":                      stranger,
		"an unlisted device and no version":      unversioned,
		"one of two devices and version 1, past": only(1, 1),
	} {
		result, err := a.Send(t.Context(), r)
		if err != nil || result.Stale == nil || result.Stale.Version != 2 || result.Accepted != nil {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	if n := waiting(t, w, bob, bob.device) + waiting(t, w, bob, second); n != 0 {
		t.Fatalf("%d messages were stored", n)
	}
	send(t, a, full)
	send(t, a, only(1, 0)) // without a version: any of the active devices
	if one, two := waiting(t, w, bob, bob.device), waiting(t, w, bob, second); one != 1 || two != 1 {
		// The one above repeats an id, so it is stored once.
		t.Errorf("%d and %d messages are stored", one, two)
	}
	_, err := a.Send(t.Context(), relay.SendRequest{To: "nobody", Messages: full.Messages})
	wantCode(t, err, relay.NotFound)

	// To oneself: every device but the sending one.
	note := to(bob, "note")
	note.Messages = note.Messages[1:]
	send(t, b, note)
	result, err := b.Send(t.Context(), to(bob, "to all"))
	if err != nil || result.Stale == nil {
		t.Errorf("a device sends to itself: %+v, %v", result, err)
	}
}

// R-REL-16: sending again under the same ids stores nothing twice, and another
// sender's equal id is another message.
func TestR_REL_16_Idempotent(t *testing.T) {
	w := serve(t)
	alice, bob, carol := w.person("alice"), w.person("bob"), w.person("carol")
	a, c := alice.connect(), carol.connect()
	r := to(bob, "once")
	for range 3 {
		send(t, a, r)
	}
	send(t, c, r)
	b := bob.connect()
	got := receive(t, b, -1)
	if len(got) != 2 || got[0].ID == got[1].ID {
		t.Fatalf("%d messages came", len(got))
	}
	send(t, a, r) // also after it was acknowledged
	send(t, a, to(bob, "next"))
	if got := bodies(receive(t, b, 1)); got[0] != "next" {
		t.Fatalf("%q came again", got)
	}
}

// R-REL-17: an envelope up to the limit is accepted, and one byte more is not.
func TestR_REL_17_EnvelopeSize(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	big := make([]byte, relay.MaxEnvelope+1)
	_, err := a.Send(t.Context(), to(bob, string(big)))
	wantCode(t, err, relay.TooLarge)
	send(t, a, to(bob, string(big[1:])))
	if got := receive(t, bob.connect(), -1); len(got) != 1 || len(got[0].Body) != relay.MaxEnvelope {
		t.Errorf("%d messages came", len(got))
	}
	huge := relay.SendRequest{To: "bob"}
	for i := range relay.MaxDevices {
		huge.Messages = append(huge.Messages, outgoing(address.Device(i+1), string(make([]byte, relay.MaxPacket/4))))
	}
	_, err = a.Send(t.Context(), huge)
	wantCode(t, err, relay.TooLarge)
}

// R-REL-18: a message whose time is over is gone.
func TestR_REL_18_Expiry(t *testing.T) {
	now := time.Now()
	mem := memstore.New()
	defer mem.Close()
	expiring := func(c *server.Config) {
		c.Stores, c.Now = storesOf(mem), func() time.Time { return now }
	}
	w := serve(t, expiring)
	alice, bob := w.person("alice"), w.person("bob")
	short, long := to(bob, "short"), to(bob, "long")
	short.TTL = 60
	a := alice.connect()
	send(t, a, short)
	send(t, a, long)
	a.Close()
	w.stop()

	// The job runs at the start.
	now = now.Add(2 * time.Minute)
	w2 := serve(t, expiring, func(c *server.Config) { c.Listen = w.srv.Addr() })
	for waiting(t, w2, bob, bob.device) != 1 {
		if t.Context().Err() != nil {
			t.Fatal("the message does not expire")
		}
	}
	now = now.Add(relay.MaxTTL)
	w2.stop()
	w3 := serve(t, expiring, func(c *server.Config) { c.Listen = w.srv.Addr() })
	for waiting(t, w3, bob, bob.device) != 0 {
		if t.Context().Err() != nil {
			t.Fatal("the message does not expire")
		}
	}
}

// R-REL-15: accounts, prekeys and accepted messages outlive the server.
func TestR_REL_15_Restart(t *testing.T) {
	dir := t.TempDir()
	open := func() *sqlitestore.Store {
		st, err := sqlitestore.Open(sqlitestore.Options{Dir: filepath.Join(dir, "store")})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	w := serve(t, func(c *server.Config) { c.Stores, c.Dir = storesOf(st), dir })
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	send(t, a, to(bob, "kept"))
	again := to(bob, "kept too")
	send(t, a, again)
	if _, err := a.TakeBundle(t.Context(), "bob", bob.device); err != nil {
		t.Fatal(err)
	}
	w.stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	st = open()
	defer st.Close()
	w2 := serve(t, func(c *server.Config) { c.Stores, c.Dir, c.Listen = storesOf(st), dir, w.srv.Addr() })
	defer w2.stop()
	a = alice.connect() // with the pin of before
	send(t, a, again)
	b := bob.connect()
	if got := bodies(receive(t, b, -1)); len(got) != 2 || got[0] != "kept" || got[1] != "kept too" {
		t.Errorf("%q came", got)
	}
	status, err := b.PrekeyStatus(t.Context())
	if err != nil || status.EC != 99 || status.Digest != bob.upload.Digest() {
		t.Errorf("PrekeyStatus = %+v, %v", status, err)
	}
}

// failing is a mailbox whose disk has a fault.
type failing struct {
	server.Mailbox
	err error
}

func (f *failing) Append(ctx context.Context, e []server.Envelope) ([]server.Result, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Mailbox.Append(ctx, e)
}

// R-REL-15, R-REL-26: nothing is accepted that is not stored, and the sender is
// told what to do.
func TestR_REL_26_StoreFaults(t *testing.T) {
	mem := memstore.New()
	defer mem.Close()
	box := &failing{Mailbox: mem}
	w := serve(t, func(c *server.Config) {
		c.Stores = storesOf(mem)
		c.Mailbox = box
	})
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	for _, c := range []struct {
		err  error
		code relay.Code
		wait bool
	}{
		{server.ErrDiskFull, relay.Unavailable, true},
		{server.ErrBusy, relay.Unavailable, true},
		{server.ErrClosed, relay.Unavailable, true},
		{server.ErrFull, relay.MailboxFull, false},
		{errors.New("bob: /var/lib/x: I/O error"), relay.Internal, false},
	} {
		box.err = c.err
		_, err := a.Send(t.Context(), to(bob, "lost"))
		if e := wantCode(t, err, c.code); (e.RetryAfter > 0) != c.wait {
			t.Errorf("%v: retry after %v", c.err, e.RetryAfter)
		}
	}
	box.err = server.ErrRemoved
	if r, err := a.Send(t.Context(), to(bob, "lost")); err != nil || r.Stale == nil {
		t.Errorf("to a device just removed: %+v, %v", r, err)
	}
	box.err = nil
	send(t, a, to(bob, "stored"))
	if got := bodies(receive(t, bob.connect(), -1)); len(got) != 1 || got[0] != "stored" {
		t.Errorf("%q came", got)
	}
}
