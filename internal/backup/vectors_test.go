package backup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

// TestVectors pins whole files, made of given randomness, and the records in
// them.
func TestVectors(t *testing.T) {
	hx := hex.EncodeToString
	end := &End{Contacts: 1, Messages: 2, Consumers: 1}
	good := sealedFile(t, records(t)...)
	k := derive(passphrase, &[32]byte{1}, cheap)
	var small bytes.Buffer
	w := start(t, &small, Recovery)
	if err := w.Put(identity(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	object := vectorfile.Object
	vectors := []vectorfile.Vector{
		vectorfile.Positive("a backup", vectorfile.Fields{
			"passphrase": string(passphrase), "payload_key": hx(k.payload[:]), "check": hx(k.check[:checkSize]), "file": hx(good),
			"identity": object("backup-identity", codec.Marshal(identity(t))), "contact": object("backup-contact", codec.Marshal(contact(t))),
			"message": object("backup-message", codec.Marshal(message(1))), "consumer": object("backup-consumer", codec.Marshal(&Consumer{Name: "default", Taken: 1})),
			"end": object("backup-end", codec.Marshal(end)),
		}),
		vectorfile.Positive("a file with the identity only", vectorfile.Fields{"passphrase": string(passphrase), "file": hx(small.Bytes())}),
	}
	flipped := bytes.Clone(good)
	flipped[headerSize+100] ^= 1
	long := message(1)
	long.ID = long.ID[:15]
	for _, c := range []struct {
		name string
		err  error
		file []byte
		pass string
	}{
		{"another passphrase", ErrWrongPassphrase, good, "battery staple"},
		{"a flipped bit", ErrDamaged, flipped, ""},
		{"cut short", ErrDamaged, good[:len(good)-1], ""},
		{"a byte more", ErrDamaged, append(bytes.Clone(good), 0), ""},
		{"a later version", ErrNewer, altered(good, func(b []byte) { b[atVersion+1] = 2 }), ""},
		{"memory without bounds", ErrCost, altered(good, func(b []byte) { b[atMemory] = 0xff }), ""},
		{"of another purpose", ErrPurpose, small.Bytes(), ""},
		{"something else", ErrNotBackup, bytes.Repeat([]byte{'x'}, headerSize), ""},
		{"a message with a short id", ErrRecord, forged(t, identity(t), long, &End{Messages: 1}), ""},
	} {
		if c.pass == "" {
			c.pass = string(passphrase)
		}
		if _, err := read(c.file, []byte(c.pass)); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
		name := map[error]string{ErrWrongPassphrase: "ErrWrongPassphrase", ErrDamaged: "ErrDamaged", ErrNewer: "ErrNewer", ErrCost: "ErrCost",
			ErrPurpose: "ErrPurpose", ErrNotBackup: "ErrNotBackup", ErrRecord: "ErrRecord"}[c.err]
		vectors = append(vectors, vectorfile.Negative(c.name, name, vectorfile.Fields{"passphrase": c.pass, "file": hx(c.file)}))
	}
	vectorfile.Check(t, "../../spec/vectors/backup.json", "backup", vectors)
}
