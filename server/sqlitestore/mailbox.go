package sqlitestore

import (
	"context"
	"database/sql/driver"
	"math"
	"time"

	"github.com/pawl-chat/pawl/server"
)

// appendJob is one Append.
type appendJob struct {
	ticket
	envelopes []server.Envelope
	results   []server.Result
	boxes     []*box
}

// Append implements server.Mailbox.
func (s *Store) Append(ctx context.Context, envelopes []server.Envelope) ([]server.Result, error) {
	if err := server.ValidEnvelopes(envelopes); err != nil {
		return nil, err
	}
	if len(envelopes) == 0 {
		return nil, nil
	}
	weight := 0
	for i := range envelopes {
		weight += len(envelopes[i].Body)
	}
	j, _ := s.appends.Get().(*appendJob)
	if j == nil {
		j = new(appendJob)
	}
	j.reset(weight)
	j.envelopes, j.results = envelopes, make([]server.Result, len(envelopes))
	done, err := s.submit(ctx, j, false)
	results := j.results
	if done {
		j.envelopes, j.results = nil, nil
		clear(j.boxes)
		s.appends.Put(j)
	}
	if err != nil {
		return nil, err
	}
	return results, nil
}

var empty = []byte{} // NULL means no body, so an empty body is this

// run checks every envelope before it stores the first (R-STO-10); the unique
// index on (dev, id) finds repetitions (R-STO-09).
func (j *appendJob) run(w *writer) error {
	j.boxes = j.boxes[:0]
	roomy := true
	for i := range j.envelopes {
		b, err := w.box(j.envelopes[i].Device, true)
		if err != nil {
			return err
		}
		if b.removed {
			return server.ErrRemoved
		}
		if !b.loaded {
			if err := w.fill(b); err != nil {
				return err
			}
		}
		roomy = roomy && b.count+len(j.envelopes) <= server.MailboxMessages && b.bytes+int64(j.weight) <= server.MailboxBytes
		j.boxes = append(j.boxes, b)
	}
	if !roomy {
		if err := j.fits(w); err != nil {
			return err
		}
	}
	for i := range j.envelopes {
		e, b := &j.envelopes[i], j.boxes[i]
		seq, err := w.nextSeq()
		if err != nil {
			return err
		}
		body := e.Body
		if body == nil {
			body = empty
		}
		at := e.At.UnixMilli()
		n, err := w.insert.exec(seq, b.num, e.ID[:], at, e.Due().UnixMilli(),
			sumMessage(e.Device, seq, at, e.ID[:], body), body)
		if err != nil {
			return err
		}
		if n == 0 {
			row, _, err := w.seqOf.one(b.num, e.ID[:])
			if err != nil {
				return err
			}
			j.results[i] = server.Result{Seq: server.Seq(integer(row[0])), Duplicate: true}
			continue
		}
		b.count++
		b.bytes += int64(len(body))
		j.results[i] = server.Result{Seq: server.Seq(seq)}
		w.hints = append(w.hints, server.Hint{Device: e.Device, Seq: server.Seq(seq)})
	}
	return nil
}

// fits decides exactly whether there is room (R-STO-11), when a quick look did not say so:
// repetitions need none.
func (j *appendJob) fits(w *writer) error {
	for i := range j.envelopes {
		b := j.boxes[i]
		if b.slack {
			if err := w.fill(b); err != nil {
				return err
			}
		}
		count, size := b.count, b.bytes
	envelopes:
		for k := range j.envelopes {
			e := &j.envelopes[k]
			if j.boxes[k] != b {
				continue
			}
			for l := range k {
				if j.boxes[l] == b && j.envelopes[l].ID == e.ID {
					continue envelopes
				}
			}
			_, found, err := w.seqOf.one(b.num, e.ID[:])
			if err != nil {
				return err
			}
			if !found {
				count++
				size += int64(len(e.Body))
			}
		}
		if count > max(b.count, server.MailboxMessages) || size > max(b.bytes, server.MailboxBytes) {
			return server.ErrFull
		}
	}
	return nil
}

// Read implements server.Mailbox.
func (s *Store) Read(ctx context.Context, dev server.Device, after server.Seq, limit, maxBytes int) (msgs []server.Message, more bool, err error) {
	if limit <= 0 || after > math.MaxInt64 {
		return nil, false, ctx.Err()
	}
	err = s.read(ctx, func(r *reader) error {
		size := 0
		return r.read.each(func(row []driver.Value) error {
			body := blob(row[5])
			if size += len(body); len(msgs) == limit || len(msgs) > 0 && size > maxBytes {
				more = true
				return errStop
			}
			m := server.Message{Seq: server.Seq(integer(row[0])), At: time.UnixMilli(integer(row[3])), Body: body}
			id := blob(row[2])
			copy(m.ID[:], id)
			if sumMessage(dev, integer(row[0]), integer(row[3]), id, body) != integer(row[4]) || len(id) != len(m.ID) {
				m.Body, m.Damaged = nil, true
			} else if m.Body == nil {
				m.Body = []byte{}
			}
			msgs = append(msgs, m)
			return nil
		}, dev.User, int64(dev.ID), int64(after), int64(limit)+1)
	})
	if err != nil {
		return nil, false, err
	}
	return msgs, more, nil
}

// ackJob is one Ack.
type ackJob struct {
	ticket
	dev  server.Device
	seqs []server.Seq
}

// Ack implements server.Mailbox.
func (s *Store) Ack(ctx context.Context, dev server.Device, seqs []server.Seq) error {
	if len(seqs) == 0 {
		return ctx.Err()
	}
	j := &ackJob{dev: dev, seqs: seqs}
	j.reset(0)
	_, err := s.submit(ctx, j, true)
	return err
}

func (j *ackJob) run(w *writer) error {
	b, err := w.box(j.dev, false)
	if b == nil || err != nil {
		return err
	}
	remember := server.RememberIDs.Milliseconds()
	for _, seq := range j.seqs {
		if seq > math.MaxInt64 {
			continue
		}
		n, err := w.ack.exec(int64(seq), b.num, remember)
		if err != nil {
			return err
		}
		if n > 0 {
			b.gone(1)
		}
	}
	return nil
}

// Stat implements server.Mailbox.
func (s *Store) Stat(ctx context.Context, dev server.Device) (st server.Stat, err error) {
	err = s.read(ctx, func(r *reader) error {
		row, _, err := r.stat.one(dev.User, int64(dev.ID))
		if err != nil {
			return err
		}
		st = server.Stat{Count: int(integer(row[0])), Bytes: integer(row[1])}
		if st.Count > 0 {
			st.Oldest = time.UnixMilli(integer(row[2]))
		}
		return nil
	})
	return st, err
}

// Expire implements server.Mailbox. A message that expires before its id may be
// forgotten loses its body now and its row later (R-STO-13).
func (s *Store) Expire(ctx context.Context, now time.Time, budget int) (n int, err error) {
	if budget <= 0 {
		return 0, ctx.Err()
	}
	type dueRow struct {
		seq, dev, at int64
		waits        bool
	}
	err = s.do(ctx, 0, func(w *writer) error {
		var rows []dueRow
		if err := w.due.each(func(row []driver.Value) error {
			rows = append(rows, dueRow{integer(row[0]), integer(row[1]), integer(row[2]), integer(row[3]) != 0})
			return nil
		}, now.UnixMilli(), int64(budget)); err != nil {
			return err
		}
		n = len(rows)
		remember := server.RememberIDs.Milliseconds()
		for _, r := range rows {
			var err error
			if r.waits && r.at+remember > now.UnixMilli() {
				_, err = w.ack.exec(r.seq, r.dev, remember)
			} else {
				_, err = w.delete.exec(r.seq)
			}
			if err != nil {
				return err
			}
			if b := w.byNum[r.dev]; b != nil && b.loaded && r.waits {
				b.gone(1)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// RemoveDevice implements server.Mailbox; the row that stays refuses later
// messages (R-STO-17).
func (s *Store) RemoveDevice(ctx context.Context, dev server.Device) error {
	if dev.User == "" || dev.ID == 0 {
		return server.ErrInvalid
	}
	return s.do(ctx, 0, func(w *writer) error {
		b, err := w.box(dev, true)
		if err != nil {
			return err
		}
		if b.removed {
			return nil // repeated
		}
		if _, err := w.remove.exec(b.num); err != nil {
			return err
		}
		if _, err := w.deleteAll.exec(b.num); err != nil {
			return err
		}
		*b = box{num: b.num, removed: true, loaded: true}
		return nil
	})
}
