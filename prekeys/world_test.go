package prekeys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/kem"
	"github.com/pawl-chat/pawl/x3dh"
)

var now = time.Unix(1_700_000_000, 0)

func seed(name string) [32]byte { return sha256.Sum256([]byte("prekeys test " + name)) }

// device is a party with its signing key, from fixed seeds.
type device struct {
	party  x3dh.Party
	signer ed25519.PrivateKey
}

func newDevice(name string, id uint64) *device {
	account, sign := seed(name+" account"), seed(name+" sign")
	identity := x3dh.PrivateKeyFromBytes(seed(name + " identity"))
	return &device{
		party: x3dh.Party{
			Account:  ed25519.NewKeyFromSeed(account[:]).Public().(ed25519.PublicKey),
			Address:  name + "@example.org",
			Device:   id,
			Identity: identity.Public(),
		},
		signer: ed25519.NewKeyFromSeed(sign[:]),
	}
}

func (d *device) owner() Owner            { return OwnerOf(d.party) }
func (d *device) sign() ed25519.PublicKey { return d.signer.Public().(ed25519.PublicKey) }

// counted draws ids from 1 and seeds made of them.
func counted(name string) func() (uint64, [kem.SeedSize]byte) {
	var n uint64
	return func() (uint64, [kem.SeedSize]byte) {
		n++
		var s [kem.SeedSize]byte
		for i := range 2 {
			h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), 2*n+uint64(i)))
			copy(s[32*i:], h[:])
		}
		return n, s
	}
}

// upload makes a derandomised upload with n one-time keys of each type.
func (d *device) upload(n int) (Upload, []Private) {
	return generate(now, d.owner(), d.signer, n, counted(d.party.Address))
}

// private returns the record with that id.
func private(t testing.TB, all []Private, id uint64) *Private {
	t.Helper()
	for i := range all {
		if all[i].id == id {
			return &all[i]
		}
	}
	t.Fatal("no such private prekey")
	return nil
}

// offer parses and verifies a bundle.
func (d *device) offer(bundle []byte, at time.Time) (x3dh.Offer, error) {
	b, err := ParseBundle(bundle)
	if err != nil {
		return x3dh.Offer{}, err
	}
	return b.Verify(d.party, d.sign(), at)
}
