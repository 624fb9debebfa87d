// The store interfaces of the server (spec/stores.md). They are owned here, by
// their consumer, and speak of opaque bytes: what a record, a prekey or an
// envelope means is not a store's concern.
//
// Three rules hold for every method of every implementation:
//
//   - A method that returns nil has made its effect durable on the number of
//     copies the store is configured for (R-STO-01).
//   - The errors named below are definite: nothing was changed. Every other
//     error, a cancelled context included, means that the outcome is unknown.
//     Calling again with the same arguments is always safe (R-STO-02).
//   - Methods may be called by any number of goroutines. Byte slices passed in
//     are not kept after the call and byte slices returned belong to the caller.

package server

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
)

// Errors of the stores, one for each thing that a caller does differently.
// Implementations may wrap them.
var (
	// ErrNotFound: there is no such account, or no such group for that token.
	ErrNotFound = errors.New("no such account or group")
	// ErrExists: the user name or the group's id is taken by another.
	ErrExists = errors.New("the name is taken")
	// ErrConflict: what a change begins with is not what is held any more: the
	// account record or the group's log has moved on, or another epoch is held.
	ErrConflict = errors.New("what is stored has changed meanwhile")
	// ErrInvite: the invite is unknown, expired or used up.
	ErrInvite = errors.New("the invite is not valid")
	// ErrFull: a device's mailbox has no room. Nothing was stored for any device.
	ErrFull = errors.New("the mailbox is full")
	// ErrRemoved: the device was removed and never receives again.
	ErrRemoved = errors.New("the device was removed")
	// ErrInvalid: the argument breaks a rule of its type; a mistake of the caller.
	ErrInvalid = errors.New("the argument is not valid")
	// ErrTooLarge: a record, key or envelope is over its limit (limits.go).
	ErrTooLarge = errors.New("the value is over its limit")
	// ErrBusy: too much is waiting already; try again a little later.
	ErrBusy = errors.New("the store has too much waiting")
	// ErrDiskFull: the store has no space or cannot write at the moment. Reads
	// go on; writing resumes by itself once there is space.
	ErrDiskFull = errors.New("the store cannot write: no space or a disk error")
	// ErrDamaged: what is stored is not what was written.
	ErrDamaged = errors.New("the store is damaged")
	// ErrNewer: the store was written by a newer version of this program.
	ErrNewer = errors.New("the store was written by a newer version")
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("the store is in use by another process")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// Stores is what a server runs on. One value may implement all three.
type Stores struct {
	Directory Directory
	Mailbox   Mailbox
	Wake      Wake
}

// DeviceID is a device's random 64-bit id, never zero, under a name that other
// modules can import.
type DeviceID = address.Device

// Device names one device of one account. User is a canonical user name
// (address.User), the host is the server's own.
type Device struct {
	User string
	ID   DeviceID
}

// Version counts the changes of an account record; the first is 1.
type Version uint64

// Account is one account's record: device list, per-device signed and
// last-resort prekeys, in an encoding of the server's.
type Account struct {
	User    string
	Version Version
	Record  []byte
}

// OneTimeKind tells the two kinds of one-time prekeys apart.
type OneTimeKind uint8

// The kinds of one-time prekeys.
const (
	OneTimeEC  OneTimeKind = 1
	OneTimeKEM OneTimeKind = 2
)

// OneTimeKey is the public half of a one-time prekey. ID is unique within the
// device and kind and not zero.
type OneTimeKey struct {
	ID     uint64
	Public []byte
}

// BatchID names one upload of one-time prekeys, such as a prefix of its digest.
type BatchID [16]byte

// OneTimeSet is the whole set of one-time prekeys of one device and kind.
type OneTimeSet struct {
	Device DeviceID
	Kind   OneTimeKind
	Batch  BatchID
	Keys   []OneTimeKey
}

// Taken is what TakeOneTime took; a kind that had run out is nil.
type Taken struct {
	EC, KEM *OneTimeKey
}

// Epoch is a value of a device's choosing that changes with each of its logins.
// What it is compared with is all that it means here.
type Epoch [16]byte

// InviteHash is the SHA-256 of an invite's token: the store cannot give out
// what it does not know.
type InviteHash [32]byte

// Invite is a permission to register.
type Invite struct {
	Hash    InviteHash
	Expires time.Time
	Uses    uint32 // how many registrations are left
}

// Registration is a new account.
type Registration struct {
	User    string
	Record  []byte
	OneTime []OneTimeSet
	// Invite is used up by one in the same transaction; nil asks for none.
	Invite *InviteHash
	// Now is held against the invite's expiry.
	Now time.Time
}

// Change replaces an account record if its version is still Old.
type Change struct {
	User   string
	Old    Version
	Record []byte
	// OneTime sets are replaced in the same transaction, as by PutOneTime.
	OneTime []OneTimeSet
	// Removed devices lose their one-time prekeys and their epoch in the same
	// transaction.
	Removed []DeviceID
}

// Directory holds accounts, one-time prekeys, invites and the logs of groups. It is linearizable:
// each method takes effect at one moment between its call and its return, also
// as seen through other servers on the same store (R-STO-03).
type Directory interface {
	// CreateAccount adds an account at version 1, with its one-time prekeys,
	// and uses the invite: all or nothing. If an account of that name is still
	// at version 1 with the same record, an earlier attempt went through: nil,
	// and no second use of the invite. ErrExists, ErrInvite, ErrTooLarge.
	CreateAccount(ctx context.Context, r Registration) error

	// Account returns the record. ErrNotFound.
	Account(ctx context.Context, user string) (Account, error)

	// UpdateAccount is compare-and-swap: it returns the new version, Old+1. If
	// the stored version is Old+1 with the same record, an earlier attempt went
	// through and that version is returned. ErrNotFound, ErrConflict,
	// ErrTooLarge.
	UpdateAccount(ctx context.Context, c Change) (Version, error)

	// PutOneTime replaces the sets of one-time prekeys of a device. A batch that
	// was put before, though it is no longer the current one, changes nothing, so
	// that a late repetition never brings back keys that were taken; the last
	// RememberBatches of each device and kind are remembered. ErrNotFound,
	// ErrTooLarge.
	PutOneTime(ctx context.Context, user string, sets ...OneTimeSet) error

	// TakeOneTime takes one key of each kind, whichever. The deletion decides:
	// it is durable before the key is returned, so no key is ever returned
	// twice, whatever crashes; keys whose call failed are lost for good. Unknown
	// devices have no keys: that is not an error.
	TakeOneTime(ctx context.Context, dev Device) (Taken, error)

	// AdvanceEpoch moves a device from one epoch to the next. It is done if
	// nothing is held for the device, or from, which to then replaces, or to
	// itself: an earlier attempt whose answer was lost. Else ErrConflict, and
	// what is held stays. ErrNotFound.
	AdvanceEpoch(ctx context.Context, dev Device, from, to Epoch) error

	// CountOneTime counts the keys left. It may be a little stale.
	CountOneTime(ctx context.Context, dev Device) (ec, kem int, err error)

	// PutInvite adds an invite or replaces the one with that hash.
	PutInvite(ctx context.Context, i Invite) error

	// Invite returns an invite, also when it has expired or is used up; ErrInvite
	// if it is unknown. What CreateAccount says counts.
	Invite(ctx context.Context, h InviteHash) (Invite, error)

	// DropInvites removes the invites that had expired by now.
	DropInvites(ctx context.Context, now time.Time) error

	// Generation is a number that grows whenever the store was restored from a
	// copy. A new store has 1.
	Generation(ctx context.Context) (uint64, error)

	// Restored must be called once after a store was restored from a backup or
	// snapshot, before it serves: it voids every one-time prekey, since those
	// taken after the copy was made have come back, forgets every epoch, since
	// devices have moved on from those in the copy, and begins a new generation.
	Restored(ctx context.Context) (generation uint64, err error)

	Groups
}

// Seq orders the messages of one device: strictly increasing in the order they
// became durable, with gaps. Zero is before all.
type Seq uint64

// MessageID makes Append idempotent per device. The server derives it from the
// sender as well as from what the sender chose, so that nobody can occupy
// another sender's id.
type MessageID [16]byte

// Envelope is a message on its way into one device's mailbox.
type Envelope struct {
	Device  Device
	ID      MessageID
	At      time.Time // when the server took it, kept to the millisecond
	Expires time.Time // at most At + MessageLife; zero is that
	Body    []byte
}

// Result is what became of one envelope.
type Result struct {
	Seq Seq
	// Duplicate: the message was there before; Seq is what it got then.
	Duplicate bool
}

// Message is a message in a mailbox.
type Message struct {
	Seq  Seq
	ID   MessageID
	At   time.Time
	Body []byte
	// Damaged: the row was altered in the store; Body is nil. It goes when it
	// expires or is acknowledged.
	Damaged bool
}

// Stat describes a mailbox.
type Stat struct {
	Count  int
	Bytes  int64
	Oldest time.Time // zero when empty
}

// Mailbox keeps messages until they are acknowledged or expire: at least once,
// in order per device. Mailboxes come into being with their first message.
type Mailbox interface {
	// Append stores envelopes for devices of at most two users, a recipient and
	// the sender, all or none, and answers in the order of the argument. Repeating (device, id) within
	// RememberIDs of the first time gives the same Seq and stores nothing, also
	// when the message has been acknowledged since; the first body counts.
	// ErrFull (MailboxMessages, MailboxBytes), ErrRemoved, ErrTooLarge, ErrBusy,
	// ErrDiskFull. A subscriber of Wake is told of it by the implementation.
	Append(ctx context.Context, envelopes []Envelope) ([]Result, error)

	// Read returns messages after a Seq in order, at most limit and, from the
	// second on, maxBytes of bodies; more says that others follow. It sees what
	// any Append that returned has stored, and nothing whose Ack has returned. A
	// message past its expiry may be seen until Expire comes by.
	Read(ctx context.Context, dev Device, after Seq, limit, maxBytes int) (msgs []Message, more bool, err error)

	// Ack removes messages of this device. What is not there is ignored.
	Ack(ctx context.Context, dev Device, seqs []Seq) error

	// Stat may be a little stale.
	Stat(ctx context.Context, dev Device) (Stat, error)

	// Expire removes at most budget rows whose time had come by now and returns
	// how many it removed; fewer than budget means that none is left.
	Expire(ctx context.Context, now time.Time, budget int) (int, error)

	// RemoveDevice deletes the device's mailbox; from then on Append to it gives
	// ErrRemoved. Device ids are never used again.
	RemoveDevice(ctx context.Context, dev Device) error
}

// Wake tells connected devices that something waits. It is a hint and may be
// lost: a subscriber also reads now and then without one.
type Wake interface {
	// Subscribe begins a subscription. Every message of the device that became
	// durable before is seen by a Read begun after Subscribe returned; every later
	// one is followed by a hint. So subscribing first and reading then leaves no
	// gap.
	Subscribe(ctx context.Context, dev Device) (*Subscription, error)
}
