package transcript

import "errors"

// Refusals, one for each thing that a caller does differently. None carries
// anything of the file.
var (
	// ErrMalformed: not a transcript, or not written in the one way in which one
	// is.
	ErrMalformed = errors.New("transcript: malformed")
	// ErrVersion: a transcript of a later version.
	ErrVersion = errors.New("transcript: of a version that is not known here")
	// ErrLimit: it holds more than a transcript may.
	ErrLimit = errors.New("transcript: more than a transcript may hold")
	// ErrParty: a message or key is of a person or device that is not named.
	ErrParty = errors.New("transcript: of a person or device that the transcript does not name")
	// ErrNoMessage: there is no message of that number.
	ErrNoMessage = errors.New("transcript: no message of that number")
	// ErrNoKey: no key was disclosed that fits the message.
	ErrNoKey = errors.New("transcript: no disclosed key fits that message")
	// ErrText: the text that is to be replaced is not known, or cannot be where
	// texts are.
	ErrText = errors.New("transcript: that cannot be the text of the message")
	// ErrTextLong: the new text is longer than the old one.
	ErrTextLong = errors.New("transcript: the new text is longer than the old one")
	// ErrLines: there is nothing to say, or too much.
	ErrLines = errors.New("transcript: no lines to forge, or too many")
	// ErrStart: the first line must be the other's: a first message to oneself is
	// what one's own keys forge.
	ErrStart = errors.New("transcript: the other side has to begin")
)
