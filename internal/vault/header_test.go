package vault

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// cheap is the least that a header may ask for.
var cheap = cost{Time: 1, Memory: minArgonMemory, Threads: 1}

// sample returns a header and the secret and key in it, all fixed.
func sample(m method) (*header, *secret, [32]byte) {
	master, salt, nonce := [32]byte{1, 2, 3}, [32]byte{4, 5, 6}, [24]byte{7, 8, 9}
	s := &secret{method: m, bytes: []byte("correct horse battery staple")}
	if m == byKeyFile {
		s.bytes = bytes.Repeat([]byte{0x5a}, KeyFileSize)
	}
	return wrapWith(&master, s, cheap, salt, nonce), s, master
}

// reframe puts a header's body into a frame with a right checksum.
func reframe(version uint64, body []byte) []byte {
	sum := checksum(version, body)
	return codec.Marshal(&frame{Version: version, Body: body, Sum: sum[:]})
}

func TestR_VLT_05_HeaderDamage(t *testing.T) {
	for _, m := range []method{byPassphrase, byKeyFile} {
		h, s, master := sample(m)
		b := h.encode()
		back, err := parseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := back.unwrap(s); err != nil || got != master {
			t.Fatalf("unwrap: %v", err)
		}
		for i := range b {
			for bit := range 8 {
				c := bytes.Clone(b)
				c[i] ^= 1 << bit
				if _, err := parseHeader(c); !errors.Is(err, ErrDamaged) {
					t.Errorf("byte %d, bit %d: %v", i, bit, err)
				}
			}
		}
		for n := range b {
			if _, err := parseHeader(b[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("cut to %d: %v", n, err)
			}
		}
		if _, err := parseHeader(append(bytes.Clone(b), 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("made longer: %v", err)
		}
		if _, err := parseHeader(reframe(version+1, codec.Marshal(h))); !errors.Is(err, ErrNewer) {
			t.Errorf("next version: %v", err)
		}
		if _, err := parseHeader(reframe(0, codec.Marshal(h))); !errors.Is(err, ErrDamaged) {
			t.Errorf("version 0: %v", err)
		}
	}
}

// A file cannot make us compute for hours or fill the memory.
func TestR_VLT_06_CostIsBounded(t *testing.T) {
	for _, c := range []struct {
		cost cost
		ok   bool
	}{
		{cost{argonTime, argonMemory, argonThreads}, true},
		{cost{maxArgonTime, maxArgonMemory, maxArgonThreads}, true},
		{cheap, true},
		{cost{maxArgonTime + 1, argonMemory, 4}, false},
		{cost{3, 100 << 20, 4}, false},
		{cost{3, maxArgonMemory + 1, 4}, false},
		{cost{3, argonMemory, maxArgonThreads + 1}, false},
		{cost{3, argonMemory, 256 + 4}, false},
		{cost{0, argonMemory, 4}, false},
		{cost{3, minArgonMemory - 1, 4}, false},
		{cost{3, argonMemory, 0}, false},
	} {
		h, _, _ := sample(byPassphrase)
		h.Cost = &c.cost
		_, err := parseHeader(h.encode())
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", c.cost, err)
		}
	}
	h, _, _ := sample(byPassphrase)
	h.Cost = nil
	if _, err := parseHeader(h.encode()); !errors.Is(err, ErrDamaged) {
		t.Errorf("no cost: %v", err)
	}
	h, _, _ = sample(byKeyFile)
	h.Cost = &cost{1, minArgonMemory, 1}
	if _, err := parseHeader(h.encode()); !errors.Is(err, ErrDamaged) {
		t.Errorf("a cost for a key file: %v", err)
	}
}

// The cost, the salt and the method are bound to the wrapped key: whoever
// changes one with its checksum gets a wrong key, not another derivation.
func TestR_VLT_04_HeaderIsBound(t *testing.T) {
	h, s, _ := sample(byKeyFile)
	h.Salt = bytes.Clone(h.Salt)
	h.Salt[0] ^= 1
	back, err := parseHeader(h.encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := back.unwrap(s); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another salt: %v", err)
	}
	h, s, _ = sample(byPassphrase)
	h.Cost = &cost{Time: 2, Memory: minArgonMemory, Threads: 1}
	if back, err = parseHeader(h.encode()); err != nil {
		t.Fatal(err)
	}
	if _, err := back.unwrap(s); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another cost: %v", err)
	}
	s.method = byKeyFile
	if _, err := back.unwrap(s); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another method: %v", err)
	}
}

func FuzzHeader(f *testing.F) {
	for _, m := range []method{byPassphrase, byKeyFile} {
		h, _, _ := sample(m)
		f.Add(h.encode())
		f.Add(codec.Marshal(h))
		f.Add(reframe(2, codec.Marshal(h)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Once as it is, once as a body with a right checksum, which no
		// mutation would find.
		for _, in := range [][]byte{b, reframe(version, b)} {
			h, err := parseHeader(in)
			if err != nil {
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
					t.Fatal(err)
				}
				continue
			}
			if !bytes.Equal(h.encode(), in) {
				t.Fatal("accepted what it would not write")
			}
			if h.Cost != nil && !h.Cost.valid() {
				t.Fatal("accepted a cost out of bounds")
			}
		}
	})
}

func FuzzRow(f *testing.F) {
	master := [32]byte{1}
	k := derive(&master)
	kb, gb := k.name(ofKey, "t", []byte("k")), k.name(ofGroup, "t", []byte("g"))
	f.Add(k.sealWith(nil, [24]byte{}, "t", kb, gb, Row{[]byte("k"), []byte("g"), 1, []byte("v")}), int64(1))
	f.Add([]byte("short"), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, order int64) {
		in := bytes.Clone(b)
		r, err := k.open(bytes.Clone(b), "t", kb, gb, order)
		if err != nil {
			if err != ErrDamaged {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(k.sealWith(nil, [24]byte(in), "t", kb, gb, r), in) {
			t.Fatal("accepted what it would not write")
		}
	})
}
