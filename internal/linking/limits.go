package linking

import "time"

// Bounds of spec/limits.md, section internal/linking.
const (
	// Life is how long an offer is good.
	Life = 10 * time.Minute
	// Skew is how far the clocks of the two devices may be apart.
	Skew = 5 * time.Minute
	// MaxURI is the longest URI in characters.
	MaxURI = 640
	// MaxCandidates is how many addresses a URI lists.
	MaxCandidates = 4
	// MaxOffer is the longest offer.
	MaxOffer = 1536
	// MaxChainBytes bounds the device list inside a hello.
	MaxChainBytes = 384 << 10
	// MaxHello is the longest sealed hello.
	MaxHello = 392 << 10
	// MaxSealed is the longest sealed message after it.
	MaxSealed = 392 << 10
	// MaxMessages is how many messages either side sends under one key.
	MaxMessages = 64
	// MaxGreetings is how many hellos a waiting device opens.
	MaxGreetings = 16

	// Argon2id parameters of the code.
	codeTime    = 1
	codeMemory  = 64 << 10 // KiB
	codeThreads = 1
)
