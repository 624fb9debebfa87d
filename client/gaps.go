package client

import (
	"strconv"
	"time"
)

// A ratchet numbers its messages, so a device sees that earlier ones were
// sealed for it and have not come. It cannot see what they were, a heartbeat
// leaves the same gap as a text, nor whether they are lost or still wait in the
// outbox of a device that is switched off. So the device that sealed them is
// asked first, and the person is told when it has answered and they are still
// missing, or when no outbox can hold them any more (R-CLT-39).

// gapPatience is how long a skipped message may be late before it is asked
// for. The copies for one's own devices wait in the outbox of the other with
// messages to different people, and so may overtake each other.
func (e *engine) gapPatience(k peerKey) time.Duration {
	if k.address == e.self.record.Address {
		return OutboxFor
	}
	return GapAfter
}

// missing is how many messages of a device have been missing since t.
func (w *work) missing(k peerKey, t time.Time) (n uint64, err error) {
	pair, err := w.pair(k)
	for _, s := range pair.Sessions() {
		n += uint64(s.State.SkippedBefore(t))
	}
	return n, err
}

// skipped notes, when a batch has changed the skipped keys of a device, that
// some may stay away.
func (w *work) skipped(k peerKey) error {
	n := uint64(0)
	for _, s := range w.pairs[k].Sessions() {
		n += uint64(s.State.SkippedCount())
	}
	r, err := w.repairOf(k)
	if err != nil {
		return err
	}
	look := w.e.now().Add(w.e.gapPatience(k)).UnixMilli()
	switch {
	case n > r.GapAsked && (r.GapNext == 0 || r.GapNext > look):
		r.GapNext = look
	case n < r.GapAsked:
		r.GapAsked, r.Missing = n, min(r.Missing, n)
	default:
		return nil
	}
	w.repairChanged(k)
	return nil
}

// gap asks for messages that have been missing for a while, on the session
// that is there, and tells of those that no outbox can hold any more.
func (w *work) gap(k peerKey, p *person, r *repairRecord) error {
	now, patience := w.e.now(), w.e.gapPatience(k)
	if r.GapNext == 0 || now.UnixMilli() < r.GapNext {
		return nil
	}
	all, err := w.missing(k, now)
	if err != nil {
		return err
	}
	late, err := w.missing(k, now.Add(-patience))
	if err != nil {
		return err
	}
	if late > r.GapAsked && repairable(p, k) {
		if r.Lost == 0 {
			r.Since = now.Add(-patience).UnixMilli()
		}
		r.Lost += late - r.GapAsked
	}
	r.GapAsked, r.Missing = late, min(r.Missing, all)
	if p != nil {
		if err := w.tellMissing(k, r, now.Add(-OutboxFor)); err != nil {
			return err
		}
	}
	switch {
	case all > late:
		r.GapNext = now.Add(patience).UnixMilli()
	case all > r.Missing:
		r.GapNext = now.Add(RepairEvery).UnixMilli()
	default:
		r.GapNext = 0
	}
	return nil
}

// tellMissing tells the person, once each, of messages that have been missing
// since t.
func (w *work) tellMissing(k peerKey, r *repairRecord, t time.Time) error {
	n, err := w.missing(k, t)
	if err != nil || n <= r.Missing {
		return err
	}
	told := r.Missing
	r.Missing = n
	return w.e.putNotice(w.tx, k.address, notice{kind: NoticeMessagesMissing, about: number(n - told)})
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
