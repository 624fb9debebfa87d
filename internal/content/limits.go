package content

import "time"

// Bounds of spec/limits.md, section content.
const (
	// MaxText is the longest text in bytes. With the ratchet's and the
	// handshake's overhead it stays inside the relay's 96 KiB envelope.
	MaxText = 64 << 10
	// MaxSubject is the longest subject in bytes.
	MaxSubject = 512
	// MaxContent bounds an encoded content object before padding, of every
	// kind but KindSync and KindGroup.
	MaxContent = MaxText + MaxSubject + 256
	// MaxMentions bounds the people that one text mentions.
	MaxMentions = 32
	// MaxSync bounds one of KindSync or KindGroup: it holds a whole content
	// object, or a page of history.
	MaxSync = MaxPageBytes + 2<<10
	// MaxPadded bounds a padded content object: MaxSync and what Padmé adds.
	MaxPadded = MaxSync + 2<<10
	// MaxEnvelope bounds an envelope; the relay refuses larger ones.
	MaxEnvelope = 96 << 10
	// MaxTTL is the longest lifetime a sender may ask for.
	MaxTTL = 30 * 24 * time.Hour
	// MaxReceipt bounds the messages that one receipt names.
	MaxReceipt = 64
	// MaxSentDevices bounds the recipient's devices that a copy of a sent
	// message names.
	MaxSentDevices = 8
	// MaxAlias is the longest alias in bytes.
	MaxAlias = 64
	// MaxPageEntries bounds the entries of a page of history.
	MaxPageEntries = 256
	// MaxPageBytes bounds the same in bytes, all entries together: one entry of
	// the longest text fits.
	MaxPageBytes = 72 << 10

	minPadded = 256
)
