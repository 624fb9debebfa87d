// Package session chooses which ratchet session a message between two devices
// belongs to: one active and a few archived sessions a pair of devices,
// simultaneous starts that settle on one, first messages that are repeated
// until they are answered, expiry, and the farewell of an idle session. It
// implements spec/sessions.md.
//
// Everything is a value: operations return the next Pair and what changed in
// it, and leave their receiver as it was, so that a caller commits the next
// value together with what it gained by it (R-SES-01).
//
// Not its concern: who the devices are and whether they are trusted, prekey
// storage, the wire, the clock.
package session

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// Refusals beyond those of ratchet and x3dh, which pass through.
var (
	// ErrNoSession means that a handshake must come first.
	ErrNoSession = errors.New("session: there is no session with this device")
	// ErrUnopened means that no session opens the message.
	ErrUnopened = errors.New("session: no session opens this message")
	// ErrRecord refuses a malformed stored session.
	ErrRecord = errors.New("session: malformed record")
)

// ID names a session: the hash of its initial message.
type ID [32]byte

// Session is one ratchet with a peer's device. It never changes: a step makes
// another one.
type Session struct {
	ID        ID
	Rank      int64  // the pair's highest rank is the active session; no two share one
	Initiator bool   // this device sent the initial message
	Answered  bool   // something was received on it
	Initial   []byte // an initiator's, until it is answered
	AD        [32]byte
	Strength  x3dh.Strength
	Started   time.Time // whole milliseconds, as the others
	Heard     time.Time // when something was last received; until then, Started
	LastUsed  time.Time // when something was last sent or received
	// Elsewhere counts, while the session is active, the messages that the
	// peer has sent on others since its last one here.
	Elsewhere uint8
	State     ratchet.State
}

// Pair is all sessions between this device and one device of a peer, ordered
// by falling rank: the first is the active one. The zero Pair has none.
type Pair struct{ sessions []*Session }

// New makes a pair of stored sessions, in any order.
func New(sessions ...*Session) Pair {
	s := slices.Clone(sessions)
	slices.SortFunc(s, func(a, b *Session) int {
		return cmp.Or(cmp.Compare(b.Rank, a.Rank), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return Pair{s}
}

// Active returns the session that sends, or nil.
func (p Pair) Active() *Session {
	if len(p.sessions) == 0 {
		return nil
	}
	return p.sessions[0]
}

// Ready reports whether there is a session to seal on: an active one that has
// not rested for so long that the peer may end it before the message comes
// (R-SES-17).
func (p Pair) Ready(now time.Time) bool {
	a := p.Active()
	return a != nil && now.Sub(a.LastUsed) < RestFor
}

// Sessions returns all sessions, the active one first. The caller must not
// change them.
func (p Pair) Sessions() []*Session { return p.sessions }

// HeartbeatDue reports whether the peer has sent so long without an answer
// that an empty message must move the ratchet on (R-SES-08).
func (p Pair) HeartbeatDue() bool {
	a := p.Active()
	return a != nil && a.State.HeartbeatDue()
}

// replace returns p with next in the place of the session of the same id.
func (p Pair) replace(next *Session) Pair {
	s := slices.Clone(p.sessions)
	for i := range s {
		if s[i].ID == next.ID {
			s[i] = next
		}
	}
	return Pair{s}
}

// promote returns p with next in front, in the place of the session of the
// same id, and gives next the highest rank.
func (p Pair) promote(next *Session) Pair {
	next.Rank = p.topRank() + 1
	s := make([]*Session, 1, len(p.sessions)+1)
	s[0] = next
	for _, o := range p.sessions {
		if o.ID != next.ID {
			s = append(s, o)
		}
	}
	return Pair{s}
}

func (p Pair) without(id ID) Pair {
	return Pair{slices.DeleteFunc(slices.Clone(p.sessions), func(s *Session) bool { return s.ID == id })}
}

func (p Pair) topRank() int64 {
	if a := p.Active(); a != nil {
		return a.Rank
	}
	return 0
}

// insert puts the new session s in front of all others or, when another stays
// active, right behind that one (R-SES-13). What exceeds MaxArchived is wiped with a
// farewell (R-SES-02).
func (p Pair) insert(s *Session, active bool, ch *Change) Pair {
	ch.Write, ch.Skipped = append(ch.Write, s), append(ch.Skipped, s.ID)
	next := p.promote(s)
	if !active && len(p.sessions) > 0 {
		// s takes the active one's rank, which moves up by one.
		top := *p.sessions[0]
		top.Rank, s.Rank = s.Rank, top.Rank
		next.sessions[0], next.sessions[1] = &top, s
		ch.Write = append(ch.Write, &top)
	}
	for len(next.sessions) > MaxArchived+1 {
		last := next.sessions[len(next.sessions)-1]
		next = Pair{next.sessions[:len(next.sessions)-1]}
		ch.erase(last)
	}
	return next
}

// stamp is a time as a record keeps it: in whole milliseconds since 1970.
func stamp(t time.Time) time.Time { return time.UnixMilli(max(t.UnixMilli(), 0)) }
