package ratchet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/dh"
)

// A story is a random schedule of two devices, a network that drops,
// duplicates, reorders and tampers, a clock and crashes, played on the package
// and on the model at once. Choices come from a function, so that rapid, a fuzzer
// or a plain generator can tell it.
type story struct {
	choose  func(n int) int // 0 to n-1
	now     time.Time
	devices [2]*device
	errs    map[error]int // refusals seen
	// What the controls break.
	leaks    bool // discloses the seed of the open chain
	careless bool // lets messages leave before the state is durable
}

// device is one side: its durable record, the live state, the model beside it,
// and what the network holds for it and has ever seen.
type device struct {
	name      string
	state     State
	head      []byte
	skipped   []byte
	model     *model
	inbox     []*letter // to be delivered
	sent      []*letter // everything the peer ever sent here
	outbox    []*letter // durable, not yet transmitted
	disclosed [][32]byte
}

// letter is one message, as its sender knows it.
type letter struct {
	message  []byte
	ad, text []byte
	at       Position
	opened   bool
}

func newStory(choose func(int) int) *story {
	w := &story{choose: choose, now: time.Unix(1_800_000_000, 0), errs: map[error]int{}}
	var secret, a, b [32]byte
	w.random(secret[:])
	w.random(a[:])
	w.random(b[:])
	own, theirs := dh.FromBytes(a), dh.FromBytes(b)
	public := theirs.Public()
	initiator, err := initiate(&secret, public, own)
	if err != nil {
		panic(err)
	}
	w.devices[0] = &device{name: "initiator", state: initiator, model: newModel(secret[:], a[:], public.Bytes())}
	w.devices[1] = &device{name: "responder", state: Respond(&secret, theirs), model: newModel(secret[:], b[:], nil)}
	for _, d := range w.devices {
		d.save(d.state, true)
	}
	return w
}

// random fills b from a few choices; it need not be good, only different.
func (w *story) random(b []byte) {
	seed := fmt.Appendf(nil, "%d %d %d", w.choose(256), w.choose(256), len(b))
	for i := range b {
		if i%32 == 0 {
			seed = mac(seed, b[:i])
		}
		b[i] = seed[i%32]
	}
}

// save makes s durable, in two parts.
func (d *device) save(s State, skipped bool) {
	d.state = s
	d.head = s.AppendHead(nil)
	if skipped {
		d.skipped = s.AppendSkipped(nil)
	}
}

// restart forgets the live state and reads the durable one.
func (d *device) restart() error {
	s, err := Join(d.head, d.skipped)
	if err != nil {
		return fmt.Errorf("%s does not restart: %w", d.name, err)
	}
	if whole := d.state.AppendRecord(nil); !bytes.Equal(whole, s.AppendRecord(nil)) {
		return fmt.Errorf("%s: another state after a restart", d.name)
	}
	if d.state, err = ParseRecord(s.AppendRecord(nil)); err != nil {
		return fmt.Errorf("%s: record refused: %w", d.name, err)
	}
	return nil
}

// act plays one random action.
func (w *story) act() error {
	i := w.choose(2)
	d, peer := w.devices[i], w.devices[1-i]
	switch w.choose(16) {
	case 0, 1, 2, 3:
		return w.send(d, peer, w.choose(8) == 0)
	case 4, 5, 6, 7, 8:
		return w.receive(d, 0, false)
	case 9: // out of order
		return w.receive(d, w.choose(len(d.inbox)+1), false)
	case 10: // twice: anything ever sent
		if len(d.sent) > 0 {
			_, err := w.open(d, d.sent[w.choose(len(d.sent))], nil)
			return err
		}
	case 11: // lost
		if len(d.inbox) > 0 {
			k := w.choose(len(d.inbox))
			d.inbox = slices.Delete(d.inbox, k, k+1)
		}
	case 12:
		return w.tamper(d)
	case 13:
		return w.receive(d, w.choose(len(d.inbox)+1), !w.careless)
	case 14:
		if err := w.flush(d, peer); err != nil {
			return err
		}
		if w.careless {
			return nil
		}
		return d.restart()
	case 15:
		return w.pass(d)
	}
	return nil
}

// pass lets time go by, rarely backwards, or lets a burst of messages be lost.
func (w *story) pass(d *device) error {
	switch w.choose(8) {
	case 0:
		w.now = w.now.Add(-time.Hour)
	case 1, 2:
		w.now = w.now.Add(time.Duration(w.choose(5)) * 24 * time.Hour)
	case 3, 4, 5:
		s, changed := d.state.Expire(w.now)
		if same := bytes.Equal(s.AppendRecord(nil), d.state.AppendRecord(nil)); same == changed {
			return fmt.Errorf("%s: Expire says changed=%v", d.name, changed)
		}
		d.model.expire(w.now.Unix())
		d.save(s, changed)
		return d.agrees()
	case 6, 7:
		peer := w.devices[0]
		if peer == d {
			peer = w.devices[1]
		}
		if d.state.CanSeal() {
			for range []int{3, 20, 60, 300, 1100, 2100}[min(w.choose(6), w.choose(6))] {
				if err := w.send(d, peer, false); err != nil {
					return err
				}
			}
			peer.inbox = peer.inbox[max(0, len(peer.inbox)-3):]
		}
	}
	return nil
}

// send seals one message. With crash, the device dies at one of the two places
// where it can: before the next state is durable, so that the message is never
// seen, or after, so that it leaves later.
func (w *story) send(d, peer *device, crash bool) error {
	l := &letter{ad: []byte("ad"), text: make([]byte, w.choose(40))}
	w.random(l.text)
	if room := w.choose(8); room > 1 { // with padding behind, as much as a message has
		l.text = append(l.text, make([]byte, []int{6, 7, 40, 178, 218, 1400}[room-2])...)
	}
	var r randomness
	w.random(r[:])
	before := d.state.AppendRecord(nil)
	random := r
	x, err := d.state.seal(l.text, l.ad, &random)
	if !bytes.Equal(before, d.state.AppendRecord(nil)) {
		return fmt.Errorf("%s: Seal changed its receiver", d.name)
	}
	if !d.model.canSeal() {
		if !errors.Is(err, ErrWaiting) || d.state.CanSeal() {
			return fmt.Errorf("%s: sealed while waiting: %v", d.name, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s cannot seal: %w", d.name, err)
	}
	l.message, l.at = x.Message, x.At
	if w.leaks && d.state.Received() {
		l.message = withSeed(&x, l, d.state.current.seed)
	}
	lost := crash && w.choose(2) == 0
	if lost {
		if w.careless {
			return w.crashCarelessly(d, peer, l)
		}
		return d.restart()
	}
	seeds := d.model.disclose()
	if want := d.model.seal(TypeMessage, l.text, l.ad, &r, seeds); !bytes.Equal(want, x.Message) {
		return fmt.Errorf("%s: another message than the model's:\n%x\n%x", d.name, x.Message, want)
	}
	d.save(x.Next, w.careless)
	d.outbox = append(d.outbox, l)
	if crash && !w.careless {
		return d.restart()
	}
	if err := w.flush(d, peer); err != nil {
		return err
	}
	return d.agrees()
}

// flush transmits what is durable.
func (w *story) flush(d, peer *device) error {
	for _, l := range d.outbox {
		w.transmit(d, peer, l)
	}
	d.outbox = nil
	return nil
}

// transmit puts a message on the network, where everybody sees it.
func (w *story) transmit(d, peer *device, l *letter) {
	wire, err := ParseMessage(l.message)
	if err != nil {
		panic(err)
	}
	d.disclosed = append(d.disclosed, wire.Disclosed...)
	peer.inbox = append(peer.inbox, l)
	peer.sent = append(peer.sent, l)
}

// receive delivers the k-th waiting message. With crash, the device dies before
// the next state is durable, and the network keeps the message, or after, and
// the message comes again.
func (w *story) receive(d *device, k int, crash bool) error {
	if k >= len(d.inbox) {
		return nil
	}
	l := d.inbox[k]
	if crash && w.choose(2) == 0 {
		d.state.Open(l.message, l.ad, w.now)
		return d.restart()
	}
	d.inbox = slices.Delete(d.inbox, k, k+1)
	if _, err := w.open(d, l, nil); err != nil {
		return err
	}
	if crash {
		if err := d.restart(); err != nil {
			return err
		}
		_, err := w.open(d, l, nil)
		return err
	}
	return nil
}

// tamper changes one bit, or the length, of a message and delivers that.
func (w *story) tamper(d *device) error {
	if len(d.sent) == 0 {
		return nil
	}
	l := *d.sent[w.choose(len(d.sent))]
	m := slices.Clone(l.message)
	switch w.choose(8) {
	case 0:
		m = m[:w.choose(len(m))]
	case 1:
		m = append(m, byte(w.choose(256)))
	case 2:
		l.ad = []byte("other ad")
	default:
		m[w.choose(len(m))] ^= 1 << w.choose(8)
	}
	opened, err := w.open(d, &l, m)
	if err == nil && opened {
		return fmt.Errorf("%s opened a tampered message", d.name)
	}
	return err
}

// open gives a message (l's own, or m instead) to both and compares.
func (w *story) open(d *device, l *letter, m []byte) (opened bool, err error) {
	if m == nil {
		m = l.message
	}
	before := d.state.AppendRecord(nil)
	skipped := d.state.AppendSkipped(nil)
	o, got := d.state.Open(m, l.ad, w.now)
	if !bytes.Equal(before, d.state.AppendRecord(nil)) {
		return false, fmt.Errorf("%s: Open changed its receiver", d.name)
	}
	plaintext, want := d.model.open(m, l.ad, w.now.Unix())
	if !errors.Is(got, want) {
		return false, fmt.Errorf("%s: message %v: %v, the model says %v", d.name, l.at, got, want)
	}
	if got != nil {
		w.errs[got]++
		return false, d.agrees()
	}
	if !bytes.Equal(o.Plaintext, plaintext) || !bytes.Equal(plaintext, l.text) || o.At != l.at {
		return false, fmt.Errorf("%s: message %v opens as another", d.name, l.at)
	}
	if changed := !bytes.Equal(skipped, o.Next.AppendSkipped(nil)); changed != o.SkippedChanged {
		return false, fmt.Errorf("%s: SkippedChanged is %v", d.name, o.SkippedChanged)
	}
	l.opened = true
	if w.careless {
		d.state = o.Next // and durable only with the next Seal
		return true, d.agrees()
	}
	d.save(o.Next, o.SkippedChanged)
	return true, d.agrees()
}

// agrees compares what state and model say of themselves.
func (d *device) agrees() error {
	switch s := d.state; {
	case s.SkippedCount() != d.model.skipped():
		return fmt.Errorf("%s holds %d skipped keys, the model %d", d.name, s.SkippedCount(), d.model.skipped())
	case s.HeartbeatDue() != (d.model.since >= 50):
		return fmt.Errorf("%s: heartbeat %v after %d", d.name, s.HeartbeatDue(), d.model.since)
	case s.CanSeal() != d.model.canSeal(), s.Received() != (d.model.newest() != nil):
		return fmt.Errorf("%s: another turn than the model's", d.name)
	case len(s.owed) != len(d.model.owed):
		return fmt.Errorf("%s owes %d seeds, the model %d", d.name, len(s.owed), len(d.model.owed))
	}
	return nil
}

// errLive is what disclosed returns when the property does not hold.
var errLive = errors.New("a disclosed seed opens a message that its discloser accepts")

// disclosedIsDead plays the attacker: with every seed a device has disclosed it
// forges from every message ever sent to that device, and tries the result on
// the device's state.
func (w *story) disclosedIsDead() error {
	for _, d := range w.devices {
		for _, seed := range d.disclosed {
			for _, l := range d.sent {
				xor := bytes.Repeat([]byte{1}, len(l.text))
				forged, err := Forge(seed, l.at.Number, l.message, l.ad, xor)
				if err != nil {
					continue // of another chain
				}
				if _, err := d.state.Open(forged, l.ad, w.now); err == nil {
					return fmt.Errorf("%s, chain %d: %w", d.name, l.at.Chain, errLive)
				}
			}
		}
	}
	return nil
}

// errOver ends a story whose model can no longer follow.
var errOver = errors.New("story over")

// crashCarelessly is the control that breaks the contract of Seal: what was
// opened since the last Seal is not durable, the message leaves all the same,
// and then the device dies and wakes up with its old state.
func (w *story) crashCarelessly(d, peer *device, l *letter) error {
	w.transmit(d, peer, l)
	s, err := Join(d.head, d.skipped)
	if err != nil {
		return err
	}
	d.state = s
	if err := w.disclosedIsDead(); err != nil {
		return err
	}
	return errOver
}

// finish delivers what is under way, lets skipped keys expire and exchanges a
// few messages, as an exchange that ends in order does.
func (w *story) finish() error {
	for range 3 {
		for i, d := range w.devices {
			if err := w.flush(d, w.devices[1-i]); err != nil {
				return err
			}
			for len(d.inbox) > 0 {
				if err := w.receive(d, w.choose(len(d.inbox)), false); err != nil {
					return err
				}
			}
		}
	}
	for round := range 6 {
		if round%3 == 0 {
			w.now = w.now.Add(8 * 24 * time.Hour)
		}
		for i, d := range w.devices {
			s, changed := d.state.Expire(w.now)
			d.model.expire(w.now.Unix())
			d.save(s, changed)
			if err := w.send(d, w.devices[1-i], false); err != nil {
				return err
			}
			for len(w.devices[1-i].inbox) > 0 {
				if err := w.receive(w.devices[1-i], 0, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// allDisclosed checks a finished exchange: whoever has seen the wire can forge
// every message of every closed chain, the newest two of each direction, whose
// disclosure needs one more turn, aside.
func (w *story) allDisclosed() error {
	for _, d := range w.devices {
		newest := d.state.current.id
		for _, l := range d.sent {
			if l.at.Chain+2 >= newest || !l.opened {
				continue
			}
			i := slices.IndexFunc(d.disclosed, func(seed [32]byte) bool {
				return VerifyDisclosed(seed, l.at.Number, l.message, l.ad)
			})
			if i < 0 {
				return fmt.Errorf("%s: seed of chain %d not disclosed, newest is %d", d.name, l.at.Chain, newest)
			}
			xor := bytes.Repeat([]byte{0x55}, len(l.text))
			forged, err := Forge(d.disclosed[i], l.at.Number, l.message, l.ad, xor)
			switch {
			case err != nil:
				return err
			case len(forged) != len(l.message), len(l.text) > 0 && bytes.Equal(forged, l.message):
				return errors.New("forgery is no other message of the same length")
			case !VerifyDisclosed(d.disclosed[i], l.at.Number, forged, l.ad):
				return errors.New("forgery does not verify")
			}
		}
	}
	return nil
}

// part lets d say farewell, after which everything it has ever accepted can be
// forged, the chains just closed and the open one included.
func (w *story) part(d, peer *device) error {
	var r randomness
	w.random(r[:])
	random := r
	ad := []byte("ad")
	m, err := d.state.farewell(ad, &random)
	if err != nil {
		return err
	}
	seeds := d.model.disclose()
	for _, c := range slices.Backward(d.model.recvs) {
		if !c.gone && c.closed {
			seeds = append(seeds, c.seed)
		}
	}
	if c := d.model.newest(); c != nil {
		seeds = append(seeds, c.seed)
	}
	if want := d.model.seal(TypeFarewell, nil, ad, &r, seeds); !bytes.Equal(want, m) {
		return fmt.Errorf("%s: another farewell than the model's", d.name)
	}
	wire, err := ParseMessage(m)
	if err != nil {
		return err
	}
	d.disclosed = append(d.disclosed, wire.Disclosed...)
	o, err := peer.state.Open(m, ad, w.now)
	if err != nil || !o.Farewell {
		return fmt.Errorf("%s does not understand a farewell: %v", peer.name, err)
	}
	for _, l := range d.sent {
		forgeable := slices.ContainsFunc(d.disclosed, func(seed [32]byte) bool {
			return VerifyDisclosed(seed, l.at.Number, l.message, l.ad)
		})
		if l.opened && !forgeable {
			return fmt.Errorf("%s: message %v cannot be forged after its farewell", d.name, l.at)
		}
	}
	return nil
}

// withSeed is the control that discloses too early: it adds the seed of the
// open chain to a message and makes its tag again.
func withSeed(x *Sealed, l *letter, seed [32]byte) []byte {
	m := slices.Clone(x.Message)
	m[countAt]++
	m = slices.Insert(m, seedsAt, seed[:]...)
	t := x.Next.turn.(*sending)
	key := t.seed.key(l.at.Number)
	sum := key.tag(l.ad, m[:len(m)-tagLen])
	copy(m[len(m)-tagLen:], sum[:])
	return m
}
