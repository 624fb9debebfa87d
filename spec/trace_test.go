package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// cites finds R-AAA-nn in comments and R_AAA_nn in names.
var cites = regexp.MustCompile(`\bR-[A-Z0-9]{3}-[0-9]{2,3}\b|(?:\b|_|[a-z])R_[A-Z0-9]{3}_[0-9]{2,3}`)

// span finds R-AAA-nn to R-AAA-mm written with an ellipsis or a dash, which
// would hide what lies between.
var span = regexp.MustCompile(`R-[A-Z0-9]{3}-[0-9]{2,3}\s*(\.\.+|…|–|to -)\s*(R-|[0-9])`)

// trace compares the ids of the chapters with those that code and tests cite.
func trace(ids []Requirement, files []file) []string {
	inCode, inTest := map[string]string{}, map[string]string{}
	var problems []string
	for _, f := range files {
		if span.MatchString(f.text) {
			problems = append(problems, f.path+": cites a span of requirements: name each")
		}
		for _, m := range cites.FindAllString(f.text, -1) {
			id := strings.ReplaceAll(m[strings.IndexByte(m, 'R'):], "_", "-")
			if f.test {
				inTest[id] = f.path
			} else {
				inCode[id] = f.path
			}
		}
	}
	known := map[string]bool{}
	for _, r := range ids {
		known[r.ID] = true
		if inCode[r.ID] == "" {
			problems = append(problems, fmt.Sprintf("%s:%d: no code cites %s", r.Chapter, r.Line, r.ID))
		}
		if inTest[r.ID] == "" {
			problems = append(problems, fmt.Sprintf("%s:%d: no test cites %s", r.Chapter, r.Line, r.ID))
		}
	}
	for _, cited := range []map[string]string{inCode, inTest} {
		for id, path := range cited {
			if !known[id] {
				problems = append(problems, fmt.Sprintf("%s: cites %s, which no chapter defines", path, id))
			}
		}
	}
	return problems
}

func TestRequirementsAreTracedBothWays(t *testing.T) {
	chapters, err := Chapters()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := Requirements(chapters)
	if err != nil {
		t.Fatal(err)
	}
	report(t, trace(ids, module(t)))
}

func TestTraceFindsOrphans(t *testing.T) {
	// Written so that this file itself cites nothing.
	id := func(n int) string { return fmt.Sprintf("R-%s-%02d", "ZZZ", n) }
	text := fmt.Sprintf("- **%s** one\n- **%s** two\nsee **%s**\n  - **%s** three\n", id(1), id(2), id(9), id(3))
	ids, err := Requirements(map[string]string{"z.md": text})
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
	name := "func TestR_" + "ZZZ_01_Works(t *testing.T)"
	got := trace(ids, []file{
		{path: "a.go", text: "// " + id(1) + " and " + id(2)},
		{path: "a_test.go", test: true, text: name + " // " + id(3)},
		{path: "b.go", text: "// " + id(7) + "; " + id(1) + ".." + id(3)},
	})
	slices.Sort(got)
	want := []string{
		"b.go: cites " + id(7) + ", which no chapter defines",
		"b.go: cites a span of requirements: name each",
		"z.md:2: no test cites " + id(2),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if _, err := Requirements(map[string]string{"z.md": text, "y.md": text}); err == nil {
		t.Error("an id defined twice was accepted")
	}
}
