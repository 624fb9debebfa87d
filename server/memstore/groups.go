package memstore

import (
	"bytes"
	"context"
	"crypto/subtle"

	"github.com/pawl-chat/pawl/server"
)

// group is the log of a group and its epochs, the present one last.
type group struct {
	entries []server.GroupEntry
	epochs  []epoch
}

// epoch is a token and the entries that were placed under it: from first to
// last, which counts when the epoch has ended.
type epoch struct {
	token       server.GroupToken
	first, last uint64
	ended       bool
}

// of finds a token's epoch, looking at every one (R-STO-32).
func (g *group) of(token server.GroupToken) *epoch {
	var found *epoch
	for i := range g.epochs {
		e := &g.epochs[i]
		if subtle.ConstantTimeCompare(e.token[:], token[:]) == 1 {
			found = e
		}
	}
	return found
}

// state is what the token of an epoch may see.
func (g *group) state(e *epoch) server.GroupState {
	seq := uint64(len(g.entries))
	if e.ended {
		seq = e.last
	}
	return server.GroupState{Seq: seq, Head: g.entries[seq-1].Head, First: e.first, Ended: e.ended}
}

// CreateGroup implements server.Groups.
func (s *Store) CreateGroup(ctx context.Context, c server.GroupCreation) error {
	if err := c.Valid(); err != nil {
		return err
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	if g := s.groups[c.Group]; g != nil {
		if g.epochs[0].token == c.Token && same(g.entries[0], c.Entry) {
			return nil
		}
		return server.ErrExists
	}
	c.Entry.Blob = copyOf(c.Entry.Blob)
	s.groups[c.Group] = &group{entries: []server.GroupEntry{c.Entry}, epochs: []epoch{{token: c.Token, first: 1}}}
	return nil
}

func same(a, b server.GroupEntry) bool {
	return a.Seq == b.Seq && a.Prev == b.Prev && a.Head == b.Head && bytes.Equal(a.Blob, b.Blob)
}

// AppendGroup implements server.Groups.
func (s *Store) AppendGroup(ctx context.Context, a server.GroupAppend) (server.GroupState, error) {
	if err := a.Valid(); err != nil {
		return server.GroupState{}, err
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return server.GroupState{}, err
	}
	g := s.groups[a.Group]
	if g == nil {
		return server.GroupState{}, server.ErrNotFound
	}
	e := g.of(a.Token)
	if e == nil {
		return server.GroupState{}, server.ErrNotFound
	}
	st := g.state(e)
	if a.Entry.Seq >= e.first && a.Entry.Seq <= st.Seq && same(g.entries[a.Entry.Seq-1], a.Entry) && g.ends(e, a.Entry.Seq, a.Next) {
		return st, nil // an earlier attempt went through
	}
	if e.ended || a.Entry.Seq != st.Seq+1 || a.Entry.Prev != st.Head {
		return st, server.ErrConflict
	}
	if a.Next != nil && g.of(*a.Next) != nil {
		return st, server.ErrInvalid
	}
	a.Entry.Blob = copyOf(a.Entry.Blob)
	g.entries = append(g.entries, a.Entry)
	if a.Next != nil {
		e.last, e.ended = a.Entry.Seq, true
		st.Ended = true
		g.epochs = append(g.epochs, epoch{token: *a.Next, first: a.Entry.Seq + 1})
	}
	st.Seq, st.Head = a.Entry.Seq, a.Entry.Head
	return st, nil
}

// ends reports whether entry seq of e's epoch ended it in favour of next, or,
// with none, did not end it.
func (g *group) ends(e *epoch, seq uint64, next *server.GroupToken) bool {
	if !e.ended || e.last != seq {
		return next == nil
	}
	if next == nil {
		return false
	}
	after := g.of(*next)
	return after != nil && after.first == seq+1
}

// ReadGroup implements server.Groups.
func (s *Store) ReadGroup(ctx context.Context, id server.GroupID, token server.GroupToken, from uint64, limit, maxBytes int) ([]server.GroupEntry, server.GroupState, error) {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return nil, server.GroupState{}, err
	}
	g := s.groups[id]
	if g == nil {
		return nil, server.GroupState{}, server.ErrNotFound
	}
	e := g.of(token)
	if e == nil {
		return nil, server.GroupState{}, server.ErrNotFound
	}
	st := g.state(e)
	var entries []server.GroupEntry
	size := 0
	for seq := max(from, st.First); seq <= st.Seq && len(entries) < limit; seq++ {
		one := g.entries[seq-1]
		if size += len(one.Blob); len(entries) > 0 && size > maxBytes {
			break
		}
		one.Blob = copyOf(one.Blob)
		entries = append(entries, one)
	}
	return entries, st, nil
}
