package client

import (
	"context"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vault"
)

// A device that was not handed the secret of an epoch, because its mailbox was
// full for instance, can read the log no further. It asks for everything, and
// goes on from where the answer stands: the entries between stay unread here
// (R-GRP-71).

// askForKeys asks for what it takes to follow a change: its author's sender key,
// and, where that does not help, everything.
func (e *engine) askForKeys(ctx context.Context, id groups.ID, lacking groups.Entry, secret bool) error {
	return e.groupStep(ctx, func(w *work) error {
		g, err := getGroup(w.tx, id)
		if err != nil || g == nil || g.Out {
			return err
		}
		roster, err := g.roster()
		if err != nil {
			return err
		}
		all, _, err := e.listeners(w.tx, roster)
		if err != nil || len(all) == 0 {
			return err
		}
		author := authorOf(lacking)
		listed := slices.ContainsFunc(all, func(d listener) bool { return d.peerKey == author })
		patient := false
		if listed {
			r, err := getAsk(w.tx, id, author)
			if err != nil {
				return err
			}
			if patient = r.Tries < 2; !secret {
				if err := e.lackChain(w.tx, id, author, lacking.Chain); err != nil {
					return err
				}
				patient = r.Tries == 0
			} else if err := e.lackWelcome(w.tx, id, author); err != nil {
				return err
			}
		}
		if patient {
			return nil
		}
		// Somebody else may be there when the author is not, another one each hour:
		// one whose word is taken.
		all = slices.DeleteFunc(all, func(d listener) bool { return !e.leads(roster, d.address) })
		if len(all) == 0 {
			return nil
		}
		hour := uint64(e.now().Unix()) / 3600
		return e.lackWelcome(w.tx, id, all[hour%uint64(len(all))].peerKey)
	})
}

// leads reports whether this device takes somebody's word for a roster that it
// cannot check: an admin's, who could make it so anyway, one's own other
// devices', and where there is no other admin every member's.
func (e *engine) leads(roster groups.Roster, who string) bool {
	me := e.self.record.Address
	m, ok := roster.Member(who)
	return ok && (m.Role == groups.Admin || who == me || !slices.ContainsFunc(roster.Members, func(m groups.Member) bool {
		return m.Role == groups.Admin && m.Address != me
	}))
}

// welcomeAsked reads whom this device has asked for everything.
func welcomeAsked(tx *vault.Tx, id groups.ID) (asked []askRecord, err error) {
	return asked, tx.Scan(tableGroupAsk, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		r, err := decodeRecord[askRecord](row.Value)
		if r.Welcome {
			asked = append(asked, r)
		}
		return err
	})
}

// leap goes on from where somebody stands who was asked for everything, if it
// has come. It reports whether the group stands elsewhere now.
func (e *engine) leap(ctx context.Context, l *link, id groups.ID) (bool, error) {
	g, roster, err := e.readGroup(ctx, id)
	if err != nil || g == nil || g.Out {
		return false, err
	}
	var asked []askRecord
	var found []candidateRecord
	err = e.view(ctx, func(tx *vault.Tx) error {
		if asked, err = welcomeAsked(tx, id); err != nil || len(asked) == 0 {
			return err
		}
		return tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, true, func(row vault.Row) error {
			c, err := decodeRecord[candidateRecord](row.Value)
			found = append(found, c)
			return err
		})
	})
	if err != nil {
		return false, err
	}
	for i := range found {
		c := &found[i]
		s, err := groups.ParseSignal(c.Signal)
		if err != nil || s.Key == nil {
			return false, ErrStoreDamaged
		}
		wasAsked := slices.ContainsFunc(asked, func(r askRecord) bool { return r.Address == c.From && r.Device == c.Device })
		if !wasAsked || !e.leads(roster, c.From) || len(s.Key.Roster) == 0 || s.Key.Seq <= roster.Seq {
			continue
		}
		next, err := groups.ParseRoster(s.Key.Roster)
		if err != nil || next.Group != id || !e.plausibleWelcome(next, s.Key, c.From) {
			continue
		}
		in, err := e.inLog(ctx, l, next, s.Key)
		if err != nil {
			return false, err
		}
		if in {
			return true, e.takeLeap(ctx, next, s.Key, c.From)
		}
	}
	return false, nil
}

// takeLeap puts a group where a welcome stands, and tells who has come and gone
// meanwhile.
func (e *engine) takeLeap(ctx context.Context, next groups.Roster, key *groups.Key, by string) error {
	id := next.Group
	return e.groupStep(ctx, func(w *work) error {
		r, err := getGroup(w.tx, id)
		if err != nil || r == nil || r.Out {
			return err
		}
		before, err := r.roster()
		if err != nil || before.Seq >= next.Seq {
			return err
		}
		if before.Epoch != next.Epoch {
			if err := e.closeOwn(w.tx, r); err != nil {
				return err
			}
		}
		if err := e.dropDeparted(w.tx, id, before, next); err != nil {
			return err
		}
		if err := e.dropCandidates(w.tx, id, key.Seq); err != nil {
			return err
		}
		r.Roster, r.Secret, r.First, r.Pending = next.Encode(), append([]byte(nil), key.Secret[:]...), key.Seq, nil
		line := logRecord{Head: key.Head[:], Author: by, At: e.now().UnixMilli(), Change: encodeChange(groups.Change{})}
		if err := w.tx.Put(tableGroupLog, seqKey(id, key.Seq), id[:], int64(key.Seq), codec.Marshal(line)); err != nil {
			return err
		}
		if err := w.tellDifference(id, by, before, next); err != nil {
			return err
		}
		return putGroup(w.tx, r)
	})
}

// tellDifference tells who has come and gone, and a new name.
func (w *work) tellDifference(id groups.ID, by string, before, next groups.Roster) error {
	tell := func(kind, about string) error {
		return w.e.putNotice(w.tx, groupName(id), notice{kind: kind, about: about, by: by})
	}
	for _, m := range before.Members {
		if _, in := next.Member(m.Address); !in {
			if err := tell(NoticeGroupRemoved, m.Address); err != nil {
				return err
			}
		}
	}
	for _, m := range next.Members {
		if _, in := before.Member(m.Address); !in {
			if err := tell(NoticeGroupAdded, m.Address); err != nil {
				return err
			}
		}
	}
	if next.Name != before.Name {
		return tell(NoticeGroupRenamed, next.Name)
	}
	return nil
}

// caughtUp forgets that everything was asked for, once the log can be followed
// again.
func (e *engine) caughtUp(ctx context.Context, id groups.ID) error {
	var over []peerKey
	err := e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableGroupAsk, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[askRecord](row.Value)
			if r.Welcome || slices.ContainsFunc(r.Lacks, forEntry) {
				over = append(over, r.key())
			}
			return err
		})
	})
	if err != nil || len(over) == 0 {
		return err
	}
	return e.groupStep(ctx, func(w *work) error {
		for _, k := range over {
			now, err := getAsk(w.tx, id, k)
			if err != nil {
				return err
			}
			now.Welcome, now.Lacks = false, slices.DeleteFunc(now.Lacks, forEntry)
			now.settle()
			if err := putAsk(w.tx, id, &now); err != nil {
				return err
			}
		}
		return nil
	})
}

// forEntry reports whether a sender key is asked for only to check an entry of
// the log with it.
func forEntry(l lackRecord) bool { return l.Key && len(l.Indexes) == 0 }
