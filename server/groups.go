package server

import (
	"crypto/sha256"
	"errors"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/grouplog"
	"github.com/pawl-chat/pawl/internal/relay"
)

// The server keeps for each group a chain of entries that it cannot read, and
// for each epoch the hash of a token (R-REL-40). It learns no name and no
// member from them: whoever shows the token may, whoever does not may not, and
// who that is it does not ask.

// groupToken is what the store knows of a token (R-REL-41). Being the hash of
// 32 random bytes, it can be looked up without telling anything by the time
// that takes.
func groupToken(token [relay.GroupTokenSize]byte) GroupToken { return sha256.Sum256(token[:]) }

// createGroup begins a group's log (R-REL-42).
func (c *conn) createGroup(body []byte) error {
	var req relay.GroupCreate
	if err := relay.Decode(body, &req); err != nil {
		return err
	}
	if req.Head != grouplog.Head(req.Group, 1, [relay.GroupHeadSize]byte{}, req.Blob) {
		return relay.ErrMalformed // R-REL-53
	}
	now := c.s.now()
	if err := c.s.limits.groupCreate.take(c.dev.User, 1, now); err != nil {
		return err
	}
	if err := c.s.limits.groupLog.take(c.dev.User, len(req.Blob), now); err != nil {
		return err
	}
	return c.s.conf.Directory.CreateGroup(c.s.store, GroupCreation{
		Group: req.Group, Token: groupToken(req.Token), Entry: GroupEntry{Seq: 1, Head: req.Head, Blob: req.Blob},
	})
}

// appendGroup places an entry by compare-and-swap (R-REL-43).
func (c *conn) appendGroup(body []byte) ([]byte, error) {
	var req relay.GroupAppend
	if err := relay.Decode(body, &req); err != nil {
		return nil, err
	}
	if req.Head != grouplog.Head(req.Group, req.Seq, req.Prev, req.Blob) {
		return nil, relay.ErrMalformed // R-REL-53: nobody could place another after it
	}
	now := c.s.now()
	if err := c.s.limits.groupAppend.take(c.dev.User, 1, now); err != nil {
		return nil, err
	}
	if err := c.s.limits.groupLog.take(c.dev.User, len(req.Blob), now); err != nil {
		return nil, err
	}
	a := GroupAppend{
		Group: req.Group, Token: groupToken(req.Token),
		Entry: GroupEntry{Seq: req.Seq, Prev: req.Prev, Head: req.Head, Blob: req.Blob},
	}
	if len(req.NextToken) > 0 {
		next := groupToken([relay.GroupTokenSize]byte(req.NextToken))
		a.Next = &next
	}
	st, err := c.s.conf.Directory.AppendGroup(c.s.store, a)
	switch {
	case err == nil:
		return codec.Marshal(&relay.GroupPlaced{Ok: true, Seq: req.Seq, Head: req.Head}), nil
	case errors.Is(err, ErrConflict):
		return codec.Marshal(&relay.GroupPlaced{Seq: st.Seq, Head: st.Head}), nil
	}
	return nil, err
}

// readGroup answers with a page of what the token may see (R-REL-44).
func (c *conn) readGroup(body []byte) ([]byte, error) {
	var req relay.GroupRead
	if err := relay.Decode(body, &req); err != nil {
		return nil, err
	}
	if err := c.s.limits.lookup.take(c.dev.User, 1, c.s.now()); err != nil {
		return nil, err
	}
	entries, st, err := c.s.conf.Directory.ReadGroup(c.s.store, req.Group, groupToken(req.Token), req.From, relay.MaxGroupPage, relay.MaxPage)
	if err != nil {
		return nil, err
	}
	page := relay.GroupPage{Entries: make([]relay.GroupEntry, len(entries)), Seq: st.Seq, Head: st.Head, Moved: st.Ended}
	for i := range entries {
		e := &entries[i]
		page.Entries[i] = relay.GroupEntry{Seq: e.Seq, Prev: e.Prev, Head: e.Head, Blob: e.Blob}
		page.More = e.Seq < st.Seq
	}
	return codec.Marshal(&page), nil
}
