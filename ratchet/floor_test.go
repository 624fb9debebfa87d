package ratchet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/dh/x25519"
)

// The floors: for each benchmark, the raw primitive calls that a message cannot
// do without, in the fastest form we know, and nothing else: no parsing, no
// state, no checks. What a reader may dispute stands here in full.
//
//   - A chain step is two HMACs under a key that is new each time: six SHA-256
//     compressions with a hash whose state is saved and loaded (four calls of
//     sha256.Sum256 cost a fifth more, crypto/hmac twice as much).
//   - The MAC key is one HMAC under the seed, which stays for the chain: its
//     keyed state is kept, as nothing faster is possible.
//   - The header is one AES-256-GCM call under a kept key.
//   - The body needs an AES key schedule and a CTR stream of its own.
//   - The tag is one HMAC under a new key over all of it.
//   - The result needs memory: one make.

// rawHMAC is HMAC-SHA-256 of at most 64 bytes under a new key.
func rawHMAC(key *[32]byte, message []byte) [32]byte {
	var in [128]byte
	var out [96]byte
	rawPad(in[:], key, 0x3636363636363636)
	n := copy(in[64:], message)
	d := sha256.Sum256(in[:64+n])
	rawPad(out[:], key, 0x5c5c5c5c5c5c5c5c)
	copy(out[64:], d[:])
	return sha256.Sum256(out[:])
}

func rawPad(b []byte, key *[32]byte, fill uint64) {
	le := binary.LittleEndian
	_ = b[63]
	for i := 0; i < 32; i += 8 {
		le.PutUint64(b[i:], le.Uint64(key[i:])^fill)
		le.PutUint64(b[32+i:], fill)
	}
}

// steps makes chain steps with a hash that is kept: each pad is compressed once
// for the two HMACs of a step, six compressions in place of eight.
type steps struct {
	hash  hash.Hash
	save  encoding.BinaryAppender
	load  encoding.BinaryUnmarshaler
	state [128]byte
	pad   [64]byte
	x, y  [32]byte
	bytes [2]byte
}

func newSteps() *steps {
	h := sha256.New()
	return &steps{hash: h, save: h.(encoding.BinaryAppender), load: h.(encoding.BinaryUnmarshaler), bytes: [2]byte{1, 2}}
}

// step is one chain step.
func (s *steps) step(chain *[32]byte) (key [32]byte) {
	rawPad(s.pad[:], chain, 0x3636363636363636)
	s.hash.Reset()
	s.hash.Write(s.pad[:])
	state, _ := s.save.AppendBinary(s.state[:0])
	s.hash.Write(s.bytes[:1])
	s.hash.Sum(s.x[:0])
	s.load.UnmarshalBinary(state)
	s.hash.Write(s.bytes[1:])
	s.hash.Sum(s.y[:0])
	rawPad(s.pad[:], chain, 0x5c5c5c5c5c5c5c5c)
	s.hash.Reset()
	s.hash.Write(s.pad[:])
	state, _ = s.save.AppendBinary(s.state[:0])
	s.hash.Write(s.x[:])
	s.hash.Sum(s.x[:0])
	s.load.UnmarshalBinary(state)
	s.hash.Write(s.y[:])
	s.hash.Sum(s.y[:0])
	*chain = s.y
	return s.x
}

// rawTag is HMAC-SHA-256 under a new key over ad and message.
func rawTag(key *[32]byte, ad, message []byte) [32]byte {
	var out [96]byte
	var d [32]byte
	if n := len(ad) + len(message); n <= 384 {
		var in [64 + 384]byte
		rawPad(in[:], key, 0x3636363636363636)
		copy(in[64:], ad)
		copy(in[64+len(ad):], message)
		d = sha256.Sum256(in[:64+n])
	} else {
		h := sha256.New()
		in := make([]byte, 64)
		rawPad(in, key, 0x3636363636363636)
		h.Write(in)
		h.Write(ad)
		h.Write(message)
		h.Sum(d[:0])
	}
	rawPad(out[:], key, 0x5c5c5c5c5c5c5c5c)
	copy(out[64:], d[:])
	return sha256.Sum256(out[:])
}

// floor keeps what a side may keep from message to message.
type floor struct {
	chain, open [32]byte
	steps       *steps
	seed        hash.Hash
	header      cipher.AEAD
	mac         [32]byte
}

func newFloor() *floor {
	f := &floor{steps: newSteps(), seed: hmac.New(sha256.New, make([]byte, 32))}
	f.header = rawHeader(&f.chain)
	f.macKey() // keeps the keyed state
	return f
}

func rawHeader(key *[32]byte) cipher.AEAD {
	block, _ := aes.NewCipher(key[:])
	aead, _ := cipher.NewGCM(block)
	return aead
}

func (f *floor) macKey() {
	var in [5]byte
	f.seed.Reset()
	f.seed.Write(in[:])
	f.seed.Sum(f.mac[:0])
}

// seal is the floor of Seal; the message is as long as a real one.
func (f *floor) seal(plaintext, ad []byte) []byte {
	m := make([]byte, Overhead+len(plaintext))
	rand.Read(m[saltAt:sealedAt])
	key := f.steps.step(&f.chain)
	block, _ := aes.NewCipher(key[:])
	body := m[seedsAt : seedsAt+len(plaintext)]
	cipher.NewCTR(block, m[saltAt:saltAt+16]).XORKeyStream(body, plaintext)
	h := m[sealedAt : sealedAt+headerLen]
	f.header.Seal(h[:0], m[saltAt:sealedAt], h, m[:1])
	f.macKey()
	tag := rawTag(&f.mac, ad, m[:len(m)-tagLen])
	copy(m[len(m)-tagLen:], tag[:])
	return m
}

// unseal is the floor of Open for a message that seal made.
func (f *floor) unseal(m, ad []byte) []byte {
	body := m[seedsAt : len(m)-tagLen]
	out := make([]byte, headerLen+len(body))
	if _, err := f.header.Open(out[:0], m[saltAt:sealedAt], m[sealedAt:countAt], m[:1]); err != nil {
		panic(err)
	}
	f.macKey()
	tag := rawTag(&f.mac, ad, m[:len(m)-tagLen])
	if !hmac.Equal(tag[:], m[len(m)-tagLen:]) {
		panic("floor: tag")
	}
	key := f.steps.step(&f.open)
	block, _ := aes.NewCipher(key[:])
	cipher.NewCTR(block, out[:16]).XORKeyStream(out[headerLen:], body)
	return out[headerLen:]
}

// rawRoot is HKDF-SHA-256 with four blocks of output: extract and four HMACs.
func rawRoot(root, shared *[32]byte) (out [4][32]byte) {
	prk := rawHMAC(root, shared[:])
	for i := range out {
		out[i] = rawHMAC(&prk, shared[:24])
	}
	return out
}

// pingPong is the floor of one message that begins a new chain, both sides:
// the sender makes a key pair (one base multiplication) and agrees, the
// receiver agrees; each derives a root and expands one header key.
func (f *floor) pingPong(private, peer *[32]byte, plaintext, ad []byte) {
	var seed [32]byte
	rand.Read(seed[:])
	s, _ := new(edwards25519.Scalar).SetBytesWithClamping(seed[:])
	var p edwards25519.Point
	copy(seed[:], p.ScalarBaseMult(s).BytesMontgomery())
	var k, u, out x25519.Key
	k, u = *private, *peer
	for range 2 {
		x25519.Shared(&out, &k, &u)
		roots := rawRoot(private, (*[32]byte)(&out))
		f.header = rawHeader(&roots[2])
	}
	f.unseal(f.seal(plaintext, ad), ad)
}
