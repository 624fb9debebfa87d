package session

import (
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
	"testing"
)

// The longest content fits the ratchet, and the ratchet's longest message with
// an initial message fits the envelope.
func TestBoundsFitTogether(t *testing.T) {
	if content.MaxPadded > ratchet.MaxPlaintext {
		t.Errorf("content of %d bytes, plaintext of %d", content.MaxPadded, ratchet.MaxPlaintext)
	}
	long := make([]byte, ratchet.Overhead+ratchet.MaxFarewell*32+content.MaxPadded+x3dh.MaxInitial+address.MaxAddress+64)
	if len(long) > content.MaxEnvelope {
		t.Errorf("an envelope can have %d bytes", len(long))
	}
}
