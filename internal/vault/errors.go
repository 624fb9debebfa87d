package vault

import (
	"errors"
	"fmt"

	lib "modernc.org/sqlite/lib"

	"github.com/pawl-chat/pawl/internal/home"
)

// Errors, one for each thing a caller does differently. Returned errors wrap
// them; none carries a key, a value or a passphrase.
var (
	// ErrExists: Create found a store and left it alone.
	ErrExists = errors.New("vault: there is a store in this home already")
	// ErrAbsent: there is no store, or only the remains of one whose creation
	// did not finish; Create may be called.
	ErrAbsent = errors.New("vault: there is no store in this home")
	// ErrLocked: the store is there and needs a passphrase or key file.
	ErrLocked = errors.New("vault: the store needs a passphrase or key file")
	// ErrWrongKey: the store is whole and this passphrase or key file is not
	// the one that opens it.
	ErrWrongKey = errors.New("vault: the passphrase or key file does not open this store")
	// ErrPassphrase: the passphrase cannot be one: it is empty, too long, not
	// valid UTF-8, or holds control characters.
	ErrPassphrase = errors.New("vault: not usable as a passphrase")
	// ErrKeyFile: the key file is missing, unreadable, not a regular file or
	// not exactly 32 bytes long.
	ErrKeyFile = errors.New("vault: not usable as a key file")
	// ErrDamaged: what is on disk was not written by this store.
	ErrDamaged = errors.New("vault: the store is damaged")
	// ErrNewer: a later version of pawl wrote this store.
	ErrNewer = errors.New("vault: the store was written by a newer version")
	// ErrDiskFull: nothing of the transaction was kept; it may be tried again
	// once there is space.
	ErrDiskFull = errors.New("vault: there is no space left for the store")
	// ErrFailed: the disk failed while a transaction was being made durable, so
	// it is unknown whether it was kept. The store refuses all further work;
	// open it again to find out.
	ErrFailed = errors.New("vault: the disk failed, the store must be opened again")
	// ErrBusy: Checkpoint could not finish because somebody was still reading.
	ErrBusy = errors.New("vault: the store is being read, erase again later")
	// ErrClosed: the store or the transaction has ended.
	ErrClosed = errors.New("vault: closed")
	// ErrReadOnly: a View tried to write.
	ErrReadOnly = errors.New("vault: a read-only transaction cannot write")
	// ErrTooLarge: a key, group or value is longer than the limits allow.
	ErrTooLarge = errors.New("vault: key, group or value is too long")
	// ErrTable: the table was not declared when the store was opened, or its
	// name is not allowed.
	ErrTable = errors.New("vault: no such table")
	// ErrUnsafe: another user could replace the store (see package home).
	ErrUnsafe = home.ErrUnsafe
)

// classify wraps an error of the database with the sentinel of its reaction.
// The database's own text is left out: it can quote file names.
func classify(step string, err error) error {
	// R-VLT-16
	if err == nil {
		return nil
	}
	code, ok := codeOf(err)
	if !ok {
		return fmt.Errorf("%s: %w", step, err)
	}
	switch {
	case code&0xff == lib.SQLITE_FULL, code == lib.SQLITE_IOERR_SHMSIZE:
		return fmt.Errorf("%s: %w", step, ErrDiskFull)
	case code&0xff == lib.SQLITE_CORRUPT, code&0xff == lib.SQLITE_NOTADB, code == lib.SQLITE_IOERR_SHORT_READ,
		code&0xff == lib.SQLITE_CONSTRAINT, code&0xff == lib.SQLITE_MISMATCH:
		return fmt.Errorf("%s: %w", step, ErrDamaged)
	case code&0xff == lib.SQLITE_BUSY:
		return fmt.Errorf("%s: %w", step, ErrBusy)
	default:
		return fmt.Errorf("%s: database error %d", step, code)
	}
}

// notOurs is classify for the first look at a file: the database's general
// error means there that it cannot make sense of the file, or that the
// header's table is missing.
func notOurs(step string, err error) error {
	if code, ok := codeOf(err); ok && code == lib.SQLITE_ERROR {
		return fmt.Errorf("%s: %w", step, ErrDamaged)
	}
	return classify(step, err)
}

// diskFailed reports an error after which it is unknown what reached the disk.
func diskFailed(err error) bool {
	code, ok := codeOf(err)
	return ok && code&0xff == lib.SQLITE_IOERR && code != lib.SQLITE_IOERR_SHMSIZE
}

// codeOf returns the database's extended result code.
func codeOf(err error) (int, bool) {
	var coded interface{ Code() int } // *sqlite.Error
	if !errors.As(err, &coded) {
		return 0, false
	}
	return coded.Code(), true
}
