// Package session chooses which ratchet session a message between two devices
// belongs to (spec/sessions.md): one active and a few archived sessions a pair
// of devices, simultaneous starts that settle on one, first messages that are
// repeated until they are answered, expiry, and the farewell of an idle
// session.
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

// Session is one ratchet with a peer's device.
type Session struct {
	ID        ID
	Rank      int64 // the pair's highest rank is the active session
	Initiator bool  // this device sent the initial message
	Answered  bool  // something was received on it
	Initial   []byte
	AD        [32]byte
	Strength  x3dh.Strength
	Started   time.Time
	LastUsed  time.Time
	State     ratchet.State
}

// Pair is all sessions between this device and one device of a peer, ordered
// by falling rank: the first is the active one. The zero Pair has none.
type Pair struct{ sessions []*Session }

// New makes a pair of stored sessions, in any order.
func New(sessions ...*Session) Pair {
	s := slices.Clone(sessions)
	slices.SortFunc(s, func(a, b *Session) int { return int(min(max(b.Rank-a.Rank, -1), 1)) })
	return Pair{s}
}

// Active returns the session that sends, or nil.
func (p Pair) Active() *Session {
	if len(p.sessions) == 0 {
		return nil
	}
	return p.sessions[0]
}

// Sessions returns all sessions, the active one first. The caller must not
// change them.
func (p Pair) Sessions() []*Session { return p.sessions }

// Change says what a step did to a pair, for its storage: sessions to write,
// with whether their skipped keys changed too, and sessions to erase.
type Change struct {
	Write   []*Session
	Skipped []ID // of Write: their skipped keys changed
	Erase   []ID
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

// insert puts s in front of all others, or behind the active session, and
// drops what exceeds MaxArchived (R-SES-02).
func (p Pair) insert(s *Session, active bool) (Pair, Change) {
	ch := Change{Write: []*Session{s}, Skipped: []ID{s.ID}}
	var out []*Session
	if active || len(p.sessions) == 0 {
		s.Rank = p.topRank() + 1
		out = append([]*Session{s}, p.sessions...)
	} else {
		// The new session takes the active one's rank, which moves up.
		top := *p.sessions[0]
		s.Rank = top.Rank
		top.Rank++
		out = append([]*Session{&top, s}, p.sessions[1:]...)
		ch.Write = append(ch.Write, &top)
	}
	for len(out) > MaxArchived+1 {
		ch.Erase = append(ch.Erase, out[len(out)-1].ID)
		out = out[:len(out)-1]
	}
	return Pair{out}, ch
}

func (p Pair) topRank() int64 {
	if a := p.Active(); a != nil {
		return a.Rank
	}
	return 0
}

// Begin adds a session that this device starts and makes it active.
func (p Pair) Begin(st x3dh.Started, now time.Time) (Pair, Change, error) {
	state, err := ratchet.Initiate(&st.Secret, st.PeerRatchet)
	if err != nil {
		return p, Change{}, err
	}
	next, ch := p.insert(&Session{
		ID: x3dh.SessionID(st.Initial), Initiator: true, Initial: st.Initial, AD: st.AD,
		Strength: st.Strength, Started: now, LastUsed: now, State: state,
	}, true)
	return next, ch, nil
}

// Sealed is a message ready for its envelope. It must not leave the device
// before Next is durable.
type Sealed struct {
	Initial []byte // empty once the session is answered
	Message []byte
	Session ID
	At      ratchet.Position
	Next    Pair
	Change  Change
}

// Seal seals plaintext on the active session (R-SES-03: with the initial
// message in front until the session is answered).
func (p Pair) Seal(plaintext []byte, now time.Time) (Sealed, error) {
	s := p.Active()
	if s == nil {
		return Sealed{}, ErrNoSession
	}
	sealed, err := s.State.Seal(plaintext, s.AD[:])
	if err != nil {
		return Sealed{}, err
	}
	next := *s
	next.State, next.LastUsed = sealed.Next, now
	return Sealed{
		Initial: s.pendingInitial(), Message: sealed.Message, Session: s.ID, At: sealed.At,
		Next: p.replace(&next), Change: Change{Write: []*Session{&next}},
	}, nil
}

func (s *Session) pendingInitial() []byte {
	if s.Initiator && !s.Answered {
		return s.Initial
	}
	return nil
}

// Responder answers an initial message: it finds the private prekeys it names,
// consults the replay table, and runs x3dh.Respond.
type Responder func(initial []byte) (x3dh.Accepted, error)

// Opened is an authentic message.
type Opened struct {
	Plaintext []byte
	Session   ID
	At        ratchet.Position
	Farewell  bool // the peer has wiped the session, and so has Next
	New       bool // the message began the session
	Switched  bool // the active session is another one than before
	Strength  x3dh.Strength
	Disclosed [][32]byte
	// Reply is this side's own farewell when the peer's was opened: its MAC
	// keys, disclosed by a message that nobody needs to open.
	Reply  []byte
	Next   Pair
	Change Change
}

// Open finds the session that opens message: the one that initial names, then
// the others, the active one first. An initial message that names no session
// begins one, by respond, if nothing else opens the message (R-SES-04). After
// an error nothing has changed.
func (p Pair) Open(initial, message []byte, now time.Time, respond Responder) (Opened, error) {
	var named *ID
	if len(initial) > 0 {
		id := ID(x3dh.SessionID(initial))
		named = &id
	}
	var refusal error
	for _, s := range p.candidates(named) {
		o, err := s.State.Open(message, s.AD[:], now)
		if err == nil {
			return p.opened(s, o, now, named != nil)
		}
		if !errors.Is(err, ratchet.ErrUnknownChain) {
			return Opened{}, err // the session is found and says no
		}
		if named != nil && s.ID == *named {
			return Opened{}, err // never a second session for one initial message
		}
		refusal = ErrUnopened
	}
	if named == nil {
		if refusal == nil {
			refusal = ErrNoSession
		}
		return Opened{}, refusal
	}
	return p.accept(initial, message, now, respond)
}

// candidates lists the sessions to try, the named one alone if it is there.
func (p Pair) candidates(named *ID) []*Session {
	if named != nil {
		for _, s := range p.sessions {
			if s.ID == *named {
				return []*Session{s}
			}
		}
		return nil
	}
	return p.sessions
}

// opened is the next pair after a message on an existing session. A message
// on an archived session that comes without an initial message shows that the
// peer uses that session and knows that we hold it: it becomes the active one,
// so that starts which crossed late settle too (R-SES-05).
func (p Pair) opened(s *Session, o ratchet.Opened, now time.Time, repeated bool) (Opened, error) {
	out := Opened{
		Plaintext: o.Plaintext, Session: s.ID, At: o.At, Farewell: o.Farewell,
		Strength: s.Strength, Disclosed: o.Disclosed,
	}
	next := *s
	next.State, next.LastUsed = o.Next, now
	next.Answered = true
	next.Initial = nil
	if o.Farewell {
		// R-SES-07: the peer's farewell ends the session here too, and this
		// side's chains are closed by it.
		if reply, err := next.State.Farewell(s.AD[:]); err == nil {
			out.Reply = reply
		}
		out.Next = p.without(s.ID)
		out.Change.Erase = []ID{s.ID}
		out.Switched = p.Active().ID == s.ID
		return out, nil
	}
	if active := p.Active(); active.ID != s.ID && !repeated {
		next.Rank = active.Rank + 1
		out.Switched = true
	}
	out.Next = New(p.replace(&next).sessions...)
	out.Change.Write = []*Session{&next}
	if o.SkippedChanged {
		out.Change.Skipped = []ID{s.ID}
	}
	return out, nil
}

// accept begins a session that the peer started, and opens its first message
// with it. Which of two sessions becomes active is decided by R-SES-05: if
// this device has itself started one that is not answered yet, the starts have
// crossed and both sides prefer the smaller session id; otherwise the peer has
// no use of the older session and the new one is preferred.
func (p Pair) accept(initial, message []byte, now time.Time, respond Responder) (Opened, error) {
	acc, err := respond(initial)
	if err != nil {
		return Opened{}, err
	}
	s := &Session{
		ID: ID(acc.ID), Answered: true, AD: acc.AD, Strength: acc.Strength, Started: now, LastUsed: now,
	}
	o, err := ratchet.Respond(&acc.Secret, acc.RatchetKey).Open(message, s.AD[:], now)
	if err != nil {
		return Opened{}, err
	}
	if o.Farewell {
		return Opened{}, ratchet.ErrMalformed // nothing was begun
	}
	s.State = o.Next
	old := p.Active()
	active := old == nil || !old.Initiator || old.Answered || bytes.Compare(s.ID[:], old.ID[:]) < 0
	next, ch := p.insert(s, active)
	return Opened{
		Plaintext: o.Plaintext, Session: s.ID, At: o.At, New: true, Strength: s.Strength,
		Switched: active && old != nil, Disclosed: o.Disclosed, Next: next, Change: ch,
	}, nil
}

func (p Pair) without(id ID) Pair {
	return Pair{slices.DeleteFunc(slices.Clone(p.sessions), func(s *Session) bool { return s.ID == id })}
}

// HeartbeatDue reports whether the peer has sent so long without an answer
// that an empty message must move the ratchet on (R-SES-08).
func (p Pair) HeartbeatDue() bool {
	a := p.Active()
	return a != nil && a.State.HeartbeatDue()
}

// Farewell is the last message of a session that Tick wiped.
type Farewell struct {
	Session ID
	Message []byte
}

// Tick applies the passing of time (R-SES-06, R-SES-07): skipped keys past
// their life are erased, sessions never answered are dropped after
// UnansweredFor, and idle ones are wiped with a farewell. The farewells may
// leave the device only after Next is durable.
func (p Pair) Tick(now time.Time) (Pair, Change, []Farewell) {
	var ch Change
	var bye []Farewell
	next := p
	for _, s := range p.sessions {
		switch {
		case !s.Answered && now.Sub(s.Started) >= UnansweredFor:
			next = next.without(s.ID)
			ch.Erase = append(ch.Erase, s.ID)
		case s.Answered && now.Sub(s.LastUsed) >= IdleFor:
			if m, err := s.State.Farewell(s.AD[:]); err == nil {
				bye = append(bye, Farewell{s.ID, m})
			}
			next = next.without(s.ID)
			ch.Erase = append(ch.Erase, s.ID)
		default:
			if st, changed := s.State.Expire(now); changed {
				c := *s
				c.State = st
				next = next.replace(&c)
				ch.Write = append(ch.Write, &c)
				ch.Skipped = append(ch.Skipped, c.ID)
			}
		}
	}
	return next, ch, bye
}

// Merge adds a later change to an earlier one, so that a batch of steps is
// written once: of each session the last state, and nothing of one erased.
func (c *Change) Merge(later Change) {
	gone := func(id ID, in []ID) bool { return slices.Contains(in, id) }
	for _, s := range later.Write {
		c.Write = slices.DeleteFunc(c.Write, func(o *Session) bool { return o.ID == s.ID })
	}
	c.Write = append(c.Write, later.Write...)
	for _, id := range later.Skipped {
		if !gone(id, c.Skipped) {
			c.Skipped = append(c.Skipped, id)
		}
	}
	c.Erase = append(c.Erase, later.Erase...)
	c.Write = slices.DeleteFunc(c.Write, func(o *Session) bool { return gone(o.ID, later.Erase) })
}
