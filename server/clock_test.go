package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
)

// bubble runs a test on a synthetic clock with a server on in-memory
// connections. When it returns, nothing of server or clients may be left: the
// bubble fails otherwise (R-REL-24).
func bubble(t *testing.T, test func(t *testing.T, w *world, p *pipes), adjust ...func(*server.Config)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		w := serve(t, append(adjust, func(c *server.Config) { c.Listener, c.Heartbeat = p, 50*time.Second })...)
		w.dial = p.dial
		test(t, w, p)
	})
}

// pass lets time go by in a bubble until all has happened that happens by then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// R-REL-22: a connection on which nobody talks stays, because both sides ping.
func TestR_REL_22_IdleStays(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, p *pipes) {
		alice, bob := w.person("alice"), w.person("bob")
		a, b := alice.connect(), bob.connect()
		receive(t, b, -1)
		pass(24 * time.Hour)
		if a.Err() != nil || b.Err() != nil {
			t.Fatalf("after a day: %v, %v", a.Err(), b.Err())
		}
		send(t, a, to(bob, "still there"))
		receive(t, b, 1)
	})
}

// R-REL-22: a peer that is gone without a word is noticed by both sides within
// two heartbeats and a bit.
func TestR_REL_22_DeadPeer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, p *pipes) {
		alice, bob := w.person("alice"), w.person("bob")
		b := bob.connect()
		receive(t, b, -1)
		began := time.Now()
		p.freeze()
		<-b.Done()
		if d := time.Since(began); d < 50*time.Second || d > 3*time.Minute {
			t.Errorf("the client noticed after %v", d)
		}
		if !errors.Is(b.Err(), relayclient.ErrUnreachable) {
			t.Errorf("the connection ended with %v", b.Err())
		}
		pass(3 * time.Minute) // the server has noticed too, or stopping would take it long
		send(t, alice.connect(), to(bob, "kept"))
		if got := bodies(receive(t, bob.connect(), -1)); len(got) != 1 {
			t.Errorf("%q came", got)
		}
	})
}

// R-REL-23: a connection that does not log in is closed, whatever it dribbles.
func TestR_REL_23_SlowLogin(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, p *pipes) {
		silent, err := p.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			silent.Read(make([]byte, 1))
			ended <- time.Since(began)
		}()
		if d := <-ended; d > 30*time.Second {
			t.Errorf("a connection without a TLS handshake was held for %v", d)
		}
		c := w.raw()
		began = time.Now()
		if _, err := c.read(); err == nil {
			t.Error("something came before the login")
		}
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("a connection without a login was held for %v", d)
		}
	})
}

// R-REL-24: a stop finishes what is in flight, tells the devices to come back
// and leaves nothing behind.
func TestR_REL_24_CleanShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, p *pipes) {
		alice, bob := w.person("alice"), w.person("bob")
		a, b := alice.connect(), bob.connect()
		receive(t, b, -1)
		send(t, a, to(bob, "hello"))
		w.stop()
		for _, c := range []*relayclient.Conn{a, b} {
			<-c.Done()
			if !errors.Is(c.Err(), relayclient.ErrUnreachable) || errors.Is(c.Err(), relayclient.ErrProtocol) {
				t.Errorf("a connection ended with %v", c.Err())
			}
		}
		_, err := relayclient.Dial(t.Context(), w.target(), alice.login())
		if !errors.Is(err, relayclient.ErrUnreachable) {
			t.Errorf("Dial after the stop: %v", err)
		}
	})
}

// slow is a mailbox whose Append takes a while.
type slow struct {
	server.Mailbox
	began chan struct{}
	delay time.Duration
}

func (s *slow) Append(ctx context.Context, e []server.Envelope) ([]server.Result, error) {
	close(s.began)
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Mailbox.Append(ctx, e)
}

func TestR_REL_24_InFlightFinishes(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		code  relay.Code
	}{{5 * time.Second, relay.OK}, {time.Hour, relay.Unavailable}} {
		t.Run(fmt.Sprint(c.delay), func(t *testing.T) {
			var s *slow
			bubble(t, func(t *testing.T, w *world, p *pipes) {
				alice, bob := w.person("alice"), w.person("bob")
				a := alice.connect()
				sent := make(chan error, 1)
				go func() {
					_, err := a.Send(t.Context(), to(bob, "late"))
					sent <- err
				}()
				<-s.began
				began := time.Now()
				w.stop()
				err := <-sent
				if c.code == relay.OK {
					if err != nil {
						t.Errorf("Send: %v", err)
					}
				} else if err == nil {
					t.Error("a send that the stop cut off was accepted")
				}
				if d := time.Since(began); d > 20*time.Second {
					t.Errorf("stopping took %v", d)
				}
			}, withMemory, func(conf *server.Config) {
				s = &slow{Mailbox: conf.Mailbox, began: make(chan struct{}), delay: c.delay}
				conf.Mailbox = s
			})
		})
	}
}

// deaf is a Wake that never tells anything.
type deaf struct{ server.Wake }

func (d deaf) Subscribe(ctx context.Context, dev server.Device) (*server.Subscription, error) {
	s, err := d.Wake.Subscribe(ctx, dev)
	if err == nil {
		s.C = make(chan server.Seq)
	}
	return s, err
}

// R-REL-19: a lost hint delays a delivery and loses nothing.
func TestR_REL_19_LostHints(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, p *pipes) {
		alice, bob := w.person("alice"), w.person("bob")
		a, b := alice.connect(), bob.connect()
		receive(t, b, -1)
		for _, want := range []time.Duration{time.Second, 10 * time.Second, 5 * time.Minute} {
			began := time.Now()
			send(t, a, to(bob, "unannounced"))
			batch := <-b.Deliveries()
			if d := time.Since(began); len(batch.Messages) != 1 || d > want+time.Second {
				t.Errorf("%d messages came after %v", len(batch.Messages), d)
			}
			if err := b.Ack(t.Context(), []uint64{batch.Messages[0].Seq}); err != nil {
				t.Fatal(err)
			}
		}
	}, withMemory, func(c *server.Config) { c.Wake = deaf{c.Wake} })
}

// R-REL-23: a device that does not read what it is sent is dropped, and its
// messages are kept.
func TestR_REL_23_SlowReader(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, p *pipes) {
		alice, bob := w.person("alice"), w.person("bob")
		a := alice.connect()
		for range 4 {
			send(t, a, to(bob, string(make([]byte, relay.MaxEnvelope))))
		}
		c := w.raw()
		c.logIn(w, bob) // and never reads again
		pass(5 * time.Minute)
		if n := len(receive(t, bob.connect(), -1)); n != 4 {
			t.Errorf("%d messages came", n)
		}
	})
}

var _ net.Listener = (*pipes)(nil)
