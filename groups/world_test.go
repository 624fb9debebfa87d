package groups

import (
	"testing"
	"time"
)

var testNow = time.Unix(1_800_000_000, 0).UTC()

func sender(address string, device uint64) Sender {
	s := Sender{Address: address, Device: device}
	copy(s.Identity[:], "identity key of "+address)
	return s
}

func (s Sender) author() Author { return Author{s.Address, s.Device} }

func account(address string) (k [32]byte) {
	copy(k[:], "account key of "+address)
	return k
}

func member(address string, role Role) Member {
	return Member{Address: address, Account: account(address), Role: role}
}

func newChain(tb testing.TB, g ID, epoch uint64, s Sender) Sending {
	tb.Helper()
	c, err := NewSending(g, epoch, s, testNow, Before{})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func accept(tb testing.TB, c Sending) Receiving {
	tb.Helper()
	r, err := Accept(c.Key(), c.Sender())
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// place makes an entry and applies it as a member would who was given the blob.
func place(tb testing.TB, r Roster, s Secret, by Sending, c Change, next *Secret) Roster {
	tb.Helper()
	p, err := Propose(r, s, by, by.Sender().author(), c, next, testNow)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := Read(r.Group, r.Seq+1, r.Head, s, max(r.Epoch, 1), p.Blob)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := r.Apply(e, by.Key().Verify, by.Sender())
	if err != nil {
		tb.Fatal(err)
	}
	if got.Hash() != p.Roster.Hash() || got.Head != p.Head || got.Seq != p.Roster.Seq {
		tb.Fatal("author and member see different rosters")
	}
	return got
}
