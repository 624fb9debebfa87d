package cli

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columns counts how many columns of a terminal s takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r < 0x7f {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// fit cuts s to at most n columns, with … where something is gone.
func fit(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if w := runeColumns(r); n-w < 1 {
			break
		} else {
			n -= w
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}

// pad fills s up with spaces to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-columns(s)))
}

// table lays rows out in aligned columns, the last one cut so that a line
// takes at most limit columns; 0 is no limit.
func table(limit int, rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line, used := "", 0
		for i, cell := range row {
			if i == len(row)-1 {
				if limit > 0 {
					cell = fit(cell, max(limit-used, 8))
				}
				line += cell
				break
			}
			line += pad(cell, widths[i]) + "  "
			used += widths[i] + 2
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// wrap sets prose in lines of at most n columns. Lines that begin with a space
// are kept as they are, and so are empty ones, which part paragraphs.
func wrap(s string, n int) string {
	var out []string
	flowing := false
	for line := range strings.SplitSeq(s, "\n") {
		if line == "" || line[0] == ' ' {
			out, flowing = append(out, line), false
			continue
		}
		for word := range strings.FieldsSeq(line) {
			if last := len(out) - 1; flowing && columns(out[last])+1+columns(word) <= n {
				out[last] += " " + word
				continue
			}
			out, flowing = append(out, word), true
		}
	}
	return strings.Join(out, "\n")
}
