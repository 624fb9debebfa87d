package server_test

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/sqlitestore"
)

const (
	benchSenders = 64
	benchBody    = 1 << 10
	benchRound   = 4096 // messages of each side before the other has its turn
	benchFill    = 14   // rounds that mailboxes take before their quota
)

// BenchmarkAccept measures durable accepts per second: 64 devices, each
// sending 1 KiB to an offline device over its own TLS connection and WebSocket
// and waiting for the answer, on the product's store (SQLite,
// synchronous=FULL, bodies sealed). Clients and server share the machine.
//
// Its floor is the raw group-commit rate of SQLite: 64 goroutines handing rows
// of the same size to one that inserts what has gathered into the same table
// with the same indexes and commits with the same settings, without any
// protocol, account, quota, checksum or sealing. Both take turns in the same
// run; xraw is the median of accepts per second over raw rows per second of
// neighbouring turns.
func BenchmarkAccept(b *testing.B) {
	st, err := sqlitestore.Open(sqlitestore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	stores := storesOf(st)
	stores.Mailbox = server.Sealed(st, [32]byte{1})
	w := serve(b, func(c *server.Config) { c.Stores = stores })
	defer w.stop()
	raw := openRaw(b)
	defer raw.close()

	senders := make([]*relayclient.Conn, benchSenders)
	people := make([]*person, benchSenders)
	for i := range senders {
		people[i] = w.person(fmt.Sprintf("p%d", i))
		senders[i] = w.person(fmt.Sprintf("s%d", i)).connect()
	}
	body := make([]byte, benchBody)
	rand.Read(body)

	rows := make([]*rawRow, benchSenders)
	for i := range rows {
		rows[i] = &rawRow{dev: int64(i), body: body, done: make(chan error, 1)}
	}

	var through, bare time.Duration
	accept := func(n int) {
		began := time.Now()
		share(n, func(i int) error {
			r := relay.SendRequest{To: people[i].addr.User(), ListVersion: 1,
				Messages: []relay.Outgoing{{Device: people[i].device, Body: body}}}
			rand.Read(r.Messages[0].ID[:])
			_, err := senders[i].Send(b.Context(), r)
			return err
		}, b)
		through += time.Since(began)
	}
	insert := func(n int) {
		began := time.Now()
		share(n, func(i int) error {
			rand.Read(rows[i].id[:])
			return raw.insert(rows[i])
		}, b)
		bare += time.Since(began)
	}
	accept(benchRound)
	insert(benchRound)
	w.empty(b, people)
	raw.empty(b)
	var accepts, raws, ratios []float64
	rounds := 0
	for b.Loop() {
		through, bare = 0, 0
		accept(benchRound)
		rounds++
		b.StopTimer()
		insert(benchRound)
		accepts = append(accepts, benchRound/through.Seconds())
		raws = append(raws, benchRound/bare.Seconds())
		ratios = append(ratios, bare.Seconds()/through.Seconds())
		if rounds%benchFill == 0 {
			w.empty(b, people)
			raw.empty(b)
		}
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op") // of a turn: says nothing
	b.ReportMetric(median(accepts), "accepts/s")
	b.ReportMetric(median(raws), "raw/s")
	b.ReportMetric(median(ratios), "xraw")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// share has benchSenders goroutines do n pieces of work.
func share(n int, do func(i int) error, b *testing.B) {
	var all sync.WaitGroup
	for i := range benchSenders {
		all.Go(func() {
			for k := i; k < n; k += benchSenders {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// empty takes everything out of the mailboxes.
func (w *world) empty(b *testing.B, people []*person) {
	for _, p := range people {
		dev := server.Device{User: p.addr.User(), ID: p.device}
		for {
			msgs, _, err := w.stores.Mailbox.Read(b.Context(), dev, 0, 1000, 8<<20)
			if err != nil {
				b.Fatal(err)
			}
			if len(msgs) == 0 {
				break
			}
			var seqs []server.Seq
			for _, m := range msgs {
				seqs = append(seqs, m.Seq)
			}
			if err := w.stores.Mailbox.Ack(b.Context(), dev, seqs); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// rawSQLite is group commit and nothing else.
type rawSQLite struct {
	mu    sync.Mutex // of conn
	conn  driver.Conn
	seq   int64
	queue chan *rawRow
	ended chan struct{}
}

// rawStmt is what the driver's statements are.
type rawStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type rawRow struct {
	dev  int64
	id   [16]byte
	body []byte
	done chan error
}

// openRaw opens a file with the store's own schema and page size, made by the
// store, with the store's settings.
func openRaw(b *testing.B) *rawSQLite {
	dir := b.TempDir()
	st, err := sqlitestore.Open(sqlitestore.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	c, err := new(sqlite.Driver).Open("file:" + filepath.Join(dir, "server.db"))
	if err != nil {
		b.Fatal(err)
	}
	r := &rawSQLite{conn: c, queue: make(chan *rawRow, 4096), ended: make(chan struct{})}
	for _, sql := range []string{
		"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=4000",
		"PRAGMA secure_delete=ON", "PRAGMA temp_store=MEMORY", "PRAGMA cache_size=-32768",
	} {
		r.exec(b, sql)
	}
	prepare := func(sql string) rawStmt {
		s, err := c.Prepare(sql)
		if err != nil {
			b.Fatal(err)
		}
		return s.(rawStmt)
	}
	args := make([]driver.NamedValue, 7)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	ctx := context.Background()
	begin, commit := prepare("BEGIN IMMEDIATE"), prepare("COMMIT")
	insert := prepare("INSERT INTO message(seq,dev,id,at,due,sum,body) VALUES(?,?,?,?,?,?,?) ON CONFLICT (dev,id) DO NOTHING")
	go func() {
		defer close(r.ended)
		var batch []*rawRow
		for row := range r.queue {
			batch = append(batch[:0], row)
			for yielded := false; len(batch) < 512; {
				if len(r.queue) > 0 {
					batch = append(batch, <-r.queue)
				} else if yielded {
					break
				} else {
					yielded = true
					runtime.Gosched()
				}
			}
			r.mu.Lock()
			_, err := begin.ExecContext(ctx, nil)
			for _, row := range batch {
				if err == nil {
					r.seq++
					for i, v := range [...]driver.Value{r.seq, row.dev, row.id[:], r.seq, r.seq + 1<<40, r.seq, row.body} {
						args[i].Value = v
					}
					_, err = insert.ExecContext(ctx, args)
				}
			}
			if err == nil {
				_, err = commit.ExecContext(ctx, nil)
			}
			r.mu.Unlock()
			for _, row := range batch {
				row.done <- err
			}
		}
		insert.Close()
		commit.Close()
		begin.Close()
	}()
	return r
}

func (r *rawSQLite) exec(b *testing.B, sql string) {
	s, err := r.conn.Prepare(sql)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	rows, err := s.(rawStmt).QueryContext(context.Background(), nil)
	if err != nil {
		b.Fatal(err)
	}
	rows.Next(make([]driver.Value, len(rows.Columns())))
	rows.Close()
}

// empty takes everything out, as was done on the other side.
func (r *rawSQLite) empty(b *testing.B) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exec(b, "DELETE FROM message")
}

// insert returns when the row is durable.
func (r *rawSQLite) insert(row *rawRow) error {
	r.queue <- row
	return <-row.done
}

func (r *rawSQLite) close() {
	close(r.queue)
	<-r.ended
	r.conn.Close()
}

// BenchmarkPush measures the time from a send to its delivery at a connected
// device: stored durably, accepted and pushed.
func BenchmarkPush(b *testing.B) {
	st, err := sqlitestore.Open(sqlitestore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	stores := storesOf(st)
	stores.Mailbox = server.Sealed(st, [32]byte{1})
	w := serve(b, func(c *server.Config) { c.Stores = stores })
	defer w.stop()
	alice, bob := w.person("alice").connect(), w.person("bob")
	away := bob.connect()
	for batch := range away.Deliveries() {
		if batch.Empty {
			break
		}
	}
	body := make([]byte, benchBody)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(body, uint64(i))
		send(b, alice, to(bob, string(body)))
		batch := <-away.Deliveries()
		if len(batch.Messages) != 1 {
			b.Fatalf("%d messages came", len(batch.Messages))
		}
		b.StopTimer()
		if err := away.Ack(b.Context(), []uint64{batch.Messages[0].Seq}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
