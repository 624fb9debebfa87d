package server

import (
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// mailboxEnd returns the Seq of the newest message that the device is going to
// be delivered on this connection, so that it knows when it has caught up with
// everything accepted before it asked (R-REL-29).
func (c *conn) mailboxEnd(body []byte) ([]byte, error) {
	if len(body) != 0 {
		return nil, relay.ErrMalformed
	}
	if err := c.s.limits.lookup.take(c.dev.User, 1, c.s.now()); err != nil {
		return nil, err
	}
	end := Seq(c.delivered.Load())
	for after, more := end, true; more; {
		var msgs []Message
		var err error
		msgs, more, err = c.s.conf.Mailbox.Read(c.ctx, c.dev, after, relay.MaxBatch, relay.MaxPage)
		if err != nil {
			return nil, err
		}
		for i := range msgs {
			after = msgs[i].Seq
			if !msgs[i].Damaged {
				end = after
			}
		}
		more = more && len(msgs) > 0
	}
	return codec.Marshal(relay.MailboxEndResult{Seq: uint64(end)}), nil
}
