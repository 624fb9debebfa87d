package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/vault"
)

// groupAsked notes what a member's device asks for; it is answered when its hour
// has come (R-GRP-67). Whoever is no member gets nothing.
func (w *work) groupAsked(k peerKey, p *person, id groups.ID, ask *groups.Ask) error {
	member, err := w.fellow(id, p)
	if err != nil || p == nil || !activeIn(p.list, k.device) {
		return err
	}
	if !member {
		return w.tellGone(k, id)
	}
	r, err := getAsk(w.tx, id, k)
	if err != nil {
		return err
	}
	if ask.Welcome {
		r.Admit = true
	}
	if !ask.Chain.IsZero() {
		addLack(&r.Owed, lackRecord{Chain: ask.Chain[:], Key: len(ask.Indexes) == 0, Indexes: ask.Indexes})
	}
	w.follows(id)
	return putAsk(w.tx, id, &r)
}

// tellGone answers a device of somebody who was a member and asks as if they
// still were: they were left out when the change was handed out, and cannot read
// it (R-GRP-72). Who never was one gets no answer.
func (w *work) tellGone(k peerKey, id groups.ID) error {
	g, err := getGroup(w.tx, id)
	if err != nil || g == nil || g.Out {
		return err
	}
	r, err := getAsk(w.tx, id, k)
	if err != nil || r.Answered != 0 && !passedSince(w.e.now(), r.Answered, RepairEvery) {
		return err
	}
	was, err := w.wasMember(id, k.address)
	if err != nil || !was {
		return err
	}
	r.Answered = w.e.now().UnixMilli()
	if err := putAsk(w.tx, id, &r); err != nil {
		return err
	}
	return w.signalTo(k, groups.Signal{Group: id, Gone: &groups.Gone{}})
}

// wasMember reports whether the log, as far as it is held, says that somebody
// left a group or was removed from it.
func (w *work) wasMember(id groups.ID, who string) (was bool, err error) {
	err = w.tx.Scan(tableGroupLog, id[:], firstOrder, lastOrder, 0, true, func(row vault.Row) error {
		line, err := decodeRecord[logRecord](row.Value)
		if err != nil || len(line.Change) == 0 || line.Void != "" {
			return err
		}
		c, err := decodeChange(line.Change)
		if err != nil {
			return err
		}
		if was = line.Author == who && c.Kind == groups.Leave ||
			c.Kind == groups.Remove && slices.ContainsFunc(c.Members, func(m groups.Member) bool { return m.Address == who }); was {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return was, err
}

// answerGroup gives a device what it has asked for: the present chain, a
// welcome, and each message that was sent while it was meant to have it.
func (e *engine) answerGroup(ctx context.Context, l *link, id groups.ID, k peerKey) error {
	_, roster, err := e.readGroup(ctx, id)
	if err != nil {
		return err
	}
	all, err := e.audienceNow(ctx, l, roster)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(d listener) bool { return d.peerKey == k })
	var key *groups.Key
	admit := false
	err = e.groupStep(ctx, func(w *work) error {
		key = nil
		r, err := getAsk(w.tx, id, k)
		if err != nil {
			return err
		}
		if i >= 0 {
			admit = r.Admit
			if key, err = w.keyFor(id, &r); err != nil {
				return err
			}
			if err := w.tellAgain(id, k, r.Owed); err != nil {
				return err
			}
			r.answered(e.now())
		}
		r.Owed, r.Admit = nil, false
		return putAsk(w.tx, id, &r)
	})
	switch {
	case err != nil:
		return err
	case admit:
		_, err = e.welcomeGroup(ctx, l, id, all[i:i+1])
		return err
	case key == nil:
		return nil
	}
	done, err := e.handOut(ctx, l, id, all[i:i+1], func(peerKey) groups.Signal { return groups.Signal{Group: id, Key: key} })
	if err != nil {
		return err
	}
	return e.noteHolders(ctx, id, key.Chain.Chain, done)
}

// keyFor is the present own chain, if that is what a device has asked for.
func (w *work) keyFor(id groups.ID, r *askRecord) (*groups.Key, error) {
	g, err := getGroup(w.tx, id)
	if err != nil || g == nil || g.Out {
		return nil, err
	}
	roster, err := g.roster()
	if err != nil {
		return nil, err
	}
	own, now, err := g.sending(roster.Epoch)
	if err != nil || !now {
		return nil, err
	}
	chain, handed := own.ID(), own.Key()
	if !slices.ContainsFunc(r.Owed, func(l lackRecord) bool { return l.Key && string(l.Chain) == string(chain[:]) }) {
		return nil, nil
	}
	return &groups.Key{Seq: roster.Seq, Head: roster.Head, Epoch: roster.Epoch, Chain: &handed}, nil
}

// tellAgain seals own texts of a group for a device that has asked for them by
// their place, if they were for that device when they were sent. Of what is not
// there it says so.
func (w *work) tellAgain(id groups.ID, k peerKey, owed []lackRecord) error {
	type place struct {
		chain groups.ChainID
		index uint32
	}
	wanted := map[place]bool{}
	for _, l := range owed {
		for _, i := range l.Indexes {
			wanted[place{groups.ChainID(l.Chain), i}] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	now := w.e.now()
	since := now.Add(-SeenFor).UnixMilli()
	texts := map[place]messageRecord{}
	err := scanMessages(w.tx, groupName(id), firstOrder, lastOrder, 0, true, func(m *messageRecord) error {
		if m.SentAt < since || len(texts) == len(wanted) || len(texts) == MaxResend {
			return errEnough
		}
		if !m.Outgoing || m.FromDevice != uint64(w.e.self.device) || m.Kind != string(KindText) || len(m.Chain) != len(groups.ChainID{}) {
			return nil
		}
		at := place{groups.ChainID(m.Chain), m.Index}
		if wanted[at] && m.meantFor(k) && !m.Expired && !m.expires(now.UnixMilli()) {
			texts[at] = *m
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	for _, l := range owed {
		for _, i := range l.Indexes {
			a := &groups.Again{Chain: groups.ChainID(l.Chain), Index: i, Content: []byte{}}
			if m, ok := texts[place{a.Chain, i}]; ok {
				if err := w.repeat(&m, a, now); err != nil {
					return err
				}
			}
			if err := w.signalTo(k, groups.Signal{Group: id, Again: a}); err != nil {
				return err
			}
		}
	}
	w.e.log.Info("messages were sent again to a device of a group", "count", len(texts))
	return nil
}

// repeat puts a text into the answer, with the lifetime that it was sent with,
// and notes that.
func (w *work) repeat(m *messageRecord, a *groups.Again, now time.Time) error {
	c, err := m.content()
	if err != nil {
		return err
	}
	a.Content = c.Encode()
	m.Again = now.UnixMilli()
	return putMessage(w.tx, m)
}

// meantFor reports whether a message was for a device when it was sent.
func (r *messageRecord) meantFor(k peerKey) bool {
	for i := range r.Members {
		if r.Members[i].key() == k {
			return r.SealedAt != 0
		}
	}
	return false
}
