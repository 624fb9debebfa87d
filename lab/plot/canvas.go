package plot

import (
	"bytes"
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode"
)

// canvas is a document being written. It is HTML that is well-formed XML too.
type canvas struct{ bytes.Buffer }

// markup is text that put leaves as it is.
type markup string

// px is a length, written with at most one decimal.
type px float64

func (p px) String() string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(p), 'f', 1, 64), ".0")
}

// put writes markup. Every string among args is text from elsewhere and is
// escaped (R-LAB-22).
func (c *canvas) put(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = escape(s)
		}
	}
	fmt.Fprintf(c, format, args...)
}

// escape makes a text fit for content and attributes: no markup, no control or
// format characters, which could turn the direction of what follows.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Noncharacter_Code_Point, unicode.Other_Default_Ignorable_Code_Point):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return html.EscapeString(s)
}

// short cuts a name to what has room.
func short(s string) string {
	runes := []rune(s)
	if len(runes) > MaxName {
		return string(runes[:MaxName-1]) + "…"
	}
	return s
}

// span is a stretch of numbers in words.
func span(a, b int) string {
	if a == b {
		return strconv.Itoa(a)
	}
	return strconv.Itoa(a) + "–" + strconv.Itoa(b)
}

// figure writes a figure whose drawing scrolls within it, so that the page
// does not. Its alternative comes after it.
func (c *canvas) figure(id, title, text string, width, height px, draw func()) {
	c.put(`<figure id="%s"><figcaption><h2>%s</h2><p>%s</p></figcaption>`+"\n", id, title, text)
	c.put(`<div class="scroll" role="region" aria-label="%s" tabindex="0">`, title)
	c.put(`<svg role="img" aria-labelledby="%s-title %s-desc" width="%s" height="%s" viewBox="0 0 %s %s">`, id, id, width, height, width, height)
	c.put(`<title id="%s-title">%s</title><desc id="%s-desc">%s</desc>`+"\n", id, title, id, text)
	draw()
	c.put("</svg></div></figure>\n")
}

// count is a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// marks are round numbers from 1 to most, about n of them.
func marks(most, n int) []int {
	every := step(most, n)
	out := []int{1}
	for next := max(every, 1+(every+1)/2); next <= most; next += every {
		out = append(out, next)
	}
	return out
}

// step is a round distance for about n marks up to most.
func step(most, n int) int {
	for s := 1; ; s *= 10 {
		for _, k := range []int{1, 2, 5} {
			if most/(s*k) <= n {
				return s * k
			}
		}
	}
}
