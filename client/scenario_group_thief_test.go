package client

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// thefts is what thieves have got, in all schedules together.
type thefts struct {
	mu       sync.Mutex
	stores   int // stolen
	epochs   int // that began after a theft
	wires    int // messages sealed in them
	signals  int // pairwise ones opened after the theft, on sessions that had not healed
	carried  int // thefts after which a new epoch's keys came over such a session
	most     int // how many epochs later that happened
	followed int // epochs opened by that
	opened   int // messages opened by that
	left     int // entries of the log that somebody could read who came in, or left, in the same epoch
	strays   int // devices that are out and cannot know
	tries    int // attempts to open something
}

func (t *thefts) add(o *thefts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stores, t.epochs, t.wires, t.signals = t.stores+o.stores, t.epochs+o.epochs, t.wires+o.wires, t.signals+o.signals
	t.carried, t.most, t.followed, t.opened = t.carried+o.carried, max(t.most, o.most), t.followed+o.followed, t.opened+o.opened
	t.left, t.tries, t.strays = t.left+o.left, t.tries+o.tries, t.strays+o.strays
}

func (t *thefts) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%d stores were stolen; of %d epochs that began later, with %d messages, the keys of %d came over pairwise sessions that had not healed "+
		"(after %d thefts, up to %d epochs later), which opened %d messages; nothing else was opened in %d attempts; "+
		"%d changes could be read by somebody who came in later, or had left, in the same epoch; %d devices were out and could not know",
		t.stores, t.epochs, t.wires, t.followed, t.carried, t.most, t.opened, t.tries, t.left, t.strays)
}

// thief opens what it can with a store that was copied once, and whatever
// passes afterwards.
type thief struct {
	c       *crowd
	x       *loot
	n       uint64 // the newest epoch whose secret was in the store
	limits  map[session.ID]uint64
	sending map[session.ID]ratchet.Position // own chains whose keys are in the store
	learned loot
}

// thieves holds what every stolen store opens against the claim: of epochs
// after the theft nothing, but what a pairwise session carries whose ratchet has
// not turned twice since.
func (c *crowd) thieves(h *told) {
	real := c.secrets()
	for _, x := range c.archive.stolen {
		t := &thief{c: c, x: x, limits: map[session.ID]uint64{}, sending: map[session.ID]ratchet.Position{}}
		for _, s := range x.secrets {
			if real[s] {
				t.n = max(t.n, s.epoch)
			}
		}
		for i := range x.chains { // a device that is let in may be handed these first
			if c.used(x.chains[i].ID()) {
				t.n = max(t.n, x.chains[i].Epoch())
			}
		}
		c.thefts.stores++
		t.alone(h)
		t.read()
		t.together(h)
	}
}

// used reports whether something was said on a chain.
func (c *crowd) used(chain groups.ChainID) bool {
	return slices.ContainsFunc(c.archive.wires, func(w *wireSeen) bool { return w.Chain == chain })
}

// secrets are those that somebody has worked with: others belong to changes that
// lost a race.
func (c *crowd) secrets() map[epochSecret]bool {
	all := map[epochSecret]bool{}
	for _, loots := range c.archive.loots {
		for _, x := range loots {
			if x.current.epoch != 0 {
				all[x.current] = true
			}
		}
	}
	return all
}

// alone: the group's keys in the store open nothing of a later epoch.
func (t *thief) alone(h *told) {
	for _, w := range t.c.archive.wires {
		if h.epoch[w.Seq] > t.n {
			t.c.thefts.wires++
			if t.c.opens(t.x.chains, w) {
				t.c.fault("a store of %s, stolen in epoch %d, opens a message of epoch %d", t.x.of.name(), t.n, h.epoch[w.Seq])
			}
		}
	}
	for i, in := range t.c.archive.log {
		if h.epoch[i] > t.n && t.c.readable(t.x.secrets, groups.ID(t.c.id), i) {
			t.c.fault("a store of %s, stolen in epoch %d, reads change %d of epoch %d", t.x.of.name(), t.n, in.Seq, h.epoch[i])
		}
	}
}

// read opens every pairwise message to the device with the stolen sessions and
// prekeys, in whatever order it goes.
func (t *thief) read() {
	for _, pair := range t.x.pairs {
		for _, s := range pair.Sessions() {
			t.measure(s)
		}
	}
	var waiting []content.Envelope
	seen := map[[32]byte]bool{}
	for _, e := range t.c.ledger.history {
		env, err := content.DecodeEnvelope(e.Body)
		if h := hashMessage(env.Message); err == nil && e.Device.ID == t.x.of.id && env.To != 0 && !seen[h] {
			seen[h] = true
			waiting = append(waiting, env)
		}
	}
	for more := true; more; {
		more = false
		var rest []content.Envelope
		for _, env := range waiting {
			if t.open(env) {
				more = true
			} else {
				rest = append(rest, env)
			}
		}
		waiting = rest
	}
	// What the device itself has sealed on chains whose keys are in the store.
	for _, g := range t.c.archive.given {
		at, ok := t.sending[g.session]
		if ok && g.by == t.x.of.key() && g.pos.Chain == at.Chain && g.pos.Number >= at.Number && t.c.ledger.came[g.hash] != nil {
			t.take(g.by, g.signal)
		}
	}
}

// measure finds how far a stolen session leads: whoever has the key of the
// sending chain reads it and the peer's next one; who has none, the peer's
// present one. What is sealed after that takes a key that was drawn later.
func (t *thief) measure(s *session.Session) {
	a, err := s.State.Seal(nil, s.AD[:])
	if err != nil {
		t.limits[s.ID] = 1
		return
	}
	b, err := s.State.Seal(nil, s.AD[:])
	t.c.must(err)
	if bytes.Equal(a.Next.AppendRecord(nil), b.Next.AppendRecord(nil)) {
		t.sending[s.ID] = a.At
		t.limits[s.ID] = a.At.Chain + 1
		return
	}
	t.limits[s.ID] = a.At.Chain - 1
}

// open tries one envelope.
func (t *thief) open(env content.Envelope) bool {
	k := peerKey{env.From.String(), env.Device}
	party, ok := t.c.parties[k]
	if !ok {
		return false
	}
	t.c.thefts.tries++
	o, err := t.x.pairs[k].Open(env.Initial, env.Message, time.Now(), func(initial []byte) (x3dh.Accepted, error) { return t.respond(party, initial) })
	if err != nil {
		return false
	}
	t.x.pairs[k] = o.Next
	limit, known := t.limits[o.Session]
	if !known {
		limit = 1 // its start was answered with a stolen prekey
	}
	if o.At.Chain > limit {
		t.c.fault("a store stolen of %s opens chain %d of a pairwise session that was to heal after %d", t.x.of.name(), o.At.Chain, limit)
	}
	inner, err := content.Decode(o.Plaintext)
	if err != nil || inner.Kind != content.KindGroup {
		return true
	}
	if s, err := groups.ParseSignal(inner.Body); err == nil {
		t.take(k, s)
	}
	return true
}

// respond answers a first message with the stolen prekeys.
func (t *thief) respond(peer x3dh.Party, initial []byte) (acc x3dh.Accepted, err error) {
	in, err := x3dh.ParseInitial(initial)
	if err != nil {
		return acc, err
	}
	find := func(k prekeys.Kind, id uint64) *prekeys.Private {
		p, perr := prekeys.ParsePrivate(t.x.prekeys[string(prekeyKey(k, id))])
		if perr != nil {
			err = errNoPrekey
			return nil
		}
		return &p
	}
	signed, kem := find(prekeys.Signed, in.SignedID), find(prekeys.Kind(in.KEMKind), in.KEMID)
	var oneTime *prekeys.Private
	if in.OneTimeID != 0 {
		oneTime = find(prekeys.OneTimeEC, in.OneTimeID)
	}
	if err != nil {
		return acc, err
	}
	keys, err := prekeys.Keys(signed, oneTime, kem)
	if err != nil {
		return acc, err
	}
	return in.Respond(t.x.own, peer, &keys)
}

// take keeps what a signal tells.
func (t *thief) take(from peerKey, s groups.Signal) {
	t.c.thefts.signals++
	if s.Key == nil {
		return
	}
	if !s.Key.Secret.IsZero() {
		t.learned.secrets = append(t.learned.secrets, epochSecret{s.Key.Epoch, s.Key.Secret})
	}
	if s.Key.Chain != nil {
		if err := t.learned.take(*s.Key.Chain, t.c.sender(from)); err != nil {
			t.c.fault("a chain of %s: %v", from.address, err)
		}
	}
}

// together counts what opens with what was learned on the way. It is only what
// came over sessions that had not healed: of any other epoch not a message.
func (t *thief) together(h *told) {
	epochs, followed := map[uint64]bool{}, map[uint64]bool{}
	for _, e := range h.epoch {
		if e > t.n {
			epochs[e] = true
		}
	}
	for _, w := range t.c.archive.wires {
		if e := h.epoch[w.Seq]; e > t.n && t.c.opens(t.learned.chains, w) {
			t.c.thefts.opened++
			followed[e] = true
		}
	}
	for e := range followed {
		t.c.thefts.most = max(t.c.thefts.most, int(e-t.n))
	}
	t.c.thefts.epochs += len(epochs)
	t.c.thefts.followed += len(followed)
	if len(followed) > 0 {
		t.c.thefts.carried++
	}
}

// sender is a device as the author of group messages.
func (c *crowd) sender(k peerKey) groups.Sender {
	return groups.Sender{Address: k.address, Device: uint64(k.device), Identity: c.parties[k].Identity.Array()}
}

// opens tries every sender key on a ciphertext, as early as it is held.
func (c *crowd) opens(chains []groups.Receiving, w *wireSeen) bool {
	for i := range chains {
		if chains[i].ID() != w.Chain {
			continue
		}
		c.thefts.tries++
		if _, err := chains[i].Open(w.message, chains[i].Created()); err == nil {
			return true
		}
	}
	return false
}

// readable tries every secret on entry i of the log.
func (c *crowd) readable(secrets []epochSecret, id groups.ID, i int) bool {
	in := c.archive.log[i]
	for _, s := range secrets {
		c.thefts.tries++
		if _, err := groups.Read(id, in.Seq, groups.Head(in.Prev), s.secret, s.epoch, in.Blob); err == nil {
			return true
		}
	}
	return false
}
