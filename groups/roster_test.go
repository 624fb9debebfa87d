package groups

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	"github.com/pawl-chat/pawl/internal/codec"
)

const (
	ann  = "ann@example.org"
	ben  = "ben@example.org"
	cleo = "cleo@example.org"
	dan  = "dan@example.org"
)

// created is a roster of ann, an admin, ben and cleo.
func created(tb testing.TB, p Policy) Roster {
	tb.Helper()
	r, err := Roster{Group: ID{1}}.After(ann, Change{Kind: Create, Name: "walks", Policy: p, Members: []Member{member(cleo, RoleMember), member(ann, Admin), member(ben, RoleMember)}}, testNow)
	if err != nil {
		tb.Fatal(err)
	}
	r.Seq, r.Head, r.Commitment = 1, Head{1}, [32]byte{1}
	return r
}

// after applies changes, each as if it were placed.
func after(tb testing.TB, r Roster, author string, changes ...Change) Roster {
	tb.Helper()
	for _, c := range changes {
		next, err := r.After(author, c, testNow)
		if err != nil {
			tb.Fatalf("%v by %s: %v", c.Kind, author, err)
		}
		next.Seq++
		r = next
	}
	return r
}

func named(addresses ...string) (out []Member) {
	for _, a := range addresses {
		out = append(out, Member{Address: a})
	}
	return out
}

func TestR_GRP_24_Rules(t *testing.T) {
	closed, open := created(t, Policy{}), created(t, Policy{AddByMembers: true})
	two := after(t, closed, ann, Change{Kind: SetRole, Members: []Member{{Address: ben, Role: Admin}}})
	var many, tooMany []Member
	for i := range MaxChangeMembers + 1 {
		tooMany = append(tooMany, member(fmt.Sprintf("m%02d@example.org", i), RoleMember))
	}
	many = tooMany[:MaxChangeMembers]
	noKey := Member{Address: dan, Role: RoleMember}
	for name, c := range map[string]struct {
		r      Roster
		author string
		change Change
		want   error
	}{
		"add":                         {closed, ann, Change{Kind: Add, Members: []Member{member(dan, RoleMember)}}, nil},
		"add an admin":                {closed, ann, Change{Kind: Add, Members: []Member{member(dan, Admin)}}, nil},
		"add 64":                      {closed, ann, Change{Kind: Add, Members: many}, nil},
		"add 65":                      {closed, ann, Change{Kind: Add, Members: tooMany}, ErrTooLong},
		"add nobody":                  {closed, ann, Change{Kind: Add}, ErrNothing},
		"add by a member":             {closed, ben, Change{Kind: Add, Members: []Member{member(dan, RoleMember)}}, ErrNotAllowed},
		"add by a member, by policy":  {open, ben, Change{Kind: Add, Members: []Member{member(dan, RoleMember)}}, nil},
		"admin added by a member":     {open, ben, Change{Kind: Add, Members: []Member{member(dan, Admin)}}, ErrNotAllowed},
		"add a member":                {closed, ann, Change{Kind: Add, Members: []Member{member(dan, RoleMember), member(ben, RoleMember)}}, ErrAlreadyMember},
		"add by nobody":               {open, dan, Change{Kind: Add, Members: []Member{member(dan, RoleMember)}}, ErrNotMember},
		"add twice":                   {closed, ann, Change{Kind: Add, Members: []Member{member(dan, RoleMember), member(dan, RoleMember)}}, ErrMalformed},
		"add without a key":           {closed, ann, Change{Kind: Add, Members: []Member{noKey}}, ErrMalformed},
		"add without a role":          {closed, ann, Change{Kind: Add, Members: []Member{member(dan, 0)}}, ErrMalformed},
		"add with role 3":             {closed, ann, Change{Kind: Add, Members: []Member{member(dan, 3)}}, ErrMalformed},
		"add nobody's address":        {closed, ann, Change{Kind: Add, Members: []Member{member("Dan@example.org", RoleMember)}}, ErrMalformed},
		"remove":                      {closed, ann, Change{Kind: Remove, Members: named(ben, cleo)}, nil},
		"remove a stranger":           {closed, ann, Change{Kind: Remove, Members: named(dan)}, ErrNotMember},
		"remove oneself":              {closed, ann, Change{Kind: Remove, Members: named(ann)}, ErrNotAllowed},
		"remove an admin":             {two, ben, Change{Kind: Remove, Members: named(ann)}, nil},
		"remove by a member":          {open, ben, Change{Kind: Remove, Members: named(cleo)}, ErrNotAllowed},
		"remove nobody":               {closed, ann, Change{Kind: Remove}, ErrNothing},
		"leave":                       {closed, ben, Change{Kind: Leave}, nil},
		"leave as last admin":         {closed, ann, Change{Kind: Leave}, nil},
		"leave as nobody":             {closed, dan, Change{Kind: Leave}, ErrNotMember},
		"role":                        {closed, ann, Change{Kind: SetRole, Members: []Member{{Address: ben, Role: Admin}}}, nil},
		"role by a member":            {closed, ben, Change{Kind: SetRole, Members: []Member{{Address: ben, Role: Admin}}}, ErrNotAllowed},
		"role as it is":               {closed, ann, Change{Kind: SetRole, Members: []Member{{Address: ben, Role: RoleMember}}}, ErrNothing},
		"role 0":                      {closed, ann, Change{Kind: SetRole, Members: named(ben)}, ErrMalformed},
		"role of a stranger":          {closed, ann, Change{Kind: SetRole, Members: []Member{{Address: dan, Role: Admin}}}, ErrNotMember},
		"last admin steps down":       {closed, ann, Change{Kind: SetRole, Members: []Member{{Address: ann, Role: RoleMember}}}, ErrLastAdmin},
		"both admins step down":       {two, ann, Change{Kind: SetRole, Members: []Member{{Address: ann, Role: RoleMember}, {Address: ben, Role: RoleMember}}}, ErrLastAdmin},
		"one of two admins":           {two, ann, Change{Kind: SetRole, Members: []Member{{Address: ann, Role: RoleMember}}}, nil},
		"rename":                      {closed, ann, Change{Kind: Rename, Name: "räumlich"}, nil},
		"rename by a member":          {open, ben, Change{Kind: Rename, Name: "x"}, ErrNotAllowed},
		"rename as it is":             {closed, ann, Change{Kind: Rename, Name: "walks"}, ErrNothing},
		"rename to nothing":           {closed, ann, Change{Kind: Rename}, ErrName},
		"rename to a line break":      {closed, ann, Change{Kind: Rename, Name: "a\nb"}, ErrName},
		"policy":                      {closed, ann, Change{Kind: SetPolicy, Policy: Policy{OpenHistory: true}}, nil},
		"policy by a member":          {closed, ben, Change{Kind: SetPolicy, Policy: Policy{OpenHistory: true}}, ErrNotAllowed},
		"policy as it is":             {closed, ann, Change{Kind: SetPolicy}, ErrNothing},
		"rekey":                       {closed, cleo, Change{Kind: Rekey}, nil},
		"rekey by nobody":             {closed, dan, Change{Kind: Rekey}, ErrNotMember},
		"create again":                {closed, ann, Change{Kind: Create, Name: "x", Members: []Member{member(ann, Admin)}}, ErrNotAllowed},
		"create":                      {Roster{Group: ID{1}}, ann, Change{Kind: Create, Name: "x", Members: []Member{member(ann, Admin)}}, nil},
		"create without oneself":      {Roster{Group: ID{1}}, ann, Change{Kind: Create, Name: "x", Members: []Member{member(ben, Admin)}}, ErrNotAllowed},
		"create as a member":          {Roster{Group: ID{1}}, ann, Change{Kind: Create, Name: "x", Members: []Member{member(ann, RoleMember), member(ben, Admin)}}, ErrNotAllowed},
		"create without an id":        {Roster{}, ann, Change{Kind: Create, Name: "x", Members: []Member{member(ann, Admin)}}, ErrNotAllowed},
		"create with a space at ends": {Roster{Group: ID{1}}, ann, Change{Kind: Create, Name: " x", Members: []Member{member(ann, Admin)}}, ErrName},
		"change before create":        {Roster{Group: ID{1}}, ann, Change{Kind: Rekey}, ErrNotMember},
		"no kind":                     {closed, ann, Change{}, ErrMalformed},
		"kind 9":                      {closed, ann, Change{Kind: 9}, ErrMalformed},
	} {
		before := c.r.Encode()
		if err := c.r.Allows(c.author, c.change); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		next, err := c.r.After(c.author, c.change, testNow)
		if !errors.Is(err, c.want) || err == nil && (next.Seq != c.r.Seq || next.Head != c.r.Head) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil && next.Hash() == c.r.Hash() {
			t.Errorf("%s: allowed, and nothing changes", name)
		}
		if !bytes.Equal(before, c.r.Encode()) {
			t.Errorf("%s: the roster before has changed", name)
		}
	}
}

func TestR_GRP_24_Names(t *testing.T) {
	for _, name := range []string{"a", "walks", "Über uns 🚶", "x y", strings.Repeat("x", MaxName), "مجموعة", "👩‍👩‍👧"} {
		if !ValidName(name) {
			t.Errorf("%q refused", name)
		}
	}
	for _, name := range []string{"", " a", "a ", "a\x00", "a\tb", "a\u2028b", "a\u202eb", "\xff", strings.Repeat("x", MaxName+1), "\u200f"} {
		if ValidName(name) {
			t.Errorf("%q accepted", name)
		}
	}
}

func TestR_GRP_24_TheLastAdminLeaves(t *testing.T) {
	r := created(t, Policy{})
	r = after(t, r, ann, Change{Kind: Add, Members: []Member{member("aa@example.org", RoleMember)}}, Change{Kind: Leave})
	// ben and cleo were there before aa; ben is first by address.
	for address, want := range map[string]Role{"aa@example.org": RoleMember, ben: Admin, cleo: RoleMember} {
		if m, ok := r.Member(address); !ok || m.Role != want {
			t.Errorf("%s is %v", address, m.Role)
		}
	}
	if !r.RekeyDue {
		t.Error("no rekey is due")
	}
	r = after(t, r, cleo, Change{Kind: Leave})
	r = after(t, r, ben, Change{Kind: Leave})
	r = after(t, r, "aa@example.org", Change{Kind: Leave})
	if len(r.Members) != 0 {
		t.Error(r.Members)
	}
	if again, err := ParseRoster(r.Encode()); err != nil || again.Hash() != r.Hash() {
		t.Error(err)
	}
}

func TestR_GRP_25_Epochs(t *testing.T) {
	r := created(t, Policy{})
	if r.Epoch != 1 || !r.EpochAt.Equal(testNow) {
		t.Errorf("epoch %d", r.Epoch)
	}
	later := testNow.Add(time.Hour)
	for kind, c := range map[Kind]Change{
		Add: {Kind: Add, Members: []Member{member(dan, RoleMember)}}, Remove: {Kind: Remove, Members: named(ben)}, Leave: {Kind: Leave},
		SetRole: {Kind: SetRole, Members: []Member{{Address: ben, Role: Admin}}}, Rename: {Kind: Rename, Name: "n"}, SetPolicy: {Kind: SetPolicy, Policy: Policy{OpenHistory: true}}, Rekey: {Kind: Rekey},
	} {
		due := r
		due.RekeyDue = true
		next, err := due.After(ann, c, later)
		if err != nil {
			t.Fatal(kind, err)
		}
		advances := kind == Remove || kind == Rekey
		if advances != kind.Advances() || (next.Epoch == 2) != advances || next.EpochAt.Equal(later) != advances || next.RekeyDue == advances || (next.Commitment == [32]byte{}) != advances {
			t.Errorf("%v: epoch %d, due %v", kind, next.Epoch, next.RekeyDue)
		}
		if next, _ := r.After(ann, c, later); next.RekeyDue != (kind == Leave) {
			t.Errorf("%v: rekey due %v", kind, next.RekeyDue)
		}
	}
}

func TestR_GRP_29_Encoding(t *testing.T) {
	r := created(t, Policy{AddByMembers: true, OpenHistory: true})
	r = after(t, r, ben, Change{Kind: Leave})
	b := r.Encode()
	got, err := ParseRoster(b)
	if err != nil || got.Hash() != r.Hash() || !bytes.Equal(got.Encode(), b) || got.Seq != 2 || got.Head != r.Head || !got.RekeyDue || got.Policy != r.Policy ||
		!slices.Equal(got.Members, r.Members) || !got.EpochAt.Equal(r.EpochAt) || got.Commitment != r.Commitment || got.Name != "walks" || got.Group != r.Group {
		t.Errorf("%+v %v", got, err)
	}
	for n := range b {
		if _, err := ParseRoster(b[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("prefix of %d bytes: %v", n, err)
		}
	}
	good := func() rosterWire {
		var w rosterWire
		if err := codec.Unmarshal(b, MaxRoster, &w); err != nil {
			t.Fatal(err)
		}
		return w
	}
	for name, f := range map[string]func(*rosterWire){
		"no group":        func(w *rosterWire) { w.Group = make([]byte, 16) },
		"short group":     func(w *rosterWire) { w.Group = w.Group[:15] },
		"short head":      func(w *rosterWire) { w.Head = w.Head[:31] },
		"no head":         func(w *rosterWire) { w.Head = make([]byte, 32) },
		"no name":         func(w *rosterWire) { w.Name = "" },
		"seq zero":        func(w *rosterWire) { w.Seq = 0 },
		"last seq":        func(w *rosterWire) { w.Seq = 1<<64 - 1 },
		"epoch zero":      func(w *rosterWire) { w.Epoch = 0 },
		"epoch above seq": func(w *rosterWire) { w.Epoch = 3 },
		"far time":        func(w *rosterWire) { w.EpochAt = maxTime + 1 },
		"no commitment":   func(w *rosterWire) { w.Commitment = nil },
		"policy 4":        func(w *rosterWire) { w.Policy = 4 },
		"disorder":        func(w *rosterWire) { slices.Reverse(w.Members) },
		"twice":           func(w *rosterWire) { w.Members[1] = w.Members[0] },
		"no admin":        func(w *rosterWire) { w.Members[0].Role = 1 },
		"no role":         func(w *rosterWire) { w.Members[0].Role = 0 },
		"role 3":          func(w *rosterWire) { w.Members[0].Role = 3 },
		"no account":      func(w *rosterWire) { w.Members[0].Account = nil },
		"account zero":    func(w *rosterWire) { w.Members[0].Account = make([]byte, 32) },
		"since zero":      func(w *rosterWire) { w.Members[0].Since = 0 },
		"since above seq": func(w *rosterWire) { w.Members[0].Since = 3 },
		"upper case":      func(w *rosterWire) { w.Members[0].Address = "Ann@example.org" },
	} {
		w := good()
		f(&w)
		if _, err := ParseRoster(codec.Marshal(w)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A full group is refused before its roster could no longer be handed on.
func TestR_GRP_29_Full(t *testing.T) {
	for _, length := range []int{5, 60} {
		r := created(t, Policy{})
		var err error
		for n := 0; err == nil; n++ {
			var add []Member
			for i := range MaxChangeMembers {
				add = append(add, member(fmt.Sprintf("%0*d@ex.org", length, n*MaxChangeMembers+i), RoleMember))
			}
			var next Roster
			if next, err = r.After(ann, Change{Kind: Add, Members: add}, testNow); err == nil {
				next.Seq++
				r = next
			}
			if n > MaxMembers {
				t.Fatal("never full")
			}
		}
		if !errors.Is(err, ErrFull) || len(r.Members) > MaxMembers {
			t.Errorf("%d members: %v", len(r.Members), err)
		}
		t.Logf("addresses of %d bytes: full at %d members, %d bytes", length+7, len(r.Members), len(r.Encode()))
		// The longest name, and integers of full length, still fit.
		r.Name, r.Seq, r.Epoch, r.RekeyDue, r.Policy = strings.Repeat("n", MaxName), 1<<63, 1<<62, true, Policy{true, true}
		if _, err := ParseRoster(r.Encode()); err != nil {
			t.Error(err)
		}
		if err := r.Allows(ann, Change{Kind: Remove, Members: named(ben)}); err != nil {
			t.Error(err)
		}
	}
}

func TestR_GRP_23_StateHash(t *testing.T) {
	r := created(t, Policy{})
	zero := r
	zero.Seq, zero.Head = 0, Head{}
	if got := sha256.Sum256(append([]byte("pawl/1 group roster"), zero.Encode()...)); got != r.Hash() {
		t.Error("not the hash of the specification")
	}
	moved := r
	moved.Seq, moved.Head = 99, Head{99}
	if moved.Hash() != r.Hash() {
		t.Error("depends on the place")
	}
	for name, f := range map[string]func(*Roster){
		"group": func(r *Roster) { r.Group[0]++ }, "name": func(r *Roster) { r.Name += "x" }, "epoch": func(r *Roster) { r.Epoch++ },
		"time": func(r *Roster) { r.EpochAt = r.EpochAt.Add(time.Second) }, "commitment": func(r *Roster) { r.Commitment[0]++ },
		"due": func(r *Roster) { r.RekeyDue = true }, "policy": func(r *Roster) { r.Policy.OpenHistory = true },
		"member": func(r *Roster) { r.Members = r.Members[1:] }, "account": func(r *Roster) { r.Members[0].Account[0]++ },
		"role": func(r *Roster) { r.Members[0].Role = 1 }, "since": func(r *Roster) { r.Members[0].Since++ },
	} {
		x := r
		x.Members = slices.Clone(r.Members)
		f(&x)
		if x.Hash() == r.Hash() {
			t.Errorf("%s is not hashed", name)
		}
	}
}
