package groups

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// logWorld is a roster log at a server that places entries by compare-and-swap,
// with members who change the group at once, and an adversary who is a member,
// has every secret and places what the rules do not allow.
type logWorld struct {
	choose  func(int) int
	g       ID
	blobs   [][]byte
	head    Head
	placed  map[uint64]Roster // what the honest author of an entry said that it leads to
	chains  map[ChainID]Sending
	own     map[string]Sending // by member and epoch
	secrets map[Head]Secret    // candidates, by the head that makes them count
	people  []*person
	evil    map[error]int // why entries were void
	lost    int           // races lost
	changed int
	readOn  int // entries read by who had left and not been rekeyed away from
}

// person is a member's client, or that of one who was or will be.
type person struct {
	who     Sender
	roster  Roster
	secrets map[uint64]Secret
	gone    uint64 // seq of its removal
}

func newLogWorld(tb testing.TB, choose func(int) int) *logWorld {
	w := &logWorld{choose: choose, g: ID{9}, placed: map[uint64]Roster{}, chains: map[ChainID]Sending{}, own: map[string]Sending{}, secrets: map[Head]Secret{}, evil: map[error]int{}}
	var first []Member
	for i := range 4 {
		p := &person{who: sender(fmt.Sprintf("p%d@example.org", i), uint64(i+1)), secrets: map[uint64]Secret{1: {1}}, roster: Roster{Group: w.g}}
		w.people = append(w.people, p)
		first = append(first, member(p.who.Address, map[bool]Role{true: Admin, false: RoleMember}[i < 2]))
	}
	a := w.people[0]
	p, err := Propose(a.roster, a.secrets[1], w.chain(tb, a.who, 1), a.who.author(), Change{Kind: Create, Name: "log", Policy: Policy{AddByMembers: true}, Members: first}, nil, testNow)
	if err != nil {
		tb.Fatal(err)
	}
	w.place(p.Blob, Head{})
	w.placed[1] = p.Roster
	return w
}

// chain is the chain of a device in an epoch, as all the others have it.
func (w *logWorld) chain(tb testing.TB, s Sender, epoch uint64) Sending {
	name := fmt.Sprint(s.Address, epoch)
	c, ok := w.own[name]
	if !ok {
		c = newChain(tb, w.g, epoch, s)
		w.own[name], w.chains[c.ID()] = c, c
	}
	return c
}

// place is the server.
func (w *logWorld) place(blob []byte, prev Head) bool {
	if prev != w.head {
		return false
	}
	w.blobs = append(w.blobs, blob)
	w.head = HeadOf(w.g, uint64(len(w.blobs)), prev, blob)
	return true
}

// follow reads one entry as p.
func (w *logWorld) follow(p *person) error {
	if p.gone > 0 || p.roster.Seq == uint64(len(w.blobs)) {
		return nil
	}
	seq := p.roster.Seq + 1
	blob := w.blobs[seq-1]
	epoch := p.roster.writtenIn()
	s := p.secrets[epoch]
	if p.roster.Epoch > 0 && !p.roster.Holds(s) {
		return errors.New("a member has not the secret of its epoch")
	}
	e, err := Read(w.g, seq, p.roster.Head, s, epoch, blob)
	if err != nil {
		w.evil[err]++
		p.roster = p.roster.Skip(blob)
	} else {
		c, ok := w.chains[e.Chain]
		if !ok {
			return errors.New("nobody has the chain")
		}
		var next Roster
		if next, err = p.roster.Apply(e, c.Key().Verify, c.Sender()); err != nil {
			w.evil[err]++
		}
		if errors.Is(err, ErrNotNext) {
			return err
		}
		p.roster = next
		// The secret of a new epoch was sent to those who stay, before the entry.
		if _, stays := next.Member(p.who.Address); err == nil && stays && e.Next != [32]byte{} && e.Change.Kind != Create {
			p.secrets[next.Epoch] = w.secrets[next.Head]
		}
	}
	if want, ok := w.placed[seq]; ok != (err == nil) {
		return fmt.Errorf("entry %d: honest %v, yet %v", seq, ok, err)
	} else if ok && (want.Hash() != p.roster.Hash() || want.Head != p.roster.Head) {
		return fmt.Errorf("entry %d leads elsewhere than its author said", seq)
	}
	if _, ok := p.roster.Member(p.who.Address); !ok {
		p.gone = p.roster.Seq
	}
	return nil
}

func (w *logWorld) followAll(p *person) error {
	for p.gone == 0 && p.roster.Seq < uint64(len(w.blobs)) {
		if err := w.follow(p); err != nil {
			return err
		}
	}
	return nil
}

// change is some change that p might want.
func (w *logWorld) change(p *person) Change {
	some := func() string { return w.people[w.choose(len(w.people))].who.Address }
	switch Kind(2 + w.choose(7)) {
	case Add:
		return Change{Kind: Add, Members: []Member{member(fmt.Sprintf("p%d@example.org", len(w.people)), Role(1+w.choose(2)))}}
	case Remove:
		return Change{Kind: Remove, Members: named(some())}
	case Leave:
		if w.choose(4) == 0 {
			return Change{Kind: Leave}
		}
		return Change{Kind: Rekey}
	case SetRole:
		return Change{Kind: SetRole, Members: []Member{{Address: some(), Role: Role(1 + w.choose(2))}}}
	case Rename:
		return Change{Kind: Rename, Name: fmt.Sprint("name ", w.choose(1000))}
	case SetPolicy:
		return Change{Kind: SetPolicy, Policy: Policy{w.choose(2) == 0, w.choose(2) == 0}}
	}
	return Change{Kind: Rekey}
}

// propose makes p want a change, on the roster as p knows it, and again after it
// lost a race as long as the change is still allowed.
func (w *logWorld) propose(tb testing.TB, p *person) error {
	if p.gone > 0 {
		return nil
	}
	c := w.change(p)
	for p.gone == 0 {
		r := p.roster
		if r.Seq == 0 {
			return w.follow(p)
		}
		var next *Secret
		if c.Kind.Advances() {
			s := NewSecret()
			next = &s
		}
		x, err := Propose(r, p.secrets[r.Epoch], w.chain(tb, p.who, r.Epoch), p.who.author(), c, next, testNow)
		if err != nil {
			if r.Allows(p.who.Address, c) == nil {
				return err
			}
			return nil // reported
		}
		if next != nil {
			w.secrets[x.Head] = *next
		}
		if w.place(x.Blob, r.Head) {
			w.changed++
			w.placed[x.Roster.Seq] = x.Roster
			if c.Kind == Add { // welcomed, as of the new head
				w.people = append(w.people, &person{who: sender(c.Members[0].Address, uint64(len(w.people)+1)), roster: x.Roster, secrets: map[uint64]Secret{r.Epoch: p.secrets[r.Epoch]}})
			}
			return w.followAll(p)
		}
		w.lost++
		if err := w.followAll(p); err != nil {
			return err
		}
	}
	return nil
}

// attack places an entry that must change nothing, by a member with all that a
// member has. It stays at the newest roster.
func (w *logWorld) attack(tb testing.TB, p *person) error {
	if err := w.followAll(p); err != nil || p.gone > 0 {
		return err
	}
	r, s := p.roster, p.secrets[p.roster.Epoch]
	mine := w.chain(tb, p.who, r.Epoch)
	victim := r.Members[w.choose(len(r.Members))]
	state := r.Hash()
	var blob []byte
	forge := func(by Sending, f func(*bodyWire)) {
		blob = forgeEntry(tb, r, s, by, func(b *bodyWire) { b.State = state[:]; f(b) })
	}
	rename := Change{Kind: Rename, Name: "taken over"}
	switch w.choose(8) {
	case 0:
		blob = []byte("garbage")
	case 1: // repeats what was placed
		blob = w.blobs[w.choose(len(w.blobs))]
	case 2: // in another's name
		for _, o := range w.people {
			if o.who.Address == victim.Address && o != p {
				theirs := w.chain(tb, o.who, r.Epoch).ID()
				forge(mine, func(b *bodyWire) {
					b.Author, b.Device, b.Chain, b.Change = o.who.Address, o.who.Device, theirs[:], rename.wire()
				})
			}
		}
	case 3: // with a lie about the roster after it
		forge(mine, func(b *bodyWire) { b.Change, b.State = rename.wire(), make([]byte, 32) })
	case 4: // with a chain of another epoch, whose seed may be public
		forge(w.chain(tb, p.who, r.Epoch+5), func(b *bodyWire) { b.Change = rename.wire() })
	case 5: // beyond one's role, with the state hash right
		c := Change{Kind: SetPolicy, Policy: Policy{!r.Policy.AddByMembers, r.Policy.OpenHistory}}
		if m, _ := r.Member(p.who.Address); m.Role == RoleMember {
			after := r
			after.Policy = c.Policy
			h := after.Hash()
			forge(mine, func(b *bodyWire) { b.Change, b.State = c.wire(), h[:] })
		}
	case 6: // takes every admin away
		c := Change{Kind: SetRole}
		for _, m := range r.Members {
			c.Members = append(c.Members, Member{Address: m.Address, Role: RoleMember})
		}
		forge(mine, func(b *bodyWire) { b.Change = c.wire() })
	case 7: // for a change of nothing
		forge(mine, func(b *bodyWire) { c := Change{Kind: Rename, Name: r.Name}; b.Change = c.wire() })
	}
	if blob != nil {
		w.place(blob, r.Head)
	}
	return nil
}

func (w *logWorld) act(tb testing.TB) error {
	p := w.people[w.choose(len(w.people))]
	switch w.choose(6) {
	case 0, 1:
		return w.propose(tb, p)
	case 2, 3:
		return w.follow(p)
	case 4:
		return w.followAll(p)
	}
	return w.attack(tb, p)
}

// agree makes everybody follow, and holds that they end alike; who was removed
// reads nothing of what came after.
func (w *logWorld) agree() error {
	var one *person
	for _, p := range w.people {
		if err := w.followAll(p); err != nil {
			return err
		}
		if p.gone > 0 {
			continue
		}
		if one == nil {
			one = p
		}
		if p.roster.Hash() != one.roster.Hash() || p.roster.Head != w.head || !bytes.Equal(p.roster.Encode(), one.roster.Encode()) {
			return fmt.Errorf("%s and %s end with different rosters", p.who.Address, one.who.Address)
		}
		if again, err := ParseRoster(p.roster.Encode()); err != nil || again.Hash() != p.roster.Hash() {
			return fmt.Errorf("a roster that cannot be handed on: %w", err)
		}
		if !p.roster.Holds(p.secrets[p.roster.Epoch]) {
			return errors.New("a member has not the secret of the epoch")
		}
	}
	for _, p := range w.people {
		if one == nil || p.gone == 0 {
			continue
		}
		prev := p.roster.Head
		for seq := p.roster.Seq + 1; seq <= uint64(len(w.blobs)); seq++ {
			for epoch, s := range p.secrets {
				// Who has left may read on until the rekey that this makes due.
				_, err := Read(w.g, seq, prev, s, epoch, w.blobs[seq-1])
				if err == nil && (!p.roster.RekeyDue || epoch != p.roster.Epoch) {
					return fmt.Errorf("%s reads entry %d", p.who.Address, seq)
				}
				if err == nil {
					w.readOn++
				}
			}
			prev = HeadOf(w.g, seq, prev, w.blobs[seq-1])
		}
	}
	return nil
}

// R-GRP-21, R-GRP-24, R-GRP-26: whoever changes the group at once with others,
// and whatever a member places, all end with the same roster.
func TestR_GRP_26_EverybodyEndsAlike(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newLogWorld(t, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "c") })
		for range rapid.IntRange(1, 40).Draw(rt, "actions") {
			if err := w.act(t); err != nil {
				rt.Fatal(err)
			}
		}
		if err := w.agree(); err != nil {
			rt.Fatal(err)
		}
	})
	changed, lost, readOn := 0, 0, 0
	evil := map[error]int{}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := newLogWorld(t, r.IntN)
		for range 80 {
			if err := w.act(t); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err := w.agree(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		changed, lost, readOn = changed+w.changed, lost+w.lost, readOn+w.readOn
		for err, n := range w.evil {
			evil[err] += n
		}
	}
	if changed < 300 || lost < 100 || readOn == 0 {
		t.Errorf("only %d changes and %d races", changed, lost)
	}
	for _, err := range []error{ErrMalformed, ErrForged, ErrState, ErrNotAllowed, ErrNothing} {
		if evil[err] == 0 {
			t.Errorf("no entry was void for %v", err)
		}
	}
	t.Log(changed, lost, readOn, evil)
}

// Two authors on different branches of a forked log cannot be brought together:
// no entry of one branch counts on the other.
func TestR_GRP_21_BranchesStayApart(t *testing.T) {
	w := newSmall(t)
	left := w.propose(t, w.a, Change{Kind: Rename, Name: "left"}, nil)
	right := w.propose(t, w.a, Change{Kind: Rename, Name: "right"}, nil)
	l, r := left.Roster, right.Roster
	if l.Head == r.Head || l.Seq != r.Seq {
		t.Fatal("no fork")
	}
	p, err := Propose(l, w.s, w.a, alice.author(), Change{Kind: SetPolicy, Policy: Policy{OpenHistory: true}}, nil, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(w.g, r.Seq+1, r.Head, w.s, 1, p.Blob); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	e, err := Read(w.g, l.Seq+1, l.Head, w.s, 1, p.Blob)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(e, w.a.Key().Verify, alice); !errors.Is(err, ErrNotNext) {
		t.Error(err)
	}
	// A message of one branch names its head to the other.
	x, err := w.a.Seal(l.Seq, l.Head, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	rc := accept(t, w.a)
	o := open(t, &rc, x.Message, testNow)
	if o.Seq != r.Seq || o.Head == r.Head || !slices.Equal(o.Plaintext, []byte("hello")) {
		t.Error("the fork does not show")
	}
}
