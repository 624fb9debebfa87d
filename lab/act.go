package lab

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	inside "github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

// R-LAB-34: a run keeps its letters, and little else that grows.

// letter is one sealed copy on its way between two devices, as the network sees
// it, with what the lab knows of it.
type letter struct {
	index     int
	message   int // number of the message that it is a copy of; 0: a heartbeat
	from, to  peer
	session   session.ID
	initial   []byte
	body      []byte
	ad        [32]byte
	at        time.Time
	text      []byte
	seed      key // its chain, and its number there
	number    uint32
	chain     uint64
	said      *spoken           // a copy of a group message
	hands     *groups.Key       // keys of a group that it hands out
	discloses *groups.Disclosed // a signing key that it tells the group
	closed    map[peer]bool     // and the devices that had closed its chain
	farewell  bool
	injected  bool // sealed by a thief
	tampered  bool
	opened    bool
	readAt    int          // when it was first opened, counted in opened letters; 0: not
	after     func() error // draws it, once it has left
}

// counted reports whether the verdicts count l: somebody meant it.
func (l *letter) counted() bool { return l.message > 0 && !l.injected }

// judged reports whether both judges look at l.
func (l *letter) judged() bool { return !l.farewell && !l.injected }

// Crashes of a step.
const (
	crashBefore = "before" // before anything is durable
	crashAfter  = "after"  // after it is, and before anybody is told
)

// send writes one message to a person, sealed for each of the person's and the
// sender's other devices, all durable before any leaves (R-LAB-02).
func (w *world) send(d *device, to, crash string, thief bool) error {
	p, ok := w.people[to]
	if !ok {
		return fmt.Errorf("%w: nobody is called %q", ErrScenario, to)
	}
	number := w.sent + 1
	if thief {
		number = -1
	}
	body, err := w.words(number, d, to)
	if err != nil {
		return err
	}
	return w.write(d, p, body, crash, thief)
}

// words is a message as it is sealed: encoded and padded.
func (w *world) words(number int, d *device, to string) ([]byte, error) {
	said, err := inside.NewText(inside.NewID(), w.now, 0, inside.Text{Text: fmt.Sprintf("message %d from %s to %s", number, d.name, to)})
	return said.Encode(), err
}

// write is send with the words of it.
func (w *world) write(d *device, p *person, body []byte, crash string, thief bool) error {
	w.now = w.now.Add(messageTakes)
	number := w.sent + 1
	if thief {
		number = -1
		w.counts.injected++
	}
	txn := newWrite()
	letters, err := w.copies(d, p.addr.String(), body, number, &txn)
	if err == nil && !thief && p != d.person {
		var own []*letter
		own, err = w.copies(d, d.own.Address, body, number, &txn)
		letters = append(letters, own...)
	}
	if err != nil {
		w.refuse(d, err)
		w.counts.unsent++
		return d.restart() // what was sealed of it is forgotten
	}
	if crash == crashBefore {
		w.journal.crash(d, crash)
		return d.restart()
	}
	d.disk.commit(&txn)
	if !thief {
		w.sent = number
		w.journal.message(number, d, p.name, w.now)
		d.wrote[p.addr.String()] = true
		w.written[number] = &text{d.name, p.name, w.now, body}
	}
	if crash == crashAfter {
		w.journal.crash(d, crash)
		if err := d.restart(); err != nil { // the letters stand in the outbox
			return err
		}
	}
	for _, l := range letters {
		l.injected = thief
		if err := w.post(l); err != nil {
			return err
		}
	}
	return nil
}

// copies seals body for every active device of an address but the sender.
func (w *world) copies(d *device, addr string, body []byte, number int, txn *write) ([]*letter, error) {
	list, entries, err := w.look(d, addr)
	if err != nil {
		return nil, err
	}
	txn.lists[addr] = entries
	var out []*letter
	for _, dev := range list.Active() {
		to := peer{addr, uint64(dev.ID)}
		if to == d.peer() {
			continue
		}
		letters, err := w.seal(d, to, &list, body, number, txn)
		if err != nil {
			return nil, err
		}
		out = append(out, letters...)
	}
	return out, nil
}

// seal seals body for one device, after a handshake if there is no session to
// seal on. What comes before it are farewells of sessions that gave way.
func (w *world) seal(d *device, to peer, list *devicelist.List, body []byte, number int, txn *write) ([]*letter, error) {
	pair := d.pairs[to]
	l := &letter{message: max(number, 0), from: d.peer(), to: to, at: w.now, text: body}
	var before *session.Session
	var receiver x3dh.Party
	var signed key
	var out []*letter
	if pair.Ready(w.now) {
		before = pair.Active()
	} else {
		peerParty, dev, err := party(list, to.device)
		if err != nil {
			return nil, err
		}
		receiver = peerParty
		bundle, err := prekeys.ParseBundle(w.relay.bundle(to))
		if err != nil {
			return nil, err
		}
		offer, err := bundle.Verify(receiver, dev.Sign, w.now)
		if err != nil {
			return nil, err
		}
		st, err := x3dh.Initiate(&d.own, &offer)
		if err != nil {
			return nil, err
		}
		next, ch, err := pair.Begin(st, w.now)
		if err != nil {
			return nil, err
		}
		signed = st.PeerRatchet.Array()
		txn.changes = append(txn.changes, change{to, ch})
		for _, f := range ch.Farewells {
			out = append(out, &letter{from: d.peer(), to: to, session: f.Session, body: f.Message, at: w.now, farewell: true})
		}
		pair = next
	}
	x, err := pair.Seal(body, w.now)
	if err != nil {
		return nil, err
	}
	txn.changes = append(txn.changes, change{to, x.Change})
	d.pairs[to] = x.Next
	l.session, l.initial, l.body, l.ad = x.Session, x.Initial, x.Message, x.Next.Active().AD
	l.chain = x.At.Chain
	if d.loot != nil {
		w.keep(d.loot, kin{to, x.Next.Active()})
	}
	l.after = func() error {
		if before == nil {
			if err := w.trace.handshake(&d.own.Party, &receiver, l.initial, signed); err != nil {
				return err
			}
		}
		return w.trace.sealed(x.Next.Active(), before, l)
	}
	return append(out, l), nil
}

// post puts a letter on the wire, for everybody to record, and into the
// mailbox of its device.
func (w *world) post(l *letter) error {
	if len(w.letters) == MaxLetters {
		return fmt.Errorf("%w: at most %d letters", ErrScenario, MaxLetters)
	}
	l.index = len(w.letters)
	w.letters = append(w.letters, l)
	if to := w.find(l.to); to != nil {
		to.mailbox = append(to.mailbox, l)
	}
	if l.hands != nil {
		w.trace.handed(l)
	}
	if l.after != nil {
		if err := l.after(); err != nil {
			return err
		}
		l.after = nil
	}
	w.journal.letter(l)
	return nil
}

// deliver opens up to n letters of a mailbox, all if n is 0, then sends the
// heartbeats that are due.
func (w *world) deliver(d *device, n int, crash string) error {
	if n == 0 || n > len(d.mailbox) {
		n = len(d.mailbox)
	}
	now := slices.Clone(d.mailbox[:n])
	d.mailbox = slices.Clone(d.mailbox[n:])
	if err := w.followAll(d); err != nil {
		return err
	}
	for _, l := range now {
		if err := w.open(d, l, crash); err != nil {
			return err
		}
	}
	for d.stirred && len(d.parked) > 0 {
		d.stirred = false
		again := d.parked
		d.parked = nil
		for _, l := range again {
			if err := w.open(d, l, ""); err != nil {
				return err
			}
		}
	}
	if err := w.answer(d); err != nil {
		return err
	}
	for _, p := range d.peers() {
		if d.pairs[p].HeartbeatDue() && d.wrote[p.address] {
			if err := w.heartbeat(d, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// heartbeat seals an empty message, so that both sides ratchet (R-SES-08).
func (w *world) heartbeat(d *device, to peer) error {
	list, entries, err := w.look(d, to.address)
	if err != nil {
		return nil // its owner sends nothing to whom it does not trust
	}
	txn := newWrite()
	txn.lists[to.address] = entries
	letters, err := w.seal(d, to, &list, inside.NewControl(inside.KindHeartbeat, w.now).Encode(), 0, &txn)
	if err != nil {
		return err
	}
	d.disk.commit(&txn)
	for _, l := range letters {
		if err := w.post(l); err != nil {
			return err
		}
	}
	return nil
}

// open gives a device one letter. A refusal changes nothing and is counted.
func (w *world) open(d *device, l *letter, crash string) error {
	if l.said != nil {
		return w.hear(d, l, crash)
	}
	txn := newWrite()
	o, err := w.unseal(d, l, &txn)
	if err != nil {
		w.refuse(d, err)
		return nil
	}
	switch {
	case l.tampered:
		return fmt.Errorf("%w: %s opened a letter that was changed on the way", ErrFault, d.name)
	case !bytes.Equal(o.Plaintext, l.text) || o.Session != l.session || o.Farewell != l.farewell:
		return fmt.Errorf("%w: %s opened another text than was sent", ErrFault, d.name)
	case !o.Farewell && o.At.Number != l.number:
		return fmt.Errorf("%w: %s opened a letter at another place", ErrFault, d.name)
	case l.opened && !d.setBack:
		return fmt.Errorf("%w: %s opened a letter twice", ErrFault, d.name)
	}
	if crash == crashBefore {
		w.journal.crash(d, crash)
		d.mailbox = append(d.mailbox, l)
		return d.restart()
	}
	before := sessionOf(d.pairs[l.from], o.Session)
	d.disk.commit(&txn)
	d.pairs[l.from] = o.Next
	d.read = append(d.read, txn.texts...)
	w.taken(l)
	if after := sessionOf(o.Next, o.Session); after != nil {
		if err := w.trace.opened(after, before); err != nil {
			return err
		}
	}
	if d.passes != nil && l.message > 0 && !l.injected {
		if err := w.write(d.passes, w.reads(d), l.text, "", true); err != nil {
			return err
		}
	}
	var bye []*letter
	if o.Farewell {
		bye = append(bye, &letter{from: d.peer(), to: l.from, session: o.Session, body: o.Reply, at: w.now, farewell: true})
	}
	for _, f := range o.Change.Farewells {
		bye = append(bye, &letter{from: d.peer(), to: l.from, session: f.Session, body: f.Message, at: w.now, farewell: true})
	}
	for _, f := range bye {
		if err := w.post(f); err != nil {
			return err
		}
	}
	if crash == crashAfter { // the relay was not told, and brings it again
		w.journal.crash(d, crash)
		d.mailbox = append(d.mailbox, l)
		return d.restart()
	}
	return nil
}

// unseal runs the real code on a letter, and gathers in txn what its success
// changes.
func (w *world) unseal(d *device, l *letter, txn *write) (o session.Opened, err error) {
	sender, entries, err := w.sender(d, l.from)
	if err != nil {
		return o, err
	}
	txn.lists[l.from.address] = entries
	o, err = d.pairs[l.from].Open(l.initial, l.body, w.now, d.disk.responder(&d.own, sender, txn))
	if err != nil {
		return o, err
	}
	txn.changes = append(txn.changes, change{l.from, o.Change})
	return o, w.absorb(d, sender, o.Plaintext, txn)
}

// sender is who a device takes the peer for, by the list it holds.
func (w *world) sender(d *device, from peer) (x3dh.Party, [][]byte, error) {
	list, entries, err := w.look(d, from.address)
	if err != nil {
		return x3dh.Party{}, nil, err
	}
	p, _, err := party(&list, from.device)
	return p, entries, err
}

func sessionOf(p session.Pair, id session.ID) *session.Session {
	for _, s := range p.Sessions() {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// reason is a refusal in the words of the package that refused.
func reason(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
