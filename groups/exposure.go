package groups

import "time"

// MissingSince is when the oldest and the newest of the skipped keys were
// skipped, in whole seconds; zero times when the chain holds none.
func (r Receiving) MissingSince() (first, last time.Time) {
	for i := range r.skipped {
		at := time.Unix(r.skipped[i].at, 0)
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return first, last
}
