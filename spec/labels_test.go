package spec

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const labelPrefix = "pawl/1 "

// place is where a label stands.
type place struct{ label, dir, path string }

// labelsIn finds the string literals in non-test code that are labels.
func labelsIn(files []file) []place {
	var out []place
	for _, f := range files {
		if f.test || f.ast == nil {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(s, labelPrefix) {
					out = append(out, place{s, f.dir(), f.path})
				}
			}
			return true
		})
	}
	return out
}

// compareLabels holds the table and the code to be the same set.
func compareLabels(rows []Row, code []place) []string {
	var problems []string
	table := map[string]string{}
	for _, r := range rows {
		if !r.Quoted || !strings.HasPrefix(r.Name, labelPrefix) {
			problems = append(problems, fmt.Sprintf("labels.md:%d: %q is not a label in backquotes that begins with %q", r.Line, r.Name, labelPrefix))
			continue
		}
		if _, ok := table[r.Name]; ok {
			problems = append(problems, fmt.Sprintf("labels.md:%d: %q stands here a second time", r.Line, r.Name))
		}
		if len(r.Cells) == 0 {
			r.Cells = []string{""}
		}
		table[r.Name] = strings.Trim(r.Cells[0], "`")
	}
	seen := map[string]string{}
	var all []string
	for _, c := range code {
		if other, ok := seen[c.label]; ok {
			problems = append(problems, fmt.Sprintf("%s: %q stands in the code a second time, first in %s", c.path, c.label, other))
			continue
		}
		seen[c.label] = c.path
		all = append(all, c.label)
		switch dir, ok := table[c.label]; {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: %q is not in labels.md", c.path, c.label))
		case dir != c.dir:
			problems = append(problems, fmt.Sprintf("labels.md: %q belongs to %s, the table says %s", c.label, c.dir, dir))
		}
	}
	for l := range table {
		if seen[l] == "" {
			problems = append(problems, fmt.Sprintf("labels.md: no code has %q", l))
			all = append(all, l)
		}
	}
	// Sorted, a prefix stands directly before something it is a prefix of.
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] != all[i-1] && strings.HasPrefix(all[i], all[i-1]) {
			problems = append(problems, fmt.Sprintf("labels.md: %q is the beginning of %q", all[i-1], all[i]))
		}
	}
	return problems
}

func TestLabelsStandOnce(t *testing.T) {
	report(t, compareLabels(Table(chapter(t, "labels.md")), labelsIn(module(t))))
}

func TestLabelCheckFindsFaults(t *testing.T) {
	l := func(s string) string { return labelPrefix + s }
	rows := Table("## a\n| label | package | use |\n|---|---|---|\n| `" + l("one") + "` | a | x |\n| `" + l("two") + "` | a | x |\n| `" + l("gone") + "` | a | x |\n| `" + l("two") + "` | a | x |\n| other | a | x |\n")
	if len(rows) != 5 {
		t.Fatalf("%d rows", len(rows))
	}
	got := compareLabels(rows, []place{{l("one"), "a", "a/a.go"}, {l("one"), "b", "b/b.go"}, {l("two"), "b", "b/b.go"}, {l("two more"), "b", "b/b.go"}})
	for _, want := range []string{
		`"pawl/1 one" stands in the code a second time`, `"pawl/1 two" belongs to b, the table says a`, `"pawl/1 two more" is not in labels.md`,
		`no code has "pawl/1 gone"`, `"pawl/1 two" stands here a second time`, `"pawl/1 two" is the beginning of "pawl/1 two more"`, `"other" is not a label`,
	} {
		if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, want) }) {
			t.Errorf("not found: %s", want)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d problems: %q", len(got), got)
	}
}
