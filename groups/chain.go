package groups

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/kdf"
)

// Sender is the device that writes on a chain, as the pairwise session that
// carried the chain binds it.
type Sender struct {
	Address  string   // canonical
	Device   uint64   // never zero
	Identity [32]byte // the device's X25519 identity key
}

// valid reports whether s names a device.
func (s *Sender) valid() bool {
	_, err := address.ParseCanonical(s.Address)
	return err == nil && s.Device != 0
}

// Before names the chain that a new one takes the place of, and how many
// messages were sent on it (R-GRP-19). The zero Before is none.
type Before struct {
	Chain ChainID
	Count uint32
}

func (b Before) valid() bool { return !b.Chain.IsZero() || b.Count == 0 }

// ChainKey is what a device hands out of its chain: all that opens messages
// from Index on, and nothing that makes them (R-GRP-05).
type ChainKey struct {
	Group   ID
	Epoch   uint64
	Chain   ChainID
	Index   uint32
	Key     [32]byte // chain key at Index
	Verify  [32]byte // Ed25519 public key of the chain
	Created int64    // Unix seconds, by the sender's clock
	Before  Before
}

// ChainIDOf is the id of the chain with that public key: it binds group, epoch,
// device and key, so that the same id never stands for two chains (R-GRP-03).
func ChainIDOf(g ID, epoch uint64, s Sender, verify [32]byte) ChainID {
	b := make([]byte, 0, 512)
	b = append(b, labelChain...)
	b = append(b, g[:]...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = s.append(b)
	b = append(b, verify[:]...)
	sum := sha256.Sum256(b)
	return ChainID(sum[:16])
}

// append writes the sender as it stands in hashes: the address with its length.
func (s *Sender) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.Address)))
	b = append(b, s.Address...)
	b = binary.BigEndian.AppendUint64(b, s.Device)
	return append(b, s.Identity[:]...)
}

// Created times: neither before 1970 nor so late that arithmetic overflows.
const maxTime = 1 << 40

// seconds is now in whole seconds within the range of times.
func seconds(now time.Time) int64 { return min(max(now.Unix(), 0), maxTime) }

// binding is what does not change along a chain. Values are immutable and
// shared by the states of the chain.
type binding struct {
	group   ID
	epoch   uint64
	chain   ChainID
	sender  Sender
	verify  [32]byte
	created int64
	before  Before
}

// get is the binding to read from: an empty one of the zero Sending and the
// zero Receiving.
func (b *binding) get() *binding {
	if b == nil {
		return &binding{}
	}
	return b
}

// valid reports whether the parts fit together (R-GRP-03).
func (b *binding) valid() bool {
	return !b.group.IsZero() && b.epoch != 0 && b.epoch < math.MaxUint64 && b.sender.valid() && b.before.valid() &&
		b.created >= 0 && b.created <= maxTime && b.before.Chain != b.chain &&
		b.chain == ChainIDOf(b.group, b.epoch, b.sender, b.verify)
}

// signed is what the signature of a message is over: the label, the hash of the
// associated data and the hash of the ciphertext (R-GRP-07).
func (b *binding) signed(index uint32, seq uint64, head *Head, ciphertext []byte) []byte {
	var buf [maxAD]byte
	ad := append(buf[:0], labelAD...)
	ad = append(ad, b.group[:]...)
	ad = binary.BigEndian.AppendUint64(ad, b.epoch)
	ad = append(ad, head[:]...)
	ad = binary.BigEndian.AppendUint64(ad, seq)
	ad = b.sender.append(ad)
	ad = append(ad, b.chain[:]...)
	ad = binary.BigEndian.AppendUint32(ad, index)
	x, y := sha256.Sum256(ad), sha256.Sum256(ciphertext)

	out := make([]byte, 0, 96)
	out = append(out, labelMessage...)
	out = append(out, x[:]...)
	return append(out, y[:]...)
}

// maxAD is at least the length of every associated data.
const maxAD = 512

// One type per role: no key is taken for another kind.
type (
	chainKey   [kdf.Size]byte // makes message keys, one way
	messageKey [kdf.Size]byte // encrypts one body
)

// step takes the message key of the next index out of the chain (R-GRP-06).
func (c *chainKey) step() messageKey {
	k, next := kdf.Pair((*[kdf.Size]byte)(c), byteMessageKey, byteChainKey)
	*c = next
	return k
}

// pass steps over an index without making its message key.
func (c *chainKey) pass() {
	*c = kdf.HMAC((*[kdf.Size]byte)(c), []byte{byteChainKey})
}

// xor encrypts or decrypts one body under a key that is used once: AES-256-CTR
// with key and IV expanded from the message key (R-GRP-06).
func (k *messageKey) xor(dst, src []byte) {
	if len(src) == 0 {
		return
	}
	var key, iv [kdf.Size]byte
	kdf.Expand((*[kdf.Size]byte)(k), labelMessageKey, &key, &iv)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("groups: unreachable: key length")
	}
	cipher.NewCTR(block, iv[:aes.BlockSize]).XORKeyStream(dst, src)
	clear(key[:])
}
