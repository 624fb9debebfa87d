package ratchet

import "errors"

// What Seal, Open, ParseRecord and Forge refuse. After any of them the state is
// what it was (R-RAT-01). ErrForged comes before every error that speaks of a
// message's number: those are about authentic messages only (R-RAT-11).
var (
	// ErrMalformed: the bytes are not a message, or not a record.
	ErrMalformed = errors.New("ratchet: malformed")
	// ErrUnknownChain: no header key of this session opens the header. The
	// message belongs to another session, to a chain already erased, or to
	// nobody.
	ErrUnknownChain = errors.New("ratchet: no header key opens this message")
	// ErrForged: the MAC does not hold.
	ErrForged = errors.New("ratchet: message is forged")
	// ErrDuplicate: an authentic message that was opened before.
	ErrDuplicate = errors.New("ratchet: message was opened before")
	// ErrTooOld: an authentic message whose key has been erased by a limit,
	// or was used before a key after it was erased.
	ErrTooOld = errors.New("ratchet: the key of this message has been erased")
	// ErrTooFarAhead: an authentic message more than MaxJump ahead.
	ErrTooFarAhead = errors.New("ratchet: message is too far ahead")
	// ErrRolledBack: an authentic message that contradicts what its sender
	// sent before: the peer runs on an old copy of its state.
	ErrRolledBack = errors.New("ratchet: the peer uses an old state")
	// ErrEpoch: an authentic message whose chain rests on an epoch that this
	// side does not have, that is older than one before, or that is not the
	// chain's.
	ErrEpoch = errors.New("ratchet: the message rests on an epoch that is not held")
	// ErrStalled: the peer completes epochs and makes no DH step. Its piece is
	// dropped, its message is not ([Opened].PieceRefused).
	ErrStalled = errors.New("ratchet: too many epochs wait for a DH step")
	// ErrOldRecord: a record of version 1, which has no post-quantum exchange. No
	// release wrote any, and no peer goes on from one.
	ErrOldRecord = errors.New("ratchet: a record of a version that is not read any more")
	// ErrBadKey: the peer's ratchet key is not canonical, has low order, or
	// agrees to zero.
	ErrBadKey = errors.New("ratchet: the peer's ratchet key is refused")
	// ErrWaiting: the responder has opened nothing yet and cannot seal.
	ErrWaiting = errors.New("ratchet: nothing received yet, cannot seal")
	// ErrTooLong: plaintext, associated data or message exceeds its limit.
	ErrTooLong = errors.New("ratchet: too long")
	// ErrExhausted: the sending chain has used its last number.
	ErrExhausted = errors.New("ratchet: sending chain is used up")
)
