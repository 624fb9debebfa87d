package vault

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	lib "modernc.org/sqlite/lib"
)

// TestMain lets this binary be the process that is killed.
func TestMain(m *testing.M) {
	switch os.Getenv("PAWL_VAULT_CHILD") {
	case "burst":
		burst(os.Getenv("PAWL_VAULT_HOME"), os.Getenv("PAWL_VAULT_KEY"))
	case "create":
		u := Unlock{KeyFile: os.Getenv("PAWL_VAULT_KEY")}
		fmt.Println("ready")
		if v, err := Create(os.Getenv("PAWL_VAULT_HOME"), u, both); err == nil {
			v.Close()
		}
	default:
		os.Exit(m.Run())
	}
}

// burst commits pairs of rows as fast as it can and says so after each.
func burst(dir, key string) {
	v, err := Open(dir, Unlock{KeyFile: key}, both)
	if err != nil {
		fmt.Println(err)
		return
	}
	start := 0
	err = v.View(context.Background(), func(tx *Tx) error {
		n, _, err := tx.MaxOrder(messages, nil)
		start = int(n) + 1
		return err
	})
	for i := start; err == nil; i++ {
		err = v.Update(context.Background(), func(tx *Tx) error {
			if err := tx.Put(messages, fmt.Append(nil, i), []byte("g"), int64(i), make([]byte, 700)); err != nil {
				return err
			}
			return tx.Put(outbox, fmt.Append(nil, i), []byte("g"), int64(i), nil)
		})
		if err == nil {
			fmt.Println(i)
		}
	}
	fmt.Println(err)
}

func child(t *testing.T, what, dir, key string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "PAWL_VAULT_CHILD="+what, "PAWL_VAULT_HOME="+dir, "PAWL_VAULT_KEY="+key)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c, bufio.NewScanner(out)
}

// R-VLT-09: what Update returned nil for survives kill -9, whole.
func TestR_VLT_09_KilledMidBurst(t *testing.T) {
	v, dir, u := made(t)
	v.Close()
	last := 0
	for round := range 4 {
		c, out := child(t, "burst", dir, u.KeyFile)
		for n := 0; n < 10+40*round && out.Scan(); n++ {
			i, err := strconv.Atoi(out.Text())
			if err != nil {
				t.Fatal(out.Text())
			}
			last = i
		}
		c.Process.Kill()
		for out.Scan() {
			if i, err := strconv.Atoi(out.Text()); err == nil {
				last = i
			}
		}
		c.Wait()

		v, err := Open(dir, u, both)
		if err != nil {
			t.Fatal(err)
		}
		m, err := scanAll(v, messages)
		if err != nil {
			t.Fatal(err)
		}
		o, err := scanAll(v, outbox)
		if err != nil {
			t.Fatal(err)
		}
		// One more than was said may have been committed.
		if len(m) != len(o) || len(m) < last || len(m) > last+1 {
			t.Fatalf("round %d: %d and %d rows, %d were promised", round, len(m), len(o), last)
		}
		last = len(m)
		v.Close()
	}
}

// R-VLT-13: kill -9 at any moment of a creation.
func TestR_VLT_13_KilledWhileCreating(t *testing.T) {
	whole := 0
	for i := range 24 {
		dir, key := filepath.Join(t.TempDir(), "home"), filepath.Join(t.TempDir(), "key")
		c, out := child(t, "create", dir, key)
		if !out.Scan() {
			t.Fatal("no child")
		}
		timer := time.AfterFunc(time.Duration(i)*500*time.Microsecond, func() { c.Process.Kill() })
		c.Wait()
		timer.Stop()
		v, err := Open(dir, Unlock{KeyFile: key}, both)
		switch {
		case err == nil:
			whole++
		case errors.Is(err, ErrAbsent):
			if info, serr := os.Stat(key); serr == nil && info.Size() != KeyFileSize {
				continue // killed within the key file: Create says so
			}
			if v, err = Create(dir, Unlock{KeyFile: key}, both); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatal(err)
		}
		put(t, v, messages, "k", "g", 1, "v")
		v.Close()
	}
	t.Logf("%d of 24 were whole", whole)
}

func TestR_VLT_09_AllOrNothing(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "k", "g", 1, "before")
	stop := errors.New("no")
	change := func(tx *Tx) {
		if err := tx.Put(messages, []byte("k"), nil, 2, []byte("after")); err != nil {
			t.Error(err)
		}
		if err := tx.Put(outbox, []byte("n"), nil, 2, nil); err != nil {
			t.Error(err)
		}
	}
	if err := v.Update(t.Context(), func(tx *Tx) error { change(tx); return stop }); err != stop {
		t.Error(err)
	}
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic was lost")
			}
		}()
		v.Update(t.Context(), func(tx *Tx) error { change(tx); panic("boom") })
	}()
	func() {
		defer func() { recover() }()
		v.View(t.Context(), func(tx *Tx) error { panic("boom") })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err := v.Update(ctx, func(tx *Tx) error {
		change(tx)
		cancel()
		return tx.Put(outbox, []byte("m"), nil, 2, nil)
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := v.Update(ctx, func(*Tx) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := v.View(ctx, func(*Tx) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if s, _ := get(t, v, messages, "k"); s != "before" {
		t.Errorf("%q", s)
	}
	if _, ok := get(t, v, outbox, "n"); ok {
		t.Error("half a transaction was kept")
	}
	var stale *Tx
	v.Update(t.Context(), func(tx *Tx) error { stale = tx; return nil })
	if err := stale.Put(messages, nil, nil, 0, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a transaction that has ended: %v", err)
	}
	if _, _, err := stale.Get(messages, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a transaction that has ended: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	for _, err := range []error{
		v.Update(t.Context(), func(*Tx) error { return nil }),
		v.View(t.Context(), func(*Tx) error { return nil }),
		v.Checkpoint(t.Context()),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
}

// R-VLT-09: Updates are serialised, Views see a snapshot.
func TestR_VLT_09_Concurrent(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "n", "", 0, "0")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				err := v.Update(t.Context(), func(tx *Tx) error {
					b, _, err := tx.Get(messages, []byte("n"))
					if err != nil {
						return err
					}
					n, err := strconv.Atoi(string(b))
					if err != nil {
						return err
					}
					if err := tx.Put(outbox, []byte("n"), nil, 0, fmt.Append(nil, n+1)); err != nil {
						return err
					}
					return tx.Put(messages, []byte("n"), nil, 0, fmt.Append(nil, n+1))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 25 {
				err := v.View(t.Context(), func(tx *Tx) error {
					a, _, err := tx.Get(messages, []byte("n"))
					if err != nil {
						return err
					}
					b, ok, err := tx.Get(outbox, []byte("n"))
					if ok && string(a) != string(b) {
						t.Errorf("a view saw %s and %s", a, b)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			if err := v.Checkpoint(t.Context()); err != nil && !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s, _ := get(t, v, messages, "n"); s != "200" {
		t.Errorf("counted to %s", s)
	}
}

// R-VLT-16: a full disk keeps nothing of the transaction, and everything works
// once there is space.
func TestR_VLT_16_DiskFull(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "before", "g", 1, "v")
	c := <-v.writer
	if _, err := c.exec("PRAGMA max_page_count = 40"); err != nil {
		t.Fatal(err)
	}
	v.writer <- c
	fill := func(swallow bool) error {
		return v.Update(t.Context(), func(tx *Tx) error {
			for i := range 100 {
				if err := tx.Put(messages, fmt.Append(nil, i), nil, 1, make([]byte, 4000)); err != nil && !swallow {
					return err
				}
			}
			return nil
		})
	}
	if err := fill(false); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("full: %v", err)
	}
	if keys, err := scanAll(v, messages); err != nil || len(keys) != 1 {
		t.Errorf("after a full disk: %v, %v", keys, err)
	}
	if err := fill(false); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	// A caller that ignores the error does not get half a transaction.
	c = <-v.writer
	c.exec("PRAGMA max_page_count = 1")
	v.writer <- c
	if err := v.Update(t.Context(), func(tx *Tx) error {
		for i := range 500 {
			tx.Put(outbox, fmt.Append(nil, i), nil, 1, make([]byte, 4000))
		}
		return nil
	}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("ignored: %v", err)
	}
	if keys, err := scanAll(v, outbox); err != nil || len(keys) != 0 {
		t.Errorf("%d rows of a failed transaction, %v", len(keys), err)
	}
}

// faulty is a driver whose statements fail as told.
type faulty struct {
	driver.Connector
	plan *plan
}

type plan struct {
	query string // fails the statement that begins like this
	after bool   // carries it out and fails then
	code  int
}

type coded int

func (c coded) Error() string { return fmt.Sprint("code ", int(c)) }
func (c coded) Code() int     { return int(c) }

func (f *faulty) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := f.Connector.Connect(ctx)
	return &faultyConn{c, f.plan}, err
}

type faultyConn struct {
	driver.Conn
	plan *plan
}

func (c *faultyConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	return &faultyStmt{s, s.(statement), q, c.plan}, nil
}

type faultyStmt struct {
	driver.Stmt
	s     statement
	query string
	plan  *plan
}

func (s *faultyStmt) ExecContext(ctx context.Context, a []driver.NamedValue) (driver.Result, error) {
	p := *s.plan
	if p.query == "" || !strings.HasPrefix(s.query, p.query) {
		return s.s.ExecContext(ctx, a)
	}
	s.plan.query = ""
	if p.after {
		if _, err := s.s.ExecContext(ctx, a); err != nil {
			return nil, err
		}
	}
	return nil, coded(p.code)
}

func (s *faultyStmt) QueryContext(ctx context.Context, a []driver.NamedValue) (driver.Rows, error) {
	return s.s.QueryContext(ctx, a)
}

// R-VLT-16: each statement of a transaction fails, kept and not kept.
func TestR_VLT_16_Faults(t *testing.T) {
	for _, c := range []struct {
		plan plan
		want error
		kept bool
		dead bool
	}{
		{plan{"BEGIN", false, lib.SQLITE_IOERR_READ}, nil, false, false},
		{plan{"BEGIN", true, lib.SQLITE_BUSY}, ErrBusy, false, false},
		{plan{"INSERT", false, lib.SQLITE_IOERR_WRITE}, nil, false, false},
		{plan{"INSERT", true, lib.SQLITE_IOERR_WRITE}, nil, false, false},
		{plan{"INSERT", true, lib.SQLITE_FULL}, ErrDiskFull, false, false},
		{plan{"INSERT", false, lib.SQLITE_CORRUPT}, ErrDamaged, false, false},
		{plan{"INSERT", false, lib.SQLITE_IOERR_SHMSIZE}, ErrDiskFull, false, false},
		{plan{"COMMIT", false, lib.SQLITE_FULL}, ErrDiskFull, false, false},
		{plan{"COMMIT", false, lib.SQLITE_IOERR_FSYNC}, ErrFailed, false, true},
		{plan{"COMMIT", true, lib.SQLITE_IOERR_FSYNC}, ErrFailed, true, true},
	} {
		v, dir, u := made(t)
		put(t, v, messages, "before", "g", 1, "v")
		p := &plan{}
		f := &faulty{v.to, p}
		old := <-v.writer
		old.close()
		v.to = f
		v.writer <- nil
		put(t, v, messages, "through", "g", 1, "v")
		*p = c.plan
		err := v.Update(t.Context(), func(tx *Tx) error {
			tx.Put(messages, []byte("new"), nil, 1, nil) // the error is ignored
			return tx.Put(outbox, []byte("new"), nil, 1, nil)
		})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.plan, err)
		}
		again := v.Update(t.Context(), func(tx *Tx) error { return tx.Put(messages, []byte("again"), nil, 1, nil) })
		if c.dead != errors.Is(again, ErrFailed) || !c.dead && again != nil {
			t.Errorf("%+v: then %v", c.plan, again)
		}
		if read := v.View(t.Context(), func(*Tx) error { return nil }); c.dead != errors.Is(read, ErrFailed) {
			t.Errorf("%+v: then reading %v", c.plan, read)
		}
		v.Close()
		if v, err = Open(dir, u, both); err != nil {
			t.Fatal(err)
		}
		_, m := get(t, v, messages, "new")
		_, o := get(t, v, outbox, "new")
		if m != c.kept || o != c.kept {
			t.Errorf("%+v: kept %v and %v", c.plan, m, o)
		}
		if _, ok := get(t, v, messages, "through"); !ok {
			t.Errorf("%+v: an earlier row is lost", c.plan)
		}
		v.Close()
	}
}
