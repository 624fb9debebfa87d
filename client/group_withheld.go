package client

import (
	"context"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// beyond is a message of a member who holds entries of the log that are not
// known here.
type beyond struct {
	from peerKey
	head groups.Head
}

// catchWithheld raises the alarm if a member has sealed a message under a longer
// log than the server shows: it took that message under that log, so it has the
// entries, or the member lies (R-GRP-41).
func (e *engine) catchWithheld(ctx context.Context, l *link, id groups.ID) error {
	r, roster, err := e.readGroup(ctx, id)
	if err != nil || r == nil || r.Out || r.stopped(roster) {
		return err
	}
	found, err := e.beyondLog(ctx, id, roster)
	if err != nil || found == nil {
		return err
	}
	page, err := l.conn.GroupRead(ctx, relay.GroupRead{
		Group: id, From: roster.Seq + 1, Token: r.secret().Token(id, roster.Epoch),
	})
	if err != nil {
		return groupError(err)
	}
	if len(page.Entries) > 0 || page.Seq != roster.Seq {
		return nil // it has come meanwhile, or waits for keys
	}
	return e.groupStep(ctx, func(w *work) error {
		now, err := getGroup(w.tx, id)
		if err != nil || now == nil || now.Out {
			return err
		}
		if held, err := now.roster(); err != nil || held.Seq != roster.Seq {
			return err
		}
		return w.forked(id, found.from, roster.Seq+1, found.head)
	})
}

// beyondLog finds an authentic message of a member that waits for entries.
func (e *engine) beyondLog(ctx context.Context, id groups.ID, roster groups.Roster) (found *beyond, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		if n, err := tx.Count(tableGroupHeld, nil); err != nil || n == 0 {
			return err
		}
		return tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			c, err := decodeRecord[chainRecord](row.Value)
			if err != nil || found != nil {
				return err
			}
			if _, member := roster.Member(c.From); !member {
				return nil
			}
			s, err := groups.ParseReceiving(c.State)
			if err != nil {
				return ErrStoreDamaged
			}
			chain := s.ID()
			return tx.Scan(tableGroupHeld, chain[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
				h, err := decodeRecord[heldRecord](row.Value)
				if err != nil || found != nil {
					return err
				}
				env, err := content.DecodeEnvelope(h.Body)
				if err != nil {
					return nil
				}
				if o, err := s.Open(env.Message, e.now()); err == nil && o.Seq > roster.Seq {
					found = &beyond{c.key(), o.Head}
				}
				return nil
			})
		})
	})
	return found, err
}
