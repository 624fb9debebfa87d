package ratchet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/dh"
)

// The derivations against the standard library, through the model's functions.
func TestR_RAT_02_Start(t *testing.T) {
	secret := [32]byte{1, 2, 3}
	root, mine, theirs := start(&secret)
	want := expand(secret[:], "pawl/1 ratchet start", 96)
	if got := append(append(root[:], mine[:]...), theirs[:]...); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestR_RAT_03_Advance(t *testing.T) {
	own, peer := dh.Generate()
	root := rootKey{9}
	m := &model{root: bytes.Clone(root[:]), secrets: map[uint32][]byte{8: bytes.Repeat([]byte{8}, 32), 9: bytes.Repeat([]byte{9}, 32)}}
	m.mixed = 7
	shared, err := own.Shared(peer)
	if err != nil {
		t.Fatal(err)
	}
	next, b := root.advance(&shared, []epochKey{epochKey(m.secrets[8]), epochKey(m.secrets[9])})
	secret := own.Export()
	r, c, h, s, _ := m.agree(secret[:], peer.Bytes(), 9)
	if !bytes.Equal(next[:], r) || !bytes.Equal(b.chain[:], c) || !bytes.Equal(b.header[:], h) || !bytes.Equal(b.seed[:], s) {
		t.Error("other keys than the specification's")
	}
	if shared != [32]byte{} {
		t.Error("DH result not erased")
	}
}

func TestR_RAT_04_ChainAndMACKeys(t *testing.T) {
	c := chainKey{1}
	want, next := mac(c[:], []byte{1}), mac(c[:], []byte{2})
	d := c
	if k := c.step(); !bytes.Equal(k[:], want) || !bytes.Equal(c[:], next) {
		t.Error("step differs")
	}
	if d.pass(); d != c {
		t.Error("pass and step differ")
	}
	s := macSeed{2}
	if k := s.key(0x01020304); !bytes.Equal(k[:], mac(s[:], []byte{3, 1, 2, 3, 4})) {
		t.Error("MAC key differs")
	}
}

func TestR_RAT_27_SecretsDoNotPrint(t *testing.T) {
	c := newTalk(t)
	c.rounds(2)
	c.burst(&c.alice, 1)
	c.pass(&c.alice, &c.bob, "skips")
	send := c.alice.turn.(*sending)
	own := send.own.Export()
	secrets := []any{
		c.bob, c.bob.turn, c.bob.current, &c.bob.current, c.bob.current.skipped, c.bob.current.skipped[0], c.bob.following, *c.bob.following,
		branch{chain: send.key, seed: send.seed, header: send.header}, *send, *send.sendingChain, waiting{own: send.own, header: send.header},
		replying{header: send.header}, []State{c.bob}, map[int]State{1: c.bob}, struct{ S State }{c.bob},
		rootKey{0xab}, chainKey{0xab}, messageKey{0xab}, headerKey{0xab}, macSeed{0xab}, macKey{0xab},
		c.alice, &c.alice, Sealed{Next: c.alice}, Opened{Next: c.alice}, c.alice.turn, c.alice.current, c.alice.own(t),
	}
	var hidden []string
	for _, k := range [][32]byte{c.alice.root, c.alice.key, c.alice.current.seed, c.alice.current.cipher.key, {0xab}, own,
		send.key, send.seed, send.header, c.bob.root, c.bob.key, c.bob.current.seed, c.bob.current.skipped[0].key, c.bob.following.key} {
		hidden = append(hidden, hex.EncodeToString(k[:8]), strings.Trim(fmt.Sprint(k[:8]), "[]"))
	}
	for _, s := range secrets {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			out := fmt.Sprintf(verb, s)
			for _, h := range hidden {
				if strings.Contains(strings.ReplaceAll(out, ", ", " "), h) {
					t.Errorf("%T with %s prints a secret", s, verb)
				}
			}
		}
	}
}

// own is the private key of a state that has one.
func (s State) own(t *testing.T) dh.PrivateKey {
	t.Helper()
	switch x := s.turn.(type) {
	case *sending:
		return x.own
	case *waiting:
		return x.own
	}
	return dh.PrivateKey{}
}
