package ratchet

import "time"

// Exposure says what somebody would get who copied a state now, in counts and
// times. It holds no key.
type Exposure struct {
	// Sending: we hold the private key of our open chain. Who copies that reads
	// what we seal until the peer has answered with a new ratchet key and we have
	// made another one, and what the peer seals until it has that one. Otherwise
	// what we seal next is out of reach of a copy (R-RAT-08).
	Sending bool
	// Receiving: the peer's open chain can be read on.
	Receiving bool
	// Skipped is how many messages have been skipped and can still be opened;
	// SkippedFirst and SkippedLast are when the oldest and the newest of them were.
	Skipped                   int
	SkippedFirst, SkippedLast time.Time
	// Of the peer's chains: how many MAC seeds are held here alone, how many are
	// owed to the next message, and how many have been disclosed by messages that
	// were sealed.
	Held, Owed, Disclosed int
}

// Exposure returns what a copy of the state would give.
func (s State) Exposure() Exposure {
	e := Exposure{Receiving: s.current.cipher != nil, Owed: len(s.owed)}
	_, e.Sending = s.turn.(*sending)
	see := func(c *receiving) {
		e.Held++
		e.Skipped += len(c.skipped)
		for i := range c.skipped {
			at := time.Unix(c.skipped[i].at, 0)
			if e.SkippedFirst.IsZero() || at.Before(e.SkippedFirst) {
				e.SkippedFirst = at
			}
			if at.After(e.SkippedLast) {
				e.SkippedLast = at
			}
		}
	}
	if e.Receiving {
		see(&s.current)
		for i := range s.older {
			see(&s.older[i])
		}
		// Chains count DH steps of both sides (R-RAT-28), every second one is the
		// peer's. One that is gone was owed, and what is owed no more was disclosed
		// (R-RAT-18, R-RAT-19).
		e.Disclosed = int((s.current.id+1)/2) - e.Held - e.Owed
	}
	return e
}
