package x3dh_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// From a bundle to an opened message.
func TestFirstMessageOpens(t *testing.T) {
	p := newPair(t)
	initial, message := p.initiate(t, []byte("hello"))
	if got := p.respond(t, initial, message); !bytes.Equal(got, []byte("hello")) {
		t.Errorf("%q", got)
	}
}

// What the handshake cannot refuse, because anybody could have sent it, the
// first ratchet message does: an altered KEM ciphertext, ephemeral key or id
// gives a secret under which it does not open.
//
// R-X3D-03
func TestAlteredFirstMessageDoesNotOpen(t *testing.T) {
	p := newPair(t)
	initial, message := p.initiate(t, []byte("hello"))
	i, err := x3dh.ParseInitial(initial)
	if err != nil {
		t.Fatal(err)
	}
	var found [3]prekeys.Private
	for n, id := range []uint64{i.SignedID, i.OneTimeID, i.KEMID} {
		if found[n], err = prekeys.ParsePrivate(p.records[id]); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := prekeys.Keys(&found[0], &found[1], &found[2])
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for at := 0; at < len(initial); at += 1 + at/100 {
		bad := bytes.Clone(initial)
		bad[at] ^= 0x10
		a, err := x3dh.Respond(p.bob, p.alice.Party, bad, &keys)
		if err != nil {
			continue
		}
		opened++
		_, err = ratchet.Respond(&a.Secret, a.RatchetKey).Open(message, a.AD[:], p.now)
		if err == nil {
			t.Errorf("byte %d altered: the message opens", at)
		}
		if !errors.Is(err, ratchet.ErrUnknownChain) {
			t.Errorf("byte %d altered: %v", at, err)
		}
	}
	if opened < 50 {
		t.Errorf("only %d alterations reached the ratchet", opened)
	}
}
