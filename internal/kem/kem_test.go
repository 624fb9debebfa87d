package kem_test

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/pawl-chat/pawl/internal/kem"
)

// Both implementations accept each other's seeds, keys and ciphertexts, and
// agree on every byte of a derandomised encapsulation.
func TestInterop(t *testing.T) {
	for range 10 {
		k, pub := kem.Generate()
		seed := k.Seed()
		std, err := mlkem.NewDecapsulationKey1024(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(std.EncapsulationKey().Bytes(), pub.Bytes()) {
			t.Fatal("encapsulation key differs from the standard library's")
		}
		ct, ss := pub.Encapsulate()
		if got, err := std.Decapsulate(ct); err != nil || !bytes.Equal(got, ss[:]) {
			t.Fatal("the standard library does not open our ciphertext", err)
		}
		want, stdCT := std.EncapsulationKey().Encapsulate()
		if got, err := k.Decapsulate(stdCT); err != nil || !bytes.Equal(got[:], want) {
			t.Fatal("we do not open the standard library's ciphertext", err)
		}
		var m [32]byte
		rand.Read(m[:])
		ct, ss = pub.EncapsulateDerand(m)
		want, stdCT, err = mlkemtest.Encapsulate1024(std.EncapsulationKey(), m[:])
		if err != nil || !bytes.Equal(stdCT, ct) || !bytes.Equal(want, ss[:]) {
			t.Fatal("derandomised encapsulations differ", err)
		}
		// Implicit rejection gives the same unrelated secret, too.
		ct[7] ^= 1
		got, err := k.Decapsulate(ct)
		if err != nil || got == ss {
			t.Fatal("an altered ciphertext gave the same secret or an error", err)
		}
		if want, err := std.Decapsulate(ct); err != nil || !bytes.Equal(got[:], want) {
			t.Fatal("implicit rejection differs", err)
		}
	}
}

func TestDecapsulateWithPublic(t *testing.T) {
	k, pub := kem.Generate()
	ct, ss := pub.Encapsulate()
	got, p, err := k.DecapsulateWithPublic(ct)
	if err != nil || got != ss || !bytes.Equal(p.Bytes(), pub.Bytes()) {
		t.Fatal(got, err)
	}
	ct2, ss2 := p.Encapsulate()
	if got, err := k.Decapsulate(ct2); err != nil || got != ss2 {
		t.Fatal("the public key that came back is not usable", err)
	}
}

// R-PRE-04
func TestParsePublicRefuses(t *testing.T) {
	_, pub := kem.Generate()
	good := pub.Bytes()
	if _, err := kem.ParsePublic(good); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 800, 1184, 1567, 1569} {
		if _, err := kem.ParsePublic(make([]byte, n)); !errors.Is(err, kem.ErrPublicKey) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	// A coefficient of q = 3329 or more, at each of several places.
	for _, i := range []int{0, 3, 600, 1533} {
		for _, c := range []int{3329, 3330, 4095} {
			bad := bytes.Clone(good)
			bad[i], bad[i+1] = byte(c), bad[i+1]&0xf0|byte(c>>8)
			if _, err := kem.ParsePublic(bad); !errors.Is(err, kem.ErrPublicKey) {
				t.Errorf("coefficient %d at byte %d: %v", c, i, err)
			}
			if _, err := mlkem.NewEncapsulationKey1024(bad); err == nil {
				t.Errorf("the standard library accepts coefficient %d at byte %d", c, i)
			}
		}
	}
	// The parsed key does not share memory with its input.
	in := bytes.Clone(good)
	p, _ := kem.ParsePublic(in)
	clear(in)
	if !bytes.Equal(p.Bytes(), good) {
		t.Error("the key changed with its input")
	}
}

func TestCiphertextLength(t *testing.T) {
	k, _ := kem.Generate()
	for _, n := range []int{0, 1, 1567, 1569} {
		if _, err := k.Decapsulate(make([]byte, n)); !errors.Is(err, kem.ErrCiphertext) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, _, err := k.DecapsulateWithPublic(make([]byte, n)); !errors.Is(err, kem.ErrCiphertext) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestRedactedAndErased(t *testing.T) {
	k, pub := kem.Generate()
	for _, f := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
		if got := fmt.Sprintf(f, k); got != "kem.PrivateKey(redacted)" {
			t.Errorf("%s prints %q", f, got)
		}
		if got := fmt.Sprintf(f, &k); got != "kem.PrivateKey(redacted)" {
			t.Errorf("%s of a pointer prints %q", f, got)
		}
	}
	k.Erase()
	if k.Seed() != [kem.SeedSize]byte{} {
		t.Error("Erase left the seed")
	}
	if pub.IsZero() || !(kem.PublicKey{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func FuzzParsePublic(f *testing.F) {
	_, pub := kem.Generate()
	f.Add(pub.Bytes())
	f.Add(bytes.Repeat([]byte{0xff}, kem.PublicKeySize))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := kem.ParsePublic(b)
		_, stdErr := mlkem.NewEncapsulationKey1024(b)
		if (err == nil) != (stdErr == nil) {
			t.Errorf("ours says %v, the standard library %v", err, stdErr)
		}
		if err == nil && !bytes.Equal(p.Bytes(), b) {
			t.Error("encodes to other bytes")
		}
	})
}
