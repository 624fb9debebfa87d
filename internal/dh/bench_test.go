package dh_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"testing"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/dh/x25519"

	"github.com/pawl-chat/pawl/internal/dh"
)

// The candidates that docs/design/primitives.md compares.

func BenchmarkShared(b *testing.B) {
	k, _ := dh.Generate()
	_, peer := dh.Generate()
	seed := k.Export()
	b.Run("pawl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := k.Shared(peer); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stdlib", func(b *testing.B) {
		priv, _ := ecdh.X25519().NewPrivateKey(seed[:])
		pub, _ := ecdh.X25519().NewPublicKey(peer.Bytes())
		b.ReportAllocs()
		for b.Loop() {
			if _, err := priv.ECDH(pub); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("circl", func(b *testing.B) {
		priv, pub, out := x25519.Key(seed), x25519.Key(peer.Array()), x25519.Key{}
		b.ReportAllocs()
		for b.Loop() {
			x25519.Shared(&out, &priv, &pub)
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	b.Run("pawl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dh.Generate()
		}
	})
	b.Run("stdlib", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ecdh.X25519().GenerateKey(rand.Reader); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("circl", func(b *testing.B) {
		var priv, pub x25519.Key
		b.ReportAllocs()
		for b.Loop() {
			rand.Read(priv[:])
			x25519.KeyGen(&pub, &priv)
		}
	})
	b.Run("edwards25519", func(b *testing.B) {
		var priv [32]byte
		b.ReportAllocs()
		for b.Loop() {
			rand.Read(priv[:])
			s, _ := new(edwards25519.Scalar).SetBytesWithClamping(priv[:])
			new(edwards25519.Point).ScalarBaseMult(s).BytesMontgomery()
		}
	})
}
