package lab

import (
	"context"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// A drill tries a real device's state, in memory (R-SEC-07). Nobody has recorded its
// traffic, so the drill makes messages: those which the other side would have
// sealed are sealed with keys from the copy, moved into the record of a state
// that seals; where the other side's own private key is needed, a stand-in
// with another key takes its place. The attack is that of the scenarios.

// Stolen is a copy of a device's state.
type Stolen struct {
	Self     x3dh.Party
	Identity [32]byte // private X25519 key of the device
	Sessions []StolenSession
	Prekeys  [][]byte // records of package prekeys
	Chains   [][]byte // records of the device's own sender keys, of package groups
}

// StolenSession is the record of a session in its two parts, and whose it is.
type StolenSession struct {
	Peer          string
	Device        uint64
	Head, Skipped []byte
}

// Format prints a placeholder, whatever the verb.
func (Stolen) Format(f fmt.State, _ rune) { fmt.Fprint(f, "lab.Stolen(redacted)") }

// Format prints a placeholder, whatever the verb.
func (StolenSession) Format(f fmt.State, _ rune) { fmt.Fprint(f, "lab.StolenSession(redacted)") }

// What a drill tries.
const (
	TryMissing       = "missing"            // messages that have not come, whose keys were skipped
	TryReceived      = "received"           // numbers of messages that were received
	TryTheirs        = "theirs"             // the peer's next message on the present chain
	TryYours         = "yours"              // what the victim writes next
	TryAnswer        = "answer"             // the peer's answer to that
	TryHealed        = "healed"             // what both write after both have made a new key
	TryRead          = "read"               // the whole talk, by who steals the state after it
	TryAfter         = "after"              // the peer's next message then: the control of it
	TryForeign       = "foreign"            // a message of a session of other people: the control of all
	TryFirst         = "first"              // first messages with one-time keys, before they come
	TryFirstAnswered = "first_answered"     // the same once they were answered
	TryLast          = "last"               // first messages without one-time keys, before they come
	TryLastAnswered  = "last_answered"      // the same once they were answered
	TryGroupYours    = "group_yours"        // what the victim says next in groups
	TryGroupRead     = "group_yours_before" // the same, by who steals the state after it
)

// DrillResult is what was tried of one kind, and how much of it opened.
type DrillResult struct {
	What          string
	Peer          string // whose sessions, if it is about one person
	Tried, Opened int
}

// triesReceived is how many numbers of each chain that were received are tried.
const triesReceived = 20

// Drill attacks a copy of a device's state and says what opened (R-SEC-08). It changes
// nothing in it. A fault of the code, such as a message that opens as another
// text, is ErrFault; a copy that cannot be read is the error of its package.
func Drill(ctx context.Context, x Stolen) ([]DrillResult, error) {
	d := &drill{stolen: x, self: peer{x.Self.Address, x.Self.Device}}
	for _, s := range x.Sessions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := d.session(s); err != nil {
			return nil, err
		}
	}
	if err := d.first(); err != nil {
		return nil, err
	}
	err := d.groups()
	return d.trials, err
}

type drill struct {
	stolen Stolen
	self   peer
	trials []DrillResult
}

// count adds to what was tried of a kind.
func (d *drill) count(what, who string, tried, opened int) {
	i := slices.IndexFunc(d.trials, func(t DrillResult) bool { return t.What == what && t.Peer == who })
	if i < 0 {
		i = len(d.trials)
		d.trials = append(d.trials, DrillResult{What: what, Peer: who})
	}
	d.trials[i].Tried += tried
	d.trials[i].Opened += opened
}

// exercise is the letters of one session in a drill: who steals what tries to open
// which of them.
type exercise struct {
	*drill
	peer    peer
	stolen  *session.Session // as the thief has it
	letters []*letter
	kinds   []string
}

// post records a letter of a kind.
func (t *exercise) post(what string, from, to peer, body, text []byte) {
	t.letters = append(t.letters, &letter{
		index: len(t.letters), from: from, to: to, session: t.stolen.ID, body: body, ad: t.stolen.AD, text: text,
	})
	t.kinds = append(t.kinds, what)
}

// rob lets a thief with one session try all letters.
func (t *exercise) rob(s *session.Session) ([]bool, error) {
	l := &loot{self: t.self}
	l.disk = newDisk(t.drill.stolen.Self, nil)
	l.disk.identity = t.drill.stolen.Identity
	l.disk.sessions[t.peer] = map[session.ID]stored{s.ID: {s.Head(), s.Skipped()}}
	w := &world{letters: t.letters}
	return w.attack(l)
}

// session tries one session: what is missing, what was received, and a talk
// that goes on from where it stands.
func (d *drill) session(x StolenSession) error {
	s, err := session.Parse(x.Head, x.Skipped)
	if err != nil {
		return err
	}
	t := &exercise{drill: d, peer: peer{x.Peer, x.Device}, stolen: s}
	var other *ratchet.PrivateKey
	if h := read(s.State); h.turn == replying {
		// The peer's present private key is not here. A stand-in has one of its own.
		some, public := ratchet.GenerateKey()
		other, h.peer = &some, public.Array()
		copied := *s
		if copied.State, err = h.state(); err != nil {
			return fmt.Errorf("%w: a stand-in for the peer: %w", ErrFault, err)
		}
		t.stolen = &copied
	}
	if err := t.chains(); err != nil {
		return err
	}
	after, err := t.goesOn(other)
	if err != nil {
		return err
	}
	if err := t.foreign(); err != nil {
		return err
	}
	opened, err := t.rob(t.stolen)
	if err != nil {
		return err
	}
	for i, ok := range opened {
		d.count(t.kinds[i], x.Peer, 1, ones(ok))
	}
	if after == nil {
		return nil
	}
	// Who comes later finds what was read by then closed, and what comes next open.
	later, err := t.rob(after)
	if err != nil {
		return err
	}
	for i, ok := range later {
		switch t.kinds[i] {
		case TryTheirs, TryYours, TryAnswer, TryHealed:
			d.count(TryRead, x.Peer, 1, ones(ok))
		}
	}
	t.letters, t.kinds = nil, nil
	if err := t.theirs(TryAfter, after.State); err != nil {
		return err
	}
	control, err := t.rob(after)
	for _, ok := range control {
		d.count(TryAfter, x.Peer, 1, ones(ok))
	}
	return err
}

func ones(ok bool) int {
	if ok {
		return 1
	}
	return 0
}
