package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Reasons why a group's log cannot be followed further for now.
var (
	// errNoChain: the author's sender key, with which the entry is signed, has
	// not come.
	errNoChain = errors.New("client: an entry is signed with a sender key that has not come")
	// errNoSecret: the secret of the epoch that the entry begins has not come.
	errNoSecret = errors.New("client: the secret of a new epoch has not come")
)

// followGroup applies what is new in a group's log (R-GRP-40). What it lacks
// to do so is asked for, and it is taken up again when that has come: until then
// errNoSender says that nothing can be sent or changed.
func (e *engine) followGroup(ctx context.Context, l *link, id groups.ID) error {
	defer e.contactMu.lock("log/" + string(id[:]))()
	for {
		r, roster, err := e.readGroup(ctx, id)
		if err != nil || r == nil || r.Out {
			return err
		}
		page, err := l.conn.GroupRead(ctx, relay.GroupRead{
			Group: id, From: roster.Seq + 1, Token: r.secret().Token(id, roster.Epoch),
		})
		if err != nil {
			return groupError(err)
		}
		if page.Seq < roster.Seq || page.Seq == roster.Seq && page.Head != roster.Head {
			return e.forkedByServer(ctx, id, page.Seq) // R-GRP-41
		}
		if len(page.Entries) == 0 {
			return e.caughtUp(ctx, id)
		}
	entries:
		for _, in := range page.Entries {
			lacking, err := e.takeEntry(ctx, id, in)
			switch {
			case errors.Is(err, errNoChain), errors.Is(err, errNoSecret):
				e.log.Info("a change of a group waits for its keys")
				if leapt, lerr := e.leap(ctx, l, id); lerr != nil {
					return lerr
				} else if leapt {
					break entries
				}
				if errors.Is(err, errNoChain) {
					if passed, perr := e.passOver(ctx, id, in, authorOf(lacking)); perr != nil {
						return perr
					} else if passed {
						break entries
					}
				}
				return errors.Join(errNoSender, e.askForKeys(ctx, id, lacking, errors.Is(err, errNoSecret)))
			case err != nil:
				return err
			}
		}
	}
}

// followNow is followGroup for somebody who waits: if keys are lacking, they may
// have reached the mailbox before the entry reached the log, so what has arrived
// is taken first.
func (e *engine) followNow(ctx context.Context, l *link, id groups.ID) error {
	err := e.followGroup(ctx, l, id)
	if !errors.Is(err, errNoSender) {
		return err
	}
	if err := e.takeWaiting(ctx, l); err != nil {
		return err
	}
	return e.followGroup(ctx, l, id)
}

// passOver takes an entry for none whose author's sender key nobody could give
// this device for GroupWaitFor (R-GRP-57): a member who signs with a key that they
// have handed to nobody must not stop the group for ever. That others are stuck as
// well is what one of them says after that time; they may just have been away. If
// others hold the key after all, the next entry of theirs says so.
func (e *engine) passOver(ctx context.Context, id groups.ID, in relay.GroupEntry, author peerKey) (passed bool, err error) {
	err = e.groupStep(ctx, func(w *work) error {
		passed = false
		r, err := getGroup(w.tx, id)
		if err != nil || r == nil || r.Out {
			return err
		}
		roster, err := r.roster()
		if err != nil || in.Seq != roster.Seq+1 || in.Prev != roster.Head {
			return err
		}
		now := e.now()
		if r.Waiting == 0 {
			r.Waiting = now.UnixMilli()
			return putGroup(w.tx, r)
		}
		if !passedSince(now, r.Waiting, GroupWaitFor) {
			return nil
		}
		if passed, err = e.stuckAsWell(w.tx, r, roster, author); err != nil || !passed {
			return err
		}
		return e.logged(w.tx, r, roster.Skip(in.Blob), logRecord{Head: in.Head[:], Void: "the sender key of its author has never come"})
	})
	return passed, err
}

// stuckAsWell reports whether somebody whose word is taken has said, after
// GroupWaitFor, that they stand where this device does, or there is nobody to ask
// but the author.
func (e *engine) stuckAsWell(tx *vault.Tx, r *groupRecord, roster groups.Roster, author peerKey) (stuck bool, err error) {
	all, _, err := e.listeners(tx, roster)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(all, func(d listener) bool { return d.peerKey != author && e.leads(roster, d.address) }) {
		return true, nil
	}
	since := r.Waiting + GroupWaitFor.Milliseconds()
	return stuck, tx.Scan(tableGroupKey, r.ID, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		c, err := decodeRecord[candidateRecord](row.Value)
		if err != nil {
			return err
		}
		key, err := candidateSignal(row)
		from := peerKey{c.From, address.Device(c.Device)}
		stuck = stuck || err == nil && len(key.Roster) > 0 && key.Seq == roster.Seq && key.Head == roster.Head &&
			c.At >= since && from != author && e.leads(roster, c.From)
		return err
	})
}

// readGroup reads a group; nil is for none.
func (e *engine) readGroup(ctx context.Context, id groups.ID) (r *groupRecord, roster groups.Roster, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		if r, err = getGroup(tx, id); err != nil || r == nil {
			return err
		}
		roster, err = r.roster()
		return err
	})
	return r, roster, err
}

// takeEntry applies one entry of the log. An entry that is not valid moves the
// log on and changes nothing else, at every member alike (R-GRP-40). On errNoChain
// and errNoSecret it returns who can help.
func (e *engine) takeEntry(ctx context.Context, id groups.ID, in relay.GroupEntry) (lacking groups.Entry, err error) {
	e.state.Lock()
	defer e.state.Unlock()
	forked := false
	err = e.update(ctx, func(tx *vault.Tx) error {
		forked = false
		r, err := getGroup(tx, id)
		if err != nil || r == nil || r.Out {
			return err
		}
		roster, err := r.roster()
		if err != nil || in.Seq != roster.Seq+1 {
			return err // somebody else has taken it
		}
		if in.Prev != roster.Head || groups.HeadOf(id, in.Seq, roster.Head, in.Blob) != in.Head {
			forked = true
			return e.noteFork(tx, r, "", in.Seq)
		}
		entry, err := groups.Read(id, in.Seq, roster.Head, r.secret(), roster.Epoch, in.Blob)
		if err != nil {
			roster.Seq, roster.Head = in.Seq, in.Head
			return e.logged(tx, r, roster, logRecord{Head: in.Head[:], Void: err.Error()})
		}
		lacking = entry
		verify, sender, err := e.signer(tx, r, entry)
		if err != nil {
			return err
		}
		line := logRecord{
			Head: in.Head[:], Author: entry.Author.Address, Device: entry.Author.Device, At: entry.Time.UnixMilli(),
			Change: encodeChange(entry.Change),
		}
		next, void := roster.Apply(entry, verify, sender)
		if void != nil {
			line.Void = void.Error()
			if err := e.logged(tx, r, next, line); err != nil || !errors.Is(void, groups.ErrState) {
				return err
			}
			// What a member may do, leading to another roster than the one here:
			// theirs or this one is wrong, though the log is the same (R-GRP-56).
			return e.noteFork(tx, r, entry.Author.Address, in.Seq)
		}
		if _, member := next.Member(e.self.record.Address); !member {
			return e.putOut(tx, r, next, line)
		}
		if err := e.enterEpoch(tx, r, roster, next, entry); err != nil {
			return err
		}
		if err := e.dropDeparted(tx, id, roster, next); err != nil {
			return err
		}
		if err := e.putGroupNotice(tx, id, entry); err != nil {
			return err
		}
		return e.logged(tx, r, next, line)
	})
	if err == nil {
		e.changed()
	}
	if err == nil && forked {
		err = ErrGroupForked
	}
	return lacking, err
}

// logged writes a group with its next roster and the line of its log.
func (e *engine) logged(tx *vault.Tx, r *groupRecord, next groups.Roster, line logRecord) error {
	r.Roster, r.Waiting = next.Encode(), 0
	if p := r.Pending; p != nil && len(p.Head) > 0 && string(p.Prev) != string(next.Head[:]) {
		r.unplace()
		if string(line.Head) == string(next.Head[:]) && line.Author == e.self.record.Address && line.Device == uint64(e.self.device) {
			r.Pending = nil // by itself
		}
	}
	id := r.id()
	if err := tx.Put(tableGroupLog, seqKey(id, next.Seq), id[:], int64(next.Seq), codec.Marshal(line)); err != nil {
		return err
	}
	return putGroup(tx, r)
}

// unplace takes a change that is under way back to what the person wanted: its
// place in the log is taken.
func (r *groupRecord) unplace() {
	if p := r.Pending; p != nil {
		p.Prev, p.Head, p.Blob, p.Roster = nil, nil, nil, nil
	}
}

// signer finds the key that an entry must be signed with: that of its author's
// sender key, which came over the author's own session.
func (e *engine) signer(tx *vault.Tx, r *groupRecord, entry groups.Entry) (verify [32]byte, sender groups.Sender, err error) {
	if len(r.Sending) > 0 {
		own, err := groups.ParseSending(r.Sending)
		if err != nil {
			return verify, sender, ErrStoreDamaged
		}
		if own.ID() == entry.Chain {
			return own.Key().Verify, e.groupSender(), nil
		}
	}
	c, ok, err := getRecord[chainRecord](tx, tableChain, entry.Chain[:])
	if err != nil {
		return verify, sender, err
	}
	if !ok || string(c.Group) != string(r.ID) {
		return verify, sender, errNoChain
	}
	state, err := groups.ParseReceiving(c.State)
	if err != nil {
		return verify, sender, ErrStoreDamaged
	}
	return state.Verify(), state.Sender(), nil
}

// enterEpoch takes up the secret of a new epoch, if an entry begins one: one's
// own pending one, or that which somebody has handed out for this entry and which
// the entry commits to.
func (e *engine) enterEpoch(tx *vault.Tx, r *groupRecord, before, next groups.Roster, entry groups.Entry) error {
	if next.Epoch == before.Epoch {
		return nil
	}
	id := r.id()
	if p := r.Pending; p != nil && string(p.Head) == string(entry.Head[:]) && len(p.Secret) > 0 {
		if err := e.closeOwn(tx, r); err != nil {
			return err
		}
		r.Secret, r.Sending, r.Sent = p.Secret, p.Sending, 0
		return e.dropCandidates(tx, id, next.Seq)
	}
	var found *groups.Key
	err := tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		key, err := candidateSignal(row)
		// Handed out for this entry or, to a device that was left out, later: the
		// entry says which secret is the right one.
		if err == nil && !key.Secret.IsZero() && key.Epoch == next.Epoch && key.Secret.Commitment(id, next.Epoch) == entry.Next {
			found = key
		}
		return err
	})
	if err != nil {
		return err
	}
	if found == nil {
		return errNoSecret
	}
	if err := e.closeOwn(tx, r); err != nil {
		return err
	}
	r.Secret = append([]byte(nil), found.Secret[:]...)
	return e.dropCandidates(tx, id, next.Seq)
}

// dropCandidates forgets what was handed out for the entries up to seq: it was
// used, or its place is taken. What is for later ones stays.
func (e *engine) dropCandidates(tx *vault.Tx, id groups.ID, seq uint64) error {
	return deleteSome(tx, tableGroupKey, id[:], func(row vault.Row) (bool, error) {
		key, err := candidateSignal(row)
		return err == nil && key.Seq <= seq, err
	})
}

// deleteAll deletes every row of a group of a table.
func deleteAll(tx *vault.Tx, t vault.Table, group []byte) error {
	return deleteSome(tx, t, group, func(vault.Row) (bool, error) { return true, nil })
}

// deleteSome deletes the rows of a group of a table that are chosen.
func deleteSome(tx *vault.Tx, t vault.Table, group []byte, over func(vault.Row) (bool, error)) error {
	var keys [][]byte
	err := tx.Scan(t, group, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		gone, err := over(row)
		if gone {
			keys = append(keys, row.Key)
		}
		return err
	})
	for _, k := range keys {
		if err == nil {
			_, err = tx.Delete(t, k)
		}
	}
	return err
}

// dropDeparted erases the sender keys of people who are no members any more:
// nothing of theirs is taken from now on (R-GRP-42).
func (e *engine) dropDeparted(tx *vault.Tx, id groups.ID, before, next groups.Roster) error {
	gone := map[string]bool{}
	for _, m := range before.Members {
		if now, ok := next.Member(m.Address); !ok || now.Account != m.Account {
			gone[m.Address] = true
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return deleteSome(tx, tableChain, id[:], func(row vault.Row) (bool, error) {
		c, err := decodeRecord[chainRecord](row.Value)
		return gone[c.From], err
	})
}

// putOut ends one's own part in a group: every key goes, the history stays.
func (e *engine) putOut(tx *vault.Tx, r *groupRecord, next groups.Roster, line logRecord) error {
	if err := e.dropOut(tx, r, next.Seq, peerKey{line.Author, address.Device(line.Device)}); err != nil {
		return err
	}
	return e.logged(tx, r, next, line)
}

// dropOut erases every key of a group, as it was at entry seq, and tells the
// person by whom. Welcomes for later entries stay, with the sender keys of their
// epochs: the account may have been let in again by now (R-GRP-49).
func (e *engine) dropOut(tx *vault.Tx, r *groupRecord, seq uint64, by peerKey) error {
	id := r.id()
	r.Out, r.Secret, r.Sending, r.Closed, r.Pending, r.Invite, r.Asked = true, nil, nil, nil, nil, nil, nil
	for _, t := range []vault.Table{tableLedger, tableGroupAsk} {
		if err := deleteAll(tx, t, id[:]); err != nil {
			return err
		}
	}
	spared := map[uint64]bool{}
	err := deleteSome(tx, tableGroupKey, id[:], func(row vault.Row) (bool, error) {
		key, err := candidateSignal(row)
		if err != nil || len(key.Roster) == 0 || key.Seq <= seq {
			return true, err
		}
		roster, err := groups.ParseRoster(key.Roster)
		if err != nil {
			return true, nil
		}
		me, in := roster.Member(e.self.record.Address)
		if !in || me.Since <= seq {
			return true, nil
		}
		spared[key.Epoch] = true
		return false, nil
	})
	if err != nil {
		return err
	}
	err = deleteSome(tx, tableChain, id[:], func(row vault.Row) (bool, error) {
		c, err := decodeRecord[chainRecord](row.Value)
		return !spared[c.Epoch], err
	})
	if err != nil {
		return err
	}
	kind := NoticeGroupRemoved
	if by.address == e.self.record.Address {
		kind = NoticeGroupLeft
	}
	return e.putNotice(tx, groupName(id), notice{kind: kind, about: e.self.record.Address, by: by.address, mine: by.device == e.self.device})
}

// candidateSignal is what a device has handed out for an entry to come.
func candidateSignal(row vault.Row) (*groups.Key, error) {
	c, err := decodeRecord[candidateRecord](row.Value)
	if err != nil {
		return nil, err
	}
	s, err := groups.ParseSignal(c.Signal)
	if err != nil || s.Key == nil {
		return nil, ErrStoreDamaged
	}
	return s.Key, nil
}

// putGroupNotice tells the person of a change.
func (e *engine) putGroupNotice(tx *vault.Tx, id groups.ID, entry groups.Entry) error {
	c := entry.Change
	var who []string
	for _, m := range c.Members {
		who = append(who, m.Address)
	}
	n := notice{about: strings.Join(who, ", "), by: entry.Author.Address, mine: entry.Author.Device == uint64(e.self.device)}
	switch c.Kind {
	case groups.Create:
		n.kind, n.about = NoticeGroupCreated, c.Name
	case groups.Add:
		n.kind = NoticeGroupAdded
	case groups.Remove:
		n.kind = NoticeGroupRemoved
	case groups.Leave:
		n.kind, n.about = NoticeGroupLeft, entry.Author.Address
	case groups.SetRole:
		n.kind = NoticeGroupRole
		if len(c.Members) == 1 {
			n.about = fmt.Sprintf("%s: %s", c.Members[0].Address, roleName(c.Members[0].Role))
		}
	case groups.Rename:
		n.kind, n.about = NoticeGroupRenamed, c.Name
	case groups.SetPolicy:
		n.kind = NoticeGroupPolicy
	case groups.Rekey:
		n.kind = NoticeGroupRekeyed
	}
	return e.putNotice(tx, groupName(id), n)
}

func roleName(r groups.Role) GroupRole {
	if r == groups.Admin {
		return GroupAdminRole
	}
	return GroupMemberRole
}

// authorOf is the device that wrote an entry.
func authorOf(entry groups.Entry) peerKey {
	return peerKey{entry.Author.Address, address.Device(entry.Author.Device)}
}

// groupError turns a refusal about a group into the client's errors.
func groupError(err error) error {
	if errors.Is(err, relay.NotFound) {
		return &wrapped{ErrNotMember, err}
	}
	return relayError(err)
}
