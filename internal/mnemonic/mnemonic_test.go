package mnemonic

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

func repeated(b byte) (s [32]byte) {
	copy(s[:], bytes.Repeat([]byte{b}, len(s)))
	return s
}

func unhex(t *testing.T, s string) (out [32]byte) {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(out) {
		t.Fatal(err)
	}
	copy(out[:], b)
	return out
}

// The list is BIP-39's: in order, every word known by four letters.
func TestR_BAK_10_List(t *testing.T) {
	if sum := sha256.Sum256([]byte(english)); hex.EncodeToString(sum[:]) != "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda" {
		t.Errorf("SHA-256 %x", sum)
	}
	words := list()
	if len(words) != 1<<bits || !slices.IsSorted(words) {
		t.Errorf("%d words", len(words))
	}
	seen := map[string]bool{}
	for _, w := range words {
		w = w[:min(prefix, len(w))]
		if seen[w] {
			t.Errorf("%s begins two words", w)
		}
		seen[w] = true
	}
}

// The published vectors of BIP-39 for 256 bits.
func TestR_BAK_10_Vectors(t *testing.T) {
	for _, v := range []struct {
		secret [32]byte
		words  string
	}{
		{repeated(0), strings.Repeat("abandon ", 23) + "art"},
		{repeated(0x7f), "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title"},
		{repeated(0x80), "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless"},
		{repeated(0xff), strings.Repeat("zoo ", 23) + "vote"},
		{unhex(t, "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c"),
			"hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length"},
		{unhex(t, "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f"),
			"void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold"},
	} {
		if got := strings.Join(Encode(v.secret), " "); got != v.words {
			t.Errorf("%x: %s", v.secret, got)
		}
		if got, err := Decode(v.words); err != nil || got != v.secret {
			t.Errorf("%s: %x, %v", v.words, got, err)
		}
	}
}

// As people write: numbered, in capitals, with four letters.
func TestR_BAK_10_Reading(t *testing.T) {
	var secret [32]byte
	for range 50 {
		rand.Read(secret[:])
		words := Encode(secret)
		var text strings.Builder
		for i, w := range words {
			text.WriteString(" \t" + string(rune('0'+i%10)) + ". " + strings.ToUpper(w[:min(prefix, len(w))]) + "\r\n")
		}
		if got, err := Decode(text.String()); err != nil || got != secret {
			t.Fatalf("%x, %v", got, err)
		}
		if _, err := Decode(strings.Join(words[:23], " ")); !errors.Is(err, ErrCount) {
			t.Errorf("23 words: %v", err)
		}
		if _, err := Decode(strings.Join(append(words, "zoo"), " ")); !errors.Is(err, ErrCount) {
			t.Errorf("25 words: %v", err)
		}
		var unknown *WordError
		words[6] = "pawl"
		if _, err := Decode(strings.Join(words, " ")); !errors.As(err, &unknown) || unknown.Number != 7 || strings.Contains(err.Error(), "pawl") {
			t.Errorf("an unknown word: %v", err)
		}
	}
	for _, text := range []string{"", "1 2 3", "aba", strings.Repeat("abandon ", 24), "zoo\xff"} {
		if _, err := Decode(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// Of 256 words in the last place only those with the right checksum pass.
func TestR_BAK_10_Checksum(t *testing.T) {
	words := Encode(repeated(0x5a))
	passed := 0
	for _, w := range list() {
		words[23] = w
		if _, err := Decode(strings.Join(words, " ")); err == nil {
			passed++
		} else if !errors.Is(err, ErrChecksum) {
			t.Fatal(err)
		}
	}
	if passed != 8 {
		t.Errorf("%d of 2048 last words pass, want 8", passed)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(strings.Repeat("abandon ", 23) + "art")
	f.Add(strings.Repeat("ZOO 1. ", 23) + "vote")
	f.Add("abandon abandon")
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := Decode(text)
		if err != nil {
			return
		}
		if again, err := Decode(strings.Join(Encode(secret), " ")); err != nil || again != secret {
			t.Errorf("%q: %v", text, err)
		}
	})
}
