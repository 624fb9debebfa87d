package session

import (
	"time"

	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// Begin adds a session that this device starts and makes it active.
func (p Pair) Begin(st x3dh.Started, now time.Time) (Pair, Change, error) {
	state, err := ratchet.Initiate(&st.Secret, st.PeerRatchet)
	if err != nil {
		return p, Change{}, err
	}
	now = stamp(now)
	var ch Change
	next := p.insert(&Session{
		ID: x3dh.SessionID(st.Initial), Initiator: true, Initial: st.Initial, AD: st.AD,
		Strength: st.Strength, Started: now, Heard: now, LastUsed: now, State: state,
	}, true, &ch)
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
// message beside it until the session is answered).
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
	next.State, next.LastUsed = sealed.Next, stamp(now)
	return Sealed{
		Initial: s.Initial, Message: sealed.Message, Session: s.ID, At: sealed.At,
		Next: p.replace(&next), Change: Change{Write: []*Session{&next}},
	}, nil
}
