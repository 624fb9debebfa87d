package client

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/sqlitestore"
)

// another makes one more device of an account.
func (w *bench) another(of *Client) *Client {
	w.b.Helper()
	var file bytes.Buffer
	o := BackupOptions{Passphrase: []byte("a long enough passphrase"), Recovery: true}
	if _, err := of.Backup(context.Background(), &file, o); err != nil {
		w.b.Fatal(err)
	}
	dir := w.b.TempDir()
	cfg := Config{Home: filepath.Join(dir, "home"), Unlock: Unlock{KeyFile: filepath.Join(dir, "key")}}
	c, _, err := Restore(context.Background(), cfg, bytes.NewReader(file.Bytes()), RestoreRequest{BackupOptions: o})
	if err != nil {
		w.b.Fatal(err)
	}
	return c.(*Client)
}

// BenchmarkFanOut sends one text to a person with four devices while having
// three others. The floor is seven seals by the bare ratchet, one transaction
// of plain SQLite with the seven states, the envelopes and the text, and one
// request with the same envelopes to the same durable server.
func BenchmarkFanOut(b *testing.B) {
	store, err := sqlitestore.Open(sqlitestore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	box := &emptied{Mailbox: store, waiting: map[server.Device][]server.Seq{}}
	w := newBench(b, server.Stores{Directory: store, Mailbox: box, Wake: store})
	alice, _ := w.join("alice")
	bob, _ := w.join("bob")
	ctx := context.Background()
	all := []*Client{alice, bob}
	for range 3 {
		all = append(all, w.another(alice), w.another(bob))
	}
	defer alice.Close()
	// Everybody has answered everybody, so that no message carries a handshake.
	for range 2 {
		for _, c := range all {
			to := "bob"
			if c.account.Address == bob.account.Address {
				to = "alice"
			}
			if _, err := c.Send(ctx, to, "hello", SendOptions{}); err != nil {
				b.Fatal(err)
			}
			for _, d := range all {
				if err := d.Sync(ctx); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	for _, c := range all[1:] {
		c.Close() // what they would do with it is not measured
	}
	l, err := alice.engine.connected(ctx)
	if err != nil {
		b.Fatal(err)
	}
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
		floor += fanOutFloor(b, alice.engine, l, bob.account.Address, text, func(rows [][2][]byte) {
			tx, err := db.Begin()
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range rows {
				if _, err := tx.Exec("REPLACE INTO m VALUES(?,?)", r[0], r[1]); err != nil {
					b.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		})
		box.empty(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(measured)/float64(floor), "xfloor")
}

// emptied is a mailbox that can be emptied, so that it never fills up.
type emptied struct {
	server.Mailbox
	mu      sync.Mutex
	waiting map[server.Device][]server.Seq
}

func (m *emptied) Append(ctx context.Context, in []server.Envelope) ([]server.Result, error) {
	out, err := m.Mailbox.Append(ctx, in)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range out {
		m.waiting[in[i].Device] = append(m.waiting[in[i].Device], out[i].Seq)
	}
	return out, err
}

func (m *emptied) empty(b *testing.B) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dev, seqs := range m.waiting {
		if err := m.Mailbox.Ack(context.Background(), dev, seqs); err != nil {
			b.Fatal(err)
		}
	}
	clear(m.waiting)
}

func fanOutFloor(b *testing.B, e *engine, l *link, to, text string, commit func([][2][]byte)) time.Duration {
	ctx := context.Background()
	p, err := e.person(ctx, to)
	if err != nil {
		b.Fatal(err)
	}
	c, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: text})
	if err != nil {
		b.Fatal(err)
	}
	o := &outboxRecord{ID: c.ID[:], To: to, Content: c.Encode()}
	var a audience
	sessions := map[peerKey]*session.Session{}
	e.state.Lock()
	err = e.view(ctx, func(tx *vault.Tx) error {
		if a, err = e.audienceOf(tx, o, p); err != nil {
			return err
		}
		for _, k := range a.keys() {
			pair, err := e.pair(tx, k)
			if err != nil {
				return err
			}
			sessions[k] = pair.Active()
		}
		return nil
	})
	e.state.Unlock()
	if err != nil || len(sessions) != 7 {
		b.Fatalf("%d sessions, %v", len(sessions), err)
	}
	told, err := o.forOwn()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	rows := [][2][]byte{{c.ID[:], []byte(text)}}
	req := relay.SendRequest{To: p.address.User(), ListVersion: p.list.Version, Own: &relay.OwnCopies{ListVersion: a.own.list.Version}}
	for _, k := range a.keys() {
		s, plain := sessions[k], o.Content
		if k.address != to {
			plain = told
		}
		sealed, err := s.State.Seal(plain, s.AD[:])
		if err != nil {
			b.Fatal(err)
		}
		copied := e.wrap(k, nil, sealed.Message)
		rows = append(rows, [2][]byte{k.bytes(), sealed.Next.AppendHead(nil)}, [2][]byte{copied.ID, copied.Envelope})
		out := relay.Outgoing{Device: k.device, ID: relay.MessageID(copied.ID), Body: copied.Envelope}
		if k.address == to {
			req.Messages = append(req.Messages, out)
		} else {
			req.Own.Messages = append(req.Own.Messages, out)
		}
	}
	commit(rows)
	if res, err := l.conn.Send(ctx, req); err != nil || res.Stale != nil {
		b.Fatal(res, err)
	}
	return time.Since(start)
}

// keys are the sessions that a message to an audience goes through.
func (a audience) keys() (all []peerKey) {
	for _, d := range a.list {
		all = append(all, peerKey{a.to.record.Address, d.ID})
	}
	for _, d := range a.mine {
		all = append(all, peerKey{a.own.record.Address, d.ID})
	}
	return all
}

// BenchmarkConversations drains 10 000 messages that wait across 50
// conversations, and as many that wait in one, and compares the rates.
func BenchmarkConversations(b *testing.B) {
	const total, people = 10000, 50
	var many, one time.Duration
	for range b.N { // the time of an operation is mostly that of making ready
		many += drainOf(b, people, total/people)
		one += drainOf(b, 1, total)
	}
	b.ReportMetric(float64(one)/float64(many), "xsingle")
	b.ReportMetric(float64(total*b.N)/many.Seconds(), "messages/s")
}

func drainOf(b *testing.B, people, each int) time.Duration {
	store := memstore.New()
	box := &heap{Mailbox: store, rows: map[server.Device][]server.Message{}, wake: store.Hub}
	w := newBench(b, server.Stores{Directory: store, Mailbox: box, Wake: store})
	bob, bobConfig := w.join("bob")
	ctx := context.Background()
	var waiting [][][]byte
	for i := range people {
		name := fmt.Sprintf("alice%d", i)
		alice, _ := w.join(name)
		defer alice.Close()
		if _, err := alice.Send(ctx, "bob", "hello", SendOptions{}); err != nil {
			b.Fatal(err)
		}
		if err := bob.Sync(ctx); err != nil {
			b.Fatal(err)
		}
		if _, err := bob.Send(ctx, name, "hello", SendOptions{}); err != nil {
			b.Fatal(err)
		}
		if err := alice.Sync(ctx); err != nil {
			b.Fatal(err)
		}
		waiting = append(waiting, sealMany(b, alice, bob, each))
	}
	bob.Close()
	for j := range each { // as they would have come: everybody in turn
		for i := range waiting {
			_, err := box.Append(ctx, []server.Envelope{{
				Device: server.Device{User: "bob", ID: bobDevice(bob)}, ID: server.MessageID{1, byte(i), byte(j), byte(j >> 8)}, At: time.Now(), Body: waiting[i][j],
			}})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	again, err := Open(ctx, bobConfig)
	if err != nil {
		b.Fatal(err)
	}
	defer again.Close()
	start := time.Now()
	if err := again.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	if h, err := again.Status(ctx); err != nil || h.Undelivered != people*(each+1) {
		b.Fatalf("%d messages arrived, %v", h.Undelivered, err)
	}
	return took
}
