package session

import (
	"slices"
	"testing"
)

func TestR_SES_13_RanksDiffer(t *testing.T) {
	// commit holds it in every test; here the order after equal ranks, which
	// only a damaged store can hold, is at least the same each time.
	a, b := &Session{ID: ID{1}, Rank: 5}, &Session{ID: ID{2}, Rank: 5}
	c := &Session{ID: ID{0}, Rank: 1<<63 - 1}
	for _, in := range [][]*Session{{a, b, c}, {b, a, c}, {c, b, a}} {
		if got := New(in...).sessions; got[0] != c || got[1] != a || got[2] != b {
			t.Error("order depends on the input")
		}
	}
	if New().Active() != nil || len(New().Sessions()) != 0 {
		t.Error("sessions out of nothing")
	}
}

func TestR_SES_14_Merge(t *testing.T) {
	at := func(id byte, rank int64) *Session { return &Session{ID: ID{id}, Rank: rank} }
	var c Change
	c.Merge(Change{Write: []*Session{at(1, 1)}, Skipped: []ID{{1}}})
	c.Merge(Change{Write: []*Session{at(2, 2), at(1, 3)}, Skipped: []ID{{2}}})
	c.Merge(Change{Write: []*Session{at(2, 4)}})
	ranks := func() (out []int64) {
		for _, s := range c.Write {
			out = append(out, s.Rank)
		}
		return out
	}
	if !slices.Equal(ranks(), []int64{3, 4}) || !slices.Equal(c.Skipped, []ID{{1}, {2}}) || c.Erase != nil {
		t.Errorf("%v %v", ranks(), c)
	}
	c.Merge(Change{Erase: []ID{{1}}, Farewells: []Farewell{{Session: ID{1}}}})
	if !slices.Equal(ranks(), []int64{4}) || !slices.Equal(c.Skipped, []ID{{2}}) || !slices.Equal(c.Erase, []ID{{1}}) || len(c.Farewells) != 1 {
		t.Errorf("%v %v", ranks(), c)
	}
	// Erased and begun again: erase, then write.
	again := Change{Erase: []ID{{2}}}
	again.Merge(Change{Write: []*Session{at(2, 9)}, Skipped: []ID{{2}}})
	c.Merge(again)
	if !slices.Equal(ranks(), []int64{9}) || !slices.Equal(c.Skipped, []ID{{2}}) || !slices.Equal(c.Erase, []ID{{1}, {2}}) {
		t.Errorf("%v %v", ranks(), c)
	}
	// The merged change shares nothing with the steps it was made of.
	step := Change{Write: []*Session{at(3, 1), at(4, 1)}, Skipped: []ID{{3}, {4}}}
	c = Change{}
	c.Merge(step)
	c.Merge(Change{Erase: []ID{{3}}})
	if step.Write[0].ID != (ID{3}) || step.Skipped[0] != (ID{3}) {
		t.Error("a step was changed")
	}
}
