package devicelist

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
)

// person is an account with its private keys, made from one byte.
type person struct {
	addr    address.Address
	account ed25519.PrivateKey
}

var start = time.Unix(1_700_000_000, 0)

func seed(n byte) (s [32]byte) {
	for i := range s {
		s[i] = n
	}
	return s
}

func signer(n byte) ed25519.PrivateKey {
	s := seed(n)
	return ed25519.NewKeyFromSeed(s[:])
}

func newPerson(t testing.TB, name string, n byte) *person {
	t.Helper()
	a, err := address.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	s := seed(n)
	s[0] = 0xff // apart from the devices' seeds
	return &person{addr: a, account: ed25519.NewKeyFromSeed(s[:])}
}

func (p *person) key() ed25519.PublicKey { return p.account.Public().(ed25519.PublicKey) }

// device makes the person's device number n.
func (p *person) device(n byte, name string) Device {
	k := dh.FromBytes(seed(n + 100))
	return NewDevice(p.key(), p.addr, address.Device(n), signer(n), k.Public(), name, start)
}

// sign signs l with the person's key or fails the test.
func (p *person) sign(t testing.TB, l List) (Entry, List) {
	t.Helper()
	e, err := Sign(l, p.account)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Verify(e)
	if err != nil {
		t.Fatal(err)
	}
	return e, v
}

// force signs a body that Sign would refuse: what an attacker does.
func (p *person) force(w wireList) Entry {
	body := codec.Marshal(w)
	return codec.Marshal(wireEntry{Body: body, Signature: ed25519.Sign(p.account, listMessage(body))})
}

// first is the person's version 1 with device 1.
func (p *person) first(t testing.TB) (Entry, List) {
	t.Helper()
	return p.sign(t, First(p.key(), p.addr, p.device(1, "laptop"), start))
}
