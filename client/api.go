package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"time"
)

// Config says where a device's home is and how its store is opened.
type Config struct {
	// Home is the directory that holds the store, its lock and its socket. It
	// is created with mode 0700 by Register.
	Home string
	// Unlock opens the store. A client that reaches a running owner process
	// through its socket needs none.
	Unlock Unlock
	// Log receives operational messages; nil discards them. Nothing secret and
	// nobody's name is logged.
	Log *slog.Logger
	// OutboxFor is how long a message that cannot leave is tried before it fails;
	// zero is twelve hours.
	OutboxFor time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Dial opens the transport below TLS to a server; nil is plain TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	probe *probe // a simulation's; nil in every real client
}

// Unlock is what opens the sealed store: a passphrase (Argon2id) or a key file
// of 32 random bytes. Exactly one is set.
type Unlock struct {
	Passphrase []byte
	KeyFile    string
}

// RegisterRequest is what a new account needs.
type RegisterRequest struct {
	// Name is the user name, or user@host[:port]; the host may be left out when
	// Invite carries it.
	Name string
	// Invite is an invite link pawl://…; empty for a server that is open, whose
	// certificate must then verify by the system's roots.
	Invite string
	// DeviceName is shown to one's own devices and to peers; may be empty.
	DeviceName string
}

// LinkRequest is what a device needs that is to join an account.
type LinkRequest struct {
	// DeviceName is shown to one's own devices and to peers; may be empty.
	DeviceName string
	// Server is where the two devices meet: host[:port], a whole address, or an
	// invite link. Empty means that the other device comes here directly, over the
	// local machine or network.
	Server string
	// Listen is where a device without Server waits for the other one; empty is
	// a free port on all addresses of this machine.
	Listen string
	// Show is called once with what the person carries to the other device, and
	// compares.
	Show func(LinkOffer)
}

// LinkOffer is what a waiting device shows.
type LinkOffer struct {
	URI     string // for a QR code or a paste
	Code    string // short; both devices show the same
	Expires time.Time
}

// ApproveOptions say what a device that joins the account is given.
type ApproveOptions struct {
	// History lets the new device fetch the messages that this one has.
	History bool
}

// HistoryProgress is how far a new device's copy of the history has come.
type HistoryProgress struct {
	Offered  bool // another device lets this one fetch its history
	Messages int  // that have come
	Total    int  // about how many there are; zero for not known yet
	Done     bool
}

// HistoryGiven is how much of the history of this device another one, which it
// was offered to, has been handed.
type HistoryGiven struct {
	Device   string
	Messages int       // that were handed out
	Total    int       // about how many there are; zero for not known yet
	Asked    time.Time // when that device last asked; zero for not yet
	Done     bool      // it was given the last page
}

// Account is this device's account.
type Account struct {
	Address    string
	Device     string // 16 hexadecimal digits
	DeviceName string
	Server     string // host[:port]
	CreatedAt  time.Time
	Identity   string // account key fingerprint, printable
}

// Direction tells own messages from others'.
type Direction string

// Directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Kind is what a message is.
type Kind string

// Kinds. A message of a kind this version does not know is kept with
// KindUnknown.
const (
	KindText    Kind = "text"
	KindUnknown Kind = "unknown"
	// KindUndecryptable is a tombstone: a message came that could not be
	// opened; Cause says why.
	KindUndecryptable Kind = "undecryptable"
	// KindNotice is something the person must see about the conversation,
	// such as a changed identity; Notice says which.
	KindNotice Kind = "notice"
)

// Notices.
const (
	NoticeIdentityChanged = "identity_changed"
	NoticeSessionReset    = "session_reset"
	// NoticeLastResort: a first message found no one-time key and rests on keys
	// that the recipient keeps for weeks.
	NoticeLastResort = "last_resort_key"
	// The device list of a contact or, in one's own conversation, of the account
	// has changed; Message.Text names the device.
	NoticeDeviceAdded   = "device_added"
	NoticeDeviceRevoked = "device_revoked"
	NoticeDeviceRenamed = "device_renamed"
	// NoticeAccountRecovered: every earlier device was revoked at once and a new
	// one added, by whoever holds the account key.
	NoticeAccountRecovered = "account_recovered"
	// NoticeRelinked: this home went on as a new device; in one's own
	// conversation, Message.Text names it.
	NoticeRelinked = "relinked"
	// Alarms: the server has shown a device list that contradicts the one that is
	// held, or an older one. What is held stays.
	NoticeListForked     = "device_list_forked"
	NoticeListRolledBack = "device_list_rolled_back"
	// Messages of a contact's device were sent and have not come; and, later,
	// what was missing was sent again.
	NoticeMessagesMissing   = "messages_missing"
	NoticeMessagesRecovered = "messages_recovered"
	// NoticeBadSignature: a message carried a signature that does not hold. It is
	// shown as one without.
	NoticeBadSignature = "signature_invalid"
)

// Status is how far an own message has come, or whether another's was read.
type Status string

// Statuses. Each is a separate claim; none implies a later one. Of several
// devices the furthest decides: a message is delivered or read as soon as one
// device of the recipient says so, and PerDevice tells of each. A message to a
// group is as far as the member who has it least, and PerMember tells of each.
const (
	StatusSending   Status = "sending"   // durable here, not yet at the server
	StatusAccepted  Status = "accepted"  // durable at the server
	StatusDelivered Status = "delivered" // a device of the recipient has stored it
	StatusRead      Status = "read"      // a device of the recipient has shown it
	StatusFailed    Status = "failed"    // Cause says why
	StatusReceived  Status = "received"  // incoming
)

// Message is one entry of a conversation.
type Message struct {
	ID           string // 26 characters of base32, chosen by the sender
	Conversation string // the peer's address, or a group's id
	From         string
	FromDevice   string
	To           string
	Direction    Direction
	Kind         Kind
	Text         string
	Subject      string
	ReplyTo      string // ID of another message
	Group        string // the group's id, which is its conversation; empty between two people
	Mentions     []string
	RetoldBy     string // from before one joined a group: who has told of it; that From said so is their word
	Notice       string // KindNotice only
	Cause        string // why it failed or cannot be opened: a stable word; ExplainCause has plain ones
	Repair       RepairState
	Repaired     bool // KindUndecryptable: what was lost was sent again
	Expired      bool // its lifetime is over: text and subject are erased
	SentAt       time.Time
	ReceivedAt   time.Time // zero for own messages
	ExpiresAt    time.Time // zero when it has no lifetime
	Status       Status
	PerDevice    map[string]Status // own messages: recipient device id → status; failed also for one whose mailbox was full
	PerMember    map[string]Status // own messages to a group: address → status, the furthest of their devices
	SealedAt     time.Time         // own messages: when first sealed; zero for not yet
	AcceptedAt   time.Time         // own messages: when the server had it; zero for not yet
	// Signature says of a message whose author asked for a signature whether it
	// holds; empty for all others.
	Signature SignatureState
	// Sealed tells where each copy stands: of an own message one for each device
	// it was sealed for, of another's the one that was opened here.
	Sealed      []SealedCopy
	SentAgainAt time.Time // own messages: when last sent again to a device that could not open it; zero for never
	// Receipts holds when each device of the recipient said what PerDevice
	// tells, by this device's clock.
	Receipts map[string]ReceiptTimes
}

// RepairState is what became of a message that could not be opened, after its
// sender's device was asked for it. It is empty when nobody was asked.
type RepairState string

// States of a repair.
const (
	RepairAsked   RepairState = "asked"
	RepairDone    RepairState = "repaired" // messages were sent again and have come
	RepairNothing RepairState = "nothing"  // the device says that it has nothing that is not here
)

// ReceiptTimes is when receipts came from one device; zero for not yet. A
// message that was read may have come without a receipt of its delivery.
type ReceiptTimes struct {
	Delivered time.Time
	Read      time.Time
}

// Settings is what the person has chosen for this device.
type Settings struct {
	// ReadReceipts tells senders what was read here. Receipts of delivery are
	// always sent, to people who are no strangers.
	ReadReceipts bool
}

// SendOptions shape one message.
type SendOptions struct {
	// ID makes Send idempotent: the same ID is sent once. Empty draws one.
	ID      string
	Subject string
	ReplyTo string
	// Mentions are members of the group, or words that mean them.
	Mentions []string
	// Sign adds a signature by this device over text, time and conversation.
	// Everybody who has the message can then prove who wrote it, for ever.
	Sign bool
	// TTL is the message's lifetime from one second to 30 days: the server keeps
	// it no longer, and when it is over its content is erased on all devices. Zero
	// is none, and the server's default.
	TTL time.Duration
	// NoWait returns as soon as the message is durable in the outbox.
	NoWait bool
	// Wait is the status to wait for: StatusAccepted, which is the default,
	// StatusDelivered or StatusRead. While it waits the client stays connected.
	Wait Status
	// Timeout bounds all the waiting; zero is no bound but the context's. When
	// it runs out Send returns the message as far as it has come and
	// ErrTimeout; the message stays sent or queued.
	Timeout time.Duration
	// Refresh asks the server for the recipient's device list even when one is
	// already known and fresh.
	Refresh bool
}

// Conversation is one line of the list of conversations.
type Conversation struct {
	Peer   string // an address, or a group's id
	Alias  string // of a group, its name
	Trust  Trust
	Unread int
	Last   Message
}

// Trust is what is known about a contact's identity.
type Trust string

// Trust levels.
const (
	TrustFirstUse Trust = "first_use" // pinned when first seen
	TrustVerified Trust = "verified"  // safety number compared
	TrustChanged  Trust = "changed"   // another account key was seen: sending stops
)

// Device is one device of a signed device list.
type Device struct {
	ID      string
	Name    string
	Current bool // it is this one
	Revoked bool
	AddedAt time.Time
}

// Contact is a person whose identity is pinned.
type Contact struct {
	Address   string
	Alias     string
	Trust     Trust
	Identity  string // fingerprint of the pinned account key
	Pending   string // fingerprint of the new account key when Trust is changed
	FirstSeen time.Time
	Devices   []Device
}

// SafetyNumber is what two people compare.
type SafetyNumber struct {
	Peer   string
	Digits string // 60 digits, no spaces
	QR     string // text for a QR code
	Trust  Trust
}

// StatusReport is what pawl status shows.
type StatusReport struct {
	Account      Account
	Role         string // "owner" or "attached"
	OwnerPID     int
	Connected    bool
	LastError    string // why the server is not connected, in words
	LastContact  time.Time
	ClockOffset  time.Duration // server's clock minus ours; zero when unknown
	Outbox       int
	Undelivered  int // incoming messages not yet taken by the default consumer
	OneTimeLeft  int // one-time prekeys the server last said it has, the smaller of both kinds
	SignedPrekey time.Time
	Sessions     int
	SkippedKeys  int
	History      HistoryProgress
	HistoryGiven []HistoryGiven // one for each device that was offered it
	Warnings     []string
}

// Errors, one for each thing a caller does differently. Returned errors wrap
// them and say more.
var (
	ErrNotRegistered    = errors.New("there is no account in this home")
	ErrAlreadyHere      = errors.New("this home already has an account")
	ErrNameTaken        = errors.New("that name is taken")
	ErrWrongPassphrase  = errors.New("the passphrase or key file does not open this store")
	ErrLocked           = errors.New("the store needs a passphrase or key file")
	ErrStoreDamaged     = errors.New("the store is damaged")
	ErrDiskFull         = errors.New("there is no space left on the disk")
	ErrUnreachable      = errors.New("the server cannot be reached")
	ErrServerIdentity   = errors.New("the server does not have the key that was pinned")
	ErrRefused          = errors.New("the server refused")
	ErrInvite           = errors.New("the invite is not valid")
	ErrUnknownRecipient = errors.New("there is nobody of that name")
	ErrIdentityChanged  = errors.New("the identity of this contact has changed")
	ErrRateLimited      = errors.New("the server asks to slow down")
	ErrMailboxFull      = errors.New("the recipient's mailbox is full")
	ErrTooLong          = errors.New("the text is too long")
	ErrInvalidText      = errors.New("the text is not valid UTF-8")
	ErrRevoked          = errors.New("this device is no longer part of the account")
	ErrClock            = errors.New("this machine's clock is too far from the server's")
	ErrNotFound         = errors.New("there is no such message")
	ErrBackupDamaged    = errors.New("the backup cannot be used")
	ErrBackupNewer      = errors.New("the backup was made by a newer version")
	ErrBackupPassphrase = errors.New("the passphrase does not open the backup")
	ErrCannotResend     = errors.New("that message cannot be sent again")
	ErrTimeout          = errors.New("the receipt that was waited for did not come in time")
	ErrRolledBack       = errors.New("what this home holds is not what the server saw last of this device")
	ErrNoAccountKey     = errors.New("this device does not hold the account key")
	ErrUnknownDevice    = errors.New("the account has no such device")
	ErrTooManyDevices   = errors.New("the account has as many devices as it may")
	ErrLinkInvalid      = errors.New("that is not a link of a waiting device")
	ErrLinkExpired      = errors.New("the link has expired")
	ErrWords            = errors.New("those are not recovery words")
	ErrDeviceList       = errors.New("the server shows a device list that contradicts the one held here")
)

// AmbiguousError lists the people or groups a word could mean.
type AmbiguousError struct {
	Word       string
	Candidates []string
}

func (e *AmbiguousError) Error() string {
	if len(e.Candidates) > 0 && isGroupWord(e.Candidates[0]) {
		return "that could be more than one group"
	}
	return "that could be more than one person"
}

// API is what a program can do with an account. *Client implements it, in the
// owner process directly and in others through the owner's socket.
type API interface {
	Account() Account
	Close() error

	// Send seals text for the recipient (address, alias, bare name, "me" or
	// "#group"),
	// makes it durable and, unless NoWait, waits until the server has it or for
	// the receipt that Wait asks for. When
	// the server cannot be reached the message stays queued: the returned
	// message has StatusSending and the error wraps ErrUnreachable.
	Send(ctx context.Context, to, text string, o SendOptions) (Message, error)
	// Sync connects, takes everything that waits at the server, and sends what
	// waits here.
	Sync(ctx context.Context) error
	// Receive returns up to limit incoming messages that the named consumer
	// has not acknowledged, oldest first; Ack acknowledges them. What the
	// default consumer acknowledges counts as read.
	Receive(ctx context.Context, consumer string, limit int) ([]Message, error)
	Ack(ctx context.Context, consumer string, ids ...string) error
	// Follow yields incoming messages for ever, each acknowledged for the
	// consumer when the loop body returns to it, until ctx ends or the body
	// breaks. It stays connected and reconnects by itself.
	Follow(ctx context.Context, consumer string) iter.Seq2[Message, error]

	Conversations(ctx context.Context) ([]Conversation, error)
	// History returns the newest limit messages with the peer, oldest first;
	// before, when not empty, is the ID to page back from. What it shows counts
	// as read.
	History(ctx context.Context, with string, limit int, before string) ([]Message, error)
	Message(ctx context.Context, id string) (Message, error)
	// Export yields every message with the peer, or of all conversations when
	// with is empty, in the order in which they entered the store, and tells
	// about how many there are.
	Export(ctx context.Context, with string) (about int, all iter.Seq2[Message, error], err error)

	// Backup writes a sealed backup of the account, its contacts and its
	// history. A client that is attached to a running owner needs the store's
	// own secret in its Config.
	Backup(ctx context.Context, to io.Writer, o BackupOptions) (BackupSummary, error)
	// RecoveryWords returns the account key as words to write on paper, and what
	// else it takes to take the account back. It asks for the store's own secret
	// as Backup does; on a device without the account key: ErrNoAccountKey.
	RecoveryWords(ctx context.Context) (RecoveryWords, error)
	// Resend makes a new message of an own text that was sent or has failed:
	// the same text, subject, reply and lifetime under a new ID. Of o it takes
	// the rest; a TTL in it replaces the old one.
	Resend(ctx context.Context, id string, o SendOptions) (Message, error)

	Resolve(ctx context.Context, word string) (string, error)
	Contacts(ctx context.Context) ([]Contact, error)
	// Contact returns a contact; an unknown address is asked of the server and
	// pinned.
	Contact(ctx context.Context, who string) (Contact, error)
	SetAlias(ctx context.Context, who, alias string) error
	RemoveContact(ctx context.Context, who string) error
	SafetyNumber(ctx context.Context, who string) (SafetyNumber, error)
	// Confirm marks the contact's present identity as verified, and accepts a
	// changed one; Untrust takes that back.
	Confirm(ctx context.Context, who string) error
	Untrust(ctx context.Context, who string) error

	// Devices returns the devices of this account, revoked ones included, in the
	// order in which they were added.
	Devices(ctx context.Context) ([]Device, error)
	// RenameDevice and RevokeDevice change the signed device list; id may be any
	// prefix of a device's id, or its name, that means one device only. They need
	// the account key: ErrNoAccountKey. A revoked device is cut off at once and
	// for good; the current one cannot revoke itself.
	RenameDevice(ctx context.Context, id, name string) (Device, error)
	RevokeDevice(ctx context.Context, id string) (Device, error)
	// Approve lets the device that shows the URI into this account, once the
	// person has compared the code that ParseLink tells of it. It needs the account
	// key, and returns when the device is on the list.
	Approve(ctx context.Context, uri string, o ApproveOptions) (Device, error)

	// FetchHistory waits until the history that another device has offered to
	// this one is whole; what has come stays when it is cut short, and the next
	// call goes on from there. StatusReport.History tells how far it has come.
	FetchHistory(ctx context.Context) error

	DeniabilityAPI

	Status(ctx context.Context) (StatusReport, error)
	Settings(ctx context.Context) (Settings, error)
	SetSettings(ctx context.Context, s Settings) error

	GroupAPI
	SecurityAPI
}
