package server_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/storetest"
)

// R-REL-32: when the change is answered, the device has lost everything, and
// what others wait for is as it was.
func TestR_REL_32_Revocation(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	login := alice.second(a)
	lost := w.dialAs(login)
	up, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: alice.accountKey(), Device: uint64(login.Device)}, login.Key)
	if err := lost.PutPrekeys(t.Context(), up.Bytes()); err != nil {
		t.Fatal(err)
	}
	a.Close() // so that messages wait
	send(t, b, to(alice, "to both"))
	fromLost := to(bob, "from the lost device")
	fromLost.Own = copies(alice, login.Device, "own copy")
	send(t, lost, fromLost)
	if one, two := waiting(t, w, alice, alice.device), waiting(t, w, alice, login.Device); one != 2 || two != 1 {
		t.Fatalf("%d and %d messages wait", one, two)
	}

	a = alice.connect()
	stale := to(alice, "after")
	alice.revoke(a, login.Device)
	// No wait: all of it is so by now, but that the device hears of it.
	if n := waiting(t, w, alice, login.Device); n != 0 {
		t.Errorf("%d messages wait for the revoked device", n)
	}
	if ec, kem, err := w.stores.Directory.CountOneTime(t.Context(), server.Device{User: "alice", ID: login.Device}); ec+kem != 0 || err != nil {
		t.Errorf("%d and %d prekeys are left, %v", ec, kem, err)
	}
	_, err := b.TakeBundle(t.Context(), "alice", login.Device)
	wantCode(t, err, relay.NotFound)
	if result, err := b.Send(t.Context(), stale); err != nil || result.Stale == nil || len(result.Stale.Entries) != 1 {
		t.Errorf("a send to it: %+v, %v", result, err)
	}
	if result, err := b.Send(t.Context(), relay.SendRequest{To: "alice", Messages: stale.Messages}); err != nil || result.Stale == nil {
		t.Errorf("a send to it without a version: %+v, %v", result, err)
	}
	_, err = lost.Send(t.Context(), to(bob, "late"))
	if !cutOff(err) {
		t.Errorf("a send by it: %v", err)
	}
	<-lost.Done()
	if !cutOff(lost.Err()) {
		t.Errorf("its connection ended with %v", lost.Err())
	}
	if c, err := relayclient.Dial(t.Context(), w.target(), login); !errors.Is(err, relay.Unauthorized) {
		t.Errorf("a new login: %v, %v", c, err)
	}
	if got := bodies(receive(t, a, -1)); !slices.Equal(got, []string{"to both", "own copy"}) {
		t.Errorf("the other device got %q", got)
	}
	if got := bodies(receive(t, b, 1)); !slices.Equal(got, []string{"from the lost device"}) {
		t.Errorf("the peer got %q", got)
	}
	send(t, b, to(alice, "goes on"))
}

// cutOff reports whether a connection ended by the server as it does for a
// revoked device. Who is just writing may notice the end before the reason.
func cutOff(err error) bool {
	return errors.Is(err, relay.Unauthorized) || errors.Is(err, relayclient.ErrUnreachable)
}

// R-REL-32: a device that revokes itself is told that it has, and is gone.
func TestR_REL_32_Itself(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	login := alice.second(alice.connect())
	c := w.dialAs(login)
	alice.revoke(c, login.Device)
	<-c.Done()
	if !errors.Is(c.Err(), relay.Unauthorized) {
		t.Errorf("its connection ended with %v", c.Err())
	}
}

// R-REL-32: a device that keeps sending while it is revoked gets nothing
// through once the change was answered, and everything it was told is stored is.
func TestR_REL_32_Race(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	a := alice.connect()
	for _, name := range []string{"bob", "carol", "dave", "eve", "frank", "grace", "heidi", "ivan"} {
		bob := w.person(name)
		login := alice.second(a)
		lost := w.dialAs(login)
		before := waiting(t, w, bob, bob.device)
		var mu sync.Mutex
		accepted, begun := 0, make(chan struct{})
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				for {
					_, err := lost.Send(context.Background(), to(bob, "x"))
					if errors.Is(err, relay.MailboxFull) {
						continue // it has been sending for long
					}
					if err != nil {
						if !cutOff(err) {
							t.Errorf("refused with %v", err)
						}
						return
					}
					mu.Lock()
					if accepted++; accepted == 4 {
						close(begun)
					}
					mu.Unlock()
				}
			})
		}
		<-begun
		alice.revoke(a, login.Device)
		work.Wait()
		after := waiting(t, w, bob, bob.device)
		// A send that was begun before may be stored though its answer was lost.
		if n := after - before; n < accepted || n > accepted+4 {
			t.Errorf("%d messages are stored, %d were accepted", n, accepted)
		}
		if _, err := lost.Send(t.Context(), to(bob, "late")); !cutOff(err) {
			t.Errorf("a send afterwards: %v", err)
		}
		if waiting(t, w, bob, bob.device) != after {
			t.Error("a refused send is stored")
		}
	}
}

// R-REL-32: a revocation of which only the list was stored, or of which the
// requester was not told, is completed by its repetition.
func TestR_REL_32_HalfDone(t *testing.T) {
	for name, fault := range map[string]struct {
		method string
		how    storetest.Fault
	}{
		"the list is stored and not answered": {"UpdateAccount", storetest.After},
		"the mailbox is not removed":          {"RemoveDevice", storetest.Before},
		"the mailbox is removed, not told":    {"RemoveDevice", storetest.After},
	} {
		mem := memstore.New()
		var mu sync.Mutex
		armed := false
		broken := &storetest.Faulty{Store: mem, Decide: func(method string) storetest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if armed && method == fault.method {
				armed = false
				return fault.how
			}
			return storetest.None
		}}
		w := serve(t, func(c *server.Config) { c.Stores = storesOf(broken) })
		alice, bob := w.person("alice"), w.person("bob")
		a, b := alice.connect(), bob.connect()
		login := alice.second(a)
		lost := w.dialAs(login)
		send(t, b, to(alice, "waits"))
		entry := alice.next(func(l *devicelist.List) { l.Devices[1].Status = devicelist.Revoked })
		mu.Lock()
		armed = true
		mu.Unlock()
		if err := a.PutDeviceList(t.Context(), entry); err == nil {
			t.Errorf("%s: the fault is not told", name)
		}
		if err := a.PutDeviceList(t.Context(), entry); err != nil {
			t.Errorf("%s: repeated: %v", name, err)
		}
		<-lost.Done()
		if n := waiting(t, w, alice, login.Device); n != 0 {
			t.Errorf("%s: %d messages wait", name, n)
		}
		_, err := mem.Append(t.Context(), []server.Envelope{{Device: server.Device{User: "alice", ID: login.Device}, ID: server.MessageID{1}}})
		if !errors.Is(err, server.ErrRemoved) {
			t.Errorf("%s: the mailbox takes messages: %v", name, err)
		}
		w.stop()
	}
}

// R-REL-31, R-REL-32: two servers on one store. A list that the other server
// changed is read again before anybody is told that his is wrong, and a device
// revoked there is cut off here.
func TestR_REL_32_TwoServers(t *testing.T) {
	mem := memstore.New()
	defer mem.Close()
	here := serve(t, func(c *server.Config) { c.Stores = storesOf(mem) })
	there := serve(t, func(c *server.Config) { c.Stores, c.Host = storesOf(mem), here.invite.Host })
	there.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, there.srv.Addr())
	}
	alice, bob := here.person("alice"), here.person("bob")
	b := bob.connect()
	send(t, b, to(alice, "so that the list is at hand"))
	a := there.dialAs(alice.login())
	login := alice.second(a)
	send(t, b, to(alice, "to both, by the new list"))

	lost := here.dialAs(login)
	alice.revoke(a, login.Device)
	send(t, b, to(alice, "by the newest list")) // makes this server read it
	if err := lost.Ack(t.Context(), []uint64{1}); !errors.Is(err, relay.Unauthorized) {
		t.Errorf("a request of the revoked device: %v", err)
	}
	<-lost.Done()
}
