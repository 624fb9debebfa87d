package sqlitestore

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"

	"github.com/pawl-chat/pawl/server"
)

// lock takes the lock file for this process, or says ErrInUse at once.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{}); err != nil {
		f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			err = server.ErrInUse
		}
		return nil, err
	}
	return f, nil
}

// syncDir does nothing: directories cannot be flushed here.
func syncDir(string) error { return nil }
