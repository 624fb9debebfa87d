package x3dh

import (
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
)

// The key types, under names that other modules can import.
type (
	PublicKey     = dh.PublicKey
	PrivateKey    = dh.PrivateKey
	KEMPublicKey  = kem.PublicKey
	KEMPrivateKey = kem.PrivateKey
)

// GenerateKey returns a new X25519 key pair.
func GenerateKey() (PrivateKey, PublicKey) { return dh.Generate() }

// PrivateKeyFromBytes returns the X25519 private key that Export gave.
func PrivateKeyFromBytes(b [32]byte) PrivateKey { return dh.FromBytes(b) }

// ParsePublicKey accepts the canonical encoding of an X25519 public key that
// does not have low order, and nothing else.
func ParsePublicKey(b []byte) (PublicKey, error) {
	p, err := dh.ParsePublic(b)
	if err != nil {
		return PublicKey{}, ErrPublicKey
	}
	return p, nil
}

// GenerateKEMKey returns a new ML-KEM-1024 key pair.
func GenerateKEMKey() (KEMPrivateKey, KEMPublicKey) { return kem.Generate() }

// ParseKEMPublicKey accepts a 1,568-byte ML-KEM-1024 encapsulation key whose
// coefficients are reduced.
func ParseKEMPublicKey(b []byte) (KEMPublicKey, error) {
	p, err := kem.ParsePublic(b)
	if err != nil {
		return KEMPublicKey{}, ErrPublicKey
	}
	return p, nil
}
