package ratchet

import "github.com/pawl-chat/pawl/internal/kdf"

// The forging tools. They take public data only: a message as the server saw
// it, the associated data, which both identities determine, and a MAC seed
// that its chain's receiver disclosed.

// VerifyDisclosed reports whether message is number number of the chain of
// seed: what its receiver checked before accepting it, and what, since the seed
// is public, says nothing about who made it.
func VerifyDisclosed(seed [32]byte, number uint32, message, ad []byte) bool {
	p, err := parse(message)
	if err != nil {
		return false
	}
	key := (*macSeed)(&seed).key(number)
	tag := key.tag(ad, message[:p.tag])
	return kdf.Equal(tag[:], message[p.tag:])
}

// Locate finds the number of a message in the chain of seed by trying those
// below limit: the header that says it is encrypted. It costs two HMACs a
// number, one of them as long as the message.
func Locate(seed [32]byte, message, ad []byte, limit uint32) (number uint32, ok bool) {
	for n := range limit {
		if VerifyDisclosed(seed, n, message, ad) {
			return n, true
		}
	}
	return 0, false
}

// Forge changes a message of a closed chain into another of the same length
// that verifies as well (R-RAT-23): it flips the bits set in xor, as long as
// the body, and makes the tag anew. The body is encrypted with a stream cipher,
// so a forger who knows or guesses the text puts any other in its place.
// ErrForged says that seed and number do not belong to message.
func Forge(seed [32]byte, number uint32, message, ad, xor []byte) ([]byte, error) {
	p, err := parse(message)
	if err != nil {
		return nil, err
	}
	if len(xor) != p.tag-p.body {
		return nil, ErrMalformed
	}
	if !VerifyDisclosed(seed, number, message, ad) {
		return nil, ErrForged
	}
	forged := append([]byte(nil), message...)
	for i, x := range xor {
		forged[p.body+i] ^= x
	}
	key := (*macSeed)(&seed).key(number)
	tag := key.tag(ad, forged[:p.tag])
	copy(forged[p.tag:], tag[:])
	return forged, nil
}

// Remac makes the tag of a message anew as that of a number of the chain of
// seed, whatever was done to the message before.
func Remac(seed [32]byte, number uint32, message, ad []byte) ([]byte, error) {
	p, err := parse(message)
	if err != nil {
		return nil, err
	}
	out := append([]byte(nil), message...)
	key := (*macSeed)(&seed).key(number)
	tag := key.tag(ad, out[:p.tag])
	copy(out[p.tag:], tag[:])
	return out, nil
}
