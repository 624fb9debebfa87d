// Package kdf is HMAC-SHA-256 and HKDF-SHA-256 (RFC 2104, RFC 5869) on the
// stack: the symmetric chain of the ratchet and every other derivation use it.
// Written over sha256.Sum256 it allocates nothing and costs about half of
// crypto/hmac with a fresh key (benchmarks beside this file).
//
// Not its concern: labels; each caller's stand in spec/labels.md.
package kdf

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
)

// Size is the length in bytes of every key and output.
const Size = 32

// short is the longest message that HMAC handles without an allocation.
const short = 192

// HMAC returns HMAC-SHA-256(key, message).
func HMAC(key *[Size]byte, message []byte) (out [Size]byte) {
	if len(message) > short {
		h := New(key)
		h.Write(message)
		h.Sum(out[:0])
		return out
	}
	var inner [64 + short]byte
	var outer [64 + sha256.Size]byte
	for i, c := range key {
		inner[i], outer[i] = c^0x36, c^0x5c
	}
	for i := Size; i < 64; i++ {
		inner[i], outer[i] = 0x36, 0x5c
	}
	n := copy(inner[64:], message)
	d := sha256.Sum256(inner[:64+n])
	copy(outer[64:], d[:])
	return sha256.Sum256(outer[:])
}

// New returns a streaming HMAC-SHA-256 for long messages.
func New(key *[Size]byte) hash.Hash { return hmac.New(sha256.New, key[:]) }

// Equal compares two tags in constant time.
func Equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// Extract is HKDF-Extract.
func Extract(salt *[Size]byte, ikm []byte) [Size]byte { return HMAC(salt, ikm) }

// Expand is HKDF-Expand with label as its info, filling outs in order: block i
// of RFC 5869 is outs[i]. len(label) must be at most 128.
func Expand(prk *[Size]byte, label string, outs ...*[Size]byte) {
	var buf [Size + 128 + 1]byte
	if len(label) > 128 {
		panic("kdf: label longer than 128 bytes")
	}
	for i, out := range outs {
		n := 0
		if i > 0 {
			n = copy(buf[:], outs[i-1][:])
		}
		n += copy(buf[n:], label)
		buf[n] = byte(i + 1)
		*out = HMAC(prk, buf[:n+1])
	}
	clear(buf[:])
}
