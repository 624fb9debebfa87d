package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/pawl-chat/pawl/server"
)

// roster writes one group's log as its members would.
type roster struct {
	h     *harness
	id    server.GroupID
	token server.GroupToken
	held  []server.GroupEntry
}

// newRoster creates a group with one entry.
func (h *harness) newRoster(n byte) *roster {
	h.Helper()
	r := &roster{h: h, id: server.GroupID{n}, token: server.GroupToken{n, 1}}
	r.held = []server.GroupEntry{{Seq: 1, Head: server.GroupHead{n, 1}, Blob: []byte("create")}}
	h.ok(h.CreateGroup(h.ctx, r.creation()))
	return r
}

func (r *roster) creation() server.GroupCreation {
	return server.GroupCreation{Group: r.id, Token: server.GroupToken{r.id[0], 1}, Entry: r.held[0]}
}

// next is an entry after the last one.
func (r *roster) next(blob string) server.GroupAppend {
	last := r.held[len(r.held)-1]
	e := server.GroupEntry{Seq: last.Seq + 1, Prev: last.Head, Blob: []byte(blob)}
	copy(e.Head[:], fmt.Sprintf("%d %s", e.Seq, blob))
	return server.GroupAppend{Group: r.id, Token: r.token, Entry: e}
}

// epoch is next with a token for the entries after it.
func (r *roster) epoch(blob string, n byte) server.GroupAppend {
	a := r.next(blob)
	a.Next = &server.GroupToken{r.id[0], n}
	return a
}

// place appends what must be placed.
func (r *roster) place(a server.GroupAppend) {
	r.h.Helper()
	st, err := r.h.AppendGroup(r.h.ctx, a)
	r.h.ok(err)
	if st.Seq != a.Entry.Seq || st.Head != a.Entry.Head || st.Ended != (a.Next != nil) {
		r.h.Fatalf("placed as %+v, want the end of the log", st)
	}
	r.held = append(r.held, a.Entry)
	if a.Next != nil {
		r.token = *a.Next
	}
}

// sees reads everything that a token may see, n entries at a time.
func (r *roster) sees(token server.GroupToken, n int, first, last uint64, ended bool) {
	r.h.Helper()
	from := uint64(1)
	var got []server.GroupEntry
	for {
		page, st, err := r.h.ReadGroup(r.h.ctx, r.id, token, from, n, 1<<20)
		r.h.ok(err)
		if st.Seq != last || st.Head != r.held[last-1].Head || st.First != first || st.Ended != ended {
			r.h.Fatalf("state %+v, want %d to %d, ended %v", st, first, last, ended)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		from = page[len(page)-1].Seq + 1
	}
	if uint64(len(got)) != last-first+1 {
		r.h.Fatalf("%d entries, want %d to %d", len(got), first, last)
	}
	for i, e := range got {
		want := r.held[first-1+uint64(i)]
		if e.Seq != want.Seq || e.Prev != want.Prev || e.Head != want.Head || !bytes.Equal(e.Blob, want.Blob) {
			r.h.Fatalf("entry %d is %+v, want %+v", i, e, want)
		}
	}
}

var groupHistories = []history{
	{"a log grows by compare-and-swap", func(h *harness) { // R-STO-30
		r := h.newRoster(1)
		one, other := r.next("one"), r.next("other")
		r.place(one)
		st, err := h.AppendGroup(h.ctx, other)
		h.is(err, server.ErrConflict)
		if st.Seq != 2 || st.Head != one.Entry.Head || st.Ended {
			h.Fatalf("the loser is told %+v", st)
		}
		skipped := r.next("skipped")
		skipped.Entry.Seq++
		_, err = h.AppendGroup(h.ctx, skipped)
		h.is(err, server.ErrConflict)
		forked := r.next("forked")
		forked.Entry.Prev = server.GroupHead{9}
		_, err = h.AppendGroup(h.ctx, forked)
		h.is(err, server.ErrConflict)
		again := other
		again.Entry.Blob = one.Entry.Blob // the same place, another head
		_, err = h.AppendGroup(h.ctx, again)
		h.is(err, server.ErrConflict)
		h.reopen()
		r.sees(r.token, 1, 1, 2, false)
		r.place(r.next("after"))
		r.sees(r.token, 10, 1, 3, false)
	}},
	{"creating and appending may be repeated", func(h *harness) { // R-STO-02 R-STO-31
		r := h.newRoster(1)
		h.ok(h.CreateGroup(h.ctx, r.creation()))
		for _, change := range []func(*server.GroupCreation){
			func(c *server.GroupCreation) { c.Entry.Head = server.GroupHead{9} },
			func(c *server.GroupCreation) { c.Entry.Blob = []byte("another") },
			func(c *server.GroupCreation) { c.Token = server.GroupToken{9} },
		} {
			c := r.creation()
			change(&c)
			h.is(h.CreateGroup(h.ctx, c), server.ErrExists)
		}
		one, rekey := r.next("one"), server.GroupAppend{}
		r.place(one)
		rekey = r.epoch("rekey", 2)
		r.place(rekey)
		r.place(r.next("later"))
		h.reopen()
		for _, a := range []server.GroupAppend{one, rekey} {
			st, err := h.AppendGroup(h.ctx, a)
			h.ok(err)
			if st.Seq != 3 || !st.Ended {
				h.Fatalf("an old token is told %+v", st)
			}
		}
		// The same entry is not a repetition when it would begin another epoch.
		for _, next := range []*server.GroupToken{nil, {1, 9}, {1, 1}} {
			a := rekey
			if a.Next = next; next != nil && *next == a.Token {
				_, err := h.AppendGroup(h.ctx, a)
				h.is(err, server.ErrInvalid)
				continue
			}
			_, err := h.AppendGroup(h.ctx, a)
			h.is(err, server.ErrConflict)
		}
		ends := one
		ends.Next = &server.GroupToken{1, 2}
		_, err := h.AppendGroup(h.ctx, ends)
		h.is(err, server.ErrConflict)
		h.is(h.CreateGroup(h.ctx, server.GroupCreation{Group: r.id, Token: r.token, Entry: r.held[0]}), server.ErrExists)
		h.ok(h.CreateGroup(h.ctx, r.creation()))
		r.sees(r.token, 10, 4, 4, false)
	}},
	{"a token sees its own epoch and nothing after it", func(h *harness) { // R-STO-32
		r := h.newRoster(1)
		first := r.token
		r.place(r.next("a"))
		r.place(r.epoch("rekey", 2))
		second := r.token
		// The new epoch has no entry yet: its end is that of the one before.
		st, err := h.AppendGroup(h.ctx, server.GroupAppend{Group: r.id, Token: second, Entry: server.GroupEntry{Seq: 9}})
		h.is(err, server.ErrConflict)
		if st.Seq != 3 || st.First != 4 || st.Ended {
			h.Fatalf("%+v", st)
		}
		r.place(r.next("b"))
		r.place(r.epoch("rekey", 3))
		r.place(r.next("c"))
		h.reopen()
		r.sees(first, 2, 1, 3, true)
		r.sees(second, 2, 4, 5, true)
		r.sees(r.token, 2, 6, 6, false)
		for i, old := range []server.GroupToken{first, second} { // and places nothing
			a := r.next("by a former member")
			a.Token = old
			forked := a // after the end that the token knows
			forked.Entry.Seq, forked.Entry.Prev = []uint64{4, 6}[i], r.held[[]int{2, 4}[i]].Head
			for _, a := range []server.GroupAppend{a, forked} {
				st, err := h.AppendGroup(h.ctx, a)
				h.is(err, server.ErrConflict)
				if st.Seq >= 6 || !st.Ended {
					h.Fatalf("an old token is told %+v", st)
				}
			}
		}
		back := r.next("back")
		back.Next = &first
		_, err = h.AppendGroup(h.ctx, back)
		h.is(err, server.ErrInvalid)
		r.sees(r.token, 2, 6, 6, false)
	}},
	{"an unknown group and an unknown token are alike", func(h *harness) { // R-STO-33
		r, other := h.newRoster(1), h.newRoster(2)
		for _, who := range []struct {
			id    server.GroupID
			token server.GroupToken
		}{{r.id, server.GroupToken{9}}, {server.GroupID{9}, r.token}, {r.id, other.token}, {r.id, server.GroupToken{}}} {
			_, st, err := h.ReadGroup(h.ctx, who.id, who.token, 1, 10, 1<<20)
			h.is(err, server.ErrNotFound)
			if st != (server.GroupState{}) {
				h.Fatalf("told %+v", st)
			}
			a := r.next("x")
			a.Group, a.Token = who.id, who.token
			st, err = h.AppendGroup(h.ctx, a)
			h.is(err, server.ErrNotFound)
			if st != (server.GroupState{}) {
				h.Fatalf("told %+v", st)
			}
		}
		r.sees(r.token, 10, 1, 1, false)
		other.sees(other.token, 10, 1, 1, false)
	}},
	{"a group's entries are bounded", func(h *harness) { // R-STO-05 R-STO-34
		r := h.newRoster(1)
		large := r.next(string(make([]byte, server.MaxGroupBlob+1)))
		_, err := h.AppendGroup(h.ctx, large)
		h.is(err, server.ErrTooLarge)
		first := server.GroupCreation{Group: server.GroupID{2}, Entry: server.GroupEntry{Seq: 1, Blob: large.Entry.Blob}}
		h.is(h.CreateGroup(h.ctx, first), server.ErrTooLarge)
		first.Entry = server.GroupEntry{Seq: 2}
		h.is(h.CreateGroup(h.ctx, first), server.ErrInvalid)
		first.Entry = server.GroupEntry{Seq: 1, Prev: server.GroupHead{1}}
		h.is(h.CreateGroup(h.ctx, first), server.ErrInvalid)
		many := r.next("x")
		many.Entry.Seq = server.MaxGroupEntries + 1
		_, err = h.AppendGroup(h.ctx, many)
		h.is(err, server.ErrTooLarge)
		full := r.next(string(make([]byte, server.MaxGroupBlob)))
		r.place(full)
		r.place(r.next(""))
		// A page holds one entry at least, and is bounded by bytes beyond it.
		page, st, err := h.ReadGroup(h.ctx, r.id, r.token, 2, 10, 1)
		h.ok(err)
		if len(page) != 1 || page[0].Seq != 2 || st.Seq != 3 {
			h.Fatalf("%d entries of %+v", len(page), st)
		}
		page, _, err = h.ReadGroup(h.ctx, r.id, r.token, 4, 10, 1)
		h.ok(err)
		if len(page) != 0 {
			h.Fatalf("%d entries beyond the end", len(page))
		}
	}},
	{"nothing of a group is shared with the caller", func(h *harness) {
		r := h.newRoster(1)
		a := r.next("mine")
		r.place(a)
		r.held[1].Blob = []byte("mine")
		clear(a.Entry.Blob)
		page, _, err := h.ReadGroup(h.ctx, r.id, r.token, 2, 1, 1<<20)
		h.ok(err)
		clear(page[0].Blob)
		r.sees(r.token, 1, 1, 2, false)
	}},
	{"many writers of one log, each place once", func(h *harness) { // R-STO-30
		r := h.newRoster(1)
		const writers, each = 8, 12
		var mu sync.Mutex
		won := map[uint64]server.GroupEntry{1: r.held[0]}
		h.together(writers, func(n int) error {
			for placed := 0; placed < each; {
				_, st, err := h.ReadGroup(h.ctx, r.id, r.token, 1<<16, 0, 0)
				if err != nil {
					return err
				}
				e := server.GroupEntry{Seq: st.Seq + 1, Prev: st.Head, Blob: fmt.Appendf(nil, "%d of %d", placed, n)}
				copy(e.Head[:], fmt.Sprintf("%d: %s", e.Seq, e.Blob))
				_, err = h.AppendGroup(h.ctx, server.GroupAppend{Group: r.id, Token: r.token, Entry: e})
				if errors.Is(err, server.ErrConflict) {
					continue
				}
				if err != nil {
					return err
				}
				mu.Lock()
				_, twice := won[e.Seq]
				won[e.Seq] = e
				mu.Unlock()
				if twice {
					return fmt.Errorf("place %d was given twice", e.Seq)
				}
				placed++
			}
			return nil
		})
		for seq := uint64(2); seq <= writers*each+1; seq++ {
			e := won[seq]
			if e.Prev != won[seq-1].Head {
				h.Fatalf("entry %d does not follow the one before", seq)
			}
			r.held = append(r.held, e)
		}
		h.reopen()
		r.sees(r.token, 7, 1, writers*each+1, false)
	}},
	{"two ends of one epoch, one of them placed", func(h *harness) { // R-STO-30 R-STO-32
		r := h.newRoster(1)
		first := r.token
		const rivals = 8
		var mu sync.Mutex
		var winner *server.GroupAppend
		h.together(rivals, func(n int) error {
			a := r.epoch(fmt.Sprintf("rival %d", n), byte(10+n))
			_, err := h.AppendGroup(h.ctx, a)
			if errors.Is(err, server.ErrConflict) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil && winner != nil {
				err = errors.New("two ends were placed")
			}
			winner = &a
			return err
		})
		if winner == nil {
			h.Fatal("no end was placed")
		}
		r.held = append(r.held, winner.Entry)
		r.sees(first, 1, 1, 2, true)
		for n := range byte(rivals) {
			token := server.GroupToken{1, 10 + n}
			if token == *winner.Next {
				continue
			}
			_, _, err := h.ReadGroup(h.ctx, r.id, token, 1, 1, 1)
			h.is(err, server.ErrNotFound)
		}
		r.token = *winner.Next
		r.place(r.next("after"))
		r.sees(r.token, 1, 3, 3, false)
	}},
}
