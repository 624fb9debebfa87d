package policy

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var links = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

// TestLinksInDocumentsLeadSomewhere follows every relative link.
func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	count := 0
	sources(t, func(name string, b []byte) {
		if !strings.HasSuffix(name, ".md") || strings.Contains(name, "testdata/") {
			return
		}
		for _, m := range links.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			count++
			if _, err := os.Stat(filepath.Join(root, path.Dir(name), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			}
		}
	})
	index := read(t, "spec/README.md")
	chapters, err := filepath.Glob(filepath.Join(root, "spec", "*.md"))
	if err != nil || len(chapters) < 4 {
		t.Fatal(chapters, err)
	}
	for _, c := range chapters {
		if name := filepath.Base(c); name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("spec/README.md does not list %s", name)
		}
	}
	if count < 20 {
		t.Errorf("only %d links found", count)
	}
}

var (
	codeRow  = regexp.MustCompile(`(?m)^\s*\{[A-Za-z.]+, "([a-z_]+)", (exit[A-Za-z]+), (true|false),`)
	exitRow  = regexp.MustCompile(`(?m)^\s*(exit[A-Z][A-Za-z]*)\s*= ([0-9]+)`)
	codeHead = regexp.MustCompile(`(?m)^## ([a-z_]+)\nExit ([0-9]+), (not )?retryable\. \S`)
)

// documented compares the table of error classes in the source of package cli
// with the page, and returns what differs.
func documented(source, page string) []string {
	exits := map[string]string{}
	for _, m := range exitRow.FindAllStringSubmatch(source, -1) {
		exits[m[1]] = m[2]
	}
	var code, doc []string
	for _, m := range codeRow.FindAllStringSubmatch(source, -1) {
		code = append(code, m[1]+" "+exits[m[2]]+" "+m[3])
	}
	// Two codes are given without a row: whatever has no class, and a word
	// that could mean several people.
	code = append(code, "unexpected "+exits["exitUnexpected"]+" false", "ambiguous "+exits["exitUsage"]+" false")
	for _, m := range codeHead.FindAllStringSubmatch(page, -1) {
		retryable := "true"
		if m[3] != "" {
			retryable = "false"
		}
		doc = append(doc, m[1]+" "+m[2]+" "+retryable)
	}
	var out []string
	for _, c := range code {
		if !slices.Contains(doc, c) {
			out = append(out, "the page does not say: "+c)
		}
	}
	for _, d := range doc {
		if !slices.Contains(code, d) {
			out = append(out, "the code does not say: "+d)
		}
	}
	if heads := strings.Count(page, "\n## "); heads != len(doc) {
		out = append(out, "a section of the page does not begin with its exit code")
	}
	return out
}

func TestErrorPageAgreesWithTheCommandLine(t *testing.T) {
	for _, p := range documented(read(t, "cli/failure.go"), read(t, "docs/errors.md")) {
		t.Error(p)
	}
	source := "\texitUnexpected  = 1\n\texitUsage = 2 // x\n\t\t{a.Err, \"usage\", exitUsage, true, \"\"},\n"
	page := "\n## usage\nExit 2, retryable. X\n\n## unexpected\nExit 1, not retryable. X\n\n## ambiguous\nExit 2, not retryable. X\n"
	if got := documented(source, page); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if got := documented(source, strings.Replace(page, "Exit 2, retryable", "Exit 3, retryable", 1)); len(got) != 2 {
		t.Errorf("%q", got)
	}
	if got := documented(source, page+"\n## other\nX\n"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// block returns the fenced block that follows a marker.
func block(text, marker, language string) string {
	_, rest, _ := strings.Cut(text, marker)
	_, rest, _ = strings.Cut(rest, "```"+language+"\n")
	body, _, _ := strings.Cut(rest, "```")
	return body
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestReadme(t *testing.T) {
	text := read(t, "README.md")
	for _, want := range []string{"go run . demo", "go test ./...", "spec/threats.md", "SECURITY.md", "docs/errors.md"} {
		if !strings.Contains(text, want) {
			t.Errorf("README.md does not mention %s", want)
		}
	}
	example := squeeze(block(text, "## As a library", "go"))
	if bot := squeeze(read(t, "examples/echobot/main.go")); example == "" || !strings.Contains(bot, example) {
		t.Error("the library example in README.md is not a part of examples/echobot/main.go")
	}
}

// TestPackagesSayWhatIsNotTheirConcern holds that each package draws its line
// in its documentation.
func TestPackagesSayWhatIsNotTheirConcern(t *testing.T) {
	said := map[string]bool{}
	sources(t, func(name string, b []byte) {
		dir := path.Dir(name)
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || dir == "." || strings.HasPrefix(dir, "examples/") || strings.Contains(dir, "testdata") {
			return
		}
		doc, _, _ := strings.Cut(string(b), "\npackage ")
		said[dir] = said[dir] || strings.Contains(doc, "Not its concern")
	})
	for dir, ok := range said {
		if !ok {
			t.Errorf("the documentation of %s does not say what is not its concern", dir)
		}
	}
}
