package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

// packages type-checks the module's packages from source, with compiled
// export data for what they import.
type packages struct {
	files  []file
	export map[string]string
	fset   *token.FileSet
	done   map[string]*types.Package
}

func newPackages(t *testing.T, files []file) *packages {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	p := &packages{files: files, export: map[string]string{}, fset: files[0].fset, done: map[string]*types.Package{}}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var e struct{ ImportPath, Export string }
		if err := d.Decode(&e); err == io.EOF {
			return p
		} else if err != nil {
			t.Fatal(err)
		}
		p.export[e.ImportPath] = e.Export
	}
}

// open finds export data for go/importer.
func (p *packages) open(importPath string) (io.ReadCloser, error) {
	name := p.export[importPath]
	if name == "" {
		return nil, fmt.Errorf("no export data for %s", importPath)
	}
	return os.Open(name)
}

// constant returns the value of a package-level constant, and whether it is a
// time.Duration.
func (p *packages) constant(dir, name string) (v constant.Value, duration bool, err error) {
	pkg := p.done[dir]
	if pkg == nil {
		var parsed []*ast.File
		for _, f := range p.files {
			if f.dir() == dir && !strings.HasSuffix(f.path, "_test.go") && f.ast != nil {
				parsed = append(parsed, f.ast)
			}
		}
		// Errors are left to the compiler: files for another system are among
		// these and declare things twice.
		conf := types.Config{Importer: importer.ForCompiler(p.fset, "gc", p.open), Error: func(error) {}}
		pkg, _ = conf.Check(dir, p.fset, parsed, nil)
		p.done[dir] = pkg
	}
	c, ok := pkg.Scope().Lookup(name).(*types.Const)
	if !ok || c.Val().Kind() == constant.Unknown {
		return nil, false, fmt.Errorf("no constant %s in %s", name, dir)
	}
	return c.Val(), c.Type().String() == "time.Duration", nil
}

// dirOf finds the directory a row means: a directory, or the last element of
// one that no other shares.
func dirOf(files []file, pkg string) (string, error) {
	found := map[string]bool{}
	for _, f := range files {
		if d := f.dir(); d == pkg || path.Base(d) == pkg {
			found[d] = true
		}
	}
	if found[pkg] {
		return pkg, nil
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d packages are called %s", len(found), pkg)
	}
	for d := range found {
		return d, nil
	}
	return "", nil
}

var units = map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

var spans = map[string]int64{ // nanoseconds
	"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 60e9, "h": 3600e9, "d": 86400e9,
	"second": 1e9, "minute": 60e9, "hour": 3600e9, "day": 86400e9,
}

// agrees compares a written value ("1 000", "64 KiB", "7 days", "2^31") with a
// constant. A length of time fits a Duration, and an integer that counts
// nanoseconds, milliseconds, seconds or the written unit.
func agrees(written string, v constant.Value, duration bool) bool {
	fields := strings.Fields(strings.Map(func(r rune) rune {
		switch r {
		case '\u00a0', '\u202f', '\u2009':
			return ' '
		case '`', '_':
			return -1
		}
		return r
	}, written))
	var digits, unit string
	for i, f := range fields {
		if f[0] < '0' || f[0] > '9' {
			unit = strings.TrimRight(f, ".,;:")
			break
		}
		if i > 0 && len(f) != 3 {
			return false // not a thousands group
		}
		digits += f
	}
	want, ok := new(big.Int).SetString(digits, 10)
	if base, exp, power := strings.Cut(digits, "^"); power {
		b, ok1 := new(big.Int).SetString(base, 10)
		e, ok2 := new(big.Int).SetString(exp, 10)
		if ok = ok1 && ok2 && e.IsUint64() && e.Uint64() < 128; ok {
			want = new(big.Int).Exp(b, e, nil)
		}
	}
	if !ok {
		return false
	}
	got, exact := new(big.Int).SetString(constant.ToInt(v).ExactString(), 10)
	if !exact {
		return false
	}
	equal := func(factor int64) bool { return got.Cmp(new(big.Int).Mul(want, big.NewInt(factor))) == 0 }
	span, isSpan := spans[unit]
	if !isSpan {
		span, isSpan = spans[strings.TrimSuffix(unit, "s")]
	}
	switch {
	case duration:
		return isSpan && equal(span)
	case isSpan:
		return equal(span) || span >= 1e6 && equal(span/1e6) || span >= 1e9 && equal(span/1e9) || equal(1)
	case units[unit] != 0:
		return equal(units[unit])
	}
	return equal(1)
}

func TestLimitsAgreeWithTheCode(t *testing.T) {
	files := module(t)
	pkgs := newPackages(t, files)
	listed := map[string]bool{}
	for _, r := range Table(chapter(t, "limits.md")) {
		if !r.Quoted {
			continue
		}
		pkg, name := r.Section, r.Name
		if i := strings.LastIndexByte(r.Name, '.'); i >= 0 {
			pkg, name = r.Name[:i], r.Name[i+1:]
		}
		dir, err := dirOf(files, pkg)
		if err != nil {
			t.Errorf("limits.md:%d: %v", r.Line, err)
			continue
		}
		if listed[dir+"."+name] {
			t.Errorf("limits.md:%d: %s stands here a second time", r.Line, r.Name)
		}
		listed[dir+"."+name] = true
		v, duration, err := pkgs.constant(dir, name)
		switch {
		case err != nil:
			t.Errorf("limits.md:%d: %v", r.Line, err)
		case len(r.Cells) < 2 || r.Cells[1] == "":
			t.Errorf("limits.md:%d: %s has no reason", r.Line, r.Name)
		case !agrees(r.Cells[0], v, duration):
			t.Errorf("limits.md:%d: %s is %v in the code, %q here", r.Line, r.Name, v, r.Cells[0])
		}
	}
	for _, f := range files {
		if f.test || path.Base(f.path) != "limits.go" {
			continue
		}
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					if !listed[f.dir()+"."+n.Name] && n.Name != "_" {
						t.Errorf("%s: %s is not in limits.md", f.path, n.Name)
					}
				}
			}
		}
	}
}

func TestAgrees(t *testing.T) {
	for _, c := range []struct {
		written  string
		value    int64
		duration bool
		want     bool
	}{
		{"8", 8, false, true}, {"8", 9, false, false}, {"1 000", 1000, false, true}, {"1_000", 1000, false, true}, {"1 00", 100, false, false},
		{"64 bytes", 64, false, true}, {"96 KiB", 96 << 10, false, true}, {"96 KiB", 96, false, false}, {"64 MiB a device", 64 << 20, false, true},
		{"7 days", 7 * 86400e9, true, true}, {"7 days", 7 * 86400, true, false}, {"7 days", 7 * 86400, false, true}, {"7 days", 7, false, true},
		{"48 h", 48 * 3600e9, true, true}, {"30 s", 30e3, false, true}, {"30 s", 31, false, false}, {"5", 5, true, false}, {"2^31", 1 << 31, false, true},
		{"about 5", 5, false, false}, {"", 0, false, false}, {"1 h", 3600e9, true, true}, {"200 ms", 200e6, true, true},
	} {
		if got := agrees(c.written, constant.MakeInt64(c.value), c.duration); got != c.want {
			t.Errorf("%q and %d (duration %v): %v", c.written, c.value, c.duration, got)
		}
	}
}
