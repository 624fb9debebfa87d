package client

import "strconv"

// A ratchet numbers its messages, so a device sees that earlier ones were
// sealed for it and have not come. It cannot see what they were: a heartbeat
// leaves the same gap as a text (R-CLT-39).

// skipped notes, when a batch has changed the skipped keys of a device, that
// some may stay away.
func (w *work) skipped(k peerKey) error {
	n := 0
	for _, s := range w.pairs[k].Sessions() {
		n += s.State.SkippedCount()
	}
	r, err := w.repairOf(k)
	if err != nil {
		return err
	}
	switch {
	case uint64(n) > r.Missing && r.GapSince == 0:
		r.GapSince = w.e.now().UnixMilli()
	case uint64(n) < r.Missing:
		r.Missing = uint64(n)
	default:
		return nil
	}
	w.repairChanged(k)
	return nil
}

// gap tells of messages that have been missing for long enough, once each, and
// asks for them on the session that is there.
func (w *work) gap(k peerKey, p *person, r *repairRecord) error {
	now, patience := w.e.now(), w.e.gapPatience(k)
	if r.GapSince == 0 || !passedSince(now, r.GapSince, patience) {
		return nil
	}
	pair, err := w.pair(k)
	if err != nil {
		return err
	}
	var all, missing uint64
	for _, s := range pair.Sessions() {
		all += uint64(s.State.SkippedCount())
		missing += uint64(s.State.SkippedBefore(now.Add(-patience)))
	}
	told := r.Missing
	r.Missing, r.GapSince = missing, 0
	if all > missing {
		r.GapSince = now.UnixMilli() // the others may still come
	}
	if missing <= told || p == nil {
		return nil
	}
	err = w.e.putNotice(w.tx, k.address, notice{kind: NoticeMessagesMissing, about: number(missing - told)})
	if err != nil || !repairable(p, k) {
		return err
	}
	if r.Lost == 0 {
		r.Since = now.Add(-patience).UnixMilli()
	}
	r.Lost += missing - told
	return nil
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
