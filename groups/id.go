package groups

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"

	"github.com/pawl-chat/pawl/internal/grouplog"
)

// ID names a group: 16 random bytes (R-GRP-01).
type ID [16]byte

// ChainID names a chain. It is a hash of what the chain is bound to (R-GRP-03).
type ChainID [16]byte

// Head is the hash over the roster log up to an entry (R-GRP-21). The head of
// the empty log is zero.
type Head [32]byte

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

var errID = errors.New("groups: not a group id of 26 characters")

// NewID draws an ID.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// ParseID reads the form that String prints, in either case.
func ParseID(s string) (ID, error) {
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

// String prints the chain's id as 26 characters of lower-case base32.
func (id ChainID) String() string { return idEncoding.EncodeToString(id[:]) }

// IsZero reports whether id names nothing.
func (id ChainID) IsZero() bool { return id == ChainID{} }

// IsZero reports whether h is the head of the empty log.
func (h Head) IsZero() bool { return h == Head{} }

// HeadOf is the head after blob is placed at seq upon prev (R-GRP-21). The
// server and every member compute it alike.
func HeadOf(g ID, seq uint64, prev Head, blob []byte) Head { return grouplog.Head(g, seq, prev, blob) }
