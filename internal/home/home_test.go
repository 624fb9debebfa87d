//go:build unix

package home

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestR_VLT_17_Prepare(t *testing.T) {
	base := t.TempDir()
	made := filepath.Join(base, "a", "b")
	open := filepath.Join(base, "open")
	os.Mkdir(open, 0o755)
	os.WriteFile(filepath.Join(open, "file"), nil, 0o600)
	shared := filepath.Join(base, "shared")
	os.Mkdir(shared, 0o700)
	os.Chmod(shared, 0o775)
	for _, dir := range []string{made, made, open, shared} {
		path, err := Prepare(dir)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
		if !filepath.IsAbs(path) {
			t.Errorf("%s is not absolute", path)
		}
	}
	// Others can write, and there is something in it that they may have put.
	os.WriteFile(filepath.Join(shared, "file"), nil, 0o600)
	for _, mode := range []os.FileMode{0o720, 0o702, 0o777} {
		os.Chmod(shared, mode)
		if _, err := Prepare(shared); !errors.Is(err, ErrUnsafe) {
			t.Errorf("mode %o: %v", mode, err)
		}
		if _, err := Check(shared); !errors.Is(err, ErrUnsafe) {
			t.Errorf("check of mode %o: %v", mode, err)
		}
	}
	file := filepath.Join(base, "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := Prepare(file); err == nil {
		t.Error("a file passed for a directory")
	}
}

func TestR_VLT_18_Check(t *testing.T) {
	base := t.TempDir()
	if _, err := Check(filepath.Join(base, "none")); !errors.Is(err, ErrAbsent) {
		t.Errorf("absent: %v", err)
	}
	real := filepath.Join(base, "real")
	os.Mkdir(real, 0o700)
	link := filepath.Join(base, "link")
	os.Symlink(real, link)
	want, err := filepath.EvalSymlinks(real)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{real, link} {
		if got, err := Check(dir); err != nil || got != want {
			t.Errorf("%s: %s, %v", dir, got, err)
		}
	}
	file := filepath.Join(base, "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := Check(file); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a file: %v", err)
	}
	// A directory, and a link, of another user. Only root can make them, and
	// for anybody else "/" is another user's.
	if os.Geteuid() != 0 {
		if _, err := Check("/"); !errors.Is(err, ErrUnsafe) {
			t.Errorf("another user's: %v", err)
		}
		return
	}
	os.Lchown(link, 12345, 12345)
	if _, err := Check(link); !errors.Is(err, ErrUnsafe) {
		t.Errorf("another user's link: %v", err)
	}
	os.Chown(real, 12345, 12345)
	if _, err := Check(real); !errors.Is(err, ErrUnsafe) {
		t.Errorf("another user's directory: %v", err)
	}
	if _, err := Prepare(real); !errors.Is(err, ErrUnsafe) {
		t.Errorf("another user's directory prepared: %v", err)
	}
}
