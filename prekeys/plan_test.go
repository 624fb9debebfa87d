package prekeys

import (
	"slices"
	"testing"
	"time"
)

// batch and rotation describe what Generate and Rotate leave in a store.
func batch(at time.Time, first uint64) (held []Info) {
	held = rotation(at, first)
	for i := range uint64(4) {
		kind := OneTimeEC
		if i%2 == 1 {
			kind = KEMOneTime
		}
		held = append(held, Info{Kind: kind, ID: first + 2 + i, Created: at.Unix()})
	}
	return held
}

func rotation(at time.Time, first uint64) []Info {
	return []Info{{Kind: Signed, ID: first, Created: at.Unix()}, {Kind: KEMLastResort, ID: first + 1, Created: at.Unix()}}
}

func TestR_PRE_09_WhatIsDue(t *testing.T) {
	const rand = 1234567890123456789
	full := func(s Status) Status {
		s.AtServer, s.InStep, s.EC, s.KEM, s.Rand = true, true, OneTimeKeys, OneTimeKeys, rand
		return s
	}
	fresh := batch(now, 1)
	for name, c := range map[string]struct {
		at     time.Duration
		s      Status
		want   Make
		jitter bool
	}{
		"nothing held":             {0, full(Status{}), Batch, false},
		"all is well":              {time.Hour, full(Status{Held: fresh}), Nothing, false},
		"all is well, offline":     {time.Hour, Status{Held: fresh}, Nothing, false},
		"just under two days":      {RotateEvery - time.Second, full(Status{Held: fresh}), Nothing, false},
		"two days":                 {RotateEvery, full(Status{Held: fresh}), Rotation, true},
		"last-resort key missing":  {time.Hour, full(Status{Held: fresh[:1]}), Batch, false},
		"28 days":                  {RefreshOneTime, full(Status{Held: fresh}), Batch, true},
		"another upload at server": {RefillPause, Status{Held: fresh, AtServer: true, EC: 100, KEM: 100, Rand: rand}, Batch, false},
	} {
		a := Plan(now.Add(c.at), c.s)
		if a.Make != c.want || (a.Delay != 0) != c.jitter {
			t.Errorf("%s: make %d after %v", name, a.Make, a.Delay)
		}
		if !a.Next.After(now.Add(c.at)) {
			t.Errorf("%s: ask again at %v", name, a.Next)
		}
	}
	for _, left := range [][2]int{{24, 100}, {100, 24}, {0, 0}} {
		s := full(Status{Held: fresh})
		s.EC, s.KEM = left[0], left[1]
		if a := Plan(now.Add(RefillPause), s); a.Make != Batch || a.Delay == 0 {
			t.Errorf("%v left: make %d after %v", left, a.Make, a.Delay)
		}
		s.AtServer = false
		if a := Plan(now.Add(RefillPause), s); a.Make != Nothing {
			t.Errorf("%v left, not from the server: make %d", left, a.Make)
		}
	}
	s := full(Status{Held: fresh})
	s.EC, s.KEM = RefillBelow, RefillBelow
	if a := Plan(now.Add(RefillPause), s); a.Make != Nothing {
		t.Errorf("25 left: make %d", a.Make)
	}
}

// A server that always claims to have nothing makes a device generate no more
// than one batch in RefillPause.
func TestR_PRE_09_LyingServer(t *testing.T) {
	for _, inStep := range []bool{true, false} {
		held := batch(now, 1)
		made := 0
		for h := range 48 {
			at := now.Add(time.Duration(h) * time.Hour)
			if a := Plan(at, Status{Held: held, AtServer: true, InStep: inStep}); a.Make == Batch {
				made++
				held = append(held, batch(at, uint64(100*h))...)
			}
		}
		if made > 8 || made < 7 {
			t.Errorf("in step %v: %d batches in 48 hours", inStep, made)
		}
	}
}

func TestR_PRE_09_Jitter(t *testing.T) {
	s := Status{Held: batch(now, 1), AtServer: true, InStep: true}
	var sum time.Duration
	x := uint64(1)
	for range 1000 {
		x = x*6364136223846793005 + 1442695040888963407
		s.Rand = x
		a := Plan(now.Add(RefillPause), s)
		if a.Make != Batch || a.Delay < 0 || a.Delay >= Jitter {
			t.Fatalf("make %d after %v", a.Make, a.Delay)
		}
		sum += a.Delay
	}
	if mean := sum / 1000; mean < Jitter*4/10 || mean > Jitter*6/10 {
		t.Errorf("mean delay %v", mean)
	}
}

func TestR_PRE_10_Erasure(t *testing.T) {
	old, next := batch(now, 1), rotation(now.Add(RotateEvery), 11)
	later := batch(now.Add(10*24*time.Hour), 21)
	held := slices.Concat(old, next, later)
	ids := func(at time.Time) (out []uint64) {
		for _, k := range Plan(at, Status{Held: held}).Erase {
			out = append(out, k.ID)
		}
		slices.Sort(out)
		return out
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		at   time.Duration
		want []uint64
	}{
		{0, nil},
		{37 * day, nil},
		{39*day - time.Second, nil},
		{39 * day, []uint64{1, 2}}, // replaced on day 2
		{47*day - time.Second, []uint64{1, 2}},
		{47 * day, []uint64{1, 2, 3, 4, 5, 6, 11, 12}}, // replaced on day 10
		{400 * day, []uint64{1, 2, 3, 4, 5, 6, 11, 12}},
	} {
		if got := ids(now.Add(c.at)); !slices.Equal(got, c.want) {
			t.Errorf("day %v: erase %v, want %v", c.at/day, got, c.want)
		}
	}
	// A device that was away for a year keeps what others wrote to.
	held = batch(now, 1)
	if got := ids(now.Add(365 * day)); got != nil {
		t.Errorf("after a year away: erase %v", got)
	}
}

// R-PRE-13: keys made under a wrong clock do not get others erased.
func TestR_PRE_13_WrongClock(t *testing.T) {
	year := 365 * 24 * time.Hour
	good := batch(now, 1)
	ahead := batch(now.Add(year), 11) // made while the clock was a year ahead
	held := slices.Concat(good, ahead)
	for _, d := range []time.Duration{0, 40 * 24 * time.Hour, 300 * 24 * time.Hour} {
		if a := Plan(now.Add(d), Status{Held: held}); len(a.Erase) != 0 {
			t.Errorf("after %v: erase %v", d, a.Erase)
		}
	}
	// They do not count as current either: rotation goes on.
	if a := Plan(now.Add(RotateEvery), Status{Held: held}); a.Make != Rotation {
		t.Errorf("make %d", a.Make)
	}
	// A clock that is behind erases nothing.
	if a := Plan(now.Add(-year), Status{Held: good}); len(a.Erase) != 0 {
		t.Errorf("clock behind: erase %v", a.Erase)
	}
	// Hours off are within tolerance.
	if a := Plan(now.Add(-12*time.Hour), Status{Held: good}); a.Make != Nothing {
		t.Errorf("clock 12 hours behind: make %d", a.Make)
	}
}

func BenchmarkPlan(b *testing.B) {
	var held []Info
	for d := range 100 {
		for range 50 {
			held = append(held, batch(now.Add(time.Duration(d)*6*time.Hour), uint64(d*1000))...)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Plan(now.Add(40*24*time.Hour), Status{Held: held})
	}
}
