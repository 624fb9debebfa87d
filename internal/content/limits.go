package content

import "time"

// Bounds of spec/limits.md, section content.
const (
	// MaxText is the longest text in bytes. With the ratchet's and the
	// handshake's overhead it stays inside the relay's 96 KiB envelope.
	MaxText = 64 << 10
	// MaxSubject is the longest subject in bytes.
	MaxSubject = 512
	// MaxContent bounds an encoded content object before padding.
	MaxContent = MaxText + MaxSubject + 256
	// MaxPadded bounds a padded content object: Padmé adds at most an eighth.
	MaxPadded = MaxContent + MaxContent/8 + minPadded
	// MaxEnvelope bounds an envelope; the relay refuses larger ones.
	MaxEnvelope = 96 << 10
	// MaxTTL is the longest lifetime a sender may ask for.
	MaxTTL = 30 * 24 * time.Hour
	// MaxReceipt bounds the messages that one receipt names.
	MaxReceipt = 64

	minPadded = 256
)
