package groups

import "testing"

func TestSmoke(t *testing.T) {
	g, s := NewID(), NewSecret()
	alice, bob := sender("alice@example.org", 1), sender("bob@example.org", 2)
	a := newChain(t, g, 1, alice)
	b := newChain(t, g, 1, bob)
	r := place(t, Roster{Group: g}, s, a, Change{Kind: Create, Name: "n", Members: []Member{member(alice.Address, Admin), member(bob.Address, RoleMember)}}, nil)
	r = place(t, r, s, b, Change{Kind: Leave}, nil)
	s2 := NewSecret()
	r = place(t, r, s, a, Change{Kind: Rekey}, &s2)
	if r.Epoch != 2 || !r.Holds(s2) || r.RekeyDue {
		t.Fatal(r)
	}
	x, _ := ParseRoster(r.Encode())
	if x.Hash() != r.Hash() {
		t.Fatal("hash")
	}
	rc := accept(t, a)
	for range 3 {
		x, err := a.Seal(1, r.Head, []byte("hi"))
		if err != nil {
			t.Fatal(err)
		}
		a = x.Next
		if a.Index() == 2 {
			continue
		}
		rc, err = ParseReceiving(rc.AppendRecord(nil))
		if err != nil {
			t.Fatal(err)
		}
		o, err := rc.Open(x.Message, testNow)
		if err != nil || string(o.Plaintext) != "hi" {
			t.Fatal(err)
		}
		rc = o.Next
	}
	if rc.Missing() != 1 {
		t.Fatal(rc.Missed())
	}
	i := NewInvite("example.org", g, "al%&=ice@example.org")
	j, err := ParseInvite(i.String())
	if err != nil || i != j {
		t.Fatal(i, j, err)
	}
}
