package prekeys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
)

// Upload is the public part of what a device made, as rows that the server
// keeps and hands out without understanding them. It always holds a signed and
// a last-resort key, which replace those at the server. One-time rows, when
// there are any, replace all one-time keys at the server; without them the
// server's stay (R-PRE-07).
type Upload struct {
	Signed     []byte
	LastResort []byte
	OneTimeEC  [][]byte
	OneTimeKEM [][]byte

	encoded []byte
}

type wireUpload struct {
	Signed     []byte   `cbor:"1,keyasint"`
	LastResort []byte   `cbor:"2,keyasint"`
	OneTimeEC  [][]byte `cbor:"3,keyasint,omitempty"`
	OneTimeKEM [][]byte `cbor:"4,keyasint,omitempty"`
}

// Generate makes a whole set: a signed key, a last-resort key and a batch of
// one-time keys. The private halves must be durable before the upload is sent.
func Generate(now time.Time, owner Owner, signer ed25519.PrivateKey) (Upload, []Private) {
	return generate(now, owner, signer, OneTimeKeys, draw)
}

// Rotate makes a signed and a last-resort key only.
func Rotate(now time.Time, owner Owner, signer ed25519.PrivateKey) (Upload, []Private) {
	return generate(now, owner, signer, 0, draw)
}

// draw returns an id and a seed for one key from the operating system.
func draw() (id uint64, seed [kem.SeedSize]byte) {
	rand.Read(seed[:])
	return newID(), seed
}

// generate is Generate and Rotate with their randomness passed in: n one-time
// keys of each type.
func generate(now time.Time, owner Owner, signer ed25519.PrivateKey, n int, draw func() (uint64, [kem.SeedSize]byte)) (Upload, []Private) {
	var u Upload
	out := make([]Private, 0, 2+2*n)
	one := func(kind Kind) []byte {
		id, seed := draw()
		p, row := made(now, owner, signer, kind, id, &seed)
		clear(seed[:])
		out = append(out, p)
		return row
	}
	u.Signed = one(Signed)
	u.LastResort = one(KEMLastResort)
	for range n {
		u.OneTimeEC = append(u.OneTimeEC, one(OneTimeEC))
		u.OneTimeKEM = append(u.OneTimeKEM, one(KEMOneTime))
	}
	u.encoded = codec.Marshal(wireUpload{u.Signed, u.LastResort, u.OneTimeEC, u.OneTimeKEM})
	return u, out
}

// Bytes is the encoding that travels. The caller must not change it.
func (u *Upload) Bytes() []byte { return u.encoded }

// Digest names the upload. Device and server compare the digest of the last
// one stored: a repeated upload changes nothing, and a device whose last
// upload the server does not have makes a new set (R-PRE-08).
func (u *Upload) Digest() [32]byte { return Digest(u.encoded) }

// Digest is the digest of an encoded upload.
func Digest(upload []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(labelDigest))
	h.Write(upload)
	return [32]byte(h.Sum(nil))
}

// ParseUpload decodes an upload and checks its form: canonical, every row of
// the kind that its place asks for, no id twice among rows of a place.
func ParseUpload(b []byte) (Upload, error) {
	var w wireUpload
	if err := codec.Unmarshal(b, MaxUpload, &w); err != nil {
		return Upload{}, ErrMalformed
	}
	u := Upload{Signed: w.Signed, LastResort: w.LastResort, OneTimeEC: w.OneTimeEC, OneTimeKEM: w.OneTimeKEM}
	if len(u.OneTimeEC) > OneTimeKeys || len(u.OneTimeKEM) > OneTimeKeys {
		return Upload{}, ErrLimit
	}
	if _, err := parseSigned(u.Signed, Signed); err != nil {
		return Upload{}, err
	}
	if _, err := parseSigned(u.LastResort, KEMLastResort); err != nil {
		return Upload{}, err
	}
	ec := make(map[uint64]bool, len(u.OneTimeEC))
	for _, row := range u.OneTimeEC {
		r, err := parseEC(row)
		if err != nil {
			return Upload{}, err
		}
		if ec[r.ID] {
			return Upload{}, ErrMalformed
		}
		ec[r.ID] = true
	}
	pq := make(map[uint64]bool, len(u.OneTimeKEM))
	for _, row := range u.OneTimeKEM {
		r, err := parseSigned(row, KEMOneTime)
		if err != nil {
			return Upload{}, err
		}
		if pq[r.ID] {
			return Upload{}, ErrMalformed
		}
		pq[r.ID] = true
	}
	u.encoded = append([]byte(nil), b...)
	return u, nil
}

// Verify checks every key, lifetime and signature of an upload, for the server
// that is asked to keep it. owner and sign are the logged-in device's.
func (u *Upload) Verify(owner Owner, sign ed25519.PublicKey, now time.Time) error {
	if err := owner.check(sign); err != nil {
		return err
	}
	if err := verifyRow(u.Signed, Signed, owner, sign, now); err != nil {
		return err
	}
	if err := verifyRow(u.LastResort, KEMLastResort, owner, sign, now); err != nil {
		return err
	}
	for _, row := range u.OneTimeKEM {
		if err := verifyRow(row, KEMOneTime, owner, sign, now); err != nil {
			return err
		}
	}
	for _, row := range u.OneTimeEC {
		r, err := parseEC(row)
		if err != nil {
			return err
		}
		if _, err := dh.ParsePublic(r.Public); err != nil {
			return ErrKey
		}
	}
	return nil
}

func verifyRow(row []byte, kind Kind, owner Owner, sign ed25519.PublicKey, now time.Time) error {
	r, err := parseSigned(row, kind)
	if err != nil {
		return err
	}
	if err := r.verify(owner, sign, now); err != nil {
		return err
	}
	if kind.isKEM() {
		_, err = kem.ParsePublic(r.Public)
	} else {
		_, err = dh.ParsePublic(r.Public)
	}
	if err != nil {
		return ErrKey
	}
	return nil
}
