package client

import (
	"context"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// enterGroup takes up a group that somebody has let this account into, once
// the server's log shows that it is so (R-GRP-49). What the roster says is their
// word; every later message of an honest member is bound to the same log.
func (e *engine) enterGroup(ctx context.Context, l *link, id groups.ID) error {
	var found []candidateRecord
	err := e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, true, func(row vault.Row) error {
			c, err := decodeRecord[candidateRecord](row.Value)
			if err == nil {
				found = append(found, c)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	old, before, err := e.readGroup(ctx, id)
	if err != nil {
		return err
	}
	for i := range found {
		c := &found[i]
		s, err := groups.ParseSignal(c.Signal)
		if err != nil || s.Key == nil {
			return ErrStoreDamaged
		}
		if len(s.Key.Roster) == 0 {
			continue
		}
		roster, err := groups.ParseRoster(s.Key.Roster)
		if err != nil || !e.plausibleWelcome(roster, s.Key, c.From) {
			continue
		}
		if me, _ := roster.Member(e.self.record.Address); old != nil && old.Out && !old.ByWord && me.Since <= before.Seq {
			// From somebody who does not know yet that this account is out.
			if err := e.dropWelcome(ctx, id, c, s.Key); err != nil {
				return err
			}
			continue
		}
		in, err := e.inLog(ctx, l, roster, s.Key)
		if err != nil {
			return err
		}
		if in {
			return e.takeUp(ctx, roster, s.Key, c.From)
		}
	}
	return nil
}

// dropWelcome erases a welcome that is void, and the sender key that came with
// it.
func (e *engine) dropWelcome(ctx context.Context, id groups.ID, c *candidateRecord, key *groups.Key) error {
	return e.groupStep(ctx, func(w *work) error {
		if key.Chain != nil {
			if _, err := w.tx.Delete(tableChain, key.Chain.Chain[:]); err != nil {
				return err
			}
		}
		_, err := w.tx.Delete(tableGroupKey, candidateKey(id, key.Head, peerKey{c.From, address.Device(c.Device)}))
		return err
	})
}

// forgetCandidates erases what was handed out of a group that this account is
// not in, and that nothing has come of for as long as anything may be on its way
// (R-GRP-49).
func (e *engine) forgetCandidates(ctx context.Context, id groups.ID) error {
	now := e.now()
	old := false
	err := e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			c, err := decodeRecord[candidateRecord](row.Value)
			old = old || passedSince(now, c.At, SeenFor)
			return err
		})
	})
	if err != nil || !old {
		return err
	}
	return e.groupStep(ctx, func(w *work) error {
		left := 0
		err := deleteSome(w.tx, tableGroupKey, id[:], func(row vault.Row) (bool, error) {
			c, err := decodeRecord[candidateRecord](row.Value)
			over := passedSince(now, c.At, SeenFor)
			if !over {
				left++
			}
			return over, err
		})
		if err != nil || left > 0 {
			return err
		}
		return deleteSome(w.tx, tableChain, id[:], func(row vault.Row) (bool, error) {
			c, err := decodeRecord[chainRecord](row.Value)
			if err != nil {
				return false, err
			}
			s, err := groups.ParseReceiving(c.State)
			return passedSince(now, s.Created().UnixMilli(), SeenFor), err
		})
	})
}

// plausibleWelcome reports whether a welcome is one: of that group, for this account,
// from a member of it.
func (e *engine) plausibleWelcome(roster groups.Roster, key *groups.Key, from string) bool {
	me, ok := roster.Member(e.self.record.Address)
	if !ok || me.Account != [32]byte(e.self.own.Account) {
		return false
	}
	if _, ok := roster.Member(from); !ok {
		return false
	}
	return roster.Seq == key.Seq && roster.Head == key.Head && roster.Epoch == key.Epoch && roster.Holds(key.Secret)
}

// inLog asks the server whether its log has the entry that a welcome names.
// Where the entry can be read, it must confirm the roster.
func (e *engine) inLog(ctx context.Context, l *link, roster groups.Roster, key *groups.Key) (bool, error) {
	id := roster.Group
	page, err := l.conn.GroupRead(ctx, relay.GroupRead{Group: id, From: key.Seq, Token: key.Secret.Token(id, key.Epoch)})
	if err != nil {
		if err := groupError(err); !isNotMember(err) {
			return false, err
		}
		return false, nil // not placed yet, or never
	}
	i := slices.IndexFunc(page.Entries, func(in relay.GroupEntry) bool { return in.Seq >= key.Seq })
	if i < 0 {
		return page.Seq == key.Seq && groups.Head(page.Head) == key.Head, nil
	}
	in := page.Entries[i]
	if in.Seq == key.Seq+1 {
		return groups.Head(in.Prev) == key.Head, nil // it was written in the epoch before
	}
	if in.Seq != key.Seq || groups.Head(in.Head) != key.Head || groups.HeadOf(id, in.Seq, in.Prev, in.Blob) != key.Head {
		return false, nil
	}
	entry, err := groups.Read(id, in.Seq, in.Prev, key.Secret, key.Epoch, in.Blob)
	return err != nil || entry.State == roster.Hash(), nil
}

// takeUp makes the group of a welcome.
func (e *engine) takeUp(ctx context.Context, roster groups.Roster, key *groups.Key, by string) error {
	id := roster.Group
	e.state.Lock()
	defer e.state.Unlock()
	err := e.update(ctx, func(tx *vault.Tx) error {
		old, err := getGroup(tx, id)
		if err != nil || old != nil && !old.Out {
			return err
		}
		if err := deleteAll(tx, tableLedger, id[:]); err != nil {
			return err
		}
		if err := e.dropCandidates(tx, id, key.Seq); err != nil {
			return err
		}
		own, err := e.readPerson(tx, e.self.record.Address)
		if err != nil {
			return err
		}
		r := &groupRecord{ID: id[:], Roster: roster.Encode(), Secret: append([]byte(nil), key.Secret[:]...), First: key.Seq}
		for _, d := range e.others(own) {
			// Who let this device in has let those in, but for one that had just
			// joined and was not known there.
			if passedSince(e.now(), d.AddedAt*1000, SeenFor) {
				r.Welcomed = append(r.Welcomed, uint64(d.ID))
			}
		}
		line := logRecord{Head: key.Head[:], Author: by, At: e.now().UnixMilli(), Change: encodeChange(groups.Change{})}
		if err := tx.Put(tableGroupLog, seqKey(id, key.Seq), id[:], int64(key.Seq), codec.Marshal(line)); err != nil {
			return err
		}
		n := notice{kind: NoticeGroupAdded, about: e.self.record.Address, by: by}
		if err := e.putNotice(tx, groupName(id), n); err != nil {
			return err
		}
		return putGroup(tx, r)
	})
	if err == nil {
		e.changed()
	}
	return err
}
