package x3dh

// Prekey is an X25519 prekey and its id. The zero Prekey is none.
type Prekey struct {
	ID  uint64
	Key PublicKey
}

func (p Prekey) isZero() bool { return p.ID == 0 && p.Key.IsZero() }

// KEMPrekey is an ML-KEM-1024 prekey, its id and its kind.
type KEMPrekey struct {
	ID   uint64
	Kind KEMKind
	Key  KEMPublicKey
}

// Offer is a verified bundle: the prekeys of one device of a peer, ready for
// Initiate. Only package prekeys should make one, after it has checked the
// device's signatures over these keys.
type Offer struct {
	peer    Party
	signed  Prekey
	oneTime Prekey // zero when the server had none left
	kem     KEMPrekey
}

// NewOffer puts an offer together. It checks that it is complete, not that
// anybody signed it: its caller vouches that the device of peer signed signed
// and kem as what they are passed as. oneTime may be zero.
func NewOffer(peer Party, signed, oneTime Prekey, kem KEMPrekey) (Offer, error) {
	o := Offer{peer: peer, signed: signed, oneTime: oneTime, kem: kem}
	if err := o.check(); err != nil {
		return Offer{}, err
	}
	return o, nil
}

func (o *Offer) check() error {
	if err := o.peer.check(); err != nil {
		return err
	}
	if o.signed.ID == 0 || o.signed.Key.IsZero() || o.kem.ID == 0 || o.kem.Key.IsZero() {
		return ErrOffer
	}
	if !o.oneTime.isZero() && (o.oneTime.ID == 0 || o.oneTime.Key.IsZero()) {
		return ErrOffer
	}
	if o.kem.Kind != KEMOneTime && o.kem.Kind != KEMLastResort {
		return ErrOffer
	}
	return nil
}

// Peer is whose offer it is.
func (o *Offer) Peer() Party { return o.peer }

// Strength is what a first message to this offer will have.
func (o *Offer) Strength() Strength { return strength(!o.oneTime.isZero(), o.kem.Kind) }
