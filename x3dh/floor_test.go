package x3dh_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"

	"github.com/pawl-chat/pawl/internal/simd"
)

// The floors of a handshake with its first message: the raw primitive calls
// that neither side can do without, in the fastest form we know, and nothing
// else: no parsing, no encoding, no state, no checks of points. What a reader
// may dispute stands here in full.
//
// Initiator: two Ed25519 verifications (signed prekey, ML-KEM prekey), an
// ephemeral key pair, four agreements, unpacking the ML-KEM key and one
// encapsulation, the transcript's hash, HKDF; then the ratchet's first step (a
// key pair, an agreement, two derivations) and one message sealed.
//
// Responder: four agreements, expanding the ML-KEM seed and one decapsulation,
// the transcript's hash, HKDF; then an agreement, two derivations and one
// message opened. It stores its public X25519 prekeys, so it computes none.
//
// Hashes of identities, of the session id and of the first message are left
// out, although the protocol asks for them.

// rawHMAC is HMAC-SHA-256 under a new key.
func rawHMAC(key *[32]byte, message []byte) [32]byte {
	var in [64 + 256]byte
	var out [96]byte
	for i := range 64 {
		in[i], out[i] = 0x36, 0x5c
	}
	for i, c := range key {
		in[i], out[i] = in[i]^c, out[i]^c
	}
	d := sha256.Sum256(in[:64+copy(in[64:], message)])
	copy(out[64:], d[:])
	return sha256.Sum256(out[:])
}

// rawPair makes an X25519 key pair: one fixed-base multiplication.
func rawPair() (private, public x25519.Key) {
	rand.Read(private[:])
	s, _ := new(edwards25519.Scalar).SetBytesWithClamping(private[:])
	var p edwards25519.Point
	copy(public[:], p.ScalarBaseMult(s).BytesMontgomery())
	return private, public
}

// rawHandshake has what both floors work on.
type rawHandshake struct {
	verify               ed25519.PublicKey
	signedMsg, kemMsg    []byte
	signedSig, kemSig    []byte
	mine, theirs         x25519.Key // any pair of a private and a public key
	kemPublic, kemSecret []byte     // encapsulation key; seed
	ciphertext           []byte
	transcript           []byte
}

func newRawHandshake(tb testing.TB) *rawHandshake {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	r := &rawHandshake{verify: public, kemSecret: make([]byte, mlkem1024.KeySeedSize)}
	// The lengths are those of real ones: a label of 23 bytes, kind, id, owner,
	// lifetime, key; and the transcript of two addresses of 17 bytes.
	const head = 23 + 1 + 8 + 32 + 8 + 8
	r.signedMsg, r.kemMsg = make([]byte, head+32), make([]byte, head+mlkem1024.PublicKeySize)
	r.signedSig, r.kemSig = ed25519.Sign(private, r.signedMsg), ed25519.Sign(private, r.kemMsg)
	r.mine, _ = rawPair()
	_, r.theirs = rawPair()
	rand.Read(r.kemSecret)
	k, _ := mlkem1024.NewKeyFromSeed(r.kemSecret)
	r.kemPublic, r.ciphertext = make([]byte, mlkem1024.PublicKeySize), make([]byte, mlkem1024.CiphertextSize)
	k.Pack(r.kemPublic)
	k.EncapsulateTo(r.ciphertext, make([]byte, 32), nil)
	r.transcript = make([]byte, 22+1+2*(32+8+32+2+17)+32+3*8+2*32+1+2*mlkem1024.PublicKeySize)
	return r
}

// agree is n agreements.
func (r *rawHandshake) agree(n int) (out x25519.Key) {
	for range n {
		x25519.Shared(&out, &r.mine, &r.theirs)
	}
	return out
}

// secret is the transcript's hash and HKDF.
func (r *rawHandshake) secret(z *[32]byte) [32]byte {
	t := sha256.Sum256(r.transcript)
	var ikm [192]byte
	prk := rawHMAC(z, ikm[:])
	return rawHMAC(&prk, t[:])
}

// start is the derivation that begins a ratchet, step that of one DH step of
// it: extract, and four keys.
func (r *rawHandshake) step(z *[32]byte) (out [4][32]byte) {
	prk := rawHMAC(z, r.transcript[:32])
	for i := range out {
		out[i] = rawHMAC(&prk, r.transcript[:24])
	}
	return out
}

// message is the symmetric work on one message of 100 bytes, the same to seal
// and to open: a header cipher made and used, a chain step, the MAC key, an AES
// key schedule, a stream and a tag.
func (r *rawHandshake) message(keys *[4][32]byte) []byte {
	m := make([]byte, 240)
	block, _ := aes.NewCipher(keys[0][:])
	header, _ := cipher.NewGCM(block)
	header.Seal(m[100:100], m[:12], m[100:124], m[:1])
	key := rawHMAC(&keys[1], m[:1])
	keys[1] = rawHMAC(&keys[1], m[:1])
	mac := rawHMAC(&keys[2], m[:4])
	body, _ := aes.NewCipher(key[:])
	cipher.NewCTR(body, m[:16]).XORKeyStream(m[:100], m[:100])
	tag := rawHMAC(&mac, m[:200])
	if hmac.Equal(tag[:], m[208:]) {
		panic("floor: unreachable")
	}
	copy(m[208:], tag[:])
	return m
}

func (r *rawHandshake) initiator() []byte {
	if !ed25519.Verify(r.verify, r.signedMsg, r.signedSig) || !ed25519.Verify(r.verify, r.kemMsg, r.kemSig) {
		panic("floor: signature")
	}
	rawPair()
	z := r.agree(4)
	var k mlkem1024.PublicKey
	if err := k.Unpack(r.kemPublic); err != nil {
		panic("floor: key")
	}
	ct, ss, m := make([]byte, mlkem1024.CiphertextSize), make([]byte, 32), make([]byte, 32)
	rand.Read(m)
	k.EncapsulateTo(ct, ss, m)
	simd.Clean() // or all hashing after it takes several times as long
	secret := r.secret((*[32]byte)(&z))
	r.step(&secret)
	rawPair()
	z = r.agree(1)
	keys := r.step((*[32]byte)(&z))
	return r.message(&keys)
}

func (r *rawHandshake) responder() []byte {
	z := r.agree(4)
	_, k := mlkem1024.NewKeyFromSeed(r.kemSecret)
	ss := make([]byte, 32)
	k.DecapsulateTo(ss, r.ciphertext)
	simd.Clean()
	secret := r.secret((*[32]byte)(&z))
	r.step(&secret)
	z = r.agree(1)
	keys := r.step((*[32]byte)(&z))
	return r.message(&keys)
}
