package sqlitestore

import (
	"context"
	"sync/atomic"

	"github.com/pawl-chat/pawl/server"
)

// job is one request to the writer. run makes its changes in the writer's open
// transaction; it may be called again after a rollback, so it sets its results
// afresh. A definite error (fault.go) must come before the first change.
type job interface {
	run(*writer) error
	base() *ticket
}

// ticket is a job's way from the caller to the writer and back.
type ticket struct {
	state  atomic.Int32 // waiting, then begun or withdrawn
	weight int          // bytes it adds to a batch
	err    error        // set by the writer before answer
	answer chan struct{}
}

const (
	waiting int32 = iota
	begun
	withdrawn
)

func (t *ticket) base() *ticket { return t }

// reset readies the ticket for use.
func (t *ticket) reset(weight int) {
	t.state.Store(waiting)
	t.weight, t.err = weight, nil
	if t.answer == nil {
		t.answer = make(chan struct{}, 1)
	}
}

// begin is called by the writer; false means that the caller has left.
func (t *ticket) begin() bool { return t.state.CompareAndSwap(waiting, begun) }

// call is a job without a type of its own.
type call struct {
	ticket
	f func(*writer) error
}

func (c *call) run(w *writer) error { return c.f(w) }

// do hands f to the writer and waits for it to be durable.
func (s *Store) do(ctx context.Context, weight int, f func(*writer) error) error {
	c := &call{f: f}
	c.reset(weight)
	_, err := s.submit(ctx, c, true)
	return err
}

// submit hands a job in and waits for its answer. A cancelled context withdraws
// a job that was not begun; one that was begun is waited for, since the writer
// reads the caller's memory until it answers. done says that the writer no
// longer knows the job. Without patience a full queue is ErrBusy.
func (s *Store) submit(ctx context.Context, j job, patience bool) (done bool, err error) {
	t := j.base()
	if err := ctx.Err(); err != nil {
		return true, err
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return true, server.ErrClosed
	}
	select {
	case s.w.queue <- j:
	default:
		if !patience {
			s.mu.RUnlock()
			return true, server.ErrBusy
		}
		select {
		case s.w.queue <- j:
		case <-ctx.Done():
			s.mu.RUnlock()
			return true, ctx.Err()
		}
	}
	s.mu.RUnlock()
	select {
	case <-t.answer:
		return true, t.err
	case <-ctx.Done():
		if t.state.CompareAndSwap(waiting, withdrawn) {
			return false, ctx.Err()
		}
		<-t.answer
		return true, t.err
	}
}
