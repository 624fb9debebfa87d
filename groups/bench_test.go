package groups

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
)

// Each benchmark runs the measured work and what it is compared with in turn, in
// small batches, so that what else the machine does falls on both; xfloor is the
// median of the batches' ratios, ns/op the median of the measured work alone.
//
// The floor of a message is what its design cannot do without, in the fastest
// form we know, and nothing else: one chain step (two HMACs under a new key, six
// compressions of SHA-256), one AES key schedule and CTR stream, one Ed25519
// signature or its check, and memory for the result. Not in it: deriving key and
// counter block, the hashes that bind group, roster and sender, parsing, states.

// against reports work, which does n operations, against floor, which does as
// many.
func against(b *testing.B, n int, metric string, work, floor func()) {
	b.Helper()
	work()
	floor()
	allocs, size := memory(work)
	var ratios, times []float64
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
	b.ReportMetric(ratios[len(ratios)/2], metric)
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

// floor does the raw work of messages.
type floor struct {
	hash  hash.Hash
	save  encoding.BinaryAppender
	load  encoding.BinaryUnmarshaler
	state [128]byte
	pad   [64]byte
	x, y  [32]byte
	bytes [2]byte

	chain   [32]byte
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

func newFloor() *floor {
	h := sha256.New()
	f := &floor{hash: h, save: h.(encoding.BinaryAppender), load: h.(encoding.BinaryUnmarshaler), bytes: [2]byte{1, 2}}
	f.private = ed25519.NewKeyFromSeed(f.pad[:32])
	f.public = f.private.Public().(ed25519.PublicKey)
	return f
}

func (f *floor) fill(chain *[32]byte, fill uint64) {
	le := binary.LittleEndian
	for i := 0; i < 32; i += 8 {
		le.PutUint64(f.pad[i:], le.Uint64(chain[i:])^fill)
		le.PutUint64(f.pad[32+i:], fill)
	}
}

// step is one chain step: each pad is compressed once for both HMACs.
func (f *floor) step() [32]byte {
	f.fill(&f.chain, 0x3636363636363636)
	f.hash.Reset()
	f.hash.Write(f.pad[:])
	state, _ := f.save.AppendBinary(f.state[:0])
	f.hash.Write(f.bytes[:1])
	f.hash.Sum(f.x[:0])
	f.load.UnmarshalBinary(state)
	f.hash.Write(f.bytes[1:])
	f.hash.Sum(f.y[:0])
	f.fill(&f.chain, 0x5c5c5c5c5c5c5c5c)
	f.hash.Reset()
	f.hash.Write(f.pad[:])
	state, _ = f.save.AppendBinary(f.state[:0])
	f.hash.Write(f.x[:])
	f.hash.Sum(f.x[:0])
	f.load.UnmarshalBinary(state)
	f.hash.Write(f.y[:])
	f.hash.Sum(f.y[:0])
	f.chain = f.y
	return f.x
}

func (f *floor) cipher(dst, src []byte) {
	key := f.step()
	block, _ := aes.NewCipher(key[:])
	cipher.NewCTR(block, f.pad[:16]).XORKeyStream(dst, src)
}

// seal is the floor of Seal. A long text is signed by its SHA-256, which is
// faster than to let Ed25519 read it twice.
func (f *floor) seal(text []byte) []byte {
	m := make([]byte, Overhead+len(text))
	end := bodyAt + len(text)
	f.cipher(m[bodyAt:end], text)
	copy(m[end:], ed25519.Sign(f.private, f.signed(m[:end])))
	return m
}

func (f *floor) signed(m []byte) []byte {
	if len(m) <= 256 {
		return m
	}
	sum := sha256.Sum256(m)
	return append(f.x[:0], sum[:]...)
}

// open is the floor of Open.
func (f *floor) open(m []byte) []byte {
	end := len(m) - signatureLen
	if !ed25519.Verify(f.public, f.signed(m[:end]), m[end:]) {
		panic("floor: signature")
	}
	out := make([]byte, end-bodyAt)
	f.cipher(out, m[bodyAt:end])
	return out
}

const batch = 16

// BenchmarkMessage is a message sealed, and opened, with the next state kept.
func BenchmarkMessage(b *testing.B) {
	for _, size := range []int{100, 16 << 10} {
		text := make([]byte, size)
		b.Run(fmt.Sprintf("seal/%d", size), func(b *testing.B) {
			c, f := newChain(b, NewID(), 1, alice), newFloor()
			against(b, batch, "xfloor", func() {
				for range batch {
					x, err := c.Seal(1, Head{}, text)
					if err != nil {
						b.Fatal(err)
					}
					c = x.Next
				}
			}, func() {
				for range batch {
					f.seal(text)
				}
			})
		})
		b.Run(fmt.Sprintf("open/%d", size), func(b *testing.B) {
			c, f := newChain(b, NewID(), 1, alice), newFloor()
			start := accept(b, c)
			var messages [][]byte
			for range batch {
				x, err := c.Seal(1, Head{}, text)
				if err != nil {
					b.Fatal(err)
				}
				messages, c = append(messages, x.Message), x.Next
			}
			raw := f.seal(text)
			against(b, batch, "xfloor", func() {
				r := start
				for _, m := range messages {
					o, err := r.Open(m, testNow)
					if err != nil {
						b.Fatal(err)
					}
					r = o.Next
				}
			}, func() {
				for range batch {
					f.open(raw)
				}
			})
		})
	}
}

// BenchmarkForged is what a message costs that nobody signed, against the check
// of one signature: no step, however far ahead it says to be.
func BenchmarkForged(b *testing.B) {
	c, f := newChain(b, NewID(), 1, alice), newFloor()
	r := accept(b, c)
	x, err := c.Seal(1, Head{}, make([]byte, 100))
	if err != nil {
		b.Fatal(err)
	}
	binary.BigEndian.PutUint32(x.Message[indexAt:], MaxJump)
	raw := f.seal(make([]byte, 100))
	against(b, 1, "xfloor", func() {
		if _, err := r.Open(x.Message, testNow); err != ErrForged {
			b.Fatal(err)
		}
	}, func() { ed25519.Verify(f.public, raw[:len(raw)-signatureLen], raw[len(raw)-signatureLen:]) })
}

// BenchmarkHolding opens messages in order while 1 000 skipped keys are held, and
// writes the part of the record that this changes, against the same without
// skipped keys.
func BenchmarkHolding(b *testing.B) {
	c := newChain(b, NewID(), 1, alice)
	normal := accept(b, c)
	all := burst(b, &c, 1001+batch)
	holding := normal
	open(b, &holding, all[1000], testNow)
	if holding.Missing() != 1000 {
		b.Fatal(holding.Missing())
	}
	normal = holding
	normal.skipped = nil
	head := make([]byte, 0, 4096)
	run := func(start Receiving) func() {
		return func() {
			r := start
			for _, m := range all[1001:] {
				o, err := r.Open(m, testNow)
				if err != nil || o.SkippedChanged {
					b.Fatal(err)
				}
				r = o.Next
				head = r.AppendHead(head[:0])
			}
		}
	}
	against(b, batch, "xnormal", run(holding), run(normal))
}

// BenchmarkRecord reads and writes the records of a device that holds 1 000
// skipped keys: the head, which changes with each message, and the whole.
func BenchmarkRecord(b *testing.B) {
	r := states(b)["full"]
	head, skipped := r.AppendHead(nil), r.AppendSkipped(nil)
	b.Run("head", func(b *testing.B) {
		for b.Loop() {
			head = r.AppendHead(head[:0])
		}
		b.ReportMetric(float64(len(head)), "record-bytes")
	})
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			got, err := JoinReceiving(head, skipped)
			if err != nil {
				b.Fatal(err)
			}
			skipped = got.AppendSkipped(skipped[:0])
		}
		b.ReportMetric(float64(len(head)+len(skipped)), "record-bytes")
	})
}

// BenchmarkRekey is the whole cryptographic work of a rekey, against as many
// pairwise seals of a short text (256 bytes padded). What is done once (a chain,
// an entry, the signal) is measured apart and reported as once-ns; xseal is what
// each device costs beyond it, in pairwise seals, and xall the same with a share
// of what is done once. Linear when xseal does not grow.
func BenchmarkRekey(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkRekey(b, n) })
	}
}

func benchmarkRekey(b *testing.B, n int) {
	w := newSmall(b)
	var sessions []ratchet.State
	for range n {
		secret := [32]byte{1}
		_, public := ratchet.GenerateKey()
		s, err := ratchet.Initiate(&secret, public)
		if err != nil {
			b.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	ad, text := make([]byte, 32), make([]byte, 256)
	sealAll := func(plain []byte) {
		for i := range sessions {
			x, err := sessions[i].Seal(plain, ad)
			if err != nil {
				b.Fatal(err)
			}
			sessions[i] = x.Next
		}
	}
	once := func() []byte {
		next := NewSecret()
		p, err := Propose(w.r, w.s, w.a, alice.author(), Change{Kind: Rekey}, &next, testNow)
		if err != nil {
			b.Fatal(err)
		}
		c, err := NewSending(w.g, 2, alice, testNow, Before{w.a.ID(), w.a.Index()})
		if err != nil {
			b.Fatal(err)
		}
		key := c.Key()
		signal := Signal{Group: w.g, Key: &Key{Seq: p.Roster.Seq, Head: p.Head, Epoch: 2, Secret: next, Chain: &key}}.Encode()
		padded := make([]byte, max(256, (len(signal)+33+15)/16*16)) // as a content, padded
		copy(padded, signal)
		return padded
	}
	median := func(times []time.Duration) float64 {
		slices.Sort(times)
		return float64(times[len(times)/2])
	}
	var alone, devices, plain []time.Duration
	length := 0
	for b.Loop() {
		t0 := time.Now()
		signal := once()
		t1 := time.Now()
		sealAll(signal)
		t2 := time.Now()
		sealAll(text)
		t3 := time.Now()
		alone, devices, plain = append(alone, t1.Sub(t0)), append(devices, t2.Sub(t1)), append(plain, t3.Sub(t2))
		length = len(signal)
	}
	x, y, z := median(alone), median(devices), median(plain)
	b.ReportMetric(x, "once-ns")
	b.ReportMetric(y/z, "xseal")
	b.ReportMetric((x+y)/z, "xall")
	b.ReportMetric((x+y)/float64(n), "ns/op")
	b.ReportMetric(float64(length), "signal-bytes")
}

// BenchmarkAccept is what a device does with the chain that it is given.
func BenchmarkAccept(b *testing.B) {
	c := newChain(b, NewID(), 1, alice)
	key := c.Key()
	signal := Signal{Group: c.Group(), Key: &Key{Seq: 1, Epoch: 1, Secret: Secret{1}, Chain: &key}}.Encode()
	b.ReportAllocs()
	for b.Loop() {
		s, err := ParseSignal(signal)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Accept(*s.Key.Chain, alice); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLog is an entry proposed, and read and applied, in groups of several
// sizes.
func BenchmarkLog(b *testing.B) {
	for _, n := range []int{10, 100, 600} {
		w := newSmall(b)
		r := w.r
		for len(r.Members) < n {
			var add []Member
			for i := range min(MaxChangeMembers, n-len(r.Members)) {
				add = append(add, member(fmt.Sprintf("m%03d@example.org", len(r.Members)+i), RoleMember))
			}
			r = place(b, r, w.s, w.a, Change{Kind: Add, Members: add}, nil)
		}
		next := NewSecret()
		change := Change{Kind: Remove, Members: named(bob.Address)}
		var p Proposal
		b.Run(fmt.Sprintf("propose/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if p, err = Propose(r, w.s, w.a, alice.author(), change, &next, testNow); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("apply/%d", n), func(b *testing.B) {
			verify := w.a.Key().Verify
			b.ReportAllocs()
			for b.Loop() {
				e, err := Read(w.g, r.Seq+1, r.Head, w.s, 1, p.Blob)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.Apply(e, verify, alice); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("roster/%d", n), func(b *testing.B) {
			encoded := r.Encode()
			for b.Loop() {
				if _, err := ParseRoster(encoded); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(encoded)), "roster-bytes")
		})
	}
}
