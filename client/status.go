package client

import (
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
)

// rank orders statuses by how much they claim. A status only ever rises: a
// message that failed here may turn out to have arrived, never the other way
// round (R-CLT-19).
func (s Status) rank() int {
	switch s {
	case StatusFailed:
		return 1
	case StatusAccepted:
		return 2
	case StatusDelivered:
		return 3
	case StatusRead:
		return 4
	}
	return 0
}

// reached reports whether a message is at least as far as s.
func (s Status) reached(at Status) bool { return s.rank() >= at.rank() }

// raise returns the later of two statuses.
func raise(old, claim Status) Status {
	if claim.rank() > old.rank() {
		return claim
	}
	return old
}

// deviceTimes is when a device of the recipient said that it has a message and
// that it was read there, by this device's clock; zero for not yet.
type deviceTimes struct {
	_         struct{} `cbor:",toarray"`
	Device    uint64
	Delivered int64
	Read      int64
}

// raiseAll raises every device of an own message and the message itself.
func (r *messageRecord) raiseAll(s Status) {
	for i := range r.Devices {
		r.Devices[i].Status = string(raise(Status(r.Devices[i].Status), s))
	}
	for i := range r.Members {
		r.Members[i].Status = string(raise(Status(r.Members[i].Status), s))
	}
	r.sum(s)
}

// sum makes the status of the whole: as far as the device that is furthest,
// and at least s.
func (r *messageRecord) sum(s Status) {
	s = raise(Status(r.Status), s)
	for _, d := range r.Devices {
		s = raise(s, Status(d.Status))
	}
	if r.Status = string(s); s != StatusFailed {
		r.Cause = ""
	}
}

// addressed notes the devices a message was sealed for. A device that has it
// stays, whatever the list says now.
func (r *messageRecord) addressed(devices []uint64) {
	var now []deviceState
	for _, d := range r.Devices {
		if Status(d.Status).reached(StatusDelivered) {
			now = append(now, d)
		}
	}
next:
	for _, id := range devices {
		for _, d := range now {
			if d.Device == id {
				continue next
			}
		}
		status := string(StatusSending)
		for _, d := range r.Devices {
			if d.Device == id {
				status = d.Status
			}
		}
		now = append(now, deviceState{Device: id, Status: status})
	}
	r.Devices = now
}

// claimed applies what a device says of a message and reports whether that
// changed anything. A device for which nothing was sealed has nothing to say.
func (r *messageRecord) claimed(device address.Device, claim Status, now time.Time) bool {
	for i := range r.Devices {
		d := &r.Devices[i]
		if d.Device != uint64(device) {
			continue
		}
		if Status(d.Status).reached(claim) || !Status(d.Status).reached(StatusAccepted) && r.SealedAt == 0 {
			return false
		}
		d.Status = string(claim)
		r.timed(d.Device, claim, now)
		r.sum(claim)
		return true
	}
	return false
}

// timed writes down when a device first claimed something.
func (r *messageRecord) timed(device uint64, claim Status, now time.Time) {
	i := 0
	for ; i < len(r.Times) && r.Times[i].Device != device; i++ {
	}
	if i == len(r.Times) {
		r.Times = append(r.Times, deviceTimes{Device: device})
	}
	if t := &r.Times[i]; claim == StatusRead {
		t.Read = now.UnixMilli()
	} else {
		t.Delivered = now.UnixMilli()
	}
}

// setFailed writes down why an own message has failed. The row keeps its order.
func setFailed(tx *vault.Tx, id []byte, cause string) error {
	r, order, ok, err := getMessage(tx, id)
	if err != nil || !ok {
		return err
	}
	r.order, r.Cause = order, cause
	r.raiseAll(StatusFailed)
	return putMessage(tx, &r)
}

// setAccepted writes down that the server has an own message.
func setAccepted(tx *vault.Tx, s *settledMessage, now time.Time) error {
	r, order, ok, err := getMessage(tx, s.id)
	if err != nil || !ok {
		return err
	}
	r.order = order
	if s.devices != nil {
		r.addressed(s.devices)
	}
	if r.AcceptedAt == 0 {
		r.AcceptedAt = now.UnixMilli()
	}
	r.accepted(s)
	return putMessage(tx, &r)
}

// accepted raises the devices of an own message that the server has taken copies
// for; it failed for those that were left out (R-CLT-51).
func (r *messageRecord) accepted(s *settledMessage) {
	for i := range r.Devices {
		d := &r.Devices[i]
		d.Status = string(raise(Status(d.Status), s.status(d.Device)))
	}
	r.OwnFull = s.ownFull
	if s.group != nil {
		r.acceptedInGroup(s.group)
	}
	r.sum(StatusAccepted)
}

// status is how far the message has come for a device of the recipient.
func (s *settledMessage) status(device uint64) Status {
	if slices.Contains(s.full, device) {
		return StatusFailed
	}
	return StatusAccepted
}

// accepted is what a caller is told that waits for it.
func (m *Message) accepted(s *settledMessage) {
	if s.devices != nil { // other devices, perhaps, than when it was written
		m.PerDevice = make(map[string]Status, len(s.devices))
		for _, d := range s.devices {
			m.PerDevice[address.Device(d).String()] = s.status(d)
		}
	}
	if s.group != nil {
		m.acceptedInGroup(s.group)
	}
	m.Status = raise(m.Status, StatusAccepted)
}

// noteSealed writes into a message for which devices it is now sealed, in the
// transaction that seals it.
func noteSealed(tx *vault.Tx, o *outboxRecord, now time.Time) error {
	r, order, ok, err := getMessage(tx, o.ID)
	if err != nil || !ok {
		return err
	}
	r.order = order
	r.sealedFor(o, now)
	return putMessage(tx, &r)
}

func (r *messageRecord) sealedFor(o *outboxRecord, now time.Time) {
	if len(o.Sealed) == 0 {
		return
	}
	if r.SealedAt == 0 {
		r.SealedAt = now.UnixMilli()
	}
	r.placed(o.Sealed, r.To == r.From)
	if o.Own != nil {
		r.placed(o.Own.Sealed, true)
	}
	var devices []uint64
	for _, c := range o.Sealed {
		devices = append(devices, c.Device)
	}
	r.addressed(devices)
}

// failed tells a caller that waits that a message failed for all its devices.
func (m *Message) failed() {
	m.Status = raise(m.Status, StatusFailed)
	for d := range m.PerDevice {
		m.PerDevice[d] = raise(m.PerDevice[d], StatusFailed)
	}
	for who := range m.PerMember {
		m.PerMember[who] = raise(m.PerMember[who], StatusFailed)
	}
}

// activeIn reports whether a device of a list receives.
func activeIn(l devicelist.List, id address.Device) bool {
	for _, d := range l.Active() {
		if d.ID == id {
			return true
		}
	}
	return false
}
