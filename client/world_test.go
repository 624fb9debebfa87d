package client_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// world is a server on loopback and the homes of a few people.
type world struct {
	t      *testing.T
	server *server.Server
	stores server.Stores
	invite string
	dir    string // the server's key
	stop   func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	m := memstore.New()
	w := &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: m, Mailbox: m, Wake: m}}
	w.serve(server.Config{Stores: w.stores, Listen: "127.0.0.1:0", Dir: w.dir})
	return w
}

func (w *world) serve(conf server.Config) {
	w.t.Helper()
	s, err := server.New(conf)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	w.server = s
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("serve: %v", err)
		}
	}
	w.t.Cleanup(w.stop)
	if w.invite, err = s.Invite(context.Background(), server.InviteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// config is a home that a key file opens: no slow derivation in tests.
func config(t *testing.T, name string) client.Config {
	dir := filepath.Join(t.TempDir(), name)
	return client.Config{Home: dir, Unlock: client.Unlock{KeyFile: filepath.Join(filepath.Dir(dir), "key")}}
}

func (w *world) join(cfg client.Config, name string) client.API {
	w.t.Helper()
	c, err := client.Register(ctx(w.t), cfg, client.RegisterRequest{Name: name, Invite: w.invite})
	if err != nil {
		w.t.Fatalf("register %s: %v", name, err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return c
}

// take returns the texts of what waits for a consumer and acknowledges it.
func take(t *testing.T, c client.API) (texts []string) {
	t.Helper()
	if err := c.Sync(ctx(t)); err != nil {
		t.Fatalf("sync: %v", err)
	}
	for {
		got, err := c.Receive(ctx(t), "", 100)
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		if len(got) == 0 {
			return texts
		}
		for _, m := range got {
			if m.Kind == client.KindText {
				texts = append(texts, m.Text)
			} else {
				texts = append(texts, string(m.Kind)+":"+m.Notice+m.Cause)
			}
			if err := c.Ack(ctx(t), "", m.ID); err != nil {
				t.Fatalf("ack: %v", err)
			}
		}
	}
}

func send(t *testing.T, c client.API, to, text string) client.Message {
	t.Helper()
	m, err := c.Send(ctx(t), to, text, client.SendOptions{})
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	if m.Status != client.StatusAccepted {
		t.Fatalf("status is %q", m.Status)
	}
	return m
}
