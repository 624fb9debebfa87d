package client

import (
	"context"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// groupStep runs one step about groups in a transaction.
func (e *engine) groupStep(ctx context.Context, step func(w *work) error) error {
	e.state.Lock()
	before := e.lastOrder
	var w *work
	err := e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = before
		w = &work{e: e, tx: tx, pairs: map[peerKey]session.Pair{}, people: map[string]*person{}}
		return step(w)
	})
	if err != nil {
		e.lastOrder = before
	} else {
		e.remember(w.pairs)
	}
	e.state.Unlock()
	if err == nil {
		wake(e.flushKick)
		e.changed()
	}
	return err
}

// groupChores does what is due in a group whose log has been followed: what is
// lacking is asked for, questions are answered, the signing keys of chains that
// are over are disclosed, and old keys are erased.
func (e *engine) groupChores(ctx context.Context, l *link, id groups.ID) error {
	g, roster, err := e.readGroup(ctx, id)
	if err != nil || g == nil || g.Out {
		return err
	}
	all, err := e.audienceNow(ctx, l, roster)
	if err != nil {
		return err
	}
	if err := e.takeEarly(ctx, id); err != nil {
		return err
	}
	if err := e.noteHeld(ctx, id); err != nil {
		return err
	}
	if err := e.lookAtChains(ctx, id, e.now()); err != nil {
		return err
	}
	due, err := e.dueAsks(ctx, id)
	if err != nil {
		return err
	}
	for _, k := range due {
		meant := slices.ContainsFunc(all, func(d listener) bool { return d.peerKey == k })
		if err := e.talkAbout(ctx, l, id, k, meant); err != nil {
			return err
		}
	}
	return e.disclose(ctx, id, all)
}

// dueAsks lists the devices with which something is due.
func (e *engine) dueAsks(ctx context.Context, id groups.ID) (due []peerKey, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableGroupAsk, id[:], firstOrder, e.now().UnixMilli(), 0, false, func(row vault.Row) error {
			r, err := decodeRecord[askRecord](row.Value)
			due = append(due, r.key())
			return err
		})
	})
	return due, err
}

// talkAbout asks one device and answers it. Nothing is asked of, or told to, a
// device that is not meant to listen to the group any more.
func (e *engine) talkAbout(ctx context.Context, l *link, id groups.ID, k peerKey, meant bool) error {
	answer := false
	err := e.groupStep(ctx, func(w *work) error {
		r, err := getAsk(w.tx, id, k)
		if err != nil {
			return err
		}
		now := e.now().UnixMilli()
		if !meant {
			r.Lacks, r.Welcome, r.Owed, r.Admit = nil, false, nil, false
		}
		answer = r.answerAt() <= now
		if err := w.giveUp(id, &r); err != nil {
			return err
		}
		if r.askAt() <= now {
			if err := w.askNow(id, &r); err != nil {
				return err
			}
		}
		return putAsk(w.tx, id, &r)
	})
	if err != nil || !answer {
		return err
	}
	return e.answerGroup(ctx, l, id, k)
}

// noteHeld asks for the chains of envelopes that wait for one, and for the
// messages in them: whose they are is what the envelope claims, and which group
// they belong to is known by the head that they were sealed under.
func (e *engine) noteHeld(ctx context.Context, id groups.ID) error {
	n := 0
	err := e.view(ctx, func(tx *vault.Tx) (err error) {
		n, err = tx.Count(tableGroupHeld, nil)
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	return e.groupStep(ctx, func(w *work) error {
		var stale [][]byte
		err := w.tx.Scan(tableGroupHeld, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			h, err := decodeRecord[heldRecord](row.Value)
			if err != nil {
				return err
			}
			env, err := content.DecodeEnvelope(h.Body)
			if err != nil || e.now().Sub(time.UnixMilli(h.At)) > SeenFor {
				stale = append(stale, row.Key)
				return nil
			}
			wire, err := groups.ParseMessage(env.Message)
			if err != nil {
				stale = append(stale, row.Key)
				return nil
			}
			if _, known, err := w.tx.Get(tableChain, wire.Chain[:]); err != nil || known {
				return err
			}
			line, ok, err := getRecord[logRecord](w.tx, tableGroupLog, seqKey(id, wire.Seq))
			if err != nil || !ok || string(line.Head) != string(wire.Head[:]) {
				return err
			}
			k := peerKey{env.From.String(), env.Device}
			if err := e.lackChain(w.tx, id, k, wire.Chain); err != nil {
				return err
			}
			return e.lackMessages(w.tx, id, k, wire.Chain, []uint32{wire.Index})
		})
		for _, key := range stale {
			if err == nil {
				_, err = w.tx.Delete(tableGroupHeld, key)
			}
		}
		return err
	})
}

// dropHeld forgets an envelope that waits for a chain, whose message has come
// again.
func (w *work) dropHeld(chain groups.ChainID, index uint32) error {
	var found [][]byte
	err := w.tx.Scan(tableGroupHeld, chain[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		h, err := decodeRecord[heldRecord](row.Value)
		if err != nil {
			return err
		}
		env, err := content.DecodeEnvelope(h.Body)
		if err != nil {
			return nil
		}
		if wire, err := groups.ParseMessage(env.Message); err == nil && wire.Index == index {
			found = append(found, row.Key)
		}
		return nil
	})
	for _, key := range found {
		if err == nil {
			_, err = w.tx.Delete(tableGroupHeld, key)
		}
	}
	return err
}

// missedAtEnd asks for what is missing of a chain that is about to be closed.
// The next chain says how many messages it had (R-GRP-66).
func (w *work) missedAtEnd(id groups.ID, k peerKey, old *openChain, before groups.Before) error {
	missed := old.state.Missed()
	if before.Chain == old.state.ID() {
		missed = old.state.Lost(before.Count, groups.MaxAsked)
	}
	if len(missed) == 0 {
		return nil
	}
	w.follows(id)
	return w.e.lackMessages(w.tx, id, k, old.state.ID(), missed)
}

// groupUnopened takes note of an authentic message that its chain cannot open:
// it is asked for, and leaves a trace only if that is in vain.
func (w *work) groupUnopened(m *incoming, k peerKey, id groups.ID, cause string) error {
	wire, err := groups.ParseMessage(m.env.Message)
	if err != nil {
		return nil
	}
	w.e.log.Warn("a message to a group could not be opened", "cause", cause)
	w.handled = append(w.handled, hashEnvelope(m.body))
	w.follows(id)
	return w.e.lackMessages(w.tx, id, k, wire.Chain, []uint32{wire.Index})
}

// lookAtChains notes what has been skipped on the chains of a group, and erases
// keys that have outlived their time (R-GRP-70).
func (e *engine) lookAtChains(ctx context.Context, id groups.ID, now time.Time) error {
	look := func(tx *vault.Tx, fn func(c chainRecord, s groups.Receiving) error) error {
		return tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			c, err := decodeRecord[chainRecord](r.Value)
			if err != nil {
				return err
			}
			s, err := groups.ParseReceiving(c.State)
			if err != nil {
				return ErrStoreDamaged
			}
			return fn(c, s)
		})
	}
	over := func(s groups.Receiving) bool { return s.Closed() && now.Sub(s.Created()) > ClosedChainFor }
	idle := true
	err := e.view(ctx, func(tx *vault.Tx) error {
		return look(tx, func(_ chainRecord, s groups.Receiving) error {
			_, changed := s.Expire(now)
			idle = idle && !changed && s.Missing() == 0 && !over(s)
			return nil
		})
	})
	if err != nil || idle {
		return err
	}
	return e.groupStep(ctx, func(w *work) error {
		var gone []groups.ChainID
		next := map[groups.ChainID]chainRecord{}
		err := look(w.tx, func(c chainRecord, s groups.Receiving) error {
			if over(s) {
				gone = append(gone, s.ID())
				return nil
			}
			after, changed := s.Expire(now)
			if changed {
				c.State = after.AppendRecord(nil)
				next[s.ID()] = c
			}
			return e.lackMessages(w.tx, id, c.key(), s.ID(), s.Missed())
		})
		if err != nil {
			return err
		}
		for _, chain := range gone {
			if _, err := w.tx.Delete(tableChain, chain[:]); err != nil {
				return err
			}
		}
		for chain, c := range next {
			if err := w.putChain(chain, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *chainRecord) key() peerKey { return peerKey{c.From, address.Device(c.Device)} }
