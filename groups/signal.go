package groups

import (
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// Signal is what devices of a group tell each other beside messages: the body
// of a content of kind group (R-GRP-30). Exactly one field beside Group is set.
// Who says it is what the session or the chain that carried it binds, and what
// it is worth is for the client to see to.
type Signal struct {
	Group     ID
	Key       *Key
	Ask       *Ask
	Again     *Again
	Disclosed *Disclosed
	Join      *Join
	History   *History
	Branch    *Branch
	Gone      *Gone
}

// Key hands out a chain, the secret of an epoch, or both, and with Roster
// welcomes a new member (R-GRP-31).
type Key struct {
	Seq    uint64 // the entry of the log as of which this counts
	Head   Head
	Epoch  uint64
	Secret Secret    // of the epoch; zero for none
	Roster []byte    // encoded roster as of Head; welcome only
	Chain  *ChainKey // of the sender, in that group and epoch; nil for none
}

// Ask asks the device that it is sent to (R-GRP-32): for its messages of these
// indexes of its chain, for the chain itself when there are no indexes, or, with
// Welcome, for everything that a member of the group needs.
type Ask struct {
	Chain   ChainID  // zero with Welcome only
	Indexes []uint32 // ascending, none twice
	Welcome bool
}

// Again is a message that was asked for, sealed for one device (R-GRP-32).
type Again struct {
	Chain   ChainID
	Index   uint32
	Content []byte // encoded content; empty when the sender has it no more
}

// Disclosed makes the signing key of a closed chain known (R-GRP-16,
// R-GRP-37). It travels inside the group.
type Disclosed struct {
	Chain ChainID
	Seed  [32]byte
}

// Join asks an admin to be let in, with the token of an invite (R-GRP-33).
type Join struct {
	Token [16]byte
}

// History is what was said before somebody joined, as retold by the device that
// sends it (R-GRP-33).
type History struct {
	Messages []Retold
	Last     bool
}

// Retold is one message of a History.
type Retold struct {
	From    string // canonical address
	Device  uint64
	Content []byte // encoded content
}

// Branch shows the newest entries of the log as the sender has them, ascending
// and without a gap (R-GRP-34).
type Branch struct {
	Seq     uint64 // newest
	Head    Head
	Entries []BranchEntry
	Answer  bool // answers a Branch, and is not answered
}

// BranchEntry is one of them. Of a void entry Author and Change are zero.
type BranchEntry struct {
	Seq    uint64
	Head   Head
	Author Author
	Change Change
}

// Gone says that who receives it is not, or not to become, a member.
type Gone struct{}

type signalWire struct {
	Group     []byte         `cbor:"1,keyasint"`
	Key       *keyWire       `cbor:"2,keyasint,omitempty"`
	Ask       *askWire       `cbor:"3,keyasint,omitempty"`
	Again     *againWire     `cbor:"4,keyasint,omitempty"`
	Disclosed *disclosedWire `cbor:"5,keyasint,omitempty"`
	Join      *joinWire      `cbor:"6,keyasint,omitempty"`
	History   *historyWire   `cbor:"7,keyasint,omitempty"`
	Branch    *branchWire    `cbor:"8,keyasint,omitempty"`
	Gone      *goneWire      `cbor:"9,keyasint,omitempty"`
}

type keyWire struct {
	Seq    uint64     `cbor:"1,keyasint"`
	Head   []byte     `cbor:"2,keyasint"`
	Epoch  uint64     `cbor:"3,keyasint"`
	Secret []byte     `cbor:"4,keyasint,omitempty"`
	Roster []byte     `cbor:"5,keyasint,omitempty"`
	Chain  *chainWire `cbor:"6,keyasint,omitempty"`
}

type chainWire struct {
	Chain   []byte      `cbor:"1,keyasint"`
	Index   uint32      `cbor:"2,keyasint"`
	Key     []byte      `cbor:"3,keyasint"`
	Verify  []byte      `cbor:"4,keyasint"`
	Created uint64      `cbor:"5,keyasint"`
	Before  *beforeWire `cbor:"6,keyasint,omitempty"`
}

type beforeWire struct {
	Chain []byte `cbor:"1,keyasint"`
	Count uint32 `cbor:"2,keyasint"`
}

type askWire struct {
	Chain   []byte   `cbor:"1,keyasint,omitempty"`
	Indexes []uint32 `cbor:"2,keyasint,omitempty"`
	Welcome bool     `cbor:"3,keyasint,omitempty"`
}

type againWire struct {
	Chain   []byte `cbor:"1,keyasint"`
	Index   uint32 `cbor:"2,keyasint"`
	Content []byte `cbor:"3,keyasint"`
}

type disclosedWire struct {
	Chain []byte `cbor:"1,keyasint"`
	Seed  []byte `cbor:"2,keyasint"`
}

type joinWire struct {
	Token []byte `cbor:"1,keyasint"`
}

type historyWire struct {
	Messages []retoldWire `cbor:"1,keyasint"`
	Last     bool         `cbor:"2,keyasint,omitempty"`
}

type retoldWire struct {
	From    string `cbor:"1,keyasint"`
	Device  uint64 `cbor:"2,keyasint"`
	Content []byte `cbor:"3,keyasint"`
}

type branchWire struct {
	Seq     uint64            `cbor:"1,keyasint"`
	Head    []byte            `cbor:"2,keyasint"`
	Entries []branchEntryWire `cbor:"3,keyasint"`
	Answer  bool              `cbor:"4,keyasint,omitempty"`
}

type branchEntryWire struct {
	Seq    uint64      `cbor:"1,keyasint"`
	Head   []byte      `cbor:"2,keyasint"`
	Author string      `cbor:"3,keyasint,omitempty"`
	Device uint64      `cbor:"4,keyasint,omitempty"`
	Change *changeWire `cbor:"5,keyasint,omitempty"`
}

type goneWire struct{}

// Encode returns the canonical encoding. ParseSignal refuses one longer than
// MaxSignal: who puts contents or entries into a signal counts.
func (s Signal) Encode() []byte {
	w := signalWire{Group: s.Group[:]}
	if k := s.Key; k != nil {
		w.Key = k.wire()
	}
	if a := s.Ask; a != nil {
		w.Ask = &askWire{Indexes: a.Indexes, Welcome: a.Welcome}
		if !a.Chain.IsZero() {
			w.Ask.Chain = a.Chain[:]
		}
	}
	if a := s.Again; a != nil {
		w.Again = &againWire{Chain: a.Chain[:], Index: a.Index, Content: a.Content}
	}
	if d := s.Disclosed; d != nil {
		w.Disclosed = &disclosedWire{Chain: d.Chain[:], Seed: d.Seed[:]}
	}
	if j := s.Join; j != nil {
		w.Join = &joinWire{Token: j.Token[:]}
	}
	if h := s.History; h != nil {
		w.History = &historyWire{Last: h.Last}
		for _, m := range h.Messages {
			w.History.Messages = append(w.History.Messages, retoldWire(m))
		}
	}
	if b := s.Branch; b != nil {
		w.Branch = b.wire()
	}
	if s.Gone != nil {
		w.Gone = &goneWire{}
	}
	return codec.Marshal(w)
}

func (k *Key) wire() *keyWire {
	w := &keyWire{Seq: k.Seq, Head: k.Head[:], Epoch: k.Epoch, Roster: k.Roster}
	if !k.Secret.IsZero() {
		w.Secret = k.Secret[:]
	}
	if c := k.Chain; c != nil {
		w.Chain = &chainWire{Chain: c.Chain[:], Index: c.Index, Key: c.Key[:], Verify: c.Verify[:], Created: uint64(c.Created)}
		if !c.Before.Chain.IsZero() {
			w.Chain.Before = &beforeWire{Chain: c.Before.Chain[:], Count: c.Before.Count}
		}
	}
	return w
}

func (b *Branch) wire() *branchWire {
	w := &branchWire{Seq: b.Seq, Head: b.Head[:], Answer: b.Answer}
	for i := range b.Entries {
		e := &b.Entries[i]
		ew := branchEntryWire{Seq: e.Seq, Head: e.Head[:], Author: e.Author.Address, Device: e.Author.Device}
		if e.Change.Kind != 0 {
			c := e.Change.canonical().wire()
			ew.Change = &c
		}
		w.Entries = append(w.Entries, ew)
	}
	return w
}

// ParseSignal reads what Encode wrote: exactly one field beside the group, in
// its form (R-GRP-30).
func ParseSignal(b []byte) (Signal, error) {
	var w signalWire
	if codec.Unmarshal(b, MaxSignal, &w) != nil || len(w.Group) != 16 || ID(w.Group).IsZero() {
		return Signal{}, ErrMalformed
	}
	s := Signal{Group: ID(w.Group)}
	n, ok := 0, true
	if w.Key != nil {
		n++
		s.Key, ok = w.Key.key(s.Group)
	}
	if w.Ask != nil {
		n++
		s.Ask, ok = w.Ask.ask()
	}
	if w.Again != nil {
		n++
		if ok = isChain(w.Again.Chain); ok {
			s.Again = &Again{Chain: ChainID(w.Again.Chain), Index: w.Again.Index, Content: w.Again.Content}
		}
	}
	if w.Disclosed != nil {
		n++
		if ok = isChain(w.Disclosed.Chain) && len(w.Disclosed.Seed) == 32; ok {
			s.Disclosed = &Disclosed{Chain: ChainID(w.Disclosed.Chain), Seed: [32]byte(w.Disclosed.Seed)}
		}
	}
	if w.Join != nil {
		n++
		if ok = len(w.Join.Token) == 16; ok {
			s.Join = &Join{Token: [16]byte(w.Join.Token)}
		}
	}
	if w.History != nil {
		n++
		s.History, ok = w.History.history()
	}
	if w.Branch != nil {
		n++
		s.Branch, ok = w.Branch.branch()
	}
	if w.Gone != nil {
		n++
		s.Gone = &Gone{}
	}
	if n != 1 || !ok {
		return Signal{}, ErrMalformed
	}
	return s, nil
}

func isChain(b []byte) bool { return len(b) == 16 && !ChainID(b).IsZero() }

// key holds R-GRP-31, but for what Accept and ParseRoster hold.
func (w *keyWire) key(g ID) (*Key, bool) {
	if len(w.Head) != 32 || w.Epoch == 0 || w.Secret == nil && w.Chain == nil || w.Roster != nil && w.Secret == nil ||
		len(w.Roster) > MaxRoster {
		return nil, false
	}
	k := &Key{Seq: w.Seq, Head: Head(w.Head), Epoch: w.Epoch, Roster: w.Roster}
	if w.Secret != nil {
		if len(w.Secret) != 32 || Secret(w.Secret).IsZero() {
			return nil, false
		}
		k.Secret = Secret(w.Secret)
	}
	if c := w.Chain; c != nil {
		if !isChain(c.Chain) || len(c.Key) != 32 || len(c.Verify) != 32 || c.Created > maxTime {
			return nil, false
		}
		k.Chain = &ChainKey{
			Group: g, Epoch: w.Epoch, Chain: ChainID(c.Chain), Index: c.Index, Key: [32]byte(c.Key), Verify: [32]byte(c.Verify), Created: int64(c.Created),
		}
		if c.Before != nil {
			if !isChain(c.Before.Chain) {
				return nil, false
			}
			k.Chain.Before = Before{Chain: ChainID(c.Before.Chain), Count: c.Before.Count}
		}
	}
	return k, true
}

// ask holds R-GRP-32.
func (w *askWire) ask() (*Ask, bool) {
	a := &Ask{Indexes: w.Indexes, Welcome: w.Welcome}
	if w.Chain != nil {
		if !isChain(w.Chain) {
			return nil, false
		}
		a.Chain = ChainID(w.Chain)
	}
	if a.Chain.IsZero() && (!a.Welcome || len(a.Indexes) > 0) || len(a.Indexes) > MaxAsked {
		return nil, false
	}
	for i := range a.Indexes {
		if i > 0 && a.Indexes[i] <= a.Indexes[i-1] {
			return nil, false
		}
	}
	return a, true
}

// history holds R-GRP-33.
func (w *historyWire) history() (*History, bool) {
	if len(w.Messages) > MaxRetold || len(w.Messages) == 0 && !w.Last {
		return nil, false
	}
	h := &History{Last: w.Last}
	for _, m := range w.Messages {
		if _, err := address.ParseCanonical(m.From); err != nil || m.Device == 0 || len(m.Content) == 0 {
			return nil, false
		}
		h.Messages = append(h.Messages, Retold(m))
	}
	return h, true
}

// branch holds R-GRP-34.
func (w *branchWire) branch() (*Branch, bool) {
	n := uint64(len(w.Entries))
	if n == 0 || n > MaxBranch || len(w.Head) != 32 || w.Seq < n {
		return nil, false
	}
	b := &Branch{Seq: w.Seq, Head: Head(w.Head), Answer: w.Answer}
	for i := range w.Entries {
		e := &w.Entries[i]
		if len(e.Head) != 32 || e.Seq != w.Seq-n+1+uint64(i) || (e.Change == nil) != (e.Author == "") || (e.Author == "") != (e.Device == 0) {
			return nil, false
		}
		out := BranchEntry{Seq: e.Seq, Head: Head(e.Head)}
		if e.Change != nil {
			c, err := e.Change.change()
			if _, aerr := address.ParseCanonical(e.Author); err != nil || aerr != nil {
				return nil, false
			}
			out.Author, out.Change = Author{e.Author, e.Device}, c
		}
		b.Entries = append(b.Entries, out)
	}
	return b, b.Entries[n-1].Head == b.Head
}
