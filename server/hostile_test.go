package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
)

// R-REL-07, R-REL-23: what is not the protocol ends the connection, before and
// after the login, and hurts nobody else.
func TestR_REL_07_HostileDevice(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	garbage := make([]byte, 1000)
	rand.Read(garbage)
	ping := relay.AppendFrame(nil, relay.Frame{Kind: uint64(relay.OpPing)})
	cases := map[string][]byte{
		"nothing":                {},
		"garbage":                garbage,
		"a truncated frame":      frame(2, relay.OpPrekeyStatus, &relay.Hello{})[:9],
		"a frame and a byte":     append(bytes.Clone(ping), 0x83),
		"a long head":            {0x83, 0x18, 0x05, 0x06, 0x40},
		"a huge length":          {0x83, 0x05, 0x06, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a notice":               relay.AppendFrame(nil, relay.Frame{Kind: uint64(relay.OpDeliver)}),
		"a greeting":             frame(0, relay.OpHello, &relay.Hello{}),
		"a ping with a body":     relay.AppendFrame(nil, relay.Frame{Kind: uint64(relay.OpPing), Body: []byte{1}}),
		"more than a packet":     make([]byte, relay.MaxPacket+1),
		"an encoded frame twice": {0x81, 0x83, 0x05, 0x06, 0x40},
	}
	for name, b := range cases {
		for _, loggedIn := range []bool{false, true} {
			c := w.raw()
			if loggedIn {
				c.logIn(w, bob)
			}
			// A write may fail when the server has hung up in the middle of it.
			c.ws.Write(t.Context(), websocket.MessageBinary, b)
			ended := false
			for range 3 { // at most the marker that nothing waits comes before
				if _, err := c.read(); err != nil {
					ended = true
					break
				}
			}
			if !ended {
				t.Errorf("%s, logged in %v: the connection stays", name, loggedIn)
			}
		}
	}
	text := w.raw()
	if err := text.ws.Write(t.Context(), websocket.MessageText, ping); err != nil {
		t.Fatal(err)
	}
	if _, err := text.read(); websocket.CloseStatus(err) != relay.CloseProtocol {
		t.Errorf("a text message: %v", err)
	}
	early := w.raw()
	early.write(frame(1, relay.OpAccount, &relay.AccountRequest{User: "alice", From: 1}))
	if _, err := early.read(); websocket.CloseStatus(err) != relay.CloseProtocol {
		t.Errorf("a request before the login: %v", err)
	}
	long := w.raw()
	long.write(make([]byte, relay.MaxGreeting+1))
	if _, err := long.read(); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("a long message before the login: %v", err)
	}
	send(t, a, to(bob, "unharmed"))
}

// A request that is a frame but not a body is refused and nothing more.
func TestMalformedBodies(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	c := w.raw()
	c.logIn(w, alice)
	if f, err := c.read(); err != nil || f.Kind != uint64(relay.OpDeliver) {
		t.Fatalf("%+v, %v", f, err)
	}
	for op := range relay.Op(20) {
		for _, body := range [][]byte{{0xff}, {0xa0, 0xa0}, {0xa1, 0x01, 0x41, 0x00}, bytes.Repeat([]byte{0x81}, 100)} {
			if op == relay.OpPing || op == relay.OpPong {
				continue
			}
			c.write(relay.AppendFrame(nil, relay.Frame{ID: uint64(op) + 1, Kind: uint64(op), Body: body}))
			f, err := c.read()
			if err != nil || f.ID != uint64(op)+1 || relay.Code(f.Kind) != relay.BadRequest {
				t.Fatalf("operation %d: %+v, %v", op, f, err)
			}
		}
	}
}

// One packet may carry several requests; each is answered under its id.
func TestR_REL_07_Packets(t *testing.T) {
	w := serve(t)
	c := w.raw()
	c.logIn(w, w.person("alice"))
	var packet []byte
	want := map[uint64]bool{}
	for id := uint64(100); id < 150; id++ {
		packet = relay.AppendFrame(packet, relay.Frame{ID: id, Kind: uint64(relay.OpPrekeyStatus)})
		want[id] = true
	}
	c.write(packet)
	for len(want) > 0 {
		_, b, err := c.ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for len(b) > 0 {
			var f relay.Frame
			if f, b, err = relay.CutFrame(b); err != nil {
				t.Fatal(err)
			}
			if f.ID != 0 && (f.Kind != 0 || !want[f.ID]) {
				t.Fatalf("answer %+v", f)
			}
			delete(want, f.ID)
		}
	}
}

// capture is a log handler that keeps everything, down to debug messages.
type capture struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all.Write(b)
}

// R-REL-25: traffic of every kind, refusals and faults included, leaves no line
// that names a user, an address, a device or an IP.
func TestR_REL_25_LogsNameNobody(t *testing.T) {
	var log capture
	w := serve(t, withMemory, func(c *server.Config) {
		c.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Limits.BundlePair = server.Rate{Burst: 1, Every: 1 << 40}
		c.Mailbox = &failingFor{Mailbox: c.Mailbox, user: "unlucky-recipient"}
	})
	alice, bob, unlucky := w.person("alice-of-the-test"), w.person("bob-of-the-test"), w.person("unlucky-recipient")
	a, b := alice.connect(), bob.connect()
	send(t, a, to(bob, "secret-body"))
	receive(t, b, 1)
	a.Send(t.Context(), to(unlucky, "secret-body"))
	for range 2 {
		a.TakeBundle(t.Context(), bob.addr.User(), bob.device)
	}
	a.Account(t.Context(), "nobody-of-the-test")
	a.PutDeviceList(t.Context(), flip(alice.entry))
	entry := bob.next(func(l *devicelist.List) {})
	b.PutDeviceList(t.Context(), entry)
	w.tryRegister(w.somebody("alice-of-the-test").request())
	bob.connect()
	relayclient.Dial(t.Context(), w.target(), relayclient.Login{User: "mallory-of-the-test", Device: bob.device, Key: bob.sign})
	hostile := w.raw()
	hostile.write([]byte("garbage-of-the-test"))
	hostile.read()
	w.stop()

	lines := log.all.String()
	if !strings.Contains(lines, "serving") || !strings.Contains(lines, "request failed") || !strings.Contains(lines, "connection ended") {
		t.Fatalf("the log is not complete:\n%s", lines)
	}
	for _, name := range []string{
		"of-the-test", "unlucky", "secret", "127.0.0.1", w.invite.Token, w.invite.Host,
		alice.device.String(), fmt.Sprint(uint64(alice.device)), bob.device.String(), fmt.Sprint(uint64(bob.device)),
	} {
		if strings.Contains(lines, name) {
			t.Errorf("the log says %q:\n%s", name, lines)
		}
	}
}

// failingFor fails for one recipient with an error of no kind that the server
// knows, as a store with a defect would.
type failingFor struct {
	server.Mailbox
	user string
}

func (f *failingFor) Append(ctx context.Context, e []server.Envelope) ([]server.Result, error) {
	if e[0].Device.User == f.user {
		return nil, fmt.Errorf("append for %s: %w", e[0].Device.User, context.Cause(ctx))
	}
	return f.Mailbox.Append(ctx, e)
}
