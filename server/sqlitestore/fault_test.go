package sqlitestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	lib "modernc.org/sqlite/lib"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/server"
)

func message(dev server.Device, n int, body []byte) server.Envelope {
	return server.Envelope{Device: dev, ID: server.MessageID{1, byte(n >> 16), byte(n >> 8), byte(n)}, At: at, Body: body}
}

// A full disk: appends are refused and nothing is acknowledged falsely; reads
// and acknowledgements go on; space makes it work again, without a restart.
func TestR_STO_12_disk_full(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, t.TempDir())
	dev := server.Device{User: "alice", ID: 1}
	limit := func(pages int) {
		t.Helper()
		ok(t, s.do(ctx, 0, func(w *writer) error { return w.c.run(fmt.Sprintf("PRAGMA max_page_count = %d", pages)) }))
	}
	limit(60)
	body := bytes.Repeat([]byte{7}, 20_000)
	var seqs []server.Seq
	for {
		r, err := s.Append(ctx, []server.Envelope{message(dev, len(seqs)+1, body)})
		if err != nil {
			if !errors.Is(err, server.ErrDiskFull) {
				t.Fatalf("%v, want ErrDiskFull", err)
			}
			break
		}
		if seqs = append(seqs, r[0].Seq); len(seqs) > 100 {
			t.Fatal("the disk does not fill")
		}
	}
	// Many at once: the small acknowledgement must not fail with the appends.
	errs := make(chan error)
	for n := range 20 {
		go func() {
			_, err := s.Append(ctx, []server.Envelope{message(dev, 1000+n, body)})
			errs <- err
		}()
	}
	ok(t, s.Ack(ctx, dev, seqs[:1]))
	full := 0
	for range 20 {
		if err := <-errs; errors.Is(err, server.ErrDiskFull) {
			full++
		} else {
			ok(t, err)
		}
	}
	if full == 0 {
		t.Fatal("no append was refused")
	}
	msgs, _, err := s.Read(ctx, dev, 0, 100, 1<<30)
	ok(t, err)
	if len(msgs) != len(seqs)-1+20-full {
		t.Fatalf("%d messages, acknowledged %d", len(msgs), len(seqs)-1+20-full)
	}
	for i, m := range msgs[:len(seqs)-1] {
		if m.Seq != seqs[i+1] || !bytes.Equal(m.Body, body) {
			t.Fatalf("message %d is not as it was", i)
		}
	}
	limit(1 << 30)
	r, err := s.Append(ctx, []server.Envelope{message(dev, len(seqs)+1, body)})
	ok(t, err)
	if r[0].Duplicate || r[0].Seq <= seqs[len(seqs)-1] {
		t.Fatalf("%+v", r[0])
	}
	ok(t, s.Check(ctx))
}

type codeError int

func (e codeError) Error() string { return fmt.Sprintf("result code %d", int(e)) }
func (e codeError) Code() int     { return int(e) }

// A failed flush tells the process to end before anybody is answered, and the
// store writes nothing more.
func TestR_STO_12_flush(t *testing.T) {
	for _, code := range []codeError{lib.SQLITE_IOERR_FSYNC, lib.SQLITE_IOERR_DIR_FSYNC} {
		ctx := context.Background()
		var s *Store
		dev := server.Device{User: "alice", ID: 1}
		told := 0
		s, err := Open(Options{Dir: t.TempDir(), Fatal: func(error) { told++ }})
		ok(t, err)
		err = s.do(ctx, 0, func(w *writer) error {
			w.sync = func() error { return code }
			return nil
		})
		if err == nil || told != 1 {
			t.Fatalf("error %v, told %d times", err, told)
		}
		if _, err := s.Append(ctx, []server.Envelope{message(dev, 1, nil)}); err == nil {
			t.Fatal("appended after a failed flush")
		}
		if told != 1 {
			t.Fatalf("told %d times", told)
		}
		if err := s.Close(); err == nil {
			t.Fatal("Close does not say that the store broke")
		}
	}
}

// A write error that is no failed flush fails its batch only.
func TestR_STO_12_write(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, t.TempDir())
	dev := server.Device{User: "alice", ID: 1}
	before, err := s.Append(ctx, []server.Envelope{message(dev, 1, nil)})
	ok(t, err)
	err = s.do(ctx, 0, func(w *writer) error {
		good := w.sync
		w.sync = func() error { w.sync = good; return codeError(lib.SQLITE_IOERR_WRITE) }
		return nil
	})
	if !errors.Is(err, server.ErrDiskFull) {
		t.Fatalf("%v, want ErrDiskFull", err)
	}
	after, err := s.Append(ctx, []server.Envelope{message(dev, 2, nil)})
	ok(t, err)
	if after[0].Seq <= before[0].Seq {
		t.Fatal("order lost")
	}
}

// R-STO-19: only the owner can read the files.
func TestR_STO_19_modes(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no mode bits there
	}
	dir := filepath.Join(t.TempDir(), "we?ird #%41 dir", "data")
	s := mustOpen(t, dir)
	_, err := s.Append(context.Background(), []server.Envelope{message(server.Device{User: "alice", ID: 1}, 1, nil)})
	ok(t, err)
	st, err := os.Stat(dir)
	ok(t, err)
	if st.Mode().Perm() != 0o700 {
		t.Fatalf("the directory has mode %o", st.Mode().Perm())
	}
	files, err := os.ReadDir(dir)
	ok(t, err)
	if len(files) < 4 { // database, log, index of the log, lock
		t.Fatalf("only %d files", len(files))
	}
	for _, f := range files {
		st, err := f.Info()
		ok(t, err)
		if st.Mode().Perm() != 0o600 {
			t.Fatalf("%s has mode %o", f.Name(), st.Mode().Perm())
		}
	}
	if up, _ := os.ReadDir(filepath.Dir(filepath.Dir(dir))); len(up) != 1 {
		t.Fatal("files beside the directory")
	}
}

func TestR_STO_19_one_process(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, server.ErrInUse) {
		t.Fatalf("%v, want ErrInUse", err)
	}
	ok(t, s.Close())
	mustOpen(t, dir)
}

// A store of a newer version, a foreign file and a missing piece are refused
// and left as they are.
func TestR_STO_20_refuse(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  error
	}{
		{"newer", func(t *testing.T, path string) {
			sql(t, path, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion+1))
		}, server.ErrNewer},
		{"never released", func(t *testing.T, path string) { sql(t, path, "PRAGMA user_version = 0") }, server.ErrDamaged},
		{"another program's", func(t *testing.T, path string) { sql(t, path, "PRAGMA application_id = 1") }, server.ErrDamaged},
		{"a table is missing", func(t *testing.T, path string) { sql(t, path, "DROP TABLE upload") }, server.ErrDamaged},
		{"seqs went back", func(t *testing.T, path string) { sql(t, path, "UPDATE meta SET v = 1 WHERE k = 'reserved'") }, server.ErrDamaged},
		{"meta is empty", func(t *testing.T, path string) { sql(t, path, "DELETE FROM meta") }, server.ErrDamaged},
		{"empty", func(t *testing.T, path string) { ok(t, os.Truncate(path, 0)) }, server.ErrDamaged},
		{"half a header", func(t *testing.T, path string) { ok(t, os.Truncate(path, 50)) }, server.ErrDamaged},
		{"one page", func(t *testing.T, path string) { ok(t, os.Truncate(path, 8192)) }, server.ErrDamaged},
		{"cut off", func(t *testing.T, path string) {
			st, err := os.Stat(path)
			ok(t, err)
			ok(t, os.Truncate(path, st.Size()-1))
		}, server.ErrDamaged},
		{"not a database", func(t *testing.T, path string) {
			ok(t, os.WriteFile(path, bytes.Repeat([]byte("no database "), 4000), 0o600))
		}, server.ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir)
			for n := range 30 {
				_, err := s.Append(context.Background(), []server.Envelope{message(server.Device{User: "alice", ID: 1}, n, make([]byte, 5000))})
				ok(t, err)
			}
			ok(t, s.Close())
			path := filepath.Join(dir, fileName)
			c.spoil(t, path)
			before, err := os.ReadFile(path)
			ok(t, err)
			for range 2 {
				if _, err := Open(Options{Dir: dir}); !errors.Is(err, c.want) {
					t.Fatalf("%v, want %v", err, c.want)
				}
			}
			after, err := os.ReadFile(path)
			ok(t, err)
			if !bytes.Equal(before, after) {
				t.Fatal("the refused file was changed")
			}
		})
	}
}

func sql(t *testing.T, path, text string) {
	t.Helper()
	c, err := connect(path, "mode=rw")
	ok(t, err)
	ok(t, c.run(text))
	ok(t, c.Close())
}

// Flipped bits: whatever the store still returns is what was written, or is
// called damaged.
func TestR_STO_21_flips(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	const users, messages = 6, 8
	body := func(u, n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "user %d message %d. ", u, n), 100) }
	record := func(u int) []byte { return bytes.Repeat(fmt.Appendf(nil, "record of %d. ", u), 150) }
	key := func(u int, id uint64) []byte { return bytes.Repeat(fmt.Appendf(nil, "key %d of %d ", id, u), 50) }
	device := func(u int) server.Device {
		return server.Device{User: fmt.Sprintf("user%d", u), ID: address.Device(u + 1)}
	}
	for u := range users {
		set := server.OneTimeSet{Device: device(u).ID, Kind: server.OneTimeKEM, Batch: server.BatchID{1}}
		for id := range uint64(5) {
			set.Keys = append(set.Keys, server.OneTimeKey{ID: id + 1, Public: key(u, id+1)})
		}
		ok(t, s.CreateAccount(ctx, server.Registration{User: device(u).User, Record: record(u), OneTime: []server.OneTimeSet{set}}))
		for n := range messages {
			_, err := s.Append(ctx, []server.Envelope{message(device(u), n, body(u, n))})
			ok(t, err)
		}
	}
	ok(t, s.Close())
	whole, err := os.ReadFile(filepath.Join(dir, fileName))
	ok(t, err)

	noticed, damagedRows := 0, 0
	for range 150 {
		bad := bytes.Clone(whole)
		for range 1 + rand.IntN(8) {
			bad[rand.IntN(len(bad))] ^= 1 << rand.IntN(8)
		}
		dir := t.TempDir()
		ok(t, os.WriteFile(filepath.Join(dir, fileName), bad, 0o600))
		s, err := Open(Options{Dir: dir, Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			if !errors.Is(err, server.ErrDamaged) && !errors.Is(err, server.ErrNewer) {
				t.Fatalf("%v, want ErrDamaged", err)
			}
			noticed++
			continue
		}
		check := func(err error) bool {
			t.Helper()
			if err == nil {
				return true
			}
			if !errors.Is(err, server.ErrDamaged) && !errors.Is(err, server.ErrNotFound) {
				t.Fatalf("%v, want ErrDamaged", err)
			}
			damagedRows++
			return false
		}
		for u := range users {
			if a, err := s.Account(ctx, device(u).User); check(err) && !bytes.Equal(a.Record, record(u)) {
				t.Fatal("a false record was returned")
			}
			msgs, _, err := s.Read(ctx, device(u), 0, 100, 1<<30)
			if check(err) {
				for _, m := range msgs {
					if m.Damaged {
						damagedRows++
					} else if n := int(m.ID[2])<<8 | int(m.ID[3]); !bytes.Equal(m.Body, body(u, n)) {
						t.Fatal("a false body was returned")
					}
				}
			}
			taken, err := s.TakeOneTime(ctx, device(u))
			if check(err) && taken.KEM != nil && !bytes.Equal(taken.KEM.Public, key(u, taken.KEM.ID)) {
				t.Fatal("a false key was returned")
			}
		}
		s.Close()
	}
	if noticed+damagedRows < 50 {
		t.Fatalf("%d files and %d rows were noticed: the test proves little", noticed, damagedRows)
	}
}

// The classes of result codes.
func TestClassify(t *testing.T) {
	for code, want := range map[codeError]fault{
		lib.SQLITE_FULL: faultSpace, lib.SQLITE_IOERR_WRITE: faultSpace, lib.SQLITE_IOERR_FSYNC: faultSync,
		lib.SQLITE_CORRUPT: faultDamaged, lib.SQLITE_CORRUPT_INDEX: faultDamaged, lib.SQLITE_NOTADB: faultDamaged,
		lib.SQLITE_BUSY: faultOther,
	} {
		if got := classify(fmt.Errorf("wrapped: %w", code)); got != want {
			t.Errorf("code %d is class %d, want %d", int(code), got, want)
		}
	}
}

// R-STO-22: deleted content is in no file once the store is closed, and once
// the log was emptied.
func TestR_STO_22_erased(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	dev := server.Device{User: "alice", ID: 1}
	secret, key, kept := []byte("a body that goes away"), []byte("a key that is given away"), []byte("a body that stays here")
	set := server.OneTimeSet{Device: 1, Kind: server.OneTimeEC, Batch: server.BatchID{1}, Keys: []server.OneTimeKey{{ID: 1, Public: key}}}
	ok(t, s.CreateAccount(ctx, server.Registration{User: "alice", OneTime: []server.OneTimeSet{set}}))
	var seqs []server.Seq
	for n := range 50 {
		body := bytes.Repeat(secret, 1+n*20)
		if n == 25 {
			body = kept
		}
		r, err := s.Append(ctx, []server.Envelope{message(dev, n, body)})
		ok(t, err)
		if n != 25 {
			seqs = append(seqs, r[0].Seq)
		}
	}
	found := func(what []byte) bool {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		ok(t, err)
		for _, f := range files {
			content, err := os.ReadFile(f)
			ok(t, err)
			if bytes.Contains(content, what) {
				return true
			}
		}
		return false
	}
	ok(t, s.Ack(ctx, dev, seqs[:30]))
	_, err := s.Expire(ctx, at.Add(server.MessageLife-1), 10)
	ok(t, err)
	ok(t, s.Ack(ctx, dev, seqs[30:]))
	_, err = s.TakeOneTime(ctx, dev)
	ok(t, err)
	ok(t, s.Close())
	if found(secret) || found(key) {
		t.Fatal("deleted content is still in a file")
	}
	if !found(kept) {
		t.Fatal("the search finds nothing")
	}
	files, err := filepath.Glob(filepath.Join(dir, fileName+"-*"))
	ok(t, err)
	if len(files) != 0 {
		t.Fatalf("the log is left behind: %v", files)
	}
}

// Under load the log is folded into the file again and again, and a batch that
// one request would spoil is stored without it.
func TestLogStaysShort(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	body := make([]byte, 90<<10)
	for n := range 1200 { // about 14,000 pages
		dev := server.Device{User: "alice", ID: address.Device(n/500 + 1)}
		_, err := s.Append(ctx, []server.Envelope{message(dev, n, body)})
		ok(t, err)
	}
	st, err := os.Stat(filepath.Join(dir, fileName+"-wal"))
	ok(t, err)
	if st.Size() > 2*walPages*8192 {
		t.Fatalf("the log has %d bytes", st.Size())
	}
}

// R-STO-02: a refusal concerns its own request, not those committed with it.
func TestR_STO_02_batch(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, t.TempDir())
	gone, dev := server.Device{User: "alice", ID: 1}, server.Device{User: "alice", ID: 2}
	ok(t, s.RemoveDevice(ctx, gone))
	// Hold the writer until all requests wait, so that they share a batch.
	held, release := make(chan struct{}), make(chan struct{})
	var once bool
	go s.do(ctx, 0, func(*writer) error {
		if !once {
			once = true
			close(held)
			<-release
		}
		return nil
	})
	<-held
	const requests = 20
	errs := make([]error, requests)
	done := make(chan int)
	for n := range requests {
		go func() {
			to := dev
			if n%2 == 0 {
				to = gone
			}
			_, errs[n] = s.Append(ctx, []server.Envelope{message(to, n, nil)})
			done <- n
		}()
	}
	// A withdrawn request is not stored, and its caller is not kept waiting.
	cancelled, cancel := context.WithCancel(ctx)
	withdrawn := make(chan error)
	go func() {
		_, err := s.Append(cancelled, []server.Envelope{message(dev, 999, nil)})
		withdrawn <- err
	}()
	for len(s.w.queue) < requests+1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-withdrawn; !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want Canceled", err)
	}
	close(release)
	for range requests {
		n := <-done
		if want := n%2 == 0; errors.Is(errs[n], server.ErrRemoved) != want || !want && errs[n] != nil {
			t.Fatalf("request %d: %v", n, errs[n])
		}
	}
	st, err := s.Stat(ctx, dev)
	ok(t, err)
	if st.Count != requests/2 {
		t.Fatalf("%d messages", st.Count)
	}
}
