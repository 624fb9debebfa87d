package client

import (
	"context"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// An own message to a group is for every device of every member. Each speaks
// for itself; a member has it as far as the furthest of their devices, and the
// whole is as far as the member who has it least (R-GRP-62).

// groupSettled is what the server has said of a message to a group.
type groupSettled struct {
	full []peerKey // devices that were left out, their mailboxes being full
}

// status is how far the message has come for a device.
func (s *groupSettled) status(k peerKey) Status {
	if slices.Contains(s.full, k) {
		return StatusFailed
	}
	return StatusAccepted
}

// settleGroup notes that the server has a message to a group.
func (e *engine) settleGroup(o *outboxRecord, res *relay.GroupSendResult) {
	s := settledMessage{id: o.ID, control: o.Quiet, group: &groupSettled{}}
	for _, d := range res.Full {
		if a, err := address.New(d.User, e.self.address.Host()); err == nil {
			s.group.full = append(s.group.full, peerKey{a.String(), d.Device})
		}
	}
	if n := len(s.group.full); n > 0 {
		e.log.Info("devices of a group whose mailboxes are full were left out", "devices", n)
	}
	e.mu.Lock()
	e.settled = append(e.settled, s)
	e.mu.Unlock()
	e.tell(o.ID, outcome{accepted: &s})
}

// groupPlace is where a message stands: on which sender key, and under how long
// a log.
type groupPlace struct {
	chain groups.ChainID
	index uint32
	seq   uint64
}

// noteGroupSealed writes into a message where it stands and for whom it is, in
// the transaction that seals it. A signal has no message.
func (e *engine) noteGroupSealed(tx *vault.Tx, id []byte, chain groups.ChainID, index uint32, seq uint64, all []listener) error {
	r, order, ok, err := getMessage(tx, id)
	if err != nil || !ok {
		return err
	}
	r.order = order
	if r.SealedAt == 0 {
		r.SealedAt = e.now().UnixMilli()
	}
	r.Chain, r.Index, r.Seq = chain[:], index, seq
	r.addressedTo(peerKeys(all))
	return putMessage(tx, &r)
}

// addressAgain notes for whom a message is that is sealed already, and has not
// left: devices may have joined since.
func (e *engine) addressAgain(ctx context.Context, id []byte, all []listener) error {
	e.state.Lock()
	defer e.state.Unlock()
	return e.update(ctx, func(tx *vault.Tx) error {
		r, order, ok, err := getMessage(tx, id)
		if err != nil || !ok {
			return err
		}
		r.order = order
		r.addressedTo(peerKeys(all))
		return putMessage(tx, &r)
	})
}

// addressedTo notes the devices that a message is for. A device that has it
// stays, whoever is a member now.
func (r *messageRecord) addressedTo(audience []peerKey) {
	var now []memberState
	at := map[peerKey]bool{}
	for _, m := range r.Members {
		if Status(m.Status).reached(StatusDelivered) {
			now, at[m.key()] = append(now, m), true
		}
	}
	was := map[peerKey]string{}
	for _, m := range r.Members {
		was[m.key()] = m.Status
	}
	for _, k := range audience {
		if at[k] {
			continue
		}
		status := string(StatusSending)
		if s, ok := was[k]; ok {
			status = s
		}
		now, at[k] = append(now, memberState{Address: k.address, Device: uint64(k.device), Status: status}), true
	}
	r.Members = now
}

func (m *memberState) key() peerKey { return peerKey{m.Address, address.Device(m.Device)} }

// acceptedInGroup raises the devices for which the server has taken a message.
func (r *messageRecord) acceptedInGroup(s *groupSettled) {
	for i := range r.Members {
		m := &r.Members[i]
		m.Status = string(raise(Status(m.Status), s.status(m.key())))
	}
}

// claimedBy applies what a device says of a message to a group and reports
// whether that changed anything. A device that the message was not for has
// nothing to say (R-GRP-63).
func (r *messageRecord) claimedBy(k peerKey, claim Status, now time.Time) bool {
	for i := range r.Members {
		m := &r.Members[i]
		if m.key() != k {
			continue
		}
		if Status(m.Status).reached(claim) || !Status(m.Status).reached(StatusAccepted) && r.SealedAt == 0 {
			return false
		}
		m.Status = string(claim)
		if claim == StatusRead {
			m.Read = now.UnixMilli()
		} else {
			m.Delivered = now.UnixMilli()
		}
		r.sumMembers()
		return true
	}
	return false
}

// perMember is how far a message has come at each member but oneself.
func (r *messageRecord) perMember() map[string]Status {
	all := make(map[string]Status)
	for _, m := range r.Members {
		if m.Address != r.From {
			if s, ok := all[m.Address]; ok {
				all[m.Address] = raise(s, Status(m.Status))
			} else {
				all[m.Address] = Status(m.Status)
			}
		}
	}
	return all
}

// sumMembers makes the status of the whole after somebody has said something.
func (r *messageRecord) sumMembers() {
	least := StatusRead
	all := r.perMember()
	for _, s := range all {
		if s.rank() < least.rank() {
			least = s
		}
	}
	if len(all) == 0 {
		least = StatusAccepted
	}
	r.Status = string(raise(raise(Status(r.Status), StatusAccepted), least))
	r.Cause = ""
}

// inGroup fills in what only a group's message has.
func (m *Message) inGroup(r *messageRecord) {
	m.Group, m.Mentions, m.RetoldBy = r.Conversation, r.Mentions, r.RetoldBy
	if !r.Outgoing {
		return
	}
	m.PerMember = r.perMember()
	m.PerDevice = make(map[string]Status, len(r.Members))
	for _, s := range r.Members {
		if s.Address == r.From {
			continue
		}
		device := address.Device(s.Device).String()
		m.PerDevice[device] = Status(s.Status)
		if s.Delivered != 0 || s.Read != 0 {
			if m.Receipts == nil {
				m.Receipts = map[string]ReceiptTimes{}
			}
			m.Receipts[device] = ReceiptTimes{moment(s.Delivered), moment(s.Read)}
		}
	}
}

// acceptedInGroup is what a caller is told that waits for it.
func (m *Message) acceptedInGroup(s *groupSettled) {
	for d := range m.PerDevice {
		m.PerDevice[d] = raise(m.PerDevice[d], StatusAccepted)
	}
	for who := range m.PerMember {
		m.PerMember[who] = raise(m.PerMember[who], StatusAccepted)
	}
	left := map[string]bool{}
	for _, k := range s.full {
		m.PerDevice[k.device.String()] = StatusFailed
		left[k.address] = true
	}
	for who := range left { // whose devices were all left out is known from the store
		delete(m.PerMember, who)
	}
}

// groupReceipt takes what a device says of an own message to a group, and
// reports whether it changed something. Word of a message on the present own
// chain shows that the device has closed the one before (R-GRP-74); of one that
// was sent to it again, out of the chain, it shows nothing.
func (w *work) groupReceipt(r *messageRecord, k peerKey, claim Status) (bool, error) {
	id, _ := groupID(r.Conversation)
	if !r.claimedBy(k, claim, w.e.now()) {
		return false, nil
	}
	if r.FromDevice != uint64(w.e.self.device) || r.Again != 0 || len(r.Chain) == 0 {
		return true, nil
	}
	h, ok, err := getLedger(w.tx, id, k)
	if err != nil || !ok || h.Heard || string(h.Chain) != string(r.Chain) {
		return true, err
	}
	h.Heard = true
	w.follows(id)
	return true, putLedger(w.tx, id, h)
}

// toldInGroup keeps an own message that a receipt came for until the batch is
// done: many members answer at once, and the row of a large group is long.
func (w *work) toldInGroup(id content.ID, r *messageRecord, order int64) {
	if w.groupTold == nil {
		w.groupTold = map[content.ID]*messageRecord{}
	}
	r.order = order
	w.groupTold[id] = r
}

func (w *work) writeTold() error {
	for _, r := range w.groupTold {
		if err := putMessage(w.tx, r); err != nil {
			return err
		}
	}
	return nil
}
