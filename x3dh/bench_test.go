package x3dh_test

import (
	"crypto/ed25519"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// against runs work and its floor (floor_test.go) in turn, so that what else
// the machine does falls on both. xfloor is the median of the ratios; ns/op,
// B/op and allocs/op are of the measured work alone.
func against(b *testing.B, work, floor func()) {
	b.Helper()
	work()
	floor()
	const runs = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		work()
	}
	runtime.ReadMemStats(&after)
	var ratios []float64
	var total time.Duration
	for b.Loop() {
		t0 := time.Now()
		work()
		t1 := time.Now()
		floor()
		t2 := time.Now()
		total += t1.Sub(t0)
		ratios = append(ratios, float64(t1.Sub(t0))/float64(t2.Sub(t1)))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "xfloor")
	b.ReportMetric(float64(total.Nanoseconds())/float64(len(ratios)), "ns/op")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/runs, "B/op")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/runs, "allocs/op")
}

// pair is two devices and a bundle with both one-time keys.
type pair struct {
	alice, bob *x3dh.Own
	bobSign    ed25519.PublicKey
	bundle     []byte
	records    map[uint64][]byte // Bob's store of private prekeys
	now        time.Time
}

func newPair(tb testing.TB) *pair {
	tb.Helper()
	p := &pair{now: time.Now(), records: make(map[uint64][]byte)}
	p.alice, _ = newDevice("alice@example.org", 1)
	bob, signer := newDevice("bob12@example.org", 2)
	p.bob, p.bobSign = bob, signer.Public().(ed25519.PublicKey)
	u, private := prekeys.Generate(p.now, prekeys.OwnerOf(bob.Party), signer)
	for i := range private {
		p.records[private[i].Info().ID] = private[i].Record()
	}
	p.bundle = prekeys.AssembleBundle(u.Signed, u.LastResort, u.OneTimeEC[0], u.OneTimeKEM[0])
	return p
}

// initiate is all that a sender does with a bundle: verify it, start the
// session and seal the first message.
func (p *pair) initiate(tb testing.TB, text []byte) (initial, message []byte) {
	b, err := prekeys.ParseBundle(p.bundle)
	if err != nil {
		tb.Fatal(err)
	}
	offer, err := b.Verify(p.bob.Party, p.bobSign, p.now)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := x3dh.Initiate(p.alice, &offer)
	if err != nil {
		tb.Fatal(err)
	}
	state, err := ratchet.Initiate(&s.Secret, s.PeerRatchet)
	if err != nil {
		tb.Fatal(err)
	}
	sealed, err := state.Seal(text, s.AD[:])
	if err != nil {
		tb.Fatal(err)
	}
	return s.Initial, sealed.Message
}

// respond is all that a receiver does with a first message, its prekeys read
// from their records included.
func (p *pair) respond(tb testing.TB, initial, message []byte) []byte {
	i, err := x3dh.ParseInitial(initial)
	if err != nil {
		tb.Fatal(err)
	}
	var found [3]prekeys.Private
	for n, id := range []uint64{i.SignedID, i.OneTimeID, i.KEMID} {
		if found[n], err = prekeys.ParsePrivate(p.records[id]); err != nil {
			tb.Fatal(err)
		}
	}
	keys, err := prekeys.Keys(&found[0], &found[1], &found[2])
	if err != nil {
		tb.Fatal(err)
	}
	a, err := i.Respond(p.bob, p.alice.Party, &keys)
	if err != nil {
		tb.Fatal(err)
	}
	o, err := ratchet.Respond(&a.Secret, a.RatchetKey).Open(message, a.AD[:], p.now)
	if err != nil {
		tb.Fatal(err)
	}
	return o.Plaintext
}

var text = make([]byte, 100)

// BenchmarkInitiator is held to 1.2 × its floor.
func BenchmarkInitiator(b *testing.B) {
	p, floor := newPair(b), newRawHandshake(b)
	against(b, func() { p.initiate(b, text) }, func() { floor.initiator() })
}

// BenchmarkResponder is held to 1.2 × its floor.
func BenchmarkResponder(b *testing.B) {
	p, floor := newPair(b), newRawHandshake(b)
	initial, message := p.initiate(b, text)
	against(b, func() { p.respond(b, initial, message) }, func() { floor.responder() })
}
