package client

import (
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
)

// repairSaid takes what another device says of messages that were lost: a
// question, to be answered when its hour has come, or the word that one of
// ours was answered. Strangers are neither heard nor answered.
func (w *work) repairSaid(k peerKey, p *person, on session.ID, c content.Repair) error {
	if !repairable(p, k) {
		return nil
	}
	if c.Done {
		return w.answered(k, c)
	}
	if next, ch := w.pairs[k].Prefer(on); len(ch.Write) > 0 { // R-SES-16
		w.change(k, next, ch)
		w.e.log.Info("the active session with a device was switched", "new", false)
	}
	r, err := w.repairOf(k)
	if err != nil {
		return err
	}
	since := c.Since.UnixMilli()
	if c.Since.IsZero() {
		since = 0
	}
	if !r.Owed || since < r.OwedSince {
		r.OwedSince = since
	}
	r.Owed = true
	w.repairChanged(k)
	return nil
}

// answer sends a device again what it may lack, at most once an hour
// (R-CLT-37): own texts of this device that were sealed for that one and that
// it has not said it has, each under its own id, so that it shows none of them
// twice. They go through the session that is active now, which the question
// has come on or made so.
func (w *work) answer(k peerKey, p *person, r *repairRecord) error {
	now := w.e.now()
	since := r.OwedSince - 2*ClockTolerance.Milliseconds() // by the server's clock, or the other device's
	r.Owed, r.OwedSince = false, 0
	if !repairable(p, k) {
		return nil
	}
	pair, err := w.pair(k)
	if err != nil || !pair.Ready(now) {
		return err // it ended since: the other side will ask on the next
	}
	r.Answered = now.UnixMilli()
	own := k.address == w.e.self.record.Address
	device, _ := p.list.Device(k.device)
	texts, err := w.unheard(k, own, max(since, device.AddedAt*1000), now)
	if err != nil {
		return err
	}
	for i := range texts {
		if err := w.sendAgain(k, &texts[i], own, now); err != nil {
			return err
		}
	}
	done, err := content.NewRepair(content.Repair{Done: true, Count: uint64(len(texts))}, now)
	if err != nil {
		return err
	}
	if err := w.controlTo(k, done, 0); err != nil {
		return err
	}
	w.e.log.Info("messages were sent again to a device that could not open them", "count", len(texts))
	if own {
		// Decisions about contacts may be lost too.
		return w.e.introduceTo(w.tx, k.device, since)
	}
	return nil
}

// unheard finds what may be lost to a device, oldest first: the newest
// MaxResend texts of the time in which a message can have been under way.
// Devices of one account tell each other nothing of what they have, so to them
// it is everything since shortly before the trouble began, and what a device was
// left out of while its mailbox was full (R-CLT-51), and nothing from before
// they joined: earlier history is handed out only if the person says so.
func (w *work) unheard(k peerKey, own bool, since int64, now time.Time) (found []messageRecord, err error) {
	oldest, conversation := now.Add(-SeenFor).UnixMilli(), k.address
	if own {
		conversation = ""
	}
	err = scanMessages(w.tx, conversation, firstOrder, lastOrder, 0, true, func(m *messageRecord) error {
		if !m.Outgoing && m.ReceivedAt != 0 && m.ReceivedAt < oldest {
			return errEnough
		}
		if !m.Outgoing || m.FromDevice != uint64(w.e.self.device) {
			return nil
		}
		if m.SentAt < oldest {
			return errEnough
		}
		if own && m.SentAt < since && !slices.Contains(m.OwnFull, uint64(k.device)) {
			return nil
		}
		if m.Kind != string(KindText) || m.expires(now.UnixMilli()) || !m.lacking(k, own) {
			return nil
		}
		if found = append(found, *m); len(found) == MaxResend {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	slices.Reverse(found)
	return found, err
}

// lacking reports whether a device may lack an own message: it was sealed for
// it, has not failed as a whole, and the device has not said that it has it. One
// that was left out, its mailbox being full, lacks it for certain.
func (r *messageRecord) lacking(k peerKey, own bool) bool {
	if r.Expired || Status(r.Status) == StatusFailed {
		return false
	}
	if own {
		return r.SealedAt != 0 && Status(r.Status).reached(StatusAccepted) // what never left is nobody's to have (R-CLT-61)
	}
	for _, d := range r.Devices {
		if d.Device == uint64(k.device) {
			return r.SealedAt != 0 && !Status(d.Status).reached(StatusDelivered)
		}
	}
	return false
}

// sendAgain seals a message once more, under its own id, and notes that in it.
func (w *work) sendAgain(k peerKey, m *messageRecord, own bool, now time.Time) error {
	c, err := m.content()
	if err != nil {
		return err
	}
	var ttl uint64
	if m.ExpiresAt != 0 {
		ttl = max(1, uint64(m.ExpiresAt-now.UnixMilli())/1000)
	}
	if own {
		devices := make([]address.Device, 0, len(m.Devices))
		for _, d := range m.Devices {
			devices = append(devices, address.Device(d.Device))
		}
		if c, err = content.NewSync(content.Sync{Sent: content.NewSent(m.To, c, devices)}, now); err != nil {
			return err
		}
		return w.controlTo(k, c, ttl)
	}
	m.Again = now.UnixMilli()
	if err := putMessage(w.tx, m); err != nil {
		return err
	}
	return w.controlTo(k, c, ttl)
}

// content is the text as it was sent.
func (r *messageRecord) content() (content.Content, error) {
	t := content.Text{Text: r.Text, Subject: r.Subject, Mentions: r.Mentions, Signature: r.Signature}
	if len(r.ReplyTo) == len(content.ID{}) {
		t.ReplyTo = content.ID(r.ReplyTo)
	}
	var ttl time.Duration
	if r.ExpiresAt != 0 {
		ttl = time.Duration(r.ExpiresAt-r.SentAt) * time.Millisecond
	}
	return content.NewText(r.receiptID(), time.UnixMilli(r.SentAt), ttl, t)
}

// syncAgain applies what another device of this account tells, and counts the
// messages in it while a question to that device is open.
func (w *work) syncAgain(m *incoming, k peerKey, s content.Sync) error {
	known := true
	if s.Sent != nil {
		if c, err := s.Sent.Open(); err == nil {
			if _, known, err = w.tx.Get(tableMessage, c.ID[:]); err != nil {
				return err
			}
		}
	}
	if err := w.sync(m, k, s); err != nil || s.Sent == nil {
		return err
	}
	return w.again(k, !known)
}
