package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

var (
	messages = Table{"message"}
	outbox   = Table{"outbox"}
	both     = []Table{messages, outbox}
)

// keyed returns an Unlock with a key file, which costs no derivation.
func keyed(t testing.TB) Unlock {
	t.Helper()
	return Unlock{KeyFile: filepath.Join(t.TempDir(), "key")}
}

func made(t testing.TB) (*Vault, string, Unlock) {
	t.Helper()
	dir, u := t.TempDir(), keyed(t)
	v, err := Create(dir, u, both)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v, dir, u
}

func put(t testing.TB, v *Vault, tb Table, key, group string, order int64, value string) {
	t.Helper()
	err := v.Update(context.Background(), func(tx *Tx) error {
		return tx.Put(tb, []byte(key), []byte(group), order, []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, v *Vault, tb Table, key string) (string, bool) {
	t.Helper()
	var b []byte
	var ok bool
	err := v.View(context.Background(), func(tx *Tx) (err error) {
		b, ok, err = tx.Get(tb, []byte(key))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b), ok
}

func TestPutGetScan(t *testing.T) {
	v, dir, u := made(t)
	for i := range 300 {
		put(t, v, messages, fmt.Sprint("k", i), fmt.Sprint("g", i%2), int64(i/4), fmt.Sprint("v", i))
	}
	if s, ok := get(t, v, messages, "k7"); !ok || s != "v7" {
		t.Fatalf("got %q, %v", s, ok)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := Open(dir, u, both)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var got []string
	err = v.View(context.Background(), func(tx *Tx) error {
		return tx.Scan(messages, []byte("g1"), 1, 70, 0, false, func(r Row) error {
			got = append(got, string(r.Key))
			if string(r.Group) != "g1" {
				t.Errorf("group %q", r.Group)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 140 || got[0] != "k5" || got[139] != "k283" {
		t.Fatalf("%d rows: %v", len(got), got)
	}
}

// Insert leaves a row that is there alone.
func TestInsert(t *testing.T) {
	v, _, _ := made(t)
	defer v.Close()
	insert := func(value string) (stored bool) {
		err := v.Update(context.Background(), func(tx *Tx) (err error) {
			stored, err = tx.Insert(messages, []byte("k"), []byte("g"), 1, []byte(value))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	if !insert("first") || insert("second") {
		t.Error("Insert reports wrongly what it did")
	}
	if s, ok := get(t, v, messages, "k"); !ok || s != "first" {
		t.Errorf("got %q, %v", s, ok)
	}
	err := v.View(context.Background(), func(tx *Tx) error {
		_, err := tx.Insert(messages, []byte("other"), nil, 1, nil)
		return err
	})
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("in a view: %v", err)
	}
}
