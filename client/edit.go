package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Editing the history: what stands on a disk proves nothing, because whoever has
// the disk writes on it (R-CLT-61). An edit stays on this device. It leaves no
// mark of its own, goes to nobody, and nobody is sent a receipt for it.

// HistoryEdit is a change of what is stored of a conversation. Fields that are
// nil stay as they are.
type HistoryEdit struct {
	ID     string // of the message; empty to insert one
	With   string // Insert: the conversation
	Delete bool   // the message goes, and nothing else is looked at
	Text   *string
	From   *string // who has written it: "me", an address or a word for a contact
	SentAt *time.Time
}

// ErrCannotEdit: that entry of the history cannot be changed so.
var ErrCannotEdit = errors.New("that cannot be edited")

var callEditHistory = method[HistoryEdit, Message]{"edit history", func(ctx context.Context, e *engine, q HistoryEdit) (Message, error) {
	return e.EditHistory(ctx, q)
}}

// EditHistory implements API.
func (c *Client) EditHistory(ctx context.Context, q HistoryEdit) (Message, error) {
	return run(ctx, c, callEditHistory, q)
}

// EditHistory implements API.
func (e *engine) EditHistory(ctx context.Context, q HistoryEdit) (out Message, err error) {
	if err := e.expire(ctx); err != nil {
		return out, err
	}
	if q.Text != nil {
		switch {
		case !utf8.ValidString(*q.Text):
			return out, ErrInvalidText
		case len(*q.Text) > content.MaxText:
			return out, fmt.Errorf("%w: at most %d bytes", ErrTooLong, content.MaxText)
		}
	}
	if q.SentAt != nil && (q.SentAt.UnixMilli() <= 0 || q.SentAt.UnixMilli() > maxEdited) {
		return out, fmt.Errorf("%w: no message was sent at that time", ErrCannotEdit)
	}
	insert := q.ID == ""
	var id content.ID
	with := ""
	if insert {
		if q.Delete || q.Text == nil {
			return out, fmt.Errorf("%w: a new message has a text", ErrCannotEdit)
		}
		if with, err = e.conversation(ctx, q.With); err != nil {
			return out, err
		}
		id = content.NewID()
	} else if id, err = content.ParseID(q.ID); err != nil {
		return out, &wrapped{ErrNotFound, err}
	}
	from := ""
	if q.From != nil {
		addr, err := e.resolve(ctx, *q.From)
		if err != nil {
			return out, err
		}
		from = addr.String()
	}
	e.state.Lock()
	defer e.state.Unlock()
	before := e.lastOrder
	err = e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = before
		r, err := e.toEdit(tx, id, with)
		if err != nil {
			return err
		}
		if q.Delete {
			out = r.message()
			if _, err := tx.Delete(tableExpiry, r.ID); err != nil {
				return err
			}
			_, err := tx.Delete(tableMessage, r.ID)
			return err
		}
		if err := e.edit(tx, r, q, from, insert); err != nil {
			return err
		}
		out = r.message()
		return nil
	})
	if err != nil {
		e.lastOrder = before
		return Message{}, err
	}
	e.mu.Lock()
	clear(e.nothing) // places have moved
	e.mu.Unlock()
	e.changed()
	return out, nil
}

// maxEdited is the latest time that a message can be said to be of.
const maxEdited = 1 << 48

// toEdit reads a message, or makes an empty one in the conversation with.
func (e *engine) toEdit(tx *vault.Tx, id content.ID, with string) (*messageRecord, error) {
	if with != "" {
		now := e.now().UnixMilli()
		return &messageRecord{
			ID: id[:], Conversation: with, From: e.self.record.Address, To: with, Outgoing: true, Kind: string(KindText),
			SentAt: now, Status: string(StatusAccepted), order: e.nextOrder(),
		}, nil
	}
	r, order, ok, err := getMessage(tx, id[:])
	if err != nil || !ok {
		return nil, errors.Join(err, ErrNotFound)
	}
	r.order = order
	if Status(r.Status) == StatusSending {
		return nil, fmt.Errorf("%w: it is still on its way", ErrCannotEdit)
	}
	return &r, nil
}

// edit changes a message and writes it at its place.
func (e *engine) edit(tx *vault.Tx, r *messageRecord, q HistoryEdit, from string, insert bool) error {
	if r.Kind != string(KindText) || r.Expired {
		return fmt.Errorf("%w: it has no text", ErrCannotEdit)
	}
	r.Signature, r.Signed = nil, 0 // it would not hold
	r.Told = r.Told || !r.Outgoing // no receipt for what was not sent
	if q.Text != nil {
		r.Text, r.Mentions = *q.Text, slices.DeleteFunc(slices.Clone(r.Mentions), func(m string) bool {
			name, _, _ := strings.Cut(m, "@")
			return !strings.Contains(*q.Text, name)
		})
		if len(r.Mentions) == 0 {
			r.Mentions = nil
		}
	}
	if from != "" && from != r.From || insert {
		if from == "" {
			from = e.self.record.Address
		}
		if err := e.rewrite(tx, r, from); err != nil {
			return err
		}
	}
	r.settle()
	if q.SentAt == nil && !insert {
		return putMessage(tx, r)
	}
	if q.SentAt != nil {
		at := q.SentAt.UnixMilli()
		r.SentAt = at
		if r.ReceivedAt != 0 {
			r.ReceivedAt = at
		}
	}
	return e.replace(tx, r)
}

// settle makes an own message one that nobody lacks: what was edited must not go
// out when a device asks for what it could not open.
func (r *messageRecord) settle() {
	if !r.Outgoing {
		return
	}
	r.Chain, r.OwnFull = nil, nil
	for i := range r.Devices {
		r.Devices[i].Status = string(raise(Status(r.Devices[i].Status), StatusDelivered))
	}
	for i := range r.Members {
		r.Members[i].Status = string(raise(Status(r.Members[i].Status), StatusDelivered))
	}
	if len(r.Devices)+len(r.Members) > 0 {
		r.Status = string(raise(Status(r.Status), StatusDelivered))
	}
}

// rewrite makes a message one of somebody else.
func (e *engine) rewrite(tx *vault.Tx, r *messageRecord, from string) error {
	me := e.self.record.Address
	id, group := groupID(r.Conversation)
	if group {
		if err := e.mayHaveSaid(tx, id, from); err != nil {
			return err
		}
	} else if from != me && from != r.Conversation {
		return fmt.Errorf("%w: nobody else is in that conversation", ErrCannotEdit)
	}
	p, err := e.readPerson(tx, from)
	if err != nil || p == nil {
		return errors.Join(err, ErrUnknownRecipient)
	}
	*r = messageRecord{
		ID: r.ID, Conversation: r.Conversation, From: from, To: r.Conversation, Kind: r.Kind, Text: r.Text, Subject: r.Subject,
		ReplyTo: r.ReplyTo, Mentions: r.Mentions, SentAt: r.SentAt, ExpiresAt: r.ExpiresAt, Original: r.Original, Past: true, order: r.order,
	}
	if from != me {
		r.Status, r.ReceivedAt, r.Told, r.Elsewhere = string(StatusReceived), r.SentAt, true, true
		if !group {
			r.To = me
		}
		if active := p.list.Active(); len(active) > 0 {
			r.FromDevice = uint64(active[0].ID)
		}
		return nil
	}
	r.Outgoing, r.FromDevice, r.Status, r.AcceptedAt = true, uint64(e.self.device), string(StatusAccepted), r.SentAt
	if group || r.Conversation == me {
		return nil
	}
	other, err := e.readPerson(tx, r.Conversation)
	if err != nil || other == nil {
		return errors.Join(err, ErrUnknownRecipient)
	}
	for _, d := range e.others(other) {
		r.Devices = append(r.Devices, deviceState{Device: uint64(d.ID), Status: string(StatusDelivered)})
	}
	return nil
}

// mayHaveSaid reports whether somebody is, or was, in a group.
func (e *engine) mayHaveSaid(tx *vault.Tx, id groups.ID, who string) error {
	g, err := getGroup(tx, id)
	if err != nil || g == nil {
		return errors.Join(err, ErrUnknownGroup)
	}
	roster, err := g.roster()
	if err != nil {
		return err
	}
	if _, ok := roster.Member(who); !ok && who != e.self.record.Address {
		return fmt.Errorf("%w: they are not in that group", ErrCannotEdit)
	}
	return nil
}

// replace puts a message where its time belongs: the messages between its old
// place and its new one move up or down by one, and places are never shared.
// What somebody has not taken yet stays where it is: a consumer counts in
// places, and would miss it.
func (e *engine) replace(tx *vault.Tx, r *messageRecord) error {
	taken, err := takenByAll(tx)
	if err != nil {
		return err
	}
	var all []*messageRecord
	slots := []int64{r.order}
	err = scanMessages(tx, r.Conversation, firstOrder, lastOrder, 0, false, func(m *messageRecord) error {
		if !bytes.Equal(m.ID, r.ID) && (m.Outgoing || m.Past || m.order <= taken) {
			all = append(all, m)
			slots = append(slots, m.order)
		}
		return nil
	})
	if err != nil {
		return err
	}
	at := len(all)
	for at > 0 && all[at-1].shownAt() > r.shownAt() {
		at--
	}
	all = slices.Insert(all, at, r)
	slices.Sort(slots)
	for i, m := range all {
		if m.order == slots[i] && m != r {
			continue
		}
		m.Past = m.Past || m == r || taken != lastOrder // nobody gets it as new at its new place
		m.order = slots[i]
		if err := putMessage(tx, m); err != nil {
			return err
		}
	}
	return nil
}

// shownAt is the time by which a conversation is read.
func (r *messageRecord) shownAt() int64 {
	if r.ReceivedAt != 0 {
		return r.ReceivedAt
	}
	return r.SentAt
}

// takenByAll is up to where every consumer has taken what came; lastOrder when
// there is none.
func takenByAll(tx *vault.Tx) (int64, error) {
	least := int64(lastOrder)
	err := tx.Scan(tableMeta, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		if !bytes.HasPrefix(row.Key, []byte("consumer/")) {
			return nil
		}
		c, err := decodeRecord[consumerRecord](row.Value)
		least = min(least, c.Acked)
		return err
	})
	return least, err
}
