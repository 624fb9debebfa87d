package content

import (
	"bytes"
	"testing"
)

// R-CNT-04: unpad accepts what pad returns and nothing else.
func FuzzPadding(f *testing.F) {
	f.Add([]byte{}, []byte{0x80})
	f.Add([]byte("text"), pad([]byte("text")))
	f.Add([]byte{0x80, 0, 0}, pad([]byte{0x80, 0, 0}))
	f.Add(make([]byte, 300), append(pad(nil), 0))
	f.Fuzz(func(t *testing.T, plain, padded []byte) {
		if len(plain) > MaxContent {
			plain = plain[:MaxContent]
		}
		if got, err := unpad(pad(plain)); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%x comes back as %x, %v", plain, got, err)
		}
		if got, err := unpad(padded); err == nil && !bytes.Equal(pad(got), padded) {
			t.Errorf("%x is accepted, but %x is padded otherwise", padded, got)
		}
	})
}

// The longest object fits its bound.
func TestPaddedBound(t *testing.T) {
	if n := len(pad(make([]byte, MaxContent))); n > MaxPadded {
		t.Errorf("%d bytes, bound %d", n, MaxPadded)
	}
}
