package server

import (
	"context"
	"sync"
)

// Subscription is one connection's interest in one device.
type Subscription struct {
	// Last is the newest Seq of any device that was durable when the
	// subscription began, 0 if the Wake cannot tell: every message of this device
	// up to Last is seen by a Read, every later one is followed by a hint.
	Last Seq
	// C carries the newest Seq of the device. Hints that were not fetched are
	// merged into one. It is never closed.
	C <-chan Seq

	cancel func()
}

// Cancel ends the subscription. It may be called more than once.
func (s *Subscription) Cancel() { s.cancel() }

// Hint says that a device has messages up to Seq.
type Hint struct {
	Device Device
	Seq    Seq
}

// Hub is a Wake within one process. Mailboxes call Notify after what they tell
// of is durable.
type Hub struct {
	mu   sync.Mutex
	last Seq
	subs map[Device][]chan Seq
}

// NewHub returns a hub without subscribers.
func NewHub() *Hub { return &Hub{subs: make(map[Device][]chan Seq)} }

// Subscribe implements Wake.
func (h *Hub) Subscribe(_ context.Context, dev Device) (*Subscription, error) {
	c := make(chan Seq, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[dev] = append(h.subs[dev], c)
	return &Subscription{Last: h.last, C: c, cancel: func() { h.drop(dev, c) }}, nil
}

func (h *Hub) drop(dev Device, c chan Seq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	subs := h.subs[dev]
	for i := range subs {
		if subs[i] == c {
			subs[i] = subs[len(subs)-1]
			subs[len(subs)-1] = nil
			h.subs[dev] = subs[:len(subs)-1]
			break
		}
	}
	if len(h.subs[dev]) == 0 {
		delete(h.subs, dev)
	}
}

// Notify passes hints on, in the order given. It never waits for a subscriber:
// a hint that was not fetched is replaced by the newer one (R-STO-14).
func (h *Hub) Notify(hints []Hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range hints {
		h.last = max(h.last, n.Seq)
		for _, c := range h.subs[n.Device] {
			seq := n.Seq
			select {
			case old := <-c:
				seq = max(seq, old)
			default:
			}
			c <- seq // room for one, and only this lock's holder sends
		}
	}
}
