package groups

import (
	"slices"
	"time"
)

// skippedKey is the key of a message that has not arrived yet.
type skippedKey struct {
	at    int64 // Unix seconds at which it was skipped
	index uint32
	key   messageKey
}

// old reports whether the key has outlived SkippedLife.
func (k *skippedKey) old(now int64) bool { return now-k.at > int64(SkippedLife/time.Second) }

// take removes the skipped key of index (R-GRP-12). The keys that remain are
// copied, so that the next state holds no memory with the used one in it.
func (r *Receiving) take(index uint32, now int64) (messageKey, error) {
	i, ok := slices.BinarySearchFunc(r.skipped, index, func(k skippedKey, n uint32) int {
		return int(int64(k.index) - int64(n))
	})
	switch {
	case ok && r.skipped[i].old(now):
		return messageKey{}, ErrTooOld
	case ok:
		key := r.skipped[i].key
		rest := make([]skippedKey, 0, len(r.skipped)-1)
		r.skipped = append(append(rest, r.skipped[:i]...), r.skipped[i+1:]...)
		r.generation++
		return key, nil
	case index < r.floor:
		return messageKey{}, ErrTooOld
	}
	return messageKey{}, ErrDuplicate
}

// skip moves the chain from next to to and keeps the newest MaxSkipped of its
// skipped keys, old and new (R-GRP-11).
func (r *Receiving) skip(to uint32, now int64) {
	r.generation++
	fresh := min(to-r.next, MaxSkipped)
	from := to - fresh
	held := r.skipped
	if kept := MaxSkipped - int(fresh); len(held) > kept {
		n := len(held) - kept
		r.floor = max(r.floor, held[n-1].index+1)
		held = held[n:]
	}
	if from > r.next {
		r.floor = max(r.floor, from)
	}
	keys := make([]skippedKey, len(held), len(held)+int(fresh))
	copy(keys, held)
	for ; r.next < from; r.next++ {
		r.key.pass()
	}
	for ; r.next < to; r.next++ {
		keys = append(keys, skippedKey{at: now, index: r.next, key: r.key.step()})
	}
	r.skipped = keys
}

// Expire erases the skipped keys that are older than SkippedLife (R-GRP-11), and
// everything of a chain that is older than ChainLife (R-GRP-13), and reports
// whether the chain changed; if so, both parts of the record have. A key that
// seems to have been skipped in the future, under a clock since set back, is
// from now on taken as skipped now.
func (r Receiving) Expire(now time.Time) (Receiving, bool) {
	t := seconds(now)
	if r.binding == nil || r.closed {
		return r, false
	}
	if t-r.created > int64(ChainLife/time.Second) {
		r, err := r.Close(nil)
		return r, err == nil
	}
	if !slices.ContainsFunc(r.skipped, func(k skippedKey) bool { return k.old(t) || k.at > t }) {
		return r, false
	}
	keys := make([]skippedKey, 0, len(r.skipped))
	for _, k := range r.skipped {
		if k.old(t) {
			r.floor = max(r.floor, k.index+1)
			continue
		}
		k.at = min(k.at, t)
		keys = append(keys, k)
	}
	r.skipped = keys
	r.generation++
	return r, true
}
