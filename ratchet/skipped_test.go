package ratchet

import (
	"slices"
	"testing"
	"time"
	"unsafe"
)

// SkippedBefore tells what has been missing for how long.
func TestSkippedBefore(t *testing.T) {
	c := newTalk(t)
	all := c.burst(&c.alice, 6)
	s, start := c.bob, c.now
	c.open(&s, all[2])
	c.now = start.Add(time.Minute)
	c.open(&s, all[5])
	for _, b := range []struct {
		at   time.Time
		want int
	}{{start.Add(-time.Second), 0}, {start, 2}, {start.Add(59 * time.Second), 2}, {c.now, 4}} {
		if n := s.SkippedBefore(b.at); n != b.want {
			t.Errorf("at %v: %d, want %d", b.at.Sub(start), n, b.want)
		}
	}
	if n := (State{}).SkippedBefore(c.now); n != 0 {
		t.Errorf("no state has %d", n)
	}
}

func TestR_RAT_12_Jumps(t *testing.T) {
	c := newTalk(t)
	all := c.burst(&c.alice, 6010)
	c.refuse(c.bob, all[2001], ErrTooFarAhead)
	s := c.bob
	c.open(&s, all[2000])
	if s.SkippedCount() != 1000 {
		t.Errorf("%d kept", s.SkippedCount())
	}
	c.refuse(s, all[999], ErrTooOld)
	c.open(&s, all[1000])
	c.open(&s, all[1999])
	c.refuse(s, all[4002], ErrTooFarAhead)
	c.open(&s, all[2001+500]) // 998 and 500 make room of the oldest
	if s.SkippedCount() != 1000 {
		t.Errorf("%d kept", s.SkippedCount())
	}
	c.refuse(s, all[1001+497], ErrTooOld)
	c.open(&s, all[1001+498])
	c.refuse(s, all[1001+498], ErrDuplicate)
	c.open(&s, all[2502+2000])

	// An announced length may add as many, and not more.
	for extra, want := range map[int]error{2000: nil, 2001: ErrTooFarAhead} {
		c := newTalk(t)
		c.rounds(1)
		c.pass(&c.alice, &c.bob, "0")
		c.burst(&c.alice, extra)
		c.pass(&c.bob, &c.alice, "reply")
		m := c.seal(&c.alice, "new chain")
		if want != nil {
			c.refuse(c.bob, m, want)
			continue
		}
		c.open(&c.bob, m)
		if c.bob.SkippedCount() != 1000 || c.bob.older[0].floor != 1001 {
			t.Errorf("%d kept from %d", c.bob.SkippedCount(), c.bob.older[0].floor)
		}
	}
	// The first message of a new chain may be late as well.
	c = newTalk(t)
	c.rounds(1)
	all = c.burst(&c.alice, 2002)
	c.refuse(c.bob, all[2001], ErrTooFarAhead)
	c.open(&c.bob, all[2000])
}

func TestR_RAT_13_SessionLimits(t *testing.T) {
	c := newTalk(t)
	var late [][][]byte
	round := func(n int) {
		late = append(late, c.burst(&c.alice, n))
		c.pass(&c.alice, &c.bob, "ping")
		c.pass(&c.bob, &c.alice, "pong")
	}
	for range 5 {
		round(300)
	}
	if n := c.bob.SkippedCount(); n != 1500 || 1+len(c.bob.older) != 5 {
		t.Fatalf("%d keys, %d chains", n, 1+len(c.bob.older))
	}
	oldest := c.bob.older[3].seed
	late = append(late, c.burst(&c.alice, 300))
	c.pass(&c.alice, &c.bob, "the sixth chain")
	if !c.bob.owes(oldest) {
		t.Error("an evicted chain is not owed")
	}
	c.pass(&c.bob, &c.alice, "pong")
	if n := c.bob.SkippedCount(); n != 1500 || 1+len(c.bob.older) != 5 {
		t.Fatalf("%d keys, %d chains", n, 1+len(c.bob.older))
	}
	c.refuse(c.bob, late[0][0], ErrUnknownChain)
	if c.bob.owes(oldest) {
		t.Error("owed although the reply has disclosed it")
	}
	c.pass(&c.alice, &c.bob, "ping")
	c.pass(&c.bob, &c.alice, "pong")

	// 2 000 in all: the oldest chain pays.
	c = newTalk(t)
	late = nil
	round(900)
	round(900)
	round(500)
	if n := c.bob.SkippedCount(); n != 2000 {
		t.Fatalf("%d keys", n)
	}
	c.refuse(c.bob, late[0][299], ErrTooOld)
	s := c.bob
	c.open(&s, late[0][300])
	c.open(&s, late[1][0])
	c.open(&s, late[2][0])
	// A chain that has paid everything is closed for good and disclosed.
	c.pass(&c.alice, &c.bob, "ping")
	first := c.bob.older[2].seed
	c.burst(&c.alice, 700)
	c.pass(&c.alice, &c.bob, "late")
	if n := c.bob.SkippedCount(); n != 2000 || len(c.bob.older) != 2 || !c.bob.owes(first) {
		t.Errorf("%d keys, %d closed chains, %d owed", n, len(c.bob.older), len(c.bob.owed))
	}
}

func TestR_RAT_14_TooOldOrDuplicate(t *testing.T) {
	c := newTalk(t)
	all := c.burst(&c.alice, 1502)
	c.open(&c.bob, all[0])
	c.refuse(c.bob, all[0], ErrDuplicate)
	c.open(&c.bob, all[1501]) // erases 1 to 500
	for n, want := range map[int]error{0: ErrTooOld, 1: ErrTooOld, 500: ErrTooOld, 1501: ErrDuplicate} {
		c.refuse(c.bob, all[n], want)
	}
	c.open(&c.bob, all[501])
	c.refuse(c.bob, all[501], ErrDuplicate)
	// A changed copy is neither.
	for _, n := range []int{0, 501, 1501} {
		m := slices.Clone(all[n])
		m[seedsAt] ^= 1
		c.refuse(c.bob, m, ErrForged)
	}
}

func TestR_RAT_15_InOrderLeavesSkippedKeysAlone(t *testing.T) {
	c := newTalk(t)
	first := c.burst(&c.alice, 1000)[0]
	c.pass(&c.alice, &c.bob, "jump")
	before := unsafe.SliceData(c.bob.current.skipped)
	part := c.bob.AppendSkipped(nil)
	m := c.seal(&c.alice, "in order")
	o := c.open(&c.bob, m)
	if o.SkippedChanged || unsafe.SliceData(c.bob.current.skipped) != before || string(c.bob.AppendSkipped(nil)) != string(part) {
		t.Error("skipped keys touched")
	}
	next := c.seal(&c.alice, "in order")
	if n := testing.AllocsPerRun(10, func() { c.bob.Open(next, talkAD, c.now) }); n > 6 {
		t.Errorf("%v allocations", n)
	}
	c.open(&c.bob, next)
	if s, changed := c.bob.Expire(c.now); changed || unsafe.SliceData(s.current.skipped) != before {
		t.Error("Expire without effect copies")
	}
	// A late one copies: the state before keeps its keys, and the memory behind
	// the new one does not hold the used key.
	old := c.bob
	c.open(&c.bob, first)
	if old.SkippedCount() != 1000 || c.bob.SkippedCount() != 999 {
		t.Error("the state before has changed")
	}
	used := old.current.skipped[0].key
	for _, k := range c.bob.current.skipped[:cap(c.bob.current.skipped)] {
		if k.key == used {
			t.Error("the used key is still in memory of the new state")
		}
	}
}

func TestR_RAT_16_SkippedKeysExpire(t *testing.T) {
	c := newTalk(t)
	all := c.burst(&c.alice, 10)
	c.open(&c.bob, all[3])
	c.now = c.now.Add(24 * time.Hour)
	c.open(&c.bob, all[6])
	c.now = c.now.Add(6 * 24 * time.Hour)
	s := c.bob
	c.open(&s, all[0]) // exactly seven days
	c.now = c.now.Add(time.Second)
	c.refuse(c.bob, all[0], ErrTooOld)
	s, changed := c.bob.Expire(c.now)
	if !changed || s.SkippedCount() != 2 {
		t.Fatalf("%d left", s.SkippedCount())
	}
	c.refuse(s, all[2], ErrTooOld)
	c.refuse(s, all[6], ErrDuplicate)
	c.open(&s, all[5])
	if _, again := s.Expire(c.now); again {
		t.Error("changed twice")
	}
	// A clock that was ahead does not keep keys for ever.
	c.now = c.now.Add(-365 * 24 * time.Hour)
	s, changed = s.Expire(c.now)
	if !changed || s.current.skipped[0].at != c.now.Unix() {
		t.Error("time in the future kept")
	}
	s, _ = s.Expire(c.now.Add(SkippedLife + time.Second))
	if s.SkippedCount() != 0 {
		t.Error("kept for ever")
	}
	c.open(&s, all[7])
	// Before 1970 there is nothing.
	if s, _ := s.Expire(time.Time{}); s.SkippedCount() != 0 {
		t.Error("zero time")
	}
}
