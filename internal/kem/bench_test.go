package kem_test

import (
	"crypto/mlkem"
	"testing"

	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"

	"github.com/pawl-chat/pawl/internal/kem"
)

// The candidates that docs/design/primitives.md compares. Each measures what
// one side of a handshake does: a fresh parse of the other's key and an
// encapsulation, or an expansion of the seed and a decapsulation.

func BenchmarkParseEncapsulate(b *testing.B) {
	_, pub := kem.Generate()
	raw := pub.Bytes()
	b.Run("pawl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, err := kem.ParsePublic(raw)
			if err != nil {
				b.Fatal(err)
			}
			p.Encapsulate()
		}
	})
	b.Run("stdlib", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, err := mlkem.NewEncapsulationKey1024(raw)
			if err != nil {
				b.Fatal(err)
			}
			p.Encapsulate()
		}
	})
	b.Run("circl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var p mlkem1024.PublicKey
			var ct [mlkem1024.CiphertextSize]byte
			var ss [mlkem1024.SharedKeySize]byte
			if err := p.Unpack(raw); err != nil {
				b.Fatal(err)
			}
			p.EncapsulateTo(ct[:], ss[:], nil)
		}
	})
}

func BenchmarkExpandDecapsulate(b *testing.B) {
	k, pub := kem.Generate()
	seed := k.Seed()
	ct, _ := pub.Encapsulate()
	b.Run("pawl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := k.DecapsulateWithPublic(ct); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stdlib", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dk, err := mlkem.NewDecapsulationKey1024(seed[:])
			if err != nil {
				b.Fatal(err)
			}
			if _, err := dk.Decapsulate(ct); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("circl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, sk := mlkem1024.NewKeyFromSeed(seed[:])
			var ss [mlkem1024.SharedKeySize]byte
			sk.DecapsulateTo(ss[:], ct)
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	b.Run("pawl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			kem.Generate()
		}
	})
	b.Run("stdlib", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dk, err := mlkem.GenerateKey1024()
			if err != nil {
				b.Fatal(err)
			}
			dk.EncapsulationKey().Bytes()
		}
	})
	b.Run("circl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := mlkem1024.GenerateKeyPair(nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
