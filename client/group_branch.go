package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Two members on different branches of a group's log have been lied to by the
// server, or one of them lies. Each is told by the next message of the other;
// they exchange their newest entries, so that both see which differ, and nothing
// more is said in the group (R-GRP-85, R-GRP-86).

// stopped reports whether nothing is said in a group because its members see
// different rosters. An alarm about somebody who is no member any more is over.
func (r *groupRecord) stopped(roster groups.Roster) bool {
	if r.Alarm == nil || r.Alarm.With == "" {
		return r.Alarm != nil
	}
	_, member := roster.Member(r.Alarm.With)
	return member
}

// noteFork raises the alarm in a transaction: with whom, or empty where the
// server itself contradicts what is held. It is told once.
func (e *engine) noteFork(tx *vault.Tx, r *groupRecord, with string, seq uint64) error {
	return e.raiseGroupAlarm(tx, r, with, seq, NoticeGroupForked)
}

func (e *engine) raiseGroupAlarm(tx *vault.Tx, r *groupRecord, with string, seq uint64, kind string) error {
	roster, err := r.roster()
	if err != nil || r.stopped(roster) {
		return err
	}
	ours, err := branchOf(tx, r.id(), seq)
	if err != nil {
		return err
	}
	r.Alarm = &branchRecord{With: with, At: e.now().UnixMilli(), Seq: seq, Ours: inWords(ours)}
	if err := e.putNotice(tx, groupName(r.id()), notice{kind: kind, about: with, by: with}); err != nil {
		return err
	}
	e.log.Warn("a group's members were shown different rosters")
	return putGroup(tx, r)
}

// forkedByServer raises the alarm that the server shows another log than the one
// held, up to seq.
func (e *engine) forkedByServer(ctx context.Context, id groups.ID, seq uint64) error {
	err := e.groupStep(ctx, func(w *work) error {
		r, err := getGroup(w.tx, id)
		if err != nil || r == nil || r.Out {
			return err
		}
		roster, err := r.roster()
		if err != nil {
			return err
		}
		kind := NoticeGroupForked
		if seq < roster.Seq {
			kind = NoticeGroupRollback
		}
		return e.raiseGroupAlarm(w.tx, r, "", seq, kind)
	})
	return errors.Join(err, ErrGroupForked)
}

// forked raises the alarm over an authentic message that was sealed under
// another head than the one held, and shows its sender this device's branch.
func (w *work) forked(id groups.ID, k peerKey, seq uint64, _ groups.Head) error {
	r, err := getGroup(w.tx, id)
	if err != nil || r == nil || r.Out {
		return err
	}
	if err := w.e.noteFork(w.tx, r, k.address, seq); err != nil {
		return err
	}
	return w.showBranch(id, k, false)
}

// showBranch sends a device the newest entries of the log that is held here, at
// most once an hour unless it answers.
func (w *work) showBranch(id groups.ID, k peerKey, answer bool) error {
	ask, err := getAsk(w.tx, id, k)
	if err != nil {
		return err
	}
	now := w.e.now()
	if ask.Branched != 0 && !passedSince(now, ask.Branched, RepairEvery) {
		return nil
	}
	r, err := getGroup(w.tx, id)
	if err != nil || r == nil {
		return err
	}
	roster, err := r.roster()
	if err != nil {
		return err
	}
	entries, err := branchOf(w.tx, id, roster.Seq-min(roster.Seq-1, groups.MaxBranch-1))
	if err != nil || len(entries) == 0 {
		return err
	}
	b := &groups.Branch{Seq: roster.Seq, Head: roster.Head, Answer: answer}
	for n := groups.MaxBranch; ; n /= 2 { // many members in one entry make it long
		b.Entries = entries[max(0, len(entries)-n):]
		if len((groups.Signal{Group: id, Branch: b}).Encode()) <= groups.MaxSignal || n == 1 {
			break
		}
	}
	ask.Branched = now.UnixMilli()
	if err := putAsk(w.tx, id, &ask); err != nil {
		return err
	}
	return w.signalTo(k, groups.Signal{Group: id, Branch: b})
}

// branchOf are the entries that are held here from seq on, without a gap.
func branchOf(tx *vault.Tx, id groups.ID, seq uint64) (out []groups.BranchEntry, err error) {
	err = tx.Scan(tableGroupLog, id[:], int64(seq), lastOrder, 0, false, func(row vault.Row) error {
		line, err := decodeRecord[logRecord](row.Value)
		if err != nil {
			return err
		}
		if len(line.Head) != len(groups.Head{}) {
			return ErrStoreDamaged
		}
		e := groups.BranchEntry{Seq: uint64(row.Order), Head: groups.Head(line.Head)}
		if line.Void == "" && line.Device != 0 && len(line.Change) > 0 {
			if e.Change, err = decodeChange(line.Change); err != nil {
				return err
			}
			e.Author = groups.Author{Address: line.Author, Device: line.Device}
		}
		if n := len(out); n > 0 && out[n-1].Seq+1 != e.Seq {
			out = nil
		}
		out = append(out, e)
		if len(out) > groups.MaxBranch {
			out = slices.Delete(out, 0, 1)
		}
		return nil
	})
	return out, err
}

// groupBranch compares what a member's device shows of its log with the one that
// is held here.
func (w *work) groupBranch(k peerKey, p *person, id groups.ID, b *groups.Branch) error {
	member, err := w.fellow(id, p)
	if err != nil || !member {
		return err
	}
	r, err := getGroup(w.tx, id)
	if err != nil || r == nil {
		return err
	}
	seq, differs, err := w.parting(r, b)
	if err != nil {
		return err
	}
	if !differs {
		w.follows(id) // one of the two is behind
		return nil
	}
	if err := w.e.noteFork(w.tx, r, k.address, seq); err != nil {
		return err
	}
	if a := r.Alarm; a != nil && (a.With == k.address || a.With == "") {
		ours, err := branchOf(w.tx, id, seq)
		if err != nil {
			return err
		}
		a.Seq, a.Ours = seq, inWords(ours)
		a.Other = inWords(slices.DeleteFunc(slices.Clone(b.Entries), func(e groups.BranchEntry) bool { return e.Seq < seq }))
		if err := putGroup(w.tx, r); err != nil {
			return err
		}
	}
	if b.Answer {
		return nil
	}
	return w.showBranch(id, k, true)
}

// parting is the first entry in which a branch differs from the log here, as far
// as both are known.
func (w *work) parting(r *groupRecord, b *groups.Branch) (seq uint64, differs bool, err error) {
	for _, e := range b.Entries {
		line, ok, err := getRecord[logRecord](w.tx, tableGroupLog, seqKey(r.id(), e.Seq))
		if err != nil {
			return 0, false, err
		}
		if ok && string(line.Head) != string(e.Head[:]) {
			return e.Seq, true, nil
		}
	}
	return 0, false, nil
}

// inWords says what entries of a log did.
func inWords(entries []groups.BranchEntry) (out []string) {
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%d (%x): %s", e.Seq, e.Head[:4], changeInWords(e.Author.Address, e.Change)))
	}
	return out
}

func changeInWords(author string, c groups.Change) string {
	var who []string
	for _, m := range c.Members {
		who = append(who, m.Address)
	}
	names := strings.Join(who, ", ")
	switch c.Kind {
	case groups.Create:
		return fmt.Sprintf("%s made the group %q with %s", author, c.Name, names)
	case groups.Add:
		return author + " added " + names
	case groups.Remove:
		return author + " removed " + names
	case groups.Leave:
		return author + " left"
	case groups.SetRole:
		return fmt.Sprintf("%s made %s %s", author, names, roleName(c.Members[0].Role))
	case groups.Rename:
		return fmt.Sprintf("%s named it %q", author, c.Name)
	case groups.SetPolicy:
		return author + " changed its policy"
	case groups.Rekey:
		return author + " replaced the keys"
	}
	return "an entry that changed nothing, or is not known here"
}

// branch is the alarm as the person sees it.
func (r *groupRecord) branch() *GroupBranch {
	a := r.Alarm
	if a == nil {
		return nil
	}
	return &GroupBranch{With: a.With, At: time.UnixMilli(a.At).UTC(), Seq: a.Seq, Ours: a.Ours, Other: a.Other}
}
