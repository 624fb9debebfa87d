package kdf

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// std is HMAC-SHA-256 of the standard library.
func std(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// pattern is n bytes that differ.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + n)
	}
	return b
}

func TestHMACOfEveryLength(t *testing.T) {
	key := [Size]byte(pattern(Size))
	for n := range 2 * short {
		m := pattern(n)
		if got := HMAC(&key, m); !bytes.Equal(got[:], std(key[:], m)) {
			t.Fatalf("%d bytes: %x", n, got)
		}
	}
}

func TestPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := [Size]byte(rapid.SliceOfN(rapid.Byte(), Size, Size).Draw(t, "key"))
		a, b := rapid.Byte().Draw(t, "a"), rapid.Byte().Draw(t, "b")
		x, y := Pair(&key, a, b)
		if !bytes.Equal(x[:], std(key[:], []byte{a})) || !bytes.Equal(y[:], std(key[:], []byte{b})) {
			t.Error("differs from crypto/hmac")
		}
	})
}

func TestTagOfEveryLength(t *testing.T) {
	key := [Size]byte(pattern(Size))
	for _, ad := range []int{0, 1, 32, medium - 4, medium} {
		for n := range medium + 70 {
			a, m := pattern(ad), pattern(n)
			length := binary.BigEndian.AppendUint32(nil, uint32(ad))
			if got := Tag(&key, a, m); !bytes.Equal(got[:], std(key[:], length, a, m)) {
				t.Fatalf("%d and %d bytes: %x", ad, n, got)
			}
		}
	}
	// The length keeps apart what is the same joined together.
	if Tag(&key, []byte("ab"), []byte("c")) == Tag(&key, []byte("a"), []byte("bc")) {
		t.Error("associated data and message run together")
	}
}

func TestExpandAndExtract(t *testing.T) {
	key, ikm := [Size]byte(pattern(Size)), pattern(50)
	prk := Extract(&key, ikm)
	want, err := hkdf.Extract(sha256.New, ikm, key[:])
	if err != nil || !bytes.Equal(prk[:], want) {
		t.Fatal("Extract differs", err)
	}
	for n := range 6 {
		for _, label := range []string{"", "x", strings.Repeat("l", maxLabel)} {
			outs := make([][Size]byte, n)
			ptrs := make([]*[Size]byte, n)
			var got []byte
			for i := range outs {
				ptrs[i] = &outs[i]
			}
			Expand(&prk, label, ptrs...)
			for i := range outs {
				got = append(got, outs[i][:]...)
			}
			want, err := hkdf.Expand(sha256.New, prk[:], label, n*Size)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d blocks, label of %d: %x", n, len(label), got)
			}
		}
	}
}

// RFC 5869 has no case with a 32-byte salt; RFC 4231 none with a 32-byte key.
// These values come from another implementation (Python's hmac).
func TestKnownAnswers(t *testing.T) {
	key := [Size]byte(bytes.Repeat([]byte{0x0b}, Size))
	got := HMAC(&key, []byte("Hi There"))
	if hex.EncodeToString(got[:]) != knownHMAC {
		t.Errorf("%x", got)
	}
	got = Tag(&key, []byte("Hi"), []byte("There"))
	if hex.EncodeToString(got[:]) != knownTag {
		t.Errorf("%x", got)
	}
}

func TestMisuse(t *testing.T) {
	panics := func(f func()) (did bool) {
		defer func() { did = recover() != nil }()
		f()
		return false
	}
	var key [Size]byte
	if !panics(func() { Expand(&key, strings.Repeat("l", maxLabel+1)) }) {
		t.Error("a label too long")
	}
	if !panics(func() {
		outs := make([]*[Size]byte, 256)
		for i := range outs {
			outs[i] = new([Size]byte)
		}
		Expand(&key, "", outs...)
	}) {
		t.Error("more blocks than a byte counts")
	}
}

func TestEqual(t *testing.T) {
	if !Equal([]byte{1, 2}, []byte{1, 2}) || Equal([]byte{1, 2}, []byte{1, 3}) || Equal([]byte{1}, []byte{1, 2}) || !Equal(nil, nil) {
		t.Error("Equal")
	}
}

// Each is measured beside the standard library's way of doing it.

func BenchmarkHMAC(b *testing.B) {
	key, in := [Size]byte{1}, pattern(32)
	b.Run("stack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			HMAC(&key, in)
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			std(key[:], in)
		}
	})
}

func BenchmarkPair(b *testing.B) {
	key := [Size]byte{1}
	b.Run("stack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Pair(&key, 1, 2)
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h := hmac.New(sha256.New, key[:])
			h.Write([]byte{1})
			h.Sum(nil)
			h.Reset()
			h.Write([]byte{2})
			h.Sum(nil)
		}
	})
}

func BenchmarkTag(b *testing.B) {
	key, ad := [Size]byte{1}, pattern(32)
	for name, n := range map[string]int{"170": 170, "16Ki": 16 << 10} {
		m := pattern(n)
		b.Run("stack/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Tag(&key, ad, m)
			}
		})
		b.Run("std/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				std(key[:], ad, m)
			}
		})
	}
}

func BenchmarkExpand(b *testing.B) {
	key := [Size]byte{1}
	var x, y [Size]byte
	b.Run("stack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Expand(&key, "pawl", &x, &y)
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := hkdf.Expand(sha256.New, key[:], "pawl", 64); err != nil {
				b.Fatal(err)
			}
		}
	})
}

const (
	knownHMAC = "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
	knownTag  = "e8bceb838c446fb3a6227f50adf647f2c97cde5dee9ff42a069c026e70262316"
)
