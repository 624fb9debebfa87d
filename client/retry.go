package client

import (
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/relay"
)

// An entry of the outbox that the server could not take, a full mailbox for
// instance, is tried again five times within about a minute. After that it
// rests until something makes another try worth while: a new connection, the
// next send, Sync, or the heartbeat of the outbox (R-CLT-23). What the server
// asked to wait is waited in any case.

// pause is how long an entry rests after so many tries.
func pause(tries uint64) time.Duration {
	if tries == 0 || tries > QuickTries {
		return RetryEvery
	}
	return min(time.Second<<tries, 30*time.Second)
}

// putOff notes a try that failed. It returns how long to rest.
func (o *outboxRecord) putOff(now time.Time, cause error) time.Duration {
	o.Attempts++
	wait := pause(o.Attempts)
	var refusal *relay.Error
	if errors.As(cause, &refusal) && refusal.RetryAfter > 0 {
		wait = max(wait, refusal.RetryAfter)
		o.Demand = now.Add(refusal.RetryAfter).UnixMilli()
	}
	o.After = now.Add(wait).UnixMilli()
	return wait
}

// lane is what waits behind an entry that must wait: everything to its
// recipient, or, if it is for one device only, what is for that device only. A
// device with a full mailbox does not hold the others back (R-CLT-51).
func (o *outboxRecord) lane() string {
	device := o.Only
	if o.Control && len(o.Sealed) == 1 {
		device = o.Sealed[0].Device
	}
	if device == 0 {
		return o.To
	}
	return o.To + "/" + address.Device(device).String()
}

// due is when an entry may be tried again; pushed is whether there is a reason
// to do so before its pause is over.
func (o *outboxRecord) due(pushed bool) time.Time {
	if pushed {
		return time.UnixMilli(o.Demand)
	}
	return time.UnixMilli(o.After)
}

// push makes the next round of the outbox try what rests, too.
func (e *engine) push() {
	e.mu.Lock()
	e.pushed = true
	e.mu.Unlock()
	wake(e.flushKick)
}

func (e *engine) takePush() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	pushed := e.pushed
	e.pushed = false
	return pushed
}

// overdue reports whether an entry has been tried for too long.
func (e *engine) overdue(o *outboxRecord) bool {
	if o.Quiet && o.toGroup() {
		return false // a disclosure has no hurry and must not get lost
	}
	return e.now().Sub(time.UnixMilli(o.Created)) > e.outboxFor
}
