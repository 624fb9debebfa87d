package groups

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// signals is one signal of each form.
func signals(tb testing.TB) map[string]Signal {
	tb.Helper()
	w := newSmall(tb)
	g := w.g
	key := w.a.Key()
	after, err := NewSending(g, 2, alice, testNow, Before{w.a.ID(), 12})
	if err != nil {
		tb.Fatal(err)
	}
	second := after.Key()
	id := w.a.ID()
	entries := []BranchEntry{{Seq: 4, Head: Head{4}}, {Seq: 5, Head: Head{5}, Author: alice.author(), Change: Change{Kind: Remove, Members: named(ben, cleo)}}, {Seq: 6, Head: Head{6}, Author: bob.author(), Change: Change{Kind: Rekey}}}
	return map[string]Signal{
		"key welcome":    {Group: g, Key: &Key{Seq: 1, Head: w.r.Head, Epoch: 1, Secret: w.s, Roster: w.r.Encode(), Chain: &key}},
		"key secret":     {Group: g, Key: &Key{Seq: 9, Head: Head{9}, Epoch: 3, Secret: w.s}},
		"key epoch":      {Group: g, Key: &Key{Seq: 9, Head: Head{9}, Epoch: 2, Secret: w.s, Chain: &second}},
		"key chain":      {Group: g, Key: &Key{Seq: 9, Head: Head{9}, Epoch: 2, Chain: &second}},
		"ask chain":      {Group: g, Ask: &Ask{Chain: id}},
		"ask messages":   {Group: g, Ask: &Ask{Chain: id, Indexes: []uint32{0, 1, 1<<32 - 1}}},
		"ask welcome":    {Group: g, Ask: &Ask{Welcome: true}},
		"ask all":        {Group: g, Ask: &Ask{Chain: id, Indexes: []uint32{3}, Welcome: true}},
		"again":          {Group: g, Again: &Again{Chain: id, Index: 7, Content: []byte("content")}},
		"again, gone":    {Group: g, Again: &Again{Chain: id, Index: 7, Content: []byte{}}},
		"disclosed":      {Group: g, Disclosed: &Disclosed{Chain: id, Seed: w.a.Seed()}},
		"join":           {Group: g, Join: &Join{Token: [16]byte{1, 2, 3}}},
		"history":        {Group: g, History: &History{Messages: []Retold{{ben, 3, []byte("one")}, {cleo, 4, []byte("two")}}}},
		"history, last":  {Group: g, History: &History{Messages: []Retold{{ben, 3, []byte("one")}}, Last: true}},
		"history, none":  {Group: g, History: &History{Last: true}},
		"branch":         {Group: g, Branch: &Branch{Seq: 6, Head: Head{6}, Entries: entries}},
		"branch, answer": {Group: g, Branch: &Branch{Seq: 1, Head: Head{1}, Entries: []BranchEntry{{Seq: 1, Head: Head{1}}}, Answer: true}},
		"gone":           {Group: g, Gone: &Gone{}},
	}
}

func TestR_GRP_30_R_GRP_37_Signals(t *testing.T) {
	for name, s := range signals(t) {
		b := s.Encode()
		got, err := ParseSignal(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got, s) {
			t.Errorf("%s: comes back different", name)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Errorf("%s: encodes to other bytes", name)
		}
		for n := range b {
			if _, err := ParseSignal(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: prefix of %d bytes: %v", name, n, err)
			}
		}
		if _, err := ParseSignal(append(bytes.Clone(b), 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a byte more: %v", name, err)
		}
		s.Group = ID{}
		if _, err := ParseSignal(s.Encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: without a group: %v", name, err)
		}
	}
	g := NewID()
	for name, s := range map[string]Signal{
		"nothing": {Group: g}, "two": {Group: g, Gone: &Gone{}, Join: &Join{}},
		"too long": {Group: g, Again: &Again{Chain: ChainID{1}, Content: make([]byte, MaxSignal)}},
	} {
		if _, err := ParseSignal(s.Encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The longest content fits.
	s := Signal{Group: g, Again: &Again{Chain: ChainID{1}, Content: make([]byte, 66304)}}
	if _, err := ParseSignal(s.Encode()); err != nil {
		t.Error(err)
	}
}

// refused is an object under a key of a signal that must be refused.
type refused struct {
	name   string
	key    int
	object map[int]any
}

func refusals() []refused {
	id, zero, b32 := bytes.Repeat([]byte{1}, 16), make([]byte, 16), bytes.Repeat([]byte{2}, 32)
	many := func(n int, v func(i int) any) (out []any) {
		for i := range n {
			out = append(out, v(i))
		}
		return out
	}
	number := func(i int) any { return i }
	chain := func(f func(map[int]any)) map[int]any {
		m := map[int]any{1: id, 2: 0, 3: b32, 4: b32, 5: 1}
		f(m)
		return map[int]any{1: 1, 2: b32, 3: 1, 6: m}
	}
	retold := func(from string, device int, content []byte) map[int]any {
		return map[int]any{1: []any{map[int]any{1: from, 2: device, 3: content}}}
	}
	entry := func(f func(map[int]any)) map[int]any {
		m := map[int]any{1: 6, 2: b32, 3: ben, 4: 1, 5: map[int]any{1: 4}}
		f(m)
		return map[int]any{1: 6, 2: b32, 3: []any{m}}
	}
	return []refused{
		{"key of nothing", 2, map[int]any{1: 1, 2: b32, 3: 1}},
		{"key of epoch zero", 2, map[int]any{1: 1, 2: b32, 3: 0, 4: b32}},
		{"key with a short head", 2, map[int]any{1: 1, 2: b32[:31], 3: 1, 4: b32}},
		{"key with a short secret", 2, map[int]any{1: 1, 2: b32, 3: 1, 4: b32[:31]}},
		{"key with a secret of zeros", 2, map[int]any{1: 1, 2: b32, 3: 1, 4: make([]byte, 32)}},
		{"key with a long roster", 2, map[int]any{1: 1, 2: b32, 3: 1, 4: b32, 5: make([]byte, MaxRoster+1)}},
		{"welcome without a secret", 2, map[int]any{1: 1, 2: b32, 3: 1, 5: b32, 6: map[int]any{1: id, 2: 0, 3: b32, 4: b32, 5: 1}}},
		{"chain without an id", 2, chain(func(m map[int]any) { m[1] = zero })},
		{"chain with a short id", 2, chain(func(m map[int]any) { m[1] = id[:15] })},
		{"chain with a short key", 2, chain(func(m map[int]any) { m[3] = b32[:31] })},
		{"chain with a long public key", 2, chain(func(m map[int]any) { m[4] = append(bytes.Clone(b32), 1) })},
		{"chain of the far future", 2, chain(func(m map[int]any) { m[5] = uint64(1<<40 + 1) })},
		{"chain with index 2^32", 2, chain(func(m map[int]any) { m[2] = uint64(1 << 32) })},
		{"chain after none", 2, chain(func(m map[int]any) { m[6] = map[int]any{1: zero, 2: 1} })},
		{"ask for nothing", 3, map[int]any{}},
		{"ask for messages of no chain", 3, map[int]any{2: []int{1}, 3: true}},
		{"ask with a chain of zeros", 3, map[int]any{1: zero, 3: true}},
		{"ask with a short chain", 3, map[int]any{1: id[:15]}},
		{"ask in disorder", 3, map[int]any{1: id, 2: []int{2, 1}}},
		{"ask twice", 3, map[int]any{1: id, 2: []int{2, 2}}},
		{"ask too much", 3, map[int]any{1: id, 2: many(MaxAsked+1, number)}},
		{"ask for index 2^32", 3, map[int]any{1: id, 2: []uint64{1 << 32}}},
		{"again of no chain", 4, map[int]any{1: zero, 2: 1, 3: b32}},
		{"again without content", 4, map[int]any{1: id, 2: 1}},
		{"disclosed of no chain", 5, map[int]any{1: zero, 2: b32}},
		{"disclosed with a short seed", 5, map[int]any{1: id, 2: b32[:31]}},
		{"join with a short token", 6, map[int]any{1: id[:15]}},
		{"join with a long token", 6, map[int]any{1: b32}},
		{"history of nothing", 7, map[int]any{1: []any{}}},
		{"history of nobody", 7, retold("Ben@example.org", 1, b32)},
		{"history of no device", 7, retold(ben, 0, b32)},
		{"history of no content", 7, retold(ben, 1, []byte{})},
		{"history too long", 7, map[int]any{1: many(MaxRetold+1, func(int) any { return map[int]any{1: ben, 2: 1, 3: []byte{1}} })}},
		{"branch of nothing", 8, map[int]any{1: 6, 2: b32, 3: []any{}}},
		{"branch too long", 8, map[int]any{1: 40, 2: b32, 3: many(MaxBranch+1, func(i int) any { return map[int]any{1: 40 - MaxBranch + i, 2: b32} })}},
		{"branch with another end", 8, map[int]any{1: 7, 2: b32, 3: []any{map[int]any{1: 6, 2: b32}}}},
		{"branch with another head", 8, map[int]any{1: 6, 2: bytes.Repeat([]byte{3}, 32), 3: []any{map[int]any{1: 6, 2: b32}}}},
		{"branch with a gap", 8, map[int]any{1: 6, 2: b32, 3: []any{map[int]any{1: 4, 2: b32}, map[int]any{1: 6, 2: b32}}}},
		{"branch longer than the log", 8, map[int]any{1: 1, 2: b32, 3: []any{map[int]any{1: 0, 2: b32}, map[int]any{1: 1, 2: b32}}}},
		{"branch entry without author", 8, entry(func(m map[int]any) { delete(m, 3) })},
		{"branch entry without device", 8, entry(func(m map[int]any) { delete(m, 4) })},
		{"branch entry without change", 8, entry(func(m map[int]any) { delete(m, 5) })},
		{"branch entry by nobody", 8, entry(func(m map[int]any) { m[3] = "Ben@example.org" })},
		{"branch entry of kind 9", 8, entry(func(m map[int]any) { m[5] = map[int]any{1: 9} })},
		{"branch entry with a short head", 8, entry(func(m map[int]any) { m[2] = b32[:31] })},
		{"gone with something", 9, map[int]any{1: 1}},
		{"unknown key", 10, map[int]any{}},
	}
}

func TestR_GRP_31_R_GRP_32_R_GRP_33_R_GRP_34_Refusals(t *testing.T) {
	for _, r := range refusals() {
		b := codec.Marshal(map[int]any{1: bytes.Repeat([]byte{7}, 16), r.key: r.object})
		if s, err := ParseSignal(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v (%v)", r.name, err, reflect.ValueOf(s).NumField())
		}
	}
	// A chain that is taken is still held against the session it came over.
	s, err := ParseSignal(signals(t)["key chain"].Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Accept(*s.Key.Chain, alice); err != nil {
		t.Error(err)
	}
	if _, err := Accept(*s.Key.Chain, bob); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestR_GRP_35_Invites(t *testing.T) {
	g := NewID()
	for _, by := range []string{ben, "al+ice&b=%=c'd@[2001:db8::1]:7000", "jürgen@example.org:1", strings.Repeat("ü", 32) + "@example.org"} {
		i := NewInvite("[2001:db8::1]:7000", g, by)
		s := i.String()
		for _, link := range []string{s, " " + s + "\n", "PAWL" + s[4:], strings.Replace(s, g.String(), strings.ToUpper(g.String()), 1)} {
			if got, err := ParseInvite(link); err != nil || got != i {
				t.Errorf("%q: %+v %v", link, got, err)
			}
		}
		for n := range s {
			if got, err := ParseInvite(s[:n]); !errors.Is(err, ErrInvite) {
				t.Errorf("%q is read as %+v", s[:n], got)
			}
		}
	}
	i := NewInvite("example.org", g, ben)
	if i.String() != fmt.Sprintf("pawl://example.org/group/%s?by=ben@example.org&t=%s", g, strings.SplitAfter(i.String(), "&t=")[1]) || NewInvite("example.org", g, ben).Token == i.Token {
		t.Error(i.String())
	}
	s := i.String()
	for _, bad := range []string{
		"", "pawl://", "https" + s[4:], s + "A", s + "&x=1", s + "#", strings.Replace(s, "ben@", "Ben@", 1), strings.Replace(s, "@", "%40", 1),
		strings.Replace(s, "ben", "b%65n", 1), strings.Replace(s, "ben", "b en", 1), strings.Replace(s, "ben", "%zz", 1), strings.Replace(s, "/group/", "/invite/", 1),
		strings.Replace(s, "example.org/", "/", 1), strings.Replace(s, "example.org/", "exa mple.org/", 1), strings.Replace(s, g.String(), "group", 1),
		strings.Replace(s, g.String(), ID{}.String(), 1), s[:len(s)-1] + "B", s[:len(s)-1] + "=", strings.Repeat("x", MaxInvite+1),
	} {
		if got, err := ParseInvite(bad); !errors.Is(err, ErrInvite) {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}
