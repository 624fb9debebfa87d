package groups

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	alice = sender("alice@example.org", 1)
	bob   = sender("bob@example.org", 1<<63+2)
)

// burst seals n messages.
func burst(tb testing.TB, c *Sending, n int) [][]byte {
	tb.Helper()
	out := make([][]byte, n)
	for i := range out {
		x, err := c.Seal(7, Head{7}, fmt.Append(nil, "message ", c.Index()))
		if err != nil {
			tb.Fatal(err)
		}
		out[i], *c = x.Message, x.Next
	}
	return out
}

// open opens a message that must open.
func open(tb testing.TB, r *Receiving, message []byte, now time.Time) Opened {
	tb.Helper()
	o, err := r.Open(message, now)
	if err != nil {
		tb.Fatal(err)
	}
	*r = o.Next
	return o
}

// refuse wants an error and an unchanged record (R-GRP-04).
func refuse(tb testing.TB, r Receiving, message []byte, now time.Time, want error) {
	tb.Helper()
	before := r.AppendRecord(nil)
	o, err := r.Open(message, now)
	if !errors.Is(err, want) {
		tb.Errorf("%v, want %v", err, want)
	}
	if o.Plaintext != nil || !bytes.Equal(before, r.AppendRecord(nil)) {
		tb.Error("a refused message changes something")
	}
}

func TestR_GRP_01_IDs(t *testing.T) {
	g := NewID()
	s := g.String()
	if got, err := ParseID(s); err != nil || got != g || len(s) != 26 {
		t.Error(got, err)
	}
	if got, err := ParseID(strings.ToUpper(s)); err != nil || got != g {
		t.Error(got, err)
	}
	for _, bad := range []string{"", s[:25], s + "a", strings.Repeat("a", 26), s[:25] + "1", strings.Repeat("a", 25) + "b", "#" + s[1:], s[:13] + "\n" + s[13:]} {
		if got, err := ParseID(bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
	if !(ID{}).IsZero() || g.IsZero() || NewID() == g {
		t.Error("zero")
	}
}

func TestR_GRP_02_ChainsShareNothing(t *testing.T) {
	g := NewID()
	a, b := newChain(t, g, 1, alice), newChain(t, g, 1, alice)
	if a.ID() == b.ID() || a.Key().Key == b.Key().Key || a.Key().Verify == b.Key().Verify || a.Seed() == b.Seed() {
		t.Error("two chains share something")
	}
	if publicOf(a.Seed()) != a.Key().Verify {
		t.Error("seed and public key differ")
	}
	if a.Group() != g || a.Epoch() != 1 || a.Sender() != alice || a.Index() != 0 || !a.Created().Equal(testNow) || a.Before() != (Before{}) {
		t.Error("accessors")
	}
	// The public key says nothing of the chain key and the other way round.
	r := [64]byte{1}
	x, err := newSending(g, 1, alice, testNow, Before{}, &r)
	r = [64]byte{2}
	y, err2 := newSending(g, 1, alice, testNow, Before{}, &r)
	if err != nil || err2 != nil || x.Key().Verify != y.Key().Verify || x.Key().Key == y.Key().Key {
		t.Error("the keys depend on each other")
	}
}

func TestR_GRP_03_ChainID(t *testing.T) {
	g := ID{1}
	c := newChain(t, g, 5, alice)
	k := c.Key()
	var b []byte
	b = append(b, "pawl/1 group chain id"...)
	b = append(b, g[:]...)
	b = binary.BigEndian.AppendUint64(b, 5)
	b = binary.BigEndian.AppendUint16(b, uint16(len(alice.Address)))
	b = append(b, alice.Address...)
	b = binary.BigEndian.AppendUint64(b, alice.Device)
	b = append(b, alice.Identity[:]...)
	b = append(b, k.Verify[:]...)
	sum := sha256.Sum256(b)
	if ChainID(sum[:16]) != c.ID() || c.ID() != k.Chain {
		t.Error("not the id of the specification")
	}
	other := alice
	other.Identity[0]++
	for name, f := range map[string]func(*ChainKey, *Sender){
		"group":          func(k *ChainKey, _ *Sender) { k.Group[0]++ },
		"no group":       func(k *ChainKey, _ *Sender) { k.Group = ID{} },
		"epoch":          func(k *ChainKey, _ *Sender) { k.Epoch++ },
		"epoch zero":     func(k *ChainKey, _ *Sender) { k.Epoch = 0 },
		"public key":     func(k *ChainKey, _ *Sender) { k.Verify[0]++ },
		"id":             func(k *ChainKey, _ *Sender) { k.Chain[0]++ },
		"device":         func(_ *ChainKey, s *Sender) { s.Device++ },
		"no device":      func(_ *ChainKey, s *Sender) { s.Device = 0 },
		"identity":       func(_ *ChainKey, s *Sender) { *s = other },
		"address":        func(_ *ChainKey, s *Sender) { s.Address = bob.Address },
		"not canonical":  func(_ *ChainKey, s *Sender) { s.Address = "Alice@example.org" },
		"no address":     func(_ *ChainKey, s *Sender) { s.Address = "" },
		"time":           func(k *ChainKey, _ *Sender) { k.Created = -1 },
		"far time":       func(k *ChainKey, _ *Sender) { k.Created = maxTime + 1 },
		"before without": func(k *ChainKey, _ *Sender) { k.Before.Count = 1 },
		"before itself":  func(k *ChainKey, _ *Sender) { k.Before.Chain = k.Chain },
	} {
		k, s := k, alice
		f(&k, &s)
		if _, err := Accept(k, s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]func() error{
		"no group": func() error { _, err := NewSending(ID{}, 1, alice, testNow, Before{}); return err },
		"no epoch": func() error { _, err := NewSending(g, 0, alice, testNow, Before{}); return err },
		"nobody":   func() error { _, err := NewSending(g, 1, Sender{}, testNow, Before{}); return err },
	} {
		if err := f(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestR_GRP_05_HandedOutAtThePresentIndex(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	old := burst(t, &c, 3)
	r := accept(t, c)
	if r.Index() != 3 || c.Key().Index != 3 {
		t.Fatal(r.Index())
	}
	for _, m := range old {
		refuse(t, r, m, testNow, ErrTooOld)
	}
	if o := open(t, &r, burst(t, &c, 1)[0], testNow); string(o.Plaintext) != "message 3" {
		t.Errorf("%q", o.Plaintext)
	}
	// Under another device's name the same chain is none.
	if _, err := Accept(c.Key(), bob); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// refHMAC is crypto/hmac's, against the package's own.
func refHMAC(key, m []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(m)
	return h.Sum(nil)
}

// refMessage makes a message with other tools than the package.
func refMessage(g ID, epoch uint64, s Sender, seed [32]byte, chain []byte, index uint32, seq uint64, head Head, plaintext []byte) []byte {
	for range index {
		chain = refHMAC(chain, []byte{2})
	}
	key := refHMAC(chain, []byte{1})
	t1 := refHMAC(key, []byte("pawl/1 group message key\x01"))
	t2 := refHMAC(key, append(bytes.Clone(t1), "pawl/1 group message key\x02"...))
	block, _ := aes.NewCipher(t1)
	body := make([]byte, len(plaintext))
	cipher.NewCTR(block, t2[:16]).XORKeyStream(body, plaintext)
	private := ed25519.NewKeyFromSeed(seed[:])
	id := ChainIDOf(g, epoch, s, [32]byte(private.Public().(ed25519.PublicKey)))

	cat := func(parts ...any) []byte {
		var b bytes.Buffer
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				b.WriteString(p)
			default:
				binary.Write(&b, binary.BigEndian, p)
			}
		}
		return b.Bytes()
	}
	ad := sha256.Sum256(cat("pawl/1 group associated data", g, epoch, head, seq, uint16(len(s.Address)), s.Address, s.Device, s.Identity, id, index))
	sum := sha256.Sum256(body)
	return cat(byte(1), id, index, seq, head, body, ed25519.Sign(private, cat("pawl/1 group message signature", ad, sum)))
}

func TestR_GRP_06_R_GRP_07_R_GRP_08_AgainstOtherTools(t *testing.T) {
	g := NewID()
	c := newChain(t, g, 9, bob)
	seed, key := c.Seed(), c.Key().Key
	r := accept(t, c)
	for i, text := range []string{"", "x", strings.Repeat("long ", 1000)} {
		head := Head{byte(i)}
		x, err := c.Seal(uint64(i)<<40, head, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := refMessage(g, 9, bob, seed, key[:], uint32(i), uint64(i)<<40, head, []byte(text))
		if !bytes.Equal(x.Message, want) || x.Index != uint32(i) || len(x.Message) != Overhead+len(text) {
			t.Fatalf("message %d differs", i)
		}
		c = x.Next
		o := open(t, &r, want, testNow)
		if string(o.Plaintext) != text || o.Index != uint32(i) || o.Seq != uint64(i)<<40 || o.Head != head {
			t.Errorf("message %d opens as %+v", i, o.Index)
		}
	}
	if _, err := c.Seal(1, Head{}, make([]byte, MaxPlaintext+1)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if x, err := c.Seal(1, Head{}, make([]byte, MaxPlaintext)); err != nil || len(x.Message) != MaxMessage {
		t.Error(err)
	}
}

func TestR_GRP_08_Form(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	m := burst(t, &c, 1)[0]
	w, err := ParseMessage(m)
	if err != nil || w.Chain != c.ID() || w.Index != 0 || w.Seq != 7 || w.Head != (Head{7}) || len(w.Body) != len("message 0") {
		t.Errorf("%+v %v", w, err)
	}
	for n := range Overhead {
		if _, err := ParseMessage(m[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := ParseMessage(append([]byte{2}, m[1:]...)); !errors.Is(err, ErrMalformed) {
		t.Error("version 2")
	}
	long := make([]byte, MaxMessage+1)
	long[0] = 1
	if _, err := ParseMessage(long); !errors.Is(err, ErrMalformed) {
		t.Error("too long")
	}
	if _, err := ParseMessage(long[:MaxMessage]); err != nil {
		t.Error("the longest")
	}
}

func TestR_GRP_04_R_GRP_09_EveryBitIsSigned(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	m := burst(t, &c, 1)[0]
	for i := range m {
		bad := bytes.Clone(m)
		bad[i] ^= 1 << (i % 8)
		want := ErrForged
		switch {
		case i == 0:
			want = ErrMalformed
		case i < indexAt:
			want = ErrUnknownChain
		}
		refuse(t, r, bad, testNow, want)
	}
	refuse(t, r, m[:len(m)-1], testNow, ErrForged)
	refuse(t, r, append(bytes.Clone(m), 0), testNow, ErrForged)
	refuse(t, r, nil, testNow, ErrMalformed)
	// The signature comes before the index: no error that speaks of an index,
	// and no work, for a message that nobody signed.
	far := bytes.Clone(m)
	binary.BigEndian.PutUint32(far[indexAt:], 1<<31)
	refuse(t, r, far, testNow, ErrForged)
	open(t, &r, m, testNow)
	dup := bytes.Clone(m)
	dup[len(dup)-1] ^= 1
	refuse(t, r, dup, testNow, ErrForged)
	refuse(t, r, m, testNow, ErrDuplicate)
	if _, err := (Receiving{}).Open(m, testNow); !errors.Is(err, ErrUnknownChain) {
		t.Error("no chain opens something")
	}
}

// A message of the same bytes is none on a chain of another group, epoch or
// device that has the same keys, which only its owner could make.
func TestR_GRP_07_BoundToWhereItWasSealed(t *testing.T) {
	g := NewID()
	secret := [64]byte{1}
	make := func(g ID, epoch uint64, s Sender) (Sending, Receiving) {
		r := secret
		c, err := newSending(g, epoch, s, testNow, Before{}, &r)
		if err != nil {
			t.Fatal(err)
		}
		return c, accept(t, c)
	}
	c, _ := make(g, 1, alice)
	m := burst(t, &c, 1)[0]
	second := alice
	second.Identity[5]++
	for name, other := range map[string]func() (Sending, Receiving){
		"group":    func() (Sending, Receiving) { return make(NewID(), 1, alice) },
		"epoch":    func() (Sending, Receiving) { return make(g, 2, alice) },
		"device":   func() (Sending, Receiving) { return make(g, 1, bob) },
		"identity": func() (Sending, Receiving) { return make(g, 1, second) },
	} {
		c, r := other()
		refuse(t, r, m, testNow, ErrUnknownChain)
		moved := bytes.Clone(m)
		id := c.ID()
		copy(moved[chainAt:], id[:])
		refuse(t, r, moved, testNow, ErrForged)
		_ = name
	}
}

func TestR_GRP_10_Jumps(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	all := burst(t, &c, 2002)
	refuse(t, r, all[2001], testNow, ErrTooFarAhead)
	o := open(t, &r, all[2000], testNow)
	if !o.SkippedChanged || r.Missing() != 1000 || r.Index() != 2001 {
		t.Errorf("%d kept", r.Missing())
	}
	// An authentic message of the last index of all.
	last := newChain(t, NewID(), 1, alice)
	k := last.Key()
	k.Index = 1<<32 - 2
	rr, err := Accept(k, alice)
	if err != nil {
		t.Fatal(err)
	}
	w := last
	w.index = 1<<32 - 2
	x, err := w.Seal(1, Head{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	open(t, &rr, x.Message, testNow)
	if _, err := x.Next.Seal(1, Head{}, nil); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
	forged, err := Forge(last.Seed(), last.Key(), alice, 0, 1, Head{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(forged[indexAt:], 1<<32-1)
	wire, _ := ParseMessage(forged)
	copy(forged[len(forged)-signatureLen:], ed25519.Sign(last.private, last.signed(wire.Index, wire.Seq, &wire.Head, wire.Body)))
	refuse(t, rr, forged, testNow, ErrTooFarAhead)
}

func TestR_GRP_11_SkippedKeys(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	all := burst(t, &c, 4100)
	now := testNow
	open(t, &r, all[2000], now)
	refuse(t, r, all[999], now, ErrTooOld)
	open(t, &r, all[1000], now)
	open(t, &r, all[1999], now)
	open(t, &r, all[2501], now) // 998 and 500 make room of the oldest
	if r.Missing() != 1000 {
		t.Errorf("%d kept", r.Missing())
	}
	refuse(t, r, all[1498], now, ErrTooOld)
	open(t, &r, all[1499], now)
	if missed := r.Missed(); len(missed) != 999 || missed[0] != 1500 || missed[998] != 2500 || !slices.IsSorted(missed) {
		t.Errorf("missed %v", len(missed))
	}
	// Seven days, and not a second longer.
	old := r
	open(t, &old, all[2400], now.Add(SkippedLife))
	refuse(t, r, all[2400], now.Add(SkippedLife+time.Second), ErrTooOld)
	if e, changed := r.Expire(now.Add(SkippedLife)); changed || e.Missing() != 999 {
		t.Error("expired too early")
	}
	e, changed := r.Expire(now.Add(SkippedLife + time.Second))
	if !changed || e.Missing() != 0 {
		t.Error("not expired")
	}
	refuse(t, e, all[2400], now, ErrTooOld)
	refuse(t, e, all[2501], now, ErrDuplicate)
	open(t, &e, all[2502], now)
	// A clock that was ahead does not keep keys for ever.
	e, changed = r.Expire(now.Add(-time.Hour))
	if !changed || e.Missing() != 999 {
		t.Error("time in the future kept")
	}
	if e, _ = e.Expire(now.Add(-time.Hour + SkippedLife + time.Second)); e.Missing() != 0 {
		t.Error("kept for ever")
	}
	if _, changed := (Receiving{}).Expire(now); changed {
		t.Error("no chain changed")
	}
}

func TestR_GRP_12_OneUse(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	all := burst(t, &c, 20)
	order := []int{3, 1, 0, 19, 10, 2, 4, 18}
	for _, i := range order {
		before := r
		o := open(t, &r, all[i], testNow)
		if want := fmt.Sprint("message ", i); string(o.Plaintext) != want {
			t.Errorf("%q, want %q", o.Plaintext, want)
		}
		refuse(t, r, all[i], testNow, ErrDuplicate)
		// The state before is untouched, and the memory behind the new one does
		// not hold the used key.
		open(t, &before, all[i], testNow)
	}
	full := r
	open(t, &r, all[5], testNow)
	for _, k := range r.skipped[:cap(r.skipped)] {
		if i, _ := slices.BinarySearchFunc(full.skipped, 5, func(k skippedKey, n uint32) int { return int(k.index) - int(n) }); k.key == full.skipped[i].key {
			t.Error("the used key is still in memory of the new state")
		}
	}
}

func TestR_GRP_13_ChainLife(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	all := burst(t, &c, 2)
	end := testNow.Add(ChainLife)
	refuse(t, r, all[0], end.Add(time.Second), ErrTooOld)
	if _, changed := r.Expire(end); changed {
		t.Error("expired too early")
	}
	closed, changed := r.Expire(end.Add(time.Second))
	if !changed || !closed.Closed() {
		t.Error("not expired")
	}
	refuse(t, closed, all[0], testNow, ErrClosed)
	open(t, &r, all[0], end)
}

func TestR_GRP_14_Redaction(t *testing.T) {
	s := NewSecret()
	c := newChain(t, NewID(), 1, alice)
	m := burst(t, &c, 5)
	r := accept(t, newChain(t, NewID(), 1, alice))
	r = accept(t, c)
	late := burst(t, &c, 2)
	open(t, &r, late[1], testNow)
	_ = m
	k := c.Key()
	secrets := [][]byte{s[:], c.private.Seed(), c.key[:], r.key[:], r.skipped[0].key[:], k.Key[:]}
	seed := c.Seed()
	for _, v := range []any{s, &s, c, &c, r, &r, k, &k, r.skipped, r.skipped[0], c.key, Key{Secret: s, Chain: &k}, Signal{Key: &Key{Secret: s}}, Disclosed{Seed: seed}, &Disclosed{Seed: seed}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%s", "%q", "%d"} {
			out := fmt.Sprintf(verb, v)
			for _, x := range secrets {
				for _, shown := range []string{fmt.Sprintf("%x", x[:4]), fmt.Sprintf("%X", x[:4]), fmt.Sprintf("%d %d %d %d", x[0], x[1], x[2], x[3]), fmt.Sprintf("%#x, %#x, %#x", x[0], x[1], x[2]), string(x[:4])} {
					if strings.Contains(out, shown) {
						t.Errorf("%T under %s shows a secret", v, verb)
					}
				}
			}
		}
	}
}
