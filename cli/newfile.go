package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// newFile is a file on its way into place: nobody sees it under its name
// before all of it is durable, and whatever goes wrong leaves what was there
// (R-EXP-03).
type newFile struct {
	*os.File
	path  string
	force bool
}

// createFile begins the file at path, readable by its owner only. Without
// force a file that exists is refused, now and when it is put in place.
func createFile(path string, force bool) (*newFile, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, usagef("name a file in it", "%s is a directory", clean(path))
	case err == nil && !force:
		return nil, errTaken(path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, usagef("", "%s cannot be written: %s", clean(path), reason(err))
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".pawl-*.part") // mode 0600
	if err != nil {
		return nil, usagef("the directory must exist and be writable", "%s cannot be written: %s", clean(path), reason(err))
	}
	return &newFile{f, path, force}, nil
}

func errTaken(path string) error {
	return usagef("choose another name, or replace it with --force", "%s exists already", clean(path))
}

// drop gives the file up.
func (f *newFile) drop() {
	f.Close()
	os.Remove(f.Name())
}

// commit makes the file durable and puts it in place.
func (f *newFile) commit() error {
	err := f.Sync()
	if err = errors.Join(err, f.Close()); err == nil {
		err = f.place()
	}
	if err != nil {
		os.Remove(f.Name())
		var told *failure
		if errors.As(err, &told) {
			return err
		}
		return fmt.Errorf("putting the file in place: %w", err)
	}
	return syncDir(filepath.Dir(f.path))
}

func (f *newFile) place() error {
	if f.force {
		return os.Rename(f.Name(), f.path)
	}
	// A link, unlike a renaming, never replaces anything.
	err := os.Link(f.Name(), f.path)
	switch {
	case err == nil:
		return os.Remove(f.Name())
	case errors.Is(err, fs.ErrExist):
		return errTaken(f.path)
	}
	// A file system without links.
	if _, err := os.Lstat(f.path); err == nil {
		return errTaken(f.path)
	}
	return os.Rename(f.Name(), f.path)
}

// syncDir makes a name in a directory durable, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // a file system that cannot
	}
	return errors.Join(err, d.Close())
}

// target is where the user wants a file.
type target struct {
	path  string
	force bool
}

// write makes the file from what fill writes, whole or not at all (R-LAB-29).
func (t *target) write(ctx context.Context, fill func(io.Writer) error) error {
	f, err := createFile(t.path, t.force)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			f.drop()
		}
	}()
	w := bufio.NewWriterSize(f, 256<<10)
	if err := fill(w); err != nil {
		return err
	}
	if err := errors.Join(w.Flush(), ctx.Err()); err != nil {
		return err
	}
	done = true
	return f.commit()
}

// openWord opens a file that a command names.
func openWord(name string) (*os.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("", "there is no file %s", clean(name))
	}
	return f, err
}
