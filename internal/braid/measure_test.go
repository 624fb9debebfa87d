package braid

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// traffic is who sends how many messages before the other does.
type traffic struct {
	name   string
	bursts [2]int
}

var (
	bothWays = traffic{"both ways", [2]int{1, 1}}
	bursts   = traffic{"bursts of 5", [2]int{5, 5}}
	// One side talks, the other sends the ratchet's heartbeat after 50 messages.
	oneWay = traffic{"one way", [2]int{50, 1}}
)

// measured is what a simulation finds, in messages of the side that sends more.
type measured struct {
	epoch, worst float64 // from the beginning of an epoch to the next: mean, longest
	heal, last   float64 // from the theft of a state to the first secret the thief lacks: mean, longest
	other        float64 // messages of the side that sends less, for an epoch: mean
}

// fresh is the first epoch whose secret a thief of s does not find by watching:
// this one if neither a key nor an answer has been drawn for it here, and the
// next otherwise. What the other side has drawn the thief does not have.
func (s State) fresh() uint32 {
	switch t := s.turn.(type) {
	case resting, *listening:
		return s.epoch
	case *offering, *answering, *done:
		_ = t
		return s.epoch + 1
	}
	panic("unreachable")
}

// measure lets both sides talk for n epochs with loss per hundred messages.
func measure(t testing.TB, talk traffic, room, loss, n int) (m measured) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(uint64(loss), uint64(room)))
	type theft struct {
		at    int
		fresh uint32
	}
	var thefts []theft
	var counts [2]int // messages sent by each side
	began := 0
	healed := 0
	for w.done() < n {
		for who, burst := range talk.bursts {
			for range burst {
				p := w.send(who, room)
				counts[who]++
				if r.IntN(100) >= loss {
					w.receive(1-who, p)
				}
				busy := max(counts[0], counts[1])
				for victim := range 2 {
					thefts = append(thefts, theft{busy, w.states[victim].fresh()})
				}
				if now := w.done(); now > 0 && began < now {
					length := float64(busy) - m.epoch
					m.epoch, m.worst = float64(busy), max(m.worst, length)
					began = now
					rest := thefts[:0]
					for _, f := range thefts {
						if int(f.fresh) > now {
							rest = append(rest, f)
							continue
						}
						took := float64(busy - f.at)
						m.heal, m.last = m.heal+took, max(m.last, took)
						healed++
					}
					thefts = rest
				}
				if busy > 5000*n {
					t.Fatal("the exchange does not end")
				}
			}
		}
	}
	m.epoch /= float64(n)
	m.other = float64(min(counts[0], counts[1])) / float64(n)
	m.heal /= float64(healed)
	return m
}

// roomFor is the room of n chunks, whichever parts they are of.
func roomFor(n int) int { return MinPiece + 2*runLen + n*ChunkSize }

// defaultRoom is what the smallest padded message leaves beside a text of n
// bytes: of 256 bytes, 35 are the content object around a text of at least 24
// bytes (two fewer around a shorter one), 1 ends it and 2 are kept for the
// length of the piece.
func defaultRoom(n int) int { return 256 - 35 - 1 - 2 - n }

// TestMessagesForAnEpoch holds the bars: with the room that the smallest message
// leaves beside a short text, an epoch takes at most 12 messages each way; with
// one chunk in each message about 44, as the published design.
func TestMessagesForAnEpoch(t *testing.T) {
	for _, c := range []struct {
		room int
		most float64
	}{{defaultRoom(0), 12}, {defaultRoom(40), 12}, {defaultRoom(79), 12}, {roomFor(1), 44}, {MaxPiece, 2}} {
		m := measure(t, bothWays, c.room, 0, 20)
		t.Logf("room %4d: an epoch takes %.1f messages each way, at most %.0f; healing %.1f, at most %.0f", c.room, m.epoch, m.worst, m.heal, m.last)
		if m.worst > c.most {
			t.Errorf("room %d: %.0f messages each way, want at most %.0f", c.room, m.worst, c.most)
		}
	}
	// Loss costs about what is lost, and nothing beyond that.
	for _, loss := range []int{10, 20, 30} {
		clean := measure(t, bothWays, defaultRoom(40), 0, 20)
		m := measure(t, bothWays, defaultRoom(40), loss, 100)
		if limit := clean.epoch/(1-float64(loss)/100) + 4; m.epoch > limit {
			t.Errorf("loss %d %%: %.1f messages each way, want at most %.1f", loss, m.epoch, limit)
		}
	}
}

func BenchmarkEpoch(b *testing.B) {
	for _, talk := range []traffic{bothWays, bursts, oneWay} {
		epochs := 20
		if talk == oneWay {
			epochs = 4
		}
		for _, n := range []int{1, 3, 4, 5, 6, 12, 39} {
			for _, loss := range []int{0, 10, 20, 30} {
				b.Run(fmt.Sprintf("%s/chunks=%d/loss=%d", talk.name, n, loss), func(b *testing.B) {
					var m measured
					for b.Loop() {
						m = measure(b, talk, roomFor(n), loss, epochs)
					}
					b.ReportMetric(m.epoch, "messages/epoch")
					b.ReportMetric(m.other, "replies/epoch")
					b.ReportMetric(m.worst, "messages/longest")
					b.ReportMetric(m.heal, "messages/heal")
					b.ReportMetric(m.last, "messages/slowest-heal")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

// BenchmarkMessage is what a message costs both sides together: making a piece,
// receiving it, and what epochs cost in between.
func BenchmarkMessage(b *testing.B) {
	for _, n := range []int{1, 5, 39} {
		for _, loss := range []int{0, 10, 30} {
			b.Run(fmt.Sprintf("chunks=%d/loss=%d", n, loss), func(b *testing.B) {
				secret := [32]byte{1}
				states := [2]State{Start(&secret, Initiator), Start(&secret, Responder)}
				r := rand.New(rand.NewPCG(7, uint64(loss)))
				room, who := roomFor(n), 0
				for b.Loop() {
					sent := states[who].Send(room, drawn())
					states[who] = sent.Next
					who = 1 - who
					if r.IntN(100) >= loss {
						got, err := states[who].Receive(sent.Piece)
						if err != nil {
							b.Fatal(err)
						}
						states[who] = got.Next
					}
				}
			})
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	w := newWorld(b)
	for range 4 {
		w.receive(1, w.send(0, 171))
		w.receive(0, w.send(1, 171))
	}
	record := w.states[0].AppendRecord(nil)
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(record)))
		for b.Loop() {
			record = w.states[0].AppendRecord(record[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseRecord(record); err != nil {
				b.Fatal(err)
			}
		}
	})
}
