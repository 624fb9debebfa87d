package x3dh

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kdf"
	"github.com/pawl-chat/pawl/internal/kem"
)

// Started is what the initiator has after Initiate.
type Started struct {
	Secret      [32]byte  // for ratchet.Initiate; erase after use
	AD          [32]byte  // associated data of every message of the session
	Initial     []byte    // sent with each message until the peer has answered
	ID          [32]byte  // SessionID(Initial)
	PeerRatchet PublicKey // the signed prekey: the peer's first ratchet key
	Strength    Strength
}

// Accepted is what the responder has after Respond. The initiator is
// authenticated only once its first ratchet message has opened.
type Accepted struct {
	Secret     [32]byte   // for ratchet.Respond; erase after use
	AD         [32]byte   // associated data of every message of the session
	RatchetKey PrivateKey // the signed prekey's private half
	ID         [32]byte   // SessionID of the first message
	Strength   Strength
}

// Keys are the private halves that the responder found under the ids of a
// first message. The public halves are optional: stored ones save their
// computation.
type Keys struct {
	SignedPrekey  PrivateKey
	SignedPublic  PublicKey
	OneTime       *PrivateKey // nil exactly when the first message names none
	OneTimePublic PublicKey
	KEM           KEMPrivateKey
	KEMKind       KEMKind // what it was made as, from one's own record
}

// Initiate starts a session with the device that made offer.
func Initiate(own *Own, offer *Offer) (Started, error) {
	ek, epk := dh.Generate()
	defer ek.Erase()
	var m [32]byte
	rand.Read(m[:])
	defer clear(m[:])
	return initiate(own, offer, &ek, epk, &m)
}

// initiate is Initiate with its randomness passed in: the ephemeral key pair
// and the encapsulation's m.
func initiate(own *Own, offer *Offer, ek *PrivateKey, epk PublicKey, m *[32]byte) (Started, error) {
	if err := own.check(); err != nil {
		return Started{}, err
	}
	if err := offer.check(); err != nil {
		return Started{}, err
	}
	if samePlace(&own.Party, &offer.peer) {
		return Started{}, ErrSelf
	}
	var in input
	defer in.erase()
	// DH(IKa, SPKb) ‖ DH(EKa, IKb) ‖ DH(EKa, SPKb) ‖ [DH(EKa, OPKb)] ‖ ss
	// (R-X3D-01)
	if err := in.agree(&own.IdentityKey, offer.signed.Key); err != nil {
		return Started{}, err
	}
	if err := in.agree(ek, offer.peer.Identity); err != nil {
		return Started{}, err
	}
	if err := in.agree(ek, offer.signed.Key); err != nil {
		return Started{}, err
	}
	if !offer.oneTime.isZero() {
		if err := in.agree(ek, offer.oneTime.Key); err != nil {
			return Started{}, err
		}
	}
	ct, ss := offer.kem.Key.EncapsulateDerand(*m)
	in.add(&ss)
	clear(ss[:])

	initial := Initial{
		Identity: own.Identity, Ephemeral: epk,
		SignedID: offer.signed.ID, OneTimeID: offer.oneTime.ID,
		KEMID: offer.kem.ID, KEMKind: offer.kem.Kind, ciphertext: ct,
	}
	s := Started{
		AD:          associatedData(&own.Party, &offer.peer),
		Initial:     initial.encode(),
		PeerRatchet: offer.signed.Key,
		Strength:    offer.Strength(),
	}
	s.ID = SessionID(s.Initial)
	t := transcript(&own.Party, &offer.peer, &initial, offer.signed.Key, offer.oneTime.Key, offer.kem.Key)
	s.Secret = in.secret(&t)
	return s, nil
}

// Respond derives the secret of a first message that peer, taken from its
// verified device list, is said to have sent. keys are the private halves of
// the prekeys it names. A wrong peer, key or ciphertext is either refused here
// or gives a secret under which the first ratchet message does not open.
func Respond(own *Own, peer Party, initial []byte, keys *Keys) (Accepted, error) {
	i, err := ParseInitial(initial)
	if err != nil {
		return Accepted{}, err
	}
	return i.Respond(own, peer, keys)
}

// Respond is the function Respond for a first message that has been parsed to
// look up its keys.
func (i *Initial) Respond(own *Own, peer Party, keys *Keys) (Accepted, error) {
	if i.ciphertext == nil {
		return Accepted{}, ErrMalformed
	}
	if err := own.check(); err != nil {
		return Accepted{}, err
	}
	if err := peer.check(); err != nil {
		return Accepted{}, err
	}
	if samePlace(&own.Party, &peer) {
		return Accepted{}, ErrSelf
	}
	if i.Identity != peer.Identity { // R-X3D-06
		return Accepted{}, ErrIdentity
	}
	// The kind is from our own record, never from the message: one that calls
	// a last-resort key one-time would slip past the replay table (R-X3D-11).
	if i.KEMKind != keys.KEMKind || (i.OneTimeID != 0) != (keys.OneTime != nil) {
		return Accepted{}, ErrKeys
	}
	spk := keys.SignedPublic
	if spk.IsZero() {
		spk = keys.SignedPrekey.Public()
	}
	var in input
	defer in.erase()
	// DH(IKa, SPKb) ‖ DH(EKa, IKb) ‖ DH(EKa, SPKb) ‖ [DH(EKa, OPKb)] ‖ ss
	if err := in.agree(&keys.SignedPrekey, i.Identity); err != nil {
		return Accepted{}, err
	}
	if err := in.agree(&own.IdentityKey, i.Ephemeral); err != nil {
		return Accepted{}, err
	}
	if err := in.agree(&keys.SignedPrekey, i.Ephemeral); err != nil {
		return Accepted{}, err
	}
	var opk PublicKey
	if keys.OneTime != nil {
		if opk = keys.OneTimePublic; opk.IsZero() {
			opk = keys.OneTime.Public()
		}
		if err := in.agree(keys.OneTime, i.Ephemeral); err != nil {
			return Accepted{}, err
		}
	}
	ss, kpk, err := keys.KEM.DecapsulateWithPublic(i.ciphertext)
	if err != nil {
		return Accepted{}, ErrMalformed
	}
	in.add(&ss)
	clear(ss[:])

	t := transcript(&peer, &own.Party, i, spk, opk, kpk)
	return Accepted{
		Secret:     in.secret(&t),
		AD:         associatedData(&peer, &own.Party),
		RatchetKey: dh.FromBytes(keys.SignedPrekey.Export()),
		ID:         i.ID,
		Strength:   i.Strength(),
	}, nil
}

func samePlace(a, b *Party) bool { return a.Device == b.Device && a.Account.Equal(b.Account) }

// input gathers the key material: 32 bytes of 0xff, which no agreement can be
// (as in X3DH), then up to four agreements and the KEM's secret.
type input struct {
	b [6 * 32]byte
	n int
}

func (in *input) add(secret *[32]byte) {
	if in.n == 0 {
		for i := range 32 {
			in.b[i] = 0xff
		}
		in.n = 32
	}
	in.n += copy(in.b[in.n:], secret[:])
}

// agree adds an agreement, or refuses one that is all zero (R-X3D-05).
func (in *input) agree(k *PrivateKey, p PublicKey) error {
	z, err := k.Shared(p)
	if err != nil {
		return ErrPublicKey
	}
	in.add(&z)
	clear(z[:])
	return nil
}

// secret is HKDF-SHA-256 of the gathered material, no salt, info = label ‖
// transcript (R-X3D-02).
func (in *input) secret(transcript *[32]byte) (out [32]byte) {
	prk := kdf.Extract(&[32]byte{}, in.b[:in.n])
	kdf.Expand(&prk, labelSecret+string(transcript[:]), &out)
	clear(prk[:])
	return out
}

func (in *input) erase() { clear(in.b[:]) }

// transcript hashes everything that both sides must agree on (R-X3D-03). Each
// field has a fixed length or its length in front.
func transcript(a, b *Party, i *Initial, spk, opk PublicKey, kpk kem.PublicKey) [32]byte {
	buf := make([]byte, 0, 1024)
	buf = append(buf, labelTranscript...)
	buf = append(buf, Suite)
	buf = a.append(buf)
	buf = b.append(buf)
	buf = append(buf, i.Ephemeral.Bytes()...)
	buf = binary.BigEndian.AppendUint64(buf, i.SignedID)
	buf = append(buf, spk.Bytes()...)
	buf = binary.BigEndian.AppendUint64(buf, i.OneTimeID) // 0 and a zero key: none
	buf = append(buf, opk.Bytes()...)
	buf = append(buf, byte(i.KEMKind))
	buf = binary.BigEndian.AppendUint64(buf, i.KEMID)
	h := sha256.New()
	h.Write(buf)
	h.Write(kpk.Bytes())
	h.Write(i.ciphertext)
	return [32]byte(h.Sum(buf[:0]))
}

// AssociatedData is what every message of a session between two devices is
// bound to. It is made of public identities only, so that anybody can verify,
// and forge, messages whose MAC keys are disclosed.
func AssociatedData(initiator, responder Party) [32]byte {
	return associatedData(&initiator, &responder)
}

// associatedData binds both identities, initiator first, into every message of
// the session (R-X3D-04).
func associatedData(a, b *Party) [32]byte {
	buf := make([]byte, 0, 1024)
	buf = append(buf, labelAD...)
	buf = append(buf, Suite)
	buf = a.append(buf)
	buf = b.append(buf)
	return sha256.Sum256(buf)
}

// append writes account key ‖ device id ‖ identity key ‖ length of the address
// ‖ address.
func (p *Party) append(b []byte) []byte {
	b = append(b, p.Account...)
	b = binary.BigEndian.AppendUint64(b, p.Device)
	b = append(b, p.Identity.Bytes()...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Address)))
	return append(b, p.Address...)
}
