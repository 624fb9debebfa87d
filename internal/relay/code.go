package relay

import (
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
)

// Code is the outcome of a request. It is an error, so that
// errors.Is(err, relay.NotFound) asks for the reaction.
type Code uint64

// Codes (R-REL-26). The numbers are part of the protocol; new ones are added at
// the end, and a receiver treats a number that it does not know as Internal.
const (
	OK            Code = 0
	BadRequest    Code = 1  // the request itself is wrong: repeating it is useless
	Unauthorized  Code = 2  // login failed, or the device is not on its account's list
	NotFound      Code = 3  // no such user, device or group
	Conflict      Code = 4  // compare-and-swap lost: read again
	Exists        Code = 5  // the name is taken
	RateLimited   Code = 6  // wait RetryAfter
	TooLarge      Code = 7  // over a size limit
	MailboxFull   Code = 8  // the recipient must first take what waits
	Unavailable   Code = 9  // the server cannot do it now: wait RetryAfter
	Closed        Code = 10 // registration is closed
	InviteInvalid Code = 11 // the invite is unknown, expired or used up
	Stale         Code = 12 // the sender's picture of a device list is old
	Internal      Code = 13 // a defect or an answer that nobody understands
	RolledBack    Code = 14 // the epoch of the login is not the present one
	NeedAudience  Code = 15 // the server does not hold that audience: send it along
)

var codeNames = [...]string{
	OK:            "done",
	BadRequest:    "the request is malformed",
	Unauthorized:  "not authorised",
	NotFound:      "no such user, device or group",
	Conflict:      "changed meanwhile",
	Exists:        "the name is taken",
	RateLimited:   "too many requests",
	TooLarge:      "too large",
	MailboxFull:   "the mailbox is full",
	Unavailable:   "not available at the moment",
	Closed:        "registration is closed",
	InviteInvalid: "the invite is not valid",
	Stale:         "the device list is out of date",
	Internal:      "internal error of the server",
	RolledBack:    "the state is not the one that the server saw last",
	NeedAudience:  "the server does not hold the audience",
}

// Error returns the code in words.
func (c Code) Error() string {
	if c < Code(len(codeNames)) {
		return codeNames[c]
	}
	return fmt.Sprintf("unknown code %d", uint64(c))
}

// Error is a refusal by the server. errors.Is finds its Code.
type Error struct {
	Code       Code
	RetryAfter time.Duration // zero when the server does not say
	Version    uint64        // Stale and Conflict: the present version, zero when unknown
	Own        bool          // Stale: the sender's own device list
	Entries    [][]byte      // Stale: the entries that the sender lacks, a page at most
}

func (e *Error) Error() string { return "relay: " + e.Code.Error() }

// Unwrap returns the code.
func (e *Error) Unwrap() error { return e.Code }

// Refuse returns an *Error with the code alone.
func Refuse(c Code) *Error { return &Error{Code: c} }

// refusal is the body of a response whose code is not OK.
type refusal struct {
	RetryAfter uint64   `cbor:"1,keyasint,omitempty"` // milliseconds
	Version    uint64   `cbor:"2,keyasint,omitempty"`
	Own        bool     `cbor:"3,keyasint,omitempty"`
	Entries    [][]byte `cbor:"4,keyasint,omitempty"`
}

// maxRefusal bounds the body of a refusal, maxStale that of one with entries:
// a page of them and their heads.
const (
	maxRefusal = 64
	maxStale   = MaxPage + MaxEntry + 16<<10
)

// Body encodes what the code does not say.
func (e *Error) Body() []byte {
	r := refusal{RetryAfter: uint64(max(e.RetryAfter, 0).Milliseconds()), Version: e.Version, Own: e.Own, Entries: e.Entries}
	if r.RetryAfter == 0 && r.Version == 0 && !r.Own && len(r.Entries) == 0 {
		return nil
	}
	return codec.Marshal(r)
}

// maxRetry bounds what a server may ask a client to wait.
const maxRetry = 24 * time.Hour

// ParseError rebuilds the refusal from a response's code and body. Whatever the
// body is, the result is an *Error: a refusal that cannot be understood is
// still one.
func ParseError(code uint64, body []byte) *Error {
	e := &Error{Code: Code(code)}
	if e.Code == OK || e.Code >= Code(len(codeNames)) {
		e.Code = Internal
	}
	limit := maxRefusal
	if e.Code == Stale {
		limit = maxStale
	}
	var r refusal
	if len(body) == 0 || codec.Unmarshal(body, limit, &r) != nil {
		return e
	}
	if e.Code == Stale {
		for _, entry := range r.Entries {
			if !between(entry, MaxEntry) {
				return e
			}
		}
		e.Own, e.Entries = r.Own, r.Entries
	}
	e.RetryAfter = time.Duration(min(r.RetryAfter, uint64(maxRetry.Milliseconds()))) * time.Millisecond
	e.Version = r.Version
	return e
}

// HTTPStatus maps a code to the status of a registration's answer. The body
// always carries the code itself.
func (c Code) HTTPStatus() int {
	switch c {
	case OK:
		return 200
	case BadRequest:
		return 400
	case Unauthorized, Closed, InviteInvalid, RolledBack:
		return 403
	case NotFound:
		return 404
	case Conflict, Exists, Stale, NeedAudience:
		return 409
	case TooLarge:
		return 413
	case RateLimited:
		return 429
	case MailboxFull:
		return 507
	case Unavailable:
		return 503
	}
	return 500
}
