package groups

import (
	"crypto/ed25519"
	"crypto/rand"
	"math"
	"time"
)

// Sending is a device's own chain in one epoch of a group: a value, replaced by
// the Next of each Seal. The zero Sending is no chain: it seals nothing, and has
// neither key nor record.
type Sending struct {
	_ [0]func() // not comparable

	*binding
	private ed25519.PrivateKey // never changes along the chain
	key     chainKey
	index   uint32 // of the next message
}

// NewSending makes a chain with keys of its own (R-GRP-02). before names the
// device's chain in the epoch before, if it has one.
func NewSending(g ID, epoch uint64, s Sender, now time.Time, before Before) (Sending, error) {
	var r [64]byte
	rand.Read(r[:])
	return newSending(g, epoch, s, now, before, &r)
}

// newSending makes the chain of r: a chain key and an Ed25519 seed. It erases r.
func newSending(g ID, epoch uint64, s Sender, now time.Time, before Before, r *[64]byte) (Sending, error) {
	c := Sending{private: ed25519.NewKeyFromSeed(r[32:]), key: chainKey(r[:32])}
	clear(r[:])
	b := &binding{group: g, epoch: epoch, sender: s, created: seconds(now), before: before}
	b.verify = [32]byte(c.private[32:])
	b.chain = ChainIDOf(g, epoch, s, b.verify)
	if !b.valid() {
		return Sending{}, ErrMalformed
	}
	c.binding = b
	return c, nil
}

// ID returns the chain's id.
func (c Sending) ID() ChainID { return c.get().chain }

// Group returns the group that the chain belongs to.
func (c Sending) Group() ID { return c.get().group }

// Epoch returns the epoch that the chain belongs to.
func (c Sending) Epoch() uint64 { return c.get().epoch }

// Sender returns the device that the chain belongs to.
func (c Sending) Sender() Sender { return c.get().sender }

// Index returns the index of the next message: how many were sealed.
func (c Sending) Index() uint32 { return c.index }

// Created returns when the chain was made, in whole seconds.
func (c Sending) Created() time.Time { return time.Unix(c.get().created, 0).UTC() }

// Before returns the chain before this one.
func (c Sending) Before() Before { return c.get().before }

// Seed returns the seed of the chain's signing key, for disclosure.
//
// Contract: it leaves the device when every device that holds the chain has
// closed it, and not while the chain's epoch lasts (R-GRP-16).
func (c Sending) Seed() (seed [32]byte) {
	if c.binding != nil {
		copy(seed[:], c.private.Seed())
	}
	return seed
}

// Key returns what another device is given: the chain from the present index
// on (R-GRP-05). It must travel in the pairwise session with that device only.
func (c Sending) Key() ChainKey {
	if c.binding == nil {
		return ChainKey{}
	}
	return ChainKey{
		Group: c.group, Epoch: c.epoch, Chain: c.chain, Index: c.index, Key: c.key,
		Verify: c.verify, Created: c.created, Before: c.before,
	}
}

// Sealed is what Seal returns.
type Sealed struct {
	Message []byte
	Index   uint32
	Next    Sending
}

// Seal encrypts plaintext and signs it together with the group, the epoch, the
// sender, the index, and seq and head, which say what roster the sender sees
// (R-GRP-07).
//
// Contract: Message must not leave the device before Next is durable, or a key
// is used twice.
func (c Sending) Seal(seq uint64, head Head, plaintext []byte) (Sealed, error) {
	if c.binding == nil {
		return Sealed{}, ErrMalformed
	}
	if len(plaintext) > MaxPlaintext {
		return Sealed{}, ErrTooLong
	}
	if c.index == math.MaxUint32 {
		return Sealed{}, ErrExhausted
	}
	index := c.index
	key := c.key.step()
	c.index++
	m := c.seal(c.private, &key, index, seq, head, plaintext)
	clear(key[:])
	return Sealed{Message: m, Index: index, Next: c}, nil
}

// seal makes the message of one index.
func (b *binding) seal(private ed25519.PrivateKey, key *messageKey, index uint32, seq uint64, head Head, plaintext []byte) []byte {
	m := write(b.chain, index, seq, head, len(plaintext))
	end := bodyAt + len(plaintext)
	key.xor(m[bodyAt:end], plaintext)
	copy(m[end:], ed25519.Sign(private, b.signed(index, seq, &head, m[bodyAt:end])))
	return m
}
