package server

import (
	"container/list"
	"sync"

	"github.com/pawl-chat/pawl/internal/relay"
)

// audienceName is what an audience is found by. The group is part of it, so
// that only who may send to the group finds out whether its audience is held,
// which would tell who is in it (R-REL-47).
type audienceName struct {
	group GroupID
	hash  [32]byte
}

// audiences holds audiences that were sent along, so that a message to a large
// group is one body and a hash. It is bounded by users and devices together,
// least recently used first out; what is missing is asked for.
type audiences struct {
	room   int
	weight int // under mu

	mu   sync.Mutex
	by   map[audienceName]*list.Element
	used list.List // of *heldAudience, most recent in front
}

type heldAudience struct {
	name   audienceName
	weight int
	*relay.Audience
}

func newAudiences(room int) *audiences {
	return &audiences{room: room, by: make(map[audienceName]*list.Element)}
}

// find returns an audience, nil if it is not held.
func (a *audiences) find(n audienceName) *relay.Audience {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.by[n]
	if !ok {
		return nil
	}
	a.used.MoveToFront(e)
	return e.Value.(*heldAudience).Audience
}

// keep holds an audience. One that is larger than all the room is not held.
func (a *audiences) keep(group GroupID, x *relay.Audience) {
	h := &heldAudience{name: audienceName{group, x.Hash}, weight: weightOf(x), Audience: x}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.by[h.name]; ok || h.weight > a.room {
		return
	}
	a.by[h.name] = a.used.PushFront(h)
	for a.weight += h.weight; a.weight > a.room; {
		e := a.used.Back()
		oldest := e.Value.(*heldAudience)
		a.used.Remove(e)
		delete(a.by, oldest.name)
		a.weight -= oldest.weight
	}
}

// weightOf counts users and devices.
func weightOf(x *relay.Audience) int {
	n := len(x.Members())
	for i := range x.Members() {
		n += len(x.Members()[i].Devices)
	}
	return n
}
