package server

import "time"

// Limits of the stores (spec/limits.md).
const (
	// MailboxMessages and MailboxBytes bound one device's mailbox; bytes are
	// bodies as stored.
	MailboxMessages = 1000
	MailboxBytes    = 64 << 20
	// MessageLife is how long a message waits at most.
	MessageLife = 30 * 24 * time.Hour
	// RememberIDs is how long an acknowledged message's id is still known.
	RememberIDs = 24 * time.Hour
	// RememberBatches is how many uploads of one-time prekeys of one device and
	// kind are still known.
	RememberBatches = 16
	// MaxRecord bounds an account record: 64 device-list entries and 8 devices'
	// prekeys with room to spare.
	MaxRecord = 1 << 20
	// MaxBody bounds a stored body: the largest envelope and its sealing.
	MaxBody = 96<<10 + 128
	// MaxEnvelopes bounds one Append.
	MaxEnvelopes = 64
	// MaxOneTime and MaxOneTimeKey bound one set of one-time prekeys.
	MaxOneTime    = 200
	MaxOneTimeKey = 4 << 10
	// MaxGroupBlob bounds an entry of a group's log, MaxGroupEntries the log.
	MaxGroupBlob    = 16 << 10
	MaxGroupEntries = 1 << 16
)
