package braid

import (
	"bytes"
	"crypto/sha3"

	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
	"github.com/cloudflare/circl/pke/kyber/kyber768"

	"github.com/pawl-chat/pawl/internal/simd"
)

// ML-KEM-768 (FIPS 203) in two steps. An encapsulation key is a vector t and a
// seed rho; a ciphertext is u, which depends on rho and the randomness only, and
// v, which depends on t too. The secret depends on the randomness and on the
// hash of the key. So whoever knows rho and that hash, the header, makes u and
// the secret before the vector has arrived (R-BRD-03).
//
// circl's K-PKE takes the randomness from its caller. FIPS 203 allows K-PKE only
// as a part of ML-KEM: it stays in this file, and tests hold key, ciphertext and
// secret against crypto/mlkem byte for byte.

// Lengths in bytes.
const (
	seedLen   = mlkem768.KeySeedSize   // 64, d and z
	rhoLen    = 32                     // seed of the matrix
	headerLen = rhoLen + 32            // rho and SHA3-256 of the encapsulation key
	vectorLen = 1152                   // t, encoded
	keyLen    = vectorLen + rhoLen     // the encapsulation key of FIPS 203
	ct1Len    = 960                    // u
	ct2Len    = 128                    // v
	randomLen = kyber768.PlaintextSize // 32, the m of FIPS 203
	modulus   = 3329
)

// newKey expands a seed to the two parts of the encapsulation key.
func newKey(seed *[seedLen]byte) (header [headerLen]byte, vector []byte) {
	public, _ := mlkem768.NewKeyFromSeed(seed[:])
	key := make([]byte, keyLen)
	public.Pack(key)
	simd.Clean()
	copy(header[:], key[vectorLen:])
	hash := hashKey(key[:vectorLen], &header)
	copy(header[rhoLen:], hash[:])
	return header, key[:vectorLen:vectorLen]
}

// hashKey is SHA3-256 of the encapsulation key whose seed header begins with.
func hashKey(vector []byte, header *[headerLen]byte) [32]byte {
	var b [keyLen]byte
	copy(b[:], vector)
	copy(b[vectorLen:], header[:rhoLen])
	return sha3.Sum256(b[:])
}

// encapsulationSecret is the shared secret and the seed of the encryption that
// m gives under the key of header.
func encapsulationSecret(header *[headerLen]byte, m *[randomLen]byte) (secret kemSecret, r [32]byte) {
	var in [randomLen + 32]byte
	copy(in[:], m[:])
	copy(in[randomLen:], header[rhoLen:])
	out := sha3.Sum512(in[:])
	secret, r = kemSecret(out[:32]), [32]byte(out[32:])
	clear(in[:])
	clear(out[:])
	return secret, r
}

// encrypt is K-PKE.Encrypt of m under key.
func encrypt(key *kyber768.PublicKey, m *[randomLen]byte, r *[32]byte) []byte {
	ct := make([]byte, kyber768.CiphertextSize)
	key.EncryptTo(ct, m[:], r[:])
	simd.Clean()
	return ct
}

// encapsulate1 makes the first part of the ciphertext from the header alone. A
// vector of zeros stands for the one that is not known yet.
func encapsulate1(header *[headerLen]byte, m *[randomLen]byte) []byte {
	var b [keyLen]byte
	copy(b[vectorLen:], header[:rhoLen])
	var key kyber768.PublicKey
	key.Unpack(b[:])
	_, r := encapsulationSecret(header, m)
	ct := encrypt(&key, m, &r)
	clear(r[:])
	// Under a vector of zeros the second part is m, hidden by noise only: it
	// must not leave this function.
	clear(ct[ct1Len:])
	return ct[:ct1Len:ct1Len]
}

// checkVector refuses a vector that is not the one of the header's hash or that
// fails the modulus check of FIPS 203 §7.2 (R-BRD-04).
//
// The matrix of the key is not expanded for this: that is a third of the work of
// using it.
func checkVector(header *[headerLen]byte, vector []byte) error {
	if len(vector) != vectorLen {
		return errVector
	}
	if hash := hashKey(vector, header); !bytes.Equal(hash[:], header[rhoLen:]) {
		return errVector
	}
	for b := vector; len(b) > 0; b = b[3:] { // two numbers of 12 bits
		if x, y := uint(b[0])|uint(b[1]&15)<<8, uint(b[1]>>4)|uint(b[2])<<4; x >= modulus || y >= modulus {
			return errVector
		}
	}
	return nil
}

// encapsulate2 makes the second part of the ciphertext, and the secret.
func encapsulate2(header *[headerLen]byte, vector []byte, m *[randomLen]byte) (ct2 []byte, secret kemSecret, err error) {
	if err := checkVector(header, vector); err != nil {
		return nil, kemSecret{}, err
	}
	var b [keyLen]byte
	copy(b[:], vector)
	copy(b[vectorLen:], header[:rhoLen])
	key := new(kyber768.PublicKey)
	err = key.UnpackMLKEM(b[:])
	simd.Clean()
	if err != nil {
		return nil, kemSecret{}, errVector
	}
	secret, r := encapsulationSecret(header, m)
	ct := encrypt(key, m, &r)
	clear(r[:])
	return ct[ct1Len:], secret, nil
}

// decapsulate is ML-KEM.Decaps of the two parts together. A ciphertext made for
// another key, or changed, gives an unrelated secret (implicit rejection).
func decapsulate(seed *[seedLen]byte, ct1, ct2 []byte) (secret kemSecret) {
	ct := make([]byte, 0, mlkem768.CiphertextSize)
	ct = append(append(ct, ct1...), ct2...)
	_, private := mlkem768.NewKeyFromSeed(seed[:])
	private.DecapsulateTo(secret[:], ct)
	simd.Clean()
	return secret
}
