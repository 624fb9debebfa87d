package groups

import (
	"crypto/ed25519"
	"encoding/binary"
	"slices"

	"github.com/pawl-chat/pawl/internal/fixed"
)

// The saved forms of chains (spec/groups.md, "Records"): fixed layout, integers
// big-endian. That of a Receiving has two parts: the head changes with every
// message; the skipped part holds up to 1 000 keys and changes only when one is
// added or goes, which Opened.SkippedChanged and Expire tell. Both carry a
// generation, so that parts of different states do not join (R-GRP-15).
//
// A record holds the secrets of the chain. Sealing it is the store's concern.

// recordVersion is the first byte of every record. A later version gets another
// number; this one stays readable.
const recordVersion = 1

// What follows the binding in the head of a Receiving.
const (
	stateOpen      = 1
	stateClosed    = 2
	stateDisclosed = 3
)

func (b *binding) appendRecord(dst []byte) []byte {
	dst = append(dst, b.group[:]...)
	dst = binary.BigEndian.AppendUint64(dst, b.epoch)
	dst = append(dst, b.chain[:]...)
	dst = b.sender.append(dst)
	dst = append(dst, b.verify[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.created))
	dst = append(dst, b.before.Chain[:]...)
	return binary.BigEndian.AppendUint32(dst, b.before.Count)
}

func (r *reader) binding() *binding {
	b := &binding{group: ID(r.take16()), epoch: r.Uint64(), chain: ChainID(r.take16())}
	b.sender.Address = string(r.Take(int(r.Uint16())))
	b.sender.Device = r.Uint64()
	b.sender.Identity = r.Key()
	b.verify = r.Key()
	b.created = int64(r.Uint64())
	b.before = Before{Chain: ChainID(r.take16()), Count: r.Uint32()}
	return b
}

// AppendRecord appends the chain to dst.
func (c Sending) AppendRecord(dst []byte) []byte {
	dst = append(slices.Grow(dst, 400), recordVersion)
	dst = c.appendRecord(dst)
	dst = append(dst, c.private.Seed()...)
	dst = append(dst, c.key[:]...)
	return binary.BigEndian.AppendUint32(dst, c.index)
}

// ParseSending reads what Sending.AppendRecord wrote, and nothing else.
func ParseSending(b []byte) (Sending, error) {
	r := reader{fixed.Reader{Rest: b}}
	if r.Byte() != recordVersion {
		return Sending{}, ErrMalformed
	}
	c := Sending{binding: r.binding()}
	seed := r.Key()
	c.key = chainKey(r.Key())
	c.index = r.Uint32()
	if r.Bad || len(r.Rest) != 0 || !c.valid() {
		return Sending{}, ErrMalformed
	}
	c.private = ed25519.NewKeyFromSeed(seed[:])
	clear(seed[:])
	if [32]byte(c.private[32:]) != c.verify {
		return Sending{}, ErrMalformed
	}
	return c, nil
}

// AppendRecord appends the whole chain to dst: the version, the length of the
// head as 4 bytes, the head and the skipped part.
func (r Receiving) AppendRecord(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, recordVersion, 0, 0, 0, 0)
	dst = r.AppendHead(dst)
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-5))
	return r.AppendSkipped(dst)
}

// ParseReceiving reads what Receiving.AppendRecord wrote, and nothing else.
func ParseReceiving(b []byte) (Receiving, error) {
	r := reader{fixed.Reader{Rest: b}}
	if r.Byte() != recordVersion {
		return Receiving{}, ErrMalformed
	}
	n := r.Uint32()
	if r.Bad || uint64(n) > uint64(len(r.Rest)) {
		return Receiving{}, ErrMalformed
	}
	return JoinReceiving(r.Rest[:n], r.Rest[n:])
}

// AppendHead appends the part of the record that changes with every message.
func (r Receiving) AppendHead(dst []byte) []byte {
	dst = append(slices.Grow(dst, 400), recordVersion)
	dst = binary.BigEndian.AppendUint64(dst, r.generation)
	dst = r.appendRecord(dst)
	dst = binary.BigEndian.AppendUint32(dst, r.next)
	dst = binary.BigEndian.AppendUint32(dst, r.floor)
	switch {
	case r.seed != nil:
		dst = append(dst, stateDisclosed)
		return append(dst, r.seed[:]...)
	case r.closed:
		return append(dst, stateClosed)
	}
	dst = append(dst, stateOpen)
	return append(dst, r.key[:]...)
}

// entryLen is the length of one skipped key in a record.
const entryLen = 4 + 8 + 32

// AppendSkipped appends the part of the record with the skipped keys.
func (r Receiving) AppendSkipped(dst []byte) []byte {
	dst = append(slices.Grow(dst, 16+len(r.skipped)*entryLen), recordVersion)
	dst = binary.BigEndian.AppendUint64(dst, r.generation)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.skipped)))
	for i := range r.skipped {
		k := &r.skipped[i]
		dst = binary.BigEndian.AppendUint32(dst, k.index)
		dst = binary.BigEndian.AppendUint64(dst, uint64(k.at))
		dst = append(dst, k.key[:]...)
	}
	return dst
}

// JoinReceiving reads a chain from its two parts. Parts of different states are
// ErrMalformed, as is every byte string that no chain is written as.
func JoinReceiving(head, skipped []byte) (Receiving, error) {
	c, ok := parseHead(head)
	if !ok || !c.parseSkipped(skipped) {
		return Receiving{}, ErrMalformed
	}
	return c, nil
}

func parseHead(b []byte) (c Receiving, ok bool) {
	r := reader{fixed.Reader{Rest: b}}
	if r.Byte() != recordVersion {
		return Receiving{}, false
	}
	c.generation = r.Uint64()
	c.binding = r.binding()
	c.next, c.floor = r.Uint32(), r.Uint32()
	switch r.Byte() {
	case stateOpen:
		c.key = chainKey(r.Key())
	case stateClosed:
		c.closed = true
	case stateDisclosed:
		seed := r.Key()
		c.closed, c.seed = true, &seed
		if publicOf(seed) != c.verify {
			return Receiving{}, false
		}
	default:
		return Receiving{}, false
	}
	return c, !r.Bad && len(r.Rest) == 0 && c.valid() && c.floor <= c.next
}

func (r *Receiving) parseSkipped(b []byte) bool {
	in := reader{fixed.Reader{Rest: b}}
	if in.Byte() != recordVersion || in.Uint64() != r.generation {
		return false
	}
	n := int(in.Uint16())
	if in.Bad || n > MaxSkipped || len(in.Rest) != n*entryLen || r.closed && n > 0 {
		return false
	}
	if n == 0 {
		return true
	}
	r.skipped = make([]skippedKey, n)
	for i := range r.skipped {
		k := &r.skipped[i]
		k.index = in.Uint32()
		at := in.Uint64()
		k.key = messageKey(in.Key())
		if k.index >= r.next || i > 0 && k.index <= r.skipped[i-1].index || at > maxTime {
			return false
		}
		k.at = int64(at)
	}
	return true
}

// reader reads the fields of a record.
type reader struct{ fixed.Reader }

func (r *reader) take16() (out [16]byte) {
	copy(out[:], r.Take(16))
	return out
}
