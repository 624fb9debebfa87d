// Package fixed reads the fixed layouts in which states are saved: fields of
// known size, integers big-endian, one after the other (spec/ratchet.md,
// spec/groups.md and spec/braid.md, "Record").
//
// Not its concern: what the fields mean, and which values they may have.
package fixed

import "encoding/binary"

// Reader takes fields off the front of Rest. Bad stays set once a field was
// missing, or once the caller has refused one; what is read after that is zero.
type Reader struct {
	Rest []byte
	Bad  bool
}

// Take returns the next n bytes, which are Rest's own, or nil.
func (r *Reader) Take(n int) []byte {
	if n < 0 || len(r.Rest) < n {
		r.Bad, r.Rest = true, nil
		return nil
	}
	b := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return b
}

// Byte returns the next byte.
func (r *Reader) Byte() byte {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 returns the next two bytes as a number.
func (r *Reader) Uint16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 returns the next four bytes as a number.
func (r *Reader) Uint32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 returns the next eight bytes as a number.
func (r *Reader) Uint64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Key returns the next 32 bytes.
func (r *Reader) Key() (k [32]byte) {
	copy(k[:], r.Take(32))
	return k
}
