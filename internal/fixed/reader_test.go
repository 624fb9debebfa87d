package fixed

import (
	"bytes"
	"testing"
)

func TestReader(t *testing.T) {
	r := Reader{Rest: append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, bytes.Repeat([]byte{7}, 32)...)}
	if b, x, y, z := r.Byte(), r.Uint16(), r.Uint32(), r.Uint64(); b != 1 || x != 0x0203 || y != 0x04050607 || z != 0x08090a0b0c0d0e0f {
		t.Errorf("%#x %#x %#x %#x", b, x, y, z)
	}
	if b := r.Take(2); !bytes.Equal(b, []byte{16, 17}) {
		t.Errorf("%v", b)
	}
	if k := r.Key(); k != [32]byte(bytes.Repeat([]byte{7}, 32)) || r.Bad || len(r.Rest) != 0 {
		t.Errorf("%v, %+v", k, r)
	}
}

// What is missing makes the reader bad for good, and everything after it zero.
func TestReaderMissing(t *testing.T) {
	for name, read := range map[string]func(r *Reader) bool{
		"bytes":    func(r *Reader) bool { return r.Take(2) == nil },
		"negative": func(r *Reader) bool { return r.Take(-1) == nil },
		"16":       func(r *Reader) bool { return r.Uint16() == 0 },
		"32":       func(r *Reader) bool { return r.Uint32() == 0 },
		"64":       func(r *Reader) bool { return r.Uint64() == 0 },
		"key":      func(r *Reader) bool { return r.Key() == [32]byte{} },
	} {
		r := Reader{Rest: []byte{9}}
		if !read(&r) || !r.Bad || r.Byte() != 0 || !r.Bad {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
