// Package home prepares and checks the directory that holds one device: its
// store, its lock and its socket. It implements the first section of
// spec/store.md.
//
// Not its concern: what lies inside, and who owns it at the moment.
package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrUnsafe means that somebody else could read or replace what the directory
// holds: it belongs to another user, others may write to it, or it is not a
// directory at all. The person has to choose another home or mend this one.
var ErrUnsafe = errors.New("home: other users of this machine could change this directory")

// ErrAbsent means that there is no such directory.
var ErrAbsent = errors.New("home: there is no such directory")

// Prepare creates dir with mode 0700 when it is absent, and otherwise checks it
// as Check does. An empty directory of one's own is made private whatever its
// mode was. It returns the absolute path without symbolic links.
func Prepare(dir string) (string, error) {
	// R-VLT-17
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making the home directory: %w", err)
	}
	path, info, err := resolve(dir)
	if err != nil {
		return "", err
	}
	if !mine(info) {
		return "", ErrUnsafe
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		if perm&0o022 != 0 && !empty(path) {
			return "", ErrUnsafe
		}
		if err := os.Chmod(path, 0o700); err != nil {
			return "", fmt.Errorf("making the home directory private: %w", err)
		}
	}
	return path, nil
}

// Check returns the absolute path of dir without symbolic links. It refuses a
// directory of another user, one that others may write to, and a symbolic link
// that another user made.
func Check(dir string) (string, error) {
	// R-VLT-18
	path, info, err := resolve(dir)
	if err != nil {
		return "", err
	}
	if !mine(info) || info.Mode().Perm()&0o022 != 0 {
		return "", ErrUnsafe
	}
	return path, nil
}

func resolve(dir string) (string, fs.FileInfo, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, fmt.Errorf("finding the home directory: %w", err)
	}
	link, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, ErrAbsent
	}
	if err != nil {
		return "", nil, fmt.Errorf("looking at the home directory: %w", err)
	}
	if link.Mode()&fs.ModeSymlink != 0 && !mine(link) {
		return "", nil, ErrUnsafe
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", nil, fmt.Errorf("following the home directory: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", nil, fmt.Errorf("looking at the home directory: %w", err)
	}
	if !info.IsDir() {
		return "", nil, ErrUnsafe
	}
	return path, info, nil
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}
