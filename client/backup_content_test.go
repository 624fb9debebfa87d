package client_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Nothing that only this device may have is in what a backup holds: its keys,
// prekeys and sessions, as the store has them.
func TestR_BAK_01_NoKeyOfTheDevice(t *testing.T) {
	w := newWorld(t)
	alice := config(t, "alice")
	a := w.join(alice, "alice")
	b := w.join(config(t, "bob"), "bob")
	send(t, a, b.Account().Address, "hello")
	take(t, b)
	send(t, b, a.Account().Address, "hello yourself")
	take(t, a)
	sealed := backedUp(t, a)
	a.Close()

	r, err := backup.NewReader(bytes.NewReader(sealed), backup.Whole, sealedUnder.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	var plain []byte
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		plain = append(plain, codec.Marshal(record)...)
	}
	tables := map[string]vault.Table{}
	var all []vault.Table
	for _, name := range []string{"meta", "prekey", "contact", "session", "skipped", "message", "outbox", "seen", "held"} {
		tables[name] = vault.Table{Name: name}
		all = append(all, tables[name])
	}
	v, err := vault.Open(alice.Home, vault.Unlock(alice.Unlock), all)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	looked := 0
	absent := func(what string, secret []byte) {
		if looked++; len(secret) < 16 || bytes.Contains(plain, secret) {
			t.Errorf("%s stands in the backup", what)
		}
	}
	err = v.View(t.Context(), func(tx *vault.Tx) error {
		account, _, err := tx.Get(tables["meta"], []byte("account"))
		if err != nil {
			return err
		}
		var fields map[int]any
		if err := cbor.Unmarshal(account, &fields); err != nil {
			return err
		}
		if !bytes.Contains(plain, fields[5].([]byte)) {
			t.Error("the account key does not stand in the backup")
		}
		absent("the signing key", fields[6].([]byte))
		absent("the identity key", fields[7].([]byte))
		for _, name := range []string{"prekey", "session"} {
			err := tx.Scan(tables[name], nil, math.MinInt64, math.MaxInt64, 0, false, func(row vault.Row) error {
				for i := 0; i+24 <= len(row.Value); i += 24 {
					if chunk := row.Value[i : i+24]; !bytes.Contains(chunk, make([]byte, 6)) {
						absent(name, chunk)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || looked < 100 {
		t.Errorf("looked at %d, %v", looked, err)
	}
}
