package session

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// recordVersion is the first element of every stored session. Released
// versions stay readable for ever.
const recordVersion = 1

// record is the stored form of a session without its skipped keys (R-SES-11).
type record struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	ID        []byte
	Rank      uint64
	Initiator bool
	Answered  bool
	Initial   []byte // of an initiator that has no answer; else empty
	AD        []byte
	Strength  uint64
	Started   uint64 // milliseconds since 1970
	Heard     uint64
	LastUsed  uint64
	Elsewhere uint64
	Head      []byte // of the ratchet's record
}

// Head returns the part of the stored form that changes with every message;
// Skipped the part that changes only with skipped keys.
func (s *Session) Head() []byte {
	initial := s.Initial
	if initial == nil {
		initial = []byte{}
	}
	return codec.Marshal(record{
		Version: recordVersion, ID: s.ID[:], Rank: uint64(s.Rank), Initiator: s.Initiator, Answered: s.Answered,
		Initial: initial, AD: s.AD[:], Strength: uint64(s.Strength),
		Started: uint64(s.Started.UnixMilli()), Heard: uint64(s.Heard.UnixMilli()), LastUsed: uint64(s.LastUsed.UnixMilli()),
		Elsewhere: uint64(s.Elsewhere), Head: s.State.AppendHead(nil),
	})
}

// Skipped returns the stored form of the skipped keys.
func (s *Session) Skipped() []byte { return s.State.AppendSkipped(nil) }

// Parse reads a session back from its two parts. It accepts only what Head and
// Skipped return for one session.
func Parse(head, skipped []byte) (*Session, error) {
	var r record
	if err := codec.Unmarshal(head, MaxRecord, &r); err != nil || !r.sound() {
		return nil, ErrRecord
	}
	state, err := ratchet.Join(r.Head, skipped)
	if errors.Is(err, ratchet.ErrOldRecord) {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err) // R-RAT-48
	}
	if err != nil || state.Received() != r.Answered {
		return nil, ErrRecord
	}
	s := &Session{
		ID: ID(r.ID), Rank: int64(r.Rank), Initiator: r.Initiator, Answered: r.Answered, AD: [32]byte(r.AD),
		Strength: x3dh.Strength(r.Strength), Started: time.UnixMilli(int64(r.Started)),
		Heard: time.UnixMilli(int64(r.Heard)), LastUsed: time.UnixMilli(int64(r.LastUsed)),
		Elsewhere: uint8(r.Elsewhere), State: state,
	}
	if len(r.Initial) > 0 {
		s.Initial = r.Initial
	}
	return s, nil
}

// sound reports whether the fields fit together as those of every session that
// this package makes do.
func (r *record) sound() bool {
	if r.Version != recordVersion || len(r.ID) != len(ID{}) || len(r.AD) != 32 ||
		r.Rank == 0 || r.Rank > math.MaxInt64 || r.Started > math.MaxInt64 || r.Heard > math.MaxInt64 || r.LastUsed > math.MaxInt64 ||
		r.Strength < uint64(x3dh.OneTime) || r.Strength > uint64(x3dh.LastResort) || r.Elsewhere >= 2*FollowAfter {
		return false
	}
	if !r.Answered {
		return r.Initiator && x3dh.SessionID(r.Initial) == [32]byte(r.ID)
	}
	return len(r.Initial) == 0
}
