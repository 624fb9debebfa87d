package ratchet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/dh/x25519"
)

// The floors: for each benchmark, the raw primitive calls that a message cannot
// do without, in the fastest form we know, and nothing else: no parsing, no
// state, no checks. What a reader may dispute stands here in full.
//
//   - A chain step is two HMACs under a key that is new each time: four calls of
//     sha256.Sum256 on the stack (crypto/hmac costs half as much again).
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

// rawStep is one chain step.
func rawStep(chain *[32]byte) (key [32]byte) {
	var in [65]byte
	var out [96]byte
	rawPad(in[:], chain, 0x3636363636363636)
	rawPad(out[:], chain, 0x5c5c5c5c5c5c5c5c)
	in[64] = 1
	d := sha256.Sum256(in[:])
	copy(out[64:], d[:])
	key = sha256.Sum256(out[:])
	in[64] = 2
	d = sha256.Sum256(in[:])
	copy(out[64:], d[:])
	*chain = sha256.Sum256(out[:])
	return key
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
	seed        hash.Hash
	header      cipher.AEAD
	mac         [32]byte
}

func newFloor() *floor {
	f := &floor{seed: hmac.New(sha256.New, make([]byte, 32))}
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
	key := rawStep(&f.chain)
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
	key := rawStep(&f.open)
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
