package kdf

import (
	"crypto/sha256"
	"encoding/binary"
)

// medium is the longest input of Tag that is handled without an allocation:
// a short text message with its associated data.
const medium = 448

// Tag returns HMAC-SHA-256(key, len(ad) ‖ ad ‖ message), the length as 4 bytes
// big-endian: no two pairs of ad and message give the same input.
func Tag(key *[Size]byte, ad, message []byte) [Size]byte {
	if 4+len(ad)+len(message) > medium {
		return longTag(key, ad, message)
	}
	var inner [block + medium]byte
	pad((*[block]byte)(inner[:]), key, innerPad)
	binary.BigEndian.PutUint32(inner[block:], uint32(len(ad)))
	n := block + 4
	n += copy(inner[n:], ad)
	n += copy(inner[n:], message)
	d := sha256.Sum256(inner[:n])
	return outer(key, &d)
}

// longTag streams.
func longTag(key *[Size]byte, ad, message []byte) [Size]byte {
	h := sha256.New()
	head := new([block + 4]byte)
	pad((*[block]byte)(head[:]), key, innerPad)
	binary.BigEndian.PutUint32(head[block:], uint32(len(ad)))
	h.Write(head[:])
	clear(head[:])
	h.Write(ad)
	h.Write(message)
	var d [Size]byte
	h.Sum(d[:0])
	return outer(key, &d)
}
