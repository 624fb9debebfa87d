package policy

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// public lists the packages that other modules import.
var public = []string{"./x3dh", "./prekeys", "./ratchet", "./lab", "./transcript", "./client", "./server", "./server/memstore", "./server/sqlitestore"}

// TestPublicSignaturesCanBeNamed holds that everything a public signature
// mentions can be named from another module: a type of an internal package only
// under an alias in a public one.
func TestPublicSignaturesCanBeNamed(t *testing.T) {
	load := loader(t)
	nameable := map[*types.TypeName]bool{}
	var pkgs []*types.Package
	for _, path := range public {
		pkg := load("github.com/pawl-chat/pawl/" + strings.TrimPrefix(path, "./"))
		pkgs = append(pkgs, pkg)
		for _, name := range pkg.Scope().Names() {
			if a, ok := pkg.Scope().Lookup(name).(*types.TypeName); ok && a.Exported() && a.IsAlias() {
				if n, ok := types.Unalias(a.Type()).(*types.Named); ok {
					nameable[n.Obj()] = true
				}
			}
		}
	}
	for _, pkg := range pkgs {
		for _, finding := range unnameable(pkg, nameable) {
			t.Error(finding)
		}
	}
	// The check itself: without the aliases there is something to find.
	if len(unnameable(pkgs[0], nil)) == 0 {
		t.Error("the check finds nothing in x3dh even without its aliases: it proves nothing")
	}
}

// unnameable lists the internal types in a package's exported declarations that
// nobody outside can name.
func unnameable(pkg *types.Package, nameable map[*types.TypeName]bool) (found []string) {
	seen := map[types.Type]bool{}
	var walk func(where string, typ types.Type)
	tuple := func(where string, tup *types.Tuple) {
		for v := range tup.Variables() {
			walk(where, v.Type())
		}
	}
	walk = func(where string, typ types.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		switch typ := typ.(type) {
		case *types.Alias:
			walk(where, types.Unalias(typ))
		case *types.Named:
			obj := typ.Obj()
			if obj.Pkg() == nil || obj.Pkg() == pkg {
				return // looked at as a declaration of its own
			}
			if strings.Contains(obj.Pkg().Path(), "/internal/") && strings.HasPrefix(obj.Pkg().Path(), "github.com/pawl-chat/") && !nameable[obj] {
				found = append(found, fmt.Sprintf("%s.%s mentions %s.%s, which other modules cannot name", pkg.Name(), where, obj.Pkg().Name(), obj.Name()))
			}
		case *types.Pointer:
			walk(where, typ.Elem())
		case *types.Slice:
			walk(where, typ.Elem())
		case *types.Array:
			walk(where, typ.Elem())
		case *types.Chan:
			walk(where, typ.Elem())
		case *types.Map:
			walk(where, typ.Key())
			walk(where, typ.Elem())
		case *types.Signature:
			tuple(where, typ.Params())
			tuple(where, typ.Results())
		case *types.Struct:
			for f := range typ.Fields() {
				if f.Exported() {
					walk(where, f.Type())
				}
			}
		case *types.Interface:
			for m := range typ.ExplicitMethods() {
				walk(where, m.Type())
			}
		}
	}
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		tn, ok := obj.(*types.TypeName)
		if !ok {
			walk(name, obj.Type())
			continue
		}
		if tn.IsAlias() {
			continue
		}
		walk(name, tn.Type().Underlying())
		if named, ok := tn.Type().(*types.Named); ok {
			for m := range named.Methods() {
				if m.Exported() {
					walk(name+"."+m.Name(), m.Type())
				}
			}
		}
	}
	return found
}

// loader reads packages from the export data that the go command has built.
func loader(t *testing.T) func(path string) *types.Package {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, public...)...)
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[path] = file
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	return func(path string) *types.Package {
		pkg, err := imp.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		return pkg
	}
}
