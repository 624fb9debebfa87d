package spec

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/spec/internal/cddl"
)

// rules parses all CDDL and finds the rules that say no vector can reach them.
func rules(t *testing.T, files fs.FS) (*cddl.Spec, map[string]string) {
	t.Helper()
	names, err := fs.Glob(files, "cddl/*.cddl")
	if err != nil || len(names) == 0 {
		t.Fatal("no CDDL", err)
	}
	var sources []cddl.Source
	excused := map[string]string{}
	for _, n := range names {
		b, err := fs.ReadFile(files, n)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, cddl.Source{Name: n, Text: string(b)})
		var reason string
		for _, line := range strings.Split(string(b), "\n") {
			if r, ok := strings.CutPrefix(line, "; no vector:"); ok {
				reason = strings.TrimSpace(r)
				continue
			}
			if name, _, ok := strings.Cut(line, "="); ok && reason != "" && !strings.HasPrefix(line, ";") {
				excused[strings.TrimSpace(name)] = reason
				reason = ""
			}
		}
	}
	s, err := cddl.Parse(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return s, excused
}

// checkVectors holds one vector file against the conventions and the rules and
// adds the rules it reached.
func checkVectors(name string, b []byte, r Rules, errorNames map[string]bool, reached map[string]bool) (problems []string) {
	say := func(format string, args ...any) {
		problems = append(problems, name+": "+fmt.Sprintf(format, args...))
	}
	doc, err := ReadVectors(b)
	if err != nil {
		say("%v", err)
		return
	}
	if want := strings.TrimSuffix(path.Base(name), ".json"); doc.Area != want {
		say("area is %q, want %q", doc.Area, want)
	}
	for _, p := range doc.Form() {
		say("%s", p)
	}
	kinds := map[string]int{}
	for i := range doc.Vectors {
		v := &doc.Vectors[i]
		kinds[v.Kind]++
		if v.Kind == "negative" && v.ErrorName() != "" && !errorNames[v.ErrorName()] {
			say("%s: the reason %q does not begin with the name of an error", v.Name, v.Reason)
		}
		used, faults := r.Fits(v)
		for _, p := range faults {
			say("%s: %s", v.Name, p)
		}
		for _, r := range used {
			reached[r] = true
		}
	}
	if kinds["positive"] == 0 || kinds["negative"] == 0 {
		say("%d positive and %d negative vectors: want at least one of each", kinds["positive"], kinds["negative"])
	}
	return
}

// errorNames finds every declared variable or type whose name says it is an error.
func errorNames(files []file) map[string]bool {
	out := map[string]bool{}
	for _, f := range files {
		if f.ast == nil {
			continue
		}
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok == token.IMPORT {
				continue
			}
			for _, s := range g.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if strings.HasPrefix(n.Name, "Err") || strings.HasPrefix(n.Name, "err") || g.Tok == token.CONST {
							out[n.Name] = true
						}
					}
				case *ast.TypeSpec:
					if strings.HasSuffix(s.Name.Name, "Error") {
						out[s.Name.Name] = true
					}
				}
			}
		}
	}
	return out
}

func TestVectorsFitTheCDDL(t *testing.T) {
	s, excused := rules(t, Files())
	names, err := fs.Glob(Files(), "vectors/*.json")
	if err != nil {
		t.Fatal(err)
	}
	errs := errorNames(module(t))
	reached := map[string]bool{}
	for _, n := range names {
		b, err := fs.ReadFile(Files(), n)
		if err != nil {
			t.Fatal(err)
		}
		report(t, checkVectors(n, b, Rules{s}, errs, reached))
	}
	for _, r := range s.Rules() {
		reason, ok := excused[r]
		switch {
		case !reached[r] && !ok:
			t.Errorf("no positive vector reaches the rule %s", r)
		case reached[r] && ok:
			t.Errorf("the rule %s is excused (%s) but a vector reaches it", r, reason)
		}
	}
}

func TestVectorCheckFindsFaults(t *testing.T) {
	s, err := cddl.Parse(cddl.Source{Name: "x", Text: "a = [ b ] b = uint c = tstr"})
	if err != nil {
		t.Fatal(err)
	}
	errs := map[string]bool{"ErrMalformed": true}
	reached := map[string]bool{}
	good := `{"area":"x","vectors":[
		{"name":"p","kind":"positive","cddl":"a","encoded":"8101"},
		{"name":"n","kind":"negative","reason":"x.ErrMalformed: short","cddl":"a","encoded":"80","cddl_refuses":true}]}`
	if got := checkVectors("vectors/x.json", []byte(good), Rules{s}, errs, reached); len(got) != 0 {
		t.Fatal(got)
	}
	if !reached["a"] || !reached["b"] || reached["c"] {
		t.Errorf("reached %v", reached)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"area":"x"`, `"area":"y"`, "area is"},
		{`"name":"n"`, `"name":"p"`, "empty or taken"},
		{`x.ErrMalformed: short`, ``, "does not begin with the name of an error"},
		{`x.ErrMalformed: short`, `ErrOther`, "does not begin with the name of an error"},
		{`"encoded":"8101"`, `"encoded":"8120"`, "does not match"},
		{`"encoded":"8101"`, `"encoded":"811801"`, "shortest"},
		{`"encoded":"8101"`, `"encoded":"81AA"`, "hexadecimal"},
		{`"encoded":"8101"`, `"other":1`, "without encoded"},
		{`"encoded":"80"`, `"encoded":"8105"`, "does not refuse"},
		{`"cddl":"a","encoded":"8101"`, `"deep":[{"x":{"cddl":"d","encoded":"01"}}]`, "no rule"},
		{`"kind":"negative","reason":"x.ErrMalformed: short"`, `"kind":"positive"`, "belongs to negative"},
		{`"kind":"positive"`, `"kind":"positive","reason":"why"`, "has a reason"},
		{`"kind":"positive"`, `"kind":"maybe"`, "kind is"},
		{`{"area"`, `{{"area"`, "invalid"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		got := checkVectors("vectors/x.json", []byte(text), Rules{s}, errs, map[string]bool{})
		if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, c.want) }) {
			t.Errorf("%s for %s: %q", c.new, c.old, got)
		}
	}
}
