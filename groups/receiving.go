package groups

import (
	"crypto/ed25519"
	"time"
)

// Receiving is another device's chain: a value, made by Accept and replaced by
// the Next of each Open. The zero Receiving is no chain: it opens nothing and has
// no record.
//
// All that a Receiving points to is immutable and may be shared with the states
// before and after it.
type Receiving struct {
	_ [0]func() // not comparable

	*binding
	key  chainKey
	next uint32 // index that is expected
	// floor tells an erased key from a used one: every index below it that is
	// not in skipped was opened, erased or never handed out; from floor to next
	// it was opened.
	floor      uint32
	skipped    []skippedKey // ascending; copy on write
	generation uint64       // counts changes of skipped keys

	closed bool
	seed   *[32]byte // disclosed; only of a closed chain
}

// Accept takes the chain that the device s handed out over its own pairwise
// session; s is what that session binds, not what the signal says (R-GRP-05).
// ErrMalformed says that the chain is not one of that device.
func Accept(k ChainKey, s Sender) (Receiving, error) {
	b := &binding{
		group: k.Group, epoch: k.Epoch, chain: k.Chain, sender: s, verify: k.Verify, created: k.Created, before: k.Before,
	}
	if !b.valid() {
		return Receiving{}, ErrMalformed
	}
	return Receiving{binding: b, key: k.Key, next: k.Index, floor: k.Index}, nil
}

// Renew takes the same chain once more, handed out again by its device at a
// later index (R-GRP-36): the chain moves there, and never back. What was opened
// stays opened, skipped keys stay, indexes between are too old. ErrUnknownChain
// says that k is another chain, ErrClosed that this one is closed.
func (r Receiving) Renew(k ChainKey) (Receiving, error) {
	again, err := Accept(k, r.Sender())
	switch {
	case err != nil:
		return Receiving{}, err
	case again.chain != r.chain:
		return Receiving{}, ErrUnknownChain
	case r.closed:
		return Receiving{}, ErrClosed
	case k.Index > r.next:
		r.key, r.next, r.floor = again.key, k.Index, k.Index
		r.generation++ // floor and skipped part go together
	}
	return r, nil
}

// ID returns the chain's id.
func (r Receiving) ID() ChainID { return r.get().chain }

// Group returns the group that the chain belongs to.
func (r Receiving) Group() ID { return r.get().group }

// Epoch returns the epoch that the chain belongs to.
func (r Receiving) Epoch() uint64 { return r.get().epoch }

// Sender returns the device that the chain belongs to.
func (r Receiving) Sender() Sender { return r.get().sender }

// Verify returns the chain's public key.
func (r Receiving) Verify() [32]byte { return r.get().verify }

// Created returns when the sender says that the chain was made.
func (r Receiving) Created() time.Time { return time.Unix(r.get().created, 0).UTC() }

// Before returns the sender's chain before this one.
func (r Receiving) Before() Before { return r.get().before }

// Index returns the index of the next message that is expected.
func (r Receiving) Index() uint32 { return r.next }

// Missing is how many skipped message keys the chain holds.
func (r Receiving) Missing() int { return len(r.skipped) }

// Missed returns their indexes, ascending.
func (r Receiving) Missed() []uint32 {
	out := make([]uint32, len(r.skipped))
	for i := range r.skipped {
		out[i] = r.skipped[i].index
	}
	return out
}

// Lost returns the indexes below count that have not arrived and still could:
// what to ask for when the chain after this one says that it had count
// messages (R-GRP-19). It returns the newest limit of them, ascending.
func (r Receiving) Lost(count uint32, limit int) []uint32 {
	var out []uint32
	for i := count; i > r.next && len(out) < limit; i-- {
		out = append(out, i-1)
	}
	for i := len(r.skipped) - 1; i >= 0 && len(out) < limit; i-- {
		if r.skipped[i].index < count {
			out = append(out, r.skipped[i].index)
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// Closed reports whether the chain has been closed.
func (r Receiving) Closed() bool { return r.closed }

// Disclosed returns the seed of the chain's signing key, if it was disclosed.
func (r Receiving) Disclosed() (seed [32]byte, ok bool) {
	if r.seed == nil {
		return seed, false
	}
	return *r.seed, true
}

// Opened is what Open returns: the plaintext with the state that has received
// it, to be stored together.
type Opened struct {
	Plaintext []byte
	Index     uint32
	Seq       uint64 // the newest entry of the roster log that the sender knew
	Head      Head   // and the head there
	Next      Receiving
	// SkippedChanged: the skipped part of the record has changed too.
	SkippedChanged bool
}

// Open authenticates and decrypts a message. now stamps the keys it skips.
//
// Order (R-GRP-09): outer form, chain, whether that is closed, the signature,
// which needs no secret, and only then the index and the chain key: a forged
// message costs one check of a signature and never a step, an authentic one at
// most MaxJump steps.
func (r Receiving) Open(message []byte, now time.Time) (Opened, error) {
	w, err := ParseMessage(message)
	if err != nil {
		return Opened{}, err
	}
	switch {
	case r.binding == nil || w.Chain != r.chain:
		return Opened{}, ErrUnknownChain
	case r.closed: // R-GRP-17
		return Opened{}, ErrClosed
	case !ed25519.Verify(r.verify[:], r.signed(w.Index, w.Seq, &w.Head, w.Body), w.Signature[:]):
		return Opened{}, ErrForged
	case seconds(now)-r.created > int64(ChainLife/time.Second): // R-GRP-13
		return Opened{}, ErrTooOld
	}
	generation := r.generation
	var key messageKey
	if w.Index < r.next {
		if key, err = r.take(w.Index, seconds(now)); err != nil {
			return Opened{}, err
		}
	} else {
		// next is at most MaxUint32 and the index below it: Seal uses no other.
		if w.Index-r.next > MaxJump || w.Index == 1<<32-1 {
			return Opened{}, ErrTooFarAhead // R-GRP-10
		}
		if w.Index > r.next {
			r.skip(w.Index, seconds(now))
		}
		key = r.key.step()
		r.next++
	}
	plaintext := make([]byte, len(w.Body))
	key.xor(plaintext, w.Body)
	clear(key[:])
	return Opened{
		Plaintext: plaintext, Index: w.Index, Seq: w.Seq, Head: w.Head, Next: r,
		SkippedChanged: r.generation != generation,
	}, nil
}

// Close ends the chain for this device and erases its keys; Open then gives
// ErrClosed. With a seed, which the sender has disclosed, it checks that the
// seed is the chain's, else ErrForged, and keeps it (R-GRP-17). A closed chain
// may be closed again.
func (r Receiving) Close(seed *[32]byte) (Receiving, error) {
	if r.binding == nil {
		return Receiving{}, ErrMalformed
	}
	if seed != nil {
		if publicOf(*seed) != r.verify {
			return Receiving{}, ErrForged
		}
		s := *seed
		r.seed = &s
	}
	if !r.closed {
		r.generation++
	}
	r.closed = true
	r.key = chainKey{}
	r.skipped = nil
	return r, nil
}

// publicOf is the public key of an Ed25519 seed.
func publicOf(seed [32]byte) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(seed[:])[32:])
}
