package prekeys

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
	"github.com/pawl-chat/pawl/x3dh"
)

// Private is one private prekey. Store each as a row of its own, sealed, so
// that erasing one is erasing a row.
type Private struct {
	_        [0]func() // not comparable
	kind     Kind
	id       uint64
	created  int64
	notAfter int64
	ec       dh.PrivateKey // Signed and OneTimeEC
	ecPublic dh.PublicKey
	kem      kem.PrivateKey // KEMOneTime and KEMLastResort
}

// Info is the public description of a private prekey: what Plan needs to know
// of it. It is comparable and holds no secret.
type Info struct {
	Kind     Kind
	ID       uint64
	Created  int64 // unix seconds; NotAfter likewise
	NotAfter int64
}

// Info describes p.
func (p *Private) Info() Info {
	return Info{Kind: p.kind, ID: p.id, Created: p.created, NotAfter: p.notAfter}
}

// Format prints a placeholder, whatever the verb.
func (Private) Format(f fmt.State, _ rune) { io.WriteString(f, "prekeys.Private(redacted)") }

// Erase overwrites this copy of the key.
func (p *Private) Erase() {
	p.ec.Erase()
	p.kem.Erase()
}

// Keys puts together what x3dh.Respond needs from the records that a first
// message names. oneTime is nil when it names none. A record of the wrong kind
// gives ErrKind.
func Keys(signed, oneTime, kemKey *Private) (x3dh.Keys, error) {
	if signed == nil || kemKey == nil || signed.kind != Signed || !kemKey.kind.isKEM() ||
		(oneTime != nil && oneTime.kind != OneTimeEC) {
		return x3dh.Keys{}, ErrKind
	}
	k := x3dh.Keys{
		SignedPrekey: dh.FromBytes(signed.ec.Export()),
		SignedPublic: signed.ecPublic,
		KEM:          kem.FromSeed(kemKey.kem.Seed()),
		KEMKind:      x3dh.KEMKind(kemKey.kind),
	}
	if oneTime != nil {
		ec := dh.FromBytes(oneTime.ec.Export())
		k.OneTime, k.OneTimePublic = &ec, oneTime.ecPublic
	}
	return k, nil
}

// made is a new prekey: the private half and the row for the server.
func made(now time.Time, owner Owner, signer ed25519.PrivateKey, kind Kind, id uint64, seed *[kem.SeedSize]byte) (Private, []byte) {
	p := Private{kind: kind, id: id, created: now.Unix(), notAfter: now.Add(Lifetime).Unix()}
	var public []byte
	if kind.isKEM() {
		p.kem = kem.FromSeed(*seed)
		public = p.kem.Public().Bytes()
	} else {
		p.ec = dh.FromBytes([dh.Size]byte(seed[:dh.Size]))
		p.ecPublic = p.ec.Public()
		public = p.ecPublic.Bytes()
	}
	if kind == OneTimeEC {
		return p, ecRow{ID: id, Public: public}.encode()
	}
	r := signedRow{Kind: uint64(kind), ID: id, NotAfter: uint64(p.notAfter), Public: public}
	r.Signature = ed25519.Sign(signer, message(owner, kind, id, p.notAfter, public))
	return p, r.encode()
}

// recordVersion is the first byte of a stored private prekey.
const recordVersion = 1

// recordHead is version ‖ kind ‖ id ‖ created ‖ not-after.
const recordHead = 1 + 1 + 8 + 8 + 8

// Record encodes p for sealed storage (R-PRE-12): the head, big-endian, then the X25519
// private and public key, or the ML-KEM seed. 90 bytes either way.
func (p *Private) Record() []byte {
	b := make([]byte, 0, recordHead+64)
	b = append(b, recordVersion, byte(p.kind))
	b = binary.BigEndian.AppendUint64(b, p.id)
	b = binary.BigEndian.AppendUint64(b, uint64(p.created))
	b = binary.BigEndian.AppendUint64(b, uint64(p.notAfter))
	if p.kind.isKEM() {
		seed := p.kem.Seed()
		return append(b, seed[:]...)
	}
	ec := p.ec.Export()
	b = append(b, ec[:]...)
	return append(b, p.ecPublic.Bytes()...)
}

// ParsePrivate decodes what Record returned.
func ParsePrivate(b []byte) (Private, error) {
	if len(b) != recordHead+64 || b[0] != recordVersion {
		return Private{}, ErrMalformed
	}
	p := Private{
		kind:     Kind(b[1]),
		id:       binary.BigEndian.Uint64(b[2:]),
		created:  int64(binary.BigEndian.Uint64(b[10:])),
		notAfter: int64(binary.BigEndian.Uint64(b[18:])),
	}
	if p.id == 0 {
		return Private{}, ErrMalformed
	}
	switch b = b[recordHead:]; p.kind {
	case KEMOneTime, KEMLastResort:
		p.kem = kem.FromSeed([kem.SeedSize]byte(b))
	case Signed, OneTimeEC:
		p.ec = dh.FromBytes([dh.Size]byte(b[:32]))
		public, err := dh.ParsePublic(b[32:])
		if err != nil {
			return Private{}, ErrMalformed
		}
		p.ecPublic = public
	default:
		return Private{}, ErrMalformed
	}
	return p, nil
}
