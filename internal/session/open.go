package session

import (
	"bytes"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// Responder answers an initial message: it finds the private prekeys it names,
// consults the replay table, and runs x3dh.Respond.
//
// It must not change anything by itself (R-SES-12). Initial message and ratchet message
// come in one envelope that nobody has authenticated: what it would erase and
// record it does after Open has succeeded, in the transaction that stores Next.
// If it recorded earlier, a server that delivers an initial message with
// another ratchet message would make the true one look replayed.
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

// Open finds the session that opens message. If initial names a session of the
// pair, that one alone is tried; if it names none, a session is begun by
// respond; without an initial message all sessions are tried, the active one
// first (R-SES-04). After an error nothing has changed.
func (p Pair) Open(initial, message []byte, now time.Time, respond Responder) (Opened, error) {
	now = stamp(now)
	if len(initial) > 0 {
		id := ID(x3dh.SessionID(initial))
		for _, s := range p.sessions {
			if s.ID == id {
				o, err := s.State.Open(message, s.AD[:], now)
				if err != nil {
					return Opened{}, err // never a second session for one initial message
				}
				return p.opened(s, o, now), nil
			}
		}
		return p.accept(id, initial, message, now, respond)
	}
	if len(p.sessions) == 0 {
		return Opened{}, ErrNoSession
	}
	for _, s := range p.sessions {
		o, err := s.State.Open(message, s.AD[:], now)
		switch {
		case err == nil:
			return p.opened(s, o, now), nil
		case !errors.Is(err, ratchet.ErrUnknownChain):
			return Opened{}, err // its header opened here: the session is found, and refuses
		}
	}
	return Opened{}, ErrUnopened
}

// opened is the next pair after a message on the session s.
func (p Pair) opened(s *Session, o ratchet.Opened, now time.Time) Opened {
	out := Opened{
		Plaintext: o.Plaintext, Session: s.ID, At: o.At, Farewell: o.Farewell,
		Strength: s.Strength, Disclosed: o.Disclosed,
	}
	active := p.Active()
	if o.Farewell {
		// R-SES-07: the peer's farewell ends the session here too, and this
		// side's chains are closed by it.
		if reply, err := o.Next.Farewell(s.AD[:]); err == nil {
			out.Reply = reply
		}
		out.Next = p.without(s.ID)
		out.Change.Erase = []ID{s.ID}
		out.Switched = active == s
		return out
	}
	next := *s
	next.State, next.Heard, next.LastUsed = o.Next, now, now
	next.Answered, next.Initial = true, nil
	out.Change.Write = []*Session{&next}
	if o.SkippedChanged {
		out.Change.Skipped = []ID{s.ID}
	}
	// A message under a skipped key was sent before others that have arrived:
	// it says nothing of what the peer uses now.
	late := !o.Ratcheted && o.Next.SkippedCount() < s.State.SkippedCount()
	switch {
	case late:
		out.Next = p.replace(&next)
	case active == s:
		next.Elsewhere = 0
		out.Next = p.replace(&next)
	case active.yields(s):
		next.Elsewhere = 0
		out.Next, out.Switched = p.promote(&next), true
	default:
		stays := *active
		stays.Elsewhere++
		out.Next = p.replace(&next).replace(&stays)
		out.Change.Write = append(out.Change.Write, &stays)
	}
	return out
}

// yields decides whether the active session s gives way to other, on which the
// peer has just sent a new message (R-SES-09). Nothing in it comes from the
// envelope, which the server could change.
func (s *Session) yields(other *Session) bool {
	switch {
	case !other.Initiator && !s.Initiator:
		return true // the peer began both and knows which is its last
	case other.Initiator && !other.Answered && (!s.Initiator || other.Started.After(s.Started)):
		return true // the first answer to our own start
	}
	after := FollowAfter
	if bytes.Compare(other.ID[:], s.ID[:]) > 0 {
		after = 2 * FollowAfter // not both sides at once
	}
	return int(s.Elsewhere)+1 >= after
}

// yieldsToStart decides whether the active session s gives way to one that the
// peer has just begun (R-SES-05). If s is this device's own start and not
// answered yet, the starts have crossed and both sides prefer the smaller id;
// otherwise the peer may not have s any more, and the new one is preferred.
func (s *Session) yieldsToStart(id ID) bool {
	return !s.Initiator || s.Answered || bytes.Compare(id[:], s.ID[:]) < 0
}

// accept begins a session that the peer started, and opens its first message
// with it.
func (p Pair) accept(id ID, initial, message []byte, now time.Time, respond Responder) (Opened, error) {
	if respond == nil {
		return Opened{}, ErrUnopened
	}
	acc, err := respond(initial)
	if err != nil {
		return Opened{}, err
	}
	s := &Session{
		ID: id, Answered: true, AD: acc.AD, Strength: acc.Strength, Started: now, Heard: now, LastUsed: now,
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
	wins := old == nil || old.yieldsToStart(id)
	out := Opened{
		Plaintext: o.Plaintext, Session: s.ID, At: o.At, New: true, Strength: s.Strength,
		Switched: wins && old != nil, Disclosed: o.Disclosed,
	}
	out.Next = p.insert(s, wins, &out.Change)
	return out, nil
}
