package groups

import "time"

// Bounds of spec/limits.md, section groups: what a member, a device or the
// server can make this package hold or compute.
const (
	// MaxJump is how many indexes a message may be ahead of the next expected
	// one of its chain.
	MaxJump = 2000
	// MaxSkipped is how many skipped keys one chain holds; a larger jump keeps
	// the newest.
	MaxSkipped = 1000
	// SkippedLife is how long a skipped key is kept.
	SkippedLife = 7 * 24 * time.Hour
	// ChainLife is how long after it was made a chain opens anything.
	ChainLife = 37 * 24 * time.Hour
	// EpochLife is how long after an epoch began the next one is due.
	EpochLife = 7 * 24 * time.Hour
	// EpochMessages is how many messages a device sends before the next epoch is
	// due.
	EpochMessages = 1000
	// MaxPlaintext is the longest plaintext of a message in bytes.
	MaxPlaintext = 80 << 10
	// Overhead is how many bytes a message is longer than its plaintext.
	Overhead = bodyAt + signatureLen
	// MaxMessage is the longest message in bytes.
	MaxMessage = MaxPlaintext + Overhead

	// MaxMembers is how many members a group has.
	MaxMembers = 1000
	// MaxRoster is the longest encoded roster in bytes: it fits a signal.
	MaxRoster = 48 << 10
	// MaxChangeMembers is how many members one change names.
	MaxChangeMembers = 64
	// MaxName is the longest name of a group in bytes.
	MaxName = 128
	// MaxEntry is the longest plaintext of an entry in bytes, padding included.
	MaxEntry = 15 << 10
	// MaxBlob is the longest encrypted entry in bytes.
	MaxBlob = MaxEntry + blobOverhead
	// EntryStep is what the length of an entry's plaintext is a multiple of.
	EntryStep = 256

	// MaxSignal is the longest encoded signal in bytes.
	MaxSignal = 72 << 10
	// MaxAsked is how many messages one signal asks for.
	MaxAsked = 256
	// MaxRetold is how many messages one part of a history holds.
	MaxRetold = 256
	// MaxBranch is how many entries a device shows of its branch of the log.
	MaxBranch = 32
	// MaxInvite is the longest invite link in bytes.
	MaxInvite = 2048
)
