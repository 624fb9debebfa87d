package simd

import "golang.org/x/sys/cpu"

// Clean declares the upper halves of the vector registers unused.
func Clean() {
	if cpu.X86.HasAVX {
		zeroUpper()
	}
}

// zeroUpper is one VZEROUPPER, an instruction of AVX.
//
//go:noescape
func zeroUpper()
