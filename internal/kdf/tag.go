package kdf

import (
	"crypto/sha256"
	"encoding/binary"
)

// medium is the longest input of Tag that is handled without an allocation:
// a short text message with its associated data.
const medium = 512

// Tag returns HMAC-SHA-256(key, len(ad) ‖ ad ‖ message), the length as 4 bytes
// big-endian: no two pairs of ad and message give the same input.
func Tag(key *[Size]byte, ad, message []byte) (out [Size]byte) {
	if 4+len(ad)+len(message) > medium {
		return longTag(key, ad, message)
	}
	var inner [64 + medium]byte
	pad(inner[:64], key, 0x36)
	binary.BigEndian.PutUint32(inner[64:], uint32(len(ad)))
	n := 68 + copy(inner[68:], ad)
	n += copy(inner[n:], message)
	d := sha256.Sum256(inner[:n])
	return outer(key, &d)
}

func longTag(key *[Size]byte, ad, message []byte) [Size]byte {
	h := sha256.New()
	head := make([]byte, 68, 68+64)
	pad(head[:64], key, 0x36)
	binary.BigEndian.PutUint32(head[64:], uint32(len(ad)))
	h.Write(head)
	h.Write(ad)
	h.Write(message)
	var d [Size]byte
	h.Sum(d[:0])
	clear(head)
	return outer(key, &d)
}

// pad fills one block with the key, padded with zeros and combined with b.
func pad(block []byte, key *[Size]byte, b byte) {
	_ = block[63]
	for i, c := range key {
		block[i] = c ^ b
	}
	for i := Size; i < 64; i++ {
		block[i] = b
	}
}

// outer is the second hash of HMAC.
func outer(key *[Size]byte, inner *[Size]byte) [Size]byte {
	var b [64 + Size]byte
	pad(b[:64], key, 0x5c)
	copy(b[64:], inner[:])
	return sha256.Sum256(b[:])
}
