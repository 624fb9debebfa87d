package relayclient

import (
	"context"
	"errors"
	"slices"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// Account returns the whole device-list chain of a user of this server, oldest
// entry first, as the server tells it: verify it. relay.NotFound when there is
// nobody of that name.
func (c *Conn) Account(ctx context.Context, user string) ([][]byte, error) {
	var entries [][]byte
	size := 0
	for {
		var page relay.AccountResult
		req := relay.AccountRequest{User: user, From: uint64(len(entries)) + 1}
		if err := c.call(ctx, relay.OpAccount, codec.Marshal(req), &page); err != nil {
			return nil, err
		}
		entries = append(entries, page.Entries...)
		for _, e := range page.Entries {
			size += len(e)
		}
		if size > relay.MaxChainBytes || len(entries) > relay.MaxChain || (len(entries) == 0 && !page.More) {
			return nil, ErrProtocol
		}
		if !page.More {
			return entries, nil
		}
	}
}

// PutDeviceList appends an entry to this account's device list. relay.Conflict
// when the entry does not extend what the server holds by then.
func (c *Conn) PutDeviceList(ctx context.Context, entry []byte) error {
	return c.call(ctx, relay.OpPutDeviceList, codec.Marshal(relay.PutDeviceListRequest{Entry: entry}), nil)
}

// PutPrekeys uploads this device's prekeys. Repeating an upload changes
// nothing.
func (c *Conn) PutPrekeys(ctx context.Context, upload []byte) error {
	return c.call(ctx, relay.OpPutPrekeys, codec.Marshal(relay.PutPrekeysRequest{Upload: upload}), nil)
}

// PrekeyStatus returns what the server holds for this device.
func (c *Conn) PrekeyStatus(ctx context.Context) (relay.PrekeyStatus, error) {
	var s relay.PrekeyStatus
	err := c.call(ctx, relay.OpPrekeyStatus, nil, &s)
	return s, err
}

// TakeBundle takes one device's bundle. Each call uses one-time keys up, also
// when its answer is lost, and is rate-limited: do not call it for curiosity.
func (c *Conn) TakeBundle(ctx context.Context, user string, device address.Device) ([]byte, error) {
	var r relay.TakeBundleResult
	err := c.call(ctx, relay.OpTakeBundle, codec.Marshal(relay.TakeBundleRequest{User: user, Device: device}), &r)
	return r.Bundle, err
}

// Send hands envelopes over and returns when the server has stored them.
// After any error but a *relay.Error the outcome is unknown; sending again with
// the same ids stores nothing twice. Result.Stale set means that nothing was
// stored because the request does not fit the recipient's device list or one's
// own; what it says is the server's word. Devices whose mailboxes are full may
// have been left out; at least one of the recipient's was not.
func (c *Conn) Send(ctx context.Context, r relay.SendRequest) (relay.SendResult, error) {
	var got relay.SendAnswer
	err := c.call(ctx, relay.OpSend, r.Encode(), &got)
	var refused *relay.Error
	switch {
	case err == nil:
		return sent(&r, &got)
	case errors.As(err, &refused) && refused.Code == relay.Stale:
		return stale(&r, refused)
	}
	return relay.SendResult{}, err
}

// sent takes what a server says of a send that it has stored, if it can be true
// of the request (R-REL-27, R-REL-35).
func sent(r *relay.SendRequest, got *relay.SendAnswer) (relay.SendResult, error) {
	result := relay.SendResult{Full: got.Full, OwnFull: got.Own}
	for i := range r.Messages {
		if d := r.Messages[i].Device; !slices.Contains(got.Full, d) {
			result.Accepted = append(result.Accepted, d)
		}
	}
	own := 0
	if r.Own != nil {
		for i := range r.Own.Messages {
			if slices.Contains(got.Own, r.Own.Messages[i].Device) {
				own++
			}
		}
	}
	// Each one named was asked for, and the recipient has got something.
	if len(result.Accepted) != len(r.Messages)-len(got.Full) || len(result.Accepted) == 0 || own != len(got.Own) {
		return relay.SendResult{}, ErrProtocol
	}
	return result, nil
}

// stale takes what a server says of a stale list, if it can be true of the
// request (R-REL-27, R-REL-31).
func stale(r *relay.SendRequest, e *relay.Error) (relay.SendResult, error) {
	named := r.ListVersion
	if e.Own {
		if r.Own == nil {
			return relay.SendResult{}, ErrProtocol
		}
		named = r.Own.ListVersion
	}
	if n := uint64(len(e.Entries)); n > 0 && (named == 0 || e.Version <= named || n > e.Version-named) {
		return relay.SendResult{}, ErrProtocol
	}
	return relay.SendResult{Stale: &relay.StaleList{Version: e.Version, Own: e.Own, Entries: e.Entries}}, nil
}

// Ack acknowledges deliveries; the server then forgets them.
func (c *Conn) Ack(ctx context.Context, seqs []uint64) error {
	c.mu.Lock()
	for _, s := range seqs {
		c.waiting -= c.unacked[s]
		delete(c.unacked, s)
	}
	c.mu.Unlock()
	for len(seqs) > 0 {
		n := min(len(seqs), relay.MaxAcks)
		if err := c.call(ctx, relay.OpAck, codec.Marshal(relay.AckRequest{Seqs: seqs[:n]}), nil); err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return nil
}

// MailboxEnd returns the sequence number of the last message that this
// device's mailbox was given: when it has been delivered, so has everything
// that was accepted before the call.
func (c *Conn) MailboxEnd(ctx context.Context) (uint64, error) {
	var r relay.MailboxEndResult
	err := c.call(ctx, relay.OpMailboxEnd, nil, &r)
	return r.Seq, err
}
