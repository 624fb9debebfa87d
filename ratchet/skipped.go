package ratchet

import (
	"slices"
	"time"
)

// receiving is a chain of the peer's. While it is State.current its numbers
// from next on are still to come; once closed, next is its length.
type receiving struct {
	id     uint64
	cipher *headerCipher
	seed   macSeed
	epoch  uint32 // that the chain rests on
	next   uint32
	// floor tells an erased key from a used one: every number below it that is
	// not in skipped was opened or erased, and which of the two is forgotten;
	// from floor to next it was opened (R-RAT-14).
	floor uint32
	// skipped holds the keys of the numbers below next that may still arrive,
	// ascending. Copy on write: a slice once stored in a State never changes,
	// and an in-order message does not touch it (R-RAT-15).
	skipped []skippedKey
}

// skippedKey is the key of a message that has not arrived yet.
type skippedKey struct {
	at     int64 // Unix seconds at which it was skipped
	number uint32
	key    messageKey
}

// old reports whether the key has outlived SkippedLife.
func (k *skippedKey) old(now int64) bool { return now-k.at > int64(SkippedLife/time.Second) }

// take removes the skipped key of number. The keys that remain are copied, so
// that the next state holds no memory with the used one in it.
func (c *receiving) take(number uint32, now int64) (messageKey, error) {
	i, ok := slices.BinarySearchFunc(c.skipped, number, func(k skippedKey, n uint32) int {
		return int(int64(k.number) - int64(n))
	})
	switch {
	case ok && c.skipped[i].old(now):
		return messageKey{}, ErrTooOld
	case ok:
		key := c.skipped[i].key
		rest := make([]skippedKey, 0, len(c.skipped)-1)
		c.skipped = append(append(rest, c.skipped[:i]...), c.skipped[i+1:]...)
		return key, nil
	case number < c.floor:
		return messageKey{}, ErrTooOld
	}
	return messageKey{}, ErrDuplicate
}

// skip moves the chain from next to to, keeps the newest MaxChainSkipped of its
// skipped keys, old and new, and returns the chain key at to (R-RAT-12).
func (c *receiving) skip(key chainKey, to uint32, now int64) chainKey {
	fresh := min(to-c.next, MaxChainSkipped)
	from := to - fresh
	if kept := MaxChainSkipped - int(fresh); len(c.skipped) > kept {
		c.evict(len(c.skipped) - kept)
	}
	if from > c.next {
		c.floor = max(c.floor, from)
	}
	keys := make([]skippedKey, len(c.skipped), len(c.skipped)+int(fresh))
	copy(keys, c.skipped)
	for ; c.next < from; c.next++ {
		key.pass()
	}
	for ; c.next < to; c.next++ {
		keys = append(keys, skippedKey{at: now, number: c.next, key: key.step()})
	}
	c.skipped = keys
	return key
}

// evict forgets the n oldest skipped keys.
func (c *receiving) evict(n int) {
	if n == 0 {
		return
	}
	c.floor = max(c.floor, c.skipped[n-1].number+1)
	c.skipped = slices.Clone(c.skipped[n:])
}

// enforce brings the session within MaxChains and MaxSkipped, at the cost of
// the oldest keys of the oldest chains (R-RAT-13). What that closes is owed.
func (s *State) enforce() {
	if n := len(s.older); 1+n > MaxChains {
		s.generation++
		for i := n - 1; 1+i >= MaxChains; i-- {
			s.owe(i)
		}
	}
	excess := s.SkippedCount() - MaxSkipped
	for i := len(s.older) - 1; i >= 0 && excess > 0; i-- {
		c := s.older[i]
		n := min(excess, len(c.skipped))
		c.evict(n)
		excess -= n
		s.replace(i, c)
		s.generation++
	}
	if excess > 0 {
		s.current.evict(excess)
		s.generation++
	}
}

// Expire erases the skipped keys that are older than SkippedLife (R-RAT-16) and
// reports whether the state changed; if so, both parts of the record have. A
// key that seems to have been skipped in the future, under a clock since set
// back, is from now on taken as skipped now.
func (s State) Expire(now time.Time) (State, bool) {
	t := seconds(now)
	changed := s.current.expire(t)
	for i := len(s.older) - 1; i >= 0; i-- {
		c := s.older[i]
		if c.expire(t) {
			changed = true
			s.replace(i, c)
		}
	}
	if changed {
		s.generation++
	}
	return s, changed
}

func (c *receiving) expire(now int64) bool {
	changed := false
	for i := range c.skipped {
		if c.skipped[i].old(now) || c.skipped[i].at > now {
			changed = true
			break
		}
	}
	if !changed {
		return false
	}
	keys := make([]skippedKey, 0, len(c.skipped))
	for _, k := range c.skipped {
		if k.old(now) {
			c.floor = max(c.floor, k.number+1)
			continue
		}
		k.at = min(k.at, now)
		keys = append(keys, k)
	}
	c.skipped = keys
	return true
}
