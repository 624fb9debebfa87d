package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// R-VLT-01: no part of a row, and no secret, stands in any file.
func TestR_VLT_01_NothingInPlain(t *testing.T) {
	dir := t.TempDir()
	v, err := create(dir, Unlock{Passphrase: []byte("canary-passphrase")}, both, cheap)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for i := range 200 {
		put(t, v, messages, fmt.Sprint("canary-key-", i), "canary-group", int64(i), "canary-value "+strings.Repeat("canary", i))
	}
	look := func(when string) {
		t.Helper()
		files := listing(t, dir)
		if len(files) < 1 {
			t.Fatal("no files")
		}
		for path, content := range files {
			if strings.Contains(content, "canary") {
				t.Errorf("%s: %s holds a canary", when, filepath.Base(path))
			}
			if info, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
				t.Errorf("%s: %s has mode %v", when, filepath.Base(path), info.Mode())
			}
		}
	}
	look("open")
	if err := v.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	look("after a checkpoint")
	v.Close()
	look("closed")
	if files := listing(t, dir); len(files) != 1 {
		t.Errorf("%d files are left", len(files))
	}
}

// R-VLT-11: what was deleted or replaced is gone from the files, also its
// ciphertext.
func TestR_VLT_11_ErasedCiphertextIsGone(t *testing.T) {
	v, dir, _ := made(t)
	var old [][]byte
	for i := range 400 {
		put(t, v, messages, fmt.Sprint("k", i), fmt.Sprint("g", i%3), int64(i), strings.Repeat("x", 37*i%900))
		if i%5 == 0 {
			v.Checkpoint(t.Context())
		}
	}
	for _, r := range rows(t, v.path, "message") {
		old = append(old, bytes.Clone(r.v[24:40]))
	}
	count := func() (n int) {
		for _, content := range listing(t, dir) {
			for _, o := range old {
				n += strings.Count(content, string(o))
			}
		}
		return n
	}
	if n := count(); n < len(old) {
		t.Fatalf("found %d of %d rows: this test would see nothing", n, len(old))
	}
	err := v.Update(t.Context(), func(tx *Tx) error {
		for i := range 400 {
			k := fmt.Append(nil, "k", i)
			switch i % 4 {
			case 0:
				if err := tx.Put(messages, k, []byte("g"), 1, []byte("short")); err != nil {
					return err
				}
			case 1:
				if err := tx.Put(messages, k, []byte("g"), 1, bytes.Repeat([]byte("y"), 2000)); err != nil {
					return err
				}
			default:
				if _, err := tx.Delete(messages, k); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d pieces of old ciphertext are left", n)
	}
}

// A reader that stays keeps the log; Checkpoint says so.
func TestR_VLT_11_CheckpointIsBusy(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "k", "g", 1, "v")
	err := v.View(t.Context(), func(tx *Tx) error {
		if _, _, err := tx.Get(messages, []byte("k")); err != nil {
			return err
		}
		c := <-v.writer
		c.exec("PRAGMA busy_timeout = 1")
		v.writer <- c
		put(t, v, messages, "k2", "g", 1, "v")
		if err := v.Checkpoint(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("with a reader: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Checkpoint(t.Context()); err != nil {
		t.Errorf("without: %v", err)
	}
	if info, err := os.Stat(v.path + logSuffix); err != nil || info.Size() != 0 {
		t.Errorf("the log is %v bytes long, %v", info.Size(), err)
	}
}

func TestR_VLT_15_Rekey(t *testing.T) {
	dir := t.TempDir()
	first, second := Unlock{Passphrase: []byte("first")}, Unlock{Passphrase: []byte("second")}
	v, err := create(dir, first, both, cheap)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2*scanPage + 3 {
		put(t, v, messages, fmt.Sprint("k", i), "g", int64(i), fmt.Sprint("v", i))
	}
	put(t, v, outbox, "o", "g", 1, "waiting")
	v.Close()
	old, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	var was [][]byte
	for _, r := range rows(t, v.path, "message") {
		was = append(was, r.k, r.v[24:40])
	}

	// Open without one of the tables: it is sealed anew all the same.
	if v, err = Open(dir, first, []Table{messages}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.rekey(ctx, second, cheap); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if !v.CheckPassphrase([]byte("first")) {
		t.Error("a cancelled change changed the passphrase")
	}
	if err := v.rekey(t.Context(), second, cheap); err != nil {
		t.Fatal(err)
	}
	if v.CheckPassphrase([]byte("first")) || !v.CheckPassphrase([]byte("second")) {
		t.Error("the check still knows the old passphrase")
	}
	if s, ok := get(t, v, messages, "k9"); !ok || s != "v9" {
		t.Errorf("%q, %v", s, ok)
	}
	put(t, v, messages, "new", "g", 1, "later")
	for path, content := range listing(t, dir) {
		for _, w := range was {
			if strings.Contains(content, string(w)) {
				t.Fatalf("%s still holds old names or ciphertext", filepath.Base(path))
			}
		}
	}
	v.Close()
	if _, err := Open(dir, first, both); !errors.Is(err, ErrWrongKey) {
		t.Errorf("old passphrase: %v", err)
	}
	if v, err = Open(dir, second, both); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	keys, err := scanAll(v, messages)
	if err != nil || len(keys) != 2*scanPage+4 {
		t.Errorf("%d rows, %v", len(keys), err)
	}
	if s, ok := get(t, v, outbox, "o"); !ok || s != "waiting" {
		t.Errorf("%q, %v", s, ok)
	}

	// The old file with the old passphrase opens what it held, and its key
	// opens nothing written since.
	copied := t.TempDir()
	if err := os.WriteFile(filepath.Join(copied, fileName), old, 0o600); err != nil {
		t.Fatal(err)
	}
	thief, err := Open(copied, first, both)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	for _, r := range rows(t, v.path, "message") {
		if _, err := r.open(thief.keys, "message"); !errors.Is(err, ErrDamaged) {
			t.Fatalf("the old key opens a row: %v", err)
		}
	}
}
