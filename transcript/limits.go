package transcript

// Bounds of spec/limits.md, section transcript: what a file can make its reader
// hold or compute.
const (
	// MaxMessages is how many messages a transcript holds.
	MaxMessages = 10000
	// MaxBytes bounds their envelopes, all together.
	MaxBytes = 64 << 20
	// MaxParties is how many people a transcript names.
	MaxParties = 1000
	// MaxDevices is how many devices it names of one of them.
	MaxDevices = 64
	// MaxKeys is how many disclosed signing keys of a group it holds.
	MaxKeys = 10000
	// MaxItem bounds one item of a file in bytes.
	MaxItem = 4 << 20
	// MaxText is the longest text that a claim tells, in bytes.
	MaxText = 64 << 10
	// MaxWork bounds what Verify hashes in search of keys and numbers, in bytes.
	MaxWork = 1 << 30
	// MaxNumber is up to which number a message without a place is searched for in a chain.
	MaxNumber = 2000
	// MaxLines is how many lines are forged at a time.
	MaxLines = 1000
)
