// Package kem is ML-KEM-1024 (FIPS 203) behind types that cannot be misused:
// lengths and the modulus check happen at parsing, encapsulation draws its own
// randomness, and private keys are their 64-byte seed, print redacted and
// cannot be compared.
//
// circl's implementation is used, chosen by measurement: on amd64 it takes
// about half the time of the standard library's (docs/design/primitives.md),
// and both accept each other's seeds, keys and ciphertexts (a test holds that).
//
// circl leaves the processor's vector registers in a state that slows down what
// comes next; every operation here ends with simd.Clean.
//
// Not its concern: what a key is for and who signed it.
package kem

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"

	"github.com/pawl-chat/pawl/internal/simd"
)

// Sizes in bytes (FIPS 203, ML-KEM-1024).
const (
	PublicKeySize  = mlkem1024.PublicKeySize  // 1568
	CiphertextSize = mlkem1024.CiphertextSize // 1568
	SeedSize       = mlkem1024.KeySeedSize    // 64
	SecretSize     = mlkem1024.SharedKeySize  // 32
)

// Refusals.
var (
	ErrPublicKey  = errors.New("kem: public key has a wrong length or an unreduced coefficient")
	ErrCiphertext = errors.New("kem: ciphertext has a wrong length")
)

// PublicKey is a parsed encapsulation key.
type PublicKey struct {
	k *mlkem1024.PublicKey
	b []byte
}

// ParsePublic accepts a 1,568-byte encapsulation key that passes the modulus
// check of FIPS 203 §7.2. It keeps a copy of b.
func ParsePublic(b []byte) (PublicKey, error) {
	if len(b) != PublicKeySize {
		return PublicKey{}, ErrPublicKey
	}
	k := new(mlkem1024.PublicKey)
	err := k.Unpack(b)
	simd.Clean()
	if err != nil {
		return PublicKey{}, ErrPublicKey
	}
	return PublicKey{k: k, b: append([]byte(nil), b...)}, nil
}

// Bytes returns the 1,568-byte encoding. The caller must not change it.
func (p PublicKey) Bytes() []byte { return p.b }

// IsZero reports whether p is the zero value, which is no key.
func (p PublicKey) IsZero() bool { return p.k == nil }

// Encapsulate returns a fresh shared secret and its 1,568-byte ciphertext.
func (p PublicKey) Encapsulate() (ciphertext []byte, secret [SecretSize]byte) {
	var m [32]byte
	rand.Read(m[:])
	ciphertext, secret = p.EncapsulateDerand(m)
	clear(m[:])
	return ciphertext, secret
}

// EncapsulateDerand is the inner function of Encapsulate with its randomness m
// passed in, for vectors only: an m used twice reveals that the secret is the
// same.
func (p PublicKey) EncapsulateDerand(m [32]byte) (ciphertext []byte, secret [SecretSize]byte) {
	ciphertext = make([]byte, CiphertextSize)
	p.k.EncapsulateTo(ciphertext, secret[:], m[:])
	simd.Clean()
	return ciphertext, secret
}

// PrivateKey is a decapsulation key, kept as its seed (d ‖ z of FIPS 203).
type PrivateKey struct {
	_    [0]func() // not comparable
	seed [SeedSize]byte
}

// Generate returns a new key pair from the operating system's randomness.
func Generate() (PrivateKey, PublicKey) {
	var seed [SeedSize]byte
	rand.Read(seed[:])
	k := FromSeed(seed)
	clear(seed[:])
	return k, k.Public()
}

// FromSeed returns the private key stored as seed.
func FromSeed(seed [SeedSize]byte) PrivateKey { return PrivateKey{seed: seed} }

// Public expands the seed and returns the encapsulation key.
func (k *PrivateKey) Public() PublicKey {
	pub, _ := mlkem1024.NewKeyFromSeed(k.seed[:])
	b := make([]byte, PublicKeySize)
	pub.Pack(b)
	simd.Clean()
	return PublicKey{k: pub, b: b}
}

// Decapsulate returns the shared secret of ciphertext. A ciphertext made for
// another key gives an unrelated secret, not an error (implicit rejection).
func (k *PrivateKey) Decapsulate(ciphertext []byte) (secret [SecretSize]byte, err error) {
	if len(ciphertext) != CiphertextSize {
		return secret, ErrCiphertext
	}
	_, priv := mlkem1024.NewKeyFromSeed(k.seed[:])
	priv.DecapsulateTo(secret[:], ciphertext)
	simd.Clean()
	return secret, nil
}

// DecapsulateWithPublic is Decapsulate and Public with one expansion of the
// seed, for a receiver that binds its own encapsulation key.
func (k *PrivateKey) DecapsulateWithPublic(ciphertext []byte) (secret [SecretSize]byte, public PublicKey, err error) {
	if len(ciphertext) != CiphertextSize {
		return secret, PublicKey{}, ErrCiphertext
	}
	pub, priv := mlkem1024.NewKeyFromSeed(k.seed[:])
	priv.DecapsulateTo(secret[:], ciphertext)
	b := make([]byte, PublicKeySize)
	pub.Pack(b)
	simd.Clean()
	return secret, PublicKey{k: pub, b: b}, nil
}

// Seed returns the 64-byte seed, for sealed storage only.
func (k *PrivateKey) Seed() [SeedSize]byte { return k.seed }

// Erase overwrites this copy of the seed.
func (k *PrivateKey) Erase() { clear(k.seed[:]) }

// Format prints a placeholder, whatever the verb.
func (PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, "kem.PrivateKey(redacted)") }
