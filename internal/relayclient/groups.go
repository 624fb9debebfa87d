package relayclient

import (
	"context"
	"errors"
	"slices"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// GroupCreate begins a group at the server. Repeating it changes nothing;
// relay.Exists when the group's log begins with another entry or token.
func (c *Conn) GroupCreate(ctx context.Context, r relay.GroupCreate) error {
	return c.call(ctx, relay.OpGroupCreate, codec.Marshal(&r), nil)
}

// GroupAppend places an entry in a group's log. Placed.Ok says that it stands
// there, by this call or an earlier one; else the log has moved on, or the
// token's epoch has ended, and the server's word of where is with it.
// relay.NotFound when there is no such group or it never had this token.
func (c *Conn) GroupAppend(ctx context.Context, r relay.GroupAppend) (relay.GroupPlaced, error) {
	var placed relay.GroupPlaced
	if err := c.call(ctx, relay.OpGroupAppend, codec.Marshal(&r), &placed); err != nil {
		return relay.GroupPlaced{}, err
	}
	if placed.Ok && (placed.Seq != r.Seq || placed.Head != r.Head) {
		return relay.GroupPlaced{}, ErrProtocol
	}
	return placed, nil
}

// GroupRead returns a page of a group's log, as the server tells it: verify it.
// The page begins at r.From, or at the beginning of the token's epoch if that
// is later. Entries link up with each other and end at page.Head when nothing
// follows; that the first follows what the caller holds is for the caller to
// see.
func (c *Conn) GroupRead(ctx context.Context, r relay.GroupRead) (relay.GroupPage, error) {
	var page relay.GroupPage
	if err := c.call(ctx, relay.OpGroupRead, codec.Marshal(&r), &page); err != nil {
		return relay.GroupPage{}, err
	}
	if len(page.Entries) > 0 && page.Entries[0].Seq < r.From {
		return relay.GroupPage{}, ErrProtocol
	}
	return page, nil
}

// GroupSend hands one message over for every device of an audience and returns
// when the server has stored it for all but those in Full. Stale and Lists mean
// that nothing was stored by this call. After any other error than a
// *relay.Error some devices may have got it; sending again with the same id
// reaches the rest and stores nothing twice.
//
// The audience is named by its hash, and sent along only when the server does
// not hold it.
func (c *Conn) GroupSend(ctx context.Context, r relay.GroupSend) (relay.GroupSendResult, error) {
	audience := r.Prepared
	if audience == nil {
		audience = relay.NewAudience(r.Audience)
	}
	var got relay.GroupSendAnswer
	err := c.call(ctx, relay.OpGroupSend, r.Request(audience, false), &got)
	if errors.Is(err, relay.NeedAudience) {
		got = relay.GroupSendAnswer{}
		err = c.call(ctx, relay.OpGroupSend, r.Request(audience, true), &got)
		if errors.Is(err, relay.NeedAudience) {
			err = ErrProtocol // it has just been told
		}
	}
	if err != nil {
		return relay.GroupSendResult{}, err
	}
	result := relay.GroupSendResult{Stale: got.Stale, Lists: got.Lists}
	for _, f := range got.Full {
		for _, d := range f.Devices {
			result.Full = append(result.Full, relay.GroupDevice{User: f.User, Device: d})
		}
	}
	if !possible(audience, &result) {
		return relay.GroupSendResult{}, ErrProtocol
	}
	return result, nil
}

// possible reports whether what a server says of a send can be true of the
// audience: it names nobody else, and somebody has got it (R-REL-51).
func possible(a *relay.Audience, got *relay.GroupSendResult) bool {
	if len(got.Lists)+len(got.Full) == 0 {
		return true
	}
	devices, full, lists := 0, 0, 0
	for i := range a.Members() {
		m := &a.Members()[i]
		devices += len(m.Devices)
		if _, ok := slices.BinarySearch(got.Lists, m.User); ok {
			lists++
		}
		// Both are in ascending order of the users.
		for full < len(got.Full) && got.Full[full].User == m.User && slices.Contains(m.Devices, got.Full[full].Device) {
			full++
		}
	}
	return full == len(got.Full) && (full == 0 || full < devices) && lists == len(got.Lists)
}
