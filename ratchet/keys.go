package ratchet

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kdf"
)

// Ratchet keys are X25519 keys (package internal/dh). The names here let other
// modules speak of them.
type (
	PublicKey  = dh.PublicKey
	PrivateKey = dh.PrivateKey
)

// GenerateKey returns a new ratchet key: what a responder publishes as its
// signed prekey.
func GenerateKey() (PrivateKey, PublicKey) { return dh.Generate() }

// ParsePublicKey accepts 32 canonical bytes of a key that has not low order.
func ParsePublicKey(b []byte) (PublicKey, error) { return dh.ParsePublic(b) }

// One type per role: no key is taken for another kind.
type (
	rootKey    [kdf.Size]byte // secret between DH steps
	chainKey   [kdf.Size]byte // makes message keys, one way
	messageKey [kdf.Size]byte // encrypts one body
	headerKey  [kdf.Size]byte // encrypts the headers of one chain
	macSeed    [kdf.Size]byte // makes the MAC keys of one chain
	macKey     [kdf.Size]byte // authenticates one message
	epochKey   [kdf.Size]byte // what an epoch of the post-quantum exchange yields
)

// Secrets print a placeholder whatever the verb (R-RAT-27). The structs that
// hold them need one too: fmt does not call methods of unexported fields.
func (rootKey) Format(f fmt.State, _ rune)    { redacted(f) }
func (chainKey) Format(f fmt.State, _ rune)   { redacted(f) }
func (messageKey) Format(f fmt.State, _ rune) { redacted(f) }
func (headerKey) Format(f fmt.State, _ rune)  { redacted(f) }
func (macSeed) Format(f fmt.State, _ rune)    { redacted(f) }
func (macKey) Format(f fmt.State, _ rune)     { redacted(f) }
func (epochKey) Format(f fmt.State, _ rune)   { redacted(f) }

func (branch) Format(f fmt.State, _ rune)       { redacted(f) }
func (headerCipher) Format(f fmt.State, _ rune) { redacted(f) }
func (waiting) Format(f fmt.State, _ rune)      { redacted(f) }
func (replying) Format(f fmt.State, _ rune)     { redacted(f) }
func (sending) Format(f fmt.State, _ rune)      { redacted(f) }
func (sendingChain) Format(f fmt.State, _ rune) { redacted(f) }
func (receiving) Format(f fmt.State, _ rune)    { redacted(f) }
func (skippedKey) Format(f fmt.State, _ rune)   { redacted(f) }
func (State) Format(f fmt.State, _ rune)        { redacted(f) }

func redacted(f fmt.State) { io.WriteString(f, "ratchet(redacted)") }

// start derives from the shared secret the first root key and the header keys
// of the initiator's and of the responder's first chain (R-RAT-02).
func start(secret *[kdf.Size]byte) (root rootKey, initiator, responder headerKey) {
	kdf.Expand(secret, labelStart,
		(*[kdf.Size]byte)(&root), (*[kdf.Size]byte)(&initiator), (*[kdf.Size]byte)(&responder))
	return root, initiator, responder
}

// branch is what one DH step yields for the chain it begins, and the header key
// of the chain after it in the same direction.
type branch struct {
	chain  chainKey
	header headerKey
	seed   macSeed
}

// advance mixes a DH result and the secrets of epochs into the root key:
// HKDF-SHA-256 with the old root as salt (R-RAT-41). The MAC seed is expanded under a label of its own, so that it is
// independent of all other outputs: who knows it knows nothing of the keys that
// encrypt (R-RAT-03).
func (r *rootKey) advance(shared *[kdf.Size]byte, epochs []epochKey) (next rootKey, b branch) {
	var buf [(1 + MaxWaiting) * kdf.Size]byte
	in := append(buf[:0], shared[:]...)
	for i := range epochs {
		in = append(in, epochs[i][:]...)
	}
	prk := kdf.Extract((*[kdf.Size]byte)(r), in)
	clear(in)
	kdf.Expand(&prk, labelRoot,
		(*[kdf.Size]byte)(&next), (*[kdf.Size]byte)(&b.chain), (*[kdf.Size]byte)(&b.header))
	kdf.Expand(&prk, labelMAC, (*[kdf.Size]byte)(&b.seed))
	clear(prk[:])
	clear(shared[:])
	return next, b
}

// step takes the message key of the next number out of the chain.
func (c *chainKey) step() messageKey {
	k, next := kdf.Pair((*[kdf.Size]byte)(c), byteMessageKey, byteChainKey)
	*c = next
	return k
}

// pass steps over a number without making its message key.
func (c *chainKey) pass() {
	*c = kdf.HMAC((*[kdf.Size]byte)(c), []byte{byteChainKey})
}

// key is the MAC key of message number. It does not depend on the chain key, so
// a MAC is checked before the chain moves (R-RAT-04).
func (s *macSeed) key(number uint32) macKey {
	var m [5]byte
	m[0] = byteMACKey
	binary.BigEndian.PutUint32(m[1:], number)
	return kdf.HMAC((*[kdf.Size]byte)(s), m[:])
}

// tag authenticates a message: its associated data, length first, and every
// byte before the tag (R-RAT-06).
func (k *macKey) tag(ad, message []byte) [tagLen]byte {
	return kdf.Tag((*[kdf.Size]byte)(k), ad, message)
}

// xor encrypts or decrypts one body under a key that is used once: AES-256-CTR
// from iv, the message's salt and a zero 32-bit counter (R-RAT-07). dst and src
// are the same slice or do not overlap.
func (k *messageKey) xor(dst, iv, src []byte) {
	if len(src) == 0 {
		return
	}
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic("ratchet: unreachable: key length")
	}
	cipher.NewCTR(block, iv).XORKeyStream(dst, src)
}

// headerCipher is a header key with its expanded form. It never changes, so
// states share it.
type headerCipher struct {
	key  headerKey
	aead cipher.AEAD
}

func newHeaderCipher(key headerKey) *headerCipher {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("ratchet: unreachable: key length")
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("ratchet: unreachable: block length")
	}
	return &headerCipher{key, aead}
}
