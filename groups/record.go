package groups

import (
	"crypto/ed25519"
	"encoding/binary"
	"slices"
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
	b := &binding{group: ID(r.take16()), epoch: r.uint64(), chain: ChainID(r.take16())}
	b.sender.Address = string(r.take(int(r.uint16())))
	b.sender.Device = r.uint64()
	b.sender.Identity = r.take32()
	b.verify = r.take32()
	b.created = int64(r.uint64())
	b.before = Before{Chain: ChainID(r.take16()), Count: r.uint32()}
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
	r := reader{b: b}
	if r.byte() != recordVersion {
		return Sending{}, ErrMalformed
	}
	c := Sending{binding: r.binding()}
	seed := r.take32()
	c.key = chainKey(r.take32())
	c.index = r.uint32()
	if r.bad || len(r.b) != 0 || !c.valid() {
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
	r := reader{b: b}
	if r.byte() != recordVersion {
		return Receiving{}, ErrMalformed
	}
	n := r.uint32()
	if r.bad || uint64(n) > uint64(len(r.b)) {
		return Receiving{}, ErrMalformed
	}
	return JoinReceiving(r.b[:n], r.b[n:])
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
	r := reader{b: b}
	if r.byte() != recordVersion {
		return Receiving{}, false
	}
	c.generation = r.uint64()
	c.binding = r.binding()
	c.next, c.floor = r.uint32(), r.uint32()
	switch r.byte() {
	case stateOpen:
		c.key = chainKey(r.take32())
	case stateClosed:
		c.closed = true
	case stateDisclosed:
		seed := r.take32()
		c.closed, c.seed = true, &seed
		if publicOf(seed) != c.verify {
			return Receiving{}, false
		}
	default:
		return Receiving{}, false
	}
	return c, !r.bad && len(r.b) == 0 && c.valid() && c.floor <= c.next
}

func (r *Receiving) parseSkipped(b []byte) bool {
	in := reader{b: b}
	if in.byte() != recordVersion || in.uint64() != r.generation {
		return false
	}
	n := int(in.uint16())
	if in.bad || n > MaxSkipped || len(in.b) != n*entryLen || r.closed && n > 0 {
		return false
	}
	if n == 0 {
		return true
	}
	r.skipped = make([]skippedKey, n)
	for i := range r.skipped {
		k := &r.skipped[i]
		k.index = in.uint32()
		at := in.uint64()
		k.key = messageKey(in.take32())
		if k.index >= r.next || i > 0 && k.index <= r.skipped[i-1].index || at > maxTime {
			return false
		}
		k.at = int64(at)
	}
	return true
}

// reader takes fixed-size fields off a byte string; bad stays set once one was
// missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) take16() (out [16]byte) {
	copy(out[:], r.take(16))
	return out
}

func (r *reader) take32() (out [32]byte) {
	copy(out[:], r.take(32))
	return out
}
