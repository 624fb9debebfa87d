package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
)

// seal names a message key: two messages under one must never both leave.
type seal struct {
	device  address.Device // the sender's
	session [32]byte
	at      ratchet.Position
}

// copyOf names the copies of a message for a device.
type copyOf struct {
	message string
	device  address.Device
}

// seals is what all devices have sealed, whether it was saved or not.
type seals struct {
	mu     sync.Mutex
	under  map[seal]map[[32]byte]bool
	copies map[copyOf][][32]byte
}

func (s *seals) init() {
	s.under, s.copies = map[seal]map[[32]byte]bool{}, map[copyOf][][32]byte{}
}

func (s *seals) note(k seal, message [32]byte, to address.Device, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[k] == nil {
		s.under[k] = map[[32]byte]bool{}
	}
	s.under[k][message] = true
	c := copyOf{id, to}
	s.copies[c] = append(s.copies[c], message)
}

// arrived reports whether the relay has a copy of a message for a device.
func (s *scenario) arrived(id string, d address.Device) bool {
	s.seals.mu.Lock()
	copies := s.seals.copies[copyOf{id, d}]
	s.seals.mu.Unlock()
	for _, h := range copies {
		if s.ledger.took(h, d) {
			return true
		}
	}
	return false
}

// everything is what a device's store holds, in order.
func (l *life) everything() (all []Message, err error) {
	after := int64(firstOrder)
	for {
		page, err := l.engine.Export(l.ctx, exportQuery{After: after})
		all = append(all, page.Messages...)
		if err != nil || !page.More {
			return all, err
		}
		after = page.Last
	}
}

// busy reports whether something is on its way to or from a device.
func (d *device) busy() bool { return d.rest() != "" }

// rest tells what is on its way to or from a device that counts.
func (d *device) rest() string {
	if !d.survives() {
		return ""
	}
	l := d.alive()
	if l == nil {
		return "it is not at work"
	}
	var outbox []string
	entries, err := l.engine.outboxAfter(l.ctx, firstOrder)
	for _, o := range entries {
		outbox = append(outbox, fmt.Sprintf("to %s, control %v, quiet %v, sealed for %d, tried %d times, since %v, due %v", o.To, o.Control, o.Quiet,
			len(o.Sealed), o.Attempts, time.UnixMilli(o.Created).Sub(d.w.began), time.UnixMilli(o.After).Sub(d.w.began)))
	}
	st, serr := d.w.store.Stat(context.Background(), server.Device{User: d.owner.address.User(), ID: d.id})
	waiting, rerr := l.engine.Receive(l.ctx, "", 10)
	if err == nil && serr == nil && rerr == nil && len(outbox)+st.Count+len(waiting) == 0 {
		return ""
	}
	return fmt.Sprintf("%v wait to leave, %d at the server, %d to be read (%v, %v, %v)", outbox, st.Count, len(waiting), err, serr, rerr)
}

// survives reports whether a device is still in its list.
func (d *device) survives() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.joined && !d.revoked
}

// promise is what somebody else's status says of a device.
type promise struct {
	by, text string
	id       string
	status   Status
}

// keepsPromises holds what was said of a device against its store, before a
// process begins to change it.
func (d *device) keepsPromises(tx *vault.Tx) error {
	d.mu.Lock()
	claimed := d.claimed
	d.claimed = nil
	d.mu.Unlock()
	for _, c := range claimed {
		id, err := content.ParseID(c.id)
		if err != nil {
			return err
		}
		if _, _, ok, err := getMessage(tx, id[:]); err != nil {
			return err
		} else if !ok {
			d.w.fault("%s says %s of %q for %s, which does not have it", c.by, c.status, c.text, d.name())
		}
	}
	return nil
}

// holding is what the examination found at a device.
type holding struct {
	own   map[string]Message // by ID
	in    map[string]int     // by text: of others
	out   map[string]int     // by text: of this account
	place map[string]int     // by text, in the order of the store
	known map[string]bool    // addresses of those to whom receipts go
}

// examine holds the invariants against what the devices have in the end.
func (s *scenario) examine() {
	found := map[*device]*holding{}
	for d := range s.all() {
		l := d.alive()
		if !d.survives() || l == nil {
			continue
		}
		all, err := l.everything()
		if err != nil {
			s.fault("%s cannot be read: %v", d.name(), err)
			continue
		}
		h := &holding{own: map[string]Message{}, in: map[string]int{}, out: map[string]int{}, place: map[string]int{}, known: map[string]bool{}}
		for _, m := range s.people {
			p, err := l.engine.person(l.ctx, m.address.String())
			h.known[m.name] = err == nil && p != nil && !p.stranger()
		}
		for i, m := range all {
			switch {
			case m.Direction == Out:
				h.own[m.ID] = m
				h.out[m.Text]++
				h.place[m.Text] = i
			case m.Kind == KindText:
				h.in[m.Text]++
				h.place[m.Text] = i
			}
		}
		found[d] = h
		s.claims(d, all)
	}
	known := map[string]bool{}
	for d := range s.all() {
		for _, m := range d.sent {
			known[m.text] = true
			s.sentOnce(d, m, found)
		}
		s.inOrder(d, found)
	}
	for d, h := range found {
		for text, n := range h.out {
			if !known[text] || n != 1 {
				s.fault("%s has %q of its own account %d times", d.name(), text, n)
			}
		}
		for text, n := range h.in {
			if !known[text] || n != 1 {
				s.fault("%s has %q %d times", d.name(), text, n)
			}
			if d.shown[text] == 0 {
				s.fault("%s was never shown %q", d.name(), text)
			}
		}
	}
	s.keysOnce()
}

// sentOnce: what a device that is still there has sent is, once, wherever it
// had to go.
func (s *scenario) sentOnce(d *device, m *sending, found map[*device]*holding) {
	h := found[d]
	if h == nil {
		return
	}
	own, kept := h.own[m.id]
	if !kept {
		if m.told {
			s.fault("%s has lost its own %q", d.name(), m.text)
		}
		return
	}
	if s.absent && own.Status == StatusFailed && own.Cause == CauseExpired {
		return // it waited in an outbox while nobody was there
	}
	if !own.Status.reached(StatusAccepted) {
		s.fault("%q of %s is %s (%s) in the end", m.text, d.name(), own.Status, own.Cause)
	}
	for _, to := range m.want {
		there := found[to]
		if there == nil {
			continue
		}
		n := there.in[m.text]
		if to.owner == d.owner {
			n = there.out[m.text]
		}
		if n != 1 {
			s.fault("%s has %q %d times; its status there is %q", to.name(), m.text, n, own.PerDevice[to.id.String()])
		}
		if status := own.PerDevice[to.id.String()]; to.owner != d.owner && there.known[d.owner.name] && !s.absent && !status.reached(StatusDelivered) {
			s.fault("%s says %s of %q for %s, which has it and may say so", d.name(), status, m.text, to.name())
		}
	}
}

// inOrder: what came from one device came in the order in which it was sent, in
// each conversation. A device that has joined since may have what was under way
// then in any order: what had left without it, and whose sender was killed before
// it knew that, is sealed for it later.
func (s *scenario) inOrder(d *device, found map[*device]*holding) {
	for to, h := range found {
		last := map[*member]*sending{}
		for _, m := range d.sent {
			at, ok := h.place[m.text]
			if !ok || !slices.Contains(m.want, to) {
				continue
			}
			if before := last[m.to]; before != nil && at < h.place[before.text] && !s.absent {
				s.fault("%s has %q before %q", to.name(), m.text, before.text)
			}
			last[m.to] = m
		}
	}
}

// claims: no status says more than what is so.
func (s *scenario) claims(d *device, all []Message) {
	for _, m := range all {
		if m.Direction != Out || m.To == m.From {
			continue
		}
		for to := range s.all() {
			status, ok := m.PerDevice[to.id.String()]
			if !ok {
				continue
			}
			if status.reached(StatusAccepted) && !s.arrived(m.ID, to.id) {
				s.fault("%s says %s of %q for %s, and the relay never had it", d.name(), status, m.Text, to.name())
			}
			if status.reached(StatusDelivered) {
				s.has(to, promise{d.name(), m.Text, m.ID, status})
			}
			to.mu.Lock()
			shown := to.shown[m.Text]
			to.mu.Unlock()
			if status.reached(StatusRead) && shown == 0 {
				s.fault("%s says %s of %q for %s, which never showed it", d.name(), status, m.Text, to.name())
			}
		}
	}
}

// has looks whether a device has a message that somebody says it has, or leaves
// that to its next start.
func (s *scenario) has(to *device, c promise) {
	l := to.alive()
	if l == nil {
		to.mu.Lock()
		to.claimed = append(to.claimed, c)
		to.mu.Unlock()
		return
	}
	got, err := l.engine.Message(l.ctx, c.id)
	if err == nil && got.Text == c.text || l.isDead() || l.ctx.Err() != nil {
		return
	}
	s.fault("%s says %s of %q for %s, which does not have it: %v", c.by, c.status, c.text, to.name(), err)
}

// keysOnce: no two messages under one key have reached the relay.
func (s *scenario) keysOnce() {
	for k, messages := range s.seals.under {
		n := 0
		for h := range messages {
			if s.ledger.came[h] != nil {
				n++
			}
		}
		if n > 1 {
			s.fault("device %s has used the key of chain %d, message %d, %d times", k.device, k.at.Chain, k.at.Number, n)
		}
	}
}
