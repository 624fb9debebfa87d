package session

import "time"

// Bounds of spec/limits.md, section internal/session.
const (
	// MaxArchived sessions are kept beside the active one for each pair of
	// devices, for messages still under way.
	MaxArchived = 10
	// UnansweredFor is how long a session lives on which nothing is received,
	// however much is sent.
	UnansweredFor = 30 * 24 * time.Hour
	// IdleFor is how long a session may rest before it is wiped with a
	// farewell that discloses its MAC keys.
	IdleFor = 14 * 24 * time.Hour
	// RestFor is how long a session may rest before nothing is sealed on it any
	// more: a day less than IdleFor, which is what a message may be under way
	// before the peer has it at hand.
	RestFor = 13 * 24 * time.Hour
	// FollowAfter is how many messages in a row the peer must have sent on
	// other sessions before the one with the smaller id of two becomes active;
	// for the larger id it is twice as many.
	FollowAfter = 8
	// MaxRecord bounds a stored session in bytes, its skipped keys apart.
	MaxRecord = 8 << 10
)
