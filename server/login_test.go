package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
)

func TestR_REL_08_Login(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	c := alice.connect()
	if d := time.Since(c.ServerTime()); d < -time.Minute || d > time.Minute || c.ClockOffset().Abs() > time.Second {
		t.Errorf("the server's time is off by %v, %v", d, c.ClockOffset())
	}
}

// R-REL-08, R-REL-09: whatever is wrong with a login, the answer is the same.
func TestR_REL_09_LoginRefused(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	for name, l := range map[string]relayclient.Login{
		"wrong key":      {User: "alice", Device: alice.device, Key: key(t)},
		"another's key":  {User: "alice", Device: alice.device, Key: bob.sign},
		"account key":    {User: "alice", Device: alice.device, Key: alice.account},
		"another's name": {User: "bob", Device: alice.device, Key: alice.sign},
		"another device": {User: "alice", Device: address.NewDevice(), Key: alice.sign},
		"unknown user":   {User: "nobody", Device: alice.device, Key: alice.sign},
		"user in capitals, which is no canonical name": {User: "ALICE", Device: alice.device, Key: alice.sign},
	} {
		_, err := relayclient.Dial(t.Context(), w.target(), l)
		var refused *relay.Error
		if !errors.As(err, &refused) || !reflect.DeepEqual(refused, relay.Refuse(relay.Unauthorized)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rawConn is a connection without any of the client's care.
type rawConn struct {
	t     testing.TB
	ws    *websocket.Conn
	nonce [relay.NonceSize]byte
}

func (w *world) raw() *rawConn {
	w.t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}, DialContext: w.dial}
	ws, _, err := websocket.Dial(w.t.Context(), "wss://"+w.srv.Addr()+relay.PathConnect, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tr}, Subprotocols: []string{relay.Subprotocol},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(relay.MaxPacket)
	c := &rawConn{t: w.t, ws: ws}
	f, err := c.read()
	var hello relay.Hello
	if err != nil || f.ID != 0 || f.Kind != uint64(relay.OpHello) || relay.Decode(f.Body, &hello) != nil {
		w.t.Fatalf("the server greets with %+v, %v", f, err)
	}
	c.nonce = hello.Nonce
	return c
}

func (c *rawConn) read() (relay.Frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return relay.Frame{}, err
	}
	f, _, err := relay.CutFrame(b)
	return f, err
}

func (c *rawConn) write(b []byte) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageBinary, b); err != nil {
		c.t.Fatal(err)
	}
}

// signed returns a login of the person for this host and these nonces.
func (p *person) signed(host string, server, client [relay.NonceSize]byte) relay.LoginRequest {
	l := relay.LoginRequest{User: p.addr.User(), Device: p.device, Nonce: client}
	l.Signature = ed25519.Sign(p.sign, relay.LoginMessage(host, &server, &l))
	return l
}

func frame(id uint64, op relay.Op, m relay.Message) []byte {
	return relay.AppendFrame(nil, relay.Frame{ID: id, Kind: uint64(op), Body: codec.Marshal(m)})
}

// logIn logs the raw connection in.
func (c *rawConn) logIn(w *world, p *person) {
	c.t.Helper()
	req := p.signed(w.srv.Host(), c.nonce, [relay.NonceSize]byte{1})
	c.write(frame(1, relay.OpLogin, &req))
	if f, err := c.read(); err != nil || f.ID != 1 || f.Kind != 0 {
		c.t.Fatalf("login: %+v, %v", f, err)
	}
}

// R-REL-08: a login is good for one connection and one server.
func TestR_REL_08_LoginReplayed(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	first := w.raw()
	var client [relay.NonceSize]byte
	rand.Read(client[:])
	good := alice.signed(w.srv.Host(), first.nonce, client)
	first.write(frame(1, relay.OpLogin, &good))
	if f, err := first.read(); err != nil || f.Kind != 0 {
		t.Fatalf("a good login: %+v, %v", f, err)
	}
	for name, make := range map[string]func(nonce [relay.NonceSize]byte) relay.LoginRequest{
		"replayed":       func([relay.NonceSize]byte) relay.LoginRequest { return good },
		"another server": func(n [relay.NonceSize]byte) relay.LoginRequest { return alice.signed("elsewhere.example", n, client) },
		"another nonce of the client": func(n [relay.NonceSize]byte) relay.LoginRequest {
			l := alice.signed(w.srv.Host(), n, client)
			l.Nonce[0] ^= 1
			return l
		},
	} {
		c := w.raw()
		l := make(c.nonce)
		c.write(frame(1, relay.OpLogin, &l))
		f, err := c.read()
		if err != nil || f.ID != 1 || relay.Code(f.Kind) != relay.Unauthorized || len(f.Body) != 0 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		if _, err := c.read(); websocket.CloseStatus(err) != relay.CloseUnauthorized {
			t.Errorf("%s: the connection stays: %v", name, err)
		}
	}
}

// R-REL-20: the newest connection of a device wins, and the old one is told.
func TestR_REL_20_NewestWins(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	old := bob.connect()
	next := bob.connect()
	<-old.Done()
	if !errors.Is(old.Err(), relayclient.ErrReplaced) {
		t.Errorf("the old connection ended with %v", old.Err())
	}
	receive(t, next, -1)
	send(t, alice.connect(), to(bob, "hello"))
	receive(t, next, 1)
}
