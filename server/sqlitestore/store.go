// Package sqlitestore is the server's store on one machine: Directory, Mailbox
// and Wake over one SQLite file (spec/stores.md).
//
// One goroutine writes. It takes whatever requests have gathered while the last
// commit was flushed, runs them in one transaction, flushes once
// (synchronous=FULL) and answers them all: the flush itself is the timer that
// fills the batches. Four connections read beside it.
//
// Not its concern: what records, prekeys and bodies mean, and sealing bodies
// (server.Sealed).
package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pawl-chat/pawl/server"
)

// Names inside Options.Dir. SQLite adds -wal and -shm to the first.
const (
	fileName = "server.db"
	lockName = "server.lock"
)

// readers is how many connections read at once.
const readers = 4

// Options say where the store is and how it fails.
type Options struct {
	// Dir is created with mode 0700 if need be; files in it get 0600 (R-STO-19).
	Dir string
	// Fatal is called once when the disk failed to flush. It should end the
	// process; the default writes one line to standard error and exits with 1. If
	// it returns, the store refuses everything that writes.
	Fatal func(error)
}

// Store implements server.Directory, server.Mailbox and server.Wake.
type Store struct {
	*server.Hub

	path    string
	lock    *os.File
	w       *writer
	readers chan *reader
	appends sync.Pool // of *appendJob, used again: an Append is the hot path

	mu     sync.RWMutex // held for reading while a request is handed in
	closed bool
}

var _ interface {
	server.Directory
	server.Mailbox
	server.Wake
} = (*Store)(nil)

// Open opens the store, creating it if the directory has none. What it cannot
// trust it refuses: ErrDamaged, ErrNewer, ErrInUse.
func Open(o Options) (_ *Store, err error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Fatal == nil {
		o.Fatal = exit
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{Hub: server.NewHub(), path: filepath.Join(dir, fileName), readers: make(chan *reader, readers)}
	if s.lock, err = lock(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.shut()
		}
	}()
	switch _, err := os.Stat(s.path); {
	case errors.Is(err, os.ErrNotExist):
		if err := create(s.path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		return nil, err
	}
	if s.w, err = newWriter(s.path, s.Hub, o.Fatal); err != nil {
		return nil, wrap(err)
	}
	for range readers {
		r, err := newReader(s.path)
		if err != nil {
			return nil, wrap(err)
		}
		s.readers <- r
	}
	go s.w.loop()
	return s, nil
}

// create makes an empty store under another name and moves it into place, so
// that a crash leaves either no store or a whole one. A file that is there but
// empty is therefore damage, never a new store.
func create(path string) error {
	draft := path + ".new"
	for _, leftover := range []string{draft, draft + "-wal", draft + "-shm"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	c, err := connect(draft, "_dqs=0&mode=rw")
	if err != nil {
		return wrap(err)
	}
	// page_size counts only before the file has pages and before WAL.
	err = c.run(fmt.Sprintf("PRAGMA page_size = 8192; PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL;"+
		"BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; %s; COMMIT;"+
		"PRAGMA wal_checkpoint(TRUNCATE)", applicationID, schemaVersion, schema))
	if err = errors.Join(err, c.Close()); err != nil {
		return wrap(err)
	}
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// inspect refuses a file that is not a whole store of this version.
func inspect(c *conn, path string) error {
	number := func(pragma string) (int64, error) {
		st, err := c.prepare("PRAGMA "+pragma, 1)
		if err != nil {
			return 0, err
		}
		row, _, err := st.one()
		return integer(row[0]), err
	}
	id, err := number("application_id")
	if err != nil {
		return err
	}
	if id != applicationID {
		return fmt.Errorf("%w: the file is not a server store", server.ErrDamaged)
	}
	version, err := number("user_version")
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: schema %d, this one knows %d", server.ErrNewer, version, schemaVersion)
	}
	if version < 1 {
		return fmt.Errorf("%w: schema version %d was never released", server.ErrDamaged, version)
	}
	if version < schemaVersion {
		added := [...]string{2: schemaEpoch, 3: schemaGroups}
		err := c.run(fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT", strings.Join(added[version+1:], ""), schemaVersion))
		if err != nil {
			return err
		}
	}
	// A file shorter than its page count was cut off. What the log still holds
	// must be in the file first.
	if err := c.run("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	pages, err := number("page_count")
	if err != nil {
		return err
	}
	size, err := number("page_size")
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Size() < pages*size {
		return fmt.Errorf("%w: the file is shorter than its own page count", server.ErrDamaged)
	}
	return nil
}

// Check reads the whole store and reports ErrDamaged if its structure does not
// hold. It takes long on a large store and may run while the store serves.
func (s *Store) Check(ctx context.Context) error {
	return s.read(ctx, func(r *reader) error {
		row, found, err := r.check.one()
		if err != nil {
			return err
		}
		if verdict, _ := row[0].(string); !found || verdict != "ok" {
			return fmt.Errorf("%w: the integrity check failed", server.ErrDamaged)
		}
		return nil
	})
}

// Close finishes what was handed in, folds the log into the file and releases
// it. Calls that come later get ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.w.queue)
	s.mu.Unlock()
	<-s.w.done
	for range readers {
		(<-s.readers).c.Close()
	}
	err := s.w.close()
	s.w = nil
	return errors.Join(err, s.lock.Close())
}

// shut releases what a failed Open had taken.
func (s *Store) shut() {
	close(s.readers)
	for r := range s.readers {
		r.c.Close()
	}
	if s.w != nil {
		s.w.c.Close()
	}
	s.lock.Close()
}
