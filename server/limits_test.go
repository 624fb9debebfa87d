package server_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
)

func limited(adjust func(*server.Limits)) func(*server.Config) {
	return func(c *server.Config) { adjust(&c.Limits) }
}

// R-REL-13: taking bundles is limited for each pair of devices and for each
// target, also when the requesters are many, and a full table refuses.
func TestR_REL_13_BundleLimits(t *testing.T) {
	w := serve(t, limited(func(l *server.Limits) {
		l.BundlePair = server.Rate{Burst: 2, Every: time.Hour}
		l.BundleTarget = server.Rate{Burst: 5, Every: time.Hour}
	}))
	alice, bob, carol, dave := w.person("alice"), w.person("bob"), w.person("carol"), w.person("dave")
	take := func(c *relayclient.Conn, from *person) error {
		_, err := c.TakeBundle(t.Context(), from.addr.User(), from.device)
		return err
	}
	b, c, d := bob.connect(), carol.connect(), dave.connect()
	for _, conn := range []*relayclient.Conn{b, b, c, c} {
		if err := take(conn, alice); err != nil {
			t.Fatal(err)
		}
	}
	if e := wantCode(t, take(b, alice), relay.RateLimited); e.RetryAfter <= 0 || e.RetryAfter > time.Hour {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	if err := take(d, alice); err != nil { // the fifth and last for this target
		t.Fatal(err)
	}
	wantCode(t, take(d, alice), relay.RateLimited)
	if err := take(b, carol); err != nil { // others are not affected
		t.Fatal(err)
	}
	// Nobody is limited like somebody: the answer does not tell them apart.
	nobody := w.somebody("nobody")
	for range 2 {
		wantCode(t, take(b, nobody), relay.NotFound)
	}
	wantCode(t, take(b, nobody), relay.RateLimited)

	full := serve(t, limited(func(l *server.Limits) {
		l.BundlePair = server.Rate{Burst: 1, Every: time.Hour}
		l.Buckets = 2
	}))
	eve := full.person("eve").connect()
	for _, name := range []string{"a", "b"} {
		if err := take(eve, full.person(name)); err != nil {
			t.Fatal(err)
		}
	}
	// Two buckets are in use. Opening others must not make either full again.
	for _, name := range []string{"c", "d"} {
		wantCode(t, take(eve, full.person(name)), relay.RateLimited)
	}
}

// R-REL-17: sending is limited for each pair of accounts and each sender.
func TestR_REL_17_SendLimits(t *testing.T) {
	w := serve(t, limited(func(l *server.Limits) {
		l.SendPair = server.Rate{Burst: 2, Every: time.Hour}
		l.SendRequester = server.Rate{Burst: 5, Every: time.Hour}
		l.SendBytes = server.Rate{Burst: 100, Every: time.Hour}
	}))
	alice, bob, carol, dave := w.person("alice"), w.person("bob"), w.person("carol"), w.person("dave")
	a := alice.connect()
	for range 2 {
		send(t, a, to(bob, "x"))
	}
	_, err := a.Send(t.Context(), to(bob, "x"))
	wantCode(t, err, relay.RateLimited)
	_, err = a.Send(t.Context(), to(carol, string(make([]byte, 101))))
	wantCode(t, err, relay.RateLimited)
	send(t, a, to(carol, "x"))
	_, err = a.Send(t.Context(), to(dave, "x"))
	wantCode(t, err, relay.RateLimited)
	send(t, dave.connect(), to(bob, "x"))
}

// R-REL-23: connections and registrations are limited for each address.
func TestR_REL_23_AddressLimits(t *testing.T) {
	w := serve(t, limited(func(l *server.Limits) { l.Registrations = server.Rate{Burst: 2, Every: time.Hour} }))
	w.person("alice")
	w.person("bob")
	wantCode(t, w.tryRegister(w.somebody("carol").request()), relay.RateLimited)

	w = serve(t, limited(func(l *server.Limits) { l.ConnectionsPerAddress = 2 }))
	open := func() net.Conn {
		c, err := net.Dial("tcp", w.srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	closed := func(c net.Conn) bool {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := c.Read(make([]byte, 1))
		nerr, ok := err.(net.Error)
		return err != nil && !(ok && nerr.Timeout())
	}
	first, _ := open(), open()
	if !closed(open()) {
		t.Error("a third connection is held")
	}
	first.Close() // makes room, as soon as the server has noticed
	var once sync.Once
	for deadline := time.Now().Add(5 * time.Second); ; {
		c := open()
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				break // held
			}
		}
		c.Close()
		if time.Now().After(deadline) {
			once.Do(func() { t.Error("no room after one has left") })
			break
		}
	}
}
