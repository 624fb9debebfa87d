package client

import (
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/relay"
)

// TestR_CLT_23_Schedule: five tries within about a minute, then the heartbeat;
// what the server asked for is never undercut, whatever pushes.
func TestR_CLT_23_Schedule(t *testing.T) {
	start := time.UnixMilli(1_800_000_000_000)
	now, o := start, outboxRecord{}
	for range QuickTries {
		now = now.Add(o.putOff(now, ErrMailboxFull))
		if o.due(false) != now || o.due(true).After(start) {
			t.Errorf("due %v, pushed %v, want %v", o.due(false), o.due(true), now)
		}
	}
	if all := now.Sub(start); all < 45*time.Second || all > 90*time.Second {
		t.Errorf("quick tries take %v", all)
	}
	for range 3 {
		if rest := o.putOff(now, ErrMailboxFull); rest != RetryEvery {
			t.Errorf("then %v", rest)
		}
	}
	o.putOff(now, &relay.Error{Code: relay.RateLimited, RetryAfter: time.Hour})
	if want := now.Add(time.Hour); o.due(false) != want || o.due(true) != want {
		t.Errorf("due %v, pushed %v, the server said %v", o.due(false), o.due(true), want)
	}
}
