package backup

import (
	"crypto/ed25519"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// The records (spec/cddl/backup.cddl). A backup is not trusted: its passphrase
// may be known to others, so each record is held to what pawl itself would
// have stored (R-BAK-05).

// Kind is the kind of a record; records stand in the order of their kinds.
type Kind uint8

// Kinds.
const (
	KindIdentity Kind = 1
	KindContact  Kind = 2
	KindMessage  Kind = 3
	KindConsumer Kind = 4
	KindEnd      Kind = 9
)

// Record is one of the types below.
type Record interface {
	kind() Kind
	check() error
}

// Identity is the account. It holds no key of any device.
type Identity struct {
	Address    string   `cbor:"1,keyasint"`
	AccountKey []byte   `cbor:"2,keyasint"` // Ed25519 seed
	Chain      [][]byte `cbor:"3,keyasint"` // device list
	Host       string   `cbor:"4,keyasint"` // server
	Pin        []byte   `cbor:"5,keyasint,omitempty"`
	Device     uint64   `cbor:"6,keyasint"` // that made the backup
	Created    int64    `cbor:"7,keyasint"` // the account, unix seconds
	Made       int64    `cbor:"8,keyasint"` // the backup, unix milliseconds
}

func (*Identity) kind() Kind { return KindIdentity }

func (i *Identity) check() error {
	_, err := i.List()
	if err != nil {
		return err
	}
	return require(i.Host != "" && len(i.Host) <= 261 && utf8.ValidString(i.Host) && (len(i.Pin) == 0 || len(i.Pin) == 32) &&
		i.Device != 0 && moment(i.Made) && i.Created >= 0 && i.Created <= devicelist.MaxTime)
}

// List verifies the device list and that the account key is its own.
func (i *Identity) List() (devicelist.List, error) {
	if len(i.AccountKey) != ed25519.SeedSize {
		return devicelist.List{}, ErrRecord
	}
	list, err := devicelist.VerifyChain(i.Chain)
	if err != nil || list.Address.String() != i.Address ||
		!list.Account.Equal(ed25519.NewKeyFromSeed(i.AccountKey).Public()) {
		return devicelist.List{}, ErrRecord
	}
	return list, nil
}

// Contact is a pinned person.
type Contact struct {
	Address   string   `cbor:"1,keyasint"`
	Alias     string   `cbor:"2,keyasint,omitempty"`
	Chain     [][]byte `cbor:"3,keyasint"`
	Verified  bool     `cbor:"4,keyasint"`
	Pending   [][]byte `cbor:"5,keyasint,omitempty"`
	FirstSeen int64    `cbor:"6,keyasint"`
	Known     bool     `cbor:"7,keyasint"`
}

func (*Contact) kind() Kind { return KindContact }

func (c *Contact) check() error {
	list, err := devicelist.VerifyChain(c.Chain)
	if err != nil || list.Address.String() != c.Address {
		return ErrRecord
	}
	if len(c.Pending) > 0 {
		other, err := devicelist.VerifyChain(c.Pending)
		if err != nil || other.Address != list.Address || other.Account.Equal(list.Account) {
			return ErrRecord
		}
	}
	return require(moment(c.FirstSeen) && len(c.Alias) <= 64 && utf8.ValidString(c.Alias) && c.Alias != "me" &&
		!strings.ContainsFunc(c.Alias, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune("@#/:", r) }))
}

// Message is one entry of a conversation.
type Message struct {
	ID           []byte  `cbor:"1,keyasint"`
	Conversation string  `cbor:"2,keyasint"`
	From         string  `cbor:"3,keyasint"`
	FromDevice   uint64  `cbor:"4,keyasint"`
	To           string  `cbor:"5,keyasint"`
	Outgoing     bool    `cbor:"6,keyasint"`
	Kind         string  `cbor:"7,keyasint"`
	Text         string  `cbor:"8,keyasint,omitempty"`
	Subject      string  `cbor:"9,keyasint,omitempty"`
	ReplyTo      []byte  `cbor:"10,keyasint,omitempty"`
	Notice       string  `cbor:"11,keyasint,omitempty"`
	Cause        string  `cbor:"12,keyasint,omitempty"`
	SentAt       int64   `cbor:"13,keyasint"`
	ReceivedAt   int64   `cbor:"14,keyasint,omitempty"`
	ExpiresAt    int64   `cbor:"15,keyasint,omitempty"`
	Status       string  `cbor:"16,keyasint"`
	Devices      []State `cbor:"17,keyasint,omitempty"`
	RawKind      uint64  `cbor:"18,keyasint,omitempty"`
	RawBody      []byte  `cbor:"19,keyasint,omitempty"`

	// Of a group's conversation only.
	Mentions []string `cbor:"20,keyasint,omitempty"`
	RetoldBy string   `cbor:"21,keyasint,omitempty"`

	// Signature is one that the author asked for, and Signed whether it held: 1 or
	// 2. Both or neither.
	Signature []byte `cbor:"22,keyasint,omitempty"`
	Signed    uint64 `cbor:"23,keyasint,omitempty"`
}

// State is how far a message has come at one device.
type State struct {
	_      struct{} `cbor:",toarray"`
	Device uint64
	Status string
}

func (*Message) kind() Kind { return KindMessage }

// Encode is the message on its own, for another device of the account.
func (m *Message) Encode() []byte { return codec.Marshal(m) }

// DecodeMessage reads what Encode has made, and holds it to what is demanded of
// a record in a backup (R-BAK-05).
func DecodeMessage(b []byte) (*Message, error) {
	m := new(Message)
	if codec.Unmarshal(b, MaxRecord, m) != nil || m.check() != nil {
		return nil, ErrRecord
	}
	return m, nil
}

// A kind or status that this version does not know is kept: a later one may
// have written it, and it is shown as unsupported.
func (m *Message) check() error {
	for _, a := range []string{m.Conversation, m.From, m.To} {
		if !somebody(a) {
			return ErrRecord
		}
	}
	if !group(m.Conversation) && (len(m.Mentions) > 0 || m.RetoldBy != "" || group(m.From) || group(m.To)) {
		return ErrRecord
	}
	for _, a := range m.Mentions {
		if _, err := address.ParseCanonical(a); err != nil {
			return ErrRecord
		}
	}
	if _, err := address.ParseCanonical(m.RetoldBy); err != nil && m.RetoldBy != "" {
		return ErrRecord
	}
	if len(m.Devices) > MaxStates {
		return ErrRecord
	}
	if n := len(m.Signature); n != 0 && n != 64 || (n == 0) != (m.Signed == 0) || m.Signed > 2 { // R-TRN-21
		return ErrRecord
	}
	seen := map[uint64]bool{}
	for _, d := range m.Devices {
		if d.Device == 0 || seen[d.Device] || !word(d.Status) {
			return ErrRecord
		}
		seen[d.Device] = true
	}
	return require(len(m.ID) == len(content.ID{}) && (len(m.ReplyTo) == 0 || len(m.ReplyTo) == len(content.ID{})) &&
		word(m.Kind) && word(m.Status) && text(m.Text, content.MaxText) && text(m.Subject, content.MaxSubject) &&
		text(m.Notice, MaxCause) && text(m.Cause, MaxCause) && moment(m.SentAt) && moment(m.ReceivedAt) && moment(m.ExpiresAt) &&
		len(m.RawBody) <= MaxBody)
}

// somebody reports whether s names a person or a group of people.
func somebody(s string) bool {
	_, err := address.ParseCanonical(s)
	return err == nil || group(s)
}

// group reports whether s names a group: '#' and its id.
func group(s string) bool {
	if len(s) == 0 || s[0] != '#' {
		return false
	}
	id, err := content.ParseID(s[1:])
	return err == nil && id.String() == s[1:]
}

// Consumer is how many of the messages a consumer has taken.
type Consumer struct {
	Name  string `cbor:"1,keyasint"`
	Taken uint64 `cbor:"2,keyasint"`
}

func (*Consumer) kind() Kind { return KindConsumer }

func (c *Consumer) check() error { return require(c.Name != "" && text(c.Name, MaxConsumer)) }

// End closes a backup and says how much it holds.
type End struct {
	Contacts  uint64 `cbor:"1,keyasint"`
	Messages  uint64 `cbor:"2,keyasint"`
	Consumers uint64 `cbor:"3,keyasint"`
}

func (*End) kind() Kind { return KindEnd }

func (*End) check() error { return nil }

func require(ok bool) error {
	if !ok {
		return ErrRecord
	}
	return nil
}

func text(s string, limit int) bool { return len(s) <= limit && utf8.ValidString(s) }

// word is a stable word: a–z, digits and underscores.
func word(s string) bool {
	return s != "" && len(s) <= MaxWord && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// moment holds a time in milliseconds to what a message can say, and a lifetime.
func moment(ms int64) bool { return ms >= 0 && ms <= 1<<49 }
