package prekeys

import (
	"slices"
	"time"
)

// Status is what a device knows when it asks what is due.
type Status struct {
	// Held describes every private prekey in the store.
	Held []Info
	// AtServer says that the three fields below were learnt from the server in
	// this connection.
	AtServer bool
	// EC and KEM are the one-time keys the server has left.
	EC, KEM int
	// InStep says that the server's last upload is the device's last: their
	// digests are equal.
	InStep bool
	// Rand is a fresh random number; jitter comes from it.
	Rand uint64
}

// Make is what is to be generated and uploaded.
type Make uint8

// What to make.
const (
	Nothing  Make = iota
	Rotation      // Rotate
	Batch         // Generate
)

// Actions is what is due.
type Actions struct {
	Make Make
	// Delay is how long to wait before making and uploading; zero when nothing
	// is published yet or what is published is not ours.
	Delay time.Duration
	// Erase names the private prekeys whose time is over. A last-resort key's
	// entries in the replay table go with it, in the same transaction.
	Erase []Info
	// Next is when to ask again at the latest.
	Next time.Time
}

// Plan decides what is due (R-PRE-09, R-PRE-10). It never asks to erase a key
// that has not been replaced, whatever its age: a device that was away for
// months still opens what waits for it.
func Plan(now time.Time, s Status) Actions {
	signed := current(now, s.Held, Signed)
	lastResort := current(now, s.Held, KEMLastResort)
	batch := current(now, s.Held, OneTimeEC)
	if k := current(now, s.Held, KEMOneTime); k < batch {
		batch = k
	}

	var a Actions
	paused := within(now, batch, RefillPause)
	switch {
	case signed == 0 || lastResort == 0:
		a.Make = Batch
	case s.AtServer && !s.InStep && !paused:
		a.Make = Batch
	case s.AtServer && (s.EC < RefillBelow || s.KEM < RefillBelow) && !paused,
		!within(now, batch, RefreshOneTime):
		a.Make, a.Delay = Batch, jitter(s.Rand)
	case !within(now, signed, RotateEvery) || !within(now, lastResort, RotateEvery):
		a.Make, a.Delay = Rotation, jitter(s.Rand)
	}

	made := makings(s.Held)
	for _, k := range s.Held {
		if t := replaced(made[k.Kind], k.Created); t != 0 && !within(now, t, KeepPrivate) {
			a.Erase = append(a.Erase, k)
		}
	}
	a.Next = now.Add(RefillPause)
	if due := time.Unix(min(signed, lastResort), 0).Add(RotateEvery); due.After(now) && due.Before(a.Next) {
		a.Next = due
	}
	return a
}

// Erasures says when each of the private prekeys held is to be erased: the zero
// time for one that has not been replaced. One-time keys go earlier if they are
// used.
func Erasures(held []Info) []time.Time {
	made := makings(held)
	out := make([]time.Time, len(held))
	for i, k := range held {
		if t := replaced(made[k.Kind], k.Created); t != 0 {
			out[i] = time.Unix(t, 0).Add(KeepPrivate)
		}
	}
	return out
}

// current is when the newest key of a kind was made, 0 when there is none.
// Keys dated in the future, made while the clock was wrong, do not count
// (R-PRE-13).
func current(now time.Time, held []Info, kind Kind) (created int64) {
	for _, k := range held {
		if k.Kind == kind && k.Created > created && !future(now, k) {
			created = k.Created
		}
	}
	return created
}

// makings lists, ascending, the times at which keys of each kind were made. One
// dated in the future replaces nothing before that time has come and
// KeepPrivate after it (R-PRE-13).
func makings(held []Info) map[Kind][]int64 {
	m := make(map[Kind][]int64)
	for _, k := range held {
		m[k.Kind] = append(m[k.Kind], k.Created)
	}
	for _, t := range m {
		slices.Sort(t)
	}
	return m
}

// replaced is the first of the times after created, 0 when there is none.
func replaced(times []int64, created int64) int64 {
	i, _ := slices.BinarySearch(times, created+1)
	if i == len(times) {
		return 0
	}
	return times[i]
}

func future(now time.Time, k Info) bool { return k.Created > now.Add(Skew).Unix() }

// within reports whether less than d has passed since created.
func within(now time.Time, created int64, d time.Duration) bool {
	return created != 0 && now.Before(time.Unix(created, 0).Add(d))
}

// jitter is a delay below Jitter, evenly drawn by r.
func jitter(r uint64) time.Duration { return time.Duration(r % uint64(Jitter)) }
