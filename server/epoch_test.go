package server_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/storetest"
)

// home is the state of one device's home, as far as the epoch goes. A copy of
// it is what a thief or a snapshot has.
type home struct {
	p  *person
	at relay.Epoch
}

// dial logs in as a device does: to a fresh epoch, which it keeps if the server
// answers.
func (h *home) dial() (*relayclient.Conn, error) {
	var next relay.Epoch
	rand.Read(next[:])
	l := h.p.login()
	l.Epoch = func(context.Context) (from, to relay.Epoch, err error) { return h.at, next, nil }
	c, err := relayclient.Dial(h.p.w.t.Context(), h.p.w.target(), l)
	if err == nil {
		h.at = next
		h.p.w.t.Cleanup(c.Close)
	}
	return c, err
}

func (h *home) connect() *relayclient.Conn {
	h.p.w.t.Helper()
	c, err := h.dial()
	if err != nil {
		h.p.w.t.Fatal(err)
	}
	return c
}

func alive(t *testing.T, c *relayclient.Conn) {
	t.Helper()
	if _, err := c.PrekeyStatus(t.Context()); err != nil {
		t.Errorf("the connection does not work any more: %v", err)
	}
}

// R-REL-33, R-REL-34: a thief with an older copy gets nothing, and the device
// does not notice.
func TestR_REL_34_AnOldCopyDisturbsNothing(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	laptop := &home{p: w.person("bob")}
	laptop.connect().Close()
	thief := *laptop
	c := laptop.connect()
	receive(t, c, -1)
	send(t, alice.connect(), to(laptop.p, "for the device only"))
	for range 3 {
		_, err := thief.dial()
		wantCode(t, err, relay.RolledBack)
	}
	alive(t, c)
	receive(t, c, 1)
	c.Close()
	_, err := thief.dial() // also when the device is away
	wantCode(t, err, relay.RolledBack)
	receive(t, laptop.connect(), -1)
}

// R-REL-33: a copy that comes first is let in, there being no way to tell, and
// the device is the one that is refused and alarmed.
func TestR_REL_33_ACopyThatComesFirst(t *testing.T) {
	w := serve(t)
	laptop := &home{p: w.person("bob")}
	old := laptop.connect()
	thief := *laptop
	stolen := thief.connect()
	<-old.Done()
	if !errors.Is(old.Err(), relayclient.ErrReplaced) {
		t.Errorf("the device's connection ended with %v", old.Err())
	}
	_, err := laptop.dial()
	wantCode(t, err, relay.RolledBack)
	alive(t, stolen)
}

// R-REL-33: the epochs are part of what is signed, and whoever cannot log in
// learns nothing of them.
func TestR_REL_33_EpochsAreSigned(t *testing.T) {
	w := serve(t)
	alice := &home{p: w.person("alice")}
	alice.connect().Close()
	for name, spoil := range map[string]func(*relay.LoginRequest){
		"from": func(l *relay.LoginRequest) { l.From[15] ^= 1 },
		"to":   func(l *relay.LoginRequest) { l.To[0] ^= 1 },
	} {
		c := w.raw()
		l := alice.p.signed(w.srv.Host(), c.nonce, [relay.NonceSize]byte{1}) // with other epochs than the device's
		spoil(&l)
		c.write(frame(1, relay.OpLogin, &l))
		if f, err := c.read(); err != nil || relay.Code(f.Kind) != relay.Unauthorized {
			t.Errorf("%s altered: %+v, %v", name, f, err)
		}
	}
	c := w.raw()
	l := alice.p.signed(w.srv.Host(), c.nonce, [relay.NonceSize]byte{1})
	c.write(frame(1, relay.OpLogin, &l))
	if f, err := c.read(); err != nil || relay.Code(f.Kind) != relay.RolledBack || len(f.Body) != 0 {
		t.Errorf("an epoch that is not the device's: %+v, %v", f, err)
	}
	if _, err := c.read(); websocket.CloseStatus(err) != relay.CloseUnauthorized {
		t.Errorf("the connection stays: %v", err)
	}
	alice.connect()
}

// R-REL-33: whatever becomes of the store's answer, a device that repeats its
// login under the same epochs gets in, and what it was told is durable.
func TestR_REL_33_LostAnswers(t *testing.T) {
	for name, fault := range map[string]storetest.Fault{"not saved": storetest.Before, "saved": storetest.After} {
		broken := 0
		w := serve(t, func(c *server.Config) {
			withMemory(c)
			s, ok := c.Directory.(storetest.Store)
			if !ok {
				t.Fatal("the store in memory is no store")
			}
			c.Directory = &storetest.Faulty{Store: s, Decide: func(method string) storetest.Fault {
				if method == "AdvanceEpoch" && broken > 0 {
					broken--
					return fault
				}
				return storetest.None
			}}
		})
		laptop := &home{p: w.person("bob")}
		laptop.connect().Close()
		next := relay.Epoch{1, 2, 3}
		l := laptop.p.login()
		l.Epoch = func(context.Context) (from, to relay.Epoch, err error) { return laptop.at, next, nil }
		broken = 1
		if _, err := relayclient.Dial(t.Context(), w.target(), l); err == nil || errors.Is(err, relay.RolledBack) {
			t.Errorf("%s: %v", name, err)
		}
		thief := *laptop
		c, err := relayclient.Dial(t.Context(), w.target(), l)
		if err != nil {
			t.Fatalf("%s: the repetition: %v", name, err)
		}
		alive(t, c)
		c.Close()
		_, err = thief.dial()
		wantCode(t, err, relay.RolledBack)
		laptop.at = next
		laptop.connect()
	}
}

// R-STO-18: after a restore of the store nobody is refused for being ahead of it.
func TestR_STO_18_ARestoredServerRefusesNobody(t *testing.T) {
	w := serve(t)
	laptop := &home{p: w.person("bob")}
	laptop.connect().Close()
	if _, err := w.stores.Directory.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	ahead := &home{p: laptop.p, at: relay.Epoch{9}}
	ahead.connect()
	_, err := laptop.dial()
	wantCode(t, err, relay.RolledBack)
}
