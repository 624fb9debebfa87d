package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pawl-chat/pawl/internal/home"
)

// File names in the home. The database adds -wal and -shm to its own.
const (
	fileName    = "store.db"
	unfinished  = "store.db.new"
	logSuffix   = "-wal"
	indexSuffix = "-shm"
)

// companions are the files that the database keeps beside its main one.
var companions = [...]string{logSuffix, indexSuffix, "-journal"}

// find returns the path of the store in dir after checking who may change it.
func find(dir string) (string, error) {
	path, err := home.Check(dir)
	if errors.Is(err, home.ErrAbsent) {
		return "", ErrAbsent
	}
	if err != nil {
		return "", err
	}
	path = filepath.Join(path, fileName)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrAbsent
	}
	if err != nil {
		return "", fmt.Errorf("looking for the store: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", ErrUnsafe
	}
	if info.Size() < 512 {
		// An empty file would pass for a new database.
		return "", ErrDamaged
	}
	for _, suffix := range append(companions[:], "") {
		if err := private(path + suffix); err != nil {
			return "", err
		}
	}
	return path, nil
}

// private takes others' permissions from a file. It changes them by name: the
// database file must never be opened and closed beside the database's own
// use, because closing any descriptor of a file gives up the process's locks
// on it.
func private(path string) error {
	// R-VLT-19
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the store: %w", err)
	}
	if !info.Mode().IsRegular() {
		return ErrUnsafe
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("making the store private: %w", err)
	}
	return nil
}

// create is Create with the price of a guess.
func create(dir string, unlock Unlock, tables []Table, c cost) (*Vault, error) {
	// R-VLT-13
	declared, err := declare(tables)
	if err != nil {
		return nil, err
	}
	if dir, err = home.Prepare(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName)
	if _, err := os.Lstat(path); err == nil {
		return nil, ErrExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking for a store: %w", err)
	}
	s, err := prepare(unlock, true)
	if err != nil {
		return nil, err
	}
	defer s.erase()

	temp := filepath.Join(dir, unfinished)
	if err := sweep(path, temp); err != nil {
		return nil, err
	}
	if err := build(temp, s, declared, c); err != nil {
		sweep(temp)
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		sweep(temp)
		return nil, fmt.Errorf("putting the new store in place: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return open(path, unlock, declared, "")
}

// sweep removes what an unfinished creation, or a store whose main file
// somebody removed, has left: a log that does not belong to the new file would
// be replayed into it.
func sweep(paths ...string) error {
	for _, path := range paths {
		for _, suffix := range append([]string{""}, companions[:]...) {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing an unfinished store: %w", err)
			}
		}
	}
	return nil
}

// build makes a whole store at path, closed and durable.
func build(path string, s *secret, declared map[string]*sealed, c cost) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the store: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("making the store: %w", err)
	}
	to, err := connector(path, "")
	if err != nil {
		return err
	}
	db, err := connect(context.Background(), to)
	if err != nil {
		return classify("making the store", err)
	}
	var master [32]byte
	rand.Read(master[:])
	defer clear(master[:])
	err = update(db, func() error {
		if _, err := db.exec(createHeader); err != nil {
			return classify("writing the header", err)
		}
		if _, err := db.exec(insertHeader, arg(1, wrap(&master, s, c).encode())); err != nil {
			return classify("writing the header", err)
		}
		return createTables(db, declared, nil)
	})
	if err == nil {
		err = checkpoint(db)
	}
	if cerr := db.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return classify("making the store", err)
	}
	return syncFile(path)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("making a file durable: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("making a file durable: %w", err)
	}
	return nil
}
