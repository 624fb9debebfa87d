// Package devicelist says which devices an account has: a list of devices,
// signed by the account key, each version linked by hash to the one before
// (spec/identity.md). A person who has pinned an account key accepts a list
// only when it verifies and extends the list held before.
//
// It also derives the safety number that two people compare, from their
// account keys alone.
//
// Not its concern: how lists travel, where they are kept, and what a person is
// told when one changes.
package devicelist

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/dh"
)

// Domain-separation labels (spec/labels.md).
const (
	labelList  = "pawl/1 device list"
	labelProof = "pawl/1 device proof"
	labelHash  = "pawl/1 device entry hash"
)

// Refusals. Each has one meaning for the caller; none carries input.
var (
	// ErrMalformed: not one canonical entry, or a field outside its rules.
	ErrMalformed = errors.New("devicelist: malformed entry")
	// ErrLimit: more devices, longer names or more versions than allowed.
	ErrLimit = errors.New("devicelist: entry exceeds a limit")
	// ErrKey: a public key is of low order, not canonical, or used twice.
	ErrKey = errors.New("devicelist: entry holds an unusable key")
	// ErrSignature: the account key did not sign this entry.
	ErrSignature = errors.New("devicelist: account signature does not verify")
	// ErrProof: a device has not proved that it holds its signing key.
	ErrProof = errors.New("devicelist: device proof does not verify")
	// ErrAccount: the entry is signed by another account key than the one held.
	ErrAccount = errors.New("devicelist: entry of another account key")
	// ErrAddress: the entry is for another address than the one held.
	ErrAddress = errors.New("devicelist: entry of another address")
	// ErrRollback: the entry or chain is older than what is held.
	ErrRollback = errors.New("devicelist: older than the list held")
	// ErrFork: two different lists with the same account and version.
	ErrFork = errors.New("devicelist: fork of the list held")
	// ErrNotExtending: not the next version, or it takes back what an earlier
	// version said: a device vanished, changed keys, or came back from revoked.
	ErrNotExtending = errors.New("devicelist: does not extend the list held")
	// ErrTime: dated before the version it extends.
	ErrTime = errors.New("devicelist: dated before the list it extends")
)

// Status of a device. A revoked device stays revoked.
type Status uint8

// Statuses.
const (
	Active  Status = 1
	Revoked Status = 2
)

// Device is one device of an account. ID, Sign, DH, AddedAt and Proof never
// change once listed; Name and Caps may, and Status may go from Active to
// Revoked.
type Device struct {
	ID      address.Device
	Sign    ed25519.PublicKey // signs prekeys and logs in; never messages
	DH      dh.PublicKey      // long-term key of the handshake
	Name    string
	Status  Status
	AddedAt int64    // unix seconds
	Caps    []uint64 // what the device understands, ascending; may be empty
	Proof   []byte   // made by NewDevice with the private half of Sign
}

// List is a device list. The values that Verify, Extend and VerifyChain return
// are verified; those that First and Next return are drafts for Sign.
type List struct {
	Version uint64   // 1 for the first
	Prev    [32]byte // Hash of the previous entry; zero for the first
	Time    int64    // unix seconds
	Account ed25519.PublicKey
	Address address.Address
	Devices []Device // in the order they were added

	hash [32]byte // of the entry this was decoded from
}

// NewDevice describes an active device and proves possession of its signing
// key for this account and address (R-IDN-08).
func NewDevice(account ed25519.PublicKey, addr address.Address, id address.Device, sign ed25519.PrivateKey, key dh.PublicKey, name string, now time.Time) Device {
	d := Device{
		ID:      id,
		Sign:    sign.Public().(ed25519.PublicKey),
		DH:      key,
		Name:    name,
		Status:  Active,
		AddedAt: now.Unix(),
	}
	d.Proof = ed25519.Sign(sign, proofMessage(account, addr, &d))
	return d
}

// First drafts version 1 of an account's list.
func First(account ed25519.PublicKey, addr address.Address, device Device, now time.Time) List {
	return List{Version: 1, Time: now.Unix(), Account: account, Address: addr, Devices: []Device{device}}
}

// Next drafts the version after l, with the same devices to change from. Its
// time is now, or that of l when the clock is behind it.
func (l List) Next(now time.Time) List {
	n := l
	n.Version++
	n.Prev = l.hash
	n.hash = [32]byte{}
	n.Time = max(now.Unix(), l.Time)
	n.Devices = slices.Clone(l.Devices)
	return n
}

// Hash is the hash of the entry that l was decoded from: what names this
// version of the list. It is zero for a draft.
func (l List) Hash() [32]byte { return l.hash }

// Device returns the device with that id, revoked ones included.
func (l List) Device(id address.Device) (Device, bool) {
	for _, d := range l.Devices {
		if d.ID == id {
			return d, true
		}
	}
	return Device{}, false
}

// Active returns the devices that are not revoked, in the order they were
// added.
func (l List) Active() []Device {
	var out []Device
	for _, d := range l.Devices {
		if d.Status == Active {
			out = append(out, d)
		}
	}
	return out
}
