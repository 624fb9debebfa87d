package transcript

import (
	"crypto/ed25519"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// State is what a verifier can say of a message.
type State string

// States.
const (
	// Verified: tag or signature hold under a key that was disclosed. It says
	// that somebody knew that key, which everybody does by now.
	Verified State = "verified"
	// NoKey: no key was disclosed that the message could be checked with.
	NoKey State = "no_key"
	// Bad: not a message, or the key of its chain was disclosed and it does not
	// hold.
	Bad State = "bad"
)

// Verdict is what Verify says of one message.
type Verdict struct {
	State  State
	Reason string // Bad: a stable word: malformed, identity, tag, signature, sender
	// By is the message that discloses the key, or of a group the place of the key
	// in Keys; -1 when there is none.
	By     int
	Seed   [32]byte // the disclosed key, public; only when verified
	Number uint32   // of the message in its chain; only when verified, or of a group

	first bool // the sender began the session: which way round the identities are bound
}

// Report is what Verify says of a transcript.
type Report struct {
	Verdicts []Verdict // one for each message
	Verified int
	NoKey    int
	Bad      int
	// Complete is false when the search for keys was given up at MaxWork: then
	// messages may stand as NoKey that a key was disclosed for.
	Complete bool
}

// Verify checks every message of a transcript under the keys that it discloses
// (R-TRN-05, R-TRN-06). A verdict does not tell a genuine message from a forged
// one, and nothing could: whoever read the keys can make both.
func (t *Transcript) Verify() (*Report, error) {
	x, err := t.index()
	if err != nil {
		return nil, err
	}
	r := &Report{Verdicts: make([]Verdict, len(t.Messages)), Complete: true}
	if t.Kind == Group {
		x.verifyGroup(r)
	} else {
		x.verifyPair(r)
	}
	for i := range r.Verdicts {
		switch r.Verdicts[i].State {
		case Verified:
			r.Verified++
		case Bad:
			r.Bad++
		default:
			r.NoKey++
		}
	}
	return r, nil
}

// direction is one device writing to one of the other person's.
type direction struct {
	party    int // whose the writing device is
	from, to uint64
}

func (x *index) direction(i int) direction {
	return direction{x.from[i].party, uint64(x.envs[i].Device), uint64(x.envs[i].To)}
}

func (d direction) back() direction { return direction{1 - d.party, d.to, d.from} }

// disclosed is a MAC seed and the message that carries it.
type disclosed struct {
	seed [32]byte
	by   int
}

// chainName is a chain as claims name it.
type chainName struct {
	d       direction
	session [8]byte
	chain   uint64
}

// search finds the keys of messages between two people.
type search struct {
	*index
	report *Report
	seeds  map[direction][]disclosed // under which messages of a direction may stand
	chains map[chainName]disclosed   // as found
	last   map[direction]Verdict     // the verdict found last
	seen   map[direction]uint32      // messages so far
	work   int
}

func (x *index) verifyPair(r *Report) {
	s := &search{
		index: x, report: r, seeds: map[direction][]disclosed{}, chains: map[chainName]disclosed{},
		last: map[direction]Verdict{}, seen: map[direction]uint32{},
	}
	known := map[direction]map[[32]byte]bool{}
	for i := range x.envs {
		r.Verdicts[i] = Verdict{State: NoKey, By: -1}
		w, err := ratchet.ParseMessage(x.envs[i].Message)
		if err != nil {
			r.Verdicts[i] = Verdict{State: Bad, Reason: "malformed", By: -1}
			continue
		}
		// Who receives on a chain discloses it: what is in this message is of
		// chains of the other direction.
		d := x.direction(i).back()
		if known[d] == nil {
			known[d] = map[[32]byte]bool{}
		}
		for _, seed := range w.Disclosed {
			if !known[d][seed] {
				known[d][seed] = true
				s.seeds[d] = append(s.seeds[d], disclosed{seed, i})
			}
		}
		if initial := x.envs[i].Initial; len(initial) > 0 {
			p, err := x3dh.ParseInitial(initial)
			switch {
			case err != nil:
				r.Verdicts[i] = Verdict{State: Bad, Reason: "malformed", By: -1}
			case p.Identity.Array() != x.Parties[x.from[i].party].Devices[x.from[i].device].Identity:
				r.Verdicts[i] = Verdict{State: Bad, Reason: "identity", By: -1}
			}
		}
	}
	for i := range x.envs {
		if r.Verdicts[i].State == NoKey {
			s.find(i)
		}
	}
	// What stands in a chain whose key is known by now and does not hold under it.
	for i := range x.envs {
		p := x.Messages[i].Place
		if r.Verdicts[i].State != NoKey || p == nil {
			continue
		}
		if key, ok := s.chains[chainName{x.direction(i), p.Session, p.Chain}]; ok && !s.try(i, key, p.Number, p.Number+1) {
			r.Verdicts[i] = Verdict{State: Bad, Reason: "tag", By: key.by}
		}
	}
}

// find looks for the key of one message: where it claims to stand, then in the
// chain of the message before it, then everywhere.
func (s *search) find(i int) {
	d := s.direction(i)
	s.seen[d]++
	var from, to uint32
	if p := s.Messages[i].Place; p != nil {
		name := chainName{d, p.Session, p.Chain}
		from, to = p.Number, p.Number+1
		if to < from {
			return
		}
		if key, ok := s.chains[name]; ok {
			s.try(i, key, from, to)
			return
		}
	} else {
		from, to = 0, min(s.seen[d]+16, MaxNumber)
		if v, ok := s.last[d]; ok && v.Number < 1<<31 && s.try(i, disclosed{v.Seed, v.By}, v.Number+1, v.Number+4) {
			return
		}
	}
	// Keys are disclosed after the messages they are of: the nearest first.
	seeds := s.seeds[d]
	n := 0
	for n < len(seeds) && seeds[n].by < i {
		n++
	}
	// Where a place is not claimed the first numbers of all chains come before
	// the later ones of any.
	for _, span := range [][2]uint32{{from, min(to, from+2)}, {min(to, from+2), to}} {
		for j := range seeds {
			if !s.report.Complete {
				return
			}
			if s.try(i, seeds[(n+j)%len(seeds)], span[0], span[1]) {
				return
			}
		}
	}
}

// try holds a message against a key at the numbers of a span, with the
// identities either way round.
func (s *search) try(i int, key disclosed, from, to uint32) bool {
	for n := from; n < to; n++ {
		for _, first := range []bool{true, false} {
			if !first && len(s.envs[i].Initial) > 0 {
				continue // who sends a first message has begun
			}
			ad := s.bound(i, first)
			if s.work += len(s.envs[i].Message) + 512; s.work > MaxWork {
				s.report.Complete = false
				return false
			}
			if !ratchet.VerifyDisclosed(key.seed, n, s.envs[i].Message, ad[:]) {
				continue
			}
			v := Verdict{State: Verified, By: key.by, Seed: key.seed, Number: n, first: first}
			s.report.Verdicts[i] = v
			s.last[s.direction(i)] = v
			if p := s.Messages[i].Place; p != nil {
				s.chains[chainName{s.direction(i), p.Session, p.Chain}] = key
			}
			return true
		}
	}
	return false
}

// bound is what a message between two devices is bound to; first says that its
// sender began the session.
func (x *index) bound(i int, first bool) [32]byte {
	from := x.from[i]
	other := &x.Parties[1-from.party]
	to, _ := other.find(uint64(x.envs[i].To))
	a, b := x.Parties[from.party].view(from.device), other.view(to)
	if !first {
		a, b = b, a
	}
	return x3dh.AssociatedData(a, b)
}

// chainKey is a disclosed key of a group as package groups takes it.
type chainKey struct {
	key    groups.ChainKey
	sender groups.Sender
	seed   [32]byte
	at     int // in Keys
}

// chainKeys reads the disclosed keys; the id of a chain follows from its key.
func (x *index) chainKeys() map[groups.ChainID]chainKey {
	out := map[groups.ChainID]chainKey{}
	for i := range x.Keys {
		k := &x.Keys[i]
		p, _ := x.find(k.Address, k.Device) // checked
		sender := x.Parties[p.party].sender(p.device)
		verify := [32]byte(ed25519.NewKeyFromSeed(k.Seed[:])[32:])
		id := groups.ChainIDOf(x.Group, k.Epoch, sender, verify)
		out[id] = chainKey{groups.ChainKey{Group: x.Group, Epoch: k.Epoch, Chain: id, Verify: verify}, sender, k.Seed, i}
	}
	return out
}

func (x *index) verifyGroup(r *Report) {
	keys := x.chainKeys()
	for i := range x.envs {
		w, err := groups.ParseMessage(x.envs[i].Message)
		k, ok := keys[w.Chain]
		v := Verdict{State: NoKey, By: -1, Number: w.Index}
		switch {
		case err != nil:
			v = Verdict{State: Bad, Reason: "malformed", By: -1}
		case ok && k.sender != x.Parties[x.from[i].party].sender(x.from[i].device):
			v = Verdict{State: Bad, Reason: "sender", By: k.at, Number: w.Index}
		case ok && groups.VerifyDisclosed(k.seed, k.key, k.sender, x.envs[i].Message):
			v = Verdict{State: Verified, By: k.at, Seed: k.seed, Number: w.Index}
		case ok:
			v = Verdict{State: Bad, Reason: "signature", By: k.at, Number: w.Index}
		}
		r.Verdicts[i] = v
	}
}
