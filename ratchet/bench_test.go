package ratchet

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Each benchmark runs the measured work and its floor (floor_test.go) in turn,
// in small batches, so that what else the machine does falls on both; xfloor is
// the median of the batches' ratios, ns/op the median of the measured work
// alone, allocs/op and B/op its memory.

// against reports work, which does n operations, against floor, which does as
// many.
func against(b *testing.B, n int, work, floor func()) {
	b.Helper()
	work()
	floor()
	allocs, size := memory(work)
	var ratios []float64
	var times []float64
	for b.Loop() {
		t0 := time.Now()
		work()
		t1 := time.Now()
		floor()
		t2 := time.Now()
		times = append(times, float64(t1.Sub(t0)))
		ratios = append(ratios, float64(t1.Sub(t0))/float64(t2.Sub(t1)))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "xfloor")
	slices.Sort(times)
	b.ReportMetric(times[len(times)/2]/float64(n), "ns/op")
	b.ReportMetric(allocs/float64(n), "allocs/op")
	b.ReportMetric(size/float64(n), "B/op")
}

// memory is how often and how much one call of f allocates.
func memory(f func()) (allocs, size float64) {
	const runs = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

var benchNow = time.Unix(1_800_000_000, 0)

// established returns two sides with a chain open in each direction.
func established(tb testing.TB) (alice, bob State) {
	tb.Helper()
	alice, bob = newPair(tb)
	for range 2 {
		alice, bob = deliver(tb, alice, bob)
		bob, alice = deliver(tb, bob, alice)
	}
	return deliver(tb, alice, bob)
}

func newPair(tb testing.TB) (alice, bob State) {
	tb.Helper()
	var secret [32]byte
	rand.Read(secret[:])
	private, public := GenerateKey()
	alice, err := Initiate(&secret, public)
	if err != nil {
		tb.Fatal(err)
	}
	return alice, Respond(&secret, private)
}

func deliver(tb testing.TB, from, to State) (State, State) {
	tb.Helper()
	x, err := from.Seal([]byte("text"), nil)
	if err != nil {
		tb.Fatal(err)
	}
	o, err := to.Open(x.Message, nil, benchNow)
	if err != nil {
		tb.Fatal(err)
	}
	return x.Next, o.Next
}

const batch = 16

// BenchmarkOneWay is a message in a chain that is open: sealed and opened with
// the next state kept, as a client does.
func BenchmarkOneWay(b *testing.B) {
	ad := make([]byte, 32)
	for _, size := range []int{100, 16 << 10} {
		text := bytes.Repeat([]byte{1}, size) // no room for a piece
		b.Run(fmt.Sprintf("seal/%d", size), func(b *testing.B) {
			alice, _ := established(b)
			f := newFloor()
			against(b, batch, func() {
				for range batch {
					x, err := alice.Seal(text, ad)
					if err != nil {
						b.Fatal(err)
					}
					alice = x.Next
				}
			}, func() {
				for range batch {
					f.seal(text, ad)
				}
			})
		})
		b.Run(fmt.Sprintf("open/%d", size), func(b *testing.B) {
			alice, bob := established(b)
			f := newFloor()
			messages := make([][]byte, batch)
			for i := range messages {
				x, err := alice.Seal(text, ad)
				if err != nil {
					b.Fatal(err)
				}
				messages[i], alice = x.Message, x.Next
			}
			raw := f.seal(text, ad)
			against(b, batch, func() {
				s := bob
				for _, m := range messages {
					o, err := s.Open(m, ad, benchNow)
					if err != nil {
						b.Fatal(err)
					}
					s = o.Next
				}
			}, func() {
				for range batch {
					f.unseal(raw, ad)
				}
			})
		})
	}
}

// BenchmarkPingPong is one message that answers another: new ratchet key, DH
// step, seal, and DH step and open at the peer. Each also discloses a seed.
func BenchmarkPingPong(b *testing.B) {
	ad := make([]byte, 32)
	text := bytes.Repeat([]byte{1}, 100) // no room for a piece
	alice, bob := newPair(b)
	f := newFloor()
	private, public := GenerateKey()
	key, peer := private.Export(), public.Array()
	against(b, 2, func() {
		for range 2 {
			x, err := alice.Seal(text, ad)
			if err != nil {
				b.Fatal(err)
			}
			o, err := bob.Open(x.Message, ad, benchNow)
			if err != nil {
				b.Fatal(err)
			}
			alice, bob = o.Next, x.Next
		}
	}, func() {
		for range 2 {
			f.pingPong(&key, &peer, text, ad)
		}
	})
}

// BenchmarkCarrying is what the post-quantum exchange costs on top of a message:
// sealing and opening one of 256 bytes whose text of 40 leaves room for five chunks,
// against the same without room. In turn, each message answers another; one way, one
// of the other side comes after 50.
func BenchmarkCarrying(b *testing.B) {
	full := bytes.Repeat([]byte{1}, 256)
	padded := append(bytes.Repeat([]byte{1}, content(40)), make([]byte, 256-content(40))...)
	for name, run := range map[string]int{"in-turn": 1, "one-way": 50} {
		b.Run(name, func(b *testing.B) {
			talk := func(text []byte) func() {
				alice, bob := established(b)
				n := 0
				return func() {
					for range 4 * batch {
						from, to := &alice, &bob
						if n++; n%(run+1) == 0 {
							from, to = to, from
						}
						x, err := from.Seal(text, talkAD)
						if err != nil {
							b.Fatal(err)
						}
						o, err := to.Open(x.Message, talkAD, benchNow)
						if err != nil {
							b.Fatal(err)
						}
						*from, *to = x.Next, o.Next
					}
				}
			}
			work, floor := talk(padded), talk(full)
			var top []float64
			for b.Loop() {
				t0 := time.Now()
				work()
				t1 := time.Now()
				floor()
				t2 := time.Now()
				top = append(top, (float64(t1.Sub(t0))-float64(t2.Sub(t1)))/(4*batch))
			}
			// Each batch holds about four epochs, so that the median of batches is a
			// mean over all that an epoch costs.
			slices.Sort(top)
			b.ReportMetric(top[len(top)/2], "ns-on-top")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSkip opens a message 1 000 ahead. Its floor is 1 000 chain steps and
// nothing else.
func BenchmarkSkip(b *testing.B) {
	alice, bob := established(b)
	var x Sealed
	for range 1001 {
		var err error
		if x, err = alice.Seal(nil, nil); err != nil {
			b.Fatal(err)
		}
		alice = x.Next
	}
	var chain [32]byte
	raw := newSteps()
	against(b, 1, func() {
		o, err := bob.Open(x.Message, nil, benchNow)
		if err != nil || o.Next.SkippedCount() != 1000 {
			b.Fatal(err)
		}
	}, func() {
		for range 1000 {
			raw.step(&chain)
		}
	})
}

// BenchmarkHolding opens messages in order while 1 000 skipped keys are held,
// and writes the part of the record that this changes. Here the floor is the
// same without skipped keys.
func BenchmarkHolding(b *testing.B) {
	alice, bob := established(b)
	holding := bob
	var messages [][]byte
	seal := func() []byte {
		x, err := alice.Seal(bytes.Repeat([]byte{1}, 100), nil)
		if err != nil {
			b.Fatal(err)
		}
		alice = x.Next
		return x.Message
	}
	for range 1000 {
		seal()
	}
	first := seal()
	for range batch {
		messages = append(messages, seal())
	}
	o, err := bob.Open(first, nil, benchNow)
	if err != nil || o.Next.SkippedCount() != 1000 {
		b.Fatal(err)
	}
	holding = o.Next
	normal := holding
	normal.current.skipped = nil
	head := make([]byte, 0, 4096)
	run := func(s State) func() {
		return func() {
			s := s
			for _, m := range messages {
				o, err := s.Open(m, nil, benchNow)
				if err != nil || o.SkippedChanged {
					b.Fatal(err)
				}
				s = o.Next
				head = s.AppendHead(head[:0])
			}
		}
	}
	against(b, batch, run(holding), run(normal))
}

// BenchmarkRecord writes and reads a steady session's record: with an exchange that
// never began, and with one at its largest of a few epochs.
func BenchmarkRecord(b *testing.B) {
	alice, _ := established(b)
	bench := func(s State) func(b *testing.B) {
		return func(b *testing.B) {
			record := s.AppendRecord(nil)
			b.ReportAllocs()
			for b.Loop() {
				record = s.AppendRecord(record[:0])
				if _, err := ParseRecord(record); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(record)), "record-bytes")
		}
	}
	b.Run("at-rest", bench(alice))
	c := newCourse(b, 1)
	largest := c.sides[0]
	for range 100 {
		c.sayText(0, 40, 0)
		c.sayText(1, 40, 0)
		if s := c.sides[0]; len(s.AppendRecord(nil)) > len(largest.AppendRecord(nil)) {
			largest = s
		}
	}
	b.Run("largest", bench(largest))
}
