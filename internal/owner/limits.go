package owner

import "time"

// Bounds of the local protocol. The reasons stand in spec/limits.md.
const (
	// MaxFrame is the longest frame, in bytes, without its length prefix.
	MaxFrame = 4 << 20
	// MaxBody is the longest body of a request, an answer or a stream's item.
	MaxBody = MaxFrame - 1<<10
	// MaxMethod is the longest name of a method, in bytes.
	MaxMethod = 64
	// MaxSecret is the longest secret of a hello, in bytes.
	MaxSecret = 1 << 10
	// FirstCode is the lowest code of a Failure.
	FirstCode = 16
	// AcquireTime is how long Acquire waits when its context has no deadline.
	AcquireTime = 10 * time.Second

	maxConnections = 512              // at the same time, to one owner
	maxCalls       = 32               // at the same time, on one connection
	maxHello       = MaxSecret + 64   // bytes
	helloTime      = 5 * time.Second  // from connecting to a whole hello
	frameTime      = 30 * time.Second // from a frame's first byte to its last
	answerTime     = 30 * time.Second // for a peer to take an answer
	drainTime      = 5 * time.Second  // for calls in flight when the owner stops
	minWait        = 4 * time.Millisecond
	maxWait        = 128 * time.Millisecond
	maxSocketPath  = 103 // bytes; the shortest limit of the systems we know
	chunk          = 64 << 10
)
