package groups

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/kdf"
)

// Author is who made an entry of the roster log.
type Author struct {
	Address string
	Device  uint64
}

// Entry is one entry of the roster log, decrypted. Its signature is not checked
// before Apply.
type Entry struct {
	Seq        uint64
	Prev, Head Head
	Author     Author
	Chain      ChainID   // the author's, of the epoch in which the entry is written
	Time       time.Time // whole seconds, the author's clock
	Change     Change
	State      [32]byte // Roster.Hash after the entry
	Next       [32]byte // commitment to the secret of the epoch that the entry begins; zero if it begins none

	group     ID
	epoch     uint64 // in which the entry is written
	signed    []byte // the body
	signature [signatureLen]byte
}

// Proposal is an entry that is not placed yet.
type Proposal struct {
	Blob   []byte
	Head   Head
	Roster Roster // as it is once the entry is placed
}

type bodyWire struct {
	Author string     `cbor:"1,keyasint"`
	Device uint64     `cbor:"2,keyasint"`
	Chain  []byte     `cbor:"3,keyasint"`
	Time   uint64     `cbor:"4,keyasint"`
	Change changeWire `cbor:"5,keyasint"`
	State  []byte     `cbor:"6,keyasint"`
	Next   []byte     `cbor:"7,keyasint,omitempty"`
}

type entryWire struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte
}

// The encrypted form of an entry (R-GRP-22).
const (
	blobVersion  = 1
	saltLen      = 32
	gcmTagLen    = 16
	blobOverhead = 1 + saltLen + gcmTagLen
	// maxChange leaves room in the longest entry for what stands around the
	// change.
	maxChange = MaxEntry - 1024
)

// writtenIn is the epoch whose secret an entry upon r is encrypted under: its
// own, and the first for the first entry.
func (r *Roster) writtenIn() uint64 { return max(r.Epoch, 1) }

// Propose makes the entry for a change of r, encrypted under the secret s of the
// epoch of r and signed by the author's chain in that epoch (R-GRP-22). next is
// the secret of the epoch that the change begins, and nil if it begins none. For
// Create, r has nothing but the group's id, and s and by are those of epoch 1.
func Propose(r Roster, s Secret, by Sending, author Author, c Change, next *Secret, now time.Time) (Proposal, error) {
	var salt [saltLen]byte
	rand.Read(salt[:])
	return propose(r, s, by, author, c, next, now, &salt)
}

func propose(r Roster, s Secret, by Sending, author Author, c Change, next *Secret, now time.Time, salt *[saltLen]byte) (Proposal, error) {
	c = c.canonical()
	after, err := r.After(author.Address, c, now)
	if err != nil {
		return Proposal{}, err
	}
	epoch := r.writtenIn()
	switch {
	case by.binding == nil || by.group != r.Group || by.epoch != epoch || by.sender.Address != author.Address || by.sender.Device != author.Device,
		(next != nil) != c.Kind.Advances(), r.Epoch > 0 && !r.Holds(s):
		return Proposal{}, ErrEpoch
	case next != nil:
		after.Commitment = next.Commitment(r.Group, after.Epoch)
	case c.Kind == Create:
		after.Commitment = s.Commitment(r.Group, 1)
	}
	seq := r.Seq + 1
	state := after.Hash()
	w := bodyWire{
		Author: author.Address, Device: author.Device, Chain: by.chain[:], Time: uint64(seconds(now)), Change: c.wire(), State: state[:],
	}
	if after.Commitment != r.Commitment {
		w.Next = after.Commitment[:]
	}
	body := codec.Marshal(w)
	plain := codec.Marshal(entryWire{Body: body, Signature: ed25519.Sign(by.private, by.signedEntry(seq, &r.Head, body))})
	blob := sealBlob(s.logKey(r.Group, epoch), salt, r.Group, seq, &r.Head, padEntry(plain))
	after.Seq, after.Head = seq, HeadOf(r.Group, seq, r.Head, blob)
	return Proposal{Blob: blob, Head: after.Head, Roster: after}, nil
}

// signedEntry is what the signature of an entry is over (R-GRP-22): where it
// stands, whose chain signs it, and its body.
func (b *binding) signedEntry(seq uint64, prev *Head, body []byte) []byte {
	out := make([]byte, 0, maxAD)
	out = append(out, labelEntry...)
	out = append(out, b.group[:]...)
	out = binary.BigEndian.AppendUint64(out, b.epoch)
	out = binary.BigEndian.AppendUint64(out, seq)
	out = append(out, prev[:]...)
	out = b.sender.append(out)
	out = append(out, b.chain[:]...)
	sum := sha256.Sum256(body)
	return append(out, sum[:]...)
}

// Read decrypts the entry placed at seq upon prev, written in the epoch of s. A
// blob that is no entry, or not of that place, is ErrMalformed, and void:
// Roster.Skip passes over it. The caller has seen that s is the epoch's secret
// (Roster.Holds), so that every member reads the same.
func Read(g ID, seq uint64, prev Head, s Secret, epoch uint64, blob []byte) (Entry, error) {
	plain, ok := openBlob(s.logKey(g, epoch), g, seq, &prev, blob)
	if !ok {
		return Entry{}, ErrMalformed
	}
	plain, ok = unpadEntry(plain)
	var w entryWire
	if !ok || codec.Unmarshal(plain, MaxEntry, &w) != nil || len(w.Signature) != signatureLen {
		return Entry{}, ErrMalformed
	}
	var b bodyWire
	if codec.Unmarshal(w.Body, MaxEntry, &b) != nil || len(b.Chain) != 16 || len(b.State) != 32 || b.Time > maxTime || b.Device == 0 {
		return Entry{}, ErrMalformed
	}
	if _, err := address.ParseCanonical(b.Author); err != nil {
		return Entry{}, ErrMalformed
	}
	e := Entry{
		Seq: seq, Prev: prev, Head: HeadOf(g, seq, prev, blob), Author: Author{b.Author, b.Device}, Chain: ChainID(b.Chain),
		Time: time.Unix(int64(b.Time), 0).UTC(), State: [32]byte(b.State),
		group: g, epoch: epoch, signed: w.Body, signature: [signatureLen]byte(w.Signature),
	}
	var err error
	if e.Change, err = b.Change.change(); err != nil {
		return Entry{}, ErrMalformed
	}
	if b.Next != nil {
		if len(b.Next) != len(e.Next) {
			return Entry{}, ErrMalformed
		}
		e.Next = [32]byte(b.Next)
	}
	// A commitment stands exactly where an epoch begins (R-GRP-25).
	if (e.Next != [32]byte{}) != (e.Change.Kind == Create || e.Change.Kind.Advances()) || (b.Next != nil) != (e.Next != [32]byte{}) {
		return Entry{}, ErrMalformed
	}
	return e, nil
}

// Skip is the roster after an entry that cannot be read: Seq and Head have moved
// and nothing else (R-GRP-26).
func (r Roster) Skip(blob []byte) Roster {
	r.Head = HeadOf(r.Group, r.Seq+1, r.Head, blob)
	r.Seq++
	return r
}

// Apply is the roster after an entry. verify is the public key of the chain
// that the entry names and s the device that handed it out, both as the
// receiver holds them; a receiver that does not hold the chain asks for it
// first. An entry that the rules do not allow is void: the error says why, and
// next has Seq and Head moved and nothing else, for every member alike
// (R-GRP-26). Only ErrNotNext returns r as it was: e is not the entry after it.
func (r Roster) Apply(e Entry, verify [32]byte, s Sender) (next Roster, err error) {
	if e.group != r.Group || e.Seq != r.Seq+1 || e.Prev != r.Head || e.epoch != r.writtenIn() {
		return r, ErrNotNext
	}
	void := r
	void.Seq, void.Head = e.Seq, e.Head
	// The id binds group, epoch, device and key: a chain of an earlier epoch,
	// whose signing key may be public, signs nothing here (R-GRP-27).
	b := binding{group: r.Group, epoch: e.epoch, chain: e.Chain, sender: s, verify: verify}
	if s.Address != e.Author.Address || s.Device != e.Author.Device || !b.valid() ||
		!ed25519.Verify(verify[:], b.signedEntry(e.Seq, &e.Prev, e.signed), e.signature[:]) {
		return void, ErrForged
	}
	if next, err = r.After(e.Author.Address, e.Change, e.Time); err != nil {
		return void, err
	}
	if e.Next != [32]byte{} {
		next.Commitment = e.Next
	}
	if next.Hash() != e.State {
		return void, ErrState
	}
	next.Seq, next.Head = e.Seq, e.Head
	return next, nil
}

// blobKey is a key of one blob: no nonce is ever used under it but zero.
func blobKey(log [32]byte, salt *[saltLen]byte) cipher.AEAD {
	b := make([]byte, 0, 64)
	b = append(b, labelBlob...)
	b = append(b, salt[:]...)
	key := kdf.HMAC(&log, b)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("groups: unreachable: key length")
	}
	clear(key[:])
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("groups: unreachable: block length")
	}
	return aead
}

// blobAD binds a blob to its place in its log.
func blobAD(g ID, seq uint64, prev *Head) []byte {
	b := make([]byte, 0, 64)
	b = append(b, blobVersion)
	b = append(b, g[:]...)
	b = binary.BigEndian.AppendUint64(b, seq)
	return append(b, prev[:]...)
}

func sealBlob(log [32]byte, salt *[saltLen]byte, g ID, seq uint64, prev *Head, plain []byte) []byte {
	blob := make([]byte, 0, len(plain)+blobOverhead)
	blob = append(blob, blobVersion)
	blob = append(blob, salt[:]...)
	var nonce [12]byte
	return blobKey(log, salt).Seal(blob, nonce[:], plain, blobAD(g, seq, prev))
}

func openBlob(log [32]byte, g ID, seq uint64, prev *Head, blob []byte) ([]byte, bool) {
	if len(blob) < blobOverhead || len(blob) > MaxBlob || blob[0] != blobVersion {
		return nil, false
	}
	salt := [saltLen]byte(blob[1:])
	var nonce [12]byte
	plain, err := blobKey(log, &salt).Open(nil, nonce[:], blob[1+saltLen:], blobAD(g, seq, prev))
	return plain, err == nil
}

// padEntry appends 0x80 and zeros up to a multiple of EntryStep: the server
// learns from a blob little of what it says (R-GRP-28).
func padEntry(b []byte) []byte {
	n := (len(b)/EntryStep + 1) * EntryStep
	out := make([]byte, n)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

// unpadEntry accepts exactly what padEntry returns.
func unpadEntry(b []byte) ([]byte, bool) {
	i := len(b) - 1
	for i >= 0 && b[i] == 0 {
		i--
	}
	if i < 0 || b[i] != 0x80 || len(b) != (i/EntryStep+1)*EntryStep {
		return nil, false
	}
	return b[:i], true
}
