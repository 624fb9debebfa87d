package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// Labels of the keys under the master key (spec/labels.md).
const (
	labelKeys = "pawl/1 vault keys"
	labelRow  = "pawl/1 vault row"
)

// blind is the name under which the database knows a key or a group.
type blind [16]byte

// keys are what seals one store.
type keys struct {
	_     [0]func() // not comparable
	aead  cipher.AEAD
	index [32]byte
}

// Format prints a placeholder, whatever the verb.
func (*keys) Format(f fmt.State, _ rune) { io.WriteString(f, "vault.keys(redacted)") }

// derive splits the master key into one key for rows and one for names.
func derive(master *[32]byte) *keys {
	var row [32]byte
	k := new(keys)
	kdf.Expand(master, labelKeys, &row, &k.index)
	aead, err := chacha20poly1305.NewX(row[:])
	if err != nil {
		panic("vault: unreachable: key length")
	}
	clear(row[:])
	k.aead = aead
	return k
}

// Kinds of blinded names: a key and a group of equal bytes have different names.
const (
	ofKey   = 1
	ofGroup = 2
)

// name blinds b, a key or group of the table.
func (k *keys) name(kind byte, table string, b []byte) blind {
	// R-VLT-02
	var buf [192]byte
	m := append(buf[:0], kind, byte(len(table)))
	m = append(m, table...)
	m = append(m, b...)
	sum := kdf.HMAC(&k.index, m)
	return blind(sum[:16])
}

// rowHead is the length of the three lengths in front of a row's plaintext.
const rowHead = 2 + 2 + 4

// sealedSize is the length of a sealed row: nonce, padded plaintext, tag.
func sealedSize(key, group, value int) int {
	n := rowHead + key + group + value
	n += (padTo - n%padTo) % padTo
	return chacha20poly1305.NonceSizeX + n + chacha20poly1305.Overhead
}

// rowAD appends to dst what a sealed row is bound to: its place in the store.
func rowAD(dst []byte, table string, key, group blind, order int64) []byte {
	dst = append(dst, labelRow...)
	dst = append(dst, 0, version, byte(len(table)))
	dst = append(dst, table...)
	dst = append(dst, key[:]...)
	dst = append(dst, group[:]...)
	return binary.BigEndian.AppendUint64(dst, uint64(order))
}

// seal returns the row sealed for its place, in the memory of buf when it is
// large enough.
func (k *keys) seal(buf []byte, table string, kb, gb blind, r Row) []byte {
	var nonce [chacha20poly1305.NonceSizeX]byte
	rand.Read(nonce[:])
	return k.sealWith(buf, nonce, table, kb, gb, r)
}

// sealWith is seal with its nonce given.
func (k *keys) sealWith(buf []byte, nonce [chacha20poly1305.NonceSizeX]byte, table string, kb, gb blind, r Row) []byte {
	// R-VLT-03
	size := sealedSize(len(r.Key), len(r.Group), len(r.Value))
	if cap(buf) < size {
		buf = make([]byte, size, size+size/4)
	}
	buf = buf[:size]
	copy(buf, nonce[:])
	plain := buf[chacha20poly1305.NonceSizeX : size-chacha20poly1305.Overhead]
	binary.BigEndian.PutUint16(plain[0:], uint16(len(r.Key)))
	binary.BigEndian.PutUint16(plain[2:], uint16(len(r.Group)))
	binary.BigEndian.PutUint32(plain[4:], uint32(len(r.Value)))
	n := rowHead
	n += copy(plain[n:], r.Key)
	n += copy(plain[n:], r.Group)
	n += copy(plain[n:], r.Value)
	clear(plain[n:])
	var ad [128]byte
	k.aead.Seal(plain[:0], buf[:chacha20poly1305.NonceSizeX], plain, rowAD(ad[:0], table, kb, gb, r.Order))
	return buf
}

// open opens a sealed row that the database keeps under kb, gb and order. The
// slices of the row lie in memory of their own, which sealed is turned into.
func (k *keys) open(sealed []byte, table string, kb, gb blind, order int64) (Row, error) {
	// R-VLT-03
	if len(sealed) < sealedSize(0, 0, 0) {
		return Row{}, ErrDamaged
	}
	nonce, body := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	var ad [128]byte
	plain, err := k.aead.Open(body[:0], nonce, body, rowAD(ad[:0], table, kb, gb, order))
	if err != nil {
		return Row{}, ErrDamaged
	}
	nk := int(binary.BigEndian.Uint16(plain[0:]))
	ng := int(binary.BigEndian.Uint16(plain[2:]))
	nv := int(binary.BigEndian.Uint32(plain[4:]))
	if rowHead+nk+ng+nv > len(plain) {
		return Row{}, ErrDamaged
	}
	rest := plain[rowHead:]
	r := Row{Order: order}
	r.Key, rest = rest[:nk:nk], rest[nk:]
	r.Group, rest = rest[:ng:ng], rest[ng:]
	r.Value = rest[:nv:nv]
	return r, nil
}

// named reports whether a row opened is the row asked for.
func (r *Row) named(key []byte) bool { return bytes.Equal(r.Key, key) }
