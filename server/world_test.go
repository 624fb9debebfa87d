package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// world is a server that runs and what a test needs to reach it.
type world struct {
	t      testing.TB
	srv    *server.Server
	stores server.Stores
	invite relay.Invite
	dial   func(context.Context, string, string) (net.Conn, error)
	beat   time.Duration
	stop   func()
}

type store interface {
	server.Directory
	server.Mailbox
	server.Wake
}

func storesOf(s store) server.Stores { return server.Stores{Directory: s, Mailbox: s, Wake: s} }

// withMemory sets an empty store in memory.
func withMemory(c *server.Config) { c.Stores = storesOf(memstore.New()) }

// unlimited lets a test ask as often as it likes.
var unlimited = server.Limits{
	Connects: server.Rate{Burst: -1}, Registrations: server.Rate{Burst: -1},
	BundlePair: server.Rate{Burst: -1}, BundleTarget: server.Rate{Burst: -1}, BundleRequester: server.Rate{Burst: -1},
	SendPair: server.Rate{Burst: -1}, SendRequester: server.Rate{Burst: -1}, SendBytes: server.Rate{Burst: -1},
	Lookups: server.Rate{Burst: -1}, ListChanges: server.Rate{Burst: -1}, Uploads: server.Rate{Burst: -1},
	GroupCreates: server.Rate{Burst: -1}, GroupAppends: server.Rate{Burst: -1}, GroupLog: server.Rate{Burst: -1},
	GroupCopies: server.Rate{Burst: -1}, GroupBytes: server.Rate{Burst: -1}, GroupPair: server.Rate{Burst: -1},
}

// serve starts a server on loopback, over memory unless adjust says otherwise,
// and stops it at the end of the test.
func serve(t testing.TB, adjust ...func(*server.Config)) *world {
	t.Helper()
	conf := server.Config{Listen: "127.0.0.1:0", Limits: unlimited, Log: slog.New(slog.DiscardHandler)}
	for _, f := range adjust {
		f(&conf)
	}
	if conf.Directory == nil {
		withMemory(&conf)
	}
	srv, err := server.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	link, err := srv.Invite(t.Context(), server.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, srv: srv, stores: conf.Stores, beat: conf.Heartbeat}
	if w.invite, err = relay.ParseInvite(link); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) target() relayclient.Target {
	return relayclient.Target{Host: w.invite.Host, Pin: w.invite.Pin, Dial: w.dial, Heartbeat: w.beat}
}

// person is an account with its first device.
type person struct {
	w       *world
	addr    address.Address
	account ed25519.PrivateKey
	sign    ed25519.PrivateKey
	device  address.Device
	list    devicelist.List
	entry   []byte
	upload  prekeys.Upload
}

func key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// somebody makes a person whom no server knows yet.
func (w *world) somebody(name string) *person {
	w.t.Helper()
	addr, err := address.New(name, w.invite.Host)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &person{w: w, addr: addr, account: key(w.t), sign: key(w.t), device: address.NewDevice()}
	p.list = devicelist.First(p.accountKey(), addr, p.describe(p.device, p.sign), time.Now())
	p.publish()
	p.upload, _ = prekeys.Generate(time.Now(), prekeys.Owner{Account: p.accountKey(), Device: uint64(p.device)}, p.sign)
	return p
}

func (p *person) accountKey() ed25519.PublicKey { return p.account.Public().(ed25519.PublicKey) }

func (p *person) describe(id address.Device, sign ed25519.PrivateKey) devicelist.Device {
	_, identity := dh.Generate()
	return devicelist.NewDevice(p.accountKey(), p.addr, id, sign, identity, "", time.Now())
}

// publish signs the drafted list.
func (p *person) publish() {
	p.w.t.Helper()
	var err error
	if p.entry, err = devicelist.Sign(p.list, p.account); err != nil {
		p.w.t.Fatal(err)
	}
	if p.list.Version == 1 {
		p.list, err = devicelist.Verify(p.entry)
	} else {
		held := p.list
		if p.list, err = devicelist.Verify(p.entry); err != nil {
			p.list = held
		}
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *person) request() relay.RegisterRequest {
	return relay.RegisterRequest{Invite: p.w.invite.Token, Entry: p.entry, Upload: p.upload.Bytes()}
}

func (p *person) login() relayclient.Login {
	return relayclient.Login{User: p.addr.User(), Device: p.device, Key: p.sign}
}

// person makes an account at the server.
func (w *world) person(name string) *person {
	w.t.Helper()
	p := w.somebody(name)
	if _, err := relayclient.Register(w.t.Context(), w.target(), p.request()); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// connect logs the person's first device in until the end of the test.
func (p *person) connect() *relayclient.Conn {
	p.w.t.Helper()
	c, err := relayclient.Dial(p.w.t.Context(), p.w.target(), p.login())
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.w.t.Cleanup(c.Close)
	return c
}

// to addresses one message to all of a person's devices.
func to(p *person, body string) relay.SendRequest {
	r := relay.SendRequest{To: p.addr.User(), ListVersion: p.list.Version}
	for _, d := range p.list.Active() {
		r.Messages = append(r.Messages, outgoing(d.ID, body))
	}
	return r
}

func outgoing(d address.Device, body string) relay.Outgoing {
	o := relay.Outgoing{Device: d, Body: []byte(body)}
	rand.Read(o.ID[:])
	return o
}

func send(t testing.TB, c *relayclient.Conn, r relay.SendRequest) {
	t.Helper()
	result, err := c.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if result.Stale != nil || len(result.Accepted) != len(r.Messages) {
		t.Fatalf("Send = %+v, want all %d accepted", result, len(r.Messages))
	}
}

// receive takes batches until want messages have come, or until the marker if
// want is negative, and acknowledges them.
func receive(t testing.TB, c *relayclient.Conn, want int) []relay.Delivery {
	t.Helper()
	var got []relay.Delivery
	deadline := time.After(20 * time.Second)
	for want < 0 || len(got) < want {
		select {
		case b, ok := <-c.Deliveries():
			if !ok {
				t.Fatalf("connection ended after %d messages: %v", len(got), c.Err())
			}
			got = append(got, b.Messages...)
			var seqs []uint64
			for _, m := range b.Messages {
				seqs = append(seqs, m.Seq)
			}
			if len(seqs) > 0 {
				if err := c.Ack(t.Context(), seqs); err != nil {
					t.Fatal(err)
				}
			}
			if b.Empty && want < 0 {
				return got
			}
		case <-deadline:
			t.Fatalf("%d messages came, want %d", len(got), want)
		}
	}
	return got
}

func bodies(ms []relay.Delivery) []string {
	var out []string
	for _, m := range ms {
		out = append(out, string(m.Body))
	}
	return out
}

// wantCode fails unless err is a refusal with that code.
func wantCode(t testing.TB, err error, code relay.Code) *relay.Error {
	t.Helper()
	var refused *relay.Error
	if !errors.As(err, &refused) || refused.Code != code {
		t.Fatalf("error = %v, want %v", err, code)
	}
	return refused
}
