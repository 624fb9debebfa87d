package x3dh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// ReplayTable remembers the first messages that were accepted under a
// last-resort key. An entry lives exactly as long as that key: forgetting by
// the clock would let a message back in while its key is still there, after a
// device has been off for weeks (R-X3D-10). A durable store keeps the same as
// rows (session id, key id) and deletes them with the key.
//
// The zero table is empty and ready. It is not safe for concurrent use.
type ReplayTable struct {
	seen map[[32]byte]uint64 // session id → id of the last-resort key
}

// Refusals of a ReplayTable beside ErrReplayed.
var (
	// ErrReplayFull: the table holds MaxReplay entries. Rotate the last-resort
	// key and wait for its erasure.
	ErrReplayFull = errors.New("x3dh: replay table is full")
	// ErrReplayRecord: the record is not one of a ReplayTable.
	ErrReplayRecord = errors.New("x3dh: malformed replay table")
)

// Seen reports whether the session id is recorded.
func (t *ReplayTable) Seen(session [32]byte) bool {
	_, ok := t.seen[session]
	return ok
}

// Add records a session id accepted under the last-resort key, or returns
// ErrReplayed when it is there already and ErrReplayFull when there is no room.
func (t *ReplayTable) Add(session [32]byte, key uint64) error {
	switch {
	case t.Seen(session):
		return ErrReplayed
	case len(t.seen) >= MaxReplay:
		return ErrReplayFull
	case t.seen == nil:
		t.seen = make(map[[32]byte]uint64)
	}
	t.seen[session] = key
	return nil
}

// Forget drops the entries of a key, to be called when the key is erased and
// not before.
func (t *ReplayTable) Forget(key uint64) {
	maps.DeleteFunc(t.seen, func(_ [32]byte, k uint64) bool { return k == key })
}

// Len is the number of entries.
func (t *ReplayTable) Len() int { return len(t.seen) }

const (
	replayVersion = 1
	replayHead    = 1 + 4
	replayEntry   = 32 + 8
)

// Record encodes the table: a version byte, the number of entries in four
// bytes, then for each entry, ascending, session id ‖ key id.
func (t *ReplayTable) Record() []byte {
	ids := slices.SortedFunc(maps.Keys(t.seen), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	b := make([]byte, 0, replayHead+len(ids)*replayEntry)
	b = append(b, replayVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(ids)))
	for _, id := range ids {
		b = append(b, id[:]...)
		b = binary.BigEndian.AppendUint64(b, t.seen[id])
	}
	return b
}

// ParseReplayTable decodes what Record returned.
func ParseReplayTable(b []byte) (ReplayTable, error) {
	if len(b) < replayHead || b[0] != replayVersion {
		return ReplayTable{}, ErrReplayRecord
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n > MaxReplay || len(b) != replayHead+int(n)*replayEntry {
		return ReplayTable{}, ErrReplayRecord
	}
	var t ReplayTable
	last := []byte(nil)
	for e := range slices.Chunk(b[replayHead:], replayEntry) {
		if last != nil && bytes.Compare(last, e[:32]) >= 0 {
			return ReplayTable{}, ErrReplayRecord
		}
		last = e[:32]
		if err := t.Add([32]byte(e), binary.BigEndian.Uint64(e[32:])); err != nil {
			return ReplayTable{}, ErrReplayRecord
		}
	}
	return t, nil
}
