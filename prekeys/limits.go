package prekeys

import "time"

// Lifetimes and numbers (spec/limits.md). Part of the specification.
const (
	// OneTimeKeys is how many one-time keys of each type a batch holds.
	OneTimeKeys = 100
	// RefillBelow is the number of one-time keys of a type left at the server
	// below which a device makes a new batch.
	RefillBelow = 25
	// RotateEvery is the age at which signed and last-resort keys are replaced.
	RotateEvery = 48 * time.Hour
	// KeepPrivate is how long a private half stays after its replacement: the
	// 30 days that a mailbox keeps mail, and a week for senders with an old
	// bundle.
	KeepPrivate = 37 * 24 * time.Hour
	// Lifetime is how long after its making a prekey may be taken. It is not
	// longer than KeepPrivate, so what a taker accepts can still be opened.
	Lifetime = 37 * 24 * time.Hour
	// Skew is how far the clocks of maker and taker may be apart.
	Skew = 24 * time.Hour
	// RefreshOneTime is the age at which a batch of one-time keys is replaced
	// though enough are left: well before its keys expire.
	RefreshOneTime = 28 * 24 * time.Hour
)

// Bounds of ours.
const (
	// MaxUpload and MaxBundle bound encodings in bytes: 100 ML-KEM rows take
	// 166 kB.
	MaxUpload = 192 << 10
	MaxBundle = 4 << 10
	// RefillPause is the least time between two batches of one-time keys,
	// whatever the server claims is left: a lying server makes a device keep at
	// most 37 × 4 + 1 batches.
	RefillPause = 6 * time.Hour
	// Jitter is the longest delay between a refill or rotation being due and
	// being done, drawn evenly, so that draining a device's keys does not show
	// when it comes online.
	Jitter = time.Hour
)
