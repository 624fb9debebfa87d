package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pawl-chat/pawl/server"
)

func withAlice(t *testing.T) (dir string, s *Store) {
	t.Helper()
	dir = t.TempDir()
	s = mustOpen(t, dir)
	ok(t, s.CreateAccount(context.Background(), server.Registration{User: "alice", Record: []byte("r")}))
	return dir, s
}

// A flipped bit in an epoch locks nobody out: it counts as none, once.
func TestR_STO_21_a_damaged_epoch_is_none(t *testing.T) {
	ctx := context.Background()
	dir, s := withAlice(t)
	dev := server.Device{User: "alice", ID: 1}
	ok(t, s.AdvanceEpoch(ctx, dev, server.Epoch{}, server.Epoch{1}))
	ok(t, s.Close())
	sql(t, filepath.Join(dir, fileName), "UPDATE epoch SET value = zeroblob(16)")
	s = mustOpen(t, dir)
	ok(t, s.AdvanceEpoch(ctx, dev, server.Epoch{1}, server.Epoch{2}))
	if err := s.AdvanceEpoch(ctx, dev, server.Epoch{1}, server.Epoch{3}); !errors.Is(err, server.ErrConflict) {
		t.Fatalf("%v, want ErrConflict", err)
	}
}

// A store from before epochs, or before groups, gets the tables when it is
// opened, and keeps what it has. A crash in the middle is one of the two.
func TestR_STO_20_the_first_schema_is_brought_up_to_date(t *testing.T) {
	ctx := context.Background()
	dir, s := withAlice(t)
	ok(t, s.Close())
	path := filepath.Join(dir, fileName)
	noGroups := "DROP TABLE grouplog; DROP TABLE groupepoch; DROP TABLE groupentry;"
	for _, older := range []string{
		noGroups + "DROP TABLE epoch; PRAGMA user_version = 1", "",
		noGroups + "PRAGMA user_version = 2", "",
	} {
		if older != "" {
			sql(t, path, older)
		}
		s = mustOpen(t, dir)
		if a, err := s.Account(ctx, "alice"); err != nil || string(a.Record) != "r" {
			t.Fatalf("%+v, %v", a, err)
		}
		ok(t, s.Close())
	}
	s = mustOpen(t, dir)
	dev := server.Device{User: "alice", ID: 1}
	ok(t, s.AdvanceEpoch(ctx, dev, server.Epoch{1}, server.Epoch{2}))
	if err := s.AdvanceEpoch(ctx, dev, server.Epoch{1}, server.Epoch{3}); !errors.Is(err, server.ErrConflict) {
		t.Fatalf("%v, want ErrConflict", err)
	}
	group := server.GroupCreation{Group: server.GroupID{1}, Token: server.GroupToken{2}, Entry: server.GroupEntry{Seq: 1, Head: server.GroupHead{3}, Blob: []byte("b")}}
	ok(t, s.CreateGroup(ctx, group))
	ok(t, s.Check(ctx))
}

// Of many who begin at one epoch, one gets on: what two copies of a home do at
// the same moment.
func TestR_STO_23_one_of_many(t *testing.T) {
	ctx := context.Background()
	_, s := withAlice(t)
	dev := server.Device{User: "alice", ID: 1}
	ok(t, s.AdvanceEpoch(ctx, dev, server.Epoch{}, server.Epoch{1}))
	errs := make([]error, 50)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = s.AdvanceEpoch(ctx, dev, server.Epoch{1}, server.Epoch{2, byte(i)}) })
	}
	wg.Wait()
	passed := 0
	for _, err := range errs {
		if err == nil {
			passed++
		} else if !errors.Is(err, server.ErrConflict) {
			t.Error(err)
		}
	}
	if passed != 1 {
		t.Fatalf("%d of %d got on", passed, len(errs))
	}
}

// BenchmarkAdvanceEpoch is a storm of reconnects: many devices at once share
// the flushes.
func BenchmarkAdvanceEpoch(b *testing.B) {
	for _, devices := range []int{1, 256} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) {
			ctx := context.Background()
			s, err := Open(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.CreateAccount(ctx, server.Registration{User: "alice"}); err != nil {
				b.Fatal(err)
			}
			var wg sync.WaitGroup
			for d := range devices {
				wg.Go(func() {
					dev := server.Device{User: "alice", ID: server.DeviceID(d + 1)}
					for n := d; n < b.N; n += devices {
						to := server.Epoch{byte(n), byte(n >> 8), byte(n >> 16), 1}
						from := server.Epoch{byte(n - devices), byte((n - devices) >> 8), byte((n - devices) >> 16), 1}
						if err := s.AdvanceEpoch(ctx, dev, from, to); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
		})
	}
}
