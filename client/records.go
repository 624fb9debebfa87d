package client

import (
	"crypto/ed25519"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/x3dh"
)

// The stored forms, canonical CBOR inside sealed rows. Keys are never reused;
// new fields are optional.

// accountRecord is the device's own identity. Registered is false until the
// server has said yes, so that a registration cut short can be resumed with
// the same keys.
type accountRecord struct {
	Version    uint64   `cbor:"1,keyasint"`
	Address    string   `cbor:"2,keyasint"`
	Device     uint64   `cbor:"3,keyasint"`
	DeviceName string   `cbor:"4,keyasint"`
	AccountKey []byte   `cbor:"5,keyasint,omitempty"` // Ed25519 seed; empty on a linked device
	SignKey    []byte   `cbor:"6,keyasint"`           // Ed25519 seed
	DHKey      []byte   `cbor:"7,keyasint"`           // X25519
	Host       string   `cbor:"8,keyasint"`
	Pin        []byte   `cbor:"9,keyasint,omitempty"`
	Created    int64    `cbor:"10,keyasint"`
	Registered bool     `cbor:"11,keyasint"`
	Chain      [][]byte `cbor:"12,keyasint"`           // own device list until registered; then in the contact table
	Upload     []byte   `cbor:"13,keyasint,omitempty"` // first prekeys, until registered
	Account    []byte   `cbor:"14,keyasint,omitempty"` // Ed25519 public key, when AccountKey is empty
}

// self is the live form of accountRecord.
type self struct {
	record  accountRecord
	address address.Address
	device  address.Device
	account ed25519.PrivateKey // nil on a device that does not hold the account key
	sign    ed25519.PrivateKey
	own     x3dh.Own
}

func (r accountRecord) live() (*self, error) {
	a, err := address.ParseCanonical(r.Address)
	if err != nil || r.Version != 1 || r.Device == 0 || len(r.SignKey) != ed25519.SeedSize || len(r.DHKey) != dh.Size {
		return nil, ErrStoreDamaged
	}
	s := &self{record: r, address: a, device: address.Device(r.Device), sign: ed25519.NewKeyFromSeed(r.SignKey)}
	public := ed25519.PublicKey(r.Account)
	switch {
	case len(r.AccountKey) == ed25519.SeedSize:
		s.account = ed25519.NewKeyFromSeed(r.AccountKey)
		public = s.account.Public().(ed25519.PublicKey)
	case len(r.AccountKey) != 0 || len(public) != ed25519.PublicKeySize:
		return nil, ErrStoreDamaged
	}
	priv := dh.FromBytes([dh.Size]byte(r.DHKey))
	s.own = x3dh.Own{
		Party: x3dh.Party{
			Account: public, Address: r.Address, Device: r.Device,
			Identity: priv.Public(),
		},
		IdentityKey: priv,
	}
	return s, nil
}

// contactRecord is a pinned person. Pending is a chain under another account
// key that the server has shown and the person has not accepted.
type contactRecord struct {
	Address   string   `cbor:"1,keyasint"`
	Alias     string   `cbor:"2,keyasint,omitempty"`
	Chain     [][]byte `cbor:"3,keyasint"`
	Verified  bool     `cbor:"4,keyasint"`
	Pending   [][]byte `cbor:"5,keyasint,omitempty"`
	FirstSeen int64    `cbor:"6,keyasint"`
	Known     bool     `cbor:"7,keyasint"`           // we have written to them: no stranger
	Alarm     []byte   `cbor:"8,keyasint,omitempty"` // hash of the contradicting list that was last told of
	Changed   int64    `cbor:"9,keyasint,omitempty"` // when the person last changed something, for one's other devices
}

// messageRecord is one entry of a conversation.
type messageRecord struct {
	ID           []byte        `cbor:"1,keyasint"`
	Conversation string        `cbor:"2,keyasint"`
	From         string        `cbor:"3,keyasint"`
	FromDevice   uint64        `cbor:"4,keyasint"`
	To           string        `cbor:"5,keyasint"`
	Outgoing     bool          `cbor:"6,keyasint"`
	Kind         string        `cbor:"7,keyasint"`
	Text         string        `cbor:"8,keyasint,omitempty"`
	Subject      string        `cbor:"9,keyasint,omitempty"`
	ReplyTo      []byte        `cbor:"10,keyasint,omitempty"`
	Notice       string        `cbor:"11,keyasint,omitempty"`
	Cause        string        `cbor:"12,keyasint,omitempty"`
	SentAt       int64         `cbor:"13,keyasint"`
	ReceivedAt   int64         `cbor:"14,keyasint,omitempty"`
	ExpiresAt    int64         `cbor:"15,keyasint,omitempty"`
	Status       string        `cbor:"16,keyasint"`
	Devices      []deviceState `cbor:"17,keyasint,omitempty"`
	RawKind      uint64        `cbor:"18,keyasint,omitempty"` // KindUnknown only
	RawBody      []byte        `cbor:"19,keyasint,omitempty"`
	Told         bool          `cbor:"20,keyasint,omitempty"` // incoming: a read receipt is owed or sent, though not acknowledged yet
	Original     []byte        `cbor:"21,keyasint,omitempty"` // the sender's ID, when it was taken here
	SealedAt     int64         `cbor:"22,keyasint,omitempty"` // own messages
	AcceptedAt   int64         `cbor:"23,keyasint,omitempty"`
	Times        []deviceTimes `cbor:"24,keyasint,omitempty"`
	Expired      bool          `cbor:"25,keyasint,omitempty"` // its content is erased

	Positions []devicePosition `cbor:"26,keyasint,omitempty"` // of each copy
	Elsewhere bool             `cbor:"27,keyasint,omitempty"` // incoming: read on another device of this account
	Past      bool             `cbor:"28,keyasint,omitempty"` // from the history of another device: never new here
	Repair    uint64           `cbor:"30,keyasint,omitempty"` // tombstones: what became of asking for it, a place in repairStates
	Again     int64            `cbor:"31,keyasint,omitempty"` // own messages: when last sent again to a device that had asked
	OwnFull   []uint64         `cbor:"32,keyasint,omitempty"` // own messages: other own devices that were left out, their mailboxes being full

	// Of a group's conversation only.
	Members  []memberState `cbor:"33,keyasint,omitempty"` // own messages: every device that was to have it
	Mentions []string      `cbor:"34,keyasint,omitempty"`
	RetoldBy string        `cbor:"35,keyasint,omitempty"`
	Chain    []byte        `cbor:"36,keyasint,omitempty"` // the sender key it was sealed or opened on
	Index    uint32        `cbor:"37,keyasint,omitempty"` // its place in that
	Seq      uint64        `cbor:"38,keyasint,omitempty"` // how long the log was

	Signature []byte `cbor:"39,keyasint,omitempty"` // by the sender's device, if it was asked for
	Signed    uint64 `cbor:"40,keyasint,omitempty"` // whether it holds

	order int64 // the row's order, not part of its value
}

// memberState is what a device of a group's member said of an own message.
type memberState struct {
	_         struct{} `cbor:",toarray"`
	Address   string
	Device    uint64
	Status    string
	Delivered int64
	Read      int64
}

type deviceState struct {
	_      struct{} `cbor:",toarray"`
	Device uint64
	Status string
}

func (r *messageRecord) message() Message {
	m := Message{
		ID: content.ID(r.ID).String(), Conversation: r.Conversation, From: r.From, To: r.To, Direction: In,
		Kind: Kind(r.Kind), Text: r.Text, Subject: r.Subject, Notice: r.Notice, Cause: r.Cause,
		SentAt: time.UnixMilli(r.SentAt).UTC(), Status: Status(r.Status),
	}
	if r.FromDevice != 0 {
		m.FromDevice = address.Device(r.FromDevice).String()
	}
	if r.Outgoing {
		m.Direction = Out
		m.PerDevice = make(map[string]Status, len(r.Devices))
		for _, d := range r.Devices {
			m.PerDevice[address.Device(d.Device).String()] = Status(d.Status)
		}
		m.SealedAt, m.AcceptedAt, m.SentAgainAt = moment(r.SealedAt), moment(r.AcceptedAt), moment(r.Again)
		for _, t := range r.Times {
			if m.Receipts == nil {
				m.Receipts = map[string]ReceiptTimes{}
			}
			m.Receipts[address.Device(t.Device).String()] = ReceiptTimes{moment(t.Delivered), moment(t.Read)}
		}
	}
	if len(r.ReplyTo) == len(content.ID{}) {
		m.ReplyTo = content.ID(r.ReplyTo).String()
	}
	if r.Repair < uint64(len(repairStates)) {
		m.Repair = repairStates[r.Repair]
	}
	m.Repaired = m.Repair == RepairDone
	switch r.Signed {
	case signatureValid:
		m.Signature = SignatureValid
	case signatureInvalid:
		m.Signature = SignatureInvalid
	}
	m.Expired, m.Sealed = r.Expired, r.sealed()
	m.ReceivedAt, m.ExpiresAt = moment(r.ReceivedAt), moment(r.ExpiresAt)
	if _, ok := groupID(r.Conversation); ok {
		m.inGroup(r)
	}
	return m
}

// moment is a stored time; zero is none.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// outboxRecord is a message on its way to the server. Sealed is empty until
// every device of the recipient has a session.
type outboxRecord struct {
	ID       []byte       `cbor:"1,keyasint"` // of the message; also for control content, which has no message row
	To       string       `cbor:"2,keyasint"`
	Content  []byte       `cbor:"3,keyasint,omitempty"` // padded content, for devices not sealed for yet
	List     uint64       `cbor:"4,keyasint"`           // version of the recipient's device list sealed for
	TTL      uint64       `cbor:"5,keyasint"`           // seconds
	Sealed   []sealedCopy `cbor:"6,keyasint,omitempty"`
	Created  int64        `cbor:"7,keyasint"`
	Attempts uint64       `cbor:"8,keyasint"`
	After    int64        `cbor:"9,keyasint"` // not before, unix milliseconds
	Control  bool         `cbor:"10,keyasint"`
	Demand   int64        `cbor:"11,keyasint,omitempty"` // the server asked to wait until then
	Quiet    bool         `cbor:"12,keyasint,omitempty"` // no message of its own
	Own      *ownCopies   `cbor:"13,keyasint,omitempty"` // what one's other devices are told of it
	Only     uint64       `cbor:"14,keyasint,omitempty"` // Quiet: the one device it is for, zero for all
	Alone    bool         `cbor:"15,keyasint,omitempty"` // one's other devices are not told

	// Of a message to a group; To is the group's name, and Sealed stays empty.
	Group     []byte `cbor:"16,keyasint,omitempty"` // the sealed message, for all devices
	GroupHead []byte `cbor:"17,keyasint,omitempty"` // the head it was sealed under

	order int64
}

// ownCopies is what one's other devices get of a message to somebody else.
type ownCopies struct {
	List   uint64       `cbor:"1,keyasint"` // version of the own device list sealed for; zero for not yet
	Sealed []sealedCopy `cbor:"2,keyasint,omitempty"`
}

type sealedCopy struct {
	_        struct{} `cbor:",toarray"`
	Device   uint64
	ID       []byte
	Envelope []byte

	at *devicePosition // where it stands, if it was sealed just now; not stored
}

// heldRecord is an envelope of a contact whose identity changed.
type heldRecord struct {
	At   int64  `cbor:"1,keyasint"`
	Body []byte `cbor:"2,keyasint"`
}

func decodeRecord[T any](b []byte) (T, error) {
	var v T
	if err := codec.Unmarshal(b, maxRecord, &v); err != nil {
		return v, ErrStoreDamaged
	}
	return v, nil
}
