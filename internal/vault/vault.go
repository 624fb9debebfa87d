// Package vault is the sealed store of a device: tables of rows in one SQLite
// file, in which every key, group and value is sealed before the database
// sees it. It implements spec/store.md.
//
// A row has a key, unique in its table; a group, such as a conversation; an
// order within the group, such as a time; and a value. Keys and groups are
// kept under blinded names, values under XChaCha20-Poly1305 bound to their
// place, so that a row altered, moved or swapped is found out. What a thief of
// the file learns without the passphrase: the tables' names, how many rows
// they have, how rows group, their order numbers and their sizes rounded up to
// 64 bytes.
//
// Start with Create or Open, then Update and View.
//
// Not its concern: what the rows mean; that only one process has the store
// open (package owner); that an older copy of the whole file was put back (the
// client's state epoch finds that).
package vault

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// Row is one row as the caller sees it.
type Row struct {
	Key   []byte // at most MaxKey bytes
	Group []byte // at most MaxKey bytes; nil and empty are the same group
	Order int64
	Value []byte // at most MaxValue bytes
}

// Vault is an open store. Its methods may be called from several goroutines.
type Vault struct {
	path    string
	to      driver.Connector // writes
	toRead  driver.Connector
	tables  map[string]*sealed
	notices []Notice

	// writer holds the writing connection while nobody uses it; nil inside
	// means that the next user connects anew.
	writer chan *connection
	// readers holds maxReaders connections in the same way.
	readers chan *connection
	// ended is closed by Close.
	ended  chan struct{}
	end    sync.Once
	failed atomic.Bool

	// mu guards the keys: Rekey changes them, everything else reads them for
	// the length of its transaction.
	mu    sync.RWMutex
	keys  *keys
	check [32]byte // HMAC of the secret under mark
	mark  [32]byte
}

// Create makes a new store in dir, which is created with mode 0700 when it is
// absent, and opens it. It returns ErrExists when there is one. A crash at any
// point leaves either no store or a whole one. A key file that does not exist
// is made with mode 0600.
func Create(dir string, unlock Unlock, tables []Table) (*Vault, error) {
	return create(dir, unlock, tables, cost{argonTime, argonMemory, argonThreads})
}

// Open opens the store in dir. It never creates one: without a store it
// returns ErrAbsent, with the zero Unlock ErrLocked, with a secret that is not
// this store's ErrWrongKey, and ErrDamaged or ErrNewer for a file that this
// version did not write. Declared tables that do not exist yet are created.
func Open(dir string, unlock Unlock, tables []Table) (*Vault, error) {
	return openIn(dir, unlock, tables, "")
}

// OpenVolatile is Open for simulations of thousands of lives on one machine:
// what it commits survives the end of the process and not that of the machine,
// so it may use a key twice after a power failure. No product code may call it.
func OpenVolatile(dir string, unlock Unlock, tables []Table) (*Vault, error) {
	return openIn(dir, unlock, tables, volatile)
}

func openIn(dir string, unlock Unlock, tables []Table, more string) (*Vault, error) {
	path, err := find(dir)
	if err != nil {
		return nil, err
	}
	declared, err := declare(tables)
	if err != nil {
		return nil, err
	}
	return open(path, unlock, declared, more)
}

func open(path string, unlock Unlock, declared map[string]*sealed, more string) (_ *Vault, err error) {
	to, err := connector(path, more)
	if err != nil {
		return nil, err
	}
	toRead, err := connector(path, more+"&_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	c, err := connect(context.Background(), to)
	if err != nil {
		return nil, notOurs("opening the store", err)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	b, err := readHeader(c)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	have, err := checkSchema(c)
	if err != nil {
		return nil, err
	}
	s, err := prepare(unlock, false)
	if err != nil {
		return nil, err
	}
	defer s.erase()
	master, err := h.unwrap(s)
	if err != nil {
		return nil, err
	}
	defer clear(master[:])
	err = update(c, func() error { return createTables(c, declared, have) })
	if err = classify("declaring the tables", err); err != nil {
		return nil, err
	}
	v := &Vault{
		path: path, to: to, toRead: toRead, tables: declared, notices: s.notices,
		writer:  make(chan *connection, 1),
		readers: make(chan *connection, maxReaders),
		ended:   make(chan struct{}),
		keys:    derive(&master),
	}
	v.remember(s)
	v.writer <- c
	for range maxReaders {
		v.readers <- nil
	}
	return v, nil
}

// Notices returns what the person should be told about this store.
func (v *Vault) Notices() []Notice { return v.notices }

// Path returns the path of the store's main file.
func (v *Vault) Path() string { return v.path }

// remember keeps a keyed hash of the secret, for CheckPassphrase.
func (v *Vault) remember(s *secret) {
	rand.Read(v.mark[:])
	v.check = v.digest(s)
}

func (v *Vault) digest(s *secret) [32]byte {
	m := append([]byte{byte(s.method)}, s.bytes...)
	defer clear(m)
	return kdf.HMAC(&v.mark, m)
}

// CheckPassphrase reports whether pass is the passphrase that opened this
// store. It takes microseconds: it compares, in constant time, with a keyed
// hash that never leaves this process's memory. It is false for every
// passphrase when a key file opened the store.
func (v *Vault) CheckPassphrase(pass []byte) bool {
	return len(pass) > 0 && v.Check(Unlock{Passphrase: pass})
}

// Check reports whether u would open this store, as CheckPassphrase does.
func (v *Vault) Check(u Unlock) bool {
	// R-VLT-10
	s, err := prepare(u, false)
	if err != nil {
		return false
	}
	defer s.erase()
	v.mu.RLock()
	defer v.mu.RUnlock()
	sum := v.digest(s)
	return kdf.Equal(sum[:], v.check[:])
}

// take waits for a connection of the pool.
func (v *Vault) take(ctx context.Context, pool chan *connection, to driver.Connector) (*connection, error) {
	select {
	case <-v.ended:
		return nil, ErrClosed
	default:
	}
	if v.failed.Load() {
		return nil, ErrFailed
	}
	select {
	case <-v.ended:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	case c := <-pool:
		if err := ctx.Err(); err != nil {
			pool <- c
			return nil, err
		}
		if v.failed.Load() {
			pool <- c
			return nil, ErrFailed
		}
		if c != nil {
			return c, nil
		}
		c, err := connect(ctx, to)
		if err != nil {
			pool <- nil
			return nil, classify("connecting to the store", err)
		}
		return c, nil
	}
}

// Update runs fn in one transaction that is durable, whole, when Update
// returns nil, and of which nothing is kept when it returns an error, with the
// exception of ErrFailed. Updates run one at a time; fn must not start
// another transaction of this store.
func (v *Vault) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return v.write(ctx, v.mu.RLocker(), fn, nil)
}

// write runs fn in one transaction under lock, and after it is durable, still
// under lock, after.
func (v *Vault) write(ctx context.Context, lock sync.Locker, fn func(tx *Tx) error, after func()) error {
	// R-VLT-09
	c, err := v.take(ctx, v.writer, v.to)
	if err != nil {
		return err
	}
	lock.Lock()
	tx := &Tx{v: v, c: c, ctx: ctx, keys: v.keys, writable: true}
	healthy := false
	defer func() {
		tx.c = nil
		lock.Unlock()
		if !healthy {
			// Whatever state the connection is in, the next one is fresh.
			c.close()
			c = nil
		}
		v.writer <- c
	}()
	err = update(c, func() error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.err
	})
	var end *commitError
	switch {
	case err == nil:
		healthy = true
		if after != nil {
			after()
		}
		return nil
	case errors.As(err, &end) && end.commit && diskFailed(end.err):
		// R-VLT-16
		v.failed.Store(true)
		return ErrFailed
	case errors.As(err, &end):
		return classify("making a transaction durable", end.err)
	default:
		healthy = tx.err == nil
		return err
	}
}

// commitError marks an error of BEGIN or COMMIT itself.
type commitError struct {
	commit bool
	err    error
}

func (e *commitError) Error() string { return e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// update runs fn between BEGIN and COMMIT. When fn fails or panics the
// transaction is rolled back.
func update(c *connection, fn func() error) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return &commitError{false, err}
	}
	done := false
	defer func() {
		if !done {
			c.exec("ROLLBACK") // it fails when the database has rolled back by itself
		}
	}()
	if err := fn(); err != nil {
		return err
	}
	if _, err := c.exec("COMMIT"); err != nil {
		return &commitError{true, err}
	}
	done = true
	return nil
}

// View runs fn on a snapshot: it sees none of the Updates that end after its
// first reading. Several Views run at the same time, beside an Update. fn must
// not start another transaction of this store.
func (v *Vault) View(ctx context.Context, fn func(tx *Tx) error) error {
	// R-VLT-09
	v.mu.RLock()
	defer v.mu.RUnlock()
	c, err := v.take(ctx, v.readers, v.toRead)
	if err != nil {
		return err
	}
	tx := &Tx{v: v, c: c, ctx: ctx, keys: v.keys}
	healthy := false
	defer func() {
		tx.c = nil
		if !healthy {
			c.close()
			c = nil
		}
		v.readers <- c
	}()
	if _, err := c.exec("BEGIN"); err != nil {
		return classify("beginning to read", err)
	}
	err = fn(tx)
	if err == nil {
		err = tx.err
	}
	if _, end := c.exec("ROLLBACK"); end == nil && tx.err == nil {
		healthy = true
	}
	return err
}

// Checkpoint moves everything from the write-ahead log into the main file and
// empties the log, so that what Updates have deleted is in neither. It returns
// ErrBusy when a View stayed open for five seconds: the deletions stand, their
// old ciphertext is still in the log, and Checkpoint has to be called again.
func (v *Vault) Checkpoint(ctx context.Context) error {
	// R-VLT-11
	c, err := v.take(ctx, v.writer, v.to)
	if err != nil {
		return err
	}
	defer func() { v.writer <- c }()
	return checkpoint(c)
}

func checkpoint(c *connection) error {
	busy := int64(1)
	err := c.query("PRAGMA wal_checkpoint(TRUNCATE)", 3, func(d []driver.Value) error {
		busy, _ = d[0].(int64)
		return nil
	})
	if err != nil {
		return classify("emptying the log", err)
	}
	if busy != 0 {
		return ErrBusy
	}
	return nil
}

// Close waits for the transactions that run, empties the log and closes the
// store. Everything called later returns ErrClosed.
func (v *Vault) Close() error {
	first := false
	v.end.Do(func() { first = true; close(v.ended) })
	if !first {
		return nil
	}
	var errs []error
	for range maxReaders {
		if c := <-v.readers; c != nil {
			errs = append(errs, c.close())
		}
	}
	if c := <-v.writer; c != nil {
		if !v.failed.Load() {
			errs = append(errs, checkpoint(c))
		}
		errs = append(errs, c.close())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.keys.index[:])
	v.keys = nil
	clear(v.check[:])
	clear(v.mark[:])
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}
