package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/pawl-chat/pawl/server"
)

// modelGroup is a group's log in its most naive form: every entry beside the
// token under which it was placed, and every token in the order of the epochs.
type modelGroup struct {
	entries []server.GroupEntry
	under   []server.GroupToken
	tokens  []server.GroupToken
	ends    []bool // whether the entry ended its epoch
}

// view is what a token may see: the entries under it and where they end.
func (g *modelGroup) view(token server.GroupToken) (entries []server.GroupEntry, st server.GroupState) {
	epoch := slices.Index(g.tokens, token)
	first := 0
	for first < len(g.under) && slices.Index(g.tokens, g.under[first]) < epoch {
		first++
	}
	end := first
	for end < len(g.under) && g.under[end] == token {
		end++
	}
	st = server.GroupState{Seq: uint64(end), First: uint64(first) + 1, Ended: epoch < len(g.tokens)-1}
	st.Head = g.entries[end-1].Head
	return g.entries[first:end], st
}

// Groups, tokens, heads and blobs come from so few values that everything meets
// everything.
func drawGroup(t *rapid.T) server.GroupID {
	return server.GroupID{byte(rapid.IntRange(1, 2).Draw(t, "group"))}
}

func drawToken(t *rapid.T, name string) server.GroupToken {
	return server.GroupToken{byte(rapid.IntRange(1, 4).Draw(t, name))}
}

func drawEntry(t *rapid.T, seq uint64, prev server.GroupHead) server.GroupEntry {
	n := byte(rapid.IntRange(0, 1).Draw(t, "entry"))
	return server.GroupEntry{Seq: seq, Prev: prev, Head: server.GroupHead{byte(seq), byte(seq >> 8), n}, Blob: []byte{n}}
}

func sameEntry(a, b server.GroupEntry) bool {
	return a.Seq == b.Seq && a.Prev == b.Prev && a.Head == b.Head && bytes.Equal(a.Blob, b.Blob)
}

func (m *machine) createGroup(t *rapid.T) {
	c := server.GroupCreation{Group: drawGroup(t), Token: drawToken(t, "token"), Entry: drawEntry(t, 1, server.GroupHead{})}
	err := m.s.CreateGroup(m.ctx, c)
	switch g := m.groups[c.Group]; {
	case g == nil:
		m.groups[c.Group] = &modelGroup{entries: []server.GroupEntry{c.Entry}, ends: []bool{false},
			under: []server.GroupToken{c.Token}, tokens: []server.GroupToken{c.Token}}
		fallthrough
	case g.tokens[0] == c.Token && sameEntry(g.entries[0], c.Entry):
		if err != nil {
			t.Fatal(err)
		}
	default:
		if !errors.Is(err, server.ErrExists) {
			t.Fatalf("%v, want ErrExists", err)
		}
	}
}

func (m *machine) appendGroup(t *rapid.T) {
	a := server.GroupAppend{Group: drawGroup(t), Token: drawToken(t, "token")}
	g := m.groups[a.Group]
	seq, prev := uint64(2), server.GroupHead{}
	if g != nil {
		// Mostly at the end of the log, else at some entry of it.
		end := len(g.entries)
		if rapid.IntRange(0, 2).Draw(t, "in between") == 0 {
			end = rapid.IntRange(1, end).Draw(t, "after")
		}
		seq, prev = uint64(end)+1, g.entries[end-1].Head
		if rapid.IntRange(0, 1).Draw(t, "present") == 0 {
			a.Token = g.tokens[len(g.tokens)-1]
		}
	}
	a.Entry = drawEntry(t, seq, prev)
	if next := drawToken(t, "next"); next != a.Token && rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
		a.Next = &next
	}
	st, err := m.s.AppendGroup(m.ctx, a)
	if g == nil || !slices.Contains(g.tokens, a.Token) {
		if !errors.Is(err, server.ErrNotFound) || st != (server.GroupState{}) {
			t.Fatalf("%+v, %v, want ErrNotFound", st, err)
		}
		return
	}
	_, before := g.view(a.Token)
	switch {
	case g.stands(a):
		if err != nil || st != before {
			t.Fatalf("a repetition: %+v, %v", st, err)
		}
	case before.Ended || a.Entry.Seq != before.Seq+1:
		if !errors.Is(err, server.ErrConflict) || st != before {
			t.Fatalf("%+v, %v, want ErrConflict at %+v", st, err, before)
		}
	case a.Next != nil && slices.Contains(g.tokens, *a.Next):
		if !errors.Is(err, server.ErrInvalid) {
			t.Fatalf("%v, want ErrInvalid", err)
		}
	default:
		g.entries, g.under, g.ends = append(g.entries, a.Entry), append(g.under, a.Token), append(g.ends, a.Next != nil)
		if a.Next != nil {
			g.tokens = append(g.tokens, *a.Next)
		}
		if _, now := g.view(a.Token); err != nil || st != now {
			t.Fatalf("placed as %+v, %v, want %+v", st, err, now)
		}
	}
}

// stands reports whether a is what placed an entry.
func (g *modelGroup) stands(a server.GroupAppend) bool {
	if a.Entry.Seq > uint64(len(g.entries)) {
		return false
	}
	i := a.Entry.Seq - 1
	if g.under[i] != a.Token || !sameEntry(g.entries[i], a.Entry) || g.ends[i] != (a.Next != nil) {
		return false
	}
	return a.Next == nil || g.tokens[slices.Index(g.tokens, a.Token)+1] == *a.Next
}

func (m *machine) readGroup(t *rapid.T) {
	id, token := drawGroup(t), drawToken(t, "token")
	from, limit := rapid.Uint64Range(1, 12).Draw(t, "from"), rapid.IntRange(0, 5).Draw(t, "limit")
	got, st, err := m.s.ReadGroup(m.ctx, id, token, from, limit, 1<<20)
	g := m.groups[id]
	if g == nil || !slices.Contains(g.tokens, token) {
		if !errors.Is(err, server.ErrNotFound) || len(got) > 0 {
			t.Fatalf("%d entries, %v, want ErrNotFound", len(got), err)
		}
		return
	}
	want, state := g.view(token)
	want = want[min(uint64(len(want)), max(from, state.First)-state.First):]
	want = want[:min(len(want), limit)]
	if err != nil || st != state || !slices.EqualFunc(got, want, sameEntry) {
		t.Fatal(fmt.Sprintf("%+v of %+v, %v, want %+v of %+v", got, st, err, want, state))
	}
}
