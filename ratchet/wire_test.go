package ratchet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"testing"
)

func TestR_RAT_05_OuterForm(t *testing.T) {
	c := newTalk(t)
	m := c.seal(&c.alice, "text")
	for n := range len(m) {
		want := ErrMalformed
		if n >= Overhead {
			want = ErrForged // still a message, of a shorter text
		}
		c.refuse(c.bob, m[:n], want)
	}
	c.refuse(c.bob, append(bytes.Clone(m), 0), ErrForged)
	c.refuse(c.bob, make([]byte, MaxMessage+1), ErrTooLong)
	c.refuse(c.bob, nil, ErrMalformed)

	long := make([]byte, MaxMessage)
	for kind, counts := range map[byte]int{0: -1, TypeMessage: 5, TypeFarewell: 10, 3: -1, 255: -1} {
		for count := range 256 {
			long[0], long[countAt] = kind, byte(count)
			n := Overhead + count*seedLen
			_, err := ParseMessage(long[:min(n, len(long))])
			if ok := err == nil; ok != (count <= counts) {
				t.Errorf("type %d with %d seeds: %v", kind, count, err)
			}
			if count > 0 && count <= counts {
				if _, err := ParseMessage(long[:n-1]); !errors.Is(err, ErrMalformed) {
					t.Errorf("one byte short: %v", err)
				}
			}
		}
	}
	long[0], long[countAt] = TypeMessage, 0
	if _, err := ParseMessage(long); !errors.Is(err, ErrTooLong) {
		t.Errorf("body over its limit: %v", err)
	}

	if _, err := c.alice.Seal(make([]byte, MaxPlaintext+1), nil); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if _, err := c.alice.Seal(nil, make([]byte, MaxAD+1)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if _, err := c.alice.Farewell(make([]byte, MaxAD+1)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if _, err := c.bob.Open(m, make([]byte, MaxAD+1), c.now); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	x, err := c.alice.Seal(make([]byte, MaxPlaintext), make([]byte, MaxAD))
	if err != nil || len(x.Message) != Overhead+MaxPlaintext {
		t.Fatal(err)
	}
	if o, err := c.bob.Open(x.Message, make([]byte, MaxAD), c.now); err != nil || len(o.Plaintext) != MaxPlaintext {
		t.Error(err)
	}
}

func TestR_RAT_06_TagCoversEverything(t *testing.T) {
	c := newTalk(t)
	c.rounds(3)
	m := c.seal(&c.alice, "some text")
	w, err := ParseMessage(m)
	if err != nil || len(w.Disclosed) == 0 {
		t.Fatal("a message without disclosed seeds shows too little", err)
	}
	for i := range m {
		for bit := range 8 {
			changed := bytes.Clone(m)
			changed[i] ^= 1 << bit
			if _, err := c.bob.Open(changed, talkAD, c.now); err == nil {
				t.Errorf("byte %d, bit %d changed and opened", i, bit)
			}
		}
	}
	for _, ad := range [][]byte{nil, talkAD[1:], append(bytes.Clone(talkAD), 0)} {
		if _, err := c.bob.Open(m, ad, c.now); !errors.Is(err, ErrForged) {
			t.Errorf("other associated data: %v", err)
		}
	}
	if len(w.Tag) != 32 {
		t.Error("tag is cut")
	}
	c.open(&c.bob, m)
}

func TestR_RAT_07_BodyIsAStream(t *testing.T) {
	c := newTalk(t)
	key := c.alice.turn.(*sending).key
	text := bytes.Repeat([]byte("stream "), 50)
	x, err := c.alice.Seal(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, _ := ParseMessage(x.Message)
	k := key.step()
	block, _ := aes.NewCipher(k[:])
	plain := make([]byte, len(w.Body))
	cipher.NewCTR(block, append(bytes.Clone(w.Salt), 0, 0, 0, 0)).XORKeyStream(plain, w.Body)
	if !bytes.Equal(plain, text) {
		t.Error("not AES-256-CTR from the salt")
	}
}

func TestR_RAT_10_HeaderHidesAndIsOfOneSize(t *testing.T) {
	c := newTalk(t)
	turn := c.alice.turn.(*sending)
	for _, m := range c.burst(&c.alice, 3) {
		w, _ := ParseMessage(m)
		if len(w.Header) != 60 || bytes.Contains(m, turn.public[:]) {
			t.Error("header shows")
		}
		h, err := turn.cipher.aead.Open(nil, w.Salt, w.Header, m[:1])
		if err != nil || len(h) != 44 || !bytes.Equal(h[:32], turn.public[:]) {
			t.Error("header is not what the specification says", err)
		}
	}
	m := c.seal(&c.alice, "")
	m[0] = TypeFarewell // the type is bound to the header too
	c.refuse(c.bob, m, ErrUnknownChain)
}

func TestR_RAT_20_DisclosedSeedsAreReadableAndBound(t *testing.T) {
	c := newTalk(t)
	c.rounds(2)
	seed := c.bob.owed
	if len(seed) != 0 {
		t.Fatal("owed after sealing")
	}
	old := c.bob.current.seed
	c.pass(&c.alice, &c.bob, "closes the chain")
	if len(c.bob.owed) != 1 || c.bob.owed[0] != old {
		t.Fatal("the closed chain's seed is not owed")
	}
	m := c.seal(&c.bob, "discloses")
	w, _ := ParseMessage(m)
	if len(w.Disclosed) != 1 || w.Disclosed[0] != old {
		t.Error("not disclosed in the clear")
	}
	changed := bytes.Clone(m)
	changed[seedsAt] ^= 1
	c.refuse(c.alice, changed, ErrForged)
	if o := c.open(&c.alice, m); len(o.Disclosed) != 1 || o.Disclosed[0] != old {
		t.Error("not reported")
	}
}

func TestR_RAT_31_SaltIsNew(t *testing.T) {
	c := newTalk(t)
	seen := map[string]bool{}
	for range 50 {
		x, _ := c.alice.Seal(make([]byte, 32), nil) // from one state, as after a rollback
		w, _ := ParseMessage(x.Message)
		if seen[string(w.Salt)] || seen[string(w.Body)] {
			t.Fatal("salt or key stream used twice")
		}
		seen[string(w.Salt)], seen[string(w.Body)] = true, true
	}
}
