package ratchet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/pawl-chat/pawl/internal/braid"
)

// model is one side of the ratchet as the specification tells it, written for
// plainness: standard library only, every key kept for ever in a map, every
// limit applied by counting. Tests hold the package against it.
type model struct {
	root     []byte
	own      []byte // private ratchet key; nil when ours is to be made
	peer     []byte
	sendNext []byte // header key of our next chain
	recvNext []byte // header key of the peer's next chain
	sends    *modelChain
	previous uint32
	step     uint64
	recvs    []*modelChain // every chain ever, oldest first
	owed     [][]byte
	since    int // opened in the newest chain since we sealed
	exchange braid.State
	secrets  map[uint32][]byte // of all epochs ever
	mixed    uint32
}

// modelChain is a chain in either direction, with everything kept.
type modelChain struct {
	id                uint64
	header, seed, key []byte
	keys              map[uint32][]byte // of every number ever stepped over
	next              uint32            // numbers below were stepped over
	missing           map[uint32]int64  // numbers that may still come, with the time of skipping
	floor             uint32
	closed, gone      bool
	public            []byte
	previous          uint32
	epoch             uint32
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func expand(prk []byte, label string, n int) []byte {
	out, err := hkdf.Expand(sha256.New, prk, label, n)
	if err != nil {
		panic(err)
	}
	return out
}

// newModel begins as initiator if peer is given, else as responder with own.
func newModel(secret, own, peer []byte) *model {
	out := expand(secret, "pawl/1 ratchet start", 96)
	m := &model{root: out[:32], secrets: map[uint32][]byte{}, exchange: braid.Start((*[32]byte)(secret), braid.Initiator)}
	if peer == nil {
		m.exchange = braid.Start((*[32]byte)(secret), braid.Responder)
		m.own, m.recvNext, m.sendNext = own, out[32:64], out[64:]
		return m
	}
	m.peer, m.sendNext, m.recvNext = peer, out[32:64], out[64:]
	m.ratchet(own)
	return m
}

// agree is the DH step: the root moves on and yields chain key, next header
// key and MAC seed, which rest on all epochs up to the one given.
func (m *model) agree(private, public []byte, epoch uint32) (root, chain, header, seed []byte, ok bool) {
	sk, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		panic(err)
	}
	pk, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	shared, err := sk.ECDH(pk)
	if err != nil {
		return nil, nil, nil, nil, false
	}
	for e := m.mixed + 1; e <= epoch; e++ {
		shared = append(shared, m.secrets[e]...)
	}
	prk, err := hkdf.Extract(sha256.New, shared, m.root)
	if err != nil {
		panic(err)
	}
	out := expand(prk, "pawl/1 ratchet root", 96)
	return out[:32], out[32:64], out[64:], expand(prk, "pawl/1 ratchet mac", 32), true
}

// ratchet makes our next sending chain with the private key own.
func (m *model) ratchet(own []byte) {
	epoch := max(m.mixed, m.exchange.Epoch()-1)
	root, chain, next, seed, ok := m.agree(own, m.peer, epoch)
	if !ok {
		panic("model: low order")
	}
	sk, _ := ecdh.X25519().NewPrivateKey(own)
	m.step++
	m.sends = &modelChain{id: m.step, header: m.sendNext, seed: seed, key: chain,
		public: sk.PublicKey().Bytes(), previous: m.previous}
	m.root, m.own, m.sendNext, m.mixed = root, own, next, epoch
}

// advance steps a chain until the key of number exists, and keeps all.
func (c *modelChain) advance(to uint32) {
	if c.keys == nil {
		c.keys = map[uint32][]byte{}
	}
	for n := uint32(len(c.keys)); n < to; n++ {
		c.keys[n] = mac(c.key, []byte{1})
		c.key = mac(c.key, []byte{2})
	}
}

func gcm(key []byte) cipher.AEAD {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	a, err := cipher.NewGCM(b)
	if err != nil {
		panic(err)
	}
	return a
}

func ctr(key, salt, text []byte) []byte {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(text))
	cipher.NewCTR(b, append(slices.Clone(salt), 0, 0, 0, 0)).XORKeyStream(out, text)
	return out
}

// canSeal says what Seal needs to know.
func (m *model) canSeal() bool { return m.sends != nil || m.peer != nil }

// seal makes the message that the package must make from the same randomness.
func (m *model) seal(kind byte, plaintext, ad []byte, random *randomness, seeds [][]byte) []byte {
	if m.own == nil {
		m.ratchet(slices.Clone(random[12:44]))
	}
	c := m.sends
	n := c.next
	c.next++
	c.advance(c.next)
	salt := random[:12]
	b := append([]byte{kind}, salt...)
	last := m.mixed
	if kind == TypeMessage {
		var carried bool
		if plaintext, carried = m.carry(plaintext, (*[64]byte)(random[44:])); carried {
			last |= 1 << 31
		}
	}
	h := slices.Concat(c.public, be32(c.previous), be32(n), be32(last))
	b = append(b, gcm(c.header).Seal(nil, salt, h, []byte{kind})...)
	b = append(b, byte(len(seeds)))
	for _, s := range seeds {
		b = append(b, s...)
	}
	b = append(b, ctr(c.keys[n], salt, plaintext)...)
	m.since = 0
	return append(b, mac(mac(c.seed, []byte{3}, be32(n)), be32(uint32(len(ad))), ad, b)...)
}

// carry puts a piece in the place of the zeros that text ends in.
func (m *model) carry(text []byte, random *[64]byte) ([]byte, bool) {
	room := len(text) - len(bytes.TrimRight(text, "\x00")) - 2
	if room < 5 || m.held() >= 4 {
		return text, false
	}
	sent := m.exchange.Send(room, random)
	m.take(sent.Next, sent.Secret)
	out := append(slices.Clone(text[:len(text)-2-len(sent.Piece)]), sent.Piece...)
	return binary.BigEndian.AppendUint16(out, uint16(len(sent.Piece))), true
}

// uncarry takes a piece off text and leaves zeros.
func (m *model) uncarry(text []byte) []byte {
	if len(text) < 2 {
		return text
	}
	n := int(binary.BigEndian.Uint16(text[len(text)-2:]))
	if n < 5 || n > 1259 || n+2 > len(text) {
		return text
	}
	at := len(text) - 2 - n
	if m.held() < 4 {
		if got, err := m.exchange.Receive(text[at : at+n]); err == nil {
			m.take(got.Next, got.Secret)
		}
	}
	return append(slices.Clone(text[:at]), make([]byte, n+2)...)
}

func (m *model) take(next braid.State, secret braid.Secret) {
	m.exchange = next
	if secret.Epoch > 0 {
		m.secrets[secret.Epoch] = secret.Key[:]
	}
}

// held is how many secrets are not mixed in yet.
func (m *model) held() int { return len(m.secrets) - int(m.mixed) }

// disclose takes what the next message must disclose.
func (m *model) disclose() [][]byte {
	seeds := m.owed
	m.owed = nil
	return seeds
}

func (m *model) newest() *modelChain {
	if len(m.recvs) == 0 {
		return nil
	}
	return m.recvs[len(m.recvs)-1]
}

// open says what the package must answer: the plaintext or one of its errors.
func (m *model) open(b, ad []byte, now int64) ([]byte, error) {
	if len(b) > MaxMessage {
		return nil, ErrTooLong
	}
	if len(b) < 106 || b[0] != 1 && b[0] != 2 {
		return nil, ErrMalformed
	}
	count := int(b[73])
	if b[0] == 1 && count > 5 || b[0] == 2 && count > 10 || 74+32*count+32 > len(b) {
		return nil, ErrMalformed
	}
	if len(b)-106-32*count > MaxPlaintext {
		return nil, ErrTooLong
	}
	header := func(key []byte) []byte {
		h, err := gcm(key).Open(nil, b[1:13], b[13:73], b[:1])
		if err != nil {
			return nil
		}
		return h
	}
	authentic := func(seed, h []byte) bool {
		end := len(b) - 32
		return hmac.Equal(b[end:], mac(mac(seed, []byte{3}, h[36:40]), be32(uint32(len(ad))), ad, b[:end]))
	}
	body := b[74+32*count : len(b)-32]
	text := func(key, h []byte) []byte {
		plain := ctr(key, b[1:13], body)
		if h[40]&0x80 != 0 {
			plain = m.uncarry(plain)
		}
		return plain
	}
	epochOf := func(h []byte) uint32 { return binary.BigEndian.Uint32(h[40:]) &^ (1 << 31) }

	for i, c := range slices.Backward(m.recvs) {
		h := header(c.header)
		if h == nil {
			continue
		}
		n := binary.BigEndian.Uint32(h[36:40])
		at, missing := c.missing[n]
		switch {
		case c.gone:
			return nil, ErrUnknownChain
		case !authentic(c.seed, h):
			return nil, ErrForged
		case epochOf(h) != c.epoch:
			return nil, ErrEpoch
		case n >= c.next && c.closed:
			return nil, ErrRolledBack
		case n >= c.next && n-c.next > 2000:
			return nil, ErrTooFarAhead
		case n >= c.next:
			c.skipTo(n, now)
			c.next++
			c.advance(c.next)
		case missing && now-at > 7*86400:
			return nil, ErrTooOld
		case missing:
			delete(c.missing, n)
		case n < c.floor:
			return nil, ErrTooOld
		default:
			return nil, ErrDuplicate
		}
		if i == len(m.recvs)-1 {
			m.since++
		}
		m.settle()
		return text(c.keys[n], h), nil
	}
	if m.own == nil {
		return nil, ErrUnknownChain
	}
	h := header(m.recvNext)
	if h == nil {
		return nil, ErrUnknownChain
	}
	epoch := epochOf(h)
	if epoch < m.mixed || m.secrets[epoch] == nil && epoch > m.mixed {
		return nil, ErrEpoch
	}
	root, chain, next, seed, ok := m.agree(m.own, h[:32], epoch)
	if !ok {
		return nil, ErrBadKey
	}
	if !authentic(seed, h) {
		return nil, ErrForged
	}
	previous, n := binary.BigEndian.Uint32(h[32:]), binary.BigEndian.Uint32(h[36:40])
	old := m.newest()
	expected := uint32(0)
	if old != nil {
		expected = old.next
	}
	switch {
	case previous < expected || old == nil && previous != 0:
		return nil, ErrRolledBack
	case previous-expected > 2000 || n > 2000:
		return nil, ErrTooFarAhead
	}
	if old != nil {
		old.skipTo(previous, now)
		old.closed = true
		if len(old.missing) == 0 {
			old.gone = true
			m.owed = append(m.owed, old.seed)
		}
	}
	m.step++
	c := &modelChain{id: m.step, header: m.recvNext, seed: seed, key: chain, missing: map[uint32]int64{}, epoch: epoch}
	m.mixed = epoch
	m.recvs = append(m.recvs, c)
	c.skipTo(n, now)
	c.next++
	c.advance(c.next)
	m.since = 1
	m.root, m.recvNext, m.peer, m.own = root, next, slices.Clone(h[:32]), nil
	m.previous = 0
	if m.sends != nil {
		m.previous = m.sends.next
	}
	m.settle()
	return text(c.keys[n], h), nil
}

func (c *modelChain) skipTo(n uint32, now int64) {
	c.advance(n)
	for ; c.next < n; c.next++ {
		c.missing[c.next] = now
	}
}

// forget erases the oldest missing numbers until n are left.
func (c *modelChain) forget(n int) {
	for _, number := range slices.Sorted(maps.Keys(c.missing)) {
		if len(c.missing) <= n {
			return
		}
		delete(c.missing, number)
		c.floor = max(c.floor, number+1)
	}
}

// settle applies the limits and finds what is owed. Of chains that are done at
// once the oldest is owed first.
func (m *model) settle() {
	var live []*modelChain
	total := 0
	for _, c := range m.recvs {
		if !c.gone {
			c.forget(1000)
			live = append(live, c)
			total += len(c.missing)
		}
	}
	done := func(c *modelChain) {
		c.gone = true
		m.owed = append(m.owed, c.seed)
	}
	if len(live) > 5 {
		total -= len(live[0].missing)
		done(live[0])
		live = live[1:]
	}
	for _, c := range live {
		if over := total - 2000; over > 0 {
			before := len(c.missing)
			c.forget(max(0, before-over))
			total -= before - len(c.missing)
		}
		if c.closed && len(c.missing) == 0 {
			done(c)
		}
	}
}

// expire is Expire.
func (m *model) expire(now int64) {
	for _, c := range m.recvs {
		for n, at := range c.missing {
			if now-at > 7*86400 {
				delete(c.missing, n)
				c.floor = max(c.floor, n+1)
			} else {
				c.missing[n] = min(at, now)
			}
		}
	}
	m.settle()
}

// skipped counts the keys that may still be used.
func (m *model) skipped() (n int) {
	for _, c := range m.recvs {
		if !c.gone {
			n += len(c.missing)
		}
	}
	return n
}
