package vault

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/kdf"
)

// Labels of the header (spec/labels.md).
const (
	labelHeader = "pawl/1 vault header"
	labelWrap   = "pawl/1 vault wrap"
)

// version is the format of everything on disk: header, schema and rows.
const version = 1

// cost is the price of one guess at a passphrase; zero for a key file.
type cost struct {
	Time    uint32 `cbor:"1,keyasint"`
	Memory  uint32 `cbor:"2,keyasint"` // KiB
	Threads uint32 `cbor:"3,keyasint"`
}

// valid bounds what a file may demand before anything is computed.
func (c cost) valid() bool {
	// R-VLT-06
	return c.Time >= 1 && c.Time <= maxArgonTime &&
		c.Memory >= minArgonMemory && c.Memory <= maxArgonMemory &&
		c.Threads >= 1 && c.Threads <= maxArgonThreads
}

// header is what stands unsealed in the store: how the key-encryption key is
// made, and the data key wrapped under it.
type header struct {
	Method method `cbor:"1,keyasint"`
	Salt   []byte `cbor:"2,keyasint"` // 32 bytes
	Cost   *cost  `cbor:"3,keyasint,omitempty"`
	Nonce  []byte `cbor:"4,keyasint"` // 24 bytes
	Key    []byte `cbor:"5,keyasint"` // 32 bytes sealed: 48 bytes
}

// frame surrounds the header with its version and its own checksum, so that
// damage is told apart from a wrong passphrase before a key is tried.
type frame struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Body    []byte
	Sum     []byte // 32 bytes
}

func checksum(version uint64, body []byte) [32]byte {
	b := make([]byte, 0, len(labelHeader)+9+len(body))
	b = append(b, labelHeader...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint64(b, version)
	b = append(b, body...)
	return sha256.Sum256(b)
}

// encode returns the header as it stands in the store (spec/cddl/vault.cddl).
func (h *header) encode() []byte {
	body := codec.Marshal(h)
	sum := checksum(version, body)
	return codec.Marshal(&frame{Version: version, Body: body, Sum: sum[:]})
}

// parseHeader decodes and checks everything that can be checked without a key.
func parseHeader(b []byte) (*header, error) {
	// R-VLT-05
	var f frame
	if codec.Unmarshal(b, maxHeader, &f) != nil {
		return nil, ErrDamaged
	}
	if sum := checksum(f.Version, f.Body); !kdf.Equal(sum[:], f.Sum) {
		return nil, ErrDamaged
	}
	if f.Version > version {
		return nil, ErrNewer
	}
	var h header
	if f.Version != version || codec.Unmarshal(f.Body, maxHeader, &h) != nil {
		return nil, ErrDamaged
	}
	if len(h.Salt) != 32 || len(h.Nonce) != chacha20poly1305.NonceSizeX || len(h.Key) != 32+chacha20poly1305.Overhead {
		return nil, ErrDamaged
	}
	switch h.Method {
	case byPassphrase:
		if h.Cost == nil || !h.Cost.valid() {
			return nil, ErrDamaged
		}
	case byKeyFile:
		if h.Cost != nil {
			return nil, ErrDamaged
		}
	default:
		return nil, ErrDamaged
	}
	return &h, nil
}

// wrap makes a header for the master key under s, with fresh salt and nonce.
func wrap(master *[32]byte, s *secret, c cost) *header {
	var salt [32]byte
	var nonce [chacha20poly1305.NonceSizeX]byte
	rand.Read(salt[:])
	rand.Read(nonce[:])
	return wrapWith(master, s, c, salt, nonce)
}

// wrapWith is wrap with its randomness given.
func wrapWith(master *[32]byte, s *secret, c cost, salt [32]byte, nonce [24]byte) *header {
	h := &header{Method: s.method, Salt: salt[:], Nonce: nonce[:]}
	if s.method == byPassphrase {
		h.Cost = &c
	}
	kek := s.kek(&salt, c)
	defer clear(kek[:])
	aead, err := chacha20poly1305.NewX(kek[:])
	if err != nil {
		panic("vault: unreachable: key length")
	}
	h.Key = aead.Seal(nil, nonce[:], master[:], h.ad())
	return h
}

// unwrap returns the master key. The header has passed parseHeader.
func (h *header) unwrap(s *secret) (master [32]byte, err error) {
	// R-VLT-04
	if s.method != h.Method {
		return master, ErrWrongKey
	}
	var c cost
	if h.Cost != nil {
		c = *h.Cost
	}
	kek := s.kek((*[32]byte)(h.Salt), c)
	defer clear(kek[:])
	aead, err := chacha20poly1305.NewX(kek[:])
	if err != nil {
		panic("vault: unreachable: key length")
	}
	b, err := aead.Open(nil, h.Nonce, h.Key, h.ad())
	if err != nil {
		return master, ErrWrongKey
	}
	copy(master[:], b)
	clear(b)
	return master, nil
}

// ad binds the wrapped key to everything else the header says.
func (h *header) ad() []byte {
	rest := codec.Marshal(&header{Method: h.Method, Salt: h.Salt, Cost: h.Cost})
	ad := make([]byte, 0, len(labelWrap)+9+len(rest))
	ad = append(ad, labelWrap...)
	ad = append(ad, 0)
	ad = binary.BigEndian.AppendUint64(ad, version)
	return append(ad, rest...)
}
