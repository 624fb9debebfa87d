// Package prekeys is what a device publishes so that others can write to it
// while it is away, and what it keeps for that: signed, one-time and
// last-resort prekeys, their rotation, and the bundles made of them
// (spec/prekeys.md).
//
// A device generates private halves and an Upload; the server verifies and
// splits the upload into rows, and assembles a Bundle from them for whoever
// asks; the asker turns the bundle into an x3dh.Offer, which is another type:
// no handshake starts from an unverified bundle.
//
// Not its concern: network, storage and the clock. Functions take the time and
// return values; Plan says what is due and the caller does it.
package prekeys

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/x3dh"
)

// Kind is what a prekey is for. Signatures of one kind verify as no other
// (R-PRE-02).
type Kind uint8

// Kinds. OneTimeEC keys are not signed.
const (
	Signed        Kind = 1 // X25519, also the first ratchet key
	KEMOneTime    Kind = Kind(x3dh.KEMOneTime)
	KEMLastResort Kind = Kind(x3dh.KEMLastResort)
	OneTimeEC     Kind = 4 // X25519, used once
)

func (k Kind) isKEM() bool { return k == KEMOneTime || k == KEMLastResort }

// Owner is the device that prekeys belong to. It stands inside every
// signature.
type Owner struct {
	Account ed25519.PublicKey
	Device  uint64
}

// Refusals.
var (
	// ErrMalformed: not one canonical upload, bundle, row or record.
	ErrMalformed = errors.New("prekeys: malformed encoding")
	// ErrLimit: more keys than an upload may hold.
	ErrLimit = errors.New("prekeys: too many keys")
	// ErrKey: a public key has low order, is not canonical or not reduced.
	ErrKey = errors.New("prekeys: unusable public key")
	// ErrKind: a key of one kind stands in the place of another.
	ErrKind = errors.New("prekeys: prekey of the wrong kind")
	// ErrSignature: the device did not sign this key for this owner, kind, id
	// and lifetime.
	ErrSignature = errors.New("prekeys: prekey signature does not verify")
	// ErrExpired: the prekey's time is over.
	ErrExpired = errors.New("prekeys: prekey has expired")
	// ErrLifetime: the prekey claims to be good for longer than any may be; or
	// the own clock is days behind.
	ErrLifetime = errors.New("prekeys: prekey claims too long a lifetime")
	// ErrOwner: the peer or its signing key is incomplete.
	ErrOwner = errors.New("prekeys: owner is incomplete")
)

// label is the domain-separation label of prekey signatures
// (spec/labels.md).
const label = "pawl/1 prekey signature"

// labelDigest is that of Upload.Digest.
const labelDigest = "pawl/1 prekey upload digest"

// message is what a device signs: label ‖ kind ‖ id ‖ account key ‖ device id
// ‖ not-after ‖ public key (R-PRE-01). All but the last have a fixed length.
func message(owner Owner, kind Kind, id uint64, notAfter int64, public []byte) []byte {
	b := make([]byte, 0, len(label)+1+8+32+8+8+len(public))
	b = append(b, label...)
	b = append(b, byte(kind))
	b = binary.BigEndian.AppendUint64(b, id)
	b = append(b, owner.Account...)
	b = binary.BigEndian.AppendUint64(b, owner.Device)
	b = binary.BigEndian.AppendUint64(b, uint64(notAfter))
	return append(b, public...)
}

// checkTime holds a lifetime against the taker's clock, which may be off by
// Skew (R-PRE-06).
func checkTime(notAfter int64, now time.Time) error {
	switch {
	case now.Add(-Skew).Unix() > notAfter:
		return ErrExpired
	case notAfter > now.Add(Lifetime+Skew).Unix():
		return ErrLifetime
	}
	return nil
}

func (o Owner) check(sign ed25519.PublicKey) error {
	if len(o.Account) != ed25519.PublicKeySize || o.Device == 0 || len(sign) != ed25519.PublicKeySize {
		return ErrOwner
	}
	return nil
}

// newID draws a prekey id: random, so that ids tell nothing about how many
// keys a device has used (R-PRE-03).
func newID() uint64 {
	var b [8]byte
	for {
		rand.Read(b[:])
		if id := binary.BigEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}

// OwnerOf is the device that a party of a handshake names.
func OwnerOf(p x3dh.Party) Owner { return Owner{Account: p.Account, Device: p.Device} }
