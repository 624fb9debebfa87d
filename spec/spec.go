// Package spec is pawl's specification: chapters in Markdown whose requirements
// are numbered, CDDL for every encoded object, the table of domain-separation
// labels, the table of limits, and test vectors. README.md in this directory is
// the index and tells the conventions.
//
// The files are embedded, so that programs which check another implementation
// can carry them. The tests beside this file hold that documents and code
// agree: every requirement is cited in code and in a test, every label and
// limit in the code stands in its table, every vector fits its CDDL.
//
// Not its concern: what the objects mean. Production code imports nothing from
// here but the command line, which hands the vectors out and checks others'.
package spec

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

//go:embed *.md cddl vectors
var files embed.FS

// Files returns the specification: *.md, cddl/*.cddl and vectors/*.json.
func Files() fs.FS { return files }

// Requirement is one numbered line of a chapter.
type Requirement struct {
	ID      string // R-RAT-07
	Chapter string // ratchet.md
	Line    int
}

// Row is one line of the table of labels or of limits.
type Row struct {
	Section string // the heading above the table: a package's directory
	Name    string // without backquotes
	Quoted  bool   // the name stood in backquotes
	Cells   []string
	Line    int
}

// Chapters returns the text of every chapter by file name.
func Chapters() (map[string]string, error) {
	names, err := fs.Glob(files, "*.md")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, n := range names {
		b, err := files.ReadFile(n)
		if err != nil {
			return nil, err
		}
		out[path.Base(n)] = string(b)
	}
	return out, nil
}

var defines = regexp.MustCompile(`^\s*[-*] \*\*(R-[A-Z0-9]{3}-[0-9]{2,3})\*\*`)

// Requirements returns the requirements that the chapters define, one entry
// for each place; an id that is defined twice is an error.
func Requirements(chapters map[string]string) ([]Requirement, error) {
	var out []Requirement
	seen := map[string]string{}
	for chapter, text := range chapters {
		for i, line := range strings.Split(text, "\n") {
			m := defines.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			here := fmt.Sprintf("%s:%d", chapter, i+1)
			if other, ok := seen[m[1]]; ok {
				return nil, fmt.Errorf("%s is defined at %s and at %s", m[1], other, here)
			}
			seen[m[1]] = here
			out = append(out, Requirement{ID: m[1], Chapter: chapter, Line: i + 1})
		}
	}
	return out, nil
}

// Table returns the rows of every table in a chapter, headers left out.
func Table(chapter string) []Row {
	var out []Row
	var section string
	lines := strings.Split(chapter, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.Trim(strings.TrimSpace(rest), "`")
		}
		cells, ok := split(line)
		if !ok || separator(cells) {
			continue
		}
		if i+1 < len(lines) {
			if next, ok := split(lines[i+1]); ok && separator(next) {
				continue // the header
			}
		}
		name := strings.Trim(cells[0], "`")
		out = append(out, Row{Section: section, Name: name, Quoted: name != cells[0], Cells: cells[1:], Line: i + 1})
	}
	return out
}

func split(line string) ([]string, bool) {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != '|' || line[len(line)-1] != '|' {
		return nil, false
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(c)
	}
	return cells, true
}

func separator(cells []string) bool {
	for _, c := range cells {
		if strings.Trim(c, "-:") != "" || c == "" {
			return false
		}
	}
	return true
}
