package prekeys

import (
	"crypto/ed25519"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
)

// signedRow is one published prekey with its signature; ecRow a one-time
// X25519 key, which has none (spec/cddl/prekeys.cddl).
type signedRow struct {
	_         struct{} `cbor:",toarray"`
	Kind      uint64
	ID        uint64
	NotAfter  uint64
	Public    []byte
	Signature []byte
}

type ecRow struct {
	_      struct{} `cbor:",toarray"`
	ID     uint64
	Public []byte
}

// maxRow bounds a row in bytes: an ML-KEM row takes 1,656.
const maxRow = 1700

func (r signedRow) encode() []byte { return codec.Marshal(r) }
func (r ecRow) encode() []byte     { return codec.Marshal(r) }

// maxNotAfter keeps times within int64 arithmetic: the year 9999.
const maxNotAfter = 253402300799

// parseSigned decodes a row that must be of one of the kinds, without looking
// at key or signature.
func parseSigned(b []byte, kinds ...Kind) (signedRow, error) {
	var r signedRow
	if err := codec.Unmarshal(b, maxRow, &r); err != nil {
		return r, ErrMalformed
	}
	if r.ID == 0 || r.NotAfter > maxNotAfter || len(r.Signature) != ed25519.SignatureSize {
		return r, ErrMalformed
	}
	for _, k := range kinds {
		if r.Kind == uint64(k) {
			want := dh.Size
			if k.isKEM() {
				want = kem.PublicKeySize
			}
			if len(r.Public) != want {
				return r, ErrMalformed
			}
			return r, nil
		}
	}
	return r, ErrKind
}

func parseEC(b []byte) (ecRow, error) {
	var r ecRow
	if err := codec.Unmarshal(b, maxRow, &r); err != nil || r.ID == 0 || len(r.Public) != dh.Size {
		return r, ErrMalformed
	}
	return r, nil
}

// verify checks lifetime and signature.
func (r *signedRow) verify(owner Owner, sign ed25519.PublicKey, now time.Time) error {
	if err := checkTime(int64(r.NotAfter), now); err != nil {
		return err
	}
	if !ed25519.Verify(sign, message(owner, Kind(r.Kind), r.ID, int64(r.NotAfter), r.Public), r.Signature) {
		return ErrSignature
	}
	return nil
}
