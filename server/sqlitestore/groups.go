package sqlitestore

import (
	"bytes"
	"context"
	"crypto/subtle"
	"database/sql/driver"
	"errors"

	"github.com/pawl-chat/pawl/server"
)

// view is a group's log as a token may see it.
type view struct {
	num   int64 // of the log
	seq   int64 // end of the log
	state server.GroupState
}

// viewOf finds a group and a token's epoch, or neither (R-STO-32, R-STO-33). It is one statement, so that the
// epoch and the end of the log are of one moment: else a token whose epoch ends
// in between would see what it may not.
func viewOf(st *stmt, group server.GroupID, token server.GroupToken) (v view, err error) {
	row, found, err := st.one(group[:], token[:])
	switch {
	case err != nil:
		return v, err
	case !found || subtle.ConstantTimeCompare(blob(row[8]), token[:]) != 1:
		return v, server.ErrNotFound
	}
	v.num, v.seq = integer(row[0]), integer(row[1])
	head, first, last := blob(row[2]), integer(row[4]), integer(row[5])
	end := blob(row[7]) // head of the entry that ended the epoch
	if sumGroup(group, v.seq, head) != integer(row[3]) || sumGroupEpoch(group, token, first, last, end) != integer(row[6]) ||
		len(head) != len(v.state.Head) || last != 0 && len(end) != len(v.state.Head) {
		return view{}, errRow // R-STO-34
	}
	v.state = server.GroupState{Seq: uint64(v.seq), Head: server.GroupHead(head), First: uint64(first)}
	if last != 0 {
		v.state.Seq, v.state.Head, v.state.Ended = uint64(last), server.GroupHead(end), true
	}
	return v, nil
}

// entryOf decodes a row of an entry: seq, prev, head, blob, sum.
func entryOf(group server.GroupID, row []driver.Value) (e server.GroupEntry, err error) {
	prev, head, body := blob(row[1]), blob(row[2]), blob(row[3])
	if len(prev) != len(e.Prev) || len(head) != len(e.Head) || sumGroupEntry(group, integer(row[0]), prev, head, body) != integer(row[4]) {
		return e, errRow
	}
	return server.GroupEntry{Seq: uint64(integer(row[0])), Prev: server.GroupHead(prev), Head: server.GroupHead(head), Blob: orEmpty(body)}, nil
}

// stands reports whether the log has exactly this entry.
func (w *writer) stands(num int64, group server.GroupID, e *server.GroupEntry) (bool, error) {
	row, found, err := w.groupEntry.one(num, int64(e.Seq))
	if !found || err != nil {
		return false, err
	}
	held, err := entryOf(group, row)
	return err == nil && held.Prev == e.Prev && held.Head == e.Head && bytes.Equal(held.Blob, e.Blob), err
}

func (w *writer) addEntry(num int64, group server.GroupID, e *server.GroupEntry) error {
	_, err := w.addGroupEntry.exec(num, int64(e.Seq), e.Prev[:], e.Head[:], orEmpty(e.Blob),
		sumGroupEntry(group, int64(e.Seq), e.Prev[:], e.Head[:], e.Blob))
	return err
}

func (w *writer) beginEpoch(num int64, group server.GroupID, token server.GroupToken, first int64) error {
	_, err := w.addGroupEpoch.exec(num, token[:], first, sumGroupEpoch(group, token, first, 0, nil))
	return err
}

// CreateGroup implements server.Groups.
func (s *Store) CreateGroup(ctx context.Context, c server.GroupCreation) error {
	if err := c.Valid(); err != nil {
		return err
	}
	return s.do(ctx, len(c.Entry.Blob), func(w *writer) error {
		row, found, err := w.group.one(c.Group[:])
		if err != nil {
			return err
		}
		if found {
			num := integer(row[0])
			v, err := viewOf(w.groupView, c.Group, c.Token)
			if err == nil && v.state.First == 1 {
				var same bool
				if same, err = w.stands(num, c.Group, &c.Entry); same {
					return nil // an earlier attempt went through
				}
			}
			if err == nil || err == server.ErrNotFound {
				err = server.ErrExists
			}
			return err
		}
		row, found, err = w.addGroup.one(c.Group[:], c.Entry.Head[:], sumGroup(c.Group, 1, c.Entry.Head[:]))
		if err != nil {
			return err
		}
		if !found {
			return errors.New("a group got no number")
		}
		num := integer(row[0])
		if err := w.addEntry(num, c.Group, &c.Entry); err != nil {
			return err
		}
		return w.beginEpoch(num, c.Group, c.Token, 1)
	})
}

// AppendGroup implements server.Groups: compare-and-swap in the writer's
// transaction, after which a repetition finds its own entry (R-STO-30,
// R-STO-31).
func (s *Store) AppendGroup(ctx context.Context, a server.GroupAppend) (st server.GroupState, err error) {
	if err := a.Valid(); err != nil {
		return st, err
	}
	err = s.do(ctx, len(a.Entry.Blob), func(w *writer) error {
		st = server.GroupState{}
		v, err := viewOf(w.groupView, a.Group, a.Token)
		if err != nil {
			return err
		}
		st = v.state
		if a.Entry.Seq >= st.First && a.Entry.Seq <= st.Seq {
			same, err := w.stands(v.num, a.Group, &a.Entry)
			if err == nil && same {
				same, err = w.ends(&v, &a)
			}
			if err != nil || same {
				return err // an earlier attempt went through
			}
		}
		if st.Ended || a.Entry.Seq != st.Seq+1 || a.Entry.Prev != st.Head {
			return server.ErrConflict
		}
		seq := int64(a.Entry.Seq)
		if a.Next != nil {
			switch _, err := viewOf(w.groupView, a.Group, *a.Next); {
			case err == nil:
				return server.ErrInvalid
			case err != server.ErrNotFound:
				return err
			}
		}
		if err := w.addEntry(v.num, a.Group, &a.Entry); err != nil {
			return err
		}
		if _, err := w.setGroup.exec(v.num, seq, a.Entry.Head[:], sumGroup(a.Group, seq, a.Entry.Head[:])); err != nil {
			return err
		}
		if a.Next != nil {
			if _, err := w.endGroupEpoch.exec(v.num, a.Token[:], seq, sumGroupEpoch(a.Group, a.Token, int64(st.First), seq, a.Entry.Head[:])); err != nil {
				return err
			}
			if err := w.beginEpoch(v.num, a.Group, *a.Next, seq+1); err != nil {
				return err
			}
			st.Ended = true
		}
		st.Seq, st.Head = a.Entry.Seq, a.Entry.Head
		return nil
	})
	return st, err
}

// ends reports whether the entry that a repeats ended its epoch as a asks.
func (w *writer) ends(v *view, a *server.GroupAppend) (bool, error) {
	if !v.state.Ended || v.state.Seq != a.Entry.Seq || a.Next == nil {
		return a.Next == nil && (!v.state.Ended || v.state.Seq != a.Entry.Seq), nil
	}
	next, err := viewOf(w.groupView, a.Group, *a.Next)
	if err == server.ErrNotFound {
		return false, nil
	}
	return next.state.First == a.Entry.Seq+1, err
}

// ReadGroup implements server.Groups. Entries never change, so those up to the
// end that the view named are of its moment.
func (s *Store) ReadGroup(ctx context.Context, group server.GroupID, token server.GroupToken, from uint64, limit, maxBytes int) (entries []server.GroupEntry, st server.GroupState, err error) {
	err = s.read(ctx, func(r *reader) error {
		v, err := viewOf(r.groupView, group, token)
		if err != nil {
			return err
		}
		st = v.state
		from = max(from, st.First)
		if limit <= 0 || from > st.Seq {
			return nil
		}
		size := 0
		return r.groupEntries.each(func(row []driver.Value) error {
			e, err := entryOf(group, row)
			if err == nil && e.Seq != from+uint64(len(entries)) {
				err = errRow // one is missing
			}
			if err != nil {
				return err
			}
			if size += len(e.Blob); len(entries) > 0 && size > maxBytes {
				return errStop
			}
			entries = append(entries, e)
			return nil
		}, v.num, int64(from), int64(st.Seq), int64(limit))
	})
	if err != nil {
		return nil, server.GroupState{}, err
	}
	return entries, st, nil
}
