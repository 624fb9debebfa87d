package server

import (
	"slices"

	"github.com/pawl-chat/pawl/internal/relay"
)

// A device that nobody switches on must not block everybody who writes to its
// owner, nor its owner: when a mailbox is full, its device is left out of a send
// and the answer says so (R-REL-35).

// appendRest stores what there is room for after Append has found a mailbox
// full. user is the recipient: with no room at any of its devices nothing is
// stored and the answer is ErrFull. The copies for the mailboxes that have room
// are stored all or none.
func (c *conn) appendRest(user string, envelopes []Envelope) (left relay.SendAnswer, err error) {
	var room, full []Envelope
	for i := range envelopes {
		e := &envelopes[i]
		st, err := c.s.conf.Mailbox.Stat(c.s.store, e.Device)
		if err != nil {
			return left, err
		}
		if st.takes(len(e.Body)) {
			room = append(room, *e)
		} else {
			full = append(full, *e)
		}
	}
	theirs := func(e Envelope) bool { return e.Device.User == user }
	if len(full) == 0 {
		return left, ErrFull // emptied since, or fuller than it says: the sender tries again
	}
	if !slices.ContainsFunc(room, theirs) {
		n := len(full)
		if full = c.appendEach(full, theirs); len(full) == n {
			return left, ErrFull
		}
	}
	if len(room) > 0 {
		if _, err := c.s.conf.Mailbox.Append(c.s.store, room); err != nil {
			return left, err
		}
	}
	for _, e := range c.appendEach(full, func(Envelope) bool { return true }) {
		if theirs(e) {
			left.Full = append(left.Full, e.Device.ID)
		} else {
			left.Own = append(left.Own, e.Device.ID)
		}
	}
	return left, nil
}

// appendEach tries those of the envelopes that which picks one by one, and
// returns what could not be stored. A request that is repeated finds its own
// copies in mailboxes that they have filled, and those are not left out.
func (c *conn) appendEach(envelopes []Envelope, which func(Envelope) bool) []Envelope {
	return slices.DeleteFunc(envelopes, func(e Envelope) bool {
		if !which(e) {
			return false
		}
		_, err := c.s.conf.Mailbox.Append(c.s.store, []Envelope{e})
		return err == nil
	})
}

// takes reports whether a mailbox has room for one more body of that size, as
// it may be sealed.
func (s *Stat) takes(size int) bool {
	return s.Count < MailboxMessages && s.Bytes+int64(size)+SealOverhead <= MailboxBytes
}
