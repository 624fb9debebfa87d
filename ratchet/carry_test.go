package ratchet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/pawl-chat/pawl/internal/braid"
)

// padded is text in a plaintext of n bytes, with zeros behind.
func padded(text string, n int) string { return text + string(make([]byte, n-len(text))) }

// until lets both sides answer each other, with room for pieces, until both
// rest on epoch.
func (c *talk) until(epoch uint32, size int) (messages int) {
	c.Helper()
	for c.alice.mixed < epoch || c.bob.mixed < epoch {
		c.pass(&c.alice, &c.bob, padded("ping", size))
		c.pass(&c.bob, &c.alice, padded("pong", size))
		if messages += 2; messages > 1000 {
			c.Fatal("no epoch comes to an end")
		}
	}
	return messages
}

// R-RAT-40: both braids begin at the session's secret, under a label of the
// braid's own, and on opposite sides.
func TestR_RAT_40_Start(t *testing.T) {
	secret := [32]byte{3}
	own, public := GenerateKey()
	alice, err := Initiate(&secret, public)
	if err != nil {
		t.Fatal(err)
	}
	bob := Respond(&secret, own)
	auth := expand(secret[:], "pawl/1 braid start", 32)
	for side, s := range map[byte]State{1: alice, 2: bob} {
		if r := s.braid.AppendRecord(nil); r[1] != side || !bytes.Equal(r[6:38], auth) {
			t.Errorf("side %d begins otherwise", side)
		}
		if s.mixed != 0 || len(s.waiting) != 0 {
			t.Error("secrets at the start")
		}
	}
}

// R-RAT-41, R-RAT-42: at a step the side mixes in what the peer is sure to have;
// both sides rest on the same epochs; what is mixed in is in no state any more.
func TestR_RAT_42_EpochsAreMixedAndErased(t *testing.T) {
	for _, size := range []int{100, 256, 1400} {
		c := newTalk(t)
		secrets := map[string]bool{}
		see := func(s *State) {
			for _, k := range s.waiting {
				secrets[string(k[:])] = true
			}
		}
		for range 150 {
			for _, p := range [][2]*State{{&c.alice, &c.bob}, {&c.bob, &c.alice}} {
				from, to := p[0], p[1]
				before := *from
				m := c.seal(from, padded("text", size))
				if want := max(before.mixed, before.braid.Epoch()-1); from.mixed != want && size > 0 {
					if _, ok := before.turn.(*replying); ok {
						t.Fatalf("rests on %d, could on %d", from.mixed, want)
					}
				}
				see(from)
				c.open(to, m)
				see(to)
				if to.mixed != from.mixed || to.root != from.root {
					t.Fatal("the sides rest on other epochs")
				}
				for _, s := range []*State{from, to} {
					if len(s.waiting) > 2 {
						t.Errorf("%d secrets wait between peers that keep to the protocol", len(s.waiting))
					}
					record := s.AppendRecord(nil)
					for k := range secrets {
						if i := bytes.Index(record, []byte(k)); i >= 0 && !s.waits(k) {
							t.Fatal("a secret that was mixed in is still in the state")
						}
					}
				}
			}
		}
		if least := map[int]uint32{100: 3, 256: 15, 1400: 60}[size]; c.alice.mixed < least {
			t.Errorf("size %d: %d epochs", size, c.alice.mixed)
		}
	}
}

func (s *State) waits(k string) bool {
	for i := range s.waiting {
		if string(s.waiting[i][:]) == k {
			return true
		}
	}
	return false
}

// R-RAT-41: what an epoch yields matters for every key of the chain.
func TestR_RAT_41_EveryKeyRestsOnTheEpoch(t *testing.T) {
	root := rootKey{1}
	var made []branch
	for _, epochs := range [][]epochKey{nil, {{1}}, {{2}}, {{1}, {2}}, {{2}, {1}}, {{1}, {2}, {3}, {4}}} {
		shared := [32]byte{9}
		next, b := root.advance(&shared, epochs)
		for _, o := range made {
			if o.chain == b.chain || o.header == b.header || o.seed == b.seed {
				t.Error("two sets of secrets make one key")
			}
		}
		if next == root {
			t.Error("the root stays")
		}
		made = append(made, b)
	}
}

// R-RAT-43: the epoch of a message is refused, by name and without a trace, if
// it is over, not held, or not the chain's.
func TestR_RAT_43_Epochs(t *testing.T) {
	c := newTalk(t)
	c.until(2, 1400)
	c.pass(&c.alice, &c.bob, "turn")
	name := func(epoch uint32) func(*header) { return func(h *header) { h.epoch = epoch } }

	// A new chain.
	x, err := c.bob.Seal(nil, talkAD)
	if err != nil || x.Next.mixed < 2 {
		t.Fatal("nothing is mixed in", err)
	}
	at := x.Next.mixed
	for _, epoch := range []uint32{0, 1, at - 1, at + 1, at + 2, 99, MaxEpoch} {
		if epoch >= c.alice.mixed && epoch <= c.alice.mixed+uint32(len(c.alice.waiting)) {
			continue // another that alice holds: the keys differ
		}
		c.refuse(c.alice, reseal(t, c.bob, name(epoch)), ErrEpoch)
	}
	for e := c.alice.mixed; e <= c.alice.mixed+uint32(len(c.alice.waiting)); e++ {
		if e != at {
			c.refuse(c.alice, reseal(t, c.bob, name(e)), ErrForged)
		}
	}
	// A chain that is open, and one that is closed.
	all := c.burst(&c.bob, 3)
	c.open(&c.alice, all[0])
	for _, epoch := range []uint32{0, at - 1, at + 1, MaxEpoch} {
		c.refuse(c.alice, reseal(t, c.bob, name(epoch)), ErrEpoch)
	}
	old := c.bob
	c.pass(&c.alice, &c.bob, "closes")
	c.pass(&c.bob, &c.alice, "a new one")
	if len(c.alice.older) != 1 {
		t.Fatal("no closed chain")
	}
	old.turn.(*sending).number = 1
	c.refuse(c.alice, reseal(t, old, name(at+1)), ErrEpoch)
	// The MAC comes first.
	m := reseal(t, c.bob, name(99))
	m[len(m)-1] ^= 1
	c.refuse(c.alice, m, ErrForged)
	c.open(&c.alice, all[1])
}

// headerOf decrypts the header that from has just sealed.
func headerOf(t *testing.T, from State, m []byte) (h header) {
	t.Helper()
	if !from.turn.(*sending).cipher.open(&h, make([]byte, headerLen), m) {
		t.Fatal("no header")
	}
	return h
}

// R-RAT-44: pieces make no message longer, need seven zeros, and any plaintext
// arrives as it was sent.
func TestR_RAT_44_PiecesRideInZeros(t *testing.T) {
	for zeros := range 1500 {
		if zeros > 300 && zeros%97 > 1 {
			continue
		}
		for _, text := range []string{"", "a", "a\x80", "\xff\xff\x05"} {
			c := newTalk(t)
			plain := padded(text, len(text)+zeros)
			m := c.seal(&c.alice, plain)
			if len(m) != Overhead+len(plain) {
				t.Fatalf("%d bytes for a plaintext of %d", len(m), len(plain))
			}
			if h := headerOf(t, c.alice, m); h.piece != (zeros >= 7) {
				t.Fatalf("%d zeros: piece is %v", zeros, h.piece)
			}
			o := c.open(&c.bob, m)
			if string(o.Plaintext) != plain || o.PieceRefused != nil {
				t.Fatalf("%q and %d zeros arrive otherwise: %v", text, zeros, o.PieceRefused)
			}
			if moved := !bytes.Equal(c.bob.braid.AppendRecord(nil), newTalkOf(t, c).braid.AppendRecord(nil)); moved != (zeros >= 7+3+braid.ChunkSize) {
				t.Fatalf("%d zeros: the exchange moved: %v", zeros, moved)
			}
		}
	}
}

// newTalkOf is the responder's state as at the start, for its braid.
func newTalkOf(t *testing.T, c *talk) State {
	s := c.bob
	r := s.braid.AppendRecord(nil)[:39]
	b, err := braid.ParseRecord(append(append(r[:38:38], 3), 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.braid = b
	return s
}

// R-RAT-44: a farewell carries nothing, and no bit is set.
func TestR_RAT_44_FarewellsCarryNothing(t *testing.T) {
	c := newTalk(t)
	c.rounds(2)
	m, err := c.bob.Farewell(talkAD)
	if err != nil {
		t.Fatal(err)
	}
	if h := headerOf(t, c.bob, m); h.piece {
		t.Error("a farewell with a piece")
	}
}

// withPiece makes a message of s whose body ends as a rogue peer likes.
func withPiece(t *testing.T, s *State, body []byte) []byte {
	t.Helper()
	x, err := s.Seal(bytes.Repeat([]byte{1}, len(body)), talkAD)
	if err != nil {
		t.Fatal(err)
	}
	turn := x.Next.turn.(*sending)
	m := x.Message
	w, _ := ParseMessage(m)
	for i := range body {
		w.Body[i] ^= 1 ^ body[i]
	}
	turn.cipher.seal(m, &header{turn.public, turn.previous, turn.number - 1, x.Next.mixed, true})
	key := turn.seed.key(turn.number - 1)
	tag := key.tag(talkAD, m[:len(m)-tagLen])
	copy(m[len(m)-tagLen:], tag[:])
	*s = x.Next
	return m
}

// R-RAT-45: whatever a peer puts where a piece belongs, the text arrives, and
// neither ratchet nor exchange is the worse for it.
func TestR_RAT_45_WrongPiecesCostNoText(t *testing.T) {
	piece := func(b ...byte) []byte {
		out := append([]byte("text"), 0, 0, 0)
		out = append(out, b...)
		return binary.BigEndian.AppendUint16(out, uint16(len(b)))
	}
	chunk := make([]byte, 32)
	cases := map[string]struct {
		body  []byte
		whole bool // no piece: the body is the text
		why   error
	}{
		"empty":                {nil, true, braid.ErrMalformed},
		"one byte":             {[]byte{0}, true, braid.ErrMalformed},
		"no length":            {[]byte("text\x00\x00"), true, braid.ErrMalformed},
		"length 4":             {[]byte("text\x00\x04"), true, braid.ErrMalformed},
		"beyond the body":      {[]byte("text\x00\x05"), true, braid.ErrMalformed},
		"far beyond the body":  {[]byte("text\xff\xff"), true, braid.ErrMalformed},
		"longer than any":      {append(make([]byte, 1260), 0x04, 0xec), true, braid.ErrMalformed},
		"epoch 0":              {piece(0, 0, 0, 0, 0), false, braid.ErrMalformed},
		"status 4":             {piece(0, 0, 0, 1, 4), false, braid.ErrMalformed},
		"half a run":           {piece(0, 0, 0, 1, 0, 1, 0), false, braid.ErrMalformed},
		"run without chunks":   {piece(0, 0, 0, 1, 0, 0, 0, 0), false, braid.ErrMalformed},
		"trailing byte":        {piece(append(append([]byte{0, 0, 0, 1, 0, 1, 0, 0}, chunk...), 7)...), false, braid.ErrMalformed},
		"an epoch to come":     {piece(0, 0, 0, 2, 0), false, braid.ErrEpoch},
		"the last epoch":       {piece(255, 255, 255, 255, 0), false, braid.ErrEpoch},
		"answers nothing":      {piece(0, 0, 0, 1, 1), false, braid.ErrRolledBack},
		"fine, with no chunks": {piece(0, 0, 0, 1, 0), false, nil},
		"a chunk of noise":     {piece(append([]byte{0, 0, 0, 1, 0, 1, 0, 0}, chunk...)...), false, nil},
	}
	for name, x := range cases {
		c := newTalk(t)
		c.rounds(1)
		m := withPiece(t, &c.alice, x.body)
		before := c.bob.braid.AppendRecord(nil)
		o := c.open(&c.bob, m)
		want := x.body
		if !x.whole {
			want = make([]byte, len(x.body))
			copy(want, "text")
		}
		if !bytes.Equal(o.Plaintext, want) {
			t.Errorf("%s: %q arrives as %q", name, want, o.Plaintext)
		}
		if !errors.Is(o.PieceRefused, x.why) || x.why == nil && o.PieceRefused != nil {
			t.Errorf("%s: %v, want %v", name, o.PieceRefused, x.why)
		}
		if x.why != nil && !bytes.Equal(before, c.bob.braid.AppendRecord(nil)) {
			t.Errorf("%s: refused, and left a trace", name)
		}
		c.refuse(c.bob, m, ErrDuplicate)
		c.pass(&c.bob, &c.alice, padded("answer", 256))
		c.until(2, 1400)
	}
}

// R-RAT-45: a late message's piece counts too.
func TestR_RAT_45_LatePieces(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	all := [][]byte{}
	for range 12 {
		all = append(all, c.seal(&c.alice, padded("text", 256)))
	}
	c.open(&c.bob, all[11])
	for _, m := range all[:8] {
		before := c.bob.braid.AppendRecord(nil)
		if c.open(&c.bob, m); bytes.Equal(before, c.bob.braid.AppendRecord(nil)) {
			t.Fatal("a late piece is lost")
		}
	}
}

// R-RAT-46: a peer that goes on with the exchange and makes no DH step cannot
// pile secrets up, breaks nothing, and when it steps again all goes on.
func TestR_RAT_46_StalledPeer(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	c.pass(&c.alice, &c.bob, "turn")
	c.pass(&c.bob, &c.alice, "bob's chain")
	old := c.bob.turn.(*sending)
	c.pass(&c.alice, &c.bob, padded("alice's chain", 1400))
	honest := c.bob.turn
	stalled := 0
	for n := range 60 {
		// Bob has a new chain to begin, and goes on with the old one.
		c.bob.turn = old
		c.bob.mixed = c.alice.current.epoch
		o := c.pass(&c.bob, &c.alice, padded("old chain", 1400))
		if errors.Is(o.PieceRefused, ErrStalled) {
			stalled++
		} else if o.PieceRefused != nil {
			t.Fatal(o.PieceRefused)
		}
		old = c.bob.turn.(*sending)
		c.bob.turn = honest
		c.pass(&c.alice, &c.bob, padded(fmt.Sprint("message ", n), 1400))
		if len(c.alice.waiting) > MaxWaiting || len(c.bob.waiting) > MaxWaiting {
			t.Fatal("secrets pile up")
		}
		if s, err := ParseRecord(c.alice.AppendRecord(nil)); err != nil || len(s.waiting) != len(c.alice.waiting) {
			t.Fatal("a state that is not read", err)
		}
	}
	if len(c.alice.waiting) != MaxWaiting {
		t.Errorf("%d wait", len(c.alice.waiting))
	}
	m := c.seal(&c.alice, padded("full", 1400))
	if headerOf(t, c.alice, m).piece {
		t.Error("a piece is sent though no secret can be kept")
	}
	c.open(&c.bob, m)
	r := c.bob.turn.(*replying)
	c.bob.turn = &replying{r.peer, r.header, old.number}
	before := c.alice.mixed
	c.until(before+6, 1400)
}

// R-RAT-46: after the last epoch that a header can name nothing is carried.
func TestR_RAT_46_LastEpoch(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	at := func(s State, epoch uint32) State {
		b := s.braid.AppendRecord(nil)
		binary.BigEndian.PutUint32(b[2:], epoch)
		b = append(b[:38:38], 1) // resting
		b[1] = 2 - byte(epoch&1)
		next, err := braid.ParseRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		s.braid, s.mixed, s.current.epoch = next, epoch-1, min(s.current.epoch, epoch-1)
		return s
	}
	last := at(c.bob, MaxEpoch)
	if m := c.seal(&last, padded("x", 256)); !headerOf(t, last, m).piece {
		t.Error("no piece in the last epoch")
	}
	over := at(c.bob, MaxEpoch+1)
	m := c.seal(&over, padded("x", 256))
	if h := headerOf(t, over, m); h.piece || h.epoch != MaxEpoch {
		t.Error("carries on", h.piece, h.epoch)
	}
	if s, err := ParseRecord(over.AppendRecord(nil)); err != nil || s.mixed != MaxEpoch {
		t.Error("not read", err)
	}
	beyond := at(c.bob, MaxEpoch+2)
	if _, err := ParseRecord(beyond.AppendRecord(nil)); !errors.Is(err, ErrMalformed) {
		t.Error("a state beyond the last epoch", err)
	}
}

// R-RAT-48: records of version 1 have a name, whatever is in them.
func TestR_RAT_48_OldRecords(t *testing.T) {
	c := newTalk(t)
	b := c.alice.AppendRecord(nil)
	b[0] = 1
	if _, err := ParseRecord(b); !errors.Is(err, ErrOldRecord) {
		t.Error(err)
	}
	head := c.alice.AppendHead(nil)
	head[0] = 1
	if _, err := Join(head, c.alice.AppendSkipped(nil)); !errors.Is(err, ErrOldRecord) {
		t.Error(err)
	}
}

// R-BRD-13: what a side draws is drawn, in each turn and on both sides: no part of
// it is zeros, and none is used twice.
func TestR_BRD_13_DrawnIsRandom(t *testing.T) {
	c := newTalk(t)
	seen, kinds := map[string]byte{}, [6]int{}
	look := func(s *State) {
		r := s.braid.AppendRecord(nil)
		turn, epoch := r[38], r[5]
		n := map[byte]int{2: 64, 4: 32}[turn]
		if n == 0 {
			return
		}
		kinds[turn]++
		for half := range n / 32 {
			drawn := string(r[39+32*half : 39+32*half+32])
			if before, ok := seen[drawn]; ok && before != epoch || drawn == string(make([]byte, 32)) {
				t.Fatal("not drawn")
			}
			seen[drawn] = epoch
		}
	}
	for range 60 {
		c.pass(&c.alice, &c.bob, padded("x", 256))
		look(&c.alice)
		c.pass(&c.bob, &c.alice, padded("x", 256))
		look(&c.bob)
	}
	if kinds[2] == 0 || kinds[4] == 0 || len(seen) < 12 {
		t.Error("little was drawn", kinds, len(seen))
	}
}

// A restored copy draws anew: two states sealed from one have nothing in common
// that was drawn.
func TestRestoredCopyDrawsAnew(t *testing.T) {
	c := newTalk(t)
	seen := map[string]bool{}
	for range 20 {
		x, err := c.alice.Seal(make([]byte, 256), talkAD)
		if err != nil {
			t.Fatal(err)
		}
		seed := string(x.Next.braid.AppendRecord(nil)[39 : 39+64])
		if seen[seed] || seed == string(make([]byte, 64)) {
			t.Fatal("the same key twice, or none")
		}
		seen[seed] = true
	}
}
