package groups

// Domain separation (spec/labels.md).
const (
	labelLogKey     = "pawl/1 group log key"
	labelToken      = "pawl/1 group write token"
	labelCommitment = "pawl/1 group secret commitment"
	labelChain      = "pawl/1 group chain id"
	labelMessageKey = "pawl/1 group message key"
	labelAD         = "pawl/1 group associated data"
	labelMessage    = "pawl/1 group message signature"
	labelEntry      = "pawl/1 group entry signature"
	labelBlob       = "pawl/1 group entry key"
	labelRoster     = "pawl/1 group roster"
)

// The bytes that keep apart what HMAC makes from a chain key.
const (
	byteMessageKey byte = 1
	byteChainKey   byte = 2
)
