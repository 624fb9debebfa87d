package cddl

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

type tokenKind uint8

const (
	end     tokenKind = iota
	name              // text
	literal           // value
	control           // text without its dot
	punct             // text: = / { } [ ] ( ) , : => ? * + .. ...
)

type token struct {
	kind  tokenKind
	text  string
	value Value
	pos   int // offset of the first byte
	after int // offset after the last byte
	line  int
}

func (t token) is(text string) bool { return t.kind == punct && t.text == text }

func (t token) String() string {
	switch t.kind {
	case end:
		return "end of file"
	case literal:
		return "literal " + t.value.String()
	case control:
		return "." + t.text
	}
	return strconv.Quote(t.text)
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '@' || c == '$'
}
func digit(c byte) bool { return c >= '0' && c <= '9' }

// scan cuts source into tokens. Comments are dropped.
func scan(source string) ([]token, error) {
	var out []token
	line := 1
	for i := 0; ; {
		for i < len(source) && strings.IndexByte(" \t\r\n;", source[i]) >= 0 {
			if source[i] == ';' {
				for i < len(source) && source[i] != '\n' {
					i++
				}
				continue
			}
			if source[i] == '\n' {
				line++
			}
			i++
		}
		if i == len(source) {
			return append(out, token{kind: end, pos: i, after: i, line: line}), nil
		}
		t, err := one(source, i)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		t.pos, t.line = i, line
		out = append(out, t)
		i = t.after
	}
}

// one reads the token that starts at i.
func one(source string, i int) (token, error) {
	rest := source[i:]
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "h'"):
		n := strings.IndexByte(rest[2:], '\'')
		if n < 0 {
			return token{}, fmt.Errorf("byte string without end")
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(rest[2:2+n]), ""))
		if err != nil {
			return token{}, fmt.Errorf("byte string is not hexadecimal")
		}
		return token{kind: literal, value: Value{Kind: Bytes, Data: b}, after: i + n + 3}, nil
	case letter(c):
		n := word(rest)
		return token{kind: name, text: rest[:n], after: i + n}, nil
	case digit(c) || c == '-' && len(rest) > 1 && digit(rest[1]):
		return number(rest, i)
	case c == '"':
		n := strings.IndexAny(rest[1:], "\"\n")
		if n < 0 || rest[1+n] != '"' {
			return token{}, fmt.Errorf("text without end")
		}
		text := rest[1 : 1+n]
		if strings.Contains(text, `\`) {
			return token{}, fmt.Errorf("escapes in text are not supported")
		}
		return token{kind: literal, value: Value{Kind: Text, Data: []byte(text)}, after: i + n + 2}, nil
	case c == '.' && len(rest) > 1 && letter(rest[1]):
		n := 1 + word(rest[1:])
		return token{kind: control, text: rest[1:n], after: i + n}, nil
	}
	for _, p := range []string{"...", "..", "=>", "//", "/=", "=", "/", "{", "}", "[", "]", "(", ")", ",", ":", "?", "*", "+"} {
		if strings.HasPrefix(rest, p) {
			return token{kind: punct, text: p, after: i + len(p)}, nil
		}
	}
	return token{}, fmt.Errorf("character %q is not supported", c)
}

// word is the length of the name that rest starts with: letters and digits,
// with hyphens and dots only between them.
func word(rest string) int {
	n := 1
	for n < len(rest) {
		m := n
		for m < len(rest) && (rest[m] == '-' || rest[m] == '.') {
			m++
		}
		if m == len(rest) || !letter(rest[m]) && !digit(rest[m]) {
			return n
		}
		n = m + 1
	}
	return n
}

func number(rest string, i int) (token, error) {
	n := 0
	if rest[0] == '-' {
		n++
	}
	for n < len(rest) && (digit(rest[n]) || letter(rest[n])) {
		n++
	}
	text := strings.TrimPrefix(rest[:n], "-")
	u, err := strconv.ParseUint(text, 0, 64)
	if err != nil || strings.ContainsRune(text, '_') || len(text) > 1 && text[0] == '0' && digit(text[1]) {
		return token{}, fmt.Errorf("number is not supported")
	}
	v := Value{Kind: Uint, N: u}
	if rest[0] == '-' && u > 0 {
		v = Value{Kind: Nint, N: u - 1}
	}
	return token{kind: literal, value: v, after: i + n}, nil
}
