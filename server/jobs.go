package server

import (
	"context"
	"time"
)

const (
	// expireEvery is how often messages and invites whose time is over are
	// removed; expireSlice is how many messages one transaction removes.
	expireEvery = 5 * time.Minute
	expireSlice = 500
)

// expire removes what is over until ctx ends (R-REL-18).
func (s *Server) expire(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if err := s.expireOnce(ctx); err != nil && ctx.Err() == nil {
			s.refuse("expire", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) expireOnce(ctx context.Context) error {
	for {
		n, err := s.conf.Mailbox.Expire(ctx, s.now(), expireSlice)
		if err != nil {
			return err
		}
		if n < expireSlice {
			return s.conf.Directory.DropInvites(ctx, s.now())
		}
	}
}
