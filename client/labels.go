package client

import (
	"crypto/sha256"
	"encoding/binary"
)

// Labels of spec/labels.md, section client.
const (
	labelLocalID  = "pawl/1 client local id"
	labelEnvelope = "pawl/1 client envelope"
)

// labelled hashes parts under a label, each part with its length in front.
func labelled(label string, parts ...[]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(label))
	var n [4]byte
	for _, p := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
