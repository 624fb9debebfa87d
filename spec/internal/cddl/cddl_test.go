package cddl

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

const sample = `
; a comment
message = {
  1: uint .le 3,            ; version
  2 => id,
  ? 3: tstr .size (1..4),
  ? "name": bool / null,
  ? extra,
}
extra = ( 8: bstr .cbor pair, 9: -5..5, )
id = bytes .size 2
pair = [ id, * (uint, tstr), ? nint ]
table = { 1*2 uint => any }
list = [ 2*3 kind, ]
kind = 1 / 2 / "x" / h'00 ff' / true
word = tstr .regexp "[a-z]+"
small = uint .size 1
limit = 7
below = 0 ... limit
same = int .eq 4
other = int .ne 4
count = (uint .gt 1) .lt limit
maybe = [ ? id, + uint ]
label = { name: uint }
`

func parse(t testing.TB, text string) *Spec {
	t.Helper()
	s, err := Parse(Source{"sample", text})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMatch(t *testing.T) {
	s := parse(t, sample)
	for _, c := range []struct {
		rule, hex string
		ok        bool
	}{
		{"message", "a201010242aabb", true},
		{"message", "a201030242aabb", true},
		{"message", "a201040242aabb", false},                // .le
		{"message", "a1010102", false},                      // bytes after the item
		{"message", "a10101", false},                        // a member is missing
		{"message", "a201010241aa", false},                  // .size
		{"message", "a201010262aabb", false},                // not UTF-8
		{"message", "a20101026261 61", false},               // text for bytes
		{"message", "a301010242aabb0361 61", true},          // .size of text
		{"message", "a301010242aabb0360", false},            // too short
		{"message", "a301010242aabb036561616161 61", false}, // too long
		{"message", "a301010242aabb0400", false},            // unknown key
		{"message", "a301010242aabb646e616d65f5", true},
		{"message", "a301010242aabb646e616d65f6", true},
		{"message", "a301010242aabb646e616d6500", false},
		{"message", "a401010242aabb08448142aabb0924", true},  // .cbor and a group
		{"message", "a401010242aabb08448142aabb0925", false}, // -6
		{"message", "a401010242aabb08438141aa0924", false},   // wrong inside
		{"message", "a401010242aabb0841180924", false},       // inside is not CBOR
		{"message", "a301010242aabb08448142aabb", false},     // half a group
		{"message", "a20242aabb0101", false},                 // keys out of order
		{"message", "a2180101 0242aabb", false},              // not shortest
		{"message", "80", false},
		{"pair", "8142aabb", true},
		{"pair", "8342aabb016161", true},
		{"pair", "8642aabb01616102616120", true},
		{"pair", "8242aabb01", false}, // half a repetition
		{"pair", "80", false},
		{"pair", "8342aabb2020", false},
		{"table", "a10180", true},
		{"table", "a2018002f6", true},
		{"table", "a0", false},
		{"table", "a3018002f60300", false},
		{"table", "a12080", false},
		{"list", "820102", true},
		{"list", "8301617842 00ff", true},
		{"list", "8101", false},
		{"list", "8401010101", false},
		{"list", "8201f5", true},
		{"list", "8201f4", false},
		{"list", "820103", false},
		{"word", "626162", true},
		{"word", "626141", false},
		{"word", "60", false},
		{"small", "18ff", true},
		{"small", "190100", false},
		{"below", "06", true},
		{"below", "07", false},
		{"same", "04", true},
		{"same", "05", false},
		{"other", "04", false},
		{"other", "24", true},
		{"count", "02", true},
		{"count", "01", false},
		{"count", "07", false},
		{"maybe", "8101", true},
		{"maybe", "8242aabb01", true},
		{"maybe", "8142aabb", false},
		{"label", "a1646e616d6501", true},
		{"label", "a10101", false},
		{"kind", "fb3ff0000000000000", false}, // float
		{"kind", "c001", false},               // tag
		{"kind", "f7", false},                 // undefined
		{"kind", "9f01ff", false},             // indefinite
		{"kind", "1900", false},               // truncated
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(c.hex, err)
		}
		_, err = s.Match(c.rule, b)
		if (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.rule, c.hex, err)
		}
		if err != nil && !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrEncoding) {
			t.Errorf("%s %s: an error of no class: %v", c.rule, c.hex, err)
		}
	}
	if _, err := s.Match("nothing", []byte{0}); err == nil {
		t.Error("a rule that is not there matched")
	}
}

func TestUsedNamesOnlyRulesThatTookPart(t *testing.T) {
	s := parse(t, sample)
	b, _ := hex.DecodeString("a401010242aabb08448142aabb0924")
	used, err := s.Match("message", b)
	if want := []string{"extra", "id", "message", "pair"}; err != nil || !slices.Equal(used, want) {
		t.Errorf("used %v, want %v (%v)", used, want, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"a = ", "a", "= 1", "a = b", "a = 1 a = 2", "uint = 3", "a = [ b ]", "a = { 1: b }", "a = uint .size b",
		"a = #6.1(uint)", "a = 1.5", "a = ~b", "a = { 1: }", "a = [ 1", "a = ( 1: uint", `a = "x`, "a = h'0'", "a = h'00",
		"a = uint .bits 3", "a<t> = 1", "a = 5*2 uint", "a = [ 5*2 uint ]", "a = 01", "a = 1_0", `a = "\n"`,
		"a = tstr .regexp 3", `a = tstr .regexp "("`, "a /= 1", "a //= (1: 2)", "a = { uint .size 3: 1 }", "a = 1 .. ",
		"a = " + strings.Repeat("[", 1000), "a = " + strings.Repeat("(", 1000), "a = [" + strings.Repeat("(", 1000),
	} {
		if _, err := Parse(Source{"x", text}); err == nil {
			t.Errorf("%.40q was accepted", text)
		}
	}
	if _, err := Parse(Source{"x", "a = 1"}, Source{"y", "a = 1"}); err == nil {
		t.Error("a rule was defined in two files")
	}
}

func TestEndlessRuleEnds(t *testing.T) {
	for _, text := range []string{"a = a", "a = a / a", "a = b b = [ a ] / a", "a = [ g ] g = ( g )", "a = { g } g = ( ? 1: uint, g, )", "a = [ * g ] g = ( ? uint, )", "a = uint .lt b b = c c = b"} {
		for _, b := range [][]byte{{0x01}, {0x80}, {0xa0}, {0x81, 0x20}} {
			if _, err := parse(t, text).Match("a", b); err == nil && text != "a = [ * g ] g = ( ? uint, )" {
				t.Errorf("%q matched %x", text, b)
			}
		}
	}
}

func TestIntegersCompare(t *testing.T) {
	order := []Value{{Kind: Nint, N: 1<<64 - 1}, {Kind: Nint, N: 1}, {Kind: Nint, N: 0}, {Kind: Uint, N: 0}, {Kind: Uint, N: 1}, {Kind: Uint, N: 1<<64 - 1}}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.compare(b), min(1, max(-1, i-j)); got != want {
				t.Errorf("%v against %v: %d, want %d", a, b, got, want)
			}
		}
	}
}

// FuzzDecode holds that what is accepted encodes to itself, so that no two
// encodings of one value are accepted, and that no prefix of it is accepted.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"a401010242aabb08448142aabb0924", "8301617842 00ff", "1bffffffffffffffff", "3bffffffffffffffff", "f6", "f5", "9f01ff", "c001"} {
		b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Decode(b)
		if err != nil {
			return
		}
		if got := v.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x encodes again to %x", b, got)
		}
		if _, err := Decode(b[:len(b)-1]); err == nil {
			t.Fatalf("a prefix of %x was accepted", b)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(sample, []byte{0xa0})
	f.Add("a = [ * (a / b) ] b = { 1*3 uint => a }", []byte{0x81, 0x80})
	f.Add("a = [ g ] g = ( ? uint, * g )", []byte{0x80})
	f.Fuzz(func(t *testing.T, text string, b []byte) {
		s, err := Parse(Source{"fuzz", text})
		if err != nil {
			return
		}
		for _, r := range s.Rules() {
			_, _ = s.Match(r, b)
		}
	})
}
