package ratchet

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"testing"
)

// quantum is a thief of one side's state who computes discrete logarithms: it
// knows every private ratchet key that either side makes, and every message that is
// on the wire. What it does not know is what a side draws for the exchange after
// the theft. It runs the real code on what it has.
type quantum struct {
	State
	lost bool // it reads nothing any more
}

// sealed follows a message that the victim seals with r, and reports whether the
// thief reads it.
func (q *quantum) sealed(plain []byte, r *randomness, x *Sealed) bool {
	if q.lost {
		return false
	}
	own := *r
	rand.Read(own[braidAt:]) // what was drawn for the exchange is no discrete logarithm
	y, err := q.seal(plain, talkAD, &own)
	if err != nil || y.Next.root != x.Next.root {
		q.lost = true
		return false
	}
	q.State = y.Next
	return true
}

// opened follows a message of the peer's. One that the victim never gets is read,
// and leads nowhere.
func (q *quantum) opened(m []byte, arrives bool) bool {
	if q.lost {
		return false
	}
	o, err := q.Open(m, talkAD, benchNow)
	if arrives {
		q.State, q.lost = o.Next, err != nil
	}
	return err == nil
}

// course is a conversation that thieves follow.
type course struct {
	tb     testing.TB
	r      *mrand.Rand
	sides  [2]State
	thefts []*theft
}

// theft is of one side's state, at one moment.
type theft struct {
	quantum
	victim int
	sent   [2]int // by each side since then, up to the last that was read
	since  [2]int
}

func newCourse(tb testing.TB, seed uint64) *course {
	c := &course{tb: tb, r: mrand.New(mrand.NewPCG(seed, 3))}
	c.sides[0], c.sides[1] = newPair(tb)
	c.say(0, 10, 0)
	c.say(1, 10, 0)
	return c
}

func (c *course) steal(victim int) {
	s, err := ParseRecord(c.sides[victim].AppendRecord(nil))
	if err != nil {
		c.tb.Fatal(err)
	}
	c.thefts = append(c.thefts, &theft{quantum: quantum{State: s}, victim: victim})
}

// say lets from write one message, which arrives unless it is lost.
func (c *course) say(from, size, loss int) {
	plain := make([]byte, size)
	copy(plain, "text")
	c.sayPlain(from, plain, loss)
}

func (c *course) sayPlain(from int, plain []byte, loss int) {
	var r randomness
	rand.Read(r[:])
	random := r
	x, err := c.sides[from].seal(plain, talkAD, &random)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.sides[from] = x.Next
	arrives := c.r.IntN(100) >= loss
	for _, t := range c.thefts {
		t.since[from]++
		read := false
		if from == t.victim {
			read = t.sealed(plain, &r, &x)
		} else {
			read = t.opened(x.Message, arrives)
		}
		if read {
			t.sent = t.since
		}
	}
	if !arrives {
		return
	}
	o, err := c.sides[1-from].Open(x.Message, talkAD, benchNow)
	if err != nil || o.PieceRefused != nil {
		c.tb.Fatal(err, o.PieceRefused)
	}
	c.sides[1-from] = o.Next
}

// R-RAT-41: a thief who knows every X25519 key reads on until an epoch that was
// drawn after the theft is mixed in, and then nothing more. Without room for pieces
// it reads for ever: the control.
func TestQuantumThief(t *testing.T) {
	c := newCourse(t, 1)
	for n := range 400 {
		if n > 20 && n%7 == 0 && n < 300 {
			c.steal(n / 7 % 2)
		}
		c.say(0, 256, 0)
		c.say(1, 256, 0)
	}
	for i, s := range c.thefts {
		if !s.lost {
			t.Errorf("theft %d is never healed", i)
		}
		if s.sent == [2]int{} {
			t.Errorf("theft %d was of no use at all", i)
		}
		if s.sent[0] > 20 {
			t.Errorf("theft %d is worth %v messages", i, s.sent)
		}
	}
	c = newCourse(t, 2)
	c.steal(0)
	c.steal(1)
	for range 100 {
		c.say(0, 10, 0)
		c.say(1, 10, 0)
	}
	for i, s := range c.thefts {
		if s.lost || s.sent[0] != 100 {
			t.Errorf("the control fails: thief %d reads %v", i, s.sent)
		}
	}
}

// content is how many bytes of a padded message of 256 bytes are not zeros: the
// content object's own and the text.
func content(text int) int { return 36 + text }

// BenchmarkHealing is how many messages each way a stolen state is worth to
// somebody who computes discrete logarithms: sides in turn, the smallest padded
// message with a text of so many bytes. Thefts come at all times.
func BenchmarkHealing(b *testing.B) {
	for _, text := range []int{0, 40, 79, 111} {
		for _, loss := range []int{0, 10, 20, 30} {
			b.Run(fmt.Sprintf("text=%d/loss=%d", text, loss), func(b *testing.B) {
				sum, most, count := 0, 0, 0
				for b.Loop() {
					c := newCourse(b, uint64(loss))
					for n := range 500 {
						if n > 20 && n%5 == 0 && n < 400 {
							c.steal(n / 5 % 2)
						}
						for from := range 2 {
							c.sayText(from, text, loss)
						}
					}
					for _, t := range c.thefts {
						if !t.lost {
							b.Fatal("not healed")
						}
						n := max(t.sent[0], t.sent[1])
						sum, most, count = sum+n, max(most, n), count+1
					}
				}
				b.ReportMetric(float64(sum)/float64(count), "messages/way")
				b.ReportMetric(float64(most), "most")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func (c *course) sayText(from, text, loss int) {
	plain := make([]byte, 256)
	for i := range content(text) {
		plain[i] = 0x80
	}
	c.sayPlain(from, plain, loss)
}

// BenchmarkHealingOneWay: one side talks, the other sends a heartbeat when it is
// due. Counted are heartbeats.
func BenchmarkHealingOneWay(b *testing.B) {
	for _, loss := range []int{0, 10, 30} {
		b.Run(fmt.Sprintf("loss=%d", loss), func(b *testing.B) {
			sum, most, count := 0, 0, 0
			for b.Loop() {
				c := newCourse(b, uint64(loss))
				for n := range 4500 {
					if n > 200 && n%101 == 0 && n < 1800 {
						c.steal(n / 101 % 2)
					}
					c.sayText(0, 40, loss)
					if c.sides[1].HeartbeatDue() {
						c.sayText(1, 0, loss)
					}
				}
				for _, t := range c.thefts {
					if !t.lost {
						b.Fatal("not healed")
					}
					sum, most, count = sum+t.sent[1], max(most, t.sent[1]), count+1
				}
			}
			b.ReportMetric(float64(sum)/float64(count), "heartbeats")
			b.ReportMetric(float64(most), "most")
			b.ReportMetric(0, "ns/op")
		})
	}
}
