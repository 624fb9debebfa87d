package content_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
)

func envelope(tb testing.TB, initial, message []byte) content.Envelope {
	tb.Helper()
	from, err := address.Parse("alice@example.org:7000")
	if err != nil {
		tb.Fatal(err)
	}
	return content.Envelope{From: from, Device: 7, To: 1<<64 - 1, Initial: initial, Message: message}
}

func TestR_CNT_05_Envelope(t *testing.T) {
	for _, initial := range [][]byte{nil, {1, 2, 3}} {
		e := envelope(t, initial, []byte("message"))
		b := e.Encode()
		got, err := content.DecodeEnvelope(b)
		if err != nil || got.From != e.From || got.Device != e.Device || got.To != e.To ||
			!bytes.Equal(got.Initial, initial) || !bytes.Equal(got.Message, e.Message) {
			t.Errorf("%+v: %v", got, err)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Error("encodes to other bytes")
		}
		for n := range b {
			if _, err := content.DecodeEnvelope(b[:n]); !errors.Is(err, content.ErrMalformed) {
				t.Errorf("prefix of %d bytes: %v", n, err)
			}
		}
	}
	from, m := "alice@example.org", []byte("m")
	if _, err := content.DecodeEnvelope(codec.Marshal([]any{1, from, 1, 2, []byte{}, m})); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][]any{
		"version 0":          {0, from, 1, 2, []byte{}, m},
		"version 2":          {2, from, 1, 2, []byte{}, m},
		"from no one":        {1, "", 1, 2, []byte{}, m},
		"upper case":         {1, "Alice@example.org", 1, 2, []byte{}, m},
		"default port":       {1, from + ":7295", 1, 2, []byte{}, m},
		"no host":            {1, "alice", 1, 2, []byte{}, m},
		"from bytes":         {1, []byte(from), 1, 2, []byte{}, m},
		"device zero":        {1, from, 0, 2, []byte{}, m},
		"group with initial": {1, from, 1, 0, []byte{1}, m},
		"negative device":    {1, from, -1, 2, []byte{}, m},
		"no message":         {1, from, 1, 2, []byte{}, []byte{}},
		"initial null":       {1, from, 1, 2, nil, m},
		"message null":       {1, from, 1, 2, []byte{}, nil},
		"five elements":      {1, from, 1, 2, m},
		"seven elements":     {1, from, 1, 2, []byte{}, m, m},
		"beyond its limit":   {1, from, 1, 2, []byte{}, make([]byte, content.MaxEnvelope)},
	} {
		if _, err := content.DecodeEnvelope(codec.Marshal(v)); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A message of a group is one envelope for every device.
func TestR_CNT_18_GroupEnvelope(t *testing.T) {
	e := envelope(t, nil, []byte("a message of a group"))
	e.To = 0
	got, err := content.DecodeEnvelope(e.Encode())
	if err != nil || got.To != 0 || got.From != e.From || got.Device != e.Device || len(got.Initial) != 0 || !bytes.Equal(got.Message, e.Message) {
		t.Errorf("%+v: %v", got, err)
	}
	e.Initial = []byte("an initial message")
	if _, err := content.DecodeEnvelope(e.Encode()); !errors.Is(err, content.ErrMalformed) {
		t.Errorf("with an initial message: %v", err)
	}
	e.Initial, e.Message = nil, []byte{}
	if _, err := content.DecodeEnvelope(e.Encode()); !errors.Is(err, content.ErrMalformed) {
		t.Errorf("without a message: %v", err)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add(envelope(f, nil, []byte("message")).Encode())
	f.Add(envelope(f, []byte{1}, []byte{2}).Encode())
	f.Add(codec.Marshal([]any{1, "a@b", 1, 2, []byte{}, []byte{1}}))
	f.Add(codec.Marshal([]any{1, "a@b", 1, 0, []byte{}, []byte{1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := content.DecodeEnvelope(b); err == nil && !bytes.Equal(e.Encode(), b) {
			t.Errorf("%x decodes but encodes to %x", b, e.Encode())
		}
	})
}
