package ratchet

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// talk is two sides whose steps succeed or end the test.
type talk struct {
	*testing.T
	alice, bob State // alice is the initiator
	now        time.Time
}

var talkAD = []byte("both identities")

func newTalk(t *testing.T) *talk {
	t.Helper()
	alice, bob := newPair(t)
	return &talk{t, alice, bob, benchNow}
}

func (c *talk) seal(s *State, text string) []byte {
	c.Helper()
	x, err := s.Seal([]byte(text), talkAD)
	if err != nil {
		c.Fatal(err)
	}
	*s = x.Next
	return x.Message
}

func (c *talk) open(s *State, m []byte) Opened {
	c.Helper()
	o, err := s.Open(m, talkAD, c.now)
	if err != nil {
		c.Fatal(err)
	}
	*s = o.Next
	return o
}

// refuse opens m, which must fail with want and change nothing.
func (c *talk) refuse(s State, m []byte, want error) {
	c.Helper()
	before := s.AppendRecord(nil)
	if _, err := s.Open(m, talkAD, c.now); !errors.Is(err, want) {
		c.Errorf("got %v, want %v", err, want)
	}
	if !bytes.Equal(before, s.AppendRecord(nil)) {
		c.Errorf("%v changed the state", want)
	}
}

// pass seals with from and opens with to.
func (c *talk) pass(from, to *State, text string) Opened {
	c.Helper()
	o := c.open(to, c.seal(from, text))
	if string(o.Plaintext) != text {
		c.Fatalf("%q arrives as %q", text, o.Plaintext)
	}
	return o
}

// rounds lets both sides answer each other n times.
func (c *talk) rounds(n int) {
	c.Helper()
	for range n {
		c.pass(&c.alice, &c.bob, "ping")
		c.pass(&c.bob, &c.alice, "pong")
	}
}

// burst seals n messages and returns them.
func (c *talk) burst(s *State, n int) [][]byte {
	c.Helper()
	var all [][]byte
	for range n {
		all = append(all, c.seal(s, "burst"))
	}
	return all
}

// reseal makes a message of s with another header, as only a peer that does not
// keep to the protocol can.
func reseal(t *testing.T, s State, change func(*header)) []byte {
	t.Helper()
	x, err := s.Seal([]byte("text"), talkAD)
	if err != nil {
		t.Fatal(err)
	}
	turn := x.Next.turn.(*sending)
	h := header{turn.public, turn.previous, turn.number - 1, x.Next.mixed, false}
	change(&h)
	m := x.Message
	turn.cipher.seal(m, &h)
	key := turn.seed.key(h.number)
	tag := key.tag(talkAD, m[:len(m)-tagLen])
	copy(m[len(m)-tagLen:], tag[:])
	return m
}
