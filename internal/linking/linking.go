// Package linking is the protocol by which a device that knows nothing joins an
// account: what it shows, what a device of the account sends it, and what the
// two say to each other until the device is on the account's list
// (spec/linking.md).
//
// The new device calls New, shows the URI of its Link and the code, and answers
// each connection with Greet. The other one calls ParseURI, Reach and Hail. Both
// then hold a Channel.
//
// Not its concern: how the two connect, what is stored, and the server.
package linking

import "errors"

// Domain-separation labels (spec/labels.md).
const (
	labelHello   = "pawl/1 link hello"
	labelMeeting = "pawl/1 link meeting"
	labelCode    = "pawl/1 link code"
	labelToNew   = "pawl/1 link to the new device"
	labelToOld   = "pawl/1 link to the old device"
	labelReplace = "pawl/1 link replaced device"
)

// Errors, one for each reaction. None carries input.
var (
	// ErrURI: not the URI of a waiting device.
	ErrURI = errors.New("linking: not the URI of a waiting device")
	// ErrExpired: the time of the URI or the offer is over.
	ErrExpired = errors.New("linking: expired")
	// ErrMalformed: a message is not canonical, or a field is outside its rules.
	ErrMalformed = errors.New("linking: malformed message")
	// ErrTooLong: a message exceeds the bound of its place.
	ErrTooLong = errors.New("linking: message exceeds its limit")
	// ErrOffer: the offer is not the one that the URI names.
	ErrOffer = errors.New("linking: not the offer that the URI names")
	// ErrHello: the hello was not made by somebody who holds the URI.
	ErrHello = errors.New("linking: hello of somebody who does not hold the URI")
	// ErrReplayed: the same hello came before.
	ErrReplayed = errors.New("linking: hello used before")
	// ErrAccount: what the hello says of the account does not verify.
	ErrAccount = errors.New("linking: account does not verify")
	// ErrDevice: the new device's part does not verify, or its id is taken.
	ErrDevice = errors.New("linking: device does not verify")
	// ErrEntry: the list entry does not add this device to this account.
	ErrEntry = errors.New("linking: entry does not add this device")
	// ErrChannel: a message was changed, lost, repeated or out of turn.
	ErrChannel = errors.New("linking: message was tampered with or out of turn")
	// ErrFull: the account has as many devices as it may.
	ErrFull = errors.New("linking: the account has as many devices as it may")
)
