package x3dh

import (
	"crypto/rand"

	"github.com/pawl-chat/pawl/internal/dh"
)

// ForgeInitial makes a first message that says it is from a device, to offer,
// of public keys alone (R-TRN-12). What it lacks is the secret: an agreement of
// the initiator's identity key with the signed prekey, which takes the private
// half of either. So whoever holds the private halves behind offer gets, from
// Respond, the secret of a session that the other device never began; and to
// everybody who holds neither, the message looks like any other.
func ForgeInitial(from Party, offer *Offer) ([]byte, error) {
	if err := from.check(); err != nil {
		return nil, err
	}
	if err := offer.check(); err != nil {
		return nil, err
	}
	if samePlace(&from, &offer.peer) {
		return nil, ErrSelf
	}
	ek, epk := dh.Generate()
	ek.Erase()
	var m [32]byte
	rand.Read(m[:])
	ct, ss := offer.kem.Key.EncapsulateDerand(m)
	clear(ss[:])
	i := Initial{
		Identity: from.Identity, Ephemeral: epk,
		SignedID: offer.signed.ID, OneTimeID: offer.oneTime.ID,
		KEMID: offer.kem.ID, KEMKind: offer.kem.Kind, ciphertext: ct,
	}
	return i.encode(), nil
}
