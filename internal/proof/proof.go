// Package proof is the opposite of deniability, on request: a signature by a
// device over one message, and a bundle with which anybody can check it offline
// (spec/transcript.md, "Signatures on request").
//
// Not its concern: when to sign, which the person alone decides, and whose the
// account is: the bundle shows an account key, and who trusts it has to have it
// from elsewhere.
package proof

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// labelMessage begins what is signed (spec/labels.md).
const labelMessage = "pawl/1 signed message"

// Refusals, one for each thing that is wrong with a proof.
var (
	// ErrMalformed: not a proof, or not written in the one way in which one is.
	ErrMalformed = errors.New("proof: malformed")
	// ErrVersion: a proof of a later version.
	ErrVersion = errors.New("proof: of a version that is not known here")
	// ErrSignature: the device did not sign this.
	ErrSignature = errors.New("proof: the signature does not hold")
	// ErrChain: the device list does not hold, or is another account's.
	ErrChain = errors.New("proof: the device list does not hold")
	// ErrDevice: the account did not have that device at that time.
	ErrDevice = errors.New("proof: the account had no such device at that time")
	// ErrRevoked: the device was revoked by the time that the message says.
	ErrRevoked = errors.New("proof: the device had been revoked by that time")
)

// Statement is what is signed: who says what to whom, and when by their own
// clock.
type Statement struct {
	Account  ed25519.PublicKey // of the author
	Author   string            // canonical address
	Device   uint64
	To       string // canonical address of the recipient, or '#' and the id of a group
	ID       [16]byte
	SentAt   time.Time // whole milliseconds
	Text     string
	Subject  string
	ReplyTo  []byte   // 16 bytes, or nil
	Mentions []string // as in the message
}

// wire is the encoded form.
type wire struct {
	Account  []byte   `cbor:"1,keyasint"`
	Author   string   `cbor:"2,keyasint"`
	Device   uint64   `cbor:"3,keyasint"`
	To       string   `cbor:"4,keyasint"`
	ID       []byte   `cbor:"5,keyasint"`
	SentAt   uint64   `cbor:"6,keyasint"`
	Text     string   `cbor:"7,keyasint"`
	Subject  string   `cbor:"8,keyasint,omitempty"`
	ReplyTo  []byte   `cbor:"9,keyasint,omitempty"`
	Mentions []string `cbor:"10,keyasint,omitempty"`
}

func (s *Statement) wire() wire {
	return wire{
		Account: s.Account, Author: s.Author, Device: s.Device, To: s.To, ID: s.ID[:], SentAt: uint64(max(s.SentAt.UnixMilli(), 0)),
		Text: s.Text, Subject: s.Subject, ReplyTo: s.ReplyTo, Mentions: s.Mentions,
	}
}

// signed is the label and the one encoding of the statement (R-TRN-20).
func (s *Statement) signed() []byte {
	return append([]byte(labelMessage), codec.Marshal(s.wire())...)
}

// Sign signs a statement with the device's key.
func (s *Statement) Sign(key ed25519.PrivateKey) []byte { return ed25519.Sign(key, s.signed()) }

// Holds reports whether signature is that of the device with the key.
func (s *Statement) Holds(key ed25519.PublicKey, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, s.signed(), signature)
}

// Proof is a signed statement with the whole device list of its author, as the
// one who exported it holds it.
type Proof struct {
	Statement
	Signature []byte
	Chain     [][]byte
}

const (
	magic   = "pawl proof\n"
	version = 1
	// maxSentAt is the latest time of sending, as of every content.
	maxSentAt = 1 << 48
)

type proofWire struct {
	Version   uint64   `cbor:"1,keyasint"`
	Statement wire     `cbor:"2,keyasint"`
	Signature []byte   `cbor:"3,keyasint"`
	Chain     [][]byte `cbor:"4,keyasint"`
}

// Encode returns the file (R-TRN-22).
func (p *Proof) Encode() []byte {
	return append([]byte(magic), codec.Marshal(proofWire{version, p.wire(), p.Signature, p.Chain})...)
}

// Parse reads a file. Nothing in it is verified.
func Parse(b []byte) (*Proof, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok {
		return nil, ErrMalformed
	}
	var w proofWire
	if err := codec.Unmarshal(rest, MaxProof, &w); err != nil {
		return nil, ErrMalformed
	}
	if w.Version != version {
		return nil, ErrVersion
	}
	s := &w.Statement
	if len(s.Account) != ed25519.PublicKeySize || s.Device == 0 || len(s.ID) != 16 || [16]byte(s.ID) == [16]byte{} || s.SentAt > maxSentAt ||
		len(w.Signature) != ed25519.SignatureSize || len(w.Chain) == 0 || !place(s.To) || len(s.ReplyTo) != 0 && len(s.ReplyTo) != 16 {
		return nil, ErrMalformed
	}
	if _, err := address.ParseCanonical(s.Author); err != nil || len(s.Text) > MaxText || len(s.Subject) > MaxSubject {
		return nil, ErrMalformed
	}
	return &Proof{
		Statement: Statement{
			Account: s.Account, Author: s.Author, Device: s.Device, To: s.To, ID: [16]byte(s.ID), SentAt: time.UnixMilli(int64(s.SentAt)).UTC(),
			Text: s.Text, Subject: s.Subject, ReplyTo: s.ReplyTo, Mentions: s.Mentions,
		},
		Signature: w.Signature, Chain: w.Chain,
	}, nil
}

// place reports whether a word names a conversation: an address, or '#' and the
// 26 characters of a group's id.
func place(s string) bool {
	if len(s) == 27 && s[0] == '#' {
		return true
	}
	_, err := address.ParseCanonical(s)
	return err == nil
}

// Result is what a proof shows.
type Result struct {
	Identity   string // fingerprint of the account key: to be compared on another way
	DeviceName string
	AddedAt    time.Time // of the device, by the account's word
	RevokedAt  time.Time // zero when it is not revoked in the list
	List       uint64    // version of the device list
	ListAt     time.Time // its date
}

// Verify checks a proof from end to end: the device list is one chain of that
// account and address, the device was on it at the time that the message says
// and not revoked, and it has signed (R-TRN-23).
//
// The time is the author's word. Whoever has the key of a device that was
// revoked later can sign with an earlier time; and a list that ends before a
// revocation does not show it.
func (p *Proof) Verify() (Result, error) {
	var l devicelist.List
	var revoked time.Time
	if len(p.Chain) == 0 || len(p.Chain) > devicelist.MaxChain {
		return Result{}, ErrChain
	}
	for i, entry := range p.Chain {
		var next devicelist.List
		var err error
		if i == 0 {
			if next, err = devicelist.Verify(entry); err == nil && next.Version != 1 {
				err = ErrChain
			}
		} else {
			next, err = devicelist.Extend(l, entry)
		}
		if err != nil {
			return Result{}, ErrChain
		}
		l = next
		if d, ok := l.Device(address.Device(p.Device)); ok && d.Status == devicelist.Revoked && revoked.IsZero() {
			revoked = time.Unix(l.Time, 0).UTC()
		}
	}
	if !l.Account.Equal(p.Account) || l.Address.String() != p.Author {
		return Result{}, ErrChain
	}
	d, ok := l.Device(address.Device(p.Device))
	if !ok {
		return Result{}, ErrDevice
	}
	if !p.Holds(d.Sign, p.Signature) {
		return Result{}, ErrSignature
	}
	added := time.Unix(d.AddedAt, 0).UTC()
	if p.SentAt.Before(added.Add(-ClockTolerance)) {
		return Result{}, ErrDevice
	}
	if !revoked.IsZero() && !p.SentAt.Before(revoked) {
		return Result{}, ErrRevoked
	}
	return Result{
		Identity: devicelist.Fingerprint(l.Account), DeviceName: d.Name, AddedAt: added, RevokedAt: revoked,
		List: l.Version, ListAt: time.Unix(l.Time, 0).UTC(),
	}, nil
}
