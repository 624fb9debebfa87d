package spec

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// file is one source file of the module.
type file struct {
	path string // from the module's root, with slashes
	text string
	test bool // a test, a test script, or a package made for tests
	ast  *ast.File
	fset *token.FileSet
}

func (f file) dir() string { return slashDir(f.path) }

func slashDir(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return "."
}

// module reads the Go files and test scripts of the module, without the
// specification's own tools, which talk about ids and labels as such.
func module(t *testing.T) []file {
	t.Helper()
	var out []file
	fset := token.NewFileSet()
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, ".."), string(filepath.Separator)))
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules" || rel == "spec" || rel == "tools" {
				return filepath.SkipDir
			}
			return nil
		}
		script := strings.HasSuffix(rel, ".txtar") && strings.Contains(rel, "testdata/")
		if !strings.HasSuffix(rel, ".go") && !script || strings.Contains(rel, "testdata/") && !script {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f := file{path: rel, text: string(b), fset: fset, test: script || strings.HasSuffix(rel, "_test.go")}
		if !script {
			if f.ast, err = parser.ParseFile(fset, p, b, parser.SkipObjectResolution); err != nil {
				return err
			}
			f.test = f.test || slices.ContainsFunc(f.ast.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing"` })
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 6 {
		t.Fatalf("only %d source files found: is this the module's tree?", len(out))
	}
	return out
}

func chapter(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func report(t *testing.T, problems []string) {
	t.Helper()
	slices.Sort(problems)
	for _, p := range problems {
		t.Error(p)
	}
}
