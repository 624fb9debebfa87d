// Package x3dh agrees on a secret with somebody who is away: keys in, one
// 32-byte secret and a first message out. It is the PQXDH shape, X25519 three
// or four times and ML-KEM-1024 once, with the whole transcript bound in the
// key derivation (spec/handshake.md).
//
// The initiator holds an Offer, which package prekeys makes from a bundle it
// has verified; the responder looks up the private halves that the first
// message names and calls Respond. Both learn how strong the forward secrecy
// of the first message is.
//
// Not its concern: sessions, storage, time, and who the peer is. The parties'
// keys and addresses come from verified device lists. Once the first ratchet
// message has opened, and not before, the caller consumes the one-time keys and
// records the SessionID when Strength.Reusable, in the transaction that stores
// the session: a first message is worth nothing until then, and recording it
// early would let whoever carries it use it up.
package x3dh

import (
	"crypto/ed25519"
	"errors"

	"github.com/pawl-chat/pawl/internal/address"
)

// Suite 1: X25519, ML-KEM-1024, HKDF-SHA-256. The only one.
const Suite = 1

// Domain-separation labels (spec/labels.md).
const (
	labelTranscript = "pawl/1 x3dh transcript"
	labelSecret     = "pawl/1 x3dh secret"
	labelAD         = "pawl/1 x3dh associated data"
	labelSession    = "pawl/1 x3dh session id"
)

// Refusals.
var (
	// ErrParty: a party lacks a key, an address or a device id.
	ErrParty = errors.New("x3dh: a party is incomplete")
	// ErrSelf: the peer is this very device.
	ErrSelf = errors.New("x3dh: the peer is this device")
	// ErrOffer: the offer was not made by NewOffer, or lacks a key or an id.
	ErrOffer = errors.New("x3dh: the offer is incomplete")
	// ErrMalformed: the bytes are not one canonical first message.
	ErrMalformed = errors.New("x3dh: malformed first message")
	// ErrSuite: the first message is of a suite this version does not know.
	ErrSuite = errors.New("x3dh: unknown suite")
	// ErrPublicKey: a public key has low order or is not canonical, or an
	// agreement gave zero.
	ErrPublicKey = errors.New("x3dh: unusable public key")
	// ErrIdentity: the first message carries another identity key than the
	// peer's device list.
	ErrIdentity = errors.New("x3dh: the first message is by another identity key")
	// ErrKeys: the private halves are not of the kinds that the first message
	// names.
	ErrKeys = errors.New("x3dh: the prekeys do not fit the first message")
	// ErrReplayed: this first message has been accepted before.
	ErrReplayed = errors.New("x3dh: replayed first message")
)

// Party is the public view of one side: an account and one of its devices, as
// a verified device list gives them.
type Party struct {
	Account  ed25519.PublicKey // account key
	Address  string            // canonical address
	Device   uint64
	Identity PublicKey // long-term X25519 key of the device
}

// check is R-X3D-12.
func (p *Party) check() error {
	if len(p.Account) != ed25519.PublicKeySize || p.Device == 0 || p.Identity.IsZero() ||
		p.Address == "" || len(p.Address) > address.MaxAddress {
		return ErrParty
	}
	return nil
}

// Own is this device: its public view and the private half of its identity
// key.
type Own struct {
	Party
	IdentityKey PrivateKey
}

// KEMKind tells the two kinds of ML-KEM prekeys apart.
type KEMKind uint8

// Kinds of ML-KEM prekeys, numbered as in package prekeys.
const (
	KEMOneTime    KEMKind = 2
	KEMLastResort KEMKind = 3
)

// Strength says what the forward secrecy of a first message rests on
// (R-X3D-09). In every case an attacker needs private halves from one of the
// two devices; what differs is how long the responder keeps them.
type Strength uint8

// Strengths. A key used once is erased when its message arrives; a signed
// prekey and a last-resort key are kept up to 37 days after their
// replacement.
const (
	// OneTime: both a one-time X25519 key and a one-time ML-KEM key.
	OneTime Strength = 1
	// OneTimeKEM: a one-time ML-KEM key only. Once it is erased the message
	// stays closed unless ML-KEM falls.
	OneTimeKEM Strength = 2
	// OneTimeEC: a one-time X25519 key only. Once it is erased the message
	// stays closed unless X25519 falls, as it will to a quantum computer.
	OneTimeEC Strength = 3
	// LastResort: no one-time key. A thief of the device can open the message
	// for as long as the signed and last-resort keys are kept, and the network
	// can deliver it twice: the replay table refuses that.
	LastResort Strength = 4
)

// Reusable reports whether the first message used a last-resort key, which
// stays: its SessionID must be recorded with the id of that key and refused
// from then on, until the key is erased (R-X3D-10).
func (s Strength) Reusable() bool { return s == OneTimeEC || s == LastResort }

// String names the strength for logs and programs.
func (s Strength) String() string {
	switch s {
	case OneTime:
		return "one-time"
	case OneTimeKEM:
		return "one-time-kem"
	case OneTimeEC:
		return "one-time-ec"
	case LastResort:
		return "last-resort"
	}
	return "unknown"
}

func strength(ec bool, kind KEMKind) Strength {
	switch {
	case ec && kind == KEMOneTime:
		return OneTime
	case kind == KEMOneTime:
		return OneTimeKEM
	case ec:
		return OneTimeEC
	}
	return LastResort
}
