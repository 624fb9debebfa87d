package vault

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// The floor of a benchmark is what no sealed store over SQLite can avoid: one
// durable transaction with the same statements over the same indexes and
// byte strings of the same lengths, and sealing each value once under
// XChaCha20-Poly1305 with a random nonce. Blinding the names, padding,
// encoding and all bookkeeping are ours and stand in the ratio. Store and
// floor run turn by turn on two files of the same directory, so that both
// see the same disk.

const benchValue = 1000

type floor struct {
	c *connection
	s *sealed
	n uint64
}

func newFloor(b *testing.B) *floor {
	b.Helper()
	v, _, _ := made(b)
	f := &floor{c: <-v.writer, s: v.tables["message"]}
	b.Cleanup(func() { v.writer <- f.c })
	return f
}

func (f *floor) transaction(b *testing.B, rows int) {
	exec := func(q string, args ...driver.NamedValue) {
		if _, err := f.c.exec(q, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec("BEGIN IMMEDIATE")
	aead, err := chacha20poly1305.NewX(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	size := sealedSize(8, 8, benchValue)
	buf := make([]byte, size)
	for range rows {
		f.n++
		var k, g [16]byte
		// Names of random bytes spread over the index as blinded ones do.
		rand.Read(k[:])
		g[0] = byte(f.n % 10)
		rand.Read(buf[:24])
		aead.Seal(buf[24:24], buf[:24], buf[24:size-16], k[:])
		exec(f.s.put, arg(1, k[:]), arg(2, g[:]), arg(3, int64(f.n)), arg(4, buf))
	}
	exec("COMMIT")
}

func benchmarkUpdate(b *testing.B, rows int) {
	v, _, _ := made(b)
	f := newFloor(b)
	value := make([]byte, benchValue)
	n := uint64(0)
	run := func() {
		err := v.Update(context.Background(), func(tx *Tx) error {
			for range rows {
				n++
				var k, g [8]byte
				binary.BigEndian.PutUint64(k[:], n)
				g[0] = byte(n % 10)
				if err := tx.Put(messages, k[:], g[:], int64(n), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	run()
	f.transaction(b, rows)
	var ours, theirs time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		run()
		ours += time.Since(start)
		b.StopTimer()
		start = time.Now()
		f.transaction(b, rows)
		theirs += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours)/float64(theirs), "xfloor")
}

func BenchmarkUpdate100(b *testing.B) { benchmarkUpdate(b, 100) }

func BenchmarkUpdate1(b *testing.B) { benchmarkUpdate(b, 1) }

// BenchmarkGet reads one row of 10 000; its floor is the same statement
// between BEGIN and ROLLBACK and opening the value once.
func BenchmarkGet(b *testing.B) {
	v, _, _ := made(b)
	value := make([]byte, benchValue)
	err := v.Update(context.Background(), func(tx *Tx) error {
		for i := range uint64(10000) {
			if err := tx.Put(messages, binary.BigEndian.AppendUint64(nil, i), nil, int64(i), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	aead, err := chacha20poly1305.NewX(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	nonce := make([]byte, 24)
	ct := aead.Seal(nil, nonce, make([]byte, sealedSize(8, 0, benchValue)-40), nil)
	plain := make([]byte, 0, len(ct))
	c := <-v.readers
	if c == nil {
		if c, err = connect(context.Background(), v.toRead); err != nil {
			b.Fatal(err)
		}
	}
	defer c.close()
	defer func() { v.readers <- nil }()
	var ours, theirs time.Duration
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i = (i + 7919) % 10000
		key := binary.BigEndian.AppendUint64(nil, i)
		start := time.Now()
		err := v.View(context.Background(), func(tx *Tx) error {
			_, _, err := tx.Get(messages, key)
			return err
		})
		ours += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		kb := v.keys.name(ofKey, "message", key)
		start = time.Now()
		c.exec("BEGIN")
		err = c.query(v.tables["message"].get, 3, func([]driver.Value) error { return nil }, arg(1, kb[:]))
		c.exec("ROLLBACK")
		if _, oerr := aead.Open(plain, nonce, ct, nil); err != nil || oerr != nil {
			b.Fatal(err, oerr)
		}
		theirs += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours)/float64(theirs), "xfloor")
}

// BenchmarkScan reads a page of 100 rows of one group.
func BenchmarkScan100(b *testing.B) {
	v, _, _ := made(b)
	value := make([]byte, benchValue)
	err := v.Update(context.Background(), func(tx *Tx) error {
		for i := range uint64(10000) {
			if err := tx.Put(messages, binary.BigEndian.AppendUint64(nil, i), []byte{byte(i % 10)}, int64(i), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := v.View(context.Background(), func(tx *Tx) error {
			return tx.Scan(messages, []byte{3}, 0, 1<<40, 100, true, func(Row) error { n++; return nil })
		})
		if err != nil || n != 100 {
			b.Fatal(n, err)
		}
	}
}
