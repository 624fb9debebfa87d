package backup

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/ratchet"
)

// TestR_BAK_05_MessageAlone: a message on its own is read back as it was, and
// held to the same as in a backup.
func TestR_BAK_05_MessageAlone(t *testing.T) {
	m := message(1)
	b := m.Encode()
	got, err := DecodeMessage(b)
	if err != nil || !bytes.Equal(got.Encode(), b) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, change := range map[string]func(*Message){
		"id":     func(m *Message) { m.ID = m.ID[1:] },
		"status": func(m *Message) { m.Status = "" },
		"body":   func(m *Message) { m.RawBody = make([]byte, MaxBody+1) },
	} {
		bad := message(1)
		change(bad)
		if _, err := DecodeMessage(codec.Marshal(bad)); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range [][]byte{nil, {0xff}, append(bytes.Clone(b), 0), b[:len(b)-1]} {
		if _, err := DecodeMessage(b); !errors.Is(err, ErrRecord) {
			t.Errorf("%x: %v", b, err)
		}
	}
	// Whatever a contact can get into a store, a backup can hold.
	longest := message(1)
	longest.RawBody = make([]byte, ratchet.MaxPlaintext)
	if _, err := DecodeMessage(longest.Encode()); err != nil {
		t.Errorf("the longest plaintext: %v", err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add(message(1).Encode())
	f.Add(message(2).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := DecodeMessage(b); err == nil && !bytes.Equal(m.Encode(), b) {
			t.Errorf("%x decodes but encodes to %x", b, m.Encode())
		}
	})
}
