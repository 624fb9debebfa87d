package braid

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// One type per role: no key is taken for another kind.
type (
	authKey   [kdf.Size]byte // authenticates one epoch and makes the next one's
	macKey    [kdf.Size]byte // authenticates one header or one ciphertext
	kemSecret [kdf.Size]byte // what ML-KEM gives
)

// Secret is what an epoch yields, the same on both sides (R-BRD-05). The zero
// Secret, of epoch 0, is none.
type Secret struct {
	_     [0]func() // not comparable
	Epoch uint32
	Key   [32]byte
}

// Secrets print a placeholder whatever the verb (R-BRD-06). The structs that
// hold them need one too: fmt does not call methods of unexported fields.
func (authKey) Format(f fmt.State, _ rune)   { redacted(f) }
func (macKey) Format(f fmt.State, _ rune)    { redacted(f) }
func (kemSecret) Format(f fmt.State, _ rune) { redacted(f) }
func (Secret) Format(f fmt.State, _ rune)    { redacted(f) }
func (offering) Format(f fmt.State, _ rune)  { redacted(f) }
func (answering) Format(f fmt.State, _ rune) { redacted(f) }
func (State) Format(f fmt.State, _ rune)     { redacted(f) }
func (Sent) Format(f fmt.State, _ rune)      { redacted(f) }
func (Received) Format(f fmt.State, _ rune)  { redacted(f) }

func redacted(f fmt.State) { io.WriteString(f, "braid(redacted)") }

// start derives the first authentication key (R-BRD-07).
func start(secret *[kdf.Size]byte) (a authKey) {
	kdf.Expand(secret, labelStart, (*[kdf.Size]byte)(&a))
	return a
}

func number(epoch uint32) (b [4]byte) {
	binary.BigEndian.PutUint32(b[:], epoch)
	return b
}

// header is the MAC of a header (R-BRD-08).
func (a *authKey) header(epoch uint32, header *[headerLen]byte) [tagLen]byte {
	var k macKey
	kdf.Expand((*[kdf.Size]byte)(a), labelHeader, (*[kdf.Size]byte)(&k))
	e := number(epoch)
	tag := kdf.Tag((*[kdf.Size]byte)(&k), e[:], header[:])
	clear(k[:])
	return tag
}

// advance mixes the secret of the KEM into the authentication key. Out come the
// key of the next epoch, what this epoch yields, and the key that authenticates
// its ciphertext: who knows the old key only, having stolen a state, knows none
// of them (R-BRD-07).
func (a *authKey) advance(epoch uint32, shared *kemSecret) (next authKey, yield Secret, ciphertext macKey) {
	e := number(epoch)
	var in [kdf.Size + 4]byte
	copy(in[:], shared[:])
	copy(in[kdf.Size:], e[:])
	prk := kdf.Extract((*[kdf.Size]byte)(a), in[:])
	yield.Epoch = epoch
	kdf.Expand(&prk, labelEpoch, (*[kdf.Size]byte)(&next), &yield.Key, (*[kdf.Size]byte)(&ciphertext))
	clear(prk[:])
	clear(in[:])
	clear(shared[:])
	return next, yield, ciphertext
}

// ciphertext is the MAC of a ciphertext and of the header that it answers
// (R-BRD-08).
func (k *macKey) ciphertext(epoch uint32, header *[headerLen]byte, ct1, ct2 []byte) [tagLen]byte {
	var in [headerLen + ct1Len + ct2Len]byte
	n := copy(in[:], header[:])
	n += copy(in[n:], ct1)
	copy(in[n:], ct2)
	e := number(epoch)
	tag := kdf.Tag((*[kdf.Size]byte)(k), e[:], in[:])
	clear(k[:])
	return tag
}
