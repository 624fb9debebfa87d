package client

import (
	"github.com/pawl-chat/pawl/groups"
)

// beginStep notes that keys are being handed out, for those who watch.
func (e *engine) beginStep(id groups.ID, what string, total int) {
	e.mu.Lock()
	e.steps[id] = GroupStep{What: what, Total: total}
	e.mu.Unlock()
}

// stepDone notes how far it has come.
func (e *engine) stepDone(id groups.ID, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.steps[id]; ok {
		s.Done += n
		e.steps[id] = s
	}
}

func (e *engine) endStep(id groups.ID) {
	e.mu.Lock()
	delete(e.steps, id)
	e.mu.Unlock()
}

// step is what is being done in a group just now.
func (e *engine) step(id groups.ID) *GroupStep {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.steps[id]; ok {
		return &s
	}
	return nil
}
