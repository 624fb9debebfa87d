package ratchet

import "slices"

// Disclosure: R-RAT-17, R-RAT-18 and the proof that R-RAT-19 is enough.
//
// A chain's MAC seed may become public once its receiver can accept nothing
// more under it. This file is the only place where a seed joins the list owed,
// and it does so in the same step that removes the chain, with its header key,
// its seed and its last skipped key, from the state.
//
// Why a disclosed seed never opens a message its discloser would still accept,
// crashes included:
//
//  1. owe(i) is called for closed chains only: older holds no other, and close
//     puts a chain there when an authentic message of the peer's next chain has
//     announced its length. close has then made or erased the key of every
//     number below that length and dropped the chain key, so nothing is left
//     that a new number could be opened with.
//  2. It is called when the chain's last skipped key is gone: used, expired or
//     evicted. From then on the state has no header key for the chain, so every
//     message of it is ErrUnknownChain.
//  3. Let S be the state in which the seed is owed. Seal on S returns a message
//     M that carries the seed and a state N. N, like S, lacks the chain. The
//     caller makes N durable before M leaves the device. So at the time anybody
//     can read the seed, the durable state is N or a successor of N, and no
//     step puts a chain back. A crash before N is durable loses M, which nobody
//     has seen, whether or not S itself was durable; a crash after it leaves N.
//  4. Both sides derive the MAC key of a number from the seed alone, and seeds
//     of different chains are independent outputs of the root KDF, so the seed
//     opens nothing in any other chain.
//
// What the argument does not cover is a store that goes back on what it called
// durable: a restored snapshot. Finding that is the client's concern.

// close ends the open chain, whose length the peer has announced: what is
// missing of it is skipped. It leaves State.current unset.
func (s *State) close(length uint32, now int64) {
	c := s.current
	if c.cipher == nil {
		return
	}
	if length > c.next {
		c.skip(s.key, length, now)
		s.generation++
	}
	clear(s.key[:])
	s.current = receiving{}
	s.older = slices.Insert(slices.Clone(s.older), 0, c)
	if len(c.skipped) == 0 {
		s.owe(0)
	}
}

// replace puts c in the place of the closed chain older[i], or owes its seed if
// c holds no key any more.
func (s *State) replace(i int, c receiving) {
	s.older = slices.Clone(s.older)
	s.older[i] = c
	if len(c.skipped) == 0 {
		s.owe(i)
	}
}

// owe erases the closed chain older[i] and owes its seed.
//
// No state owes more than MaxDisclosed seeds: all that are owed leave with the
// next Seal, between two new chains of the peer's lies at least one Seal, each
// new chain makes at most one more, and of the MaxChains+1 chains there are at
// most in between one is open. So each Seal can disclose them all.
func (s *State) owe(i int) {
	seed := s.older[i].seed
	s.owed = append(slices.Clip(s.owed), seed)
	older := make([]receiving, 0, len(s.older)-1)
	s.older = append(append(older, s.older[:i]...), s.older[i+1:]...)
}
