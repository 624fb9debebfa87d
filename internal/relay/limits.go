package relay

import "time"

// Limits of the protocol. A peer that exceeds one is refused (spec/limits.md).
const (
	// MaxEnvelope is the longest envelope in bytes.
	MaxEnvelope = 96 << 10
	// MaxDevices is how many devices of one account a send may name.
	MaxDevices = 8
	// MaxPacket is the longest WebSocket message in bytes, and so the longest
	// frame: the envelopes of a send for eight devices of the recipient and
	// eight of one's own fit.
	MaxPacket = 2 << 20
	// MaxGreeting is the longest WebSocket message before the login is done.
	MaxGreeting = 4 << 10
	// MaxRegister is the longest body of a registration.
	MaxRegister = 320 << 10
	// MaxEntry is the longest entry of a device list.
	MaxEntry = 32 << 10
	// MaxUpload is the longest prekey upload.
	MaxUpload = 256 << 10
	// MaxBundle is the longest bundle of one device.
	MaxBundle = 16 << 10
	// MaxChain is how many entries a device list may grow to.
	MaxChain = 1024
	// MaxChainBytes bounds a device list's entries together.
	MaxChainBytes = 900 << 10
	// MaxPage is how many bytes of entries or messages one frame carries,
	// unless a single one is longer.
	MaxPage = 512 << 10
	// MaxBatch is how many messages one delivery carries.
	MaxBatch = 100
	// MaxAcks is how many sequence numbers one acknowledgement carries.
	MaxAcks = 512
	// MaxUser is the longest user name in bytes, MaxHost the longest host.
	MaxUser = 64
	MaxHost = 261
	// MaxToken is the longest invite token in characters.
	MaxToken = 64
	// MaxResponse is the longest body of a registration's answer.
	MaxResponse = 1 << 10
	// MaxRecoverAnswer is the longest body of the answer to a device that asks
	// to be let in: a page of entries.
	MaxRecoverAnswer = MaxPage + MaxEntry
	// WindowMessages and WindowBytes bound what the server has delivered on
	// one connection and not yet seen acknowledged. The byte bound is
	// exceeded by at most one message.
	WindowMessages = 256
	WindowBytes    = 1 << 20
	// MaxTTL is how long a message may wait, and does unless its sender says
	// less.
	MaxTTL = 30 * 24 * time.Hour
	// MaxGroupBlob is the longest entry of a group's log, MaxGroupEntries how many
	// entries a log may grow to (R-REL-52).
	MaxGroupBlob    = 16 << 10
	MaxGroupEntries = 1 << 16
	// MaxGroupPage is how many entries of a log one answer carries.
	MaxGroupPage = 256
	// MaxAudience is how many users a message to a group may name,
	// MaxAudienceDevices how many devices of them together.
	MaxAudience        = 1024
	MaxAudienceDevices = 4096
	// Heartbeat is the mean time between pings of either side; a peer that was
	// silent for twice that is gone.
	Heartbeat = 50 * time.Second
)
