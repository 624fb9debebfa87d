package client

import "time"

// Bounds of spec/limits.md, section client.
const (
	// OutboxFor is how long an unsent message is tried before it fails, if
	// Config does not say otherwise.
	OutboxFor = 12 * time.Hour
	// QuickTries is how often an unsent message is tried again within about a
	// minute.
	QuickTries = 5
	// RetryEvery is the heartbeat of the outbox after that.
	RetryEvery = 15 * time.Minute
	// SeenFor is how long received envelopes are remembered: the relay's
	// longest mailbox time and a week.
	SeenFor = 37 * 24 * time.Hour
	// ReceiveBatch is how many deliveries a transaction gathers before it is
	// committed; the last batch to arrive may exceed it.
	ReceiveBatch = 200
	// MaxChain bounds the device-list entries of one contact.
	MaxChain = 1024
	// MaxChainBytes bounds the same in bytes: a contact's record holds two.
	MaxChainBytes = 384 << 10
	// MaxTombstones bounds the tombstones kept for a conversation; later
	// undecryptable messages are counted in the log only.
	MaxTombstones = 100
	// MaxHeld bounds the messages kept for a contact whose identity changed,
	// until the person has decided.
	MaxHeld = 200
	// MaxOwed bounds the receipts kept for a device of a contact, in each state,
	// until they can be sent; the oldest go first.
	MaxOwed = 16384
	// MaxOwedStranger bounds the same for somebody who is sent nothing yet.
	MaxOwedStranger = 256
	// OwedFor is how long receipts are kept that cannot be sent.
	OwedFor = 30 * 24 * time.Hour
	// HistoryOrders is how many orders are kept free for the history of another
	// device.
	HistoryOrders = 1 << 40
	// HistoryPatience is how long a page of history is waited for before it is
	// asked for again; twice as long each time, up to an hour.
	HistoryPatience = 20 * time.Second
	// HistoryRefusals is after how many refusals in a row the history is given
	// up: the offer may be on its way.
	HistoryRefusals = 5
	// RepairEvery is how often at most a device asks another for what it could
	// not open, starts a session for that, and is answered.
	RepairEvery = time.Hour
	// MaxResend bounds the messages that one answer sends again.
	MaxResend = 200
	// GapAfter is how long a message may be late before it counts as missing.
	GapAfter = time.Minute
	// MaxAskedChains bounds the chains of a device of a group of which messages
	// are asked for.
	MaxAskedChains = 8
	// GroupAnswers is how many questions about a group a device is answered in
	// an hour: what is lacking at one time may be asked for in a few parts.
	GroupAnswers = 8
	// GroupAskFor is how long a missing message of a group is asked for before
	// the person is told: longer than its key is kept.
	GroupAskFor = 8 * 24 * time.Hour
	// DiscloseAfter is after how long without a message on it the signing key of
	// an own chain is disclosed, whoever has said nothing: longer than mailboxes
	// keep messages, and than any device takes one on the chain (groups.ChainLife).
	DiscloseAfter = 38 * 24 * time.Hour
	// ClosedChainFor is how long another device's closed chain is kept, counted
	// from its making.
	ClosedChainFor = 180 * 24 * time.Hour
	// GroupWaitFor is how long an entry of a group's log waits for its author's
	// sender key.
	GroupWaitFor = 48 * time.Hour
	// MaxRetold bounds the messages that somebody who lets another into a group
	// with an open history retells.
	MaxRetold = 200
	// RetoldBytes bounds one part of them.
	RetoldBytes = 40 << 10
	// MaxJoinAsked bounds the people who wait to be let into a group.
	MaxJoinAsked = 64
	// MaxRecorded is how many envelopes are kept of a conversation that is
	// recorded.
	MaxRecorded = 5000
	// MaxRecordedBytes bounds the same in bytes.
	MaxRecordedBytes = 48 << 20
	// MaxAlias is the longest alias in bytes.
	MaxAlias = 64
	// ClockTolerance is how far this clock and the server's may differ before
	// nothing is sent: expiry of prekeys and messages would be wrong.
	ClockTolerance = time.Hour

	maxRecord     = 1 << 20
	receiptJitter = time.Second
	partingTime   = time.Second
	expireEvery   = time.Minute
	refusalPause  = time.Second
	historyBytes  = 48 << 10
	historyLook   = 1024
	welcomeSince  = time.Hour
	reconnectMin  = 500 * time.Millisecond
	reconnectMax  = 60 * time.Second
)
