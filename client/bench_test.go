package client

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/sqlitestore"

	_ "modernc.org/sqlite"
)

// heap is a mailbox without quotas, so that ten thousand messages can wait.
type heap struct {
	server.Mailbox
	mu   sync.Mutex
	rows map[server.Device][]server.Message
	seq  server.Seq
	wake *server.Hub // nil tells nobody
}

func (h *heap) Append(_ context.Context, in []server.Envelope) ([]server.Result, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	res := make([]server.Result, len(in))
	for i, e := range in {
		h.seq++
		h.rows[e.Device] = append(h.rows[e.Device], server.Message{Seq: h.seq, ID: e.ID, At: e.At, Body: e.Body})
		res[i].Seq = h.seq
		if h.wake != nil {
			h.wake.Notify([]server.Hint{{Device: e.Device, Seq: h.seq}})
		}
	}
	return res, nil
}

func (h *heap) Read(_ context.Context, dev server.Device, after server.Seq, limit, maxBytes int) (out []server.Message, more bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rows := h.rows[dev]
	from, _ := slices.BinarySearchFunc(rows, after+1, func(m server.Message, s server.Seq) int { return int(int64(m.Seq) - int64(s)) })
	for _, m := range rows[from:] {
		if len(out) == limit || maxBytes < 0 {
			return out, true, nil
		}
		maxBytes -= len(m.Body)
		out = append(out, m)
	}
	return out, false, nil
}

func (h *heap) Ack(_ context.Context, dev server.Device, seqs []server.Seq) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows[dev] = slices.DeleteFunc(h.rows[dev], func(m server.Message) bool { return slices.Contains(seqs, m.Seq) })
	return nil
}

type bench struct {
	b      testing.TB
	invite string
}

func newBench(b testing.TB, s server.Stores) *bench { return newBenchWith(b, server.Config{Stores: s}) }

func newBenchWith(b testing.TB, conf server.Config) *bench {
	conf.Listen, conf.Dir = "127.0.0.1:0", b.TempDir()
	srv, err := server.New(conf)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	b.Cleanup(func() { stop(); <-done })
	w := &bench{b: b}
	if w.invite, err = srv.Invite(ctx, server.InviteOptions{}); err != nil {
		b.Fatal(err)
	}
	return w
}

func (w *bench) join(name string) (*Client, Config) {
	dir := w.b.TempDir()
	cfg := Config{Home: filepath.Join(dir, "home"), Unlock: Unlock{KeyFile: filepath.Join(dir, "key")}}
	c, err := Register(context.Background(), cfg, RegisterRequest{Name: name, Invite: w.invite})
	if err != nil {
		w.b.Fatal(err)
	}
	return c.(*Client), cfg
}

// rawSQLite opens a plain database with the durability that the client has.
func rawSQLite(b *testing.B) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "raw.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE m(k BLOB PRIMARY KEY, v BLOB); CREATE TABLE s(k BLOB PRIMARY KEY, v BLOB)"); err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkDrain10000 takes a mailbox of 10 000 messages of 100 bytes. The
// floor decrypts the same messages with the bare ratchet and writes, for each
// 100 of them, one transaction of plain SQLite with a row a message, a row for
// its envelope's hash, and the session: no sealing, no network, no parsing.
func BenchmarkDrain10000(b *testing.B) {
	const n = 10000
	var measured, floor time.Duration
	for range b.N {
		b.StopTimer()
		store := memstore.New()
		box := &heap{Mailbox: store, rows: map[server.Device][]server.Message{}}
		w := newBench(b, server.Stores{Directory: store, Mailbox: box, Wake: store})
		alice, _ := w.join("alice")
		bob, bobConfig := w.join("bob")
		ctx := context.Background()
		for _, c := range []struct {
			from *Client
			to   string
			in   *Client
		}{{alice, "bob", bob}, {bob, "alice", alice}} {
			if _, err := c.from.Send(ctx, c.to, "hello", SendOptions{}); err != nil {
				b.Fatal(err)
			}
			if err := c.in.Sync(ctx); err != nil {
				b.Fatal(err)
			}
		}
		bob.Close()
		envelopes := sealMany(b, alice, bob, n)
		for i, e := range envelopes {
			_, err := box.Append(ctx, []server.Envelope{{
				Device: server.Device{User: "bob", ID: bobDevice(bob)}, ID: server.MessageID{1, byte(i), byte(i >> 8)}, At: time.Now(), Body: e,
			}})
			if err != nil {
				b.Fatal(err)
			}
		}
		// The floor first: it needs the state before the drain.
		floor += drainFloor(b, bobConfig, envelopes)
		again, err := Open(ctx, bobConfig)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		start := time.Now()
		if err := again.Sync(ctx); err != nil {
			b.Fatal(err)
		}
		measured += time.Since(start)
		b.StopTimer()
		if h, err := again.Status(ctx); err != nil || h.Undelivered != n+1 {
			b.Fatalf("%d messages arrived, %v", h.Undelivered, err)
		}
		again.Close()
		alice.Close()
	}
	b.ReportMetric(float64(measured)/float64(floor), "xfloor")
	b.ReportMetric(float64(n*b.N)/measured.Seconds(), "messages/s")
}

func bobDevice(c *Client) address.Device { return c.engine.self.device }

// sealMany seals n texts in one transaction, as n sends would.
func sealMany(b testing.TB, from, to *Client, n int) [][]byte {
	e := from.engine
	k := peerKey{to.account.Address, to.engine.self.device}
	var out [][]byte
	e.state.Lock()
	defer e.state.Unlock()
	var pair session.Pair
	err := e.update(context.Background(), func(tx *vault.Tx) (err error) {
		if pair, err = e.pair(tx, k); err != nil {
			return err
		}
		for i := range n {
			c, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: fmt.Sprintf("%0100d", i)})
			if err != nil {
				return err
			}
			s, err := pair.Seal(c.Encode(), time.Now())
			if err != nil {
				return err
			}
			pair = s.Next
			out = append(out, e.wrap(k, s.Initial, s.Message).Envelope)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	e.remember(map[peerKey]session.Pair{k: pair}) // receipts go on from there
	return out
}

func drainFloor(b *testing.B, cfg Config, envelopes [][]byte) time.Duration {
	x, err := Examine(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	env, err := content.DecodeEnvelope(envelopes[0])
	if err != nil {
		b.Fatal(err)
	}
	var s *session.Session
	err = x.e.view(context.Background(), func(tx *vault.Tx) error {
		pair, err := x.e.pair(tx, peerKey{env.From.String(), env.Device})
		s = pair.Active()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	messages := make([][]byte, len(envelopes))
	for i := range envelopes {
		env, err := content.DecodeEnvelope(envelopes[i])
		if err != nil {
			b.Fatal(err)
		}
		messages[i] = env.Message
	}
	db := rawSQLite(b)
	state := s.State
	now := time.Now()
	start := time.Now()
	for i := 0; i < len(messages); i += 100 {
		tx, err := db.Begin()
		if err != nil {
			b.Fatal(err)
		}
		put, err := tx.Prepare("INSERT INTO m VALUES(?,?)")
		if err != nil {
			b.Fatal(err)
		}
		seen, err := tx.Prepare("INSERT INTO s VALUES(?,?)")
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range messages[i : i+100] {
			o, err := state.Open(m, s.AD[:], now)
			if err != nil {
				b.Fatal(err)
			}
			state = o.Next
			if _, err := put.Exec(m[1:17], o.Plaintext); err != nil {
				b.Fatal(err)
			}
			if _, err := seen.Exec(m[17:33], []byte{}); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := tx.Exec("REPLACE INTO s VALUES(?,?)", s.ID[:], state.AppendRecord(nil)); err != nil {
			b.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// BenchmarkSendDurable sends one text and waits until the server has it. The
// floor is one commit of plain SQLite and one round trip of the same envelope
// to the same durable server, measured in turn with it.
func BenchmarkSendDurable(b *testing.B) {
	dir := b.TempDir()
	store, err := sqlitestore.Open(sqlitestore.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	w := newBench(b, server.Stores{Directory: store, Mailbox: store, Wake: store})
	alice, _ := w.join("alice")
	bob, _ := w.join("bob")
	defer alice.Close()
	defer bob.Close()
	ctx := context.Background()
	if _, err := alice.Send(ctx, "bob", "hello", SendOptions{}); err != nil {
		b.Fatal(err)
	}
	if err := bob.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := bob.Send(ctx, "alice", "hello", SendOptions{}); err != nil {
		b.Fatal(err)
	}
	if err := alice.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	l, err := alice.engine.connected(ctx)
	if err != nil {
		b.Fatal(err)
	}
	body := sealMany(b, alice, bob, 1)[0]
	db := rawSQLite(b)
	text := fmt.Sprintf("%0100d", 1)
	var measured, floor time.Duration
	b.ResetTimer()
	for b.Loop() {
		start := time.Now()
		if _, err := alice.Send(ctx, "bob", text, SendOptions{}); err != nil {
			b.Fatal(err)
		}
		measured += time.Since(start)
		b.StopTimer()
		id := content.NewID()
		start = time.Now()
		if _, err := db.Exec("INSERT INTO m VALUES(?,?)", id[:], body); err != nil {
			b.Fatal(err)
		}
		_, err := l.conn.Send(ctx, relay.SendRequest{To: "bob", Messages: []relay.Outgoing{{
			Device: bob.engine.self.device, ID: relay.MessageID(id), Body: body,
		}}})
		if err != nil {
			b.Fatal(err)
		}
		floor += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(measured)/float64(floor), "xfloor")
}
