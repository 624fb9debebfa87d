package groups

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/pawl-chat/pawl/internal/address"
)

// ErrInvite says that a text is not an invite link of a group.
var ErrInvite = errors.New("not a link of the form pawl://HOST/group/ID?by=ADDRESS&t=TOKEN")

// Invite is what a link into a group says: with it a person asks its admin to be
// let in. The link alone lets nobody in (R-GRP-35).
type Invite struct {
	Host  string // canonical host[:port] of the server where the group lives
	Group ID
	By    string   // canonical address of the admin to ask
	Token [16]byte // what the admin knows the link by
}

// NewInvite makes an invite with a token of its own.
func NewInvite(host string, g ID, by string) Invite {
	i := Invite{Host: host, Group: g, By: by}
	rand.Read(i.Token[:])
	return i
}

const (
	inviteScheme = "pawl://"
	invitePath   = "/group/"
	inviteBy     = "?by="
	inviteToken  = "&t="
)

// String returns the link.
func (i Invite) String() string {
	// The @ may stand in a query; everything else that needs it is escaped.
	by := strings.ReplaceAll(url.QueryEscape(i.By), "%40", "@")
	return inviteScheme + i.Host + invitePath + i.Group.String() + inviteBy + by + inviteToken + base64.RawURLEncoding.EncodeToString(i.Token[:])
}

// ParseInvite reads a link. It accepts exactly what String returns for a valid
// invite, with white space around it and any case of scheme, host and group
// forgiven, because links are copied by hand.
func ParseInvite(s string) (Invite, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxInvite || len(s) < len(inviteScheme) || !strings.EqualFold(s[:len(inviteScheme)], inviteScheme) {
		return Invite{}, ErrInvite
	}
	host, rest, ok1 := strings.Cut(s[len(inviteScheme):], invitePath)
	id, rest, ok2 := strings.Cut(rest, inviteBy)
	by, token, ok3 := strings.Cut(rest, inviteToken)
	if !ok1 || !ok2 || !ok3 {
		return Invite{}, ErrInvite
	}
	var i Invite
	var err error
	if i.Host, err = address.Host(host); err != nil {
		return Invite{}, ErrInvite
	}
	if i.Group, err = ParseID(id); err != nil {
		return Invite{}, ErrInvite
	}
	if i.By, err = url.QueryUnescape(by); err != nil {
		return Invite{}, ErrInvite
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if _, aerr := address.ParseCanonical(i.By); err != nil || aerr != nil || len(b) != len(i.Token) {
		return Invite{}, ErrInvite
	}
	i.Token = [16]byte(b)
	// One link for one invite: what was escaped otherwise is refused.
	if again := i.String(); !strings.HasSuffix(again, inviteBy+by+inviteToken+token) {
		return Invite{}, ErrInvite
	}
	return i, nil
}
