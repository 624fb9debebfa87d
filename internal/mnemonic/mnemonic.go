// Package mnemonic writes 32 secret bytes as 24 English words and reads them
// back (R-BAK-10). It is BIP-39's encoding of 256 bits with BIP-39's English
// list, so that other tools can check what is on the paper; of BIP-39 nothing
// else is used, no passphrase and no derivation.
//
// Not its concern: what the bytes are. The words are as secret as they are.
package mnemonic

import (
	"crypto/sha256"
	_ "embed" // the word list
	"errors"
	"slices"
	"strings"
)

//go:embed english.txt
var english string

// Words is how many words there are.
const Words = 24

const (
	bits   = 11 // of a word
	prefix = 4  // letters that tell a word from all others
)

// Refusals of Decode.
var (
	ErrCount    = errors.New("mnemonic: it takes 24 words")
	ErrChecksum = errors.New("mnemonic: the words do not belong together")
)

// WordError says which word is not in the list, counted from 1. It does not
// carry the word.
type WordError struct{ Number int }

func (*WordError) Error() string { return "mnemonic: a word is not in the list" }

func list() []string { return strings.Fields(english) }

// Encode writes a secret as words.
func Encode(secret [32]byte) []string {
	sum := sha256.Sum256(secret[:])
	all := append(secret[:], sum[0])
	defer clear(all)
	known := list()
	words := make([]string, 0, Words)
	value, held := 0, 0
	for _, b := range all {
		value, held = value<<8|int(b), held+8
		if held >= bits {
			held -= bits
			words = append(words, known[value>>held])
			value &= 1<<held - 1
		}
	}
	return words
}

// Decode reads the words of a text. Case and space between them do not matter,
// the first four letters of a word are enough, and numbers are skipped.
func Decode(text string) (secret [32]byte, err error) {
	known := list()
	all := make([]byte, 0, len(secret)+1)
	defer func() { clear(all) }()
	value, held, count := 0, 0, 0
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		if strings.Trim(word, "0123456789.):") == "" {
			continue
		}
		if count++; count > Words {
			return secret, ErrCount
		}
		place := find(known, word)
		if place < 0 {
			return secret, &WordError{count}
		}
		value, held = value<<bits|place, held+bits
		for held >= 8 {
			held -= 8
			all = append(all, byte(value>>held))
			value &= 1<<held - 1
		}
	}
	if count != Words {
		return secret, ErrCount
	}
	copy(secret[:], all)
	if sum := sha256.Sum256(secret[:]); sum[0] != all[len(secret)] {
		return [32]byte{}, ErrChecksum
	}
	return secret, nil
}

// find is the place of a word in the list, which is in order; -1 for none. A
// beginning of four letters or more counts as the word.
func find(known []string, word string) int {
	place, exact := slices.BinarySearch(known, word)
	switch {
	case exact:
		return place
	case len(word) >= prefix && place < len(known) && strings.HasPrefix(known[place], word):
		return place
	}
	return -1
}
