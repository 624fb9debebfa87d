package server

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/relay"
)

// labelMessageID separates the ids under which messages are stored from other
// hashes.
const labelMessageID = "pawl/1 relay message id"

// send stores envelopes for one recipient's devices and for the sender's own
// other ones, all or none but for those without room, and returns when they
// are durable (R-REL-14, R-REL-15, R-REL-30, R-REL-35). own is the sender's
// account, the result the body of the answer.
func (c *conn) send(own *account, body []byte) ([]byte, error) {
	req, err := relay.DecodeSend(body)
	if err != nil {
		return nil, err
	}
	// Sizes and rates are held before anything is looked up (R-REL-17).
	if req.TooLarge() {
		return nil, relay.Refuse(relay.TooLarge)
	}
	now := c.s.now()
	if err := c.s.limits.sendRequester.take(c.dev.User, 1, now); err != nil {
		return nil, err
	}
	if err := c.s.limits.sendPair.take([2]string{c.dev.User, req.To}, 1, now); err != nil {
		return nil, err
	}
	if req.Own != nil && req.To == c.dev.User {
		return nil, relay.ErrMalformed // the own devices are the recipient's
	}
	to, err := c.s.accounts.recent(c.s.store, req.To)
	if err != nil {
		return nil, err
	}
	if c.stale(own, to, &req) != nil {
		// What was at hand may be older than the store, and nobody is told of that.
		if err := c.reread(&req); err != nil {
			return nil, err
		}
	}
	n := len(req.Messages)
	if req.Own != nil {
		n += len(req.Own.Messages)
	}
	envelopes := make([]Envelope, 0, n)
	if envelopes, err = c.address(envelopes, req.To, req.Messages, req.TTL, now); err != nil {
		return nil, err
	}
	if req.Own != nil {
		if envelopes, err = c.address(envelopes, c.dev.User, req.Own.Messages, req.TTL, now); err != nil {
			return nil, err
		}
	}
	var left relay.SendAnswer
	_, err = c.s.conf.Mailbox.Append(c.s.store, envelopes)
	if errors.Is(err, ErrFull) {
		left, err = c.appendRest(req.To, envelopes)
	}
	if errors.Is(err, ErrRemoved) { // since it was looked up
		if err := c.reread(&req); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return left.Body(), nil
}

// address appends the envelopes of messages for a user's devices.
func (c *conn) address(envelopes []Envelope, user string, messages []relay.Outgoing, ttl int64, now time.Time) ([]Envelope, error) {
	for i := range messages {
		m := &messages[i]
		dev := Device{User: user, ID: m.Device}
		if err := c.s.limits.sendBytes.take(dev, len(m.Body), now); err != nil {
			return nil, err
		}
		e := Envelope{Device: dev, ID: storedID(c.dev, m.ID), At: now, Body: m.Body}
		if ttl > 0 {
			e.Expires = now.Add(time.Duration(ttl) * time.Second)
		}
		envelopes = append(envelopes, e)
	}
	return envelopes, nil
}

// names reports whether the messages are for the devices that they must be
// for. With a list version it must be the present one and they name every
// active device, except the sender's own; without, the devices need only be
// active.
func (c *conn) names(a *account, version uint64, messages []relay.Outgoing) bool {
	for i := range messages {
		if !a.isActive(messages[i].Device) {
			return false
		}
	}
	if version == 0 {
		return true
	}
	want := len(a.active)
	if a.user == c.dev.User {
		for i := range messages {
			if messages[i].Device == c.dev.ID {
				return false
			}
		}
		want--
	}
	return version == a.list.Version && len(messages) == want
}

// stale returns the refusal of a send that does not fit, the recipient's list
// first, nil if it fits.
func (c *conn) stale(own, to *account, req *relay.SendRequest) error {
	switch {
	case !c.names(to, req.ListVersion, req.Messages):
		return to.difference(req.ListVersion, false)
	case req.Own != nil && !c.names(own, req.Own.ListVersion, req.Own.Messages):
		return own.difference(req.Own.ListVersion, true)
	}
	return nil
}

// reread is stale on what the store holds now.
func (c *conn) reread(req *relay.SendRequest) error {
	to, err := c.s.accounts.fresh(c.s.store, req.To)
	if err != nil {
		return err
	}
	own, err := c.s.accounts.fresh(c.s.store, c.dev.User)
	if err != nil {
		return err
	}
	if !own.isActive(c.dev.ID) {
		return relay.Refuse(relay.Unauthorized)
	}
	return c.stale(own, to, req)
}

// difference is the refusal for a sender whose picture of a list is of that
// version, zero for none: with the entries that it lacks (R-REL-31).
func (a *account) difference(version uint64, own bool) *relay.Error {
	refused := &relay.Error{Code: relay.Stale, Version: a.list.Version, Own: own}
	if version > 0 && version < a.list.Version {
		refused.Entries = a.after(version + 1)
	}
	return refused
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
