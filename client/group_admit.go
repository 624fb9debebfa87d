package client

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/vault"
)

// enterTries is how often a device that is out asks somebody who has handed it a
// sender key, before it takes no answer for one.
const enterTries = 4

// askToEnter asks for a welcome when others hand this device their sender keys
// for a group that it does not know, or is out of (R-GRP-54): they count its account among
// their members, and the device is one that was restored or joined since. It asks
// somebody who is no stranger, or anybody if the account may have been in the
// group before this device was.
func (e *engine) askToEnter(ctx context.Context, l *link, id groups.ID) error {
	var from *peerKey
	tries := uint64(0)
	err := e.view(ctx, func(tx *vault.Tx) error {
		welcomed := false // there is a welcome, and its entry will come
		err := tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			c, err := decodeRecord[candidateRecord](row.Value)
			if err != nil {
				return err
			}
			s, err := groups.ParseSignal(c.Signal)
			welcomed = welcomed || err == nil && s.Key != nil && len(s.Key.Roster) > 0 && !passedSince(e.now(), c.At, RepairEvery)
			return nil
		})
		if err != nil || welcomed {
			return err
		}
		known, err := e.mayKnow(tx, id)
		if err != nil {
			return err
		}
		err = tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, true, func(row vault.Row) error {
			c, err := decodeRecord[chainRecord](row.Value)
			if err != nil || from != nil {
				return err
			}
			p, err := e.readPerson(tx, c.From)
			if err != nil || p == nil || !known && p.stranger() {
				return err // strangers are told nothing (R-CLT-14)
			}
			k := c.key()
			from = &k
			return nil
		})
		if err != nil || from == nil {
			return err
		}
		r, err := getAsk(tx, id, *from)
		if err == nil && r.Welcome && r.askAt() > e.now().UnixMilli() {
			from = nil
		}
		tries = r.Tries
		return err
	})
	if err != nil || from == nil {
		return err
	}
	if g, _, err := e.readGroup(ctx, id); err != nil || g != nil && tries >= enterTries {
		return errors.Join(err, e.groupStep(ctx, func(w *work) error {
			ask, err := getAsk(w.tx, id, *from)
			if err != nil {
				return err
			}
			return w.stayOut(*from, id, &ask)
		}))
	}
	err = e.groupStep(ctx, func(w *work) error { return e.lackWelcome(w.tx, id, *from) })
	return errors.Join(err, e.talkAbout(ctx, l, id, *from, true))
}

// mayKnow reports whether this account may have been in a group that the device
// does not know: it holds messages of it, or it joined the account lately, beside
// or after another one.
func (e *engine) mayKnow(tx *vault.Tx, id groups.ID) (bool, error) {
	n, err := tx.Count(tableMessage, []byte(groupName(id)))
	if err != nil || n > 0 {
		return n > 0, err
	}
	own, err := e.readPerson(tx, e.self.record.Address)
	if err != nil || own == nil {
		return false, err
	}
	d, _ := own.list.Device(e.self.device)
	return own.list.Version > 1 && e.now().Sub(time.Unix(d.AddedAt, 0)) < SeenFor, nil
}
