package ratchet

import (
	"testing"
)

// Forward secrecy: a state stolen now opens nothing that was opened before.
func TestStolenStateOpensNothingEarlier(t *testing.T) {
	c := newTalk(t)
	var seen [][]byte
	for range 4 {
		for range 3 {
			m := c.seal(&c.alice, "earlier")
			seen = append(seen, m)
			c.open(&c.bob, m)
		}
		c.pass(&c.bob, &c.alice, "reply")
		for n := range len(seen) {
			stolen, err := ParseRecord(c.bob.AppendRecord(nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stolen.Open(seen[n], talkAD, c.now); err == nil {
				t.Fatalf("message %d opens with a state stolen after it", n)
			}
		}
	}
	// With everything the thief has: the chain keys of the record do not decrypt
	// the bodies either, wherever the chain is wound to.
	w, _ := ParseMessage(seen[len(seen)-1])
	key := c.bob.key
	for range 50 {
		k := key.step()
		out := make([]byte, len(w.Body))
		k.xor(out, append(append([]byte{}, w.Salt...), 0, 0, 0, 0), w.Body)
		if string(out) == "earlier" {
			t.Error("the chain key leads back")
		}
	}
}

// Healing: a passive thief of both states reads on, until each side has made
// one new ratchet key; after that nothing.
func TestOneRoundTripHeals(t *testing.T) {
	for _, initiatorFirst := range []bool{true, false} {
		c := newTalk(t)
		c.rounds(2)
		a, b := &c.alice, &c.bob
		if !initiatorFirst {
			c.pass(a, b, "turn")
			a, b = b, a
		}
		thief := [2]State{*a, *b}
		read := func(m []byte) bool {
			for i := range thief {
				if o, err := thief[i].Open(m, talkAD, c.now); err == nil {
					thief[i] = o.Next
					return true
				}
			}
			return false
		}
		m := c.seal(a, "a's new key is not the thief's, b's old key is")
		c.open(b, m)
		if !read(m) {
			t.Error("the control fails: the theft is of no use at all")
		}
		m = c.seal(b, "b's new key")
		c.open(a, m)
		if read(m) {
			t.Error("not healed by two new keys")
		}
		for range 3 {
			m = c.seal(a, "after")
			c.open(b, m)
			if read(m) {
				t.Error("read after healing")
			}
			m = c.seal(b, "after")
			c.open(a, m)
			if read(m) {
				t.Error("read after healing")
			}
		}
	}
}
