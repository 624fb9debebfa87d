package groups

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A story is a random schedule of a group: devices that send, members who are
// added and removed, epochs, a network that drops, duplicates and reorders, and
// restarts. Pairwise sessions keep their order and lose nothing, but take their
// time. Beside it stands an adversary who has everything that any member was
// ever given, and every seed that was disclosed. Choices come from a function,
// so that rapid, a fuzzer or a plain generator can tell the story.
type story struct {
	choose  func(n int) int // 0 to n-1
	group   ID
	epoch   uint64
	now     time.Time
	devices []*device // members and those who were
	chains  map[ChainID]*chainFacts
	public  map[ChainID][32]byte // disclosed seeds
	letters []*letter
	errs    map[error]int
	// What the control breaks: seeds leave before everybody has closed.
	leaks bool
	draws byte
}

// chainFacts is what the adversary knows of a chain, and its owner.
type chainFacts struct {
	owner *device
	keys  []ChainKey // as handed out, to anybody
}

// device is one member's device, and after its removal its full state.
type device struct {
	who     Sender
	member  bool
	gone    uint64 // epoch at whose end it was removed
	from    map[ChainID]uint32
	own     Sending // of epoch own.Epoch(); none before the first message
	has     bool
	pending []*closing
	held    map[ChainID]Receiving
	newest  map[string]uint64 // by sender: epoch of the newest chain that opened something
	pairs   map[*device][]pairwise
	inbox   []*letter
	opened  map[string]int // by chain and index
	shown   map[string]bool
}

// closing is an own chain that waits for the others to close it.
type closing struct {
	chain ChainID
	seed  [32]byte
	epoch uint64 // of the chain after it
	waits map[*device]bool
}

// pairwise is what travels in a session: a chain, or the receipt that says that
// a message of that epoch's chain was opened.
type pairwise struct {
	key *ChainKey
	ack uint64
}

// letter is one message, as its sender knows it.
type letter struct {
	message, text []byte
	chain         ChainID
	epoch         uint64
	index         uint32
	by            *device
	signal        bool
}

var (
	errLive   = errors.New("a receiver accepts what everybody can make")
	errForged = errors.New("a receiver accepts what the sender did not make")
)

func newStory(choose func(int) int, members int) *story {
	w := &story{choose: choose, epoch: 1, now: testNow, group: ID{1}, chains: map[ChainID]*chainFacts{}, public: map[ChainID][32]byte{}, errs: map[error]int{}}
	for range members {
		w.join()
	}
	return w
}

func (w *story) join() {
	d := &device{
		who: sender(fmt.Sprintf("m%d@example.org", len(w.devices)), uint64(len(w.devices)+1)), member: true, from: map[ChainID]uint32{},
		held: map[ChainID]Receiving{}, newest: map[string]uint64{}, pairs: map[*device][]pairwise{}, opened: map[string]int{}, shown: map[string]bool{},
	}
	for _, o := range w.members() {
		if o.has && o.own.Epoch() == w.epoch {
			w.hand(o, d)
		}
	}
	w.devices = append(w.devices, d)
}

func (w *story) members() (out []*device) {
	for _, d := range w.devices {
		if d.member {
			out = append(out, d)
		}
	}
	return out
}

// hand gives from's chain to to, over their session.
func (w *story) hand(from, to *device) {
	k := from.own.Key()
	w.chains[k.Chain].keys = append(w.chains[k.Chain].keys, k)
	to.pairs[from] = append(to.pairs[from], pairwise{key: &k})
}

// act plays one random action.
func (w *story) act() error {
	members := w.members()
	d := members[w.choose(len(members))]
	switch w.choose(18) {
	case 0, 1, 2, 3:
		return w.send(d, fmt.Appendf(nil, "text %d", len(w.letters)), false)
	case 4, 5, 6, 7:
		return w.receive(d, 0, false)
	case 8, 9:
		return w.receive(d, w.choose(len(d.inbox)+1), false)
	case 10: // twice: anything ever sent
		if len(w.letters) > 0 {
			d.inbox = append(d.inbox, w.letters[w.choose(len(w.letters))])
			return w.receive(d, len(d.inbox)-1, true)
		}
	case 11: // lost
		if len(d.inbox) > 0 {
			i := w.choose(len(d.inbox))
			d.inbox = slices.Delete(d.inbox, i, i+1)
		}
	case 12, 13, 14: // several at once
		return w.session(d)
	case 15:
		if w.choose(2) == 0 {
			w.epoch++ // somebody rekeyed; who sends makes a new chain first
		} else {
			w.now = w.now.Add(time.Duration(w.choose(30)) * time.Hour)
			for id, r := range d.held {
				d.held[id], _ = r.Expire(w.now)
			}
		}
	case 16:
		if len(members) < 6 && w.choose(2) == 0 {
			w.join()
		} else if len(members) > 2 && w.choose(3) == 0 {
			w.remove(d)
		}
	case 17:
		return w.restart(d)
	}
	return nil
}

func (w *story) remove(d *device) {
	d.member, d.gone = false, w.epoch
	w.epoch++
	for _, o := range w.devices {
		for _, p := range o.pending {
			delete(p.waits, d)
		}
	}
}

// restart reads every chain from its record.
func (w *story) restart(d *device) error {
	for id, r := range d.held {
		again, err := ParseReceiving(r.AppendRecord(nil))
		if err == nil {
			again, err = JoinReceiving(again.AppendHead(nil), again.AppendSkipped(nil))
		}
		if err != nil {
			return fmt.Errorf("%s does not restart: %w", d.who.Address, err)
		}
		d.held[id] = again
	}
	if d.has {
		own, err := ParseSending(d.own.AppendRecord(nil))
		if err != nil {
			return err
		}
		d.own = own
	}
	return nil
}

// send seals for everybody. Nobody sends under an old epoch.
func (w *story) send(d *device, text []byte, signal bool) error {
	if !d.has || d.own.Epoch() != w.epoch {
		var before Before
		if d.has {
			before = Before{d.own.ID(), d.own.Index()}
		}
		w.draws++
		r := draw[[64]byte](w.draws)
		copy(r[:8], binary.BigEndian.AppendUint64(nil, uint64(len(w.chains))))
		copy(r[32:], binary.BigEndian.AppendUint64(nil, uint64(len(w.chains))))
		next, err := newSending(w.group, w.epoch, d.who, w.now, before, &r)
		if err != nil {
			return err
		}
		c := &closing{epoch: w.epoch, waits: map[*device]bool{}}
		if d.has {
			c.chain, c.seed = d.own.ID(), d.own.Seed()
			d.pending = append(d.pending, c)
		}
		d.own, d.has = next, true
		w.chains[next.ID()] = &chainFacts{owner: d}
		for _, o := range w.members() {
			if o != d {
				c.waits[o] = true
				w.hand(d, o)
			}
		}
	}
	x, err := d.own.Seal(w.epoch, Head{byte(w.epoch)}, text)
	if err != nil {
		return err
	}
	d.own = x.Next
	l := &letter{message: x.Message, text: text, chain: d.own.ID(), epoch: w.epoch, index: x.Index, by: d, signal: signal}
	w.letters = append(w.letters, l)
	for _, o := range w.members() {
		if o != d {
			o.inbox = append(o.inbox, l)
		}
	}
	return w.disclose(d)
}

// disclose sends the seeds of the chains that everybody has closed.
func (w *story) disclose(d *device) error {
	for i, c := range d.pending {
		if len(c.waits) == 0 || w.leaks {
			d.pending = slices.Delete(slices.Clone(d.pending), i, i+1)
			w.public[c.chain] = c.seed
			s := Signal{Group: w.group, Disclosed: &Disclosed{Chain: c.chain, Seed: c.seed}}
			return w.send(d, s.Encode(), true)
		}
	}
	return nil
}

// receive delivers the i-th letter of d's inbox.
func (w *story) receive(d *device, i int, again bool) error {
	if i >= len(d.inbox) {
		return nil
	}
	l := d.inbox[i]
	r, ok := d.held[l.chain]
	if !ok {
		if again {
			d.inbox = d.inbox[:i]
		}
		return nil // it waits for its chain
	}
	d.inbox = slices.Delete(d.inbox, i, i+1)
	before := r.AppendRecord(nil)
	o, err := r.Open(l.message, w.now)
	if err != nil {
		w.errs[err]++
		if !bytes.Equal(before, r.AppendRecord(nil)) {
			return errors.New("a refused message changes the chain")
		}
		return nil
	}
	name := fmt.Sprint(l.chain, l.index)
	d.opened[name]++
	switch {
	case d.opened[name] > 1:
		return fmt.Errorf("%s opens %s twice", d.who.Address, name)
	case !bytes.Equal(o.Plaintext, l.text), o.Index != l.index, r.Sender() != l.by.who, o.Seq != l.epoch:
		return errors.New("a message opens as another")
	case l.index < d.from[l.chain]:
		return errors.New("a message from before the chain was handed out opens")
	}
	d.held[l.chain] = o.Next
	if l.epoch > d.newest[l.by.who.Address] {
		// The first message of a new chain: the ones before are closed, and the
		// receipt says so.
		d.newest[l.by.who.Address] = l.epoch
		for id, old := range d.held {
			if old.Sender() == l.by.who && old.Epoch() < l.epoch && !old.Closed() {
				if d.held[id], err = old.Close(nil); err != nil {
					return err
				}
			}
		}
		l.by.pairs[d] = append(l.by.pairs[d], pairwise{ack: l.epoch})
	}
	if l.signal {
		s, err := ParseSignal(o.Plaintext)
		if err != nil {
			return err
		}
		if old, ok := d.held[s.Disclosed.Chain]; ok {
			if d.held[s.Disclosed.Chain], err = old.Close(&s.Disclosed.Seed); err != nil {
				return err
			}
		}
	}
	return nil
}

// session delivers what has waited for d longest in one of its sessions.
func (w *story) session(d *device) error {
	var from []*device
	for _, o := range w.devices {
		if len(d.pairs[o]) > 0 {
			from = append(from, o)
		}
	}
	if len(from) == 0 {
		return nil
	}
	o := from[w.choose(len(from))]
	p := d.pairs[o][0]
	d.pairs[o] = d.pairs[o][1:]
	if p.key == nil {
		for _, c := range d.pending {
			if c.epoch <= p.ack {
				delete(c.waits, o)
			}
		}
		return nil
	}
	r, err := Accept(*p.key, o.who)
	if err != nil {
		return err
	}
	if _, ok := d.held[p.key.Chain]; ok {
		return errors.New("a chain is handed out twice")
	}
	if r.Epoch() < d.newest[o.who.Address] {
		return errors.New("sessions keep their order")
	}
	d.held[p.key.Chain], d.from[p.key.Chain] = r, p.key.Index
	return nil
}

// settle delivers everything that is still under way.
func (w *story) settle() error {
	for range 3 {
		for _, d := range w.members() {
			for {
				n := 0
				for _, o := range w.devices {
					n += len(d.pairs[o])
				}
				if n == 0 {
					break
				}
				if err := w.session(d); err != nil {
					return err
				}
			}
			for i := 0; i < len(d.inbox); {
				n := len(d.inbox)
				if err := w.receive(d, i, false); err != nil {
					return err
				}
				if len(d.inbox) == n {
					i++
				}
			}
		}
	}
	return nil
}

// insiders tries to make one receiver take something that the sender did not
// make, with everything that members hold.
func (w *story) insiders() error {
	if len(w.letters) == 0 {
		return nil
	}
	l := w.letters[w.choose(len(w.letters))]
	facts := w.chains[l.chain]
	seed, public := w.public[l.chain]
	if len(facts.keys) == 0 {
		return nil
	}
	k := facts.keys[w.choose(len(facts.keys))]
	var tries [][]byte
	text := []byte("never said")
	index := max(k.Index, l.index) + uint32(w.choose(3))
	if public {
		forged, err := Forge(seed, k, facts.owner.who, index, l.epoch, Head{9}, text)
		if err != nil {
			return err
		}
		if !VerifyDisclosed(seed, k, facts.owner.who, forged) || !VerifyDisclosed(seed, k, facts.owner.who, l.message) {
			return errors.New("a disclosed chain tells a forged message from a genuine one")
		}
		tries = append(tries, forged)
	} else {
		ids := slices.SortedFunc(maps.Keys(w.public), func(a, b ChainID) int { return bytes.Compare(a[:], b[:]) })
		if len(ids) > 0 {
			id := ids[w.choose(len(ids))]
			if s := w.public[id]; VerifyDisclosed(s, k, facts.owner.who, l.message) {
				return errors.New("a disclosed seed is that of another chain")
			} else if _, err := Forge(s, k, facts.owner.who, index, 1, Head{}, text); !errors.Is(err, ErrForged) {
				return errors.New("a seed forges on another chain")
			}
			tries = append(tries, w.resign(l.message, w.public[id], facts.owner.who, k))
		}
		// Other text under the right key, another index, roster or chain, and the
		// signature of another message or of the adversary's own key.
		for _, at := range []int{indexAt + 3, seqAt + 7, headAt, bodyAt, len(l.message) - 1} {
			m := bytes.Clone(l.message)
			if at < len(m) {
				m[at] ^= 1
			}
			tries = append(tries, m, w.resign(m, [32]byte{1}, facts.owner.who, k))
		}
		other := w.letters[w.choose(len(w.letters))]
		m := bytes.Clone(l.message)
		copy(m[len(m)-signatureLen:], other.message[len(other.message)-signatureLen:])
		if other.message[len(other.message)-1] != l.message[len(l.message)-1] {
			tries = append(tries, m)
		}
		m = bytes.Clone(other.message)
		copy(m[chainAt:indexAt], l.chain[:])
		if other.chain != l.chain {
			tries = append(tries, m)
		}
	}
	members := w.members()
	if !public { // the check of a signature is the same for all who hold the chain
		members = slices.DeleteFunc(members, func(d *device) bool { r, ok := d.held[l.chain]; return !ok || r.Closed() })
		if len(members) == 0 {
			return nil
		}
		members = members[:1]
	}
	for _, d := range members {
		r, ok := d.held[l.chain]
		if !ok {
			continue
		}
		for _, m := range tries {
			if _, err := r.Open(m, w.now); err == nil {
				if public {
					return errLive
				}
				return errForged
			}
		}
	}
	return nil
}

// resign signs a message anew under a seed that the adversary has.
func (w *story) resign(m []byte, seed [32]byte, s Sender, k ChainKey) []byte {
	m = bytes.Clone(m)
	wire, err := ParseMessage(m)
	r, aerr := Accept(k, s)
	if err != nil || aerr != nil {
		return nil
	}
	copy(m[len(m)-signatureLen:], ed25519.Sign(ed25519.NewKeyFromSeed(seed[:]), r.signed(wire.Index, wire.Seq, &wire.Head, wire.Body)))
	return m
}

// readers tries every letter with the full state of those who were not members
// when it was sent: a removed device, and one that joined after.
func (w *story) readers() error {
	for _, d := range w.devices {
		for _, l := range w.letters {
			outside := !d.member && l.epoch > d.gone
			if first, ok := d.from[l.chain]; l.by == d || !outside && (!ok || l.index >= first) {
				continue
			}
			for id, r := range d.held {
				if o, err := r.Open(l.message, w.now); err == nil || o.Plaintext != nil {
					return fmt.Errorf("%s reads what is not for it", d.who.Address)
				}
				// Not by hand either, with every key the chain still has.
				if id == l.chain || outside {
					key := r.key
					for range 8 {
						mk := key.step()
						out := make([]byte, len(l.text))
						mk.xor(out, l.message[bodyAt:bodyAt+len(l.text)])
						if bytes.Equal(out, l.text) {
							return fmt.Errorf("%s decrypts what is not for it", d.who.Address)
						}
					}
				}
			}
		}
	}
	return nil
}
