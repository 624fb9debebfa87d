package relay

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/pawl-chat/pawl/internal/address"
)

// ErrInvite says that a text is not an invite link.
var ErrInvite = errors.New("not an invite link of the form pawl://HOST/invite/TOKEN?pin=PIN")

// PinSize is the length of a pin: SHA-256 of the server key's
// SubjectPublicKeyInfo.
const PinSize = sha256.Size

// tokenSize is the number of random bytes in a token.
const tokenSize = 16

const (
	inviteScheme = "pawl://"
	invitePath   = "/invite/"
	invitePin    = "?pin="
)

// Invite is what an invite link says: where the server is, a token that allows
// a registration, and the server's pin, nil when the server's certificate
// verifies by the system's roots (R-REL-03).
type Invite struct {
	Host  string // canonical host[:port]
	Token string
	Pin   []byte
}

// NewToken draws a token.
func NewToken() string {
	var b [tokenSize]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// TokenHash is under which name a server stores a token, so that a copy of the
// store invites nobody.
func TokenHash(token string) [32]byte {
	return sha256.Sum256([]byte(LabelInvite + "\x00" + token))
}

// LabelInvite separates the hash of an invite token from other hashes.
const LabelInvite = "pawl/1 relay invite"

// String returns the link.
func (i Invite) String() string {
	s := inviteScheme + i.Host + invitePath + i.Token
	if len(i.Pin) > 0 {
		s += invitePin + base64.RawURLEncoding.EncodeToString(i.Pin)
	}
	return s
}

// ParseInvite parses a link. It accepts exactly what String returns for a
// valid invite, with white space around it and any case of scheme and host
// forgiven, because links are copied by hand. A pin that is there but not a
// pin is an error: it is never dropped.
func ParseInvite(s string) (Invite, error) {
	s = strings.TrimSpace(s)
	if len(s) > 512 || len(s) < len(inviteScheme) || !strings.EqualFold(s[:len(inviteScheme)], inviteScheme) {
		return Invite{}, ErrInvite
	}
	host, rest, ok := strings.Cut(s[len(inviteScheme):], invitePath)
	if !ok {
		return Invite{}, ErrInvite
	}
	host, err := address.Host(host)
	if err != nil {
		return Invite{}, ErrInvite
	}
	token, pin, pinned := strings.Cut(rest, invitePin)
	if _, err := unbase64(token, tokenSize); err != nil {
		return Invite{}, ErrInvite
	}
	i := Invite{Host: host, Token: token}
	if pinned {
		if i.Pin, err = unbase64(pin, PinSize); err != nil {
			return Invite{}, ErrInvite
		}
	}
	return i, nil
}

// unbase64 decodes exactly the encoding of size bytes.
func unbase64(s string, size int) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrInvite
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != size {
		return nil, ErrInvite
	}
	return b, nil
}
