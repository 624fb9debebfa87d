package client

import (
	"errors"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
)

// keepGroup stores what was opened of a group's conversation (R-GRP-65). The
// caller has seen that the sender is a member, and writes the sender key.
func (w *work) keepGroup(m *incoming, k peerKey, id groups.ID, _ *chainRecord, opened groups.Opened, c content.Content) error {
	if c.Kind == content.KindGroup {
		s, err := groups.ParseSignal(c.Body)
		if err != nil || s.Group != id || s.Disclosed == nil {
			w.e.log.Warn("a signal in a group was dropped", "reason", "malformed or out of place")
			return nil
		}
		return w.disclosed(k, id, s.Disclosed)
	}
	if opened.SkippedChanged { // it may have been asked for, or leave a gap
		if err := w.cameLate(id, k, opened); err != nil {
			return err
		}
	}
	return w.keepInGroup(k, id, groupPlace{opened.Next.ID(), opened.Index, opened.Seq}, c, m.at)
}

// keepInGroup stores a message of a member, once, whichever way it has come.
func (w *work) keepInGroup(k peerKey, id groups.ID, at groupPlace, c content.Content, taken int64) error {
	r := w.groupMessage(k, id, c)
	if r == nil {
		return nil
	}
	if err := w.checked(r, c); err != nil {
		return err
	}
	r.Chain, r.Index, r.Seq = at.chain[:], at.index, at.seq
	if r.Outgoing {
		r.AcceptedAt = taken
		if err := w.heardByAll(r, id); err != nil {
			return err
		}
	} else {
		r.ReceivedAt = w.e.now().UnixMilli()
	}
	if c.TTL > 0 {
		r.ExpiresAt = min(r.SentAt, w.e.now().UnixMilli()) + c.TTL.Milliseconds()
		if r.expires(w.e.now().UnixMilli()) {
			r.erase()
		}
		w.expiry = append(w.expiry, r.ExpiresAt)
	}
	if c.Kind == content.KindText && !r.Expired {
		// Of a repetition and to one's own devices, too (R-GRP-64).
		if w.owedInGroup == nil {
			w.owedInGroup = map[peerKey][]content.ID{}
		}
		w.owedInGroup[k] = append(w.owedInGroup[k], c.ID)
	}
	r.ID, r.order = c.ID[:], w.e.nextOrder()
	kept, err := insertMessage(w.tx, r)
	if err != nil {
		return err
	}
	if kept {
		return errors.Join(putLifetime(w.tx, r), w.badSignature(r))
	}
	old, _, ok, err := getMessage(w.tx, c.ID[:])
	if err != nil {
		return err
	}
	if ok && old.Conversation == r.Conversation && old.From == r.From && old.Outgoing == r.Outgoing {
		if old.RetoldBy == "" {
			return nil
		}
		// First hand takes the place of what was retold, and is new.
		if err := putMessage(w.tx, r); err != nil {
			return err
		}
		return putLifetime(w.tx, r)
	}
	other := derivedID(c.ID, k.address, k.device)
	r.ID, r.Original = other[:], c.ID[:]
	if kept, err = insertMessage(w.tx, r); err != nil || !kept {
		return err
	}
	return putLifetime(w.tx, r)
}

// groupMessage is the record of what a member has said, or nil for what is
// nothing to show.
func (w *work) groupMessage(k peerKey, id groups.ID, c content.Content) *messageRecord {
	r := &messageRecord{
		Conversation: groupName(id), From: k.address, FromDevice: uint64(k.device), To: groupName(id),
		SentAt: c.SentAt.UnixMilli(), Status: string(StatusReceived),
	}
	if k.address == w.e.self.record.Address {
		r.Outgoing, r.Status = true, string(StatusAccepted)
	}
	switch c.Kind {
	case content.KindHeartbeat, content.KindFarewell, content.KindReceipt, content.KindSync, content.KindRepair, content.KindGroup:
		return nil
	case content.KindText:
		r.Kind, r.Text, r.Subject, r.Mentions = string(KindText), c.Text.Text, c.Text.Subject, c.Text.Mentions
		if !c.Text.ReplyTo.IsZero() {
			r.ReplyTo = c.Text.ReplyTo[:]
		}
	default:
		r.Kind, r.RawKind, r.RawBody = string(KindUnknown), uint64(c.Kind), c.Body
	}
	return r
}

// heardByAll fills in for whom a message is that another device of this account
// has sent: what it tells of their receipts is noted there.
func (w *work) heardByAll(r *messageRecord, id groups.ID) error {
	g, err := getGroup(w.tx, id)
	if err != nil || g == nil {
		return err
	}
	roster, err := g.roster()
	if err != nil {
		return err
	}
	all, _, err := w.e.listeners(w.tx, roster)
	if err != nil {
		return err
	}
	r.SealedAt = r.SentAt
	r.addressedTo(peerKeys(all))
	r.acceptedInGroup(&groupSettled{})
	return nil
}

// cameLate keeps the count of what is missing of a chain: a message that has
// come by itself is not asked for any more, and one that has skipped others makes
// the group due to be looked at.
func (w *work) cameLate(id groups.ID, k peerKey, opened groups.Opened) error {
	if opened.Next.Missing() > 0 {
		w.follows(id)
	}
	r, err := getAsk(w.tx, id, k)
	if err != nil || !r.found(opened.Next.ID(), opened.Index) {
		return err
	}
	return putAsk(w.tx, id, &r)
}
