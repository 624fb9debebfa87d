// Package content is what travels inside the ratchet: the kinds of content,
// their encoding and their padding (spec/content.md), and the envelope that
// carries a sealed message past the relay.
//
// Not its concern: sealing, sessions, storage, and what a person is shown.
package content

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/codec"
)

// Kind says what a content object is. Numbers are never reused.
type Kind uint64

// Kinds. Content of any other kind is kept whole and shown as unsupported
// (R-CNT-03).
const (
	KindText      Kind = 1
	KindHeartbeat Kind = 2 // moves the ratchet on; never shown
	KindFarewell  Kind = 3 // last message of a session; never shown
)

// Refusals.
var (
	ErrMalformed = errors.New("content: malformed")
	ErrTooLong   = errors.New("content: text or subject exceeds its limit")
	ErrUTF8      = errors.New("content: text is not valid UTF-8")
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

// ParseID reads the form that String prints.
func ParseID(s string) (ID, error) {
	b, err := idEncoding.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(ID{}) {
		return ID{}, errors.New("content: not a message id of 26 characters")
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
	TTL    time.Duration // lifetime the sender asked for; zero for none
	Text   Text          // KindText only
	Body   []byte        // the encoded body, whatever the kind
}

// Text is the body of KindText.
type Text struct {
	Text    string
	Subject string // empty for none
	ReplyTo ID     // zero for none
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

type textBody struct {
	Text    string `cbor:"1,keyasint"`
	Subject string `cbor:"2,keyasint,omitempty"`
	ReplyTo []byte `cbor:"3,keyasint,omitempty"`
}

// NewText makes a text content and checks it against the limits (R-CNT-02).
func NewText(id ID, now time.Time, ttl time.Duration, t Text) (Content, error) {
	if len(t.Text) > MaxText || len(t.Subject) > MaxSubject {
		return Content{}, ErrTooLong
	}
	if !utf8.ValidString(t.Text) || !utf8.ValidString(t.Subject) {
		return Content{}, ErrUTF8
	}
	b := textBody{Text: t.Text, Subject: t.Subject}
	if !t.ReplyTo.IsZero() {
		b.ReplyTo = t.ReplyTo[:]
	}
	return Content{Kind: KindText, ID: id, SentAt: now, TTL: ttl, Text: t, Body: codec.Marshal(b)}, nil
}

// NewControl makes a content without a body: a heartbeat or a farewell.
func NewControl(k Kind, now time.Time) Content {
	return Content{Kind: k, ID: NewID(), SentAt: now}
}

// Encode returns the padded encoding, ready to be sealed (R-CNT-04).
func (c Content) Encode() []byte {
	body := c.Body
	if body == nil {
		body = []byte{}
	}
	return pad(codec.Marshal(wire{
		Kind: uint64(c.Kind), ID: c.ID[:], SentAt: uint64(max(c.SentAt.UnixMilli(), 0)),
		TTL: uint64(c.TTL / time.Second), Body: body,
	}))
}

// Decode reads a padded encoding. An unknown kind is no error: its body is
// kept in Body.
func Decode(padded []byte) (Content, error) {
	b, err := unpad(padded)
	if err != nil {
		return Content{}, err
	}
	var w wire
	if err := codec.Unmarshal(b, MaxContent, &w); err != nil || len(w.ID) != len(ID{}) {
		return Content{}, ErrMalformed
	}
	const maxMilli = 1 << 48 // year 10889: keeps time arithmetic in range
	if w.SentAt > maxMilli || w.TTL > uint64(MaxTTL/time.Second) {
		return Content{}, ErrMalformed
	}
	c := Content{
		Kind: Kind(w.Kind), ID: ID(w.ID), SentAt: time.UnixMilli(int64(w.SentAt)).UTC(),
		TTL: time.Duration(w.TTL) * time.Second, Body: w.Body,
	}
	switch c.Kind {
	case KindText:
		var t textBody
		if err := codec.Unmarshal(w.Body, MaxContent, &t); err != nil {
			return Content{}, ErrMalformed
		}
		if len(t.Text) > MaxText || len(t.Subject) > MaxSubject {
			return Content{}, ErrTooLong
		}
		c.Text = Text{Text: t.Text, Subject: t.Subject}
		if t.ReplyTo != nil {
			if len(t.ReplyTo) != len(ID{}) {
				return Content{}, ErrMalformed
			}
			c.Text.ReplyTo = ID(t.ReplyTo)
		}
	case KindHeartbeat, KindFarewell:
		if len(w.Body) != 0 {
			return Content{}, ErrMalformed
		}
	}
	return c, nil
}

// TextOffset returns where the text of a plain text content (no subject, no
// reply, no lifetime) of n bytes begins in its padded encoding: what a third
// party who forges a message needs to know.
func TextOffset(n int) int {
	c, err := NewText(ID{}, time.UnixMilli(1<<40), 0, Text{Text: strings.Repeat("x", n)})
	if err != nil {
		return -1
	}
	return strings.Index(string(c.Encode()), strings.Repeat("x", n))
}
