package session

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
)

// Each benchmark runs the pair's work and the bare ratchet's in turn, in small
// batches, so that what else the machine does falls on both; xratchet is the
// median of the ratios. The pair's work includes the encoding of the record that
// a client stores, once a message for a send and once a batch for a receipt; the
// bare ratchet's includes no encoding.

const batch = 16

func against(b *testing.B, work, bare func()) {
	b.Helper()
	work()
	bare()
	allocs := testing.AllocsPerRun(10, work) / batch
	var ratios []float64
	var total time.Duration
	for b.Loop() {
		t0 := time.Now()
		work()
		t1 := time.Now()
		bare()
		t2 := time.Now()
		total += t1.Sub(t0)
		ratios = append(ratios, float64(t1.Sub(t0))/float64(t2.Sub(t1)))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "xratchet")
	b.ReportMetric(float64(total)/float64(len(ratios)*batch), "ns/op")
	b.ReportMetric(allocs, "allocs/op")
	b.ReportMetric(0, "B/op")
}

// settled returns two sides with an answered session.
func settled(tb testing.TB) (*world, *device, *device) {
	tb.Helper()
	w := newWorld(rand.New(rand.NewPCG(1, 1)).IntN)
	for range 3 {
		for _, d := range w.devices {
			if _, err := w.send(d, false); err != nil {
				tb.Fatal(err)
			}
			if err := w.deliver(d.peer, 0); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return w, w.devices[0], w.devices[1]
}

func BenchmarkSeal(b *testing.B) {
	w, d, _ := settled(b)
	text := make([]byte, 256) // a short text, padded
	pair, state := d.pair, d.pair.Active().State
	ad := d.pair.Active().AD
	against(b, func() {
		for range batch {
			x, err := pair.Seal(text, w.now)
			if err != nil {
				b.Fatal(err)
			}
			pair = x.Next
			x.Change.Write[0].Head()
		}
	}, func() {
		for range batch {
			x, err := state.Seal(text, ad[:])
			if err != nil {
				b.Fatal(err)
			}
			state = x.Next
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	w, d, peer := settled(b)
	text := make([]byte, 256)
	pair, ad := d.pair, d.pair.Active().AD
	messages := make([][]byte, batch)
	for i := range messages {
		x, err := pair.Seal(text, w.now)
		if err != nil {
			b.Fatal(err)
		}
		messages[i], pair = x.Message, x.Next
	}
	against(b, func() {
		p := peer.pair
		var all Change
		for _, m := range messages {
			o, err := p.Open(nil, m, w.now, nil)
			if err != nil {
				b.Fatal(err)
			}
			p = o.Next
			all.Merge(o.Change)
		}
		all.Write[0].Head()
	}, func() {
		s := peer.pair.Active().State
		for _, m := range messages {
			o, err := s.Open(m, ad[:], w.now)
			if err != nil {
				b.Fatal(err)
			}
			s = o.Next
		}
	})
}

// BenchmarkUnopened is what a message that belongs to no session costs when
// all eleven are there and none opens it.
func BenchmarkUnopened(b *testing.B) {
	w, d, peer := settled(b)
	for range MaxArchived {
		if err := w.begin(d, false); err != nil {
			b.Fatal(err)
		}
		if _, err := w.send(d, false); err != nil {
			b.Fatal(err)
		}
		if err := w.deliver(peer, 0); err != nil {
			b.Fatal(err)
		}
	}
	m := make([]byte, ratchet.Overhead+256)
	m[0] = ratchet.TypeMessage
	b.ReportAllocs()
	for b.Loop() {
		if _, err := peer.pair.Open(nil, m, w.now, nil); err == nil {
			b.Fatal("opened")
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	_, d, _ := settled(b)
	s := d.pair.Active()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(s.Head(), s.Skipped()); err != nil {
			b.Fatal(err)
		}
	}
}
