package braid

// Sizes and bounds (spec/limits.md). All are part of the specification.
const (
	// ChunkSize is the length in bytes of one chunk.
	ChunkSize = 32
	// MaxChunks is how many chunks a part may be cut into: the erasure code's
	// work to restore a part grows with its square.
	MaxChunks = 64
	// MinPiece is the length of a piece without chunks, in bytes.
	MinPiece = epochLen + statusLen
	// MaxPiece is the longest piece in bytes: every chunk of the header and of
	// the key vector once. More room than this is not used.
	MaxPiece = MinPiece + 2*runLen + headerChunks*ChunkSize + vectorChunks*ChunkSize
	// RandomLen is the most randomness that one Send uses, in bytes.
	RandomLen = seedLen
	// MaxRecord is the longest record in bytes: a side that offers a key and lacks
	// one chunk of the first part of the ciphertext.
	MaxRecord = recordHead + seedLen + outgoingHead + offerLen + vectorLen +
		collectedHead + (firstChunks-1)*entryLen + collectedHead + answerLen
)

// The parts of an epoch in bytes, and in chunks.
const (
	tagLen    = 32
	offerLen  = headerLen + tagLen // the header of the key and its MAC
	answerLen = ct2Len + tagLen    // the second part of the ciphertext and the MAC

	headerChunks = offerLen / ChunkSize  // 3
	vectorChunks = vectorLen / ChunkSize // 36
	firstChunks  = ct1Len / ChunkSize    // 30
	secondChunks = answerLen / ChunkSize // 5
)
