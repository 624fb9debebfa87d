package server

import (
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// window is what has been delivered on a connection and not been acknowledged
// (R-REL-19).
type window struct {
	mu      sync.Mutex
	unacked map[Seq]int // sizes
	bytes   int
	opened  chan struct{} // has room for one: the window may have opened
}

func (w *window) init() {
	w.unacked = make(map[Seq]int)
	w.opened = make(chan struct{}, 1)
}

// room returns how many messages and bytes may be delivered now; the last
// message may exceed the bytes.
func (w *window) room() (messages, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes >= relay.WindowBytes {
		return 0, 0
	}
	return relay.WindowMessages - len(w.unacked), relay.WindowBytes - w.bytes
}

func (w *window) add(m *Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unacked[m.Seq] = len(m.Body)
	w.bytes += len(m.Body)
}

func (w *window) remove(seqs []Seq) {
	w.mu.Lock()
	for _, s := range seqs {
		w.bytes -= w.unacked[s]
		delete(w.unacked, s)
	}
	w.mu.Unlock()
	select {
	case w.opened <- struct{}{}:
	default:
	}
}

// ack forgets messages for good (R-REL-21).
func (c *conn) ack(body []byte) error {
	var req relay.AckRequest
	if err := relay.Decode(body, &req); err != nil {
		return err
	}
	seqs := make([]Seq, len(req.Seqs))
	for i, s := range req.Seqs {
		seqs[i] = Seq(s)
	}
	if err := c.s.conf.Mailbox.Ack(c.s.store, c.dev, seqs); err != nil {
		return err
	}
	c.window.remove(seqs)
	return nil
}

// pump delivers the device's messages in order: first what waits, then the
// marker that this was all, then what comes. Everything is read from the store
// after the last one delivered; a hint only says when to look, and so does a
// clock, because hints may be lost. So no message is overtaken or left lying.
func (c *conn) pump() {
	sub, err := c.s.conf.Wake.Subscribe(c.ctx, c.dev)
	if err != nil {
		if c.ctx.Err() == nil {
			c.s.refuse("subscribe", err)
			c.link.Close(relay.CloseGoingAway)
		}
		return
	}
	defer sub.Cancel()
	// Look again 1 s and 10 s after connecting and then now and then.
	looks := []time.Duration{time.Second, 10 * time.Second, 5 * time.Minute}
	again := time.NewTimer(looks[0])
	defer again.Stop()
	var after Seq
	emptied := false
	for {
		next, more, err := c.deliver(after, sub.Last, &emptied)
		after = next
		switch {
		case err == nil && more:
			continue
		case err != nil && c.ctx.Err() != nil:
			return
		case err != nil:
			c.s.refuse("deliver", err) // and look again later
		}
		select {
		case <-c.ctx.Done():
			return
		case <-sub.C:
		case <-c.window.opened:
		case <-again.C:
			if len(looks) > 1 {
				looks = looks[1:]
			}
			again.Reset(looks[0])
		}
	}
}

// deliver sends one batch after the given Seq, if the window has room, and
// returns the new position and whether to go on at once. waited is the newest
// Seq that was there when the connection began.
func (c *conn) deliver(after, waited Seq, emptied *bool) (Seq, bool, error) {
	messages, bytes := c.window.room()
	if messages <= 0 {
		return after, false, nil
	}
	limit := min(messages, relay.MaxBatch)
	msgs, more, err := c.s.conf.Mailbox.Read(c.ctx, c.dev, after, limit, min(bytes, relay.MaxPage))
	if err != nil {
		return after, false, err
	}
	batch := relay.Deliver{Messages: make([]relay.Delivery, 0, len(msgs))}
	for i := range msgs {
		m := &msgs[i]
		after = m.Seq
		if m.Damaged {
			c.s.log.Error("a stored message is damaged and is not delivered")
			continue
		}
		c.window.add(m)
		batch.Messages = append(batch.Messages, relay.Delivery{
			Seq: uint64(m.Seq), ID: relay.MessageID(m.ID), At: m.At.UnixMilli(), Body: m.Body,
		})
	}
	if !*emptied && (!more || after >= waited) {
		*emptied, batch.Empty = true, true
	}
	if len(batch.Messages) == 0 && !batch.Empty {
		return after, more, nil
	}
	// Noted before it is sent: a device may answer before this goes on.
	if n := len(batch.Messages); n > 0 {
		c.delivered.Store(batch.Messages[n-1].Seq)
	}
	if err := c.link.Send(relay.Frame{Kind: uint64(relay.OpDeliver), Body: codec.Marshal(&batch)}); err != nil {
		c.end() // the connection is lost, and the pump with it
		return after, false, err
	}
	return after, more, nil
}
