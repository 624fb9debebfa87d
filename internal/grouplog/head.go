// Package grouplog is what a group's members and the server that keeps its log
// both compute: the head of the log (spec/relay.md). With it the server
// refuses an entry whose head is not the hash of what it says to follow, which
// no member could build on.
//
// Not its concern: what an entry says. That is sealed, and package groups.
package grouplog

import (
	"crypto/sha256"
	"encoding/binary"
)

// labelHead separates heads from other hashes (spec/labels.md).
const labelHead = "pawl/1 group head"

// Head is the head after blob was placed as number seq of the group upon the
// head prev, which is zero for the first (R-REL-53).
func Head(group [16]byte, seq uint64, prev [32]byte, blob []byte) [32]byte {
	sum := sha256.Sum256(blob)
	var buf [160]byte
	b := append(buf[:0], labelHead...)
	b = append(b, group[:]...)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = append(b, prev[:]...)
	b = append(b, sum[:]...)
	return sha256.Sum256(b)
}
