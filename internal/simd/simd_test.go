package simd_test

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"

	"github.com/pawl-chat/pawl/internal/simd"
)

// BenchmarkSHA256 shows what Clean is for: one short hash right after an
// ML-KEM operation of circl's, with and without it.
func BenchmarkSHA256(b *testing.B) {
	pub, _, err := mlkem1024.GenerateKeyPair(nil)
	if err != nil {
		b.Fatal(err)
	}
	ct, ss, m := make([]byte, mlkem1024.CiphertextSize), make([]byte, 32), make([]byte, 32)
	text := make([]byte, 1024)
	for name, clean := range map[string]func(){"left": func() {}, "cleaned": simd.Clean} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				pub.EncapsulateTo(ct, ss, m)
				clean()
				t := time.Now()
				sha256.Sum256(text)
				took = append(took, time.Since(t))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "ns/hash")
		})
	}
}

// Clean runs on every machine and leaves results alone.
func TestClean(t *testing.T) {
	before := sha256.Sum256([]byte("text"))
	simd.Clean()
	if sha256.Sum256([]byte("text")) != before {
		t.Error("a hash changed")
	}
}
