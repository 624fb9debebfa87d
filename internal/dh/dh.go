// Package dh is X25519 (RFC 7748) made hard to misuse: public keys exist only
// in canonical, non-low-order form, an all-zero result is an error that cannot
// be dropped, and private keys print redacted and cannot be compared.
//
// Agreement uses circl's assembly and key generation the fixed-base
// multiplication of filippo.io/edwards25519, both chosen by measurement (see
// the benchmarks beside this file); everything outside this package sees only
// the types below, so the choice can change.
//
// Not its concern: what a key is for. Packages that use it name their roles
// with types of their own.
package dh

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/dh/x25519"
)

// Size is the length in bytes of public keys, private keys and shared secrets.
const Size = 32

// Refusals of ParsePublic and Shared (R-IDN-07).
var (
	ErrLength       = errors.New("dh: key is not 32 bytes")
	ErrNonCanonical = errors.New("dh: public key is not in canonical form")
	ErrLowOrder     = errors.New("dh: public key has low order")
)

// PublicKey is an X25519 public key in canonical form: the u-coordinate below
// 2^255-19, little-endian. The zero value is no key and every use of it fails.
type PublicKey struct{ b [Size]byte }

// lowOrder lists the canonical u-coordinates of the points of order dividing
// 8 on the curve and its twist (RFC 7748 §6.1, cr.yp.to/ecdh.html).
var lowOrder = [...][Size]byte{
	{},
	{1},
	{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
}

// ParsePublic accepts the 32-byte canonical encoding of a public key that does
// not have low order, and nothing else.
func ParsePublic(b []byte) (PublicKey, error) {
	if len(b) != Size {
		return PublicKey{}, ErrLength
	}
	p := PublicKey{[Size]byte(b)}
	if !canonical(&p.b) {
		return PublicKey{}, ErrNonCanonical
	}
	for i := range lowOrder {
		if p.b == lowOrder[i] {
			return PublicKey{}, ErrLowOrder
		}
	}
	return p, nil
}

// canonical reports whether b < 2^255-19 as a little-endian number.
func canonical(b *[Size]byte) bool {
	if b[31] != 0x7f {
		return b[31] < 0x7f
	}
	for _, c := range b[1:31] {
		if c != 0xff {
			return true
		}
	}
	return b[0] < 0xed
}

// Bytes returns the 32-byte canonical encoding.
func (p PublicKey) Bytes() []byte { return p.b[:] }

// Array returns the 32-byte canonical encoding as an array.
func (p PublicKey) Array() [Size]byte { return p.b }

// IsZero reports whether p is the zero value, which is no key.
func (p PublicKey) IsZero() bool { return p.b == [Size]byte{} }

// PrivateKey is an X25519 private key: 32 uniformly random bytes, clamped when
// used. Its copies share no memory; Erase clears only the copy it is called
// on, and Go may have left others in freed memory.
type PrivateKey struct {
	_ [0]func() // not comparable
	b [Size]byte
}

// Generate returns a new private key from the operating system's randomness
// and its public key.
func Generate() (PrivateKey, PublicKey) {
	var seed [Size]byte
	rand.Read(seed[:]) // never fails: crypto/rand ends the process instead
	k := FromBytes(seed)
	clear(seed[:])
	return k, k.Public()
}

// FromBytes returns the private key stored in b.
func FromBytes(b [Size]byte) PrivateKey { return PrivateKey{b: b} }

// Public computes the public key: one fixed-base multiplication.
func (k *PrivateKey) Public() PublicKey {
	s, err := new(edwards25519.Scalar).SetBytesWithClamping(k.b[:])
	if err != nil {
		panic("dh: unreachable: scalar length")
	}
	var p edwards25519.Point
	return PublicKey{[Size]byte(p.ScalarBaseMult(s).BytesMontgomery())}
}

// Shared computes the X25519 agreement of k and p. It returns ErrLowOrder, and
// a zero secret, when the result is all zero.
func (k *PrivateKey) Shared(p PublicKey) (secret [Size]byte, err error) {
	var priv, pub, out x25519.Key
	priv, pub = k.b, p.b
	ok := x25519.Shared(&out, &priv, &pub)
	clear(priv[:])
	if !ok || subtle.ConstantTimeCompare(out[:], make([]byte, Size)) == 1 {
		return [Size]byte{}, ErrLowOrder
	}
	return out, nil
}

// Export returns the 32 bytes of the private key, for sealed storage only.
func (k *PrivateKey) Export() [Size]byte { return k.b }

// Erase overwrites this copy of the key.
func (k *PrivateKey) Erase() { clear(k.b[:]) }

// Format prints a placeholder, whatever the verb: a private key never reaches
// a log, an error or a terminal through fmt.
func (PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, "dh.PrivateKey(redacted)") }
