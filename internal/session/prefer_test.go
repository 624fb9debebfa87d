package session

import "testing"

// TestR_SES_16_Preferred: of two starts that cross, the one on which the peer
// asks for what it could not open becomes active, whatever the ids; and
// nothing else moves a session.
func TestR_SES_16_Preferred(t *testing.T) {
	for seed := range uint64(8) {
		s, lo, hi := crossed(t, seed)
		x, y := lo.pair.Active().ID, hi.pair.Active().ID
		s.read(lo, s.write(hi))
		s.active(lo, x, "the larger start arrives")
		if next, ch := lo.pair.Prefer(ID{1}); next.Active().ID != x || len(ch.Write) != 0 {
			t.Error("a session that is not there was preferred")
		}
		next, ch := lo.pair.Prefer(y)
		if next.Active().ID != y || len(ch.Write) != 1 || ch.Write[0].Rank <= lo.pair.Active().Rank {
			t.Errorf("asked on %x, active is %x", y, next.Active().ID)
		}
		if lo.pair.Active().ID != x {
			t.Error("the pair it was made of has changed")
		}
		if again, ch := next.Prefer(x); again.Active().ID != y || len(ch.Write) != 0 {
			t.Error("an answered session gave way")
		}
		lo.pair = next
		s.read(hi, s.write(lo)) // and the peer, which has x no less, stays with its own
		s.active(hi, y, "answered")
	}
	if next, ch := (Pair{}).Prefer(ID{}); next.Active() != nil || len(ch.Write) != 0 {
		t.Error("a session of nothing")
	}
}
