// Package kdf is HMAC-SHA-256 and HKDF-SHA-256 (RFC 2104, RFC 5869) on the
// stack: the symmetric chain of the ratchet and every other derivation use it.
// Written over sha256.Sum256 it allocates nothing and costs about half of
// crypto/hmac with a fresh key (benchmarks beside this file).
//
// Not its concern: labels; each caller's stand in spec/labels.md.
package kdf

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
)

// Size is the length in bytes of every key and output.
const Size = 32

// block is SHA-256's.
const block = 64

// short is the longest message that HMAC handles without an allocation.
const short = 192

// HMAC returns HMAC-SHA-256(key, message).
func HMAC(key *[Size]byte, message []byte) [Size]byte {
	if len(message) > short {
		return longHMAC(key, message)
	}
	var inner [block + short]byte
	pad((*[block]byte)(inner[:]), key, innerPad)
	n := copy(inner[block:], message)
	d := sha256.Sum256(inner[:block+n])
	return outer(key, &d)
}

// longHMAC streams. It is apart from HMAC, and copies the key, so that only
// this path costs its caller allocations.
func longHMAC(key *[Size]byte, message []byte) [Size]byte {
	h := sha256.New()
	first := new([block]byte)
	pad(first, key, innerPad)
	h.Write(first[:])
	clear(first[:])
	h.Write(append([]byte(nil), message...))
	var d [Size]byte
	h.Sum(d[:0])
	return outer(key, &d)
}

// Pair returns HMAC-SHA-256(key, [a]) and HMAC-SHA-256(key, [b]): one step of a
// chain. Each pad is hashed once for both, and the hash's state after it kept,
// which is a fifth faster than four calls of sha256.Sum256. The compiler keeps
// it all on the stack.
func Pair(key *[Size]byte, a, b byte) (x, y [Size]byte) {
	var first [block]byte
	var buf [stateSize]byte
	h := sha256.New()

	pad(&first, key, innerPad)
	h.Write(first[:])
	state, err1 := h.(encoding.BinaryAppender).AppendBinary(buf[:0])
	first[0] = a
	h.Write(first[:1])
	h.Sum(x[:0])
	err2 := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
	first[0] = b
	h.Write(first[:1])
	h.Sum(y[:0])

	h.Reset()
	pad(&first, key, outerPad)
	h.Write(first[:])
	state, err3 := h.(encoding.BinaryAppender).AppendBinary(buf[:0])
	h.Write(x[:])
	h.Sum(x[:0])
	err4 := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
	h.Write(y[:])
	h.Sum(y[:0])
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		panic("kdf: unreachable: the hash does not take its own state")
	}
	return x, y
}

// stateSize is at least the length of a saved state of SHA-256.
const stateSize = 128

// The bytes that fill the pads of HMAC, eight at a time.
const (
	innerPad = 0x3636363636363636
	outerPad = 0x5c5c5c5c5c5c5c5c
)

// pad fills one block with the key, extended with zeros and combined with fill.
func pad(b *[block]byte, key *[Size]byte, fill uint64) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], le.Uint64(key[0:])^fill)
	le.PutUint64(b[8:], le.Uint64(key[8:])^fill)
	le.PutUint64(b[16:], le.Uint64(key[16:])^fill)
	le.PutUint64(b[24:], le.Uint64(key[24:])^fill)
	le.PutUint64(b[32:], fill)
	le.PutUint64(b[40:], fill)
	le.PutUint64(b[48:], fill)
	le.PutUint64(b[56:], fill)
}

// outer is the second hash of HMAC.
func outer(key *[Size]byte, inner *[Size]byte) [Size]byte {
	var b [block + Size]byte
	pad((*[block]byte)(b[:]), key, outerPad)
	copy(b[block:], inner[:])
	return sha256.Sum256(b[:])
}

// Equal compares two tags in constant time.
func Equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// Extract is HKDF-Extract.
func Extract(salt *[Size]byte, ikm []byte) [Size]byte { return HMAC(salt, ikm) }

// maxLabel is the longest info of Expand.
const maxLabel = 128

// Expand is HKDF-Expand with label as its info, filling outs in order: block i
// of RFC 5869 is outs[i]. len(label) must be at most 128.
func Expand(prk *[Size]byte, label string, outs ...*[Size]byte) {
	var buf [Size + maxLabel + 1]byte
	if len(label) > maxLabel {
		panic("kdf: label longer than 128 bytes")
	}
	if len(outs) > 255 {
		panic("kdf: more than 255 blocks")
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
