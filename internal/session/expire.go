package session

import "time"

// Tick applies the passing of time (R-SES-06, R-SES-07): sessions on
// which nothing was received for UnansweredFor and sessions idle for IdleFor are
// wiped, with a farewell if anything was ever received, and skipped keys past
// their life are erased. The farewells may
// leave the device only after the next pair is durable; they are not in the
// Change as well.
//
// A time that lies in the future, under a clock since set back, is from now on
// taken as now, so that nothing lives for ever (R-SES-10).
func (p Pair) Tick(now time.Time) (Pair, Change, []Farewell) {
	now = stamp(now)
	var ch Change
	next := p
	for _, s := range p.sessions {
		if s.over(now) {
			ch.erase(s)
			next = next.without(s.ID)
			continue
		}
		c := *s
		st, expired := s.State.Expire(now)
		if expired {
			c.State = st
			ch.Skipped = append(ch.Skipped, c.ID)
		}
		ahead := s.Started.After(now) || s.Heard.After(now) || s.LastUsed.After(now)
		if ahead {
			c.Started, c.Heard, c.LastUsed = earlier(s.Started, now), earlier(s.Heard, now), earlier(s.LastUsed, now)
		}
		if expired || ahead {
			ch.Write = append(ch.Write, &c)
			next = next.replace(&c)
		}
	}
	farewells := ch.Farewells
	ch.Farewells = nil
	return next, ch, farewells
}

// over reports whether the session has come to its end.
func (s *Session) over(now time.Time) bool {
	if now.Sub(s.Heard) >= UnansweredFor {
		return true // the peer may have lost it
	}
	return s.Answered && now.Sub(s.LastUsed) >= IdleFor
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
