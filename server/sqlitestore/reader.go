package sqlitestore

import (
	"context"

	"github.com/pawl-chat/pawl/server"
)

// reader is one reading connection with its statements.
type reader struct {
	c                                               *conn
	read, stat, count, account, invite, meta, check *stmt
	groupView, groupEntries                         *stmt
}

func newReader(path string) (*reader, error) {
	c, err := connect(path, readerSettings)
	if err != nil {
		return nil, err
	}
	r := &reader{c: c}
	for _, p := range []struct {
		to      **stmt
		sql     string
		columns int
	}{
		{&r.read, sqlRead, 6}, {&r.stat, sqlStat, 3}, {&r.count, sqlCount, 2},
		{&r.account, sqlAccountOf, 3}, {&r.invite, sqlInviteOf, 3}, {&r.meta, sqlMeta, 1},
		{&r.groupView, sqlGroupView, 9}, {&r.groupEntries, sqlGroupEntries, 5},
		{&r.check, "PRAGMA integrity_check(1)", 1},
	} {
		if *p.to, err = c.prepare(p.sql, p.columns); err != nil {
			c.Close()
			return nil, err
		}
	}
	return r, nil
}

// read lends f a connection. The context counts while waiting for one; the
// reads themselves are bounded.
func (s *Store) read(ctx context.Context, f func(*reader) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return server.ErrClosed
	}
	select {
	case r := <-s.readers:
		defer func() { s.readers <- r }()
		return wrapRead(f(r))
	case <-ctx.Done():
		return ctx.Err()
	}
}
