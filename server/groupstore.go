package server

import (
	"context"
	"fmt"
)

// GroupID, GroupHead and GroupToken are bytes that members of a group choose:
// the name of the group, the hash that ends its log, and the SHA-256 of what
// proves membership of an epoch. A store compares them and knows nothing more.
type (
	GroupID    [16]byte
	GroupHead  [32]byte
	GroupToken [32]byte
)

// GroupEntry is one entry of a group's log.
type GroupEntry struct {
	Seq  uint64    // 1 for the first
	Prev GroupHead // head of the entry before, zero for the first
	Head GroupHead
	Blob []byte
}

// GroupCreation begins a log. Entry is the first.
type GroupCreation struct {
	Group GroupID
	Token GroupToken // of the first epoch
	Entry GroupEntry
}

// GroupAppend places an entry at the end of a log if the log ends at its Prev.
type GroupAppend struct {
	Group GroupID
	Token GroupToken // of the present epoch
	Entry GroupEntry
	// Next, when set, is the token of the epoch that begins after this entry.
	Next *GroupToken
}

// GroupState is what the log of a group looks like to one token.
type GroupState struct {
	// Seq and Head are those of the newest entry that the token may see. While
	// its epoch has no entry of its own, they are the last ones of the epoch
	// before.
	Seq  uint64
	Head GroupHead
	// First is the first entry that the token may see; Seq+1 when there is none.
	First uint64
	// Ended: a later epoch has begun after Seq.
	Ended bool
}

// Groups holds the logs of groups: for each a chain of opaque entries and the
// tokens of its epochs, each with the range of entries that were placed under
// it. It is linearizable as the rest of the Directory is. A token that a group
// never had and a group that does not exist are one thing: ErrNotFound.
type Groups interface {
	// CreateGroup begins a log. If it is there and begins with the same entry
	// and token, an earlier attempt went through: nil. ErrExists, ErrTooLarge.
	CreateGroup(ctx context.Context, c GroupCreation) error

	// AppendGroup is compare-and-swap on the end of the log (R-STO-30). If the
	// entry stands there already with the same Next, an earlier attempt went
	// through: nil. ErrConflict when the log does not end at Prev, or the
	// token's epoch has ended; the state then says what the token may know of.
	// ErrNotFound, ErrInvalid when Next was used before, ErrTooLarge.
	AppendGroup(ctx context.Context, a GroupAppend) (GroupState, error)

	// ReadGroup returns the entries from a number on that the token may see, at
	// most limit and, from the second on, maxBytes of blobs. What it returns and
	// the state are of one moment. ErrNotFound.
	ReadGroup(ctx context.Context, group GroupID, token GroupToken, from uint64, limit, maxBytes int) ([]GroupEntry, GroupState, error)
}

func (e *GroupEntry) valid() error {
	switch {
	case len(e.Blob) > MaxGroupBlob:
		return fmt.Errorf("%w: a group's entry of more than %d bytes", ErrTooLarge, MaxGroupBlob)
	case e.Seq > MaxGroupEntries:
		return fmt.Errorf("%w: more than %d entries of a group", ErrTooLarge, MaxGroupEntries)
	}
	return nil
}

// Valid reports whether a store may take the creation.
func (c *GroupCreation) Valid() error {
	if c.Entry.Seq != 1 || c.Entry.Prev != (GroupHead{}) {
		return fmt.Errorf("%w: a group's first entry is number 1 and follows nothing", ErrInvalid)
	}
	return c.Entry.valid()
}

// Valid reports whether a store may take the entry.
func (a *GroupAppend) Valid() error {
	if a.Entry.Seq < 2 || a.Next != nil && *a.Next == a.Token {
		return fmt.Errorf("%w: an entry that cannot follow another, or a token that follows itself", ErrInvalid)
	}
	return a.Entry.valid()
}
