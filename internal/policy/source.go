package policy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxLines is where a source file is likely to hold a second idea.
const MaxLines = 600

// Exceptions name a file and why a rule does not hold for it.
type Exceptions map[string]string

// LongFiles lists the Go files that may be longer than MaxLines.
func LongFiles() Exceptions { return Exceptions{} }

// Skips lists the tests that may skip themselves.
func Skips() Exceptions { return Exceptions{} }

// Unsafe lists the product files that may import unsafe or are assembly
// (R-THR-03).
func Unsafe() Exceptions {
	return Exceptions{
		"internal/simd/clean_amd64.s": "one VZEROUPPER after circl's ML-KEM; it reads and writes no memory",
	}
}

// machine finds files that are not Go and are compiled into a package.
var machine = regexp.MustCompile(`\.(s|S|c|cc|h|syso)$`)

// vague names say nothing about what is inside.
var vague = regexp.MustCompile(`^(utils?|common|helpers?|types|base|misc|shared)$`)

// CheckGo returns what is wrong with one Go file. name is its path from the
// module's root.
func CheckGo(name string, src []byte) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, name+": "+fmt.Sprintf(format, args...)) }
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		say("does not parse")
		return out
	}
	test := strings.HasSuffix(name, "_test.go")
	if n := strings.Count(string(src), "\n"); n > MaxLines && LongFiles()[name] == "" {
		say("%d lines: is there a second idea inside?", n)
	}
	if base := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".go"), "_test"); vague.MatchString(base) || vague.MatchString(f.Name.Name) {
		say("the name says nothing about what is inside")
	}
	imports := map[string]string{} // local name → path
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		local := path.Base(p)
		if i.Name != nil {
			local = i.Name.Name
		}
		imports[local] = p
		if (p == "unsafe" || p == "C") && !test && Unsafe()[name] == "" {
			say("imports %q: the product is plain Go", p)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		line := fset.Position(sel.Pos()).Line
		switch {
		case imports[x.Name] == "time" && test && sel.Sel.Name == "Sleep":
			say("line %d: a test sleeps: wait for a condition, or use testing/synctest", line)
		case test && imports[x.Name] == "" && strings.HasPrefix(sel.Sel.Name, "Skip") && isTB(x.Name, sel.Sel.Name) && Skips()[name] == "":
			say("line %d: a test skips itself: give the reason in source.go, or let it run", line)
		}
		if !test {
			for _, m := range Mentions() {
				if imports[x.Name] == m.Package && slices.Contains(m.Names, sel.Sel.Name) && matches(m.From, Module+"/"+path.Dir(name)) {
					say("line %d: %s.%s: %s", line, x.Name, sel.Sel.Name, m.Why)
				}
			}
		}
		return true
	})
	return out
}

func isTB(receiver, method string) bool {
	switch receiver {
	case "t", "b", "f", "tb", "rt", "tt":
		return method == "Skip" || method == "Skipf" || method == "SkipNow"
	}
	return false
}

// forbidden finds words that speak of the place a file was written at. They
// are put together here, so that this file has none of them.
var forbidden = regexp.MustCompile(strings.Join([]string{
	`/work` + `/`,
	`/root` + `/`,
	`\.\./` + `shared`,
	`(^|[^a-z.])(pro` + `xy|regis` + `try|de` + `b)\.[a-z]+\.(org|com)`,
	`\bTO` + `DO\b`,
	`\bFIX` + `ME\b`,
	`\bX` + `XX\b`,
	`(?i)not yet imple` + `mented`,
	`(?m)^(<<<<` + `<<<|>>>>` + `>>>)`,
}, "|"))

// CheckText returns what is wrong with the words of one file.
func CheckText(name string, src []byte) []string {
	var out []string
	if machine.MatchString(name) && Unsafe()[name] == "" {
		out = append(out, name+": is not Go: the product is plain Go")
	}
	for i, line := range strings.Split(string(src), "\n") {
		if w := forbidden.FindString(line); w != "" {
			out = append(out, fmt.Sprintf("%s:%d: %q does not belong here", name, i+1, strings.TrimSpace(w)))
		}
	}
	return out
}
