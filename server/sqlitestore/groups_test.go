package sqlitestore

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/pawl-chat/pawl/server"
)

// R-STO-34: whatever is changed in a row of a group's log is noticed, and a log
// that is damaged takes no entries.
func TestR_STO_34_DamagedLog(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		change      string
		end, middle bool // what still works: the end of the log, its old entries
	}{
		"the blob of an entry":         {"UPDATE groupentry SET blob = zeroblob(100) WHERE seq = 2", true, false},
		"the head of an entry":         {"UPDATE groupentry SET head = zeroblob(32) WHERE seq = 2", true, false},
		"the number of an entry":       {"UPDATE groupentry SET seq = 99 WHERE seq = 2", true, false},
		"an entry is missing":          {"DELETE FROM groupentry WHERE seq = 2", true, false},
		"the end of the log":           {"UPDATE grouplog SET head = zeroblob(32)", false, false},
		"the length of the log":        {"UPDATE grouplog SET seq = 6", false, false},
		"a head of another length":     {"UPDATE grouplog SET head = x'00'", false, false},
		"the end of the old epoch":     {"UPDATE groupepoch SET last = 4 WHERE last = 5", true, false},
		"the old epoch is the present": {"UPDATE groupepoch SET last = 0", true, false},
		"the start of the new epoch":   {"UPDATE groupepoch SET first = 1 WHERE first = 6", false, true},
		"the head at the epoch's end":  {"UPDATE groupentry SET head = zeroblob(32) WHERE seq = 5", true, false},
	} {
		dir := t.TempDir()
		s := mustOpen(t, dir)
		ok(t, s.CreateGroup(ctx, killGroup(1)))
		for seq := uint64(2); seq <= 7; seq++ {
			_, err := s.AppendGroup(ctx, killEntry(1, seq))
			ok(t, err)
		}
		ok(t, s.Close())
		sql(t, filepath.Join(dir, fileName), c.change)
		s = mustOpen(t, dir)
		old := killEntry(1, 1)
		entries, _, err := s.ReadGroup(ctx, old.Group, old.Token, 1, 100, 1<<20)
		if (err == nil) != c.middle || err != nil && !errors.Is(err, server.ErrDamaged) {
			t.Errorf("%s: %d old entries, %v", name, len(entries), err)
		}
		next := killEntry(1, 8)
		if _, err = s.AppendGroup(ctx, next); (err == nil) != c.end || err != nil && !errors.Is(err, server.ErrDamaged) {
			t.Errorf("%s: the next entry: %v", name, err)
		}
		ok(t, s.Close())
	}
}
