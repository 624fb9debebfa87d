package linking

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
)

// Offer is the public half of a waiting device's keys, as whoever connects
// gets it (R-LNK-04).
type Offer struct {
	Sign    ed25519.PublicKey
	DH      dh.PublicKey
	Expires time.Time

	seal hpke.PublicKey
	hash [32]byte
}

type wireOffer struct {
	Seal    []byte `cbor:"1,keyasint"`
	Sign    []byte `cbor:"2,keyasint"`
	DH      []byte `cbor:"3,keyasint"`
	Expires uint64 `cbor:"4,keyasint"`
}

func parseOffer(b []byte) (Offer, error) {
	var w wireOffer
	if err := codec.Unmarshal(b, MaxOffer, &w); err != nil {
		return Offer{}, ErrMalformed
	}
	o := Offer{Sign: w.Sign, Expires: time.Unix(int64(w.Expires), 0).UTC(), hash: sha256.Sum256(b)}
	if len(w.Sign) != ed25519.PublicKeySize || w.Expires > maxExpires {
		return Offer{}, ErrMalformed
	}
	var err error
	if o.DH, err = dh.ParsePublic(w.DH); err != nil {
		return Offer{}, ErrMalformed
	}
	if o.seal, err = kem().NewPublicKey(w.Seal); err != nil {
		return Offer{}, ErrMalformed
	}
	return o, nil
}

// The suite: X-Wing, HKDF-SHA256, ChaCha20-Poly1305.
func kem() hpke.KEM   { return hpke.MLKEM768X25519() }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.ChaCha20Poly1305() }

// Waiting is a device that waits to be let in: the private halves of its offer
// and the secret of its URI. Its methods may be called by several goroutines.
type Waiting struct {
	Sign ed25519.PrivateKey
	DH   dh.PrivateKey

	seal    hpke.PrivateKey
	secret  [SecretSize]byte
	offer   []byte
	parsed  Offer
	expires time.Time

	mu   sync.Mutex
	seen map[[32]byte]bool // hellos opened
}

// Format keeps the keys out of logs.
func (*Waiting) Format(f fmt.State, _ rune) { io.WriteString(f, "linking.Waiting(redacted)") }

// New draws the keys of a device that is to join an account.
func New(now time.Time) (*Waiting, error) {
	var seed [ed25519.SeedSize]byte
	var secret [SecretSize]byte
	rand.Read(seed[:])
	rand.Read(secret[:])
	key, _ := dh.Generate()
	return NewWith(now, ed25519.NewKeyFromSeed(seed[:]), key, secret)
}

// NewWith is New with the device's own keys given, for a home that has some.
func NewWith(now time.Time, sign ed25519.PrivateKey, key dh.PrivateKey, secret [SecretSize]byte) (*Waiting, error) {
	seal, err := kem().GenerateKey()
	if err != nil {
		return nil, err
	}
	return newWaiting(now, sign, key, seal, secret)
}

func newWaiting(now time.Time, sign ed25519.PrivateKey, key dh.PrivateKey, seal hpke.PrivateKey, secret [SecretSize]byte) (w *Waiting, err error) {
	w = &Waiting{
		Sign: sign, DH: key, seal: seal, secret: secret, seen: map[[32]byte]bool{},
		expires: now.Add(Life).Truncate(time.Second).UTC(),
	}
	pub := key.Public()
	w.offer = codec.Marshal(wireOffer{
		Seal: seal.PublicKey().Bytes(), Sign: sign.Public().(ed25519.PublicKey), DH: pub.Bytes(), Expires: uint64(w.expires.Unix()),
	})
	w.parsed, err = parseOffer(w.offer)
	return w, err
}

// Expires is when the device stops waiting.
func (w *Waiting) Expires() time.Time { return w.expires }

// Link returns what the URI says for the place where the device waits.
func (w *Waiting) Link(at Meet) (Link, error) {
	if err := at.check(); err != nil {
		return Link{}, err
	}
	l := Link{Expires: w.expires, Secret: w.secret, Offer: w.parsed.hash, Meet: at}
	if len(l.URI()) > MaxURI {
		return Link{}, ErrURI
	}
	return l, nil
}
