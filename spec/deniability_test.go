package spec

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/lab"
)

var (
	citation = regexp.MustCompile(`\[(R-[A-Z0-9]{3}-[0-9]{2}(?:, R-[A-Z0-9]{3}-[0-9]{2})*)(?:; lab ([a-z-]+(?:, [a-z-]+)*))?\]$`)
	anyID    = regexp.MustCompile(`\bR-[A-Z0-9]{3}-[0-9]{2,3}\b`)
)

// uncited says what is wrong with the statements of a text: list items that do
// not end with what they rest on, and citations of what does not exist.
func uncited(text string, ids, scenarios []string) (problems []string, statements int) {
	for n, line := range strings.Split(text, "\n") {
		item, ok := strings.CutPrefix(line, "- ")
		if !ok {
			for _, id := range anyID.FindAllString(line, -1) {
				if !slices.Contains(ids, id) {
					problems = append(problems, id+" is nowhere defined")
				}
			}
			continue
		}
		statements++
		m := citation.FindStringSubmatch(item)
		if m == nil {
			problems = append(problems, "line "+strconv.Itoa(n+1)+" does not end with what it rests on")
			continue
		}
		for _, id := range strings.Split(m[1], ", ") {
			if !slices.Contains(ids, id) {
				problems = append(problems, id+" is nowhere defined")
			}
		}
		for _, name := range strings.Split(m[2], ", ") {
			if name != "" && !slices.Contains(scenarios, name) {
				problems = append(problems, "there is no scenario "+name)
			}
		}
	}
	return problems, statements
}

// TestDeniabilityRestsOnRequirements holds docs/deniability.md: each statement
// names requirements that exist, and scenarios that come with the laboratory.
func TestDeniabilityRestsOnRequirements(t *testing.T) {
	chapters, err := Chapters()
	if err != nil {
		t.Fatal(err)
	}
	all, err := Requirements(chapters)
	if err != nil {
		t.Fatal(err)
	}
	var ids, scenarios []string
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	for _, s := range lab.Shipped() {
		scenarios = append(scenarios, s.Name)
	}
	b, err := os.ReadFile("../docs/deniability.md")
	if err != nil {
		t.Fatal(err)
	}
	problems, n := uncited(string(b), ids, scenarios)
	for _, p := range problems {
		t.Error("docs/deniability.md: " + p)
	}
	if n < 30 {
		t.Errorf("only %d statements", n)
	}
	// Written so that this file itself cites nothing.
	real, none := ids[0], fmt.Sprintf("R-%s-%02d", "ZZZ", 0)
	for text, want := range map[string]int{
		"- It is so. [" + real + "]": 0, "- It is so. [" + real + "; lab crash]": 0, "- It is so.": 1, "- It is so. [" + none + "]": 1,
		"- It is so. [" + real + "; lab nothing]": 1, "As " + none + " says.": 1, "- It is so (" + real + ").": 1,
	} {
		if problems, _ := uncited(text, ids, scenarios); len(problems) != want {
			t.Errorf("%q: %v", text, problems)
		}
	}
}
