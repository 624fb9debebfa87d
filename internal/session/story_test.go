package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
	"pgregory.net/rapid"
)

// act plays one random action.
func (w *world) act() error {
	d := w.devices[w.choose(2)]
	switch w.choose(20) {
	case 0, 1, 2, 3:
		_, err := w.send(d, w.choose(8) == 0)
		return err
	case 4, 5, 6, 7, 8:
		return w.deliver(d, 0)
	case 9: // out of order
		return w.deliver(d, w.choose(len(d.inbox)+1))
	case 10: // again: anything ever sent
		if len(d.all) > 0 {
			l := d.all[w.choose(len(d.all))]
			if l.opened || slices.Contains(d.inbox, l) {
				was := l.opened
				if err := w.open(d, l); err != nil || was {
					return err
				}
			}
		}
	case 11: // lost
		if len(d.inbox) > 0 {
			k := w.choose(len(d.inbox))
			d.inbox = slices.Delete(d.inbox, k, k+1)
		}
	case 12: // withheld for now
		d.held, d.inbox = append(d.held, d.inbox...), nil
	case 13: // and given out
		d.inbox, d.held = append(d.inbox, d.held...), nil
	case 14:
		return w.tamper(d)
	case 15:
		return w.batch(d, 1+w.choose(8))
	case 16:
		if w.choose(4) == 0 {
			return w.begin(d, w.choose(3) > 0)
		}
	case 17:
		for range 1 + w.choose(2*FollowAfter) { // a burst
			if _, err := w.send(d, false); err != nil {
				return err
			}
		}
	case 18:
		return w.pass(d)
	case 19:
		if w.choose(6) == 0 { // the device loses its sessions, not its keys
			w.met["lost state"]++
			d.forget()
		}
	}
	return nil
}

func (w *world) deliver(d *device, k int) error {
	if k >= len(d.inbox) {
		return nil
	}
	l := d.inbox[k]
	d.inbox = slices.Delete(d.inbox, k, k+1)
	return w.open(d, l)
}

// pass lets time go by, now and then backwards, and ticks.
func (w *world) pass(d *device) error {
	days := []int{0, 1, 3, 8, 14, 15, 31}[min(w.choose(7), w.choose(7))]
	w.now = w.now.Add(time.Duration(days) * 24 * time.Hour)
	if w.choose(10) == 0 {
		w.now = w.now.Add(-time.Hour)
	}
	return w.tick(d)
}

func (w *world) tick(d *device) error {
	ads := d.ads()
	before := encode(d.pair)
	next, ch, bye := d.pair.Tick(w.now)
	if string(before) != string(encode(d.pair)) {
		return fmt.Errorf("%s: Tick changed its receiver", d.name)
	}
	if err := d.commit(next, ch); err != nil {
		return err
	}
	for _, s := range next.sessions {
		if s.over(w.now) || s.LastUsed.After(w.now) || s.Started.After(w.now) {
			return fmt.Errorf("%s keeps a session past its time", d.name)
		}
	}
	w.met["ticked out"] += len(ch.Erase)
	d.postFarewells(bye, ads)
	return nil
}

// tamper delivers what no honest server would.
func (w *world) tamper(d *device) error {
	if len(d.all) == 0 {
		return nil
	}
	l := d.all[w.choose(len(d.all))]
	other := d.all[w.choose(len(d.all))]
	initial, message := l.initial, slices.Clone(l.message)
	altered := true
	switch w.choose(5) {
	case 0:
		message[w.choose(len(message))] ^= 1 << w.choose(8)
	case 1: // another letter's initial message, or none
		if len(initial) > 0 && len(other.initial) > 0 {
			altered = other.session != l.session
		} else {
			altered = len(other.initial) > 0 && other.session != l.session
		}
		initial = other.initial
	case 2:
		message = message[:w.choose(len(message))]
	case 3:
		for i := range message {
			message[i] = byte(w.choose(256))
		}
	case 4:
		if len(initial) == 0 {
			return nil
		}
		initial = slices.Clone(initial)
		initial[w.choose(len(initial))] ^= 1 << w.choose(8)
	}
	o, consume, err := w.try(d, initial, message)
	if err != nil {
		return nil // try holds that nothing has changed
	}
	if altered {
		return fmt.Errorf("%s opened a letter that nobody wrote", d.name)
	}
	if err := w.check(d, l, o); err != nil {
		return err
	}
	d.inbox = slices.DeleteFunc(d.inbox, func(o *letter) bool { return o == l })
	return w.take(d, l, o, consume)
}

// disclosedIsDead holds, over all sessions, that a device accepts nothing more
// under a seed that it has disclosed.
func (w *world) disclosedIsDead() error {
	for _, d := range w.devices {
		for _, seed := range d.seeds {
			for _, l := range d.all {
				if !ratchet.VerifyDisclosed(seed, l.at.Number, l.message, l.ad[:]) {
					continue
				}
				xor := make([]byte, len(l.text))
				for i := range xor {
					xor[i] = 1
				}
				forged, err := ratchet.Forge(seed, l.at.Number, l.message, l.ad[:], xor)
				if err != nil {
					return err
				}
				w.met["forged"]++
				for _, initial := range [][]byte{nil, l.initial} {
					for _, m := range [][]byte{forged, l.message} {
						if _, _, err := w.try(d, initial, m); err == nil {
							return fmt.Errorf("%s accepts a message under a seed that it has disclosed", d.name)
						}
					}
				}
			}
		}
	}
	return nil
}

// settle holds that both sides end on one session on which everything arrives:
// within a few rounds or, if devices have lost sessions that their peers hold,
// after the time that such a session is kept for.
func (w *world) settle(atOnce bool) error {
	err := w.rounds(atOnce)
	if errors.Is(err, errApart) && w.met["lost state"] > 0 {
		w.met["settled late"]++
		w.now = w.now.Add(UnansweredFor)
		for _, d := range w.devices {
			if err := w.tick(d); err != nil {
				return err
			}
		}
		err = w.rounds(atOnce)
	}
	return err
}

var errApart = errors.New("not settled")

// rounds lets everything arrive and both sides talk, in turn or at once.
func (w *world) rounds(atOnce bool) error {
	for _, d := range w.devices {
		d.inbox, d.held = append(d.inbox, d.held...), nil
	}
	drain := func() error {
		for _, d := range w.devices {
			for len(d.inbox) > 0 {
				if err := w.deliver(d, 0); err != nil {
					return err
				}
			}
		}
		return nil
	}
	const rounds = 4 * FollowAfter
	for round := range rounds + 3 {
		if err := drain(); err != nil {
			return err
		}
		for _, d := range w.devices {
			l, err := w.send(d, false)
			if err != nil {
				return err
			}
			if !atOnce {
				if err := drain(); err != nil {
					return err
				}
			}
			if round > rounds && !atOnce && !l.opened {
				return fmt.Errorf("%w: round %d: %s sends what is not opened", errApart, round, d.name)
			}
		}
	}
	if err := drain(); err != nil {
		return err
	}
	a, b := w.devices[0].pair.Active(), w.devices[1].pair.Active()
	if a.ID != b.ID || !a.Answered || !b.Answered {
		return fmt.Errorf("%w: %x (answered %v) and %x (answered %v)", errApart, a.ID[:4], a.Answered, b.ID[:4], b.Answered)
	}
	return nil
}

func (w *world) story(actions int, atOnce bool) error {
	for range actions {
		if err := w.act(); err != nil {
			return err
		}
	}
	if err := w.disclosedIsDead(); err != nil {
		return err
	}
	if err := w.settle(atOnce); err != nil {
		return err
	}
	return w.disclosedIsDead()
}

// R-SES-01, R-SES-02, R-SES-03, R-SES-05, R-SES-07, R-SES-09, R-SES-11,
// R-SES-13, R-SES-14, R-SES-15: whatever happens, no message opens twice,
// refused ones change nothing, the store holds what is live, nothing opens
// after a farewell or under a disclosed key, and both sides settle on one
// session.
func TestStory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "c") })
		if err := w.story(rapid.IntRange(1, 80).Draw(t, "actions"), rapid.Bool().Draw(t, "at once")); err != nil {
			t.Fatal(err)
		}
	})
}

// The stories must be worth telling: over plain random ones, everything that
// the world can do happens.
func TestStoriesMeetEverything(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			w := newWorld(rand.New(rand.NewPCG(seed, 1)).IntN)
			if err := w.story(150, seed%2 == 0); err != nil {
				t.Error(err)
			}
			for k, n := range w.met {
				met[k] += n
			}
		})
	}
	for _, err := range []error{
		ErrNoSession, ErrUnopened, errGone, ratchet.ErrDuplicate, ratchet.ErrUnknownChain,
	} {
		if met[err.Error()] == 0 {
			t.Errorf("no story met %v", err)
		}
	}
	for _, k := range []string{"new", "switched", "farewell", "ticked out", "lost state", "forged"} {
		if met[k] == 0 {
			t.Errorf("no story met %s", k)
		}
	}
	t.Log(met)
}

// The world must notice what goes wrong.
func TestStoryFindsFaults(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(1, 1)).IntN)
	d := w.devices[0]
	l, err := w.send(d, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.deliver(d.peer, 0); err != nil || !l.opened {
		t.Fatal(err)
	}
	o := Opened{Plaintext: l.text, Session: l.session, At: l.at, Next: d.peer.pair}
	if w.check(d.peer, l, o) == nil {
		t.Error("a message opened twice goes unnoticed")
	}
	l.opened = false
	if err := w.check(d.peer, l, o); err != nil {
		t.Error(err)
	}
	o.Plaintext = []byte("other")
	if w.check(d.peer, l, o) == nil {
		t.Error("another text goes unnoticed")
	}
	// A seed that is disclosed while its chain is open.
	wire, seed := stolenSeed(t, d.peer.pair.Active())
	if !ratchet.VerifyDisclosed(seed, l.at.Number, l.message, l.ad[:]) {
		t.Fatal("not the seed", wire)
	}
	l2, err := w.send(d, false)
	if err != nil {
		t.Fatal(err)
	}
	d.peer.seeds = append(d.peer.seeds, seed)
	if w.disclosedIsDead() == nil {
		t.Errorf("a live seed goes unnoticed: %v", l2.at)
	}
	// Two sides that never meet.
	w = newWorld(rand.New(rand.NewPCG(2, 1)).IntN)
	if _, err := w.send(w.devices[0], false); err != nil {
		t.Fatal(err)
	}
	clear(w.devices[1].keys)
	w.devices[1].keys[99] = w.devices[0].keys[lastResort]
	if err := w.open(w.devices[1], w.devices[1].inbox[0]); err != nil || w.met[errGone.Error()] != 1 {
		t.Error(err, w.met)
	}
}

// stolenSeed reads the MAC seed of the open receiving chain out of a farewell
// that is never sent.
func stolenSeed(t *testing.T, s *Session) (ratchet.Wire, [32]byte) {
	t.Helper()
	m, err := s.State.Farewell(s.AD[:])
	if err != nil {
		t.Fatal(err)
	}
	wire, err := ratchet.ParseMessage(m)
	if err != nil || len(wire.Disclosed) == 0 {
		t.Fatal(err)
	}
	return wire, wire.Disclosed[len(wire.Disclosed)-1]
}

func FuzzStory(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 0, 1, 4, 0, 4, 1, 17, 9, 0, 5}, false)
	f.Add([]byte("two sides start at the same time and cross"), true)
	r := rand.New(rand.NewPCG(7, 7))
	for range 6 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b, r.IntN(2) == 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, atOnce bool) {
		cryptotest.SetGlobalRandom(t, 1)
		b = b[:min(len(b), 500)]
		told := 0
		w := newWorld(func(n int) int {
			if told >= len(b) {
				return 0
			}
			c := int(b[told])
			told++
			return c % n
		})
		for told < len(b) {
			if err := w.act(); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.disclosedIsDead(), w.settle(atOnce), w.disclosedIsDead()); err != nil {
			t.Fatal(err)
		}
	})
}
