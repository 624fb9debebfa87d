package braid

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"math/rand/v2"
	"testing"
)

// seeded fills b from r.
func seeded(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// R-BRD-03: key, ciphertext and secret are those of the standard library's
// ML-KEM-768 byte for byte, rejected ciphertexts included.
func TestR_BRD_03_SameAsMLKEM(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var seed [seedLen]byte
		var m [randomLen]byte
		seeded(r, seed[:])
		seeded(r, m[:])
		want, err := mlkem.NewDecapsulationKey768(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		header, vector := newKey(&seed)
		key := append(bytes.Clone(vector), header[:rhoLen]...)
		if !bytes.Equal(key, want.EncapsulationKey().Bytes()) {
			t.Fatal("another encapsulation key")
		}
		secret, ct, err := mlkemtest.Encapsulate768(want.EncapsulationKey(), m[:])
		if err != nil {
			t.Fatal(err)
		}
		ct1 := encapsulate1(&header, &m)
		ct2, shared, err := encapsulate2(&header, vector, &m)
		if err != nil || !bytes.Equal(ct, append(bytes.Clone(ct1), ct2...)) {
			t.Fatal("another ciphertext", err)
		}
		if early, _ := encapsulationSecret(&header, &m); early != shared || !bytes.Equal(shared[:], secret) {
			t.Fatal("another secret on the side that answers")
		}
		if got := decapsulate(&seed, ct1, ct2); got != shared {
			t.Fatal("another secret on the side that offers")
		}
		// Implicit rejection, in either part.
		ct[r.IntN(len(ct))] ^= 1 << r.IntN(8)
		rejected, err := want.Decapsulate(ct)
		if err != nil {
			t.Fatal(err)
		}
		if got := decapsulate(&seed, ct[:ct1Len], ct[ct1Len:]); got == shared || !bytes.Equal(got[:], rejected) {
			t.Fatal("a changed ciphertext is not rejected as crypto/mlkem does")
		}
	}
}

// R-BRD-04: a vector of another key, a changed one and one with a coefficient
// that is not reduced are refused.
func TestR_BRD_04_VectorMustBeTheHeaders(t *testing.T) {
	seed, m := [seedLen]byte{1}, [randomLen]byte{2}
	header, vector := newKey(&seed)
	if _, _, err := encapsulate2(&header, vector, &m); err != nil {
		t.Fatal(err)
	}
	_, other := newKey(&[seedLen]byte{3})
	changed := bytes.Clone(vector)
	changed[100] ^= 1
	large := bytes.Clone(vector)
	large[0], large[1] = 0xff, large[1]|0x0f // 4095 >= 3329
	honest := header
	hash := hashKey(large, &header)
	copy(honest[rhoLen:], hash[:]) // even when the header vouches for it
	for name, c := range map[string]struct {
		header *[headerLen]byte
		vector []byte
	}{"other": {&header, other}, "changed": {&header, changed}, "short": {&header, vector[:1151]}, "unreduced": {&honest, large}} {
		if _, _, err := encapsulate2(c.header, c.vector, &m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkKEM(b *testing.B) {
	seed, m := [seedLen]byte{1}, [randomLen]byte{2}
	header, vector := newKey(&seed)
	ct1 := encapsulate1(&header, &m)
	ct2, _, _ := encapsulate2(&header, vector, &m)
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			newKey(&seed)
		}
	})
	b.Run("first part", func(b *testing.B) {
		for b.Loop() {
			encapsulate1(&header, &m)
		}
	})
	b.Run("second part", func(b *testing.B) {
		for b.Loop() {
			encapsulate2(&header, vector, &m)
		}
	})
	b.Run("decapsulate", func(b *testing.B) {
		for b.Loop() {
			decapsulate(&seed, ct1, ct2)
		}
	})
}

// R-BRD-04: the modulus check by itself, at each place, as the standard library
// makes it.
func TestR_BRD_04_Modulus(t *testing.T) {
	seed := [seedLen]byte{1}
	header, vector := newKey(&seed)
	for i := range 768 {
		for _, value := range []uint{3328, 3329, 4095} {
			v, h := bytes.Clone(vector), header
			at := v[i/2*3:]
			if i%2 == 0 {
				at[0], at[1] = byte(value), at[1]&0xf0|byte(value>>8)
			} else {
				at[1], at[2] = at[1]&0x0f|byte(value<<4), byte(value>>4)
			}
			hash := hashKey(v, &h)
			copy(h[rhoLen:], hash[:])
			_, err := mlkem.NewEncapsulationKey768(append(v, h[:rhoLen]...))
			if ok := checkVector(&h, v) == nil; ok != (err == nil) || ok != (value < modulus) {
				t.Fatalf("coefficient %d is %d: accepted %v", i, value, ok)
			}
		}
	}
}
