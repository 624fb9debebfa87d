package braid

import "errors"

// What Send, Receive and ParseRecord refuse. After any of them the state is
// what it was (R-BRD-01).
var (
	// ErrMalformed: the bytes are not a piece that the other side can have
	// made, or not a record.
	ErrMalformed = errors.New("braid: malformed")
	// ErrEpoch: the piece belongs to an epoch that the other side cannot be in
	// yet.
	ErrEpoch = errors.New("braid: a piece of an epoch that cannot have begun")
	// ErrRolledBack: the piece answers something that this state never sent:
	// one of the sides runs on an old copy.
	ErrRolledBack = errors.New("braid: one side uses an old state")
	// ErrExhausted: the last epoch is over.
	ErrExhausted = errors.New("braid: no epoch is left")

	errVector = errors.New("braid: the key vector does not belong to the header")
)
