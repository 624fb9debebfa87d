package client

import (
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/devicelist"
)

// R-CLT-28: what a device is told that has just come into the own list leaves at
// once, and does not wait for the next thing that happens here.
func TestR_CLT_28_WelcomeLeavesAtOnce(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	e := c.of["alice"].engine
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	own, err := e.ownPerson(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := own.list.Next(e.now())
	next.Devices[0].Name = "another name"
	entry, err := devicelist.Sign(next, e.self.account)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.emptied(t.Context()); err != nil {
		t.Fatal(err)
	}
	rounds := func() uint64 {
		e.mu.Lock()
		defer e.mu.Unlock()
		return uint64(e.begun)
	}
	before := rounds()
	if _, err := e.takeList(t.Context(), e.self.address, append(slices.Clip(own.record.Chain), entry)); err != nil {
		t.Fatal(err)
	}
	limit := time.After(10 * time.Second)
	for {
		news := e.watch()
		if rounds() != before {
			return
		}
		select {
		case <-news:
		case <-limit:
			t.Fatal("the outbox was not looked at")
		}
	}
}
