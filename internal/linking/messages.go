package linking

import (
	"crypto/ed25519"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// Kind tells messages apart.
type Kind uint64

// Kinds.
const (
	kindJoin    Kind = 1 // new device: what goes into the list
	kindEntry   Kind = 2 // old device: the entry that lets it in
	kindOutcome Kind = 3 // new device: what the server said
	kindRefusal Kind = 4 // either: this is the end
)

// Message is what goes through a Channel.
type Message interface {
	kind() Kind
	encode() (Kind, []byte)
	decode([]byte) error
}

// Join is the new device's part of its entry in the list. Its keys stand in the
// offer.
type Join struct {
	Device address.Device
	Name   string
	Proof  []byte
	Caps   []uint64
	// Replaces is a device that this one takes the place of, and ReplaceProof
	// its signature, both empty for a device that is simply new.
	Replaces     address.Device
	ReplaceProof []byte
}

type wireJoin struct {
	Device       uint64   `cbor:"1,keyasint"`
	Name         string   `cbor:"2,keyasint"`
	Proof        []byte   `cbor:"3,keyasint"`
	Caps         []uint64 `cbor:"4,keyasint,omitempty"`
	Replaces     uint64   `cbor:"5,keyasint,omitempty"`
	ReplaceProof []byte   `cbor:"6,keyasint,omitempty"`
}

func (*Join) kind() Kind { return kindJoin }

func (j *Join) encode() (Kind, []byte) {
	return kindJoin, codec.Marshal(wireJoin{
		Device: uint64(j.Device), Name: j.Name, Proof: j.Proof, Caps: j.Caps,
		Replaces: uint64(j.Replaces), ReplaceProof: j.ReplaceProof,
	})
}

func (j *Join) decode(b []byte) error {
	var w wireJoin
	if err := codec.Unmarshal(b, MaxSealed, &w); err != nil {
		return ErrMalformed
	}
	*j = Join{Device: address.Device(w.Device), Name: w.Name, Proof: w.Proof, Caps: w.Caps,
		Replaces: address.Device(w.Replaces), ReplaceProof: w.ReplaceProof}
	if j.Device == 0 || len(j.Proof) != ed25519.SignatureSize || devicelist.CheckName(j.Name) != nil || len(j.Caps) > devicelist.MaxCaps ||
		(j.Replaces == 0) != (len(j.ReplaceProof) == 0) || (j.Replaces != 0 && len(j.ReplaceProof) != ed25519.SignatureSize) {
		return ErrMalformed
	}
	return nil
}

// Entry lets the new device in: the entries that it lacks, and then its own.
type Entry struct {
	Lacking [][]byte
	Entry   []byte
}

type wireEntry struct {
	Lacking [][]byte `cbor:"1,keyasint"`
	Entry   []byte   `cbor:"2,keyasint"`
}

func (*Entry) kind() Kind { return kindEntry }

func (e *Entry) encode() (Kind, []byte) {
	return kindEntry, codec.Marshal(wireEntry{Lacking: e.Lacking, Entry: e.Entry})
}

func (e *Entry) decode(b []byte) error {
	var w wireEntry
	if err := codec.Unmarshal(b, MaxSealed, &w); err != nil || len(w.Entry) == 0 {
		return ErrMalformed
	}
	*e = Entry(w)
	return nil
}

// Outcome is what became of an entry at the server.
type Outcome struct{ Result Result }

// Result is what a server said to an entry.
type Result uint64

// Results.
const (
	Done     Result = 1 // the device is on the list, with its prekeys
	Conflict Result = 2 // the list has moved on: sign anew
)

type wireOutcome struct {
	Result uint64 `cbor:"1,keyasint"`
}

func (*Outcome) kind() Kind { return kindOutcome }

func (o *Outcome) encode() (Kind, []byte) {
	return kindOutcome, codec.Marshal(wireOutcome{uint64(o.Result)})
}

func (o *Outcome) decode(b []byte) error {
	var w wireOutcome
	if err := codec.Unmarshal(b, MaxSealed, &w); err != nil || w.Result < uint64(Done) || w.Result > uint64(Conflict) {
		return ErrMalformed
	}
	o.Result = Result(w.Result)
	return nil
}

// Refusal is the end, and why. It is an error for who receives it.
type Refusal struct{ Reason Reason }

// Reason is why a side gave up. An unknown one is taken for Failed.
type Reason uint64

// Reasons.
const (
	Failed      Reason = 1 // something went wrong there
	Full        Reason = 2 // the account has as many devices as it may
	Unreachable Reason = 3 // the new device does not reach the server now, and will try again by itself
	Rejected    Reason = 4 // the server does not take the entry
)

type wireRefusal struct {
	Reason uint64 `cbor:"1,keyasint"`
}

func (r *Refusal) Error() string { return "linking: the other device gave up" }

func (*Refusal) kind() Kind { return kindRefusal }

func (r *Refusal) encode() (Kind, []byte) {
	return kindRefusal, codec.Marshal(wireRefusal{uint64(r.Reason)})
}

func (r *Refusal) decode(b []byte) error {
	var w wireRefusal
	if err := codec.Unmarshal(b, MaxSealed, &w); err != nil || w.Reason == 0 {
		return ErrMalformed
	}
	r.Reason = Reason(w.Reason)
	return nil
}
