package x3dh

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
)

// world is two devices and the responder's prekeys, all from fixed seeds.
type world struct {
	alice, bob *Own
	spk, opk   PrivateKey
	kem        KEMPrivateKey
	offer      Offer
	keys       Keys
}

// seed is 32 bytes that belong to name.
func seed(name string) [32]byte { return sha256.Sum256([]byte("handshake test " + name)) }

func newOwn(name, addr string, device uint64) *Own {
	account := seed(name + " account")
	k := dh.FromBytes(seed(name + " identity"))
	return &Own{
		Party: Party{
			Account:  ed25519.NewKeyFromSeed(account[:]).Public().(ed25519.PublicKey),
			Address:  addr,
			Device:   device,
			Identity: k.Public(),
		},
		IdentityKey: k,
	}
}

const (
	spkID = 0x1111
	opkID = 0x2222
	kemID = 0x3333
)

func newWorld(t testing.TB, s Strength) *world {
	t.Helper()
	w := &world{
		alice: newOwn("alice", "alice@example.org", 0xa11ce),
		bob:   newOwn("bob", "bob@example.net:8443", 0xb0b),
		spk:   dh.FromBytes(seed("spk")),
		opk:   dh.FromBytes(seed("opk")),
	}
	var ks [kem.SeedSize]byte
	d, z := seed("kem d"), seed("kem z")
	copy(ks[:32], d[:])
	copy(ks[32:], z[:])
	w.kem = kem.FromSeed(ks)
	kind := KEMOneTime
	if s == OneTimeEC || s == LastResort {
		kind = KEMLastResort
	}
	w.keys = Keys{SignedPrekey: w.spk, KEM: w.kem, KEMKind: kind}
	var oneTime Prekey
	if s == OneTime || s == OneTimeEC {
		oneTime = Prekey{ID: opkID, Key: w.opk.Public()}
		w.keys.OneTime = &w.opk
	}
	o, err := NewOffer(w.bob.Party, Prekey{ID: spkID, Key: w.spk.Public()}, oneTime, KEMPrekey{ID: kemID, Kind: kind, Key: w.kem.Public()})
	if err != nil {
		t.Fatal(err)
	}
	w.offer = o
	return w
}

// initiate runs the derandomised initiator.
func (w *world) initiate(t testing.TB) Started {
	t.Helper()
	ek := dh.FromBytes(seed("ek"))
	m := seed("m")
	s, err := initiate(w.alice, &w.offer, &ek, ek.Public(), &m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var strengths = []Strength{OneTime, OneTimeKEM, OneTimeEC, LastResort}
