package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// Errors, one for each thing a person does differently.
var (
	ErrNotBackup       = errors.New("backup: this is not a backup of pawl")
	ErrNewer           = errors.New("backup: made by a newer version of pawl")
	ErrPurpose         = errors.New("backup: a sealed file of another purpose")
	ErrDamaged         = errors.New("backup: damaged or cut short")
	ErrWrongPassphrase = errors.New("backup: the passphrase does not open it")
	ErrPassphrase      = errors.New("backup: not a passphrase: empty, too long, or with control characters")
	ErrCost            = errors.New("backup: it demands more work than is reasonable")
	ErrRecord          = errors.New("backup: it holds a record that pawl does not write")
)

// Labels of spec/labels.md.
const (
	labelKeys   = "pawl/1 backup keys"
	labelChunk  = "pawl/1 backup chunk"
	labelHeader = "pawl/1 backup header"
)

// magic opens every file. Its line ends show transfers that change them.
const magic = "PAWL BACKUP\r\n\x1a"

const version = 1

// Purpose says what a sealed file is for.
type Purpose uint8

// Purposes.
const (
	Whole    Purpose = 1 // identity, contacts, messages
	Recovery Purpose = 2 // identity only
)

// Cost is the price of one guess at the passphrase.
type Cost struct {
	Time, Memory uint32 // Memory in KiB
	Threads      uint8
}

func defaultCost() Cost { return Cost{argonTime, argonMemory, argonThreads} }

// valid bounds what a file may demand before anything is computed (R-BAK-02).
func (c Cost) valid() bool {
	return c.Time >= 1 && c.Time <= maxArgonTime && c.Memory >= minArgonMemory && c.Memory <= maxArgonMemory &&
		c.Threads >= 1 && c.Threads <= maxArgonThreads
}

// Offsets of the header's fields, as in the table of spec/backup.md.
const (
	atVersion  = 14
	atPurpose  = 16
	atThreads  = 17
	atTime     = 18
	atMemory   = 22
	atSalt     = 26
	atPrefix   = 58
	atCheck    = 73
	atSum      = 89
	headerSize = 97

	prefixSize = atCheck - atPrefix
	checkSize  = atSum - atCheck
)

// keys are what a passphrase and a header give.
type keys struct {
	payload [32]byte
	check   [32]byte
}

// derive stretches the passphrase (R-BAK-02).
func derive(passphrase []byte, salt *[32]byte, c Cost) (k keys) {
	stretched := argon2.IDKey(passphrase, salt[:], c.Time, c.Memory, c.Threads, 32)
	prk := kdf.Extract(salt, stretched)
	clear(stretched)
	kdf.Expand(&prk, labelKeys, &k.payload, &k.check)
	clear(prk[:])
	return k
}

// normalise checks a passphrase and makes its spellings one (R-BAK-02).
func normalise(passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 || len(passphrase) > MaxPassphrase || !utf8.Valid(passphrase) {
		return nil, ErrPassphrase
	}
	p, err := precis.OpaqueString.Bytes(passphrase)
	if err != nil || len(p) > MaxPassphrase {
		return nil, ErrPassphrase
	}
	return p, nil
}

func checksum(header []byte) []byte {
	b := append([]byte(labelHeader), 0)
	sum := sha256.Sum256(append(b, header[:atSum]...))
	return sum[:headerSize-atSum]
}

// makeHeader returns a header and the payload key, all randomness given.
func makeHeader(p Purpose, passphrase []byte, c Cost, salt [32]byte, prefix [prefixSize]byte) (header []byte, payload [32]byte) {
	k := derive(passphrase, &salt, c)
	b := binary.BigEndian.AppendUint16([]byte(magic), version)
	b = append(b, byte(p), c.Threads)
	b = binary.BigEndian.AppendUint32(b, c.Time)
	b = binary.BigEndian.AppendUint32(b, c.Memory)
	b = append(b, salt[:]...)
	b = append(b, prefix[:]...)
	b = append(b, k.check[:checkSize]...)
	return append(b, checksum(b)...), k.payload
}

// openHeader checks a header and returns the payload key. Damage is told apart
// from a wrong passphrase, and a demand beyond bounds from both, before
// anything is computed (R-BAK-02, R-BAK-03).
func openHeader(b []byte, p Purpose, passphrase []byte) (payload [32]byte, err error) {
	if string(b[:len(magic)]) != magic {
		return payload, ErrNotBackup
	}
	if binary.BigEndian.Uint16(b[atVersion:]) > version {
		return payload, ErrNewer
	}
	if !kdf.Equal(b[atSum:], checksum(b)) || binary.BigEndian.Uint16(b[atVersion:]) != version {
		return payload, ErrDamaged
	}
	if Purpose(b[atPurpose]) != p {
		return payload, ErrPurpose
	}
	c := Cost{binary.BigEndian.Uint32(b[atTime:]), binary.BigEndian.Uint32(b[atMemory:]), b[atThreads]}
	if !c.valid() {
		return payload, ErrCost
	}
	k := derive(passphrase, (*[32]byte)(b[atSalt:atPrefix]), c)
	if !kdf.Equal(k.check[:checkSize], b[atCheck:atSum]) {
		return payload, ErrWrongPassphrase
	}
	return k.payload, nil
}
