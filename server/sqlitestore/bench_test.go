package sqlitestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/server"
)

// The benchmarks compare the store with what SQLite itself can do on this disk
// in the same run: raw below has the same schema, the same settings and the
// same driver calls, takes batches as they gather, and does nothing else: no
// quotas, no idempotency answers, no checksums, no device table.

const (
	benchSenders = 64
	benchBody    = 1024
	slice        = 300 * time.Millisecond // of one side at a time
	slices       = 8
)

// raw is SQLite with group commit and nothing around it.
type raw struct {
	c                     *conn
	begin, commit, insert *stmt
	noop, passive         *stmt
	queue                 chan *rawInsert
	seq                   int64
	commits               int
}

type rawInsert struct {
	dev    int64
	id     [16]byte
	body   []byte
	answer chan struct{}
}

func newRaw(b *testing.B) *raw {
	path := filepath.Join(b.TempDir(), "raw.db")
	ok(b, create(path))
	c, err := connect(path, writerSettings)
	ok(b, err)
	b.Cleanup(func() { c.Close() })
	r := &raw{c: c, queue: make(chan *rawInsert, queueLength)}
	for to, sql := range map[**stmt]string{&r.begin: sqlBegin, &r.commit: sqlCommit,
		&r.insert:  "INSERT INTO message (seq, dev, id, at, due, sum, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		&r.passive: "PRAGMA wal_checkpoint(PASSIVE)", &r.noop: "PRAGMA wal_checkpoint(NOOP)"} {
		*to, err = c.prepare(sql, 3)
		ok(b, err)
	}
	return r
}

func (r *raw) put(b testing.TB, dev int64, id *[16]byte, body []byte) {
	r.seq++
	due := at.Add(server.MessageLife).UnixMilli()
	if _, err := r.insert.exec(r.seq, dev, id[:], at.UnixMilli(), due, int64(r.seq*2654435761%(1<<32)), body); err != nil {
		b.Error(err)
	}
}

// end commits and checkpoints as the store does.
func (r *raw) end(b testing.TB) {
	if _, err := r.commit.exec(); err != nil {
		b.Error(err)
	}
	if r.commits++; r.commits%checkEvery == 0 {
		if row, _, err := r.noop.one(); err == nil && integer(row[1]) >= walPages {
			r.passive.one()
		}
	}
}

func (r *raw) loop(b testing.TB) {
	var batch []*rawInsert
	for first := range r.queue {
		batch = append(batch[:0], first)
	gather:
		for yielded := false; len(batch) < batchRequests; {
			select {
			case j := <-r.queue:
				batch = append(batch, j)
				continue
			default:
			}
			if yielded {
				break gather
			}
			yielded = true
			runtime.Gosched()
		}
		if _, err := r.begin.exec(); err != nil {
			b.Error(err)
		}
		for _, j := range batch {
			r.put(b, j.dev, &j.id, j.body)
		}
		r.end(b)
		for _, j := range batch {
			j.answer <- struct{}{}
		}
	}
}

// work runs n senders until the time is over and counts what each call did.
func work(senders int, f func(sender int, n uint64)) (perSecond float64) {
	var total atomic.Int64
	var wg sync.WaitGroup
	var next [benchSenders]uint64
	start := time.Now()
	for s := range senders {
		wg.Go(func() {
			for time.Since(start) < slice {
				f(s, next[s])
				next[s]++
				total.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(total.Load()) / time.Since(start).Seconds()
}

// versus alternates the two sides so that a noisy minute hits both, and reports
// the median of the ratios of neighbouring slices.
func versus(b *testing.B, ours, floor func() float64) {
	for b.Loop() {
		var x, y, ratios []float64
		ours() // both sides have grown their files once
		floor()
		for range slices {
			x = append(x, ours())
			y = append(y, floor())
			ratios = append(ratios, x[len(x)-1]/y[len(y)-1])
		}
		b.ReportMetric(median(x), "ours/s")
		b.ReportMetric(median(y), "raw/s")
		b.ReportMetric(median(ratios), "xraw")
	}
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	for i := range v {
		for j := range i {
			if v[i] < v[j] {
				v[i], v[j] = v[j], v[i]
			}
		}
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func benchAppend(b *testing.B, senders int, sealed bool) {
	s := mustOpen(b, b.TempDir())
	var m server.Mailbox = s
	if sealed {
		m = server.Sealed(s, [32]byte{1})
	}
	ctx := context.Background()
	bodies := make([][]byte, senders)
	for i := range bodies {
		bodies[i] = make([]byte, benchBody)
	}
	var round uint64
	ours := func() float64 {
		round++
		return work(senders, func(sender int, n uint64) {
			// 900 messages a mailbox, then the next device.
			e := server.Envelope{Device: server.Device{User: "alice", ID: address.Device(round<<40 | uint64(sender)<<24 | n/900 + 1)}, At: at, Body: bodies[sender]}
			binary.BigEndian.PutUint64(e.ID[:], n*0x9e3779b97f4a7c15+1) // random, as ids are
			if _, err := m.Append(ctx, []server.Envelope{e}); err != nil {
				b.Error(err)
			}
		})
	}
	r := newRaw(b)
	id := func(n uint64) (id [16]byte) {
		binary.BigEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15+1)
		return id
	}
	if senders == 1 {
		// The floor of one sender is one insert and one flush, by one goroutine.
		versus(b, ours, func() float64 {
			round++
			return work(1, func(_ int, n uint64) {
				r.begin.exec()
				k := id(n)
				r.put(b, int64(round<<40|n/900), &k, bodies[0])
				r.end(b)
			})
		})
		return
	}
	done := make(chan struct{})
	go func() { r.loop(b); close(done) }()
	jobs := make([]rawInsert, senders)
	for i := range jobs {
		jobs[i] = rawInsert{body: bodies[i], answer: make(chan struct{}, 1)}
	}
	versus(b, ours, func() float64 {
		round++
		return work(senders, func(sender int, n uint64) {
			j := &jobs[sender]
			j.dev, j.id = int64(round<<40|uint64(sender)<<24|n/900), id(n)
			r.queue <- j
			<-j.answer
		})
	})
	close(r.queue)
	<-done
}

func BenchmarkAppend64(b *testing.B)       { benchAppend(b, benchSenders, false) }
func BenchmarkAppend64Sealed(b *testing.B) { benchAppend(b, benchSenders, true) }
func BenchmarkAppend1(b *testing.B)        { benchAppend(b, 1, false) }

// BenchmarkAppendAllocs counts what one Append allocates, the driver included.
func BenchmarkAppendAllocs(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	body := make([]byte, benchBody)
	var n uint64
	b.ReportAllocs()
	for b.Loop() {
		n++
		e := server.Envelope{Device: server.Device{User: "alice", ID: address.Device(n/900 + 1)}, At: at, Body: body}
		binary.BigEndian.PutUint64(e.ID[:], n)
		if _, err := s.Append(context.Background(), []server.Envelope{e}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTake is 16 takers, each taking an EC and a KEM key (public parts of
// 100 and 1,700 bytes), and reports takes per second.
func BenchmarkTake(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	ctx := context.Background()
	ok(b, s.CreateAccount(ctx, server.Registration{User: "alice"}))
	const takers = 16
	var batch [takers]uint64
	for b.Loop() {
		var mu sync.Mutex
		var refilling time.Duration
		start := time.Now()
		var taken atomic.Int64
		var wg sync.WaitGroup
		for t := range takers {
			dev := server.Device{User: "alice", ID: address.Device(t + 1)}
			wg.Go(func() {
				for round := 0; round < 3; round++ {
					began := time.Now()
					batch[t]++
					var sets []server.OneTimeSet
					for kind, size := range map[server.OneTimeKind]int{server.OneTimeEC: 100, server.OneTimeKEM: 1700} {
						set := server.OneTimeSet{Device: dev.ID, Kind: kind}
						binary.BigEndian.PutUint64(set.Batch[:], batch[t])
						for i := range uint64(100) {
							set.Keys = append(set.Keys, server.OneTimeKey{ID: batch[t]<<20 | i + 1, Public: make([]byte, size)})
						}
						sets = append(sets, set)
					}
					ok(b, s.PutOneTime(ctx, "alice", sets...))
					mu.Lock()
					refilling += time.Since(began)
					mu.Unlock()
					for range 100 {
						k, err := s.TakeOneTime(ctx, dev)
						if err != nil || k.EC == nil || k.KEM == nil {
							b.Error(k, err)
							return
						}
						taken.Add(1)
					}
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(taken.Load())/time.Since(start).Seconds(), "takes/s")
		b.ReportMetric(refilling.Seconds()/takers/time.Since(start).Seconds(), "refillshare")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLifecycle is append, read and acknowledge of pages of 50 messages by
// 16 devices at once, in messages per second.
func BenchmarkLifecycle(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	ctx := context.Background()
	body := make([]byte, benchBody)
	var round uint64
	for b.Loop() {
		round++
		b.ReportMetric(50*work(16, func(sender int, n uint64) {
			dev := server.Device{User: "alice", ID: address.Device(sender + 1)}
			var batch []server.Envelope
			for i := range uint64(50) {
				e := server.Envelope{Device: dev, At: at, Body: body}
				binary.BigEndian.PutUint64(e.ID[:], (round<<32|n*50+i)*0x9e3779b97f4a7c15+1)
				batch = append(batch, e)
			}
			if _, err := s.Append(ctx, batch); err != nil {
				b.Error(err)
			}
			msgs, _, err := s.Read(ctx, dev, 0, 50, 1<<20)
			if err != nil || len(msgs) != 50 {
				b.Error(len(msgs), err)
			}
			var seqs []server.Seq
			for _, m := range msgs {
				seqs = append(seqs, m.Seq)
			}
			if err := s.Ack(ctx, dev, seqs); err != nil {
				b.Error(err)
			}
		}), "messages/s")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkOpen is opening a store of 100,000 waiting messages whose process
// was killed, log and all.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := mustOpen(b, dir)
	ctx := context.Background()
	for n := range 100_000 / server.MaxEnvelopes {
		var batch []server.Envelope
		for i := range server.MaxEnvelopes {
			e := server.Envelope{Device: server.Device{User: "alice", ID: address.Device(i + 1)}, At: at, Body: make([]byte, 256)}
			binary.BigEndian.PutUint64(e.ID[:], uint64(n+1))
			if n >= server.MailboxMessages {
				e.Device.ID += 64
			}
			batch = append(batch, e)
		}
		_, err := s.Append(ctx, batch)
		ok(b, err)
	}
	// A copy of the files, log included, is what a killed process leaves. Reading
	// them drops SQLite's locks on the original, which is not used any more.
	copies := 0
	for b.Loop() {
		b.StopTimer()
		copies++
		to := filepath.Join(b.TempDir(), fmt.Sprint(copies))
		ok(b, os.MkdirAll(to, 0o700))
		for _, name := range []string{fileName, fileName + "-wal"} {
			content, err := os.ReadFile(filepath.Join(dir, name))
			ok(b, err)
			ok(b, os.WriteFile(filepath.Join(to, name), content, 0o600))
		}
		b.StartTimer()
		again, err := Open(Options{Dir: to})
		ok(b, err)
		b.StopTimer()
		ok(b, again.Close())
		b.StartTimer()
	}
}
