package groups

import "encoding/binary"

// The outer form of a message (R-GRP-08): offsets and lengths in bytes.
const (
	messageVersion = 1
	chainAt        = 1
	indexAt        = chainAt + 16
	seqAt          = indexAt + 4
	headAt         = seqAt + 8
	bodyAt         = headAt + 32
	signatureLen   = 64
)

// Wire is a message in parts. Nothing in it is authenticated.
type Wire struct {
	Chain     ChainID
	Index     uint32
	Seq       uint64
	Head      Head
	Body      []byte // shares memory with the message
	Signature [signatureLen]byte
}

// ParseMessage takes a message apart. Every string of bytes of the right length
// and version is a message.
func ParseMessage(b []byte) (Wire, error) {
	if len(b) < Overhead || len(b) > MaxMessage || b[0] != messageVersion {
		return Wire{}, ErrMalformed
	}
	end := len(b) - signatureLen
	return Wire{
		Chain:     ChainID(b[chainAt:indexAt]),
		Index:     binary.BigEndian.Uint32(b[indexAt:]),
		Seq:       binary.BigEndian.Uint64(b[seqAt:]),
		Head:      Head(b[headAt:bodyAt]),
		Body:      b[bodyAt:end:end],
		Signature: [signatureLen]byte(b[end:]),
	}, nil
}

// write makes a message of n bytes of body, without body and signature.
func write(chain ChainID, index uint32, seq uint64, head Head, n int) []byte {
	m := make([]byte, Overhead+n)
	m[0] = messageVersion
	copy(m[chainAt:], chain[:])
	binary.BigEndian.PutUint32(m[indexAt:], index)
	binary.BigEndian.PutUint64(m[seqAt:], seq)
	copy(m[headAt:], head[:])
	return m
}
