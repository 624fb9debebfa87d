package lab

import (
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/session"
)

// loot is a device's complete stored state at one moment, in somebody else's
// hands (R-LAB-03): keys, prekeys, sessions with their skipped keys, device lists.
type loot struct {
	disk
	name    string
	quantum bool // it knows every X25519 private key
	victim  string
	self    peer
	at      time.Time
	mark    int // letters opened by then
	wire    int // letters on the wire by then
	sent    int // messages written by then
	public  int // of these, how many had MAC keys that were public by then
	signing int // and how many group messages had signing keys that members knew
	clone   *device
	read    int   // letters the clone has looked at
	later   []kin // what the clone has made since
}

// compromise copies a device's disk.
func (w *world) compromise(d *device, name string) *loot {
	l := &loot{
		disk: d.disk.copy(), name: name, victim: d.name, self: d.peer(), at: w.now,
		wire: len(w.letters), mark: w.events, sent: w.sent, public: w.forgeable(w.letters), signing: w.signable(w.letters),
	}
	w.loots = append(w.loots, l)
	w.journal.theft(l)
	return l
}

// impersonate lets a thief write to a person from what was stolen. The thief
// reads on first: everything that was on the wire for the victim, with
// the real code, and keeps every state that it has sealed with. (What it reads
// in between gives nothing that does not follow from those and the traffic.)
func (w *world) impersonate(l *loot, victim *device, to string) error {
	c, err := w.cloneOf(l, victim)
	if err != nil {
		return err
	}
	err = w.send(c, to, "", true)
	for _, p := range c.peers() {
		if s := c.pairs[p].Active(); s != nil && w.people[to] != nil && p.address == w.people[to].addr.String() {
			w.keep(l, kin{p, s})
		}
	}
	return err
}

// keep adds a session to what a thief has.
func (w *world) keep(l *loot, k kin) {
	l.later = append(l.later, k)
	w.journal.later(slices.Index(w.loots, l), k)
}

// intrude lets a thief speak in a group from what was stolen.
func (w *world) intrude(l *loot, victim *device, g groups.ID) error {
	c, err := w.cloneOf(l, victim)
	if err != nil {
		return err
	}
	c.loot = l // keys may be handed out first: every state is kept
	err = w.say(c, g, "", true)
	c.loot = nil
	return err
}

// cloneOf is the thief's device, which has read everything that was on the wire
// for the victim.
func (w *world) cloneOf(l *loot, victim *device) (*device, error) {
	if l.clone == nil {
		l.clone = &device{person: victim.person, name: victim.name, number: victim.number, own: victim.own, disk: l.disk.copy(), wrote: map[string]bool{}}
		l.read = 0
		if err := l.clone.restart(); err != nil {
			return nil, err
		}
	}
	c := l.clone
	for ; l.read < len(w.letters); l.read++ {
		letter := w.letters[l.read]
		if letter.to != l.self || letter.injected || letter.said != nil {
			continue
		}
		txn := newWrite()
		o, err := w.unseal(c, letter, &txn)
		if err != nil || o.Farewell {
			continue
		}
		before := sessionOf(c.pairs[letter.from], o.Session)
		c.disk.commit(&txn)
		c.pairs[letter.from] = o.Next
		if after := sessionOf(o.Next, o.Session); after != nil {
			if err := w.trace.opened(after, before); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// kin is a session with a peer.
type kin struct {
	peer peer
	*session.Session
}

// stolen lists all sessions that the thief ever held: the victim's, then its own.
func (l *loot) stolen() ([]kin, error) {
	var all []kin
	for p := range l.sessions {
		pair, err := l.pair(p)
		if err != nil {
			return nil, err
		}
		for _, s := range pair.Sessions() {
			all = append(all, kin{p, s})
		}
	}
	return append(all, l.later...), nil
}

// known names what a thief knows to begin with (R-LAB-05).
func (l *loot) known() ([]name, error) {
	sessions, err := l.stolen()
	if err != nil {
		return nil, err
	}
	all, err := l.groupValues()
	if err != nil {
		return nil, err
	}
	all = append(all, l.values()...)
	for _, s := range sessions {
		all = append(all, held(s.State)...)
	}
	return all, nil
}
