package content_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
)

// R-TRN-20: a signature is 64 bytes or none, and travels unchanged.
func TestSignatureOfText(t *testing.T) {
	for n, want := range map[int]error{0: nil, 64: nil, 1: content.ErrMalformed, 63: content.ErrMalformed, 65: content.ErrMalformed} {
		signature := bytes.Repeat([]byte{7}, n)
		c, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: "hello", Signature: signature})
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
		if err != nil {
			continue
		}
		got, err := content.Decode(c.Encode())
		if err != nil || !bytes.Equal(got.Text.Signature, signature) {
			t.Errorf("%d bytes: %x, %v", n, got.Text.Signature, err)
		}
	}
}
