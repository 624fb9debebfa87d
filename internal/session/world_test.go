package session

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// A world is two devices, a server that drops, duplicates, reorders, withholds
// and mixes, a clock and crashes. Choices come from a function, so that rapid,
// a fuzzer or a plain generator can tell the story.
type world struct {
	choose  func(n int) int // 0 to n-1
	now     time.Time
	devices [2]*device
	count   int // of letters
	met     map[string]int
}

// device is one side: its live pair and what its store holds.
type device struct {
	name    string
	own     *x3dh.Own
	peer    *device
	pair    Pair
	rows    map[ID]row
	skipped map[ID][]byte
	keys    map[uint64]x3dh.Keys // by the id of the KEM key; one-time ones go with their use
	seen    map[ID]bool          // replay table of the last-resort key
	over    map[ID]bool          // sessions ended by a farewell
	inbox   []*letter
	held    []*letter // withheld by the server
	all     []*letter // everything ever sent here
	seeds   [][32]byte
}

type row struct {
	rank int64
	head []byte
}

type letter struct {
	initial, message, text []byte
	session                ID
	at                     ratchet.Position
	ad                     [32]byte
	farewell, opened       bool
}

const signedID, lastResort = 1, 2

func newWorld(choose func(int) int) *world {
	w := &world{choose: choose, now: time.UnixMilli(1_800_000_000_000), met: map[string]int{}}
	for i, name := range []string{"alice", "bob"} {
		private, public := x3dh.GenerateKey()
		d := &device{
			name: name, rows: map[ID]row{}, skipped: map[ID][]byte{}, seen: map[ID]bool{}, over: map[ID]bool{},
			own: &x3dh.Own{IdentityKey: private, Party: x3dh.Party{
				Account: bytes.Repeat([]byte{byte(i + 1)}, 32), Address: name + "@example.org", Device: uint64(i + 1), Identity: public,
			}},
			keys: map[uint64]x3dh.Keys{},
		}
		spk, spkPublic := x3dh.GenerateKey()
		kem, _ := x3dh.GenerateKEMKey()
		d.keys[lastResort] = x3dh.Keys{SignedPrekey: spk, SignedPublic: spkPublic, KEM: kem, KEMKind: x3dh.KEMLastResort}
		w.devices[i] = d
	}
	w.devices[0].peer, w.devices[1].peer = w.devices[1], w.devices[0]
	return w
}

// offer is what d's server hands out: a one-time key, or the last-resort one.
func (d *device) offer(oneTime bool) x3dh.Offer {
	keys := d.keys[lastResort]
	id := uint64(lastResort)
	if oneTime {
		id = uint64(len(d.keys) + len(d.all) + 100)
		for d.has(id) {
			id++
		}
		keys.KEM, _ = x3dh.GenerateKEMKey()
		keys.KEMKind = x3dh.KEMOneTime
		d.keys[id] = keys
	}
	o, err := x3dh.NewOffer(d.own.Party, x3dh.Prekey{ID: signedID, Key: keys.SignedPublic}, x3dh.Prekey{},
		x3dh.KEMPrekey{ID: id, Kind: keys.KEMKind, Key: keys.KEM.Public()})
	if err != nil {
		panic(err)
	}
	return o
}

// forget loses all sessions, but no keys.
func (d *device) forget() { d.pair, d.rows, d.skipped = Pair{}, map[ID]row{}, map[ID][]byte{} }

func (d *device) has(id uint64) bool { _, ok := d.keys[id]; return ok }

var errGone = errors.New("the prekey is gone")

// respond is the Responder of d; commit does what belongs to success.
func (d *device) respond(commit *func()) Responder {
	return func(initial []byte) (x3dh.Accepted, error) {
		in, err := x3dh.ParseInitial(initial)
		if err != nil {
			return x3dh.Accepted{}, err
		}
		keys, ok := d.keys[in.KEMID]
		if !ok || in.SignedID != signedID {
			return x3dh.Accepted{}, errGone
		}
		if d.seen[in.ID] {
			return x3dh.Accepted{}, x3dh.ErrReplayed
		}
		acc, err := in.Respond(d.own, d.peer.own.Party, &keys)
		*commit = func() {
			if keys.KEMKind == x3dh.KEMOneTime {
				delete(d.keys, in.KEMID)
			} else {
				d.seen[in.ID] = true
			}
		}
		return acc, err
	}
}

// encode is a whole pair in bytes.
func encode(p Pair) []byte {
	var b []byte
	for _, s := range p.sessions {
		b = append(b, s.Head()...)
		b = append(b, s.Skipped()...)
	}
	return b
}

// commit stores a change as a client does and holds the store against next.
func (d *device) commit(next Pair, ch Change) error {
	for _, id := range ch.Erase {
		delete(d.rows, id)
		delete(d.skipped, id)
	}
	for _, s := range ch.Write {
		d.rows[s.ID] = row{s.Rank, s.Head()}
		if slices.Contains(ch.Skipped, s.ID) {
			d.skipped[s.ID] = s.Skipped()
		}
	}
	d.pair = next
	if n := len(next.sessions); n > MaxArchived+1 {
		return fmt.Errorf("%s holds %d sessions", d.name, n)
	}
	for i, s := range next.sessions {
		if i > 0 && s.Rank >= next.sessions[i-1].Rank {
			return fmt.Errorf("%s: ranks do not fall", d.name)
		}
	}
	return d.restart()
}

// restart reads the pair back from the store; it must be what it was.
func (d *device) restart() error {
	ids := slices.SortedFunc(maps.Keys(d.rows), func(a, b ID) int { return int(d.rows[b].rank - d.rows[a].rank) })
	var all []*Session
	for _, id := range ids[:min(len(ids), MaxArchived+2)] {
		s, err := Parse(d.rows[id].head, d.skipped[id])
		if err != nil {
			return fmt.Errorf("%s: session %x does not restart: %w", d.name, id[:4], err)
		}
		all = append(all, s)
	}
	again := New(all...)
	if !bytes.Equal(encode(again), encode(d.pair)) {
		return fmt.Errorf("%s: another pair after a restart", d.name)
	}
	if len(d.skipped) != len(d.rows) {
		return fmt.Errorf("%s: %d rows of skipped keys for %d sessions", d.name, len(d.skipped), len(d.rows))
	}
	d.pair = again
	return nil
}

func (d *device) post(l *letter) {
	d.peer.inbox = append(d.peer.inbox, l)
	d.peer.all = append(d.peer.all, l)
	wire, err := ratchet.ParseMessage(l.message)
	if err != nil {
		panic(err)
	}
	d.seeds = append(d.seeds, wire.Disclosed...)
}

func (d *device) postFarewells(bye []Farewell, ad func(ID) [32]byte) {
	for _, f := range bye {
		d.over[f.Session] = true
		d.post(&letter{message: f.Message, session: f.Session, ad: ad(f.Session), farewell: true})
	}
}

// ads finds the associated data of sessions before a step erases them.
func (d *device) ads() func(ID) [32]byte {
	p := d.pair
	return func(id ID) [32]byte {
		for _, s := range p.sessions {
			if s.ID == id {
				return s.AD
			}
		}
		return [32]byte{}
	}
}

// begin starts a session, whether or not there is one.
func (w *world) begin(d *device, oneTime bool) error {
	offer := d.peer.offer(oneTime)
	st, err := x3dh.Initiate(d.own, &offer)
	if err != nil {
		return err
	}
	ads := d.ads()
	next, ch, err := d.pair.Begin(st, w.now)
	if err != nil {
		return err
	}
	if next.Active().ID != x3dh.SessionID(st.Initial) {
		return fmt.Errorf("%s: an own start is not active", d.name)
	}
	if err := d.commit(next, ch); err != nil {
		return err
	}
	d.postFarewells(ch.Farewells, ads)
	return nil
}

// send seals one message. With crash, the device dies before the next state is
// durable and nothing leaves.
func (w *world) send(d *device, crash bool) (*letter, error) {
	if d.pair.Active() == nil {
		if _, err := d.pair.Seal(nil, w.now); !errors.Is(err, ErrNoSession) {
			return nil, fmt.Errorf("seal without a session: %v", err)
		}
		if err := w.begin(d, w.choose(3) > 0); err != nil {
			return nil, err
		}
	}
	w.count++
	active := d.pair.Active()
	l := &letter{text: fmt.Appendf(nil, "letter %d", w.count), session: active.ID, ad: active.AD}
	before := encode(d.pair)
	x, err := d.pair.Seal(l.text, w.now)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(before, encode(d.pair)) {
		return nil, fmt.Errorf("%s: Seal changed its receiver", d.name)
	}
	if (len(x.Initial) > 0) != (active.Initiator && !active.Answered) {
		return nil, fmt.Errorf("%s: initial message of %d bytes, answered %v", d.name, len(x.Initial), active.Answered)
	}
	if crash {
		return nil, d.restart()
	}
	if err := d.commit(x.Next, x.Change); err != nil {
		return nil, err
	}
	l.initial, l.message, l.at = x.Initial, x.Message, x.At
	d.post(l)
	return l, nil
}

// open delivers a letter as it is and commits what it yields.
func (w *world) open(d *device, l *letter) error {
	o, consume, err := w.try(d, l.initial, l.message)
	if err != nil {
		w.met[err.Error()]++
		return nil
	}
	if err := w.check(d, l, o); err != nil {
		return err
	}
	return w.take(d, l, o, consume)
}

// try opens and holds that a refusal, like a success, leaves the pair alone.
func (w *world) try(d *device, initial, message []byte) (Opened, func(), error) {
	before := encode(d.pair)
	consume := func() {}
	o, err := d.pair.Open(initial, message, w.now, d.respond(&consume))
	if !bytes.Equal(before, encode(d.pair)) {
		panic("Open changed its receiver")
	}
	return o, consume, err
}

func (w *world) check(d *device, l *letter, o Opened) error {
	switch {
	case l.opened:
		return fmt.Errorf("%s opened %q twice", d.name, l.text)
	case d.over[l.session]:
		return fmt.Errorf("%s opened %q after the farewell", d.name, l.text)
	case !bytes.Equal(o.Plaintext, l.text) || o.Session != l.session || o.Farewell != l.farewell:
		return fmt.Errorf("%s opened %q as %q", d.name, l.text, o.Plaintext)
	case !l.farewell && o.At != l.at:
		return fmt.Errorf("%s: position %v, sealed at %v", d.name, o.At, l.at)
	case o.Farewell != (len(o.Reply) > 0):
		return fmt.Errorf("%s: farewell %v with a reply of %d bytes", d.name, o.Farewell, len(o.Reply))
	}
	was, is := d.pair.Active(), o.Next.Active()
	if switched := was != nil && (is == nil || is.ID != was.ID); switched != o.Switched {
		return fmt.Errorf("%s: says switched=%v", d.name, o.Switched)
	}
	if o.New {
		w.met["new"]++
	}
	if o.Switched {
		w.met["switched"]++
	}
	return nil
}

func (w *world) take(d *device, l *letter, o Opened, consume func()) error {
	ads := d.ads()
	consume()
	l.opened = true
	if err := d.commit(o.Next, o.Change); err != nil {
		return err
	}
	d.postFarewells(o.Change.Farewells, ads)
	if o.Farewell {
		w.met["farewell"]++
		d.over[l.session] = true
		d.post(&letter{message: o.Reply, session: l.session, ad: l.ad, farewell: true})
	}
	return nil
}

// batch opens several letters and stores their changes merged into one.
func (w *world) batch(d *device, n int) error {
	var all Change
	var farewells []Farewell
	first := d.pair
	pair := d.pair
	ads := d.ads()
	live := maps.Clone(d.over)
	for range n {
		if len(d.inbox) == 0 {
			break
		}
		l := d.inbox[0]
		d.inbox = d.inbox[1:]
		d.pair = pair
		o, consume, err := w.try(d, l.initial, l.message)
		if err != nil {
			w.met[err.Error()]++
			continue
		}
		d.over = live
		if err := w.check(d, l, o); err != nil {
			return err
		}
		consume()
		l.opened = true
		if o.Farewell {
			live[l.session] = true
			farewells = append(farewells, Farewell{l.session, o.Reply})
		}
		before := ads
		ads = func(id ID) [32]byte {
			if id == l.session {
				return l.ad
			}
			return before(id)
		}
		all.Merge(o.Change)
		pair = o.Next
	}
	d.pair = first
	if err := d.commit(pair, all); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	d.postFarewells(append(farewells, all.Farewells...), ads)
	return nil
}
