package x3dh

import (
	"crypto/sha256"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
)

// Initial is a parsed first message: what the responder needs to look up its
// private halves. Nothing in it is authenticated until Respond has been called
// and the first ratchet message has opened.
type Initial struct {
	Identity  PublicKey // the initiator's, to be compared with its device list
	Ephemeral PublicKey
	SignedID  uint64
	OneTimeID uint64 // 0: none used
	KEMID     uint64
	KEMKind   KEMKind
	ID        [32]byte // SessionID of the message

	ciphertext []byte
}

// Strength is what this first message claims; Respond confirms it.
func (i *Initial) Strength() Strength { return strength(i.OneTimeID != 0, i.KEMKind) }

// wireInitial is the encoding of a first message (spec/cddl/handshake.cddl).
type wireInitial struct {
	Suite      uint64 `cbor:"1,keyasint"`
	Identity   []byte `cbor:"2,keyasint"`
	Ephemeral  []byte `cbor:"3,keyasint"`
	SignedID   uint64 `cbor:"4,keyasint"`
	OneTimeID  uint64 `cbor:"5,keyasint,omitempty"`
	KEMID      uint64 `cbor:"6,keyasint"`
	KEMKind    uint64 `cbor:"7,keyasint"`
	Ciphertext []byte `cbor:"8,keyasint"`
}

func (i *Initial) encode() []byte {
	return codec.Marshal(wireInitial{
		Suite:      Suite,
		Identity:   i.Identity.Bytes(),
		Ephemeral:  i.Ephemeral.Bytes(),
		SignedID:   i.SignedID,
		OneTimeID:  i.OneTimeID,
		KEMID:      i.KEMID,
		KEMKind:    uint64(i.KEMKind),
		Ciphertext: i.ciphertext,
	})
}

// ParseInitial decodes a first message: canonical CBOR, a known suite, usable
// public keys, ids that are not zero (R-X3D-07).
func ParseInitial(b []byte) (Initial, error) {
	var w wireInitial
	if err := codec.Unmarshal(b, MaxInitial, &w); err != nil {
		return Initial{}, ErrMalformed
	}
	if w.Suite != Suite {
		return Initial{}, ErrSuite
	}
	if w.SignedID == 0 || w.KEMID == 0 || len(w.Ciphertext) != kem.CiphertextSize ||
		(w.KEMKind != uint64(KEMOneTime) && w.KEMKind != uint64(KEMLastResort)) {
		return Initial{}, ErrMalformed
	}
	i := Initial{
		SignedID: w.SignedID, OneTimeID: w.OneTimeID, KEMID: w.KEMID,
		KEMKind: KEMKind(w.KEMKind), ID: SessionID(b), ciphertext: w.Ciphertext,
	}
	var err error
	if i.Identity, err = dh.ParsePublic(w.Identity); err != nil {
		return Initial{}, ErrPublicKey
	}
	if i.Ephemeral, err = dh.ParsePublic(w.Ephemeral); err != nil {
		return Initial{}, ErrPublicKey
	}
	return i, nil
}

// SessionID names the session that a first message begins: the hash of its
// one encoding (R-X3D-08). Both sides compute the same.
func SessionID(initial []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(labelSession))
	h.Write(initial)
	return [32]byte(h.Sum(nil))
}
