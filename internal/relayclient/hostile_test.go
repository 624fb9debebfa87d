package relayclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
)

// liar is a server that says what a test wants.
type liar struct {
	target relayclient.Target
	login  relayclient.Login
}

func newLiar(t *testing.T, h http.HandlerFunc) *liar {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	_, signer, _ := ed25519.GenerateKey(rand.Reader)
	return &liar{
		target: relayclient.Target{Host: s.Listener.Addr().String(), Pin: pin[:]},
		login:  relayclient.Login{User: "alice", Device: 1, Key: signer},
	}
}

// script is what a lying server does with a WebSocket.
type script func(ctx context.Context, ws *websocket.Conn)

func (s script) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{relay.Subprotocol}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s(ctx, ws)
	io.Copy(io.Discard, websocket.NetConn(ctx, ws, websocket.MessageBinary)) // until the client hangs up
}

func put(ctx context.Context, ws *websocket.Conn, frames ...relay.Frame) {
	var b []byte
	for _, f := range frames {
		b = relay.AppendFrame(b, f)
	}
	ws.Write(ctx, websocket.MessageBinary, b)
}

func notice(op relay.Op, m relay.Message) relay.Frame {
	return relay.Frame{Kind: uint64(op), Body: codec.Marshal(m)}
}

var hello = notice(relay.OpHello, &relay.Hello{})

// take reads one request.
func take(ctx context.Context, ws *websocket.Conn) relay.Frame {
	_, b, _ := ws.Read(ctx)
	f, _, _ := relay.CutFrame(b)
	return f
}

// welcome plays an honest login and then goes on.
func welcome(then script) script {
	return func(ctx context.Context, ws *websocket.Conn) {
		put(ctx, ws, hello)
		f := take(ctx, ws)
		put(ctx, ws, relay.Frame{ID: f.ID, Body: codec.Marshal(&relay.LoginResult{Time: 1})})
		then(ctx, ws)
	}
}

// R-REL-27: a server that breaks the protocol before or during the login gets
// an error, never a crash or a hang.
func TestR_REL_27_LyingLogin(t *testing.T) {
	deliver := notice(relay.OpDeliver, &relay.Deliver{Empty: true})
	for name, s := range map[string]script{
		"garbage": func(ctx context.Context, ws *websocket.Conn) {
			ws.Write(ctx, websocket.MessageBinary, []byte("garbage"))
		},
		"text":          func(ctx context.Context, ws *websocket.Conn) { ws.Write(ctx, websocket.MessageText, []byte("hi")) },
		"nothing in it": func(ctx context.Context, ws *websocket.Conn) { ws.Write(ctx, websocket.MessageBinary, nil) },
		"a long greeting": func(ctx context.Context, ws *websocket.Conn) {
			ws.Write(ctx, websocket.MessageBinary, make([]byte, relay.MaxGreeting+1))
		},
		"two greetings": func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, hello, hello) },
		"a truncated one": func(ctx context.Context, ws *websocket.Conn) {
			put(ctx, ws, relay.Frame{Kind: 1, Body: hello.Body[:9]})
		},
		"mail before login":   func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, deliver) },
		"an answer too early": func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, relay.Frame{ID: 1}) },
		"an answer to nothing": func(ctx context.Context, ws *websocket.Conn) {
			put(ctx, ws, hello)
			f := take(ctx, ws)
			put(ctx, ws, relay.Frame{ID: f.ID + 1})
		},
		"an answer without a time": func(ctx context.Context, ws *websocket.Conn) {
			put(ctx, ws, hello)
			put(ctx, ws, relay.Frame{ID: take(ctx, ws).ID})
		},
		"hanging up": func(ctx context.Context, ws *websocket.Conn) { ws.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t, s.serve)
			_, err := relayclient.Dial(t.Context(), l.target, l.login)
			if !errors.Is(err, relayclient.ErrUnreachable) {
				t.Errorf("Dial: %v", err)
			}
		})
	}
}

// R-REL-27: silence at any point ends with the context.
func TestR_REL_27_SilentServer(t *testing.T) {
	silent := func(context.Context, *websocket.Conn) {}
	for name, s := range map[string]script{
		"no greeting": silent,
		"no answer":   func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, hello) },
	} {
		l := newLiar(t, s.serve)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		_, err := relayclient.Dial(ctx, l.target, l.login)
		cancel()
		if !errors.Is(err, relayclient.ErrUnreachable) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
	}
	l := newLiar(t, welcome(silent).serve)
	c, err := relayclient.Dial(t.Context(), l.target, l.login)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.PrekeyStatus(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("PrekeyStatus: %v", err)
	}
	if c.Err() != nil {
		t.Errorf("the connection ended with a request's context: %v", c.Err())
	}
}

// A port where nothing of TLS or HTTP answers.
func TestR_REL_27_NoTLS(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for i := 0; ; i++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if i > 0 {
				io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				c.Close()
			}
		}
	}()
	target := relayclient.Target{Host: ln.Addr().String(), Pin: make([]byte, relay.PinSize)}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	_, err = relayclient.Dial(ctx, target, relayclient.Login{})
	cancel()
	if !errors.Is(err, relayclient.ErrUnreachable) {
		t.Errorf("a silent port: %v", err)
	}
	_, err = relayclient.Dial(t.Context(), target, relayclient.Login{})
	if !errors.Is(err, relayclient.ErrUnreachable) {
		t.Errorf("no TLS: %v", err)
	}
	ln.Close()
	_, err = relayclient.Dial(t.Context(), target, relayclient.Login{})
	if !errors.Is(err, relayclient.ErrUnreachable) {
		t.Errorf("a closed port: %v", err)
	}
	_, err = relayclient.Dial(t.Context(), relayclient.Target{Host: "not a host"}, relayclient.Login{})
	if !errors.Is(err, relayclient.ErrUnreachable) {
		t.Errorf("a malformed host: %v", err)
	}
}

// R-REL-27: after the login, deliveries out of order, beyond the window or
// malformed, and answers that are none, end the connection and not the program.
func TestR_REL_27_LyingServer(t *testing.T) {
	mail := func(seqs ...uint64) relay.Frame {
		var d relay.Deliver
		for _, s := range seqs {
			d.Messages = append(d.Messages, relay.Delivery{Seq: s, Body: []byte("x")})
		}
		return notice(relay.OpDeliver, &d)
	}
	marker := notice(relay.OpDeliver, &relay.Deliver{Empty: true})
	for name, s := range map[string]script{
		"the same message twice": func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, mail(5), mail(5)) },
		"backwards":              func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, mail(5), mail(4)) },
		"backwards in a batch":   func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, mail(5, 4)) },
		"the marker twice":       func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, marker, marker) },
		"beyond the window": func(ctx context.Context, ws *websocket.Conn) {
			for i := range uint64(relay.WindowMessages + 1) {
				put(ctx, ws, mail(i+1))
			}
		},
		"megabytes beyond the window": func(ctx context.Context, ws *websocket.Conn) {
			for i := range uint64(20) {
				put(ctx, ws, notice(relay.OpDeliver, &relay.Deliver{Messages: []relay.Delivery{{Seq: i + 1, Body: make([]byte, relay.MaxEnvelope)}}}))
			}
		},
		"a body that is none": func(ctx context.Context, ws *websocket.Conn) {
			put(ctx, ws, relay.Frame{Kind: uint64(relay.OpDeliver), Body: []byte{0xff}})
		},
		"an unknown notice":    func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, relay.Frame{Kind: 99}) },
		"an answer to nothing": func(ctx context.Context, ws *websocket.Conn) { put(ctx, ws, relay.Frame{ID: 99}) },
		"more than a packet": func(ctx context.Context, ws *websocket.Conn) {
			ws.Write(ctx, websocket.MessageBinary, make([]byte, relay.MaxPacket+1))
		},
		"half a frame": func(ctx context.Context, ws *websocket.Conn) {
			b := relay.AppendFrame(nil, mail(1))
			ws.Write(ctx, websocket.MessageBinary, b[:len(b)-1])
		},
		"a frame with a bit changed": func(ctx context.Context, ws *websocket.Conn) {
			b := relay.AppendFrame(nil, mail(1))
			b[0] ^= 1
			ws.Write(ctx, websocket.MessageBinary, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t, welcome(s).serve)
			c, err := relayclient.Dial(t.Context(), l.target, l.login)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			select {
			case <-c.Done():
				if !errors.Is(c.Err(), relayclient.ErrUnreachable) {
					t.Errorf("the connection ended with %v", c.Err())
				}
			case <-time.After(10 * time.Second):
				t.Error("the connection stays")
			}
			n := 0
			for range c.Deliveries() {
				n++
			}
			if n > relay.WindowMessages {
				t.Errorf("%d batches came", n)
			}
			if _, err := c.PrekeyStatus(t.Context()); !errors.Is(err, relayclient.ErrUnreachable) {
				t.Errorf("a request afterwards: %v", err)
			}
		})
	}
}

// R-REL-27: an answer of the wrong kind is an error of that request, and an
// answer to a request that was given up is dropped.
func TestR_REL_27_WrongAnswers(t *testing.T) {
	l := newLiar(t, welcome(func(ctx context.Context, ws *websocket.Conn) {
		late := take(ctx, ws)
		put(ctx, ws, relay.Frame{ID: take(ctx, ws).ID, Body: []byte{0xff}})
		put(ctx, ws, late, relay.Frame{ID: late.ID})
		put(ctx, ws, relay.Frame{ID: take(ctx, ws).ID, Kind: 12345, Body: []byte("why")})
		put(ctx, ws, relay.Frame{ID: take(ctx, ws).ID, Body: []byte("more than nothing")})
		for { // pages for ever
			put(ctx, ws, relay.Frame{ID: take(ctx, ws).ID, Body: codec.Marshal(&relay.AccountResult{Entries: [][]byte{make([]byte, relay.MaxEntry)}, More: true})})
			if ctx.Err() != nil {
				return
			}
		}
	}).serve)
	c, err := relayclient.Dial(t.Context(), l.target, l.login)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.PrekeyStatus(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := c.PrekeyStatus(t.Context()); !errors.Is(err, relayclient.ErrProtocol) {
		t.Errorf("a wrong body: %v", err)
	}
	if _, err := c.PrekeyStatus(t.Context()); !errors.Is(err, relay.Internal) {
		t.Errorf("an unknown code: %v", err)
	}
	if err := c.Ack(t.Context(), []uint64{1}); !errors.Is(err, relayclient.ErrProtocol) {
		t.Errorf("a body where none belongs: %v", err)
	}
	if _, err := c.Account(t.Context(), "bob"); !errors.Is(err, relayclient.ErrProtocol) {
		t.Errorf("a chain without end: %v", err)
	}
	if c.Err() != nil {
		t.Errorf("the connection ended: %v", c.Err())
	}
}

// R-REL-27, R-REL-31: what a server says of stale lists is bounded, and what
// cannot be true of the request is no answer.
func TestR_REL_27_LyingStale(t *testing.T) {
	entry := []byte{1}
	page := make([][]byte, 1+relay.MaxPage/relay.MaxEntry)
	many := make([][]byte, relay.MaxChain)
	for i := range page {
		page[i] = make([]byte, relay.MaxEntry)
	}
	for i := range many {
		many[i] = entry
	}
	request := func(version, own uint64) relay.SendRequest {
		messages := []relay.Outgoing{{Device: 1, Body: []byte{1}}}
		r := relay.SendRequest{To: "bob", ListVersion: version, Messages: messages}
		if own > 0 {
			r.Own = &relay.OwnCopies{ListVersion: own, Messages: messages}
		}
		return r
	}
	stale := func(e relay.Error) []byte { return e.Body() }
	for name, c := range map[string]struct {
		request relay.SendRequest
		body    []byte
		want    *relay.StaleList // nil for ErrProtocol
	}{
		"nothing":                {request(3, 0), nil, &relay.StaleList{}},
		"garbage":                {request(3, 0), []byte("garbage"), &relay.StaleList{}},
		"a body of a megabyte":   {request(3, 0), make([]byte, 1<<20), &relay.StaleList{}},
		"too many entries":       {request(3, 0), stale(relay.Error{Version: 5000, Entries: append(many, entry)}), &relay.StaleList{}},
		"more than a page":       {request(3, 0), stale(relay.Error{Version: 5000, Entries: append(page, page...)}), &relay.StaleList{}},
		"an empty entry":         {request(3, 0), stale(relay.Error{Version: 4, Entries: [][]byte{{}}}), &relay.StaleList{}},
		"an older version":       {request(3, 0), stale(relay.Error{Version: 2}), &relay.StaleList{Version: 2}},
		"the same version":       {request(3, 0), stale(relay.Error{Version: 3}), &relay.StaleList{Version: 3}},
		"a page":                 {request(3, 0), stale(relay.Error{Version: 99, Entries: page}), &relay.StaleList{Version: 99, Entries: page}},
		"the own list":           {request(3, 1), stale(relay.Error{Version: 2, Own: true, Entries: [][]byte{entry}}), &relay.StaleList{Version: 2, Own: true, Entries: [][]byte{entry}}},
		"no own list was sent":   {request(3, 0), stale(relay.Error{Version: 4, Own: true}), nil},
		"entries of no version":  {request(3, 0), stale(relay.Error{Entries: [][]byte{entry}}), nil},
		"entries of the past":    {request(3, 0), stale(relay.Error{Version: 2, Entries: [][]byte{entry}}), nil},
		"an entry too many":      {request(3, 0), stale(relay.Error{Version: 4, Entries: [][]byte{entry, entry}}), nil},
		"entries, not asked for": {request(0, 0), stale(relay.Error{Version: 4, Entries: [][]byte{entry}}), nil},
		"own entries too many":   {request(3, 3), stale(relay.Error{Version: 4, Own: true, Entries: [][]byte{entry, entry}}), nil},
	} {
		l := newLiar(t, welcome(func(ctx context.Context, ws *websocket.Conn) {
			put(ctx, ws, relay.Frame{ID: take(ctx, ws).ID, Kind: uint64(relay.Stale), Body: c.body})
		}).serve)
		conn, err := relayclient.Dial(t.Context(), l.target, l.login)
		if err != nil {
			t.Fatal(err)
		}
		result, err := conn.Send(t.Context(), c.request)
		if c.want == nil {
			if !errors.Is(err, relayclient.ErrProtocol) {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil || result.Accepted != nil || !reflect.DeepEqual(result.Stale, c.want) {
			t.Errorf("%s: %+v, %v", name, result.Stale, err)
		}
		if conn.Err() != nil {
			t.Errorf("%s: the connection ended: %v", name, conn.Err())
		}
		conn.Close()
	}
}

// R-REL-35, R-REL-27: a server that names devices which were not asked for, or
// the recipient's all, has not answered.
func TestR_REL_35_LyingAnswer(t *testing.T) {
	messages := func(devices ...address.Device) (out []relay.Outgoing) {
		for _, d := range devices {
			out = append(out, relay.Outgoing{Device: d, Body: []byte{1}})
		}
		return out
	}
	both := relay.SendRequest{To: "bob", ListVersion: 1, Messages: messages(1, 2)}
	own := both
	own.Own = &relay.OwnCopies{ListVersion: 1, Messages: messages(3, 4)}
	answer := func(full, own []address.Device) []byte { return (&relay.SendAnswer{Full: full, Own: own}).Body() }
	devices := func(d ...address.Device) []address.Device { return d }
	for name, c := range map[string]struct {
		request relay.SendRequest
		body    []byte
		want    *relay.SendResult // nil for ErrProtocol
	}{
		"nothing":              {own, nil, &relay.SendResult{Accepted: devices(1, 2)}},
		"one":                  {both, answer(devices(1), nil), &relay.SendResult{Accepted: devices(2), Full: devices(1)}},
		"one of each":          {own, answer(devices(2), devices(3)), &relay.SendResult{Accepted: devices(1), Full: devices(2), OwnFull: devices(3)}},
		"all own":              {own, answer(nil, devices(3, 4)), &relay.SendResult{Accepted: devices(1, 2), OwnFull: devices(3, 4)}},
		"all":                  {own, answer(devices(1, 2), nil), nil},
		"somebody else's":      {own, answer(devices(5), nil), nil},
		"an own one as theirs": {own, answer(devices(3), nil), nil},
		"theirs as an own one": {own, answer(nil, devices(1)), nil},
		"own ones, none sent":  {both, answer(nil, devices(3)), nil},
		"garbage":              {own, []byte("garbage"), nil},
		"a megabyte":           {own, make([]byte, 1<<20), nil},
	} {
		l := newLiar(t, welcome(func(ctx context.Context, ws *websocket.Conn) {
			put(ctx, ws, relay.Frame{ID: take(ctx, ws).ID, Kind: uint64(relay.OK), Body: c.body})
		}).serve)
		conn, err := relayclient.Dial(t.Context(), l.target, l.login)
		if err != nil {
			t.Fatal(err)
		}
		result, err := conn.Send(t.Context(), c.request)
		if c.want == nil {
			if !errors.Is(err, relayclient.ErrProtocol) {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil || !reflect.DeepEqual(&result, c.want) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		conn.Close()
	}
}

// R-REL-27: what a registration is answered with is bounded and checked.
func TestR_REL_27_LyingRegistration(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"garbage": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "garbage") },
		"nothing": func(w http.ResponseWriter, r *http.Request) {},
		"a redirection": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		},
		"long headers": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"a long body": func(w http.ResponseWriter, r *http.Request) {
			for range 1 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		},
		"success without a time": func(w http.ResponseWriter, r *http.Request) {
			w.Write(codec.Marshal(&relay.RegisterResponse{Body: []byte{}}))
		},
	} {
		l := newLiar(t, h)
		_, err := relayclient.Register(t.Context(), l.target, relay.RegisterRequest{Entry: []byte{1}, Upload: []byte{1}})
		if !errors.Is(err, relayclient.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	hang := make(chan struct{})
	l := newLiar(t, func(w http.ResponseWriter, r *http.Request) { <-hang })
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := relayclient.Register(ctx, l.target, relay.RegisterRequest{Entry: []byte{1}, Upload: []byte{1}}); !errors.Is(err, relayclient.ErrUnreachable) {
		t.Errorf("no answer: %v", err)
	}
}
