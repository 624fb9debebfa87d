package client

import (
	"context"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
)

// capabilities is what this version lists for its device in the account's
// device list (R-CLT-46).
func capabilities() []uint64 {
	return []uint64{devicelist.CapReceipts, devicelist.CapSync, devicelist.CapRepair}
}

// newestKind is the highest kind of content that this version knows.
const newestKind = content.KindRepair

// metaKinds holds the highest kind that the version knew which looked through
// what is kept of unknown kinds last.
var metaKinds = []byte("kinds")

// learn shows what an earlier version could only keep (R-CLT-47). It looks
// through the messages once for each version that knows more kinds, in parts,
// and begins again if it is interrupted.
func (e *engine) learn(ctx context.Context) error {
	var known countRecord
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		known, _, err = getRecord[countRecord](tx, tableMeta, metaKinds)
		return err
	})
	if err != nil || known.N >= uint64(newestKind) {
		return err
	}
	const part = 500
	for from := int64(firstOrder); ; {
		n := 0
		err := e.update(ctx, func(tx *vault.Tx) error {
			var found []messageRecord
			n = 0
			err := scanMessages(tx, "", from, lastOrder, part, false, func(m *messageRecord) error {
				if n, from = n+1, m.order+1; m.understand() {
					found = append(found, *m)
				}
				return nil
			})
			if err != nil {
				return err
			}
			for i := range found {
				if err := putMessage(tx, &found[i]); err != nil {
					return err
				}
				if err := e.oweLearnt(tx, &found[i]); err != nil {
					return err
				}
			}
			if n == part {
				return nil
			}
			return tx.Put(tableMeta, metaKinds, nil, 0, encodeRecord(countRecord{uint64(newestKind)}))
		})
		if err != nil || n < part {
			return err
		}
	}
}

// understand turns a message of a kind that was not known into what it is, if
// it is of a kind that is shown and that this version can read. Its ID, place
// and times stay.
func (r *messageRecord) understand() bool {
	if r.Kind != string(KindUnknown) || r.RawKind != uint64(content.KindText) || r.Expired {
		return false
	}
	raw := content.Content{
		Kind: content.Kind(r.RawKind), ID: r.receiptID(), SentAt: time.UnixMilli(r.SentAt), Body: r.RawBody,
	}
	c, err := content.Decode(raw.Encode())
	if err != nil {
		return false
	}
	r.Kind, r.Text, r.Subject = string(KindText), c.Text.Text, c.Text.Subject
	if !c.Text.ReplyTo.IsZero() {
		r.ReplyTo = c.Text.ReplyTo[:]
	}
	r.RawKind, r.RawBody = 0, nil
	return true
}

// oweLearnt owes the receipt that nobody could be given before.
func (e *engine) oweLearnt(tx *vault.Tx, r *messageRecord) error {
	if r.Outgoing {
		return nil
	}
	p, err := e.readPerson(tx, r.From)
	if err != nil || p == nil {
		return err
	}
	k := peerKey{r.From, address.Device(r.FromDevice)}
	if _, ok := groupID(r.Conversation); ok {
		return oweInGroup(tx, k, content.Delivered, []content.ID{r.receiptID()}, e.now())
	}
	return owe(tx, k, content.Delivered, []content.ID{r.receiptID()}, p.owedBound(), e.now())
}
