package ratchet

// Domain separation (spec/labels.md). The first three are HKDF-Expand infos.
const (
	labelStart = "pawl/1 ratchet start"
	labelRoot  = "pawl/1 ratchet root"
	labelMAC   = "pawl/1 ratchet mac"
)

// The bytes that keep apart what HMAC makes from one 32-byte key. The first two
// are keyed by a chain key, the third by a MAC seed.
const (
	byteMessageKey byte = 1
	byteChainKey   byte = 2
	byteMACKey     byte = 3
)
