// Package content is what travels inside the ratchet: the kinds of content,
// their encoding and their padding, and the envelope that carries a sealed
// message past the relay. It implements spec/content.md.
//
// Not its concern: sealing, sessions, storage, and what a person is shown.
package content

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// Kind says what a content object is. Numbers are never reused.
type Kind uint64

// Kinds. Content of any other kind but zero is kept whole and shown as
// unsupported (R-CNT-03).
const (
	KindText      Kind = 1
	KindHeartbeat Kind = 2 // moves the ratchet on; never shown
	// KindFarewell is never shown and, in this version, never sent: the last
	// message of a session is a message type of the ratchet's.
	KindFarewell Kind = 3
	KindReceipt  Kind = 4 // what became of messages at a device; never shown
	KindSync     Kind = 5 // between the devices of one account; never shown
	KindRepair   Kind = 6 // messages that could not be opened; never shown
	// KindGroup is what devices of a group tell each other beside messages;
	// package groups reads the body. Never shown.
	KindGroup Kind = 7
)

// Refusals.
var (
	ErrMalformed = errors.New("content: malformed")
	ErrTooLong   = errors.New("content: text or subject exceeds its limit")
	ErrUTF8      = errors.New("content: text is not valid UTF-8")
	ErrTTL       = errors.New("content: lifetime is not from one second to its limit")
	ErrPadding   = errors.New("content: padding is malformed")
)

// ID names a message: 16 random bytes drawn by its sender.
type ID [16]byte

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID draws an ID.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

var errID = errors.New("content: not a message id of 26 characters")

// ParseID reads the form that String prints, in either case. Every ID has one
// such form (R-CNT-06).
func ParseID(s string) (ID, error) {
	if len(s) != idEncoding.EncodedLen(len(ID{})) {
		return ID{}, errID
	}
	lower := strings.ToLower(s)
	b, err := idEncoding.DecodeString(lower)
	if err != nil || len(b) != len(ID{}) || ID(b).IsZero() || ID(b).String() != lower {
		return ID{}, errID
	}
	return ID(b), nil
}

// String prints the ID as 26 characters of lower-case base32.
func (id ID) String() string { return idEncoding.EncodeToString(id[:]) }

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Content is one decoded content object (R-CNT-01).
type Content struct {
	Kind   Kind
	ID     ID
	SentAt time.Time     // millisecond precision, the sender's clock
	TTL    time.Duration // lifetime the sender asked for, in whole seconds; zero for none
	Text   Text          // KindText only
	// Receipt is set for KindReceipt only.
	Receipt Receipt
	Sync    Sync   // KindSync only
	Repair  Repair // KindRepair only
	Body    []byte // the encoded body, whatever the kind
}

// Text is the body of KindText.
type Text struct {
	Text     string
	Subject  string   // empty for none
	ReplyTo  ID       // zero for none
	Mentions []string // canonical addresses, ascending, none twice
	// Signature is one by the sender's device, asked for by the person; nil for
	// none, as almost always (R-TRN-20). Nothing here checks it.
	Signature []byte
}

// wire is the encoded form: a fixed array whose body is encoded by kind, so
// that objects of kinds not known here can be kept (R-CNT-01, R-CNT-03).
type wire struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint64
	ID     []byte
	SentAt uint64
	TTL    uint64
	Body   []byte
}

// signatureLen is the length of an Ed25519 signature.
const signatureLen = 64

type textBody struct {
	Text    string `cbor:"1,keyasint"`
	Subject string `cbor:"2,keyasint,omitempty"`
	ReplyTo []byte `cbor:"3,keyasint,omitempty"`
	// Mentions came with groups (R-CNT-17).
	Mentions []string `cbor:"4,keyasint,omitempty"`
	// Signature came with proofs (R-TRN-20).
	Signature []byte `cbor:"5,keyasint,omitempty"`
}

// maxSentAt is the latest time of sending in milliseconds, in the year 10889:
// it keeps the arithmetic of times in range.
const maxSentAt = 1 << 48

// sentAt is now as it will arrive: in milliseconds, neither before 1970 nor
// after maxSentAt.
func sentAt(now time.Time) time.Time {
	return time.UnixMilli(min(max(now.UnixMilli(), 0), maxSentAt)).UTC()
}

// NewText makes a text content and checks it against the limits (R-CNT-02,
// R-CNT-07). Mentions are brought into their order.
func NewText(id ID, now time.Time, ttl time.Duration, t Text) (Content, error) {
	switch {
	case id.IsZero():
		return Content{}, ErrMalformed
	case len(t.Text) > MaxText || len(t.Subject) > MaxSubject:
		return Content{}, ErrTooLong
	case !utf8.ValidString(t.Text) || !utf8.ValidString(t.Subject):
		return Content{}, ErrUTF8
	case ttl < 0 || ttl > MaxTTL || ttl > 0 && ttl < time.Second:
		return Content{}, ErrTTL // half a second is not none
	}
	t.Mentions = slices.Compact(slices.Sorted(slices.Values(t.Mentions)))
	if err := checkMentions(t.Mentions); err != nil {
		return Content{}, err
	}
	if len(t.Signature) != 0 && len(t.Signature) != signatureLen {
		return Content{}, ErrMalformed
	}
	b := textBody{Text: t.Text, Subject: t.Subject, Mentions: t.Mentions, Signature: t.Signature}
	if !t.ReplyTo.IsZero() {
		b.ReplyTo = t.ReplyTo[:]
	}
	c := Content{Kind: KindText, ID: id, SentAt: sentAt(now), TTL: ttl.Truncate(time.Second), Text: t, Body: codec.Marshal(b)}
	if len(c.encode()) > MaxContent {
		return Content{}, ErrTooLong // the longest text leaves room for few mentions
	}
	return c, nil
}

// NewGroup makes a content of a signal of package groups (R-CNT-16).
func NewGroup(signal []byte, now time.Time) (Content, error) {
	c := NewControl(KindGroup, now)
	c.Body = signal
	if len(signal) == 0 {
		return Content{}, ErrMalformed
	}
	if len(c.encode()) > MaxSync {
		return Content{}, ErrTooLong
	}
	return c, nil
}

// checkMentions holds R-CNT-17.
func checkMentions(list []string) error {
	if len(list) > MaxMentions {
		return ErrTooLong
	}
	for i, m := range list {
		if _, err := address.ParseCanonical(m); err != nil || i > 0 && m <= list[i-1] {
			return ErrMalformed
		}
	}
	return nil
}

// NewControl makes a content without a body, such as a heartbeat.
func NewControl(k Kind, now time.Time) Content {
	return Content{Kind: k, ID: NewID(), SentAt: sentAt(now)}
}

// Encode returns the padded encoding, ready to be sealed (R-CNT-04).
func (c Content) Encode() []byte { return pad(c.encode()) }

func (c Content) encode() []byte {
	body := c.Body
	if body == nil {
		body = []byte{}
	}
	return codec.Marshal(wire{
		Kind: uint64(c.Kind), ID: c.ID[:], SentAt: uint64(sentAt(c.SentAt).UnixMilli()),
		TTL: uint64(c.TTL / time.Second), Body: body,
	})
}

// Decode reads a padded encoding. An unknown kind is no error: its body is
// kept in Body, and Encode gives the same bytes again (R-CNT-03).
func Decode(padded []byte) (Content, error) {
	b, err := unpad(padded)
	if err != nil {
		return Content{}, err
	}
	return decode(b)
}

// decode reads an encoding without its padding.
func decode(b []byte) (c Content, err error) {
	var w wire
	if err := codec.Unmarshal(b, MaxSync, &w); errors.Is(err, codec.ErrTooLong) {
		return Content{}, ErrTooLong
	} else if err != nil {
		return Content{}, ErrMalformed
	}
	if Kind(w.Kind) != KindSync && Kind(w.Kind) != KindGroup && len(b) > MaxContent {
		return Content{}, ErrTooLong
	}
	if w.Kind == 0 || len(w.ID) != len(ID{}) || ID(w.ID).IsZero() {
		return Content{}, ErrMalformed
	}
	if w.SentAt > maxSentAt || w.TTL > uint64(MaxTTL/time.Second) { // R-CNT-07
		return Content{}, ErrMalformed
	}
	c = Content{
		Kind: Kind(w.Kind), ID: ID(w.ID), SentAt: time.UnixMilli(int64(w.SentAt)).UTC(),
		TTL: time.Duration(w.TTL) * time.Second, Body: w.Body,
	}
	switch c.Kind {
	case KindText:
		c.Text, err = decodeText(w.Body)
		if err != nil {
			return Content{}, err
		}
	case KindReceipt:
		if c.Receipt, err = decodeReceipt(w.Body); err != nil {
			return Content{}, err
		}
	case KindSync:
		if c.Sync, err = decodeSync(w.Body); err != nil {
			return Content{}, err
		}
	case KindRepair:
		if c.Repair, err = decodeRepair(w.Body); err != nil {
			return Content{}, err
		}
	case KindGroup: // R-CNT-16
		if len(w.Body) == 0 {
			return Content{}, ErrMalformed
		}
	case KindHeartbeat, KindFarewell: // R-CNT-08
		if len(w.Body) != 0 {
			return Content{}, ErrMalformed
		}
	}
	return c, nil
}

// decodeText reads the body of KindText. The codec has seen that the strings
// are UTF-8.
func decodeText(body []byte) (Text, error) {
	var b textBody
	if err := codec.Unmarshal(body, MaxContent, &b); err != nil {
		return Text{}, ErrMalformed
	}
	if len(b.Text) > MaxText || len(b.Subject) > MaxSubject {
		return Text{}, ErrTooLong
	}
	if err := checkMentions(b.Mentions); err != nil {
		return Text{}, err
	}
	if b.Signature != nil && len(b.Signature) != signatureLen {
		return Text{}, ErrMalformed
	}
	t := Text{Text: b.Text, Subject: b.Subject, Mentions: b.Mentions, Signature: b.Signature}
	if b.ReplyTo != nil {
		if len(b.ReplyTo) != len(ID{}) || ID(b.ReplyTo).IsZero() {
			return Text{}, ErrMalformed // a zero id would be a second way to say none
		}
		t.ReplyTo = ID(b.ReplyTo)
	}
	return t, nil
}

// TextOffset returns where the text of a plain text content (no subject, no
// reply, no lifetime) of n bytes begins in its padded encoding: what a third
// party who forges a message needs to know. It is -1 for no length of a text.
func TextOffset(n int) int {
	if n < 0 || n > MaxText {
		return -1
	}
	// Of a time since 2^32 ms after 1970, all of which take 9 bytes. The text
	// is the last thing in the encoding.
	c, err := NewText(ID{1}, time.UnixMilli(1<<40), 0, Text{Text: strings.Repeat(" ", n)})
	if err != nil {
		return -1
	}
	return len(c.encode()) - n
}
