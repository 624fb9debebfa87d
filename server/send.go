package server

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/pawl-chat/pawl/internal/relay"
)

// labelMessageID separates the ids under which messages are stored from other
// hashes.
const labelMessageID = "pawl/1 relay message id"

// send stores envelopes for one recipient's devices, all or none, and returns
// when they are durable (R-REL-14, R-REL-15).
func (c *conn) send(body []byte) error {
	req, err := relay.DecodeSend(body)
	if err != nil {
		return err
	}
	// Sizes and rates are held before anything is looked up (R-REL-17).
	if req.TooLarge() {
		return relay.Refuse(relay.TooLarge)
	}
	now := c.s.now()
	if err := c.s.limits.sendRequester.take(c.dev.User, 1, now); err != nil {
		return err
	}
	if err := c.s.limits.sendPair.take([2]string{c.dev.User, req.To}, 1, now); err != nil {
		return err
	}
	a, err := c.s.accounts.recent(c.s.store, req.To)
	if err != nil {
		return err
	}
	if !c.fits(a, &req) {
		return &relay.Error{Code: relay.Stale, Version: a.list.Version}
	}
	envelopes := make([]Envelope, len(req.Messages))
	for i := range req.Messages {
		m := &req.Messages[i]
		dev := Device{User: req.To, ID: m.Device}
		if err := c.s.limits.sendBytes.take(dev, len(m.Body), now); err != nil {
			return err
		}
		envelopes[i] = Envelope{Device: dev, ID: storedID(c.dev, m.ID), At: now, Body: m.Body}
		if req.TTL > 0 {
			envelopes[i].Expires = now.Add(time.Duration(req.TTL) * time.Second)
		}
	}
	_, err = c.s.conf.Mailbox.Append(c.s.store, envelopes)
	return err
}

// fits reports whether the sender's picture of the recipient's devices is
// right. With a list version it must be that version and name every active
// device, except the sender's own; without, the devices need only be active.
func (c *conn) fits(a *account, req *relay.SendRequest) bool {
	for i := range req.Messages {
		if !a.isActive(req.Messages[i].Device) {
			return false
		}
	}
	if req.ListVersion == 0 {
		return true
	}
	want := len(a.active)
	if a.user == c.dev.User {
		for i := range req.Messages {
			if req.Messages[i].Device == c.dev.ID {
				return false
			}
		}
		want--
	}
	return req.ListVersion == a.list.Version && len(req.Messages) == want
}

// storedID derives the id of a message from its sender's, so that nobody can
// occupy another sender's id: a message sent again under its id is stored once
// (R-REL-16).
func storedID(from Device, id relay.MessageID) MessageID {
	var buf [128]byte
	b := append(buf[:0], labelMessageID...)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(from.ID))
	b = append(b, from.User...)
	sum := sha256.Sum256(b)
	return MessageID(sum[:16])
}
