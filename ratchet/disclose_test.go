package ratchet

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// owes reports whether s owes seed or has just handed it out.
func (s State) owes(seed macSeed) bool { return slices.Contains(s.owed, [32]byte(seed)) }

func TestR_RAT_17_OnlyClosedAndCompleteChains(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	c.pass(&c.alice, &c.bob, "0")
	seed := c.bob.current.seed
	c.bob.owed = nil // of the first round
	late := c.burst(&c.alice, 3)
	c.pass(&c.alice, &c.bob, "4")
	if m := c.seal(&c.bob, "while open"); len(m) != Overhead+len("while open") {
		t.Error("something disclosed while the chain is open")
	} else {
		c.open(&c.alice, m)
	}
	tail := c.burst(&c.alice, 1) // of the new chain, number 0
	c.open(&c.bob, tail[0])
	for i, m := range late {
		if c.bob.owes(seed) {
			t.Fatal("owed with keys still held", i)
		}
		bad := slices.Clone(m)
		bad[len(bad)-1] ^= 1
		c.refuse(c.bob, bad, ErrForged) // discloses nothing
		c.open(&c.bob, m)
	}
	if !c.bob.owes(seed) {
		t.Error("not owed when complete")
	}
	// By expiry, too.
	c.pass(&c.bob, &c.alice, "x")
	c.burst(&c.alice, 2)
	c.pass(&c.alice, &c.bob, "y")
	seed = c.bob.current.seed
	c.pass(&c.bob, &c.alice, "x")
	c.pass(&c.alice, &c.bob, "y")
	if s, changed := c.bob.Expire(c.now.Add(SkippedLife)); changed || s.owes(seed) {
		t.Error("owed too early")
	}
	if s, changed := c.bob.Expire(c.now.Add(2 * SkippedLife)); !changed || !s.owes(seed) {
		t.Error("not owed after expiry")
	}
}

func TestR_RAT_18_OwedChainsAreGone(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	m := c.seal(&c.alice, "one")
	c.open(&c.bob, m)
	seed, header, key := c.bob.current.seed, c.bob.current.cipher.key, c.bob.key
	c.pass(&c.bob, &c.alice, "reply")
	c.pass(&c.alice, &c.bob, "closes")
	if !c.bob.owes(seed) {
		t.Fatal("not owed")
	}
	c.refuse(c.bob, m, ErrUnknownChain)
	record := c.bob.AppendRecord(nil)
	if bytes.Contains(record, header[:]) || bytes.Contains(record, key[:]) {
		t.Error("the state still holds keys of the chain")
	}
	c.seal(&c.bob, "discloses")
	if bytes.Contains(c.bob.AppendRecord(nil), seed[:]) {
		t.Error("the seed is still held after disclosure")
	}
}

func TestR_RAT_19_NextOwesNothing(t *testing.T) {
	c := newTalk(t)
	c.rounds(3)
	c.pass(&c.alice, &c.bob, "closes")
	x, err := c.bob.Seal(nil, talkAD)
	if err != nil {
		t.Fatal(err)
	}
	w, _ := ParseMessage(x.Message)
	if len(w.Disclosed) != 1 || len(x.Next.owed) != 0 || len(c.bob.owed) != 1 {
		t.Error("a seed goes with a message and leaves the state with it")
	}
	// Lost before it was durable: the next attempt carries it again.
	y, _ := c.bob.Seal(nil, talkAD)
	if v, _ := ParseMessage(y.Message); !slices.Equal(v.Disclosed, w.Disclosed) {
		t.Error("lost with the message")
	}
}

func TestR_RAT_23_Forge(t *testing.T) {
	c := newTalk(t)
	texts := []string{"meet at noon", "meet at nine"}
	m := c.seal(&c.alice, texts[0])
	c.open(&c.bob, m)
	c.pass(&c.bob, &c.alice, "yes")
	c.pass(&c.alice, &c.bob, "good")
	w, _ := ParseMessage(c.seal(&c.bob, "bye"))
	seed := w.Disclosed[0]

	xor := make([]byte, len(texts[0]))
	for i := range xor {
		xor[i] = texts[0][i] ^ texts[1][i]
	}
	forged, err := Forge(seed, 0, m, talkAD, xor)
	if err != nil || bytes.Equal(forged, m) || len(forged) != len(m) || !VerifyDisclosed(seed, 0, forged, talkAD) {
		t.Fatal("no forgery", err)
	}
	// Whoever holds the message key, as a receiver that kept everything, reads
	// the other text: nothing tells the two apart.
	if n, ok := Locate(seed, forged, talkAD, 3); !ok || n != 0 {
		t.Error("number not found")
	}
	if VerifyDisclosed(seed, 1, m, talkAD) || VerifyDisclosed(seed, 0, m, nil) || VerifyDisclosed([32]byte{}, 0, m, talkAD) || VerifyDisclosed(seed, 0, m[:40], talkAD) {
		t.Error("verifies what it should not")
	}
	if _, ok := Locate([32]byte{}, m, talkAD, 3); ok {
		t.Error("found under a wrong seed")
	}
	for want, f := range map[error]func() ([]byte, error){
		ErrForged:    func() ([]byte, error) { return Forge(seed, 1, m, talkAD, xor) },
		ErrMalformed: func() ([]byte, error) { return Forge(seed, 0, m, talkAD, xor[1:]) },
		ErrTooLong:   func() ([]byte, error) { return Forge(seed, 0, make([]byte, MaxMessage+1), talkAD, xor) },
	} {
		if _, err := f(); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	c.refuse(c.bob, forged, ErrUnknownChain)

	// With the key that decrypted the genuine message the forgery reads well.
	own := newTalk(t)
	snapshot := own.bob
	m = own.seal(&own.alice, texts[0])
	own.open(&own.bob, m)
	forged, err = Forge(own.bob.current.seed, 0, m, talkAD, xor)
	if err != nil {
		t.Fatal(err)
	}
	if o := own.open(&snapshot, forged); string(o.Plaintext) != texts[1] {
		t.Errorf("forged %q", o.Plaintext)
	}
}
