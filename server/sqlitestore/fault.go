package sqlitestore

import (
	"errors"
	"fmt"
	"os"

	lib "modernc.org/sqlite/lib"

	"github.com/pawl-chat/pawl/server"
)

// fault is what an error of SQLite means for the store.
type fault int

const (
	faultOther   fault = iota // unexpected; the outcome is taken as unknown
	faultSpace                // no space or a failing write: try again later
	faultDamaged              // the file is not what was written
	faultSync                 // a flush failed: what is on the disk is unknown
)

// classify maps result codes, extended ones included.
func classify(err error) fault {
	var e interface{ Code() int }
	if !errors.As(err, &e) {
		return faultOther
	}
	switch e.Code() {
	case lib.SQLITE_IOERR_FSYNC, lib.SQLITE_IOERR_DIR_FSYNC:
		return faultSync
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN:
		return faultSpace
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return faultDamaged
	}
	return faultOther
}

// wrap gives an error of SQLite the sentinel that callers react to.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, server.ErrDamaged) || errors.Is(err, server.ErrNewer) {
		return err
	}
	switch classify(err) {
	case faultSpace:
		return fmt.Errorf("%w: %w", server.ErrDiskFull, err)
	case faultDamaged:
		return fmt.Errorf("%w: %w", server.ErrDamaged, err)
	}
	return fmt.Errorf("sqlitestore: %w", err)
}

// wrapRead is wrap for reading, where a failing disk does not mean that writing
// has to wait for space.
func wrapRead(err error) error {
	switch {
	case err == nil || errors.Is(err, errStop):
		return nil
	case definite(err), errors.Is(err, server.ErrDamaged):
		return err
	case classify(err) == faultDamaged:
		return fmt.Errorf("%w: %w", server.ErrDamaged, err)
	}
	return fmt.Errorf("sqlitestore: %w", err)
}

// errStop ends an iteration early; it never leaves the package.
var errStop = errors.New("enough")

// definite reports whether err is a refusal decided before anything was
// changed, which concerns one request and not its batch.
func definite(err error) bool {
	for _, e := range []error{server.ErrNotFound, server.ErrExists, server.ErrConflict, server.ErrInvite,
		server.ErrFull, server.ErrRemoved, server.ErrInvalid, errRow} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errRow is one damaged row: the request fails, the rest of the store goes on.
var errRow = fmt.Errorf("%w: a row does not match its checksum", server.ErrDamaged)

// exit is the default of Options.Fatal. After a failed flush the kernel may
// have dropped the pages and marked them clean, so a later flush that succeeds
// proves nothing. A new process reads back what the disk really holds, and
// SQLite's log replay keeps to what its checksums confirm (R-STO-12).
func exit(err error) {
	fmt.Fprintf(os.Stderr, "pawl: the store's disk failed to flush, stopping so that nothing is acknowledged wrongly: %v\n", err)
	os.Exit(1)
}
