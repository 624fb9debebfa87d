package lab

import (
	"time"

	"github.com/pawl-chat/pawl/ratchet"
)

// Verdict is what one theft means for the messages of a run.
type Verdict struct {
	At  string // name of the compromise
	Who string // the device whose state was copied
	// Sent and Wire are how many messages had been written and how many letters
	// had left by then.
	Sent, Wire int
	// Opened are the numbers of the messages that the thief reads, ascending;
	// Closed is how many of the run's others it does not.
	Opened []int
	Closed int
	// Before and Read are how many of the opened ones were written before the
	// theft, and how many of those their reader had opened by then on every device: what
	// forward secrecy should have closed. Oldest is the age of the oldest one.
	Before int
	Read   int
	Oldest time.Duration
	// Healed is after how many messages of the victim's conversations, written
	// after the theft, the thief reads no more: 0 if none is open. It is -1 when the last
	// one is still open or there is none: healing was not seen. HealedIn is when the
	// first closed one was written, counted from the theft.
	Healed   int
	HealedIn time.Duration
	// Public is how many messages written before the theft had MAC keys that
	// anybody knew by then: what was said in them proves nothing any more.
	Public int
	// Signing is how many group messages written before the theft were signed with
	// keys that the members had been told by then: any of them can have made those.
	Signing int
	// Forges names the devices that would take, when the run ends, a message
	// made from what was stolen for one of the victim's, within their session;
	// FooledBy names those in whose name a message would be taken by the victim.
	Forges   []string
	FooledBy []string
	// Entries is how many entries of group logs the thief reads.
	Entries int
	// Agree says that both judges say the same of each sealed copy; Differ
	// lists messages of which they do not.
	Agree  bool
	Differ []int
}

// judge lets both judges look at one theft (R-LAB-06, R-LAB-07).
func (w *world) judge(x *index, l *loot) (Verdict, int, error) {
	v := Verdict{At: l.name, Who: l.victim, Agree: true, Public: l.public, Signing: l.signing, Sent: l.sent, Wire: l.wire}
	thief, err := w.ransack(l)
	if err != nil {
		return v, 0, err
	}
	opened := thief.opened
	known, err := l.known()
	if err != nil {
		return v, 0, err
	}
	if l.quantum {
		known = append(known, w.trace.agreements()...)
	}
	follows := x.close(known)
	cells := 0
	open := map[int]bool{}
	wasRead := map[int]bool{}
	for _, letter := range w.letters {
		if !letter.judged() {
			continue
		}
		cells++
		n, ok := x.names[name{role: content, n: uint64(letter.index)}]
		if byGraph := ok && follows[n]; byGraph != opened[letter.index] {
			v.Agree = false
			v.Differ = append(v.Differ, letter.message)
		}
		if letter.counted() && opened[letter.index] {
			open[letter.message] = true
			if letter.readAt > 0 && letter.readAt <= l.mark && (letter.said == nil || letter.to == l.self) {
				wasRead[letter.message] = true
			}
		}
	}
	for _, e := range w.entries {
		cells++
		n := x.names[name{role: logEntry, n: uint64(e.index)}]
		if follows[n] != thief.log[e.index] {
			v.Agree = false
			v.Differ = append(v.Differ, 0)
		}
		if thief.log[e.index] {
			v.Entries++
		}
	}
	w.measure(&v, l, open, wasRead)
	if err := w.forge(&v, l); err != nil {
		return v, 0, err
	}
	return v, cells, nil
}

// measure turns open and closed messages into windows (R-LAB-08).
func (w *world) measure(v *Verdict, l *loot, open, wasRead map[int]bool) {
	concerns := map[int]bool{}
	for _, letter := range w.letters {
		if letter.counted() && letter.concerns(l) {
			concerns[letter.message] = true
		}
	}
	v.Healed = -1
	after, last := 0, 0
	for n := 1; n <= w.sent; n++ {
		t := w.written[n]
		if open[n] {
			v.Opened = append(v.Opened, n)
		}
		switch {
		case n <= l.sent:
			if open[n] {
				v.Before++
				v.Oldest = max(v.Oldest, l.at.Sub(t.at))
				if wasRead[n] {
					v.Read++
				}
			}
		case concerns[n]:
			after++
			if open[n] {
				last, v.Healed = after, -1
			} else if v.Healed < 0 {
				v.Healed, v.HealedIn = last, t.at.Sub(l.at)
			}
		}
	}
	v.Closed = w.sent - len(v.Opened)
}

// concerns reports whether l belongs to a conversation of the victim's, or to a
// group that it was in.
func (l *letter) concerns(of *loot) bool {
	if l.from.address == of.self.address || l.to.address == of.self.address {
		return true
	}
	return l.said != nil && of.shelves[l.said.group] != nil
}

// forgeable counts the messages among letters whose MAC keys are public: with
// what was disclosed on the wire, anybody makes them say something else
// (R-LAB-09).
func (w *world) forgeable(letters []*letter) int {
	seeds := map[key]bool{}
	for _, l := range letters {
		if m, err := ratchet.ParseMessage(l.body); err == nil {
			for _, s := range m.Disclosed {
				seeds[s] = true
			}
		}
	}
	messages := map[int]bool{}
	for _, l := range letters {
		if l.counted() && seeds[l.seed] && ratchet.VerifyDisclosed(l.seed, l.number, l.body, l.ad[:]) {
			messages[l.message] = true
		}
	}
	return len(messages)
}
