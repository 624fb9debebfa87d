package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// question is a request that passes a lying relay.
type question struct {
	user string // who asks
	op   relay.Op
	body []byte
}

// lie is what a relay answers in the place of the honest body and code; false
// for no answer at all.
type lie func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool)

// villain is a relay in somebody's hands who reads and rewrites all that passes
// between devices and an honest server behind it. It has the TLS key that
// people pinned.
type villain struct {
	*world
	target relayclient.Target // of the villain

	mu      sync.Mutex
	answer  lie
	instead func(q question) question // what the honest server is asked in the place of q
	deliver func(user string, d relay.Deliver) []relay.Deliver
	asked   map[relay.Op]int // requests that passed
	conns   map[*websocket.Conn]struct{}
}

func newVillain(t *testing.T) *villain {
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
	m := memstore.New()
	l := &villain{
		world: &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: m, Mailbox: m, Wake: m}},
		asked: map[relay.Op]int{}, conns: map[*websocket.Conn]struct{}{},
	}
	front := httptest.NewUnstartedServer(l)
	front.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	host := front.Listener.Addr().String()
	l.serve(server.Config{Stores: l.stores, Listen: "127.0.0.1:0", Host: host, Dir: l.dir})
	front.StartTLS()
	t.Cleanup(func() {
		l.hangUp()
		front.CloseClientConnections()
		front.Close()
	})
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	l.target = relayclient.Target{Host: host, Pin: pin[:]}
	invite, err := relay.ParseInvite(l.invite)
	if err != nil {
		t.Fatal(err)
	}
	invite.Pin = pin[:]
	l.invite = invite.String()
	return l
}

func (l *villain) lies(f lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = f
}

// asks has something else asked of the honest server than a device asks.
func (l *villain) asks(f func(q question) question) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.instead = f
}

func (l *villain) delivers(f func(user string, d relay.Deliver) []relay.Deliver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deliver = f
}

// count returns how often an operation was asked for.
func (l *villain) count(op relay.Op) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[op]
}

// hangUp ends all connections.
func (l *villain) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.CloseNow()
	}
}

func (l *villain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	through := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	if r.URL.Path != relay.PathConnect {
		p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: l.server.Addr()})
		p.Transport = through
		p.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	up, _, err := websocket.Dial(ctx, "wss://"+l.server.Addr()+relay.PathConnect, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: through}, Subprotocols: []string{relay.Subprotocol},
	})
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer up.CloseNow()
	down, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{relay.Subprotocol}})
	if err != nil {
		return
	}
	defer down.CloseNow()
	l.mu.Lock()
	l.conns[down] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.conns, down)
		l.mu.Unlock()
	}()
	up.SetReadLimit(-1)
	down.SetReadLimit(-1)
	s := &session{villain: l, asked: map[uint64]question{}}
	var both sync.WaitGroup
	both.Go(func() { s.pass(ctx, down, up, s.fromDevice) })
	both.Go(func() { s.pass(ctx, up, down, s.fromServer) })
	both.Wait()
}

// session is one connection through the villain.
type session struct {
	*villain
	mu    sync.Mutex
	user  string
	asked map[uint64]question
}

// pass hands packets on until one side ends, then ends the other as it did.
func (s *session) pass(ctx context.Context, from, to *websocket.Conn, change func(relay.Frame) []relay.Frame) {
	for {
		_, packet, err := from.Read(ctx)
		if err != nil {
			if code := websocket.CloseStatus(err); code > 0 {
				to.Close(code, "")
			} else {
				to.CloseNow()
			}
			return
		}
		var out []byte
		for len(packet) > 0 {
			var f relay.Frame
			if f, packet, err = relay.CutFrame(packet); err != nil {
				s.t.Errorf("a packet is no packet: %v", err)
				return
			}
			for _, g := range change(f) {
				out = relay.AppendFrame(out, g)
			}
		}
		if len(out) > 0 && to.Write(ctx, websocket.MessageBinary, out) != nil {
			from.CloseNow()
			return
		}
	}
}

func (s *session) fromDevice(f relay.Frame) []relay.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.ID == 0 {
		return []relay.Frame{f}
	}
	op := relay.Op(f.Kind)
	var login relay.LoginRequest
	if op == relay.OpLogin && relay.Decode(f.Body, &login) == nil {
		s.user = login.User
	}
	q := question{s.user, op, append([]byte{}, f.Body...)}
	s.asked[f.ID] = q
	s.villain.mu.Lock()
	s.villain.asked[op]++
	instead := s.instead
	s.villain.mu.Unlock()
	if instead != nil {
		q = instead(q)
		f = relay.Frame{ID: f.ID, Kind: uint64(q.op), Body: q.body}
	}
	return []relay.Frame{f}
}

func (s *session) fromServer(f relay.Frame) []relay.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.villain.mu.Lock()
	answer, deliver := s.answer, s.deliver
	s.villain.mu.Unlock()
	switch {
	case f.ID != 0:
		q := s.asked[f.ID]
		delete(s.asked, f.ID)
		if answer == nil {
			break
		}
		code, body, ok := answer(q, relay.Code(f.Kind), f.Body)
		if !ok {
			return nil
		}
		return []relay.Frame{{ID: f.ID, Kind: uint64(code), Body: body}}
	case f.Kind == uint64(relay.OpDeliver) && deliver != nil:
		var d relay.Deliver
		if relay.Decode(f.Body, &d) != nil {
			s.t.Error("a delivery is none")
			return nil
		}
		var out []relay.Frame
		for _, d := range deliver(s.user, d) {
			out = append(out, relay.Frame{Kind: f.Kind, Body: codec.Marshal(&d)})
		}
		return out
	}
	return []relay.Frame{f}
}
