package ratchet

import "time"

// What a peer can make this package hold or compute (spec/limits.md). All are
// part of the specification.
const (
	// MaxJump is how many numbers a message may be ahead of the next expected
	// one in its chain, and how many an announced chain length may add.
	MaxJump = 2000
	// MaxChainSkipped is how many skipped keys one receiving chain holds; a
	// larger jump keeps the newest.
	MaxChainSkipped = 1000
	// MaxSkipped is how many skipped keys a session holds in all.
	MaxSkipped = 2000
	// MaxChains is how many receiving chains a session holds, the open one
	// included.
	MaxChains = 5
	// SkippedLife is how long a skipped key is kept.
	SkippedLife = 7 * 24 * time.Hour
	// HeartbeatAfter is how many messages of one chain may be received without
	// sending before HeartbeatDue reports true.
	HeartbeatAfter = 50
	// MaxDisclosed is how many MAC seeds a message discloses. No state owes
	// more: see owe.
	MaxDisclosed = 5
	// MaxFarewell is how many MAC seeds a farewell discloses: all that are
	// owed and one for each receiving chain.
	MaxFarewell = MaxDisclosed + MaxChains
	// MaxWaiting is how many secrets of epochs wait for a DH step. A peer that
	// keeps to the protocol lets at most two wait.
	MaxWaiting = 4
	// MaxEpoch is the last epoch that a header can name.
	MaxEpoch = pieceBit - 1
	// MaxPlaintext is the longest plaintext in bytes.
	MaxPlaintext = 80 << 10
	// MaxAD is the longest associated data in bytes.
	MaxAD = 4 << 10
	// Overhead is how many bytes a message that discloses nothing is longer
	// than its plaintext; each disclosed seed adds 32.
	Overhead = typeLen + saltLen + sealedLen + countLen + tagLen
	// MaxMessage is the longest message in bytes.
	MaxMessage = Overhead + MaxFarewell*seedLen + MaxPlaintext
)
