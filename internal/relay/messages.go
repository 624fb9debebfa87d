package relay

import (
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// ErrMalformed says that a body is not what its operation calls for.
var ErrMalformed = errors.New("relay: malformed body")

// Message is a body of this protocol: what it is held to beside its encoding.
type Message interface{ check() error }

// Decode decodes a body of at most MaxPacket bytes into m, a pointer to one of
// the message types below, strictly: canonical encoding, lengths and ranges.
func Decode(body []byte, m Message) error {
	if codec.Unmarshal(body, MaxPacket, m) != nil {
		return ErrMalformed
	}
	return m.check()
}

func require(ok bool) error {
	if !ok {
		return ErrMalformed
	}
	return nil
}

func validUser(s string) bool { return s != "" && len(s) <= MaxUser && utf8.ValidString(s) }

func between(b []byte, limit int) bool { return len(b) > 0 && len(b) <= limit }

// RegisterRequest creates an account with its first device. Invite is the
// invite's token, empty at an open server.
type RegisterRequest struct {
	Invite string `cbor:"1,keyasint,omitempty"`
	Entry  []byte `cbor:"2,keyasint"` // device list, version 1
	Upload []byte `cbor:"3,keyasint"` // prekeys of its one device
}

func (r *RegisterRequest) check() error {
	return require(len(r.Invite) <= MaxToken && between(r.Entry, MaxEntry) && between(r.Upload, MaxUpload))
}

// RegisterResult is the answer to a registration.
type RegisterResult struct {
	Time int64 `cbor:"1,keyasint"` // server's clock, Unix milliseconds
}

func (r *RegisterResult) check() error { return require(r.Time >= 0) }

// RegisterResponse is the body of the answer to POST [PathRegister]: the same
// [code, body] pair that a frame carries.
type RegisterResponse struct {
	_    struct{} `cbor:",toarray"`
	Code uint64
	Body []byte
}

func (r *RegisterResponse) check() error { return require(len(r.Body) <= MaxResponse) }

// Hello opens a connection.
type Hello struct {
	Nonce [NonceSize]byte `cbor:"1,keyasint"`
}

func (h *Hello) check() error { return nil }

// LoginRequest proves possession of the device's signing key and of its
// epoch: From is the one it has, To the one it is going to have (R-REL-33).
type LoginRequest struct {
	User      string          `cbor:"1,keyasint"`
	Device    address.Device  `cbor:"2,keyasint"`
	Nonce     [NonceSize]byte `cbor:"3,keyasint"`
	Signature []byte          `cbor:"4,keyasint"` // over LoginMessage
	From      Epoch           `cbor:"5,keyasint"`
	To        Epoch           `cbor:"6,keyasint"`
}

func (l *LoginRequest) check() error {
	return require(validUser(l.User) && l.Device != 0 && len(l.Signature) == 64)
}

// LoginResult is the answer to a login.
type LoginResult struct {
	Time int64 `cbor:"1,keyasint"` // server's clock, Unix milliseconds
}

func (l *LoginResult) check() error { return require(l.Time >= 0) }

// AccountRequest asks for a device-list chain from a version on.
type AccountRequest struct {
	User string `cbor:"1,keyasint"`
	From uint64 `cbor:"2,keyasint"` // first version wanted, 1 for all
}

func (a *AccountRequest) check() error { return require(validUser(a.User) && a.From > 0) }

// AccountResult carries consecutive entries; More says that others follow.
type AccountResult struct {
	Entries [][]byte `cbor:"1,keyasint"`
	More    bool     `cbor:"2,keyasint,omitempty"`
}

func (a *AccountResult) check() error {
	for _, e := range a.Entries {
		if !between(e, MaxEntry) {
			return ErrMalformed
		}
	}
	return require(len(a.Entries) <= MaxChain && (len(a.Entries) > 0 || !a.More))
}

// PutDeviceListRequest appends an entry to the requester's own device list.
type PutDeviceListRequest struct {
	Entry []byte `cbor:"1,keyasint"`
}

func (p *PutDeviceListRequest) check() error { return require(between(p.Entry, MaxEntry)) }

// PutPrekeysRequest replaces or refills the requesting device's prekeys.
type PutPrekeysRequest struct {
	Upload []byte `cbor:"1,keyasint"`
}

func (p *PutPrekeysRequest) check() error { return require(between(p.Upload, MaxUpload)) }

// PrekeyStatus is what the server holds for the requesting device: how many
// one-time keys of each kind are left, and the digest of the last upload.
type PrekeyStatus struct {
	EC     uint64   `cbor:"1,keyasint"`
	KEM    uint64   `cbor:"2,keyasint"`
	Digest [32]byte `cbor:"3,keyasint"`
}

func (p *PrekeyStatus) check() error { return require(p.EC < 1<<16 && p.KEM < 1<<16) }

// TakeBundleRequest asks for one device's bundle.
type TakeBundleRequest struct {
	User   string         `cbor:"1,keyasint"`
	Device address.Device `cbor:"2,keyasint"`
}

func (t *TakeBundleRequest) check() error { return require(validUser(t.User) && t.Device != 0) }

// TakeBundleResult carries it.
type TakeBundleResult struct {
	Bundle []byte `cbor:"1,keyasint"`
}

func (t *TakeBundleResult) check() error { return require(between(t.Bundle, MaxBundle)) }

// MessageID names a message at the server. The sender draws it at random; a
// message sent again under its id is stored once.
type MessageID = [16]byte

// Outgoing is an envelope for one device.
type Outgoing struct {
	_      struct{}       `cbor:",toarray"`
	Device address.Device // of the recipient
	ID     MessageID
	Body   []byte // 1 to MaxEnvelope bytes
}

// SendRequest hands the server envelopes for one recipient's devices and for
// the sender's own other ones, all or none of which are stored (R-REL-14),
// but for devices without room (R-REL-35).
//
// With a ListVersion the devices must be exactly the active ones of that
// version, less the sender's own when the recipient is itself. Without one
// (zero) they may be any of the active devices: for traffic that concerns one
// session only.
type SendRequest struct {
	To          string     `cbor:"1,keyasint"`           // user name
	ListVersion uint64     `cbor:"2,keyasint,omitempty"` // sender's picture of the recipient's device list
	TTL         int64      `cbor:"3,keyasint,omitempty"` // seconds to keep it; zero is MaxTTL
	Messages    []Outgoing `cbor:"4,keyasint"`
	Own         *OwnCopies `cbor:"5,keyasint,omitempty"`
}

// OwnCopies are the envelopes of a send for the sender's own devices: exactly
// the active ones of that version of its own list, less the sending device. A
// device that is alone names the version and nobody (R-REL-30).
type OwnCopies struct {
	ListVersion uint64     `cbor:"1,keyasint"`
	Messages    []Outgoing `cbor:"2,keyasint"`
}

func (s *SendRequest) check() error {
	if !validUser(s.To) || s.TTL < 0 || s.TTL > int64(MaxTTL/time.Second) ||
		len(s.Messages) == 0 || !distinct(s.Messages) {
		return ErrMalformed
	}
	if s.Own != nil && (s.Own.ListVersion == 0 || !distinct(s.Own.Messages)) {
		return ErrMalformed
	}
	return nil
}

// distinct reports whether the messages are something for at most MaxDevices
// devices, one for each.
func distinct(messages []Outgoing) bool {
	if len(messages) > MaxDevices {
		return false
	}
	for i := range messages {
		m := &messages[i]
		if m.Device == 0 || len(m.Body) == 0 {
			return false
		}
		for j := range i {
			if messages[j].Device == m.Device {
				return false
			}
		}
	}
	return true
}

// TooLarge reports whether an envelope is over MaxEnvelope. It is apart from
// Decode because it has a code of its own.
func (s *SendRequest) TooLarge() bool {
	return tooLarge(s.Messages) || s.Own != nil && tooLarge(s.Own.Messages)
}

func tooLarge(messages []Outgoing) bool {
	for i := range messages {
		if len(messages[i].Body) > MaxEnvelope {
			return true
		}
	}
	return false
}

// SendAnswer is the body of the answer to a send that was stored for some of
// its devices only: Full are the recipient's and Own the sender's devices whose
// mailboxes have no room and that were left out, in ascending order. The body
// is empty when nobody was left out (R-REL-35).
type SendAnswer struct {
	Full []address.Device `cbor:"1,keyasint,omitempty"`
	Own  []address.Device `cbor:"2,keyasint,omitempty"`
}

func (s *SendAnswer) check() error {
	// Of the recipient's devices one at least has got it.
	if len(s.Full) >= MaxDevices || len(s.Own) > MaxDevices || len(s.Full)+len(s.Own) == 0 {
		return ErrMalformed
	}
	for _, devices := range [][]address.Device{s.Full, s.Own} {
		last := address.Device(0)
		for _, d := range devices {
			if d <= last {
				return ErrMalformed
			}
			last = d
		}
	}
	return nil
}

// Body encodes the answer.
func (s *SendAnswer) Body() []byte {
	if len(s.Full)+len(s.Own) == 0 {
		return nil
	}
	slices.Sort(s.Full)
	slices.Sort(s.Own)
	return codec.Marshal(s)
}

// SendResult says what became of a SendRequest that the server understood:
// stored for the devices in Accepted, or, when Stale is set, for none. Full and
// OwnFull are the recipient's and the sender's own devices that were left out,
// because their mailboxes are full.
type SendResult struct {
	Accepted []address.Device
	Full     []address.Device
	OwnFull  []address.Device
	Stale    *StaleList
}

// StaleList says which device list the sender's picture was old of, which
// version the server holds, and what the sender lacks (R-REL-31). Nothing of it
// is verified. With two stale lists the recipient's is told first.
type StaleList struct {
	Version uint64 // zero when the server does not say
	Own     bool   // the sender's own list, not the recipient's
	// Entries are those that follow the version named in the request, a page at
	// most: when the last is not Version, read the rest with Account.
	Entries [][]byte
}

// AckRequest acknowledges deliveries; they are not delivered again.
type AckRequest struct {
	Seqs []uint64 `cbor:"1,keyasint"`
}

func (a *AckRequest) check() error { return require(len(a.Seqs) > 0 && len(a.Seqs) <= MaxAcks) }

// Delivery is a message from the device's mailbox.
type Delivery struct {
	_    struct{} `cbor:",toarray"`
	Seq  uint64   // strictly increasing per device, with gaps
	ID   MessageID
	At   int64  // server's clock at acceptance, Unix milliseconds
	Body []byte // opaque envelope
}

// Deliver is a batch of deliveries in the order of their Seq. Empty is set
// once on a connection, on the batch that completes what had waited when it
// opened.
type Deliver struct {
	Messages []Delivery `cbor:"1,keyasint"`
	Empty    bool       `cbor:"2,keyasint,omitempty"`
}

func (d *Deliver) check() error {
	if len(d.Messages) > MaxBatch || (len(d.Messages) == 0 && !d.Empty) {
		return ErrMalformed
	}
	last := uint64(0)
	for i := range d.Messages {
		m := &d.Messages[i]
		if m.Seq <= last || m.At < 0 || !between(m.Body, MaxEnvelope) {
			return ErrMalformed
		}
		last = m.Seq
	}
	return nil
}

// MailboxEndResult is the sequence number of the last message that the
// device's mailbox was given, zero for none.
type MailboxEndResult struct {
	Seq uint64 `cbor:"1,keyasint"`
}

func (m *MailboxEndResult) check() error { return nil }
