package dh_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/cloudflare/circl/dh/x25519"

	"github.com/pawl-chat/pawl/internal/dh"
)

func unhex(t testing.TB, s string) [32]byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		t.Fatal("bad hex in test", err)
	}
	return [32]byte(b)
}

// Low-order points and their non-canonical spellings as listed at
// cr.yp.to/ecdh.html, and each once more with the top bit set.
var lowOrder = map[string]error{
	"0000000000000000000000000000000000000000000000000000000000000000": dh.ErrLowOrder,
	"0100000000000000000000000000000000000000000000000000000000000000": dh.ErrLowOrder,
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800": dh.ErrLowOrder,
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157": dh.ErrLowOrder,
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": dh.ErrLowOrder,
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": dh.ErrNonCanonical,
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": dh.ErrNonCanonical,
	"cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880": dh.ErrNonCanonical,
	"4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7": dh.ErrNonCanonical,
	"d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": dh.ErrNonCanonical,
	"daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": dh.ErrNonCanonical,
	"dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": dh.ErrNonCanonical,
}

func TestR_IDN_07_LowOrder(t *testing.T) {
	for s, want := range lowOrder {
		b := unhex(t, s)
		if _, err := dh.ParsePublic(b[:]); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", s, err, want)
		}
		b[31] |= 0x80
		if _, err := dh.ParsePublic(b[:]); !errors.Is(err, dh.ErrNonCanonical) {
			t.Errorf("%s with the top bit: %v", s, err)
		}
	}
	// The list is complete: an independent implementation gives zero for these
	// and only these among the canonical encodings it is tried on.
	k := x25519.Key{1, 2, 3}
	for s := range lowOrder {
		var out x25519.Key
		p := x25519.Key(unhex(t, s))
		x25519.Shared(&out, &k, &p)
		if s[62:] != "80" && s[62:] != "d7" && s[62:] != "ff" && out != (x25519.Key{}) {
			t.Errorf("%s is not of low order", s)
		}
	}
}

func TestR_IDN_07_Canonical(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	for d := int64(-20); d <= 18; d++ {
		n := new(big.Int).Add(p, big.NewInt(d))
		var b [32]byte
		n.FillBytes(b[:])
		for i := range 16 {
			b[i], b[31-i] = b[31-i], b[i]
		}
		_, err := dh.ParsePublic(b[:])
		switch {
		case d >= 0 && !errors.Is(err, dh.ErrNonCanonical):
			t.Errorf("p+%d: %v", d, err)
		case d == -1 && !errors.Is(err, dh.ErrLowOrder):
			t.Errorf("p-1: %v", err)
		case d < -1 && err != nil:
			t.Errorf("p%d: %v", d, err)
		}
	}
	for _, n := range []int{0, 1, 31, 33, 64} {
		if _, err := dh.ParsePublic(make([]byte, n)); !errors.Is(err, dh.ErrLength) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// The zero PublicKey, which ParsePublic never returns, gives an error and no
// secret.
func TestR_IDN_07_AllZeroResult(t *testing.T) {
	k, _ := dh.Generate()
	z, err := k.Shared(dh.PublicKey{})
	if !errors.Is(err, dh.ErrLowOrder) || z != [32]byte{} {
		t.Errorf("%x, %v", z, err)
	}
	if !(dh.PublicKey{}).IsZero() {
		t.Error("the zero key does not say so")
	}
}

// RFC 7748 §6.1.
func TestKnownAnswer(t *testing.T) {
	k := dh.FromBytes(unhex(t, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
	public := unhex(t, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
	if k.Public().Array() != public {
		t.Errorf("public key %x", k.Public().Bytes())
	}
	b := unhex(t, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
	peer, err := dh.ParsePublic(b[:])
	if err != nil {
		t.Fatal(err)
	}
	z, err := k.Shared(peer)
	if err != nil || z != unhex(t, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742") {
		t.Errorf("secret %x, %v", z, err)
	}
}

func TestInterop(t *testing.T) {
	for range 50 {
		k, pub := dh.Generate()
		seed := k.Export()
		std, err := ecdh.X25519().NewPrivateKey(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(std.PublicKey().Bytes(), pub.Bytes()) {
			t.Fatal("public key differs from the standard library's")
		}
		var cPub x25519.Key
		cPriv := x25519.Key(seed)
		x25519.KeyGen(&cPub, &cPriv)
		if !bytes.Equal(cPub[:], pub.Bytes()) {
			t.Fatal("public key differs from circl's")
		}
		// A peer that is any canonical point, on the curve or its twist.
		var b [32]byte
		rand.Read(b[:])
		b[31] &= 0x3f
		peer, err := dh.ParsePublic(b[:])
		if err != nil {
			t.Fatal(err)
		}
		z, err := k.Shared(peer)
		if err != nil {
			t.Fatal(err)
		}
		stdPeer, _ := ecdh.X25519().NewPublicKey(b[:])
		want, err := std.ECDH(stdPeer)
		if err != nil || !bytes.Equal(want, z[:]) {
			t.Fatal("secret differs from the standard library's", err)
		}
	}
}

func TestRedactedAndErased(t *testing.T) {
	k, _ := dh.Generate()
	raw := k.Export()
	for _, f := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		if got := fmt.Sprintf(f, k); got != "dh.PrivateKey(redacted)" {
			t.Errorf("%s prints %q", f, got)
		}
		if got := fmt.Sprintf(f, &k); got != "dh.PrivateKey(redacted)" {
			t.Errorf("%s of a pointer prints %q", f, got)
		}
		if got := fmt.Sprintf(f, struct{ K dh.PrivateKey }{k}); bytes.Contains([]byte(got), []byte(hex.EncodeToString(raw[:4]))) {
			t.Errorf("%s inside a struct prints %q", f, got)
		}
	}
	k.Erase()
	if k.Export() != [32]byte{} {
		t.Error("Erase left the key")
	}
}

func FuzzParsePublic(f *testing.F) {
	for s := range lowOrder {
		b := unhex(f, s)
		f.Add(b[:])
	}
	k, p := dh.Generate()
	f.Add(p.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := dh.ParsePublic(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Bytes(), b) {
			t.Errorf("%x parses to %x", b, p.Bytes())
		}
		if _, err := k.Shared(p); err != nil {
			t.Errorf("%x parses but agrees on zero", b)
		}
	})
}
