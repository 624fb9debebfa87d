package client

import (
	"bytes"
	"math"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// What a device lacks of another one's sender key, or of the messages on it, it
// asks that device for: pairwise, at most once an hour and more rarely as time
// goes by (R-GRP-66). One durable row for each device of a group holds what is
// lacking here and what that device has asked for; its order is when something
// is due.

var tableGroupAsk = vault.Table{Name: "groupask"} // by group id and device; group: group id; order: when due

// askRecord is what stands open with a device about a group.
type askRecord struct {
	Address string       `cbor:"1,keyasint"`
	Device  uint64       `cbor:"2,keyasint"`
	Lacks   []lackRecord `cbor:"3,keyasint,omitempty"` // here, of that device
	Welcome bool         `cbor:"4,keyasint,omitempty"` // everything is lacking here
	Asked   int64        `cbor:"5,keyasint,omitempty"`
	Tries   uint64       `cbor:"6,keyasint,omitempty"` // questions since the last answer
	// What it has asked for.
	Owed     []lackRecord `cbor:"7,keyasint,omitempty"`
	Admit    bool         `cbor:"8,keyasint,omitempty"`  // everything
	Answered int64        `cbor:"9,keyasint,omitempty"`  // when the first of the last hour's answers was given
	Answers  uint64       `cbor:"13,keyasint,omitempty"` // and how many were since
	Branched int64        `cbor:"10,keyasint,omitempty"` // when it was last told of this device's branch
	Retold   uint64       `cbor:"11,keyasint,omitempty"` // messages that it has retold
	Had      []lackRecord `cbor:"12,keyasint,omitempty"` // what it has answered: not asked for again
}

// lackRecord is what is lacking of one chain.
type lackRecord struct {
	_       struct{} `cbor:",toarray"`
	Chain   []byte
	Key     bool     // the chain itself
	Indexes []uint32 // messages on it, ascending
	Since   int64    // when that was first noticed
}

func (r *askRecord) key() peerKey { return peerKey{r.Address, address.Device(r.Device)} }

// lacking reports whether there is something to ask for.
func (r *askRecord) lacking() bool { return r.Welcome || len(r.Lacks) > 0 }

// askPause is how long after a question the next one waits.
func askPause(tries uint64) time.Duration {
	return min(RepairEvery<<min(tries, 16), 24*time.Hour)
}

// askAt is when to ask next.
func (r *askRecord) askAt() int64 {
	if !r.lacking() {
		return math.MaxInt64
	}
	at := int64(0)
	if r.Tries > 0 {
		at = r.Asked + askPause(r.Tries-1).Milliseconds()
	} else if r.Asked != 0 {
		at = r.Asked + RepairEvery.Milliseconds()
	}
	return at
}

// answerAt is when to answer next.
func (r *askRecord) answerAt() int64 {
	if !r.Admit && len(r.Owed) == 0 {
		return math.MaxInt64
	}
	if r.Answers < GroupAnswers {
		return 0
	}
	return r.Answered + RepairEvery.Milliseconds()
}

// answered counts an answer.
func (r *askRecord) answered(now time.Time) {
	if r.Answers == 0 || passedSince(now, r.Answered, RepairEvery) {
		r.Answered, r.Answers = now.UnixMilli(), 0
	}
	r.Answers++
}

func getAsk(tx *vault.Tx, id groups.ID, k peerKey) (askRecord, error) {
	r, ok, err := getRecord[askRecord](tx, tableGroupAsk, ledgerKey(id, k))
	if !ok {
		r = askRecord{Address: k.address, Device: uint64(k.device)}
	}
	return r, err
}

func putAsk(tx *vault.Tx, id groups.ID, r *askRecord) error {
	return tx.Put(tableGroupAsk, ledgerKey(id, r.key()), id[:], min(r.askAt(), r.answerAt()), encodeRecord(r))
}

// lackChain notes that a device's sender key is lacking here.
func (e *engine) lackChain(tx *vault.Tx, id groups.ID, k peerKey, chain groups.ChainID) error {
	return e.lack(tx, id, k, lackRecord{Chain: chain[:], Key: true})
}

// lackMessages notes that messages on a device's sender key are lacking here.
func (e *engine) lackMessages(tx *vault.Tx, id groups.ID, k peerKey, chain groups.ChainID, indexes []uint32) error {
	if len(indexes) == 0 {
		return nil
	}
	return e.lack(tx, id, k, lackRecord{Chain: chain[:], Indexes: indexes})
}

// lackWelcome notes that everything about a group is lacking here that a member
// needs.
func (e *engine) lackWelcome(tx *vault.Tx, id groups.ID, k peerKey) error {
	r, err := getAsk(tx, id, k)
	if err != nil || r.Welcome {
		return err
	}
	r.Welcome = true
	return putAsk(tx, id, &r)
}

func (e *engine) lack(tx *vault.Tx, id groups.ID, k peerKey, l lackRecord) error {
	r, err := getAsk(tx, id, k)
	if err != nil {
		return err
	}
	if l.Indexes = r.unanswered(l); !l.Key && len(l.Indexes) == 0 {
		return nil
	}
	l.Since = e.now().UnixMilli()
	if !addLack(&r.Lacks, l) {
		return nil
	}
	return putAsk(tx, id, &r)
}

// addLack adds to what is lacking and reports whether that changed it. Of more
// chains and messages than are asked for the newest stay.
func addLack(all *[]lackRecord, l lackRecord) bool {
	i := slices.IndexFunc(*all, func(o lackRecord) bool { return bytes.Equal(o.Chain, l.Chain) })
	if i < 0 {
		*all = append(*all, lackRecord{Chain: l.Chain, Since: l.Since})
		if over := len(*all) - MaxAskedChains; over > 0 {
			*all = slices.Delete(*all, 0, over)
		}
		i = len(*all) - 1
	}
	o := &(*all)[i]
	n := len(o.Indexes)
	merged := slices.Compact(slices.Sorted(slices.Values(slices.Concat(o.Indexes, l.Indexes))))
	if over := len(merged) - groups.MaxAsked; over > 0 {
		merged = merged[over:]
	}
	changed := l.Key && !o.Key || !slices.Equal(merged, o.Indexes) || n == 0 && len(merged) == 0
	o.Key, o.Indexes = o.Key || l.Key, merged
	return changed
}

// unanswered are the messages of l that the device has not answered about.
func (r *askRecord) unanswered(l lackRecord) []uint32 {
	i := slices.IndexFunc(r.Had, func(o lackRecord) bool { return bytes.Equal(o.Chain, l.Chain) })
	if i < 0 {
		return l.Indexes
	}
	return slices.DeleteFunc(slices.Clone(l.Indexes), func(n uint32) bool {
		_, had := slices.BinarySearch(r.Had[i].Indexes, n)
		return had
	})
}

// found takes a message out of what is lacking and reports whether it was. The
// chain itself may go on missing it, and it is not to be asked for again.
func (r *askRecord) found(chain groups.ChainID, index uint32) bool {
	for i := range r.Lacks {
		l := &r.Lacks[i]
		if !bytes.Equal(l.Chain, chain[:]) {
			continue
		}
		at, ok := slices.BinarySearch(l.Indexes, index)
		if !ok {
			return false
		}
		if l.Indexes = slices.Delete(l.Indexes, at, at+1); len(l.Indexes) == 0 {
			l.Key = false // what it was for is here
		}
		addLack(&r.Had, lackRecord{Chain: l.Chain, Indexes: []uint32{index}})
		r.settle()
		return true
	}
	return false
}

// noSuchChain forgets a chain of which its device knows nothing of all that was
// asked for: the server has made it up, or the next message asks again.
func (r *askRecord) noSuchChain(chain groups.ChainID) {
	r.Lacks = slices.DeleteFunc(r.Lacks, func(l lackRecord) bool {
		return bytes.Equal(l.Chain, chain[:]) && len(l.Indexes) == 0
	})
	r.settle()
}

// settle forgets chains of which nothing is lacking any more, and with the last
// of them that anything was asked.
func (r *askRecord) settle() {
	r.Lacks = slices.DeleteFunc(r.Lacks, func(l lackRecord) bool { return !l.Key && len(l.Indexes) == 0 })
	if !r.lacking() {
		r.Tries = 0
	}
}

// askNow sends the questions of a device's row (R-GRP-66).
func (w *work) askNow(id groups.ID, r *askRecord) error {
	k := r.key()
	if err := w.stillLacking(r); err != nil || !r.lacking() {
		return err
	}
	var questions []groups.Ask
	if r.Welcome {
		questions = append(questions, groups.Ask{Welcome: true})
	}
	for i := range r.Lacks {
		l := &r.Lacks[i]
		chain := groups.ChainID(l.Chain)
		if l.Key && !r.Welcome {
			questions = append(questions, groups.Ask{Chain: chain})
		}
		if len(l.Indexes) > 0 {
			questions = append(questions, groups.Ask{Chain: chain, Indexes: l.Indexes})
		}
	}
	for i := range questions {
		if err := w.signalTo(k, groups.Signal{Group: id, Ask: &questions[i]}); err != nil {
			return err
		}
	}
	r.Asked = w.e.now().UnixMilli()
	r.Tries++
	w.e.log.Info("a device of a group was asked for what is lacking of it", "questions", len(questions))
	return nil
}

// stillLacking forgets chains that have come by themselves meanwhile.
func (w *work) stillLacking(r *askRecord) error {
	for i := range r.Lacks {
		l := &r.Lacks[i]
		c, err := w.chain(groups.ChainID(l.Chain))
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		l.Key = false
	}
	r.settle()
	return nil
}

// giveUp tells of messages that were asked for in vain for too long, and of
// those that came and could not be opened (R-GRP-69).
func (w *work) giveUp(id groups.ID, r *askRecord) error {
	now := w.e.now()
	lost := 0
	r.Lacks = slices.DeleteFunc(r.Lacks, func(l lackRecord) bool {
		if !passedSince(now, l.Since, GroupAskFor) {
			return false
		}
		lost += len(l.Indexes)
		return true
	})
	if lost > 0 {
		n := notice{kind: NoticeMessagesMissing, about: number(uint64(lost)), by: r.Address}
		if err := w.e.putNotice(w.tx, groupName(id), n); err != nil {
			return err
		}
	}
	r.settle()
	return nil
}

// groupAgain takes a message that was asked for, from the device that sent it
// and from no other (R-GRP-68). An empty one says that there is none.
func (w *work) groupAgain(k peerKey, p *person, id groups.ID, a *groups.Again) error {
	member, err := w.fellow(id, p)
	if err != nil || !member {
		return err
	}
	row, ok, err := getRecord[chainRecord](w.tx, tableChain, a.Chain[:])
	if err != nil {
		return err
	}
	if ok && (row.From != k.address || row.Device != uint64(k.device) || !bytes.Equal(row.Group, id[:])) {
		w.e.log.Warn("a message of a group that another device has sent was retold, and dropped")
		return nil
	}
	r, err := getAsk(w.tx, id, k)
	if err != nil || !r.found(a.Chain, a.Index) {
		return err // not asked for, or here by now
	}
	r.Tries = 0
	if len(a.Content) == 0 && !ok {
		r.noSuchChain(a.Chain)
	}
	if err := putAsk(w.tx, id, &r); err != nil {
		return err
	}
	if err := w.dropHeld(a.Chain, a.Index); err != nil || len(a.Content) == 0 {
		return err
	}
	c, err := content.Decode(a.Content)
	if err != nil || c.Kind == content.KindGroup {
		w.e.log.Warn("a message of a group that came again was dropped", "reason", "malformed")
		return nil
	}
	return w.keepInGroup(k, id, groupPlace{chain: a.Chain, index: a.Index}, c, w.e.now().UnixMilli())
}

// fellow reports whether a person is a member of a group together with this
// account, under the account key that the roster names.
func (w *work) fellow(id groups.ID, p *person) (bool, error) {
	g, err := getGroup(w.tx, id)
	if err != nil || g == nil || g.Out || p == nil || p.pending != nil {
		return false, err
	}
	roster, err := g.roster()
	if err != nil {
		return false, err
	}
	m, ok := roster.Member(p.record.Address)
	return ok && m.Account == [32]byte(p.list.Account), nil
}
