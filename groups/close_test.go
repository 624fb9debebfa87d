package groups

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestR_GRP_16_R_GRP_17_Closing(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	all := burst(t, &c, 4)
	open(t, &r, all[2], testNow)
	seed := c.Seed()
	closed, err := r.Close(nil)
	if err != nil || !closed.Closed() || closed.Missing() != 0 || closed.key != (chainKey{}) || closed.ID() != c.ID() {
		t.Fatal(err)
	}
	if _, ok := closed.Disclosed(); ok {
		t.Error("disclosed without a seed")
	}
	for _, m := range all {
		refuse(t, closed, m, testNow, ErrClosed)
	}
	wrong := seed
	wrong[0] ^= 1
	if _, err := closed.Close(&wrong); !errors.Is(err, ErrForged) {
		t.Error(err)
	}
	if _, err := r.Close(&wrong); !errors.Is(err, ErrForged) || r.Closed() {
		t.Error(err)
	}
	disclosed, err := closed.Close(&seed)
	if got, ok := disclosed.Disclosed(); err != nil || !ok || got != seed {
		t.Error(err)
	}
	at, err := r.Close(&seed)
	if got, ok := at.Disclosed(); err != nil || !ok || got != seed || !at.Closed() {
		t.Error(err)
	}
	for _, m := range all {
		refuse(t, disclosed, m, testNow, ErrClosed)
	}
	if _, changed := disclosed.Expire(testNow.Add(ChainLife * 2)); changed {
		t.Error("a closed chain expires")
	}
	if _, err := (Receiving{}).Close(nil); err == nil {
		t.Error("no chain closed")
	}
}

func TestR_GRP_18_Forge(t *testing.T) {
	g := NewID()
	c := newChain(t, g, 3, alice)
	burst(t, &c, 2)
	held := c.Key()
	original := accept(t, c)
	genuine := burst(t, &c, 3)
	seed := c.Seed()
	for _, m := range genuine {
		if !VerifyDisclosed(seed, held, alice, m) {
			t.Error("a genuine message does not verify")
		}
	}
	for i := range uint32(3) {
		// The same text gives the same bytes: nothing tells them apart.
		same, err := Forge(seed, held, alice, 2+i, 7, Head{7}, fmt.Append(nil, "message ", 2+i))
		if err != nil || !bytes.Equal(same, genuine[i]) {
			t.Error(err)
		}
		other, err := Forge(seed, held, alice, 2+i, 9, Head{9}, []byte("I never said that"))
		if err != nil || !VerifyDisclosed(seed, held, alice, other) {
			t.Error(err)
		}
		// A receiver that had not closed the chain would have taken it.
		r := original
		if o := open(t, &r, other, testNow); string(o.Plaintext) != "I never said that" {
			t.Errorf("%q", o.Plaintext)
		}
		closed, _ := original.Close(&seed)
		refuse(t, closed, other, testNow, ErrClosed)
	}
	wrong := seed
	wrong[3]++
	if VerifyDisclosed(wrong, held, alice, genuine[0]) || VerifyDisclosed(seed, held, bob, genuine[0]) || VerifyDisclosed(seed, held, alice, nil) {
		t.Error("verifies under something else")
	}
	bad := bytes.Clone(genuine[0])
	bad[bodyAt] ^= 1
	if VerifyDisclosed(seed, held, alice, bad) {
		t.Error("a changed message verifies")
	}
	for name, err := range map[error]func() error{
		ErrForged: func() error { _, err := Forge(wrong, held, alice, 2, 1, Head{}, nil); return err },
		ErrTooOld: func() error { _, err := Forge(seed, held, alice, 1, 1, Head{}, nil); return err },
		ErrTooLong: func() error {
			_, err := Forge(seed, held, alice, 2, 1, Head{}, make([]byte, MaxPlaintext+1))
			return err
		},
		ErrMalformed: func() error { _, err := Forge(seed, held, bob, 2, 1, Head{}, nil); return err },
	} {
		if got := err(); !errors.Is(got, name) {
			t.Errorf("%v, want %v", got, name)
		}
	}
}

func TestR_GRP_19_ChainBefore(t *testing.T) {
	g := NewID()
	old := newChain(t, g, 1, alice)
	r := accept(t, old)
	all := burst(t, &old, 12)
	for _, i := range []int{0, 2, 5} {
		open(t, &r, all[i], testNow)
	}
	next, err := NewSending(g, 2, alice, testNow, Before{old.ID(), old.Index()})
	if err != nil {
		t.Fatal(err)
	}
	now := accept(t, next)
	if b := now.Before(); b.Chain != r.ID() || b.Count != 12 {
		t.Errorf("%+v", b)
	}
	for limit, want := range map[int][]uint32{100: {1, 3, 4, 6, 7, 8, 9, 10, 11}, 7: {4, 6, 7, 8, 9, 10, 11}, 2: {10, 11}, 0: nil} {
		if got := r.Lost(12, limit); !slices.Equal(got, want) {
			t.Errorf("limit %d: lost %v", limit, got)
		}
	}
	if got := r.Lost(4, 100); !slices.Equal(got, []uint32{1, 3}) {
		t.Errorf("of 4: lost %v", got)
	}
	if got := r.Lost(1<<32-1, 3); len(got) != 3 {
		t.Errorf("a claimed count of 2^32 gives %d", len(got))
	}
}

func TestR_GRP_36_HandedOutAgain(t *testing.T) {
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	early := c.Key()
	all := burst(t, &c, 10)
	open(t, &r, all[3], testNow)
	record := r.AppendRecord(nil)
	back, err := r.Renew(early)
	if err != nil || !bytes.Equal(back.AppendRecord(nil), record) {
		t.Error("went back", err)
	}
	burst(t, &c, 3000)
	late := burst(t, &c, 1)[0]
	refuse(t, r, late, testNow, ErrTooFarAhead)
	c2 := c
	fresh, err := r.Renew(c2.Key())
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, fresh, all[3], testNow, ErrTooOld)
	refuse(t, fresh, all[7], testNow, ErrTooOld)
	refuse(t, fresh, late, testNow, ErrTooOld)
	open(t, &fresh, all[1], testNow) // its key was there
	refuse(t, fresh, all[1], testNow, ErrTooOld)
	open(t, &fresh, burst(t, &c, 1)[0], testNow)
	if again, err := ParseReceiving(fresh.AppendRecord(nil)); err != nil || !bytes.Equal(again.AppendRecord(nil), fresh.AppendRecord(nil)) {
		t.Error(err)
	}
	if _, err := r.Renew(newChain(t, c.Group(), 1, alice).Key()); !errors.Is(err, ErrUnknownChain) {
		t.Error(err)
	}
	stranger := c.Key()
	stranger.Verify[0]++
	if _, err := r.Renew(stranger); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	closed, _ := r.Close(nil)
	if _, err := closed.Renew(c.Key()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
