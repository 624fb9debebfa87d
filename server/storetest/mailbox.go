package storetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/server"
)

var mailboxHistories = []history{
	{"messages wait in order until acknowledged", func(h *harness) { // R-STO-08
		dev, other := device("alice", 1), device("alice", 2)
		for n := range uint64(5) {
			r := h.appendAll(envelope(dev, n+1), envelope(other, n+1))
			if r[0].Duplicate || r[1].Duplicate {
				h.Fatal("a new message is called a repetition")
			}
		}
		h.reopen()
		msgs := h.readAll(dev)
		h.wantIDs(dev, 1, 2, 3, 4, 5)
		for i, m := range msgs {
			if e := envelope(dev, uint64(i)+1); !bytes.Equal(m.Body, e.Body) || !m.At.Equal(t0) || m.Damaged {
				h.Fatalf("message %d is not what was appended: %q", i, m.Body)
			}
		}
		h.ok(h.Ack(h.ctx, dev, []server.Seq{msgs[1].Seq, msgs[3].Seq, msgs[3].Seq, 1 << 62, 1 << 63, 0}))
		h.ok(h.Ack(h.ctx, dev, []server.Seq{msgs[1].Seq}))
		h.wantIDs(dev, 1, 3, 5)
		h.reopen()
		h.wantIDs(dev, 1, 3, 5)
		h.wantIDs(other, 1, 2, 3, 4, 5)
		h.ok(h.Ack(h.ctx, other, []server.Seq{msgs[0].Seq})) // another's message
		h.wantIDs(dev, 1, 3, 5)
		rest, more, err := h.Read(h.ctx, dev, msgs[2].Seq, 10, 1<<20)
		h.ok(err)
		if more || !slices.Equal(ids(rest), []uint64{5}) {
			h.Fatalf("after the third: %v", ids(rest))
		}
	}},
	{"seqs are never used again", func(h *harness) { // R-STO-08
		dev := device("alice", 1)
		var last server.Seq
		for n := range uint64(4) {
			e := envelope(dev, n+1)
			e.At = t0.Add(time.Duration(n) * 100 * 24 * time.Hour)
			r := h.appendAll(e)
			if r[0].Seq <= last {
				h.Fatalf("seq %d after %d", r[0].Seq, last)
			}
			last = r[0].Seq
			h.ok(h.Ack(h.ctx, dev, []server.Seq{last}))
			_, err := h.Expire(h.ctx, e.At.Add(90*24*time.Hour), 100)
			h.ok(err)
			h.reopen()
		}
	}},
	{"a repetition gets the same seq, also after its acknowledgement", func(h *harness) { // R-STO-09
		dev := device("alice", 1)
		first := h.appendAll(envelope(dev, 1), envelope(dev, 2))
		again := envelope(dev, 1)
		again.Body = []byte("another body")
		check := func() {
			h.Helper()
			r := h.appendAll(again, envelope(dev, 2))
			for i := range r {
				if !r[i].Duplicate || r[i].Seq != first[i].Seq {
					h.Fatalf("repetition %d got %+v, first %+v", i, r[i], first[i])
				}
			}
		}
		check()
		if m := h.readAll(dev); len(m) != 2 || !bytes.Equal(m[0].Body, envelope(dev, 1).Body) {
			h.Fatal("the first body does not count")
		}
		h.ok(h.Ack(h.ctx, dev, []server.Seq{first[0].Seq, first[1].Seq}))
		check()
		h.reopen()
		h.wantIDs(dev)
		_, err := h.Expire(h.ctx, t0.Add(server.RememberIDs-time.Millisecond), 100)
		h.ok(err)
		check()
		h.wantIDs(dev)
		n, err := h.Expire(h.ctx, t0.Add(server.RememberIDs), 100)
		h.ok(err)
		if n != 2 {
			h.Fatalf("%d ids forgotten", n)
		}
		r := h.appendAll(envelope(dev, 1))
		if r[0].Duplicate || r[0].Seq <= first[1].Seq {
			h.Fatalf("a forgotten id: %+v", r[0])
		}
	}},
	{"the same envelope twice in one call is one message", func(h *harness) { // R-STO-09
		dev := device("alice", 1)
		r := h.appendAll(envelope(dev, 1), envelope(dev, 1))
		if r[0].Seq != r[1].Seq || r[0].Duplicate || !r[1].Duplicate {
			h.Fatalf("%+v", r)
		}
		h.wantIDs(dev, 1)
		// The same id for another device is another message.
		if r := h.appendAll(envelope(device("alice", 2), 1)); r[0].Duplicate {
			h.Fatal("ids are shared between devices")
		}
	}},
	{"all devices or none", func(h *harness) { // R-STO-10
		full, free, gone := device("alice", 1), device("alice", 2), device("alice", 3)
		h.fill(full, server.MailboxMessages)
		_, err := h.Append(h.ctx, []server.Envelope{envelope(free, 1), envelope(full, 5000)})
		h.is(err, server.ErrFull)
		h.wantIDs(free)
		h.ok(h.RemoveDevice(h.ctx, gone))
		_, err = h.Append(h.ctx, []server.Envelope{envelope(free, 1), envelope(gone, 1)})
		h.is(err, server.ErrRemoved)
		h.wantIDs(free)
		h.appendAll(envelope(free, 1))
		h.wantIDs(free, 1)
	}},
	{"all devices of two users or none", func(h *harness) { // R-STO-10
		bob, alice, gone, full := device("bob", 1), device("alice", 1), device("alice", 2), device("alice", 3)
		r := h.appendAll(envelope(bob, 1), envelope(alice, 1), envelope(bob, 2))
		if r[0].Duplicate || r[1].Duplicate || r[2].Seq <= r[0].Seq {
			h.Fatalf("%+v", r)
		}
		h.reopen()
		h.wantIDs(bob, 1, 2)
		h.wantIDs(alice, 1)
		// A repetition finds each part where it is.
		again := h.appendAll(envelope(bob, 1), envelope(alice, 1))
		if !again[0].Duplicate || !again[1].Duplicate || again[0].Seq != r[0].Seq || again[1].Seq != r[1].Seq {
			h.Fatalf("repeated: %+v, first %+v", again, r)
		}
		// The second user's part is refused, and with it the first's.
		h.fill(full, server.MailboxMessages)
		h.ok(h.RemoveDevice(h.ctx, gone))
		for dev, want := range map[server.Device]error{full: server.ErrFull, gone: server.ErrRemoved} {
			_, err := h.Append(h.ctx, []server.Envelope{envelope(bob, 5001), envelope(alice, 5001), envelope(dev, 5001)})
			h.is(err, want)
			_, err = h.Append(h.ctx, []server.Envelope{envelope(dev, 5001), envelope(bob, 5001), envelope(alice, 5001)})
			h.is(err, want)
		}
		h.wantIDs(bob, 1, 2)
		h.wantIDs(alice, 1)
		_, err := h.Append(h.ctx, []server.Envelope{envelope(bob, 3), envelope(alice, 3), envelope(device("carol", 1), 3)})
		h.is(err, server.ErrInvalid)
		h.wantIDs(bob, 1, 2)
	}},
	{"a mailbox has room for so many messages", func(h *harness) { // R-STO-11
		dev := device("alice", 1)
		h.fill(dev, server.MailboxMessages-1)
		_, err := h.Append(h.ctx, []server.Envelope{envelope(dev, 9001), envelope(dev, 9002)})
		h.is(err, server.ErrFull)
		h.appendAll(envelope(dev, 9001), envelope(dev, 1)) // the second is a repetition
		_, err = h.Append(h.ctx, []server.Envelope{envelope(dev, 9002)})
		h.is(err, server.ErrFull)
		if r := h.appendAll(envelope(dev, 9001)); !r[0].Duplicate { // full, but a repetition needs no room
			h.Fatal("stored twice")
		}
		h.reopen()
		_, err = h.Append(h.ctx, []server.Envelope{envelope(dev, 9002)})
		h.is(err, server.ErrFull)
		first, _, err := h.Read(h.ctx, dev, 0, 1, 1)
		h.ok(err)
		h.ok(h.Ack(h.ctx, dev, []server.Seq{first[0].Seq}))
		h.appendAll(envelope(dev, 9002))
		_, err = h.Append(h.ctx, []server.Envelope{envelope(dev, 9003)})
		h.is(err, server.ErrFull)
		h.appendAll(envelope(device("alice", 2), 9003))
		n, err := h.Expire(h.ctx, t0.Add(server.MessageLife), 1<<20)
		h.ok(err)
		if n != server.MailboxMessages+2 {
			h.Fatalf("%d rows expired", n)
		}
		h.appendAll(envelope(dev, 9004))
	}},
	{"a mailbox has room for so many bytes", func(h *harness) { // R-STO-11
		dev := device("alice", 1)
		body := make([]byte, server.MaxBody)
		n, size := uint64(0), 0
		var seqs []server.Seq
		for size+len(body) <= server.MailboxBytes {
			n++
			size += len(body)
			seqs = append(seqs, h.appendAll(server.Envelope{Device: dev, ID: messageID(n), At: t0, Body: body})[0].Seq)
		}
		_, err := h.Append(h.ctx, []server.Envelope{{Device: dev, ID: messageID(n + 1), At: t0, Body: body}})
		h.is(err, server.ErrFull)
		h.appendAll(server.Envelope{Device: dev, ID: messageID(n + 2), At: t0, Body: body[:server.MailboxBytes-size]})
		_, err = h.Append(h.ctx, []server.Envelope{{Device: dev, ID: messageID(n + 3), At: t0, Body: body[:1]}})
		h.is(err, server.ErrFull)
		st, err := h.Stat(h.ctx, dev)
		h.ok(err)
		if st.Bytes != server.MailboxBytes || st.Count != int(n)+1 {
			h.Fatalf("%+v", st)
		}
		h.ok(h.Ack(h.ctx, dev, seqs[:1]))
		h.appendAll(server.Envelope{Device: dev, ID: messageID(n + 3), At: t0, Body: body})
	}},
	{"pages by count and by size", func(h *harness) {
		dev := device("alice", 1)
		for n := range uint64(6) {
			h.appendAll(server.Envelope{Device: dev, ID: messageID(n + 1), At: t0, Body: make([]byte, 100)})
		}
		for _, p := range []struct {
			limit, bytes, want int
			more               bool
		}{{6, 600, 6, false}, {6, 599, 5, true}, {5, 600, 5, true}, {3, 1 << 20, 3, true}, {6, 0, 1, true}, {0, 600, 0, false}} {
			msgs, more, err := h.Read(h.ctx, dev, 0, p.limit, p.bytes)
			h.ok(err)
			if len(msgs) != p.want || p.limit > 0 && more != p.more {
				h.Fatalf("limit %d and %d bytes: %d messages, more %v", p.limit, p.bytes, len(msgs), more)
			}
		}
	}},
	{"messages expire, in slices, by the time they are given", func(h *harness) { // R-STO-13
		dev := device("alice", 1)
		day := 24 * time.Hour
		soon, later, never := envelope(dev, 1), envelope(dev, 2), envelope(dev, 3)
		soon.Expires = t0.Add(time.Hour)
		later.Expires = t0.Add(3 * day)
		never.Expires = t0.Add(365 * day) // cut to MessageLife
		past := envelope(dev, 4)
		past.Expires = t0.Add(-time.Hour)
		soonSeq := h.appendAll(soon, later, never, past)[0].Seq
		expire := func(at time.Time, budget, want int) {
			h.Helper()
			n, err := h.Expire(h.ctx, at, budget)
			h.ok(err)
			if n != want {
				h.Fatalf("%d rows expired, want %d", n, want)
			}
		}
		expire(t0.Add(-2*time.Hour), 10, 0) // a clock that was set back revives and removes nothing
		h.wantIDs(dev, 1, 2, 3, 4)
		expire(t0.Add(time.Hour), 1, 1)
		expire(t0.Add(time.Hour), 10, 1)
		h.wantIDs(dev, 2, 3)
		h.reopen()
		if r := h.appendAll(soon); !r[0].Duplicate || r[0].Seq != soonSeq {
			h.Fatalf("an expired message came back: %+v", r[0])
		}
		expire(t0.Add(day), 10, 2) // the two ids
		expire(t0.Add(3*day), 10, 1)
		h.wantIDs(dev, 3)
		expire(t0.Add(server.MessageLife-time.Millisecond), 10, 0)
		expire(t0.Add(server.MessageLife), 10, 1)
		h.wantIDs(dev)
	}},
	{"a removed device is gone for good", func(h *harness) { // R-STO-17
		dev, other := device("alice", 1), device("alice", 2)
		h.appendAll(envelope(dev, 1), envelope(other, 1))
		h.ok(h.RemoveDevice(h.ctx, dev))
		h.ok(h.RemoveDevice(h.ctx, dev))
		h.wantIDs(dev)
		_, err := h.Append(h.ctx, []server.Envelope{envelope(dev, 1)})
		h.is(err, server.ErrRemoved)
		h.reopen()
		_, err = h.Append(h.ctx, []server.Envelope{envelope(dev, 2)})
		h.is(err, server.ErrRemoved)
		h.wantIDs(other, 1)
		h.is(h.RemoveDevice(h.ctx, server.Device{}), server.ErrInvalid)
	}},
	{"stat describes what waits", func(h *harness) {
		dev := device("alice", 1)
		st, err := h.Stat(h.ctx, dev)
		h.ok(err)
		if st != (server.Stat{}) {
			h.Fatalf("%+v", st)
		}
		a, b := envelope(dev, 1), envelope(dev, 2)
		a.At, a.Body = t0.Add(time.Second), make([]byte, 10)
		b.At, b.Body = t0.Add(2*time.Second), make([]byte, 5)
		r := h.appendAll(a, b)
		st, err = h.Stat(h.ctx, dev)
		h.ok(err)
		if st.Count != 2 || st.Bytes != 15 || !st.Oldest.Equal(a.At) {
			h.Fatalf("%+v", st)
		}
		h.ok(h.Ack(h.ctx, dev, []server.Seq{r[0].Seq}))
		st, err = h.Stat(h.ctx, dev)
		h.ok(err)
		if st.Count != 1 || st.Bytes != 5 || !st.Oldest.Equal(b.At) {
			h.Fatalf("%+v", st)
		}
	}},
	{"bodies may be empty and belong to their owners", func(h *harness) {
		dev := device("alice", 1<<63|1)
		body := []byte("body")
		h.appendAll(server.Envelope{Device: dev, ID: messageID(1), At: t0}, server.Envelope{Device: dev, ID: messageID(2), At: t0, Body: body})
		clear(body)
		clear(h.readAll(dev)[1].Body)
		msgs := h.readAll(dev)
		if len(msgs) != 2 || msgs[0].Body == nil || len(msgs[0].Body) != 0 || string(msgs[1].Body) != "body" {
			h.Fatalf("%+v", msgs)
		}
	}},
	{"arguments are checked", func(h *harness) { // R-STO-05
		dev := device("alice", 1)
		refuse := func(want error, e ...server.Envelope) {
			h.Helper()
			_, err := h.Append(h.ctx, append(e, envelope(dev, 1)))
			h.is(err, want)
		}
		refuse(server.ErrInvalid, envelope(device("", 1), 1))
		refuse(server.ErrInvalid, envelope(device("alice", 0), 1))
		refuse(server.ErrInvalid, envelope(dev, 0))
		refuse(server.ErrInvalid, envelope(device("bob", 1), 1), envelope(device("carol", 1), 1))
		refuse(server.ErrTooLarge, server.Envelope{Device: dev, ID: messageID(1), At: t0, Body: make([]byte, server.MaxBody+1)})
		refuse(server.ErrTooLarge, make([]server.Envelope, server.MaxEnvelopes)...)
		h.wantIDs(dev)
		h.appendAll()
	}},
}

// fill appends messages 1 to n.
func (h *harness) fill(dev server.Device, n int) {
	h.Helper()
	var batch []server.Envelope
	for i := range n {
		batch = append(batch, envelope(dev, uint64(i)+1))
		if len(batch) == server.MaxEnvelopes || i == n-1 {
			h.appendAll(batch...)
			batch = batch[:0]
		}
	}
}

func (h *harness) wantIDs(dev server.Device, want ...uint64) {
	h.Helper()
	if got := ids(h.readAll(dev)); !slices.Equal(got, want) {
		h.Fatalf("messages %v wait, want %v", got, want)
	}
}

var wakeHistories = []history{
	{"a hint follows each message, and none is needed before", func(h *harness) { // R-STO-14
		dev := device("alice", 1)
		before := h.appendAll(envelope(dev, 1))[0].Seq
		h.reopen()
		sub, err := h.Subscribe(h.ctx, dev)
		h.ok(err)
		if sub.Last < before {
			h.Fatalf("last %d, stored %d", sub.Last, before)
		}
		h.wantIDs(dev, 1)
		h.appendAll(envelope(device("alice", 2), 1))
		select {
		case s := <-sub.C:
			h.Fatalf("a hint for another device: %d", s)
		default:
		}
		h.appendAll(envelope(dev, 2))
		last := h.appendAll(envelope(dev, 3))[0].Seq
		if s := <-sub.C; s != last {
			h.Fatalf("hint %d, want %d", s, last)
		}
		second, err := h.Subscribe(h.ctx, dev)
		h.ok(err)
		sub.Cancel()
		sub.Cancel()
		last = h.appendAll(envelope(dev, 4))[0].Seq
		if s := <-second.C; s != last {
			h.Fatalf("hint %d, want %d", s, last)
		}
		select {
		case <-sub.C:
			h.Fatal("a hint after Cancel")
		default:
		}
		second.Cancel()
	}},
	{"subscribing and reading leaves no gap", func(h *harness) { // R-STO-14
		dev := device("alice", 1)
		const messages = 200
		done := make(chan error, 1)
		started := make(chan struct{})
		go func() {
			for n := range uint64(messages) {
				if _, err := h.Append(h.ctx, []server.Envelope{envelope(dev, n+1)}); err != nil {
					done <- err
					return
				}
				if n == 10 {
					close(started)
				}
			}
			done <- nil
		}()
		<-started
		sub, err := h.Subscribe(h.ctx, dev)
		h.ok(err)
		defer sub.Cancel()
		var got []uint64
		var after server.Seq
		for len(got) < messages {
			msgs, more, err := h.Read(h.ctx, dev, after, 50, 1<<20)
			h.ok(err)
			for _, m := range msgs {
				after = m.Seq
			}
			got = append(got, ids(msgs)...)
			if !more && len(got) < messages {
				for after >= <-sub.C { // hints of what was read already
				}
			}
		}
		h.ok(<-done)
		for i, n := range got {
			if n != uint64(i)+1 {
				h.Fatalf("message %d in place %d", n, i)
			}
		}
	}},
}
