package client_test

import (
	"sync"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// TestR_CLT_10_OwnerLeaves: of many calls that are under way when the owner of
// the home leaves, none fails, also when another call of the same process
// finds out first.
func TestR_CLT_10_OwnerLeaves(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	now := w.join(home, "alice")
	for range 15 {
		next := open(t, home)
		var calls sync.WaitGroup
		stop := make(chan struct{})
		begun := make(chan struct{}, 8)
		for range cap(begun) {
			calls.Go(func() {
				for first := true; !done(stop); first = false {
					if _, err := next.Status(ctx(t)); err != nil {
						t.Errorf("a call failed: %v", err)
						return
					}
					if first {
						begun <- struct{}{}
					}
				}
			})
		}
		for range cap(begun) {
			<-begun
		}
		if err := now.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := next.Send(ctx(t), "me", "after", client.SendOptions{NoWait: true}); err != nil {
			t.Fatal(err)
		}
		close(stop)
		calls.Wait()
		now = next
	}
}

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
