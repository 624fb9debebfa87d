package server

import (
	"sync"

	"github.com/pawl-chat/pawl/internal/relay"
)

// conns are the connections of a server.
type conns struct {
	mu       sync.Mutex
	byDevice map[Device]*conn
	all      map[*conn]struct{}
	leaving  bool
	alive    sync.WaitGroup
}

// add takes a connection in; false when the server is stopping.
func (t *conns) add(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leaving {
		return false
	}
	t.alive.Add(1)
	t.all[c] = struct{}{}
	return true
}

// own makes c the connection of its device; the one before is closed: the
// newest wins (R-REL-20).
func (t *conns) own(c *conn) {
	t.mu.Lock()
	old := t.byDevice[c.dev]
	t.byDevice[c.dev] = c
	t.mu.Unlock()
	if old != nil {
		old.end()
		old.link.Close(relay.CloseReplaced)
	}
}

// evict closes the connection of a device that is no longer listed.
func (t *conns) evict(dev Device) {
	t.mu.Lock()
	c := t.byDevice[dev]
	t.mu.Unlock()
	if c != nil {
		c.end()
		c.link.Close(relay.CloseUnauthorized)
	}
}

func (t *conns) remove(c *conn) {
	t.mu.Lock()
	delete(t.all, c)
	if t.byDevice[c.dev] == c {
		delete(t.byDevice, c.dev)
	}
	t.mu.Unlock()
	t.alive.Done()
}

// drain lets nobody in any more and returns who is there.
func (t *conns) drain() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = true
	all := make([]*conn, 0, len(t.all))
	for c := range t.all {
		all = append(all, c)
	}
	return all
}

// wait waits until all have gone.
func (t *conns) wait() { t.alive.Wait() }
