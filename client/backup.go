package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
)

// BackupOptions shape a backup.
type BackupOptions struct {
	// Passphrase seals it. It is not the store's.
	Passphrase []byte
	// Progress, when not nil, is told now and then how many messages are done,
	// and about how many there are.
	Progress func(done, about int)
	// Recovery makes or reads a recovery file: the identity alone.
	Recovery bool
}

// purpose is what the file says it is for (R-BAK-09).
func (o BackupOptions) purpose() backup.Purpose {
	if o.Recovery {
		return backup.Recovery
	}
	return backup.Whole
}

// BackupSummary is what a backup holds.
type BackupSummary struct {
	Address  string
	Identity string // fingerprint of the account key
	Device   string // that made it
	MadeAt   time.Time
	Contacts int
	Messages int
}

// backupQuery asks for a part of what goes into a backup: the start, one
// contact, or the messages after an order.
type backupQuery struct {
	Secret  []byte // the store's, for the start: it hands out the account key
	Start   bool
	Contact string
	After   int64
}

type backupPart struct {
	Identity  backup.Identity
	Contacts  []string         // addresses
	Consumers map[string]int64 // how far each has come, as an order
	Contact   *backup.Contact
	Messages  []backup.Message
	Orders    []int64
	More      bool
	About     int
}

var callBackup = method[backupQuery, backupPart]{"backup", func(ctx context.Context, e *engine, q backupQuery) (backupPart, error) {
	switch {
	case q.Start:
		return e.backupStart(ctx, q.Secret)
	case q.Contact != "":
		return e.backupContact(ctx, q.Contact)
	}
	return e.backupMessages(ctx, q.After)
}}

// backupStart hands out the account key, and so only to who knows the store's
// secret: the local socket alone asks for none (R-BAK-08).
func (e *engine) backupStart(ctx context.Context, secret []byte) (p backupPart, err error) {
	if err := e.checkSecret(secret); err != nil {
		return p, err
	}
	r := e.self.record
	if e.self.account == nil {
		return p, ErrNoAccountKey
	}
	own, err := e.ownPerson(ctx)
	if err != nil {
		return p, err
	}
	// R-BAK-01: the account and nothing of this device.
	p.Identity = backup.Identity{
		Address: r.Address, AccountKey: bytes.Clone(r.AccountKey), Chain: own.record.Chain, Host: r.Host, Pin: r.Pin,
		Device: r.Device, Created: r.Created, Made: e.now().UnixMilli(),
	}
	p.Consumers = map[string]int64{}
	err = e.view(ctx, func(tx *vault.Tx) error {
		if p.About, err = tx.Count(tableMessage, nil); err != nil {
			return err
		}
		err := tx.Scan(tableContact, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			if string(r.Key) != own.record.Address {
				p.Contacts = append(p.Contacts, string(r.Key))
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Scan(tableMeta, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			name, ok := strings.CutPrefix(string(r.Key), "consumer/")
			if !ok {
				return nil
			}
			c, err := decodeRecord[consumerRecord](r.Value)
			p.Consumers[name] = c.Acked
			return err
		})
	})
	slices.Sort(p.Contacts)
	return p, err
}

// checkSecret says whether who asks knows what opens the store.
func (e *engine) checkSecret(secret []byte) error {
	switch {
	case len(secret) == 0:
		return ErrLocked
	case secret[0] == 'p' && !e.vault.CheckPassphrase(secret[1:]),
		secret[0] == 'k' && !e.vault.Check(vault.Unlock{KeyFile: string(secret[1:])}):
		return ErrWrongPassphrase
	}
	return nil
}

func (e *engine) backupContact(ctx context.Context, addr string) (p backupPart, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		c, ok, err := getContact(tx, addr)
		if ok {
			p.Contact = &backup.Contact{
				Address: c.Address, Alias: c.Alias, Chain: c.Chain, Verified: c.Verified, Pending: c.Pending,
				FirstSeen: c.FirstSeen, Known: c.Known,
			}
		}
		return err
	})
	return p, err
}

func (e *engine) backupMessages(ctx context.Context, after int64) (p backupPart, err error) {
	if err := e.expire(ctx); err != nil { // R-CLT-22
		return p, err
	}
	size := 0
	err = e.view(ctx, func(tx *vault.Tx) error {
		return scanMessages(tx, "", after+1, lastOrder, 0, false, func(m *messageRecord) error {
			p.Messages, p.Orders = append(p.Messages, m.saved()), append(p.Orders, m.order)
			if size += m.weight(); size > pageBytes {
				p.More = true
				return errEnough
			}
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return p, err
}

// saved is the message as a backup holds it.
func (r *messageRecord) saved() backup.Message {
	m := backup.Message{
		ID: r.ID, Conversation: r.Conversation, From: r.From, FromDevice: r.FromDevice, To: r.To, Outgoing: r.Outgoing,
		Kind: r.Kind, Text: r.Text, Subject: r.Subject, ReplyTo: r.ReplyTo, Notice: r.Notice, Cause: r.Cause,
		SentAt: r.SentAt, ReceivedAt: r.ReceivedAt, ExpiresAt: r.ExpiresAt, Status: r.Status, RawKind: r.RawKind, RawBody: r.RawBody,
		Mentions: r.Mentions, RetoldBy: r.RetoldBy, Signature: r.Signature, Signed: r.Signed,
	}
	for _, d := range r.Devices {
		m.Devices = append(m.Devices, backup.State{Device: d.Device, Status: d.Status})
	}
	return m
}

// CauseRestored is why an own message failed that was on its way when the
// backup was made: whether it left is not known here.
const CauseRestored = "restored"

// restored is the stored form of a message from a backup. What was under way
// is not any more: the outbox is not part of a backup (R-BAK-01).
func restored(m *backup.Message, order int64) *messageRecord {
	r := &messageRecord{
		ID: m.ID, Conversation: m.Conversation, From: m.From, FromDevice: m.FromDevice, To: m.To, Outgoing: m.Outgoing,
		Kind: m.Kind, Text: m.Text, Subject: m.Subject, ReplyTo: m.ReplyTo, Notice: m.Notice, Cause: m.Cause,
		SentAt: m.SentAt, ReceivedAt: m.ReceivedAt, ExpiresAt: m.ExpiresAt, Status: m.Status, RawKind: m.RawKind, RawBody: m.RawBody,
		Mentions: m.Mentions, RetoldBy: m.RetoldBy, Signature: m.Signature, Signed: m.Signed, order: order,
	}
	for _, d := range m.Devices {
		if m.Outgoing && d.Status == string(StatusSending) {
			d.Status = string(StatusFailed)
		}
		r.Devices = append(r.Devices, deviceState{Device: d.Device, Status: d.Status})
	}
	if m.Outgoing && m.Status == string(StatusSending) {
		r.Status, r.Cause = string(StatusFailed), CauseRestored
	}
	return r
}

// Backup implements API.
func (c *Client) Backup(ctx context.Context, to io.Writer, o BackupOptions) (s BackupSummary, err error) {
	start, err := run(ctx, c, callBackup, backupQuery{Start: true, Secret: c.cfg.Unlock.secret()})
	if err != nil {
		return s, err
	}
	defer clear(start.Identity.AccountKey)
	w, err := backup.NewWriter(to, o.purpose(), o.Passphrase)
	if err != nil {
		return s, backupError(err)
	}
	if err := w.Put(&start.Identity); err != nil {
		return s, backupError(err)
	}
	if !o.Recovery {
		if err := c.backupRest(ctx, w, start, o); err != nil {
			return s, err
		}
	}
	end, err := w.Close()
	if err != nil {
		return s, backupError(err)
	}
	return summary(&start.Identity, end)
}

// backupRest writes everything but the identity.
func (c *Client) backupRest(ctx context.Context, w *backup.Writer, start backupPart, o BackupOptions) error {
	for _, addr := range start.Contacts {
		p, err := run(ctx, c, callBackup, backupQuery{Contact: addr})
		if err != nil {
			return err
		}
		if p.Contact == nil {
			continue // removed meanwhile
		}
		if err := w.Put(p.Contact); err != nil {
			return backupError(err)
		}
	}
	// An acknowledgement is an order, and orders are drawn anew by a restore:
	// a backup counts instead.
	taken := map[string]uint64{}
	done, after := 0, int64(firstOrder)
	for {
		p, err := run(ctx, c, callBackup, backupQuery{After: after})
		if err != nil {
			return err
		}
		for i := range p.Messages {
			if err := w.Put(&p.Messages[i]); err != nil {
				return backupError(err)
			}
			done++
			after = p.Orders[i]
			for name, acked := range start.Consumers {
				if after <= acked {
					taken[name]++
				}
			}
		}
		if o.Progress != nil {
			o.Progress(done, max(done, start.About))
		}
		if !p.More {
			break
		}
	}
	names := make([]string, 0, len(start.Consumers))
	for name := range start.Consumers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.Put(&backup.Consumer{Name: name, Taken: taken[name]}); err != nil {
			return backupError(err)
		}
	}
	return nil
}

func summary(i *backup.Identity, end backup.End) (BackupSummary, error) {
	list, err := i.List()
	if err != nil {
		return BackupSummary{}, backupError(err)
	}
	return BackupSummary{
		Address: i.Address, Identity: devicelist.Fingerprint(list.Account), Device: fmt.Sprintf("%016x", i.Device),
		MadeAt: time.UnixMilli(i.Made).UTC(), Contacts: int(end.Contacts), Messages: int(end.Messages),
	}, nil
}

// VerifyBackup reads a backup from its beginning to its end, checks everything
// a restore would, and says what it holds.
func VerifyBackup(ctx context.Context, from io.Reader, o BackupOptions) (BackupSummary, error) {
	_, i, end, err := readBackup(ctx, from, o, nil)
	if err != nil {
		return BackupSummary{}, err
	}
	defer clear(i.AccountKey)
	return summary(i, end)
}

// readBackup hands each record but identity and end to take, and returns them.
func readBackup(ctx context.Context, from io.Reader, o BackupOptions, take func(backup.Record) error) (id []byte, i *backup.Identity, end backup.End, err error) {
	r, err := backup.NewReader(from, o.purpose(), o.Passphrase)
	if err != nil {
		return nil, nil, end, backupError(err)
	}
	messages := 0
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.ID(), i, end, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, nil, end, backupError(err)
		}
		switch v := record.(type) {
		case *backup.Identity:
			i = v
			continue
		case *backup.End:
			end = *v
			continue
		case *backup.Message:
			if messages++; o.Progress != nil && messages%256 == 0 {
				o.Progress(messages, 0)
			}
		}
		if take != nil {
			if err := take(record); err != nil {
				return nil, nil, end, err
			}
		}
	}
}

// backupError turns the format's errors into the client's.
func backupError(err error) error {
	for _, m := range []struct{ from, to error }{
		{backup.ErrWrongPassphrase, ErrBackupPassphrase}, {backup.ErrPassphrase, ErrBackupPassphrase},
		{backup.ErrNewer, ErrBackupNewer}, {backup.ErrDamaged, ErrBackupDamaged}, {backup.ErrNotBackup, ErrBackupDamaged},
		{backup.ErrPurpose, ErrBackupDamaged}, {backup.ErrCost, ErrBackupDamaged}, {backup.ErrRecord, ErrBackupDamaged},
	} {
		if errors.Is(err, m.from) {
			return &wrapped{m.to, err}
		}
	}
	return err
}
