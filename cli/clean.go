package cli

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes text that came from elsewhere fit for a terminal (R-CLI-06):
// nothing in it can move the cursor, change colours, turn the direction of
// writing or hide. A line break becomes a space, so that a name or a text
// stays on the line it was given. What is not UTF-8 shows as U+FFFD.
func clean(s string) string { return scrub(s, " ") }

// cleanLines is clean for text that may have several lines: it keeps them.
func cleanLines(s string) string { return scrub(s, "\n") }

func scrub(s, lineBreak string) string {
	ok := utf8.ValidString(s)
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= 0x20 && s[i] < 0x7f
	}
	if ok {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r == '\n', r == '\u2028', r == '\u2029':
			b.WriteString(lineBreak)
		case r == '\t':
			b.WriteByte(' ')
		case hidden(r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden reports whether r is a character without a picture of its own: the
// controls of C0 and C1 (escape among them), every format character (bidi
// overrides and isolates, zero-width joiners and spaces, soft hyphens, tags),
// and the letters that Unicode says to ignore, such as the Hangul fillers.
// Variation selectors stay: they are part of many emoji.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// escapeJSON does for encoded JSON what clean does for text, without losing
// anything: a hidden character can only stand inside a string, so it becomes
// its \u escape.
func escapeJSON(encoded []byte) []byte {
	const digits = "0123456789abcdef"
	plain := true
	for _, c := range encoded {
		if c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return encoded
	}
	out := make([]byte, 0, len(encoded)+16)
	unit := func(u rune) {
		out = append(out, '\\', 'u', digits[u>>12&15], digits[u>>8&15], digits[u>>4&15], digits[u&15])
	}
	for len(encoded) > 0 {
		r, n := utf8.DecodeRune(encoded)
		switch {
		case !hidden(r) || r < 0x20:
			out = append(out, encoded[:n]...)
		case r > 0xffff:
			r -= 0x10000
			unit(0xd800 + r>>10)
			unit(0xdc00 + r&0x3ff)
		default:
			unit(r)
		}
		encoded = encoded[n:]
	}
	return out
}
