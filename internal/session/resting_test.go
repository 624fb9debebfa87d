package session

import (
	"testing"
	"time"
)

// TestR_SES_17_Resting: nothing is sealed on a session that the peer may be
// about to end, whether it was answered or not; use and a new start put that off.
func TestR_SES_17_Resting(t *testing.T) {
	for _, answered := range []bool{false, true} {
		s := newStage(t, 17)
		s.talk(s.a)
		if answered {
			s.talk(s.b)
		}
		if RestFor >= IdleFor || !s.a.pair.Ready(s.now.Add(RestFor-time.Millisecond)) || s.a.pair.Ready(s.now.Add(RestFor)) {
			t.Errorf("answered %v: it rests at the wrong time", answered)
		}
		s.now = s.now.Add(RestFor - time.Millisecond)
		s.talk(s.a)
		s.now = s.now.Add(time.Millisecond)
		for _, d := range s.devices {
			if !d.pair.Ready(s.now) {
				t.Errorf("answered %v: a session in use rests", answered)
			}
		}
	}
	if (Pair{}).Ready(time.Unix(0, 0)) {
		t.Error("there is no session to be ready")
	}
}
