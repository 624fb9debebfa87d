package vault

// Bounds on what a store holds and on what a file may demand. The reasons
// stand in spec/limits.md.
const (
	// MaxKey is the longest key and the longest group of a row, in bytes.
	MaxKey = 1024
	// MaxValue is the longest value of a row, in bytes.
	MaxValue = 1 << 20
	// MaxTableName is the longest name of a table, in bytes.
	MaxTableName = 32
	// MaxPassphrase is the longest passphrase, in bytes, before and after
	// normalisation.
	MaxPassphrase = 1024
	// KeyFileSize is the exact size of a key file, in bytes.
	KeyFileSize = 32

	// Argon2id parameters of new stores: RFC 9106 §4, second choice.
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4

	// Argon2id parameters accepted from a file.
	maxArgonTime    = 16
	minArgonMemory  = 8 << 10 // KiB
	maxArgonMemory  = 1 << 20 // KiB: 1 GiB
	maxArgonThreads = 16

	// maxHeader is the longest header, in bytes.
	maxHeader = 512
	// padTo is the multiple to which a row is padded before it is sealed.
	padTo = 64
	// maxReaders is how many Views run at the same time.
	maxReaders = 4
	// scanPage is how many rows a Scan reads at a time.
	scanPage = 128
	// busyMillis is how long Checkpoint waits for readers, in milliseconds.
	busyMillis = 5000
)
