package session

import (
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// recordVersion is the first element of every stored session. Released
// versions stay readable for ever.
const recordVersion = 1

// maxRecord bounds the head of a stored session.
const maxRecord = 64 << 10

type record struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	ID        []byte
	Rank      int64
	Initiator bool
	Answered  bool
	Initial   []byte
	AD        []byte
	Strength  uint64
	Started   int64 // unix milliseconds
	LastUsed  int64
	Head      []byte
}

// Head returns the part of the stored form that changes with every message;
// Skipped the part that changes only with skipped keys.
func (s *Session) Head() []byte {
	initial := s.Initial
	if initial == nil {
		initial = []byte{}
	}
	return codec.Marshal(record{
		Version: recordVersion, ID: s.ID[:], Rank: s.Rank, Initiator: s.Initiator, Answered: s.Answered,
		Initial: initial, AD: s.AD[:], Strength: uint64(s.Strength),
		Started: s.Started.UnixMilli(), LastUsed: s.LastUsed.UnixMilli(), Head: s.State.AppendHead(nil),
	})
}

// Skipped returns the stored form of the skipped keys.
func (s *Session) Skipped() []byte { return s.State.AppendSkipped(nil) }

// Parse reads a session back from its two parts.
func Parse(head, skipped []byte) (*Session, error) {
	var r record
	if err := codec.Unmarshal(head, maxRecord, &r); err != nil || r.Version != recordVersion ||
		len(r.ID) != 32 || len(r.AD) != 32 {
		return nil, ErrRecord
	}
	state, err := ratchet.Join(r.Head, skipped)
	if err != nil {
		return nil, ErrRecord
	}
	s := &Session{
		ID: ID(r.ID), Rank: r.Rank, Initiator: r.Initiator, Answered: r.Answered, AD: [32]byte(r.AD),
		Strength: x3dh.Strength(r.Strength), Started: time.UnixMilli(r.Started), LastUsed: time.UnixMilli(r.LastUsed),
		State: state,
	}
	if len(r.Initial) > 0 {
		s.Initial = r.Initial
	}
	return s, nil
}
