//go:build !amd64

package simd

// Clean has nothing to do on this architecture.
func Clean() {}
