package server

import (
	"context"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
)

// account answers with a device-list chain, a page at a time.
func (c *conn) account(body []byte) ([]byte, error) {
	var req relay.AccountRequest
	if err := relay.Decode(body, &req); err != nil {
		return nil, err
	}
	if err := c.s.limits.lookup.take(c.dev.User, 1, c.s.now()); err != nil {
		return nil, err
	}
	a, err := c.s.accounts.fresh(c.s.store, req.User)
	if err != nil {
		return nil, err
	}
	entries := a.rec.Entries
	if req.From > uint64(len(entries)) {
		return codec.Marshal(&relay.AccountResult{Entries: [][]byte{}}), nil
	}
	entries = entries[req.From-1:]
	n, size := 1, len(entries[0])
	for n < len(entries) && size+len(entries[n]) <= relay.MaxPage {
		size += len(entries[n])
		n++
	}
	return codec.Marshal(&relay.AccountResult{Entries: entries[:n], More: n < len(entries)}), nil
}

// putDeviceList appends an entry to the requester's device list: by
// compare-and-swap, and only one that verifies and extends it (R-REL-10).
func (c *conn) putDeviceList(body []byte) error {
	var req relay.PutDeviceListRequest
	if err := relay.Decode(body, &req); err != nil {
		return err
	}
	if err := c.s.limits.listChange.take(c.dev.User, 1, c.s.now()); err != nil {
		return err
	}
	changed, err := c.s.accounts.change(c.s.store, c.dev.User, func(a *account, ch *Change) (bool, error) {
		if !a.isActive(c.dev.ID) {
			return false, relay.Refuse(relay.Unauthorized)
		}
		if a.list.Hash() == devicelist.Hash(req.Entry) {
			return false, nil // an earlier attempt went through
		}
		next, err := devicelist.Extend(a.list, req.Entry)
		if err != nil {
			if refused, _ := refusal(err); refused.Code == relay.Conflict {
				refused.Version = a.list.Version
				return false, refused
			}
			return false, err
		}
		size := len(req.Entry)
		for _, e := range a.rec.Entries {
			size += len(e)
		}
		if len(a.rec.Entries) >= relay.MaxChain || size > relay.MaxChainBytes {
			return false, relay.Refuse(relay.TooLarge)
		}
		for _, d := range a.list.Active() {
			if now, _ := next.Device(d.ID); now.Status != devicelist.Active {
				ch.Removed = append(ch.Removed, d.ID)
			}
		}
		a.rec.Entries = append(a.rec.Entries, req.Entry)
		a.rec.Devices = slices.DeleteFunc(a.rec.Devices, func(p devicePrekeys) bool {
			return slices.Contains(ch.Removed, p.Device)
		})
		a.list = next
		return true, nil
	})
	if err != nil {
		return err
	}
	return c.s.cutOff(changed, c.dev)
}

// leaveIfRevoked ends the connection of a device that has revoked itself, once
// it has its answer.
func (c *conn) leaveIfRevoked() {
	a, err := c.s.accounts.recent(c.s.store, c.dev.User)
	if err != nil || a.isActive(c.dev.ID) {
		return
	}
	ctx, cancel := context.WithTimeout(c.s.store, time.Second)
	defer cancel()
	c.link.Drain(ctx)
	c.end()
	c.link.Close(relay.CloseUnauthorized)
}

// cutOff ends what revoked devices still have here: their connections at once,
// then their mailboxes (R-REL-32). It does so for all that the list names, so
// that repeating a change of which half was done completes it. The device that
// made the change is left its connection, for the answer.
func (s *Server) cutOff(a *account, but Device) error {
	var gone []Device
	for _, d := range a.list.Devices {
		if d.Status != devicelist.Active {
			gone = append(gone, Device{User: a.user, ID: d.ID})
		}
	}
	for _, dev := range gone {
		if dev != but {
			s.conns.evict(dev)
		}
	}
	var failed error
	for _, dev := range gone {
		if err := s.conf.Mailbox.RemoveDevice(s.store, dev); err != nil {
			failed = err
		}
	}
	return failed
}
