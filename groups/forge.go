package groups

import "crypto/ed25519"

// The forging tools. Once a chain's signing seed is disclosed, whoever was given
// the chain makes messages that verify as its sender's (R-GRP-18).

// VerifyDisclosed reports whether message verifies as one of the chain k of the
// device s: what its receivers checked before they accepted it, and what, since
// the seed is out, says nothing about who made it.
func VerifyDisclosed(seed [32]byte, k ChainKey, s Sender, message []byte) bool {
	w, err := ParseMessage(message)
	if err != nil || w.Chain != k.Chain || publicOf(seed) != k.Verify {
		return false
	}
	r, err := Accept(k, s)
	return err == nil && ed25519.Verify(r.verify[:], r.signed(w.Index, w.Seq, &w.Head, w.Body), w.Signature[:])
}

// Forge makes the message of an index of the chain k, which is held at that
// index or before it, as the device s would have. Steps along the chain are not
// limited: who forges chooses how far to go. ErrForged says that the seed is
// not the chain's.
func Forge(seed [32]byte, k ChainKey, s Sender, index uint32, seq uint64, head Head, plaintext []byte) ([]byte, error) {
	r, err := Accept(k, s)
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(seed[:])
	switch {
	case [32]byte(private[32:]) != k.Verify:
		return nil, ErrForged
	case index < k.Index:
		return nil, ErrTooOld
	case len(plaintext) > MaxPlaintext:
		return nil, ErrTooLong
	}
	for range index - k.Index {
		r.key.pass()
	}
	key := r.key.step()
	return r.seal(private, &key, index, seq, head, plaintext), nil
}

// Resign makes the signature of a message of the chain k of the device s anew,
// whatever was done to its body before: no chain key is needed for that.
// ErrForged says that the seed is not the chain's, ErrUnknownChain that the
// message is of another one.
func Resign(seed [32]byte, k ChainKey, s Sender, message []byte) ([]byte, error) {
	w, err := ParseMessage(message)
	if err != nil {
		return nil, err
	}
	r, err := Accept(k, s)
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(seed[:])
	switch {
	case [32]byte(private[32:]) != k.Verify:
		return nil, ErrForged
	case w.Chain != k.Chain:
		return nil, ErrUnknownChain
	}
	out := append([]byte(nil), message...)
	copy(out[len(out)-signatureLen:], ed25519.Sign(private, r.signed(w.Index, w.Seq, &w.Head, w.Body)))
	return out, nil
}
