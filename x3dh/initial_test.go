package x3dh

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

func decodeInitial(t testing.TB, b []byte) wireInitial {
	t.Helper()
	var w wireInitial
	if err := codec.Unmarshal(b, MaxInitial, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestR_X3D_07_Prefixes(t *testing.T) {
	w := newWorld(t, OneTime)
	b := w.initiate(t).Initial
	for n := range b {
		if _, err := ParseInitial(b[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("prefix of %d bytes: %v", n, err)
		}
		if _, err := Respond(w.bob, w.alice.Party, b[:n], &w.keys); !errors.Is(err, ErrMalformed) {
			t.Fatalf("prefix of %d bytes, Respond: %v", n, err)
		}
	}
	for _, tail := range [][]byte{{0}, {0xf6}, b} {
		if _, err := ParseInitial(append(bytes.Clone(b), tail...)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes more: %v", len(tail), err)
		}
	}
	if _, err := ParseInitial(make([]byte, MaxInitial+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("over-long: %v", err)
	}
}

func TestR_X3D_07_Fields(t *testing.T) {
	good := newWorld(t, OneTime).initiate(t).Initial
	if len(good) > MaxInitial {
		t.Fatalf("a first message takes %d bytes", len(good))
	}
	lowOrder := append([]byte{1}, make([]byte, 31)...)
	nonCanonical := append([]byte{0xee}, bytes.Repeat([]byte{0xff}, 31)...)
	nonCanonical[31] = 0x7f
	for name, c := range map[string]struct {
		change func(*wireInitial)
		want   error
	}{
		"suite 0":                  {func(w *wireInitial) { w.Suite = 0 }, ErrSuite},
		"suite 2":                  {func(w *wireInitial) { w.Suite = 2 }, ErrSuite},
		"identity of low order":    {func(w *wireInitial) { w.Identity = lowOrder }, ErrPublicKey},
		"identity all zero":        {func(w *wireInitial) { w.Identity = make([]byte, 32) }, ErrPublicKey},
		"identity not canonical":   {func(w *wireInitial) { w.Identity = nonCanonical }, ErrPublicKey},
		"identity of 31 bytes":     {func(w *wireInitial) { w.Identity = w.Identity[:31] }, ErrPublicKey},
		"ephemeral of low order":   {func(w *wireInitial) { w.Ephemeral = lowOrder }, ErrPublicKey},
		"ephemeral all zero":       {func(w *wireInitial) { w.Ephemeral = make([]byte, 32) }, ErrPublicKey},
		"ephemeral not canonical":  {func(w *wireInitial) { w.Ephemeral = nonCanonical }, ErrPublicKey},
		"ephemeral with top bit":   {func(w *wireInitial) { w.Ephemeral[31] |= 0x80 }, ErrPublicKey},
		"ephemeral of 33 bytes":    {func(w *wireInitial) { w.Ephemeral = append(w.Ephemeral, 0) }, ErrPublicKey},
		"signed id 0":              {func(w *wireInitial) { w.SignedID = 0 }, ErrMalformed},
		"KEM id 0":                 {func(w *wireInitial) { w.KEMID = 0 }, ErrMalformed},
		"kind 0":                   {func(w *wireInitial) { w.KEMKind = 0 }, ErrMalformed},
		"kind signed":              {func(w *wireInitial) { w.KEMKind = 1 }, ErrMalformed},
		"kind 258":                 {func(w *wireInitial) { w.KEMKind = 258 }, ErrMalformed},
		"ciphertext one too short": {func(w *wireInitial) { w.Ciphertext = w.Ciphertext[1:] }, ErrMalformed},
		"ciphertext one too long":  {func(w *wireInitial) { w.Ciphertext = append(w.Ciphertext, 0) }, ErrMalformed},
		"ciphertext empty":         {func(w *wireInitial) { w.Ciphertext = nil }, ErrMalformed},
	} {
		w := decodeInitial(t, bytes.Clone(good))
		c.change(&w)
		if _, err := ParseInitial(codec.Marshal(w)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Whichever byte of a first message is altered, it is refused or gives another
// secret and another session id.
func TestR_X3D_07_EveryByteCounts(t *testing.T) {
	w := newWorld(t, OneTime)
	started := w.initiate(t)
	for i := range started.Initial {
		bad := bytes.Clone(started.Initial)
		bad[i] ^= 1 << (i % 8)
		a, err := Respond(w.bob, w.alice.Party, bad, &w.keys)
		if err == nil && (a.Secret == started.Secret || a.ID == started.ID) {
			t.Errorf("byte %d altered: the secret or the id is the same", i)
		}
	}
}

func TestR_X3D_08_SessionID(t *testing.T) {
	w := newWorld(t, LastResort)
	a, b := w.initiate(t), w.initiate(t)
	if a.ID != SessionID(a.Initial) || a.ID != b.ID {
		t.Error("the id is not a function of the first message")
	}
	i, err := ParseInitial(a.Initial)
	if err != nil || i.ID != a.ID {
		t.Error("the parsed message has another id", err)
	}
	c, err := Initiate(w.alice, &w.offer)
	if err != nil || c.ID == a.ID {
		t.Error("two sessions have one id", err)
	}
}

func FuzzParseInitial(f *testing.F) {
	for _, s := range strengths {
		f.Add(newWorld(f, s).initiate(f).Initial)
	}
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := ParseInitial(b)
		if err != nil {
			return
		}
		if again := i.encode(); !bytes.Equal(again, b) {
			t.Errorf("%x parses but encodes to %x", b, again)
		}
		if i.ID != SessionID(b) {
			t.Error("wrong session id")
		}
	})
}
