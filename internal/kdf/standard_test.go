package kdf

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

func key(seed byte) *[Size]byte {
	k := sha256.Sum256([]byte{seed})
	return &k
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + n)
	}
	return b
}

func standard(k *[Size]byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, k[:])
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Every length around the places where the code takes another path.
func TestAgainstTheStandardLibrary(t *testing.T) {
	for n := range 600 {
		k, m := key(byte(n)), text(n)
		if got := HMAC(k, m); !bytes.Equal(got[:], standard(k, m)) {
			t.Fatalf("HMAC of %d bytes differs", n)
		}
		h := New(k)
		h.Write(m)
		if !bytes.Equal(h.Sum(nil), standard(k, m)) {
			t.Fatalf("New of %d bytes differs", n)
		}
		for _, split := range []int{0, n / 3, n} {
			length := binary.BigEndian.AppendUint32(nil, uint32(split))
			if got := Tag(k, m[:split], m[split:]); !bytes.Equal(got[:], standard(k, length, m)) {
				t.Fatalf("Tag of %d and %d bytes differs", split, n-split)
			}
		}
		prk, err := hkdf.Extract(sha256.New, m, k[:])
		if got := Extract(k, m); err != nil || !bytes.Equal(got[:], prk) {
			t.Fatalf("Extract of %d bytes differs", n)
		}
	}
	for a := range 256 {
		k := key(byte(a))
		x, y := Pair(k, byte(a), byte(a+1))
		if !bytes.Equal(x[:], standard(k, []byte{byte(a)})) || !bytes.Equal(y[:], standard(k, []byte{byte(a + 1)})) {
			t.Fatalf("Pair(%d, %d) differs", a, byte(a+1))
		}
	}
}

func TestExpandAgainstTheStandardLibrary(t *testing.T) {
	for n := range maxLabel + 1 {
		for blocks := range 5 {
			k, label := key(byte(n)), string(text(n))
			outs := make([]*[Size]byte, blocks)
			for i := range outs {
				outs[i] = new([Size]byte)
			}
			Expand(k, label, outs...)
			want, err := hkdf.Expand(sha256.New, k[:], label, blocks*Size)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range outs {
				if !bytes.Equal(o[:], want[i*Size:(i+1)*Size]) {
					t.Fatalf("label of %d bytes: block %d of %d differs", n, i, blocks)
				}
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a label that is too long was cut")
		}
	}()
	Expand(key(1), string(text(maxLabel+1)), new([Size]byte))
}

func TestEqual(t *testing.T) {
	if !Equal([]byte("ab"), []byte("ab")) || Equal([]byte("ab"), []byte("ac")) || Equal([]byte("ab"), []byte("a")) || Equal(nil, []byte("a")) {
		t.Error("Equal is not equality")
	}
}

func TestShortInputsDoNotAllocate(t *testing.T) {
	k, m := key(1), text(100)
	var a, b [Size]byte
	for name, f := range map[string]func(){
		"HMAC":   func() { a = HMAC(k, m) },
		"Pair":   func() { a, b = Pair(k, 1, 2) },
		"Tag":    func() { a = Tag(k, m[:40], m[40:]) },
		"Expand": func() { Expand(k, "label", &a, &b) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkHMAC(b *testing.B) {
	k, m := key(1), text(64)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			HMAC(k, m)
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			standard(k, m)
		}
	})
}

func BenchmarkExpand(b *testing.B) {
	k := key(1)
	var x, y [Size]byte
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Expand(k, "pawl benchmark", &x, &y)
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			hkdf.Expand(sha256.New, k[:], "pawl benchmark", 2*Size)
		}
	})
}
