package backup

// Bounds of spec/limits.md, section internal/backup.
const (
	// ChunkSize is how many bytes each chunk but the last seals.
	ChunkSize = 64 << 10
	// MaxRecord is the longest encoded record, in bytes.
	MaxRecord = 1 << 20
	// MaxPassphrase is the longest passphrase, in bytes.
	MaxPassphrase = 1024
	// MaxWord bounds kinds and statuses, in bytes.
	MaxWord = 32
	// MaxCause bounds causes and notices, in bytes.
	MaxCause = 256
	// MaxStates bounds the devices in a message's status.
	MaxStates = 64
	// MaxBody bounds the body of a message that this version cannot read, in
	// bytes: the longest plaintext that the ratchet takes.
	MaxBody = 80 << 10
	// MaxConsumer bounds the name of a consumer, in bytes.
	MaxConsumer = 256

	// Argon2id parameters of new backups: RFC 9106 §4, second choice.
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4

	// Argon2id parameters accepted from a file.
	maxArgonTime    = 16
	minArgonMemory  = 8 << 10 // KiB
	maxArgonMemory  = 1 << 20 // KiB: 1 GiB
	maxArgonThreads = 16
)
