package client

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/ratchet"
)

// SealedCopy is where one copy of a message stands: in which session with which
// device, and where in its chains (R-CLT-50). All of it is known to the server
// or to both devices anyhow; no key can be computed from it.
type SealedCopy struct {
	Device  string // that it was sealed for, or that sealed it
	Own     bool   // it is for another device of one's own
	Session string // the beginning of the session's id, 16 hexadecimal digits
	Chain   uint64 // counts the ratchet's steps of that direction, from 0
	Number  uint32 // of the message in its chain, from 0
	At      time.Time
}

// sessionPrefix is how much of a session's id is kept with a message: enough to
// tell sessions apart.
const sessionPrefix = 8

// devicePosition is the stored form of a SealedCopy.
type devicePosition struct {
	_       struct{} `cbor:",toarray"`
	Device  uint64
	Own     bool
	Session []byte
	Chain   uint64
	Number  uint32
	At      int64
}

func positionOf(k peerKey, id session.ID, at ratchet.Position, now time.Time) *devicePosition {
	return &devicePosition{
		Device: uint64(k.device), Session: slices.Clone(id[:sessionPrefix]),
		Chain: at.Chain, Number: at.Number, At: now.UnixMilli(),
	}
}

// placed writes down where the copies stand that were sealed just now. A device
// for which it was sealed before has only its last copy.
func (r *messageRecord) placed(copies []sealedCopy, own bool) {
	for _, c := range copies {
		if c.at == nil {
			continue
		}
		p := *c.at
		p.Own = own
		r.Positions = slices.DeleteFunc(r.Positions, func(old devicePosition) bool { return old.Device == p.Device && old.Own == own })
		r.Positions = append(r.Positions, p)
	}
}

func (r *messageRecord) sealed() (out []SealedCopy) {
	for _, p := range r.Positions {
		out = append(out, SealedCopy{
			Device: address.Device(p.Device).String(), Own: p.Own, Session: hex.EncodeToString(p.Session),
			Chain: p.Chain, Number: p.Number, At: moment(p.At),
		})
	}
	return out
}
