package conform

// What a file of vectors may ask for (spec/limits.md).
const (
	// MaxFile is the longest file of vectors in bytes.
	MaxFile = 32 << 20
	// MaxFiles is how many files of vectors a directory has.
	MaxFiles = 256
)
