package proof

import "time"

// Bounds of spec/limits.md, section internal/proof.
const (
	// MaxProof bounds a proof in bytes: the longest text and the longest device
	// list that a client holds.
	MaxProof = 1 << 20
	// MaxText is the longest text in it.
	MaxText = 64 << 10
	// MaxSubject is the longest subject in it.
	MaxSubject = 512
	// ClockTolerance is how much earlier than its device was added a message may
	// say that it was sent: the two times are of two clocks.
	ClockTolerance = time.Hour
)
