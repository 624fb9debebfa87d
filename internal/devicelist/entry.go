package devicelist

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"filippo.io/edwards25519"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
)

// Entry is one signed, encoded version of a device list (R-IDN-03):
// the CBOR array [body, signature] (spec/cddl/identity.cddl).
type Entry = []byte

type wireEntry struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte
}

type wireList struct {
	Version uint64       `cbor:"1,keyasint"`
	Prev    []byte       `cbor:"2,keyasint"`
	Time    uint64       `cbor:"3,keyasint"`
	Account []byte       `cbor:"4,keyasint"`
	Address string       `cbor:"5,keyasint"`
	Devices []wireDevice `cbor:"6,keyasint"`
}

type wireDevice struct {
	ID      uint64   `cbor:"1,keyasint"`
	Sign    []byte   `cbor:"2,keyasint"`
	DH      []byte   `cbor:"3,keyasint"`
	Name    string   `cbor:"4,keyasint"`
	Status  uint64   `cbor:"5,keyasint"`
	AddedAt uint64   `cbor:"6,keyasint"`
	Caps    []uint64 `cbor:"7,keyasint,omitempty"`
	Proof   []byte   `cbor:"8,keyasint"`
}

// Sign encodes l and signs it with the account key. It refuses a list that
// Verify would refuse, with the same error, so that nobody publishes a list
// that peers cannot accept.
func Sign(l List, key ed25519.PrivateKey) (Entry, error) {
	body := codec.Marshal(toWire(&l))
	entry := codec.Marshal(wireEntry{Body: body, Signature: ed25519.Sign(key, listMessage(body))})
	if _, err := Verify(entry); err != nil {
		return nil, err
	}
	return entry, nil
}

// Verify decodes an entry and checks what can be checked without knowing any
// other: its encoding, limits, keys, the account signature and every device's
// proof (R-IDN-09, R-IDN-12). Whether it is the account one means, and extends
// what one holds, is for VerifyChain, Extend and Advance.
func Verify(entry []byte) (List, error) { return verify(entry, nil) }

// verify is Verify; proofs that prev already carries for the same device are
// not checked again.
func verify(entry []byte, prev *List) (List, error) {
	var e wireEntry
	if err := codec.Unmarshal(entry, MaxEntry, &e); err != nil {
		if errors.Is(err, codec.ErrTooLong) {
			return List{}, ErrLimit
		}
		return List{}, ErrMalformed
	}
	var w wireList
	if err := codec.Unmarshal(e.Body, MaxEntry, &w); err != nil {
		return List{}, ErrMalformed
	}
	l, err := fromWire(&w)
	if err != nil {
		return List{}, err
	}
	if len(e.Signature) != ed25519.SignatureSize || !ed25519.Verify(l.Account, listMessage(e.Body), e.Signature) {
		return List{}, ErrSignature
	}
	for i := range l.Devices {
		d := &l.Devices[i]
		if prev != nil && i < len(prev.Devices) && prev.Account.Equal(l.Account) && prev.Address == l.Address && sameDevice(&prev.Devices[i], d) {
			continue
		}
		if len(d.Proof) != ed25519.SignatureSize || !ed25519.Verify(d.Sign, proofMessage(l.Account, l.Address, d), d.Proof) {
			return List{}, ErrProof
		}
	}
	l.hash = Hash(entry)
	return l, nil
}

// Hash names an entry: the next version carries it (R-IDN-10).
func Hash(entry []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(labelHash))
	h.Write(entry)
	return [32]byte(h.Sum(nil))
}

func listMessage(body []byte) []byte { return append([]byte(labelList), body...) }

// proofMessage is what a device signs: label ‖ account key ‖ device id ‖
// signing key ‖ DH key ‖ address. Only the address varies in length, and it is
// last.
func proofMessage(account ed25519.PublicKey, addr address.Address, d *Device) []byte {
	m := []byte(labelProof)
	m = append(m, account...)
	m = binary.BigEndian.AppendUint64(m, uint64(d.ID))
	m = append(m, d.Sign...)
	m = append(m, d.DH.Bytes()...)
	return append(m, addr.String()...)
}

func toWire(l *List) wireList {
	w := wireList{
		Version: l.Version,
		Prev:    l.Prev[:],
		Time:    uint64(l.Time),
		Account: l.Account,
		Address: l.Address.String(),
		Devices: make([]wireDevice, 0, len(l.Devices)),
	}
	for i := range l.Devices {
		d := &l.Devices[i]
		w.Devices = append(w.Devices, wireDevice{
			ID: uint64(d.ID), Sign: d.Sign, DH: d.DH.Bytes(), Name: d.Name, Status: uint64(d.Status),
			AddedAt: uint64(d.AddedAt), Caps: d.Caps, Proof: d.Proof,
		})
	}
	return w
}

func fromWire(w *wireList) (List, error) {
	if w.Version == 0 || len(w.Prev) != 32 || w.Time > MaxTime {
		return List{}, ErrMalformed
	}
	if w.Version > MaxChain {
		return List{}, ErrLimit
	}
	l := List{Version: w.Version, Prev: [32]byte(w.Prev), Time: int64(w.Time), Account: w.Account}
	if (w.Version == 1) != (l.Prev == [32]byte{}) {
		return List{}, ErrMalformed
	}
	if err := checkSigningKey(w.Account); err != nil {
		return List{}, err
	}
	a, err := address.ParseCanonical(w.Address)
	if err != nil {
		return List{}, ErrMalformed
	}
	l.Address = a
	if len(w.Devices) == 0 {
		return List{}, ErrMalformed
	}
	if len(w.Devices) > MaxDevices {
		return List{}, ErrLimit
	}
	active := 0
	ids := make(map[uint64]bool, len(w.Devices))
	keys := map[[32]byte]bool{[32]byte(w.Account): true}
	for i := range w.Devices {
		d, err := deviceFromWire(&w.Devices[i])
		if err != nil {
			return List{}, err
		}
		if ids[uint64(d.ID)] {
			return List{}, ErrMalformed
		}
		ids[uint64(d.ID)] = true
		// No key serves twice, neither for two devices nor for two uses (R-IDN-06).
		for _, k := range [][32]byte{[32]byte(d.Sign), d.DH.Array()} {
			if keys[k] {
				return List{}, ErrKey
			}
			keys[k] = true
		}
		if d.Status == Active {
			active++
		}
		l.Devices = append(l.Devices, d)
	}
	if active > MaxActive {
		return List{}, ErrLimit
	}
	return l, nil
}

func deviceFromWire(w *wireDevice) (Device, error) {
	if w.ID == 0 || w.AddedAt > MaxTime || (w.Status != uint64(Active) && w.Status != uint64(Revoked)) {
		return Device{}, ErrMalformed
	}
	if len(w.Caps) > MaxCaps {
		return Device{}, ErrLimit
	}
	for i := 1; i < len(w.Caps); i++ {
		if w.Caps[i] <= w.Caps[i-1] {
			return Device{}, ErrMalformed
		}
	}
	if err := CheckName(w.Name); err != nil {
		return Device{}, err
	}
	if err := checkSigningKey(w.Sign); err != nil {
		return Device{}, err
	}
	key, err := dh.ParsePublic(w.DH)
	if err != nil {
		return Device{}, ErrKey
	}
	return Device{
		ID: address.Device(w.ID), Sign: w.Sign, DH: key, Name: w.Name, Status: Status(w.Status),
		AddedAt: int64(w.AddedAt), Caps: w.Caps, Proof: w.Proof,
	}, nil
}

// CheckName says whether a device may have that name: at most 64 bytes of
// UTF-8 without control, format (bidirectional overrides, zero width), line
// separator, private-use or unassigned-for-ever characters (R-IDN-11). It may
// be empty.
func CheckName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("%w: device name longer than %d bytes", ErrLimit, MaxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: device name is not UTF-8", ErrMalformed)
	}
	for _, r := range name {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs, unicode.Noncharacter_Code_Point) {
			return fmt.Errorf("%w: device name has a control or formatting character", ErrMalformed)
		}
	}
	return nil
}

// checkSigningKey accepts Ed25519 public keys that are canonical points not of
// low order (R-IDN-05): under a low-order key, signatures verify that nobody
// in particular made.
func checkSigningKey(b []byte) error {
	if len(b) != ed25519.PublicKeySize {
		return ErrMalformed
	}
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil || [32]byte(p.Bytes()) != [32]byte(b) {
		return ErrKey
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return ErrKey
	}
	return nil
}
