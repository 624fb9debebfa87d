package client

import (
	"context"
	"errors"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// tableGroupEarly holds what was retold of a group before this device has seen
// that it is in; group: group id.
var tableGroupEarly = vault.Table{Name: "groupearly"}

// maxEarly bounds the parts of a history that wait for a group.
const maxEarly = 32

// tellHistory retells what was said in a group with an open history to the
// devices of people who were let in just now: the newest texts, as this device
// holds them at first hand (R-GRP-78). What has a lifetime is left to it.
func (e *engine) tellHistory(ctx context.Context, _ *link, id groups.ID, to []listener) error {
	if len(to) == 0 {
		return nil
	}
	return e.groupStep(ctx, func(w *work) error {
		pages, err := w.retold(id)
		if err != nil {
			return err
		}
		for _, d := range to {
			for i := range pages {
				if err := w.signalTo(d.peerKey, groups.Signal{Group: id, History: &pages[i]}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// retold gathers the newest texts of a group, oldest first, in parts.
func (w *work) retold(id groups.ID) ([]groups.History, error) {
	var texts []groups.Retold
	err := scanMessages(w.tx, groupName(id), firstOrder, lastOrder, 0, true, func(m *messageRecord) error {
		if len(texts) == MaxRetold {
			return errEnough
		}
		if m.Kind != string(KindText) || m.RetoldBy != "" || m.Expired || m.ExpiresAt != 0 || m.FromDevice == 0 ||
			Status(m.Status) == StatusSending || Status(m.Status) == StatusFailed {
			return nil
		}
		c, err := m.content()
		if err != nil {
			return nil // of an older version's making; it stays here
		}
		texts = append(texts, groups.Retold{From: m.From, Device: m.FromDevice, Content: c.Encode()})
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	slices.Reverse(texts)
	var pages []groups.History
	size := 0
	for _, t := range texts {
		if n := len(pages); n == 0 || size+len(t.Content) > RetoldBytes {
			pages = append(pages, groups.History{})
			size = 0
		}
		size += len(t.Content)
		page := &pages[len(pages)-1]
		page.Messages = append(page.Messages, t)
	}
	if n := len(pages); n > 0 {
		pages[n-1].Last = true
	}
	return pages, nil
}

// groupHistory keeps what a member retells of the time before this account came
// in: marked as their word, never new, and never in the place of what is here
// (R-GRP-79).
func (w *work) groupHistory(k peerKey, p *person, id groups.ID, h *groups.History) error {
	member, err := w.fellow(id, p)
	if err != nil {
		return err
	}
	g, err := getGroup(w.tx, id)
	if err != nil {
		return err
	}
	if g == nil || g.Out {
		return w.historyEarly(k, id, h)
	}
	roster, err := g.roster()
	if err != nil || !member || !roster.Policy.OpenHistory {
		return err
	}
	r, err := getAsk(w.tx, id, k)
	if err != nil {
		return err
	}
	for _, t := range h.Messages {
		if r.Retold >= MaxRetold {
			break
		}
		r.Retold++
		if err := w.keepRetold(k, id, t); err != nil {
			return err
		}
	}
	return putAsk(w.tx, id, &r)
}

func (w *work) keepRetold(k peerKey, id groups.ID, t groups.Retold) error {
	from, err := address.ParseCanonical(t.From)
	if err != nil || from == w.e.self.address {
		return nil // what one has said oneself one knows better
	}
	c, err := content.Decode(t.Content)
	if err != nil || c.Kind != content.KindText || c.TTL != 0 {
		return nil
	}
	r := w.groupMessage(peerKey{t.From, address.Device(t.Device)}, id, c)
	r.ID = c.ID[:]
	if err := w.checked(r, c); err != nil { // it holds whoever tells it
		return err
	}
	r.ID, r.RetoldBy, r.ReceivedAt = c.ID[:], k.address, w.e.now().UnixMilli()
	r.Past, r.Told, r.Elsewhere = true, true, true
	r.order = w.e.nextOrder()
	_, err = insertMessage(w.tx, r)
	return err
}

// historyEarly keeps a part that has come before this device has seen in the log
// that it is in the group: only of a group that somebody has handed keys of.
func (w *work) historyEarly(k peerKey, id groups.ID, h *groups.History) error {
	keys, err := w.tx.Count(tableGroupKey, id[:])
	if err != nil || keys == 0 {
		return err
	}
	if n, err := w.tx.Count(tableGroupEarly, id[:]); err != nil || n >= maxEarly {
		return err
	}
	w.follows(id)
	key := content.NewID()
	return w.tx.Put(tableGroupEarly, key[:], id[:], w.e.nextOrder(), encodeRecord(candidateRecord{
		From: k.address, Device: uint64(k.device), Signal: groups.Signal{Group: id, History: h}.Encode(), At: w.e.now().UnixMilli(),
	}))
}

// takeEarly keeps what was retold early, now that this device is in the group.
func (e *engine) takeEarly(ctx context.Context, id groups.ID) error {
	n := 0
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		n, err = tx.Count(tableGroupEarly, id[:])
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	return e.groupStep(ctx, func(w *work) error {
		var all []candidateRecord
		err := w.tx.Scan(tableGroupEarly, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			c, err := decodeRecord[candidateRecord](row.Value)
			all = append(all, c)
			return err
		})
		if err != nil {
			return err
		}
		if err := deleteAll(w.tx, tableGroupEarly, id[:]); err != nil {
			return err
		}
		for _, c := range all {
			s, err := groups.ParseSignal(c.Signal)
			if err != nil || s.History == nil {
				return ErrStoreDamaged
			}
			p, err := w.person(c.From)
			if err != nil {
				return err
			}
			if err := w.groupHistory(peerKey{c.From, address.Device(c.Device)}, p, id, s.History); err != nil {
				return err
			}
		}
		return nil
	})
}
