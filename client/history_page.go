package client

import (
	"errors"
	"math"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// historyAsked notes that another device of this account asks for a page. It
// is answered when the batch is done, once: of several questions the last
// counts.
func (w *work) historyAsked(k peerKey, ask *content.HistoryAsk) error {
	own, err := w.person(k.address)
	if err != nil || own == nil || !activeIn(own.list, k.device) {
		return err // revoked: what was under way is opened, and not answered
	}
	if w.asks == nil {
		w.asks = map[address.Device]content.HistoryAsk{}
	}
	w.asks[k.device] = *ask
	return nil
}

// handOut answers what was asked in this batch: one page to each device, and
// nothing of the history to one that it was not offered to (R-CLT-43).
func (w *work) handOut() error {
	for device, ask := range w.asks {
		offered, err := offeredTo(w.tx, device)
		if err != nil {
			return err
		}
		page := &content.HistoryPage{From: ask.From, Refused: true}
		if offered {
			if page, err = w.e.pageOfHistory(w.tx, ask); err != nil {
				return err
			}
			if err := handedOut(w.tx, device, page, w.e.now()); err != nil {
				return err
			}
		}
		if err := w.e.tellOwn(w.tx, content.Sync{Page: page}, device); err != nil {
			return err
		}
	}
	return nil
}

// pageOfHistory gathers messages after a position, which is an order of this
// device, in their order.
func (e *engine) pageOfHistory(tx *vault.Tx, ask content.HistoryAsk) (*content.HistoryPage, error) {
	total, err := tx.Count(tableMessage, nil)
	if err != nil {
		return nil, err
	}
	page := &content.HistoryPage{From: ask.From, Total: uint64(total)}
	if ask.From >= math.MaxInt64 {
		return page, nil
	}
	now := e.now().UnixMilli()
	size, looked, last := 0, 0, ask.From
	err = scanMessages(tx, "", max(int64(ask.From)+1, 1), lastOrder, 0, false, func(m *messageRecord) error {
		entry := e.historyEntry(m, now)
		if looked == historyLook || uint64(len(page.Entries)) == ask.Limit || looked > 0 && size+len(entry) > historyBytes {
			page.Next = last // there is at least this one left
			return errEnough
		}
		looked++
		last = uint64(m.order)
		if entry != nil {
			page.Entries = append(page.Entries, entry)
			size += len(entry)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return page, err
}

// historyEntry is a message as a page holds it: the record of a backup, or
// nothing for what is of no use elsewhere: a tombstone, and what has not left
// yet, of which the other device is told when it does (R-CLT-44).
func (e *engine) historyEntry(m *messageRecord, now int64) []byte {
	if m.Kind == string(KindUndecryptable) {
		return nil
	}
	if m.Outgoing && m.Status == string(StatusSending) {
		s := e.settledAs(m.ID)
		if s == nil {
			return nil
		}
		m.accepted(s) // the server has it, which is not written down yet
	}
	if m.expires(now) {
		m.erase()
	}
	saved := m.saved()
	entry := saved.Encode()
	if len(entry) > content.MaxPageBytes { // only what nobody can read is that long
		saved.RawBody = nil
		entry = saved.Encode()
	}
	return entry
}

// historyCame stores a page of the history that another device has sent, and
// asks for the next one, in the transaction that receives it: what is stored
// and where to go on never disagree (R-CLT-41).
func (w *work) historyCame(k peerKey, page *content.HistoryPage) error {
	h, ok, err := getHistory(w.tx)
	if err != nil {
		return err
	}
	own, err := w.person(k.address)
	if err != nil || own == nil {
		return err
	}
	if !ok || h.Done || uint64(k.device) != h.Device || page.From != h.Next || !activeIn(own.list, k.device) {
		w.e.log.Info("a page of history was dropped", "reason", "not asked for, here already, or of a revoked device")
		return nil
	}
	if page.Refused {
		h.After = w.e.now().Add(refusalPause << min(h.Refusals, 16)).UnixMilli()
		h.Refusals++
		return putHistory(w.tx, h)
	}
	for _, entry := range page.Entries {
		if err := w.historic(&h, entry); err != nil {
			return err
		}
	}
	h.Messages += uint64(len(page.Entries))
	h.Total, h.Tries, h.Refusals = min(page.Total, math.MaxInt32), 0, 0
	if page.Next == 0 {
		h.Done, h.Total = true, h.Messages
		return putHistory(w.tx, h)
	}
	h.Next = page.Next
	if err := w.e.askHistory(w.tx, &h); err != nil {
		return err
	}
	return putHistory(w.tx, h)
}

// historic stores one message of the history, unless one of its ID is here.
// A page comes from a device of one's own; still each entry is held to what
// this device would have stored, and one that does not hold is left out
// (R-CLT-45).
func (w *work) historic(h *historyRecord, entry []byte) error {
	m, err := backup.DecodeMessage(entry)
	if err != nil || !w.e.plausible(m) || h.Last+1 >= h.Top {
		w.e.log.Warn("a message of the history was left out", "reason", "malformed")
		return nil
	}
	r := restored(m, h.Last+1)
	if !r.Outgoing {
		r.Status = string(StatusReceived)
		r.Told, r.Elsewhere = true, true // its sender hears from the other device
	}
	r.Past = true
	r.understand() // the other device may be of an older version (R-CLT-47)
	if r.expires(w.e.now().UnixMilli()) {
		r.erase()
	}
	kept, err := insertMessage(w.tx, r)
	if err != nil || !kept {
		return err
	}
	h.Last = r.order
	if r.ExpiresAt != 0 && !r.Expired {
		w.expiry = append(w.expiry, r.ExpiresAt)
	}
	return putLifetime(w.tx, r)
}

// plausible reports whether a message can stand where it says: between this
// account and the person whose conversation it is in, and of a kind that is
// handed on.
func (e *engine) plausible(m *backup.Message) bool {
	own := e.self.record.Address
	switch _, group := groupID(m.Conversation); {
	case content.ID(m.ID).IsZero(), m.Kind == string(KindUndecryptable):
		return false
	case group && m.Kind == string(KindNotice):
		return m.To == own
	case group:
		return m.To == m.Conversation && m.Outgoing == (m.From == own) && m.FromDevice != 0
	case m.Outgoing:
		return m.From == own && m.To == m.Conversation
	case m.Kind == string(KindNotice):
		return m.From == m.Conversation && m.To == own
	}
	return m.From == m.Conversation && m.From != own && m.To == own && m.FromDevice != 0
}
