// Package simd leaves the vector registers clean behind code that does not.
//
// circl's ML-KEM uses AVX2 on amd64 and returns with the upper halves of the
// vector registers in use. Until somebody executes VZEROUPPER, every SSE
// instruction then pays for keeping them, and SHA-256 and Ed25519 take several
// times as long (docs/design/primitives.md has figures). Package kem calls
// Clean after each of its operations.
//
// Not its concern: secrecy. Clean is about speed; it does not erase keys.
package simd
