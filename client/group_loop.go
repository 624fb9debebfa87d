package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// GroupsEvery is how often all groups are looked at without a reason.
const GroupsEvery = 15 * time.Minute

// groupsLoop looks after the groups whenever there is a connection and
// something new: it follows their logs, opens what had to wait for that, goes
// on with changes that were cut short and does the chores.
func (e *engine) groupsLoop() {
	t := time.NewTicker(GroupsEvery)
	defer t.Stop()
	for {
		all := false
		select {
		case <-e.life.Done():
			return
		case <-e.groupKick:
		case <-t.C:
			all = true
		}
		e.mu.Lock()
		l := e.link
		e.mu.Unlock()
		if l == nil {
			continue
		}
		e.tend(e.life, l, all)
	}
}

// tend looks after the groups that are due.
func (e *engine) tend(ctx context.Context, l *link, all bool) {
	defer e.contactMu.lock("groups")()
	due := e.dueGroups(l, all)
	for id := range due {
		if err := e.lookAfter(ctx, l, id); err != nil && ctx.Err() == nil {
			e.log.Info("a group could not be looked after", "reason", reason(err))
			if errors.Is(err, ErrUnreachable) {
				break
			}
		}
		if err := e.lookAgain(ctx, id); err != nil && ctx.Err() == nil {
			e.log.Error("a group could not be read", "reason", reason(err))
		}
	}
	if len(due) > 0 {
		e.changed()
	}
}

// lookAgain has a group looked at soon if keys were handed out for an entry that
// is not in the log yet: they come before it, and nothing tells when it does.
func (e *engine) lookAgain(ctx context.Context, id groups.ID) error {
	n := 0
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		n, err = tx.Count(tableGroupKey, id[:])
		return err
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	tries := e.groupTries[id]
	if n == 0 {
		delete(e.groupTries, id)
	} else if tries < lookTries {
		e.groupTries[id] = tries + 1
	}
	e.mu.Unlock()
	if n > 0 && tries < lookTries {
		time.AfterFunc(time.Second<<tries, func() {
			if e.life.Err() == nil {
				e.dueNow(map[groups.ID]bool{id: true})
			}
		})
	}
	return nil
}

// lookTries is how often, each time after twice as long.
const lookTries = 8

// dueGroups are the groups that something was heard of, or all of them after a
// new connection.
func (e *engine) dueGroups(l *link, all bool) map[groups.ID]bool {
	e.mu.Lock()
	due := e.groupsDue
	e.groupsDue = map[groups.ID]bool{}
	if e.groupsSeen != l {
		e.groupsSeen, all = l, true
	}
	e.mu.Unlock()
	if !all {
		return due
	}
	err := e.view(e.life, func(tx *vault.Tx) error {
		for _, t := range []vault.Table{tableGroup, tableGroupKey} {
			err := tx.Scan(t, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
				var id []byte
				if t == tableGroup {
					r, err := decodeRecord[groupRecord](row.Value)
					if err != nil {
						return err
					}
					id = r.ID
				} else {
					c, err := decodeRecord[candidateRecord](row.Value)
					if err != nil {
						return err
					}
					s, err := groups.ParseSignal(c.Signal)
					if err != nil {
						return ErrStoreDamaged
					}
					id = s.Group[:]
				}
				due[groups.ID(id)] = true
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && e.life.Err() == nil {
		e.log.Error("the groups could not be read", "reason", reason(err))
	}
	return due
}

// allGroups has all groups looked after soon.
func (e *engine) allGroups() {
	e.mu.Lock()
	e.groupsSeen = nil
	e.mu.Unlock()
	wake(e.groupKick)
}

// dueNow notes groups that are to be looked after.
func (e *engine) dueNow(ids map[groups.ID]bool) {
	if len(ids) == 0 {
		return
	}
	e.mu.Lock()
	for id := range ids {
		e.groupsDue[id] = true
	}
	e.mu.Unlock()
	wake(e.groupKick)
}

// lookAfter does for one group what is due.
func (e *engine) lookAfter(ctx context.Context, l *link, id groups.ID) error {
	r, _, err := e.readGroup(ctx, id)
	if err != nil {
		return err
	}
	if r == nil || r.Out {
		if err := e.enterGroup(ctx, l, id); err != nil {
			return err
		}
		if now, _, err := e.readGroup(ctx, id); err != nil || now == nil || now.Out {
			return errors.Join(err, e.forgetCandidates(ctx, id), e.askToEnter(ctx, l, id))
		}
	}
	// First what was said under the log as it is known: its author may leave with
	// the next entry.
	if err := e.openGroupHeld(ctx, id); err != nil {
		return err
	}
	err = e.followGroup(ctx, l, id)
	behind := errors.Is(err, errNoSender)
	if err != nil && !behind && !isNotMember(err) {
		return err
	}
	if err := e.openGroupHeld(ctx, id); err != nil {
		return err
	}
	if err := e.catchWithheld(ctx, l, id); err != nil && !isNotMember(err) {
		return err
	}
	if behind {
		return e.groupChores(ctx, l, id)
	}
	if err := e.resumeChange(ctx, l, id); err != nil {
		return err
	}
	if err := e.welcomeOwn(ctx, l, id); err != nil {
		return err
	}
	if err := e.rekeyAfterRevoking(ctx, id); err != nil {
		return err
	}
	return e.groupChores(ctx, l, id)
}

// rekeyAfterRevoking replaces the keys of a group at once when a device of one's
// own account is gone that held them: its thief is not to read until somebody
// happens to send (R-GRP-45).
func (e *engine) rekeyAfterRevoking(ctx context.Context, id groups.ID) error {
	r, roster, err := e.readGroup(ctx, id)
	if err != nil || r == nil || r.Out || r.Alarm != nil {
		return err
	}
	own, err := e.ownPerson(ctx)
	if err != nil {
		return err
	}
	gone := slices.ContainsFunc(r.Welcomed, func(id uint64) bool { return !activeIn(own.list, address.Device(id)) })
	if !gone {
		return nil
	}
	if err := e.rekey(ctx, id, roster.Epoch); err != nil {
		return err
	}
	e.state.Lock()
	defer e.state.Unlock()
	return e.update(ctx, func(tx *vault.Tx) error {
		r, err := getGroup(tx, id)
		if err != nil || r == nil {
			return err
		}
		r.Welcomed = slices.DeleteFunc(r.Welcomed, func(id uint64) bool { return !activeIn(own.list, address.Device(id)) })
		return putGroup(tx, r)
	})
}

func isNotMember(err error) bool { return errors.Is(err, ErrNotMember) }

// openGroupHeld opens what waited for the chains and the log of a group.
func (e *engine) openGroupHeld(ctx context.Context, id groups.ID) error {
	var in []incoming
	err := e.view(ctx, func(tx *vault.Tx) error {
		if n, err := tx.Count(tableGroupHeld, nil); err != nil || n == 0 {
			return err
		}
		var chains [][]byte
		err := tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			c, err := decodeRecord[chainRecord](row.Value)
			if err != nil {
				return err
			}
			s, err := groups.ParseReceiving(c.State)
			if err != nil {
				return ErrStoreDamaged
			}
			x := s.ID()
			chains = append(chains, x[:])
			return nil
		})
		for _, c := range chains {
			if err != nil {
				return err
			}
			err = tx.Scan(tableGroupHeld, c, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
				h, err := decodeRecord[heldRecord](row.Value)
				if err != nil {
					return err
				}
				env, err := content.DecodeEnvelope(h.Body)
				in = append(in, incoming{at: h.At, body: h.Body, env: env, known: err == nil, heldKey: row.Key, order: row.Order})
				return nil
			})
		}
		return err
	})
	if err != nil || len(in) == 0 {
		return err
	}
	sortByOrder(in)
	for len(in) > 0 {
		part := in[:min(len(in), ReceiveBatch)]
		in = in[len(part):]
		if err := e.open(ctx, part); err != nil {
			return err
		}
	}
	e.changed()
	return nil
}

func sortByOrder(in []incoming) {
	slices.SortFunc(in, func(a, b incoming) int { return cmp.Compare(a.order, b.order) })
}
