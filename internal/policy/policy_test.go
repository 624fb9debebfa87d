package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func run(t *testing.T, dir string, env []string, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func load(t *testing.T) Graph {
	t.Helper()
	out := run(t, root, nil, "go", "list", "-deps", "-json=ImportPath,Imports,Module", "./...")
	g := Graph{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
			Module     *struct{ Main bool }
		}
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = Package{Imports: p.Imports, Own: p.Module != nil && p.Module.Main}
	}
	if !g[Module+"/internal/codec"].Own || len(g) < 50 {
		t.Fatalf("%d packages: is this the module's tree?", len(g))
	}
	return g
}

// TestImportsFollowThePlan applies the plan to the build (R-THR-01, R-THR-02, R-THR-04).
func TestImportsFollowThePlan(t *testing.T) {
	g := load(t)
	for _, v := range g.Check(Bans()) {
		t.Error(v)
	}
	for _, p := range g.CheckLayers(Layers()) {
		t.Error(p)
	}
	for _, p := range g.Missing(Layers(), Bans(), Later()) {
		t.Error(p)
	}
	for _, b := range Bans() {
		if b.Why == "" || len(b.From) == 0 || len(b.To) == 0 {
			t.Errorf("a ban without a reason or an object: %+v", b)
		}
	}
}

func TestCheckFindsAWayThroughOthers(t *testing.T) {
	own := func(imports ...string) Package {
		for i, p := range imports {
			if rest, ok := strings.CutPrefix(p, "./"); ok {
				imports[i] = Module + "/" + rest
			}
		}
		return Package{Imports: imports, Own: true}
	}
	g := Graph{
		Module + "/server":       own("./relay", "net"),
		Module + "/server/store": own("./server"),
		Module + "/relay":        own("./codec", "example.org/mid"),
		Module + "/codec":        own("fmt"),
		Module + "/ratchet":      own("./codec", "os"),
		Module + "/ratchetlike":  own(),
		Module + "/lone":         own("./ratchetlike"),
		"example.org/mid":        {Imports: []string{Module + "/ratchet"}},
		"fmt":                    {Imports: []string{"os"}},
		"net":                    {},
		"os":                     {},
		Module:                   own("./server"),
	}
	paths := func(b Ban) []string {
		var out []string
		for _, v := range g.Check([]Ban{b}) {
			out = append(out, strings.TrimSuffix(v.String(), ": "+b.Why))
		}
		return out
	}
	for _, c := range []struct {
		ban  Ban
		want []string
	}{
		{Ban{From: []string{"./server"}, To: []string{"./ratchet"}, Why: "blind"}, []string{"./server → ./relay → example.org/mid → ./ratchet"}},
		{Ban{From: []string{"./server/..."}, To: []string{"./ratchet"}}, []string{"./server → ./relay → example.org/mid → ./ratchet", "./server/store → ./server → ./relay → example.org/mid → ./ratchet"}},
		{Ban{From: []string{"./server"}, To: []string{"./ratchet"}, Direct: true}, nil},
		{Ban{From: []string{"./server/..."}, To: []string{"net"}, Direct: true}, []string{"./server → net"}},
		{Ban{From: []string{"./ratchet", "./codec"}, To: []string{"os"}, Direct: true}, []string{"./ratchet → os"}},
		{Ban{From: []string{"./codec"}, To: []string{"os"}}, []string{"./codec → fmt → os"}},
		{Ban{From: []string{"./lone"}, To: []string{"./ratchet"}}, nil},
		{Ban{From: []string{"./lone"}, To: []string{"./ratchet/..."}}, nil},
		{Ban{From: []string{"."}, To: []string{"net/..."}}, []string{". → ./server → net"}},
	} {
		if got := paths(c.ban); !slices.Equal(got, c.want) {
			t.Errorf("%v to %v: %q, want %q", c.ban.From, c.ban.To, got, c.want)
		}
	}
	layers := [][]string{{"./codec", "./relay"}, {"./server/..."}, {"./server"}, {".", "./ratchet"}, {"./ratchet"}}
	got := g.CheckLayers(layers)
	for _, want := range []string{
		"./relay imports ./codec, which does not lie below", "./server/store imports ./server, which does not lie below",
		"./server stands in two layers", "./ratchet stands in two layers", "./lone stands in no layer", "./ratchetlike stands in no layer",
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("not found: %s in %q", want, got)
		}
	}
	missing := g.Missing(layers, []Ban{{From: []string{"./gone"}, To: []string{"./later"}}}, map[string]string{"./later": "", "./codec": ""})
	if len(missing) != 2 || !strings.HasPrefix(missing[0], "./codec is in the tree") || !strings.HasPrefix(missing[1], "./gone is in the plan") {
		t.Errorf("missing: %q", missing)
	}
}

func TestRequiredModulesHaveAReason(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range checkRequirements(string(b), Requirements()) {
		t.Error(p)
	}
	bad := "module m\ngo 1.26\nrequire example.org/new v1.0.0\nrequire (\n\ta.b/c v1 // indirect\n\tx.y/z v2\n)\nreplace x => y\ntool q\n"
	if got := checkRequirements(bad, map[string]string{"x.y/z": "", "x.y/old": "why"}); len(got) != 5 {
		t.Errorf("%q", got)
	}
}

var required = regexp.MustCompile(`^(?:require )?\s*([a-z0-9.-]+\.[a-z]+/?\S*) v\S+(\s*// indirect)?$`)

// checkRequirements compares go.mod's direct requirements with the list.
func checkRequirements(mod string, reasons map[string]string) []string {
	var out []string
	there := map[string]bool{}
	for _, line := range strings.Split(mod, "\n") {
		if m := required.FindStringSubmatch(strings.TrimSpace(line)); m != nil && m[2] == "" {
			there[m[1]] = true
			if reasons[m[1]] == "" {
				out = append(out, "go.mod requires "+m[1]+" without a reason in plan.go")
			}
		}
		for _, word := range []string{"replace", "tool", "exclude"} {
			if strings.HasPrefix(line, word+" ") {
				out = append(out, "go.mod has a "+word+" line")
			}
		}
	}
	for m := range reasons {
		if !there[m] {
			out = append(out, "plan.go gives a reason for "+m+", which go.mod does not require")
		}
	}
	return out
}

// sources visits the files of the tree, without those that git ignores by name.
func sources(t *testing.T, visit func(name string, b []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, root), string(filepath.Separator)))
		if d.IsDir() {
			if d.Name() == ".git" {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Name() == ".git" || d.Name() == "go.sum" || name == "pawl" || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof") || !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(p)
		if err == nil {
			n++
			visit(name, b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 20 {
		t.Fatalf("only %d files found", n)
	}
}

// TestSourceFiles applies the rules to the tree (R-THR-02, R-THR-03, R-THR-04).
func TestSourceFiles(t *testing.T) {
	used := map[string]bool{}
	sources(t, func(name string, b []byte) {
		used[name] = true
		var problems []string
		if strings.HasSuffix(name, ".go") {
			problems = CheckGo(name, b)
		}
		if !bytes.ContainsRune(b, 0) && !strings.Contains(name, "testdata/fuzz/") {
			problems = append(problems, CheckText(name, b)...)
		}
		for _, p := range problems {
			t.Error(p)
		}
	})
	for _, list := range []Exceptions{LongFiles(), Skips(), Unsafe()} {
		for name, why := range list {
			if !used[name] || why == "" {
				t.Errorf("the exception for %s has no file or no reason", name)
			}
		}
	}
}

func TestSourceChecksFindFaults(t *testing.T) {
	const head = "package x\n\nimport (\n\t\"time\"\n\tclock \"time\"\n\t\"testing\"\n)\n\n"
	for _, c := range []struct {
		name, src, want string
	}{
		{"a/x_test.go", head + "func f() { time.Sleep(1) }", "line 9: a test sleeps"},
		{"a/x_test.go", head + "func f() { clock.Sleep(1) }", "a test sleeps"},
		{"a/x.go", head + "func f() { time.Sleep(1) }", ""},
		{"ratchet/x.go", head + "func f() { clock.Now() }", "has no clock"},
		{"ratchet/x_test.go", head + "func f() { clock.Now() }", ""},
		{"internal/codec/x.go", head + "func f() { time.Since(t) }", "has no clock"},
		{"ratchet/x.go", head + "func f() { time.Unix(1, 2) }", ""},
		{"x3dh/x.go", "package x\nimport \"crypto/ed25519\"\nvar k ed25519.PublicKey", ""},
		{"x3dh/x.go", "package x\nimport \"crypto/ed25519\"\nvar k ed25519.PrivateKey", "no signing key"},
		{"prekeys/x.go", "package x\nimport \"crypto/ed25519\"\nvar k ed25519.PrivateKey", ""},
		{"a/x.go", head + "func f() { time.Now() }", ""},
		{"a/x_test.go", head + "func f(t *testing.T) { t.Skip() }", "skips itself"},
		{"a/x_test.go", head + "func f(b *testing.B) { b.Skipf(\"\") }", "skips itself"},
		{"a/x_test.go", head + "func f(t *testing.T) { t.Skipped(); s.Skip() }", ""},
		{"a/x.go", "package x\nimport \"unsafe\"\nvar _ unsafe.Pointer", "plain Go"},
		{"a/x.go", "package x\nimport \"C\"\n", "plain Go"},
		{"a/x_test.go", "package x\nimport \"unsafe\"\nvar _ unsafe.Pointer", ""},
		{"a/x.go", "package x\n" + strings.Repeat("//\n", MaxLines), "second idea"},
		{"a/utils.go", "package x", "says nothing"},
		{"a/helpers_test.go", "package x", "says nothing"},
		{"a/x.go", "package common", "says nothing"},
		{"a/x.go", "package", "does not parse"},
	} {
		got := strings.Join(CheckGo(c.name, []byte(c.src)), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q: want %q, got %q", c.name, c.src, c.want, got)
		}
	}
	for _, text := range []string{
		"see /work" + "/main", "/root" + "/.bashrc", "../" + "shared/design.md", "https://pro" + "xy.golang.org", "regis" + "try.npmjs.org", "// TO" + "DO later",
		"FIX" + "ME", "a\n<<<<" + "<<< HEAD", "not yet imple" + "mented",
	} {
		if len(CheckText("x", []byte(text))) != 1 {
			t.Errorf("%q was let through", text)
		}
	}
	if len(CheckText("a/x.s", nil)) != 1 || len(CheckText("internal/simd/clean_amd64.s", nil)) != 0 {
		t.Error("assembly is not told apart")
	}
	for _, text := range []string{"a workshop/ for", "network/", "R-RAT-07", "deb.example is fine", "a todo list is not shouted", "debug.go.org"} {
		if got := CheckText("x", []byte(text)); len(got) != 0 {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestEchobotBuildsFromOutside builds the example module without the network,
// as another module that has pawl as a requirement would.
func TestEchobotBuildsFromOutside(t *testing.T) {
	dir := filepath.Join(root, "examples", "echobot")
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("replace %s => ../..", Module); !strings.Contains(string(mod), want) {
		t.Errorf("examples/echobot/go.mod has no line %q", want)
	}
	// readonly: go.mod and go.sum as committed must be enough.
	env := []string{"GOFLAGS=-mod=readonly", "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=0"}
	run(t, dir, env, "go", "build", "-o", t.TempDir()+string(filepath.Separator), "./...")
	for _, p := range strings.Fields(string(run(t, dir, env, "go", "list", "-f", `{{join .Imports "\n"}}`, "./..."))) {
		if strings.HasPrefix(p, Module+"/internal/") {
			t.Errorf("the example imports %s, which no other module can", p)
		}
	}
}
