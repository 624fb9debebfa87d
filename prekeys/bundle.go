package prekeys

import (
	"crypto/ed25519"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
	"github.com/pawl-chat/pawl/x3dh"
)

// Bundle is what a server hands out for one device: its signed key, one ML-KEM
// key (one-time, or else last-resort) and, if any is left, one one-time X25519
// key. Nothing in it is verified; Verify turns it into an x3dh.Offer.
type Bundle struct {
	signed signedRow
	kem    signedRow
	ec     ecRow // zero: none
}

type wireBundle struct {
	Signed []byte `cbor:"1,keyasint"`
	KEM    []byte `cbor:"2,keyasint"`
	EC     []byte `cbor:"3,keyasint,omitempty"`
}

// AssembleBundle encodes a bundle from rows of uploads. ec and kemOneTime are
// the one-time rows taken for this bundle, nil when none was left; the
// last-resort row goes out only in the latter's place (R-PRE-11).
func AssembleBundle(signed, lastResort, ec, kemOneTime []byte) []byte {
	w := wireBundle{Signed: signed, KEM: kemOneTime, EC: ec}
	if len(kemOneTime) == 0 {
		w.KEM = lastResort
	}
	return codec.Marshal(w)
}

// ParseBundle decodes a bundle and checks its form.
func ParseBundle(b []byte) (Bundle, error) {
	var w wireBundle
	if err := codec.Unmarshal(b, MaxBundle, &w); err != nil {
		return Bundle{}, ErrMalformed
	}
	var out Bundle
	var err error
	if out.signed, err = parseSigned(w.Signed, Signed); err != nil {
		return Bundle{}, err
	}
	if out.kem, err = parseSigned(w.KEM, KEMOneTime, KEMLastResort); err != nil {
		return Bundle{}, err
	}
	if len(w.EC) != 0 {
		if out.ec, err = parseEC(w.EC); err != nil {
			return Bundle{}, err
		}
	}
	return out, nil
}

// Verify checks that the device of peer, whose signing key its device list
// gives as sign, made these keys for itself, as the kinds they stand for, and
// that they are in force now. The offer that comes back is ready for
// x3dh.Initiate (R-PRE-05).
func (b Bundle) Verify(peer x3dh.Party, sign ed25519.PublicKey, now time.Time) (x3dh.Offer, error) {
	owner := OwnerOf(peer)
	if err := owner.check(sign); err != nil {
		return x3dh.Offer{}, err
	}
	if err := b.signed.verify(owner, sign, now); err != nil {
		return x3dh.Offer{}, err
	}
	if err := b.kem.verify(owner, sign, now); err != nil {
		return x3dh.Offer{}, err
	}
	// R-PRE-04: signed or not, a key must be usable.
	spk, err := dh.ParsePublic(b.signed.Public)
	if err != nil {
		return x3dh.Offer{}, ErrKey
	}
	kpk, err := kem.ParsePublic(b.kem.Public)
	if err != nil {
		return x3dh.Offer{}, ErrKey
	}
	var oneTime x3dh.Prekey
	if b.ec.ID != 0 {
		key, err := dh.ParsePublic(b.ec.Public)
		if err != nil {
			return x3dh.Offer{}, ErrKey
		}
		oneTime = x3dh.Prekey{ID: b.ec.ID, Key: key}
	}
	return x3dh.NewOffer(peer,
		x3dh.Prekey{ID: b.signed.ID, Key: spk},
		oneTime,
		x3dh.KEMPrekey{ID: b.kem.ID, Kind: x3dh.KEMKind(b.kem.Kind), Key: kpk})
}
