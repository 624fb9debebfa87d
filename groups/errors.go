package groups

import "errors"

// What a message is refused with, and what Accept, Close and the parsers
// refuse. After any of them the value is what it was (R-GRP-04). ErrForged
// comes before every error that speaks of a message's index: those are about
// authentic messages only.
var (
	// ErrMalformed: the bytes are not what they are to be, or not in the one way
	// in which that is written.
	ErrMalformed = errors.New("groups: malformed")
	// ErrUnknownChain: the message belongs to another chain.
	ErrUnknownChain = errors.New("groups: message of another chain")
	// ErrForged: the signature does not hold, or the seed is not that of the
	// chain.
	ErrForged = errors.New("groups: signature does not hold")
	// ErrDuplicate: an authentic message that was opened before.
	ErrDuplicate = errors.New("groups: message was opened before")
	// ErrTooOld: an authentic message whose key has been erased by a limit or
	// was never handed out, or whose chain has outlived ChainLife.
	ErrTooOld = errors.New("groups: the key of this message has been erased")
	// ErrTooFarAhead: an authentic message more than MaxJump ahead.
	ErrTooFarAhead = errors.New("groups: message is too far ahead")
	// ErrClosed: the chain has ended for this device. Its signing key may be
	// public, so that nothing on it says who made it.
	ErrClosed = errors.New("groups: the chain is closed")
	// ErrTooLong: a plaintext, an entry or a signal exceeds its limit.
	ErrTooLong = errors.New("groups: too long")
	// ErrExhausted: the sending chain has used its last index.
	ErrExhausted = errors.New("groups: sending chain is used up")
)

// Why a change is not made, and why a placed entry is void.
var (
	// ErrNotMember: the author is not a member, or the one who is to change.
	ErrNotMember = errors.New("groups: not a member")
	// ErrNotAllowed: the author's role does not allow the change.
	ErrNotAllowed = errors.New("groups: the role does not allow this change")
	// ErrAlreadyMember: who is to be added is a member.
	ErrAlreadyMember = errors.New("groups: already a member")
	// ErrLastAdmin: no admin would be left.
	ErrLastAdmin = errors.New("groups: a group keeps at least one admin")
	// ErrFull: the roster would exceed its limits.
	ErrFull = errors.New("groups: the group is full")
	// ErrNothing: the change changes nothing.
	ErrNothing = errors.New("groups: nothing changes")
	// ErrName: the name of the group is empty, too long, or holds characters
	// that names may not have.
	ErrName = errors.New("groups: not a name for a group")
	// ErrEpoch: the chain or the secret is not of the roster's epoch, or a
	// change that begins an epoch comes without the secret of that epoch.
	ErrEpoch = errors.New("groups: chain or secret of another epoch")
	// ErrState: the author's picture of the roster after the change is another.
	ErrState = errors.New("groups: the entry leads to another roster")
	// ErrNotNext: the entry does not follow the roster. It is the only error
	// after which Apply returns the roster unmoved.
	ErrNotNext = errors.New("groups: the entry does not follow this roster")
)
