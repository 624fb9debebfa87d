package cli_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/cli"
	"github.com/pawl-chat/pawl/spec"
)

// R-LAB-27: what is exported is the specification's, byte for byte, in both
// forms; nothing is overwritten, and nothing is left of a failure.
func TestR_LAB_27_Export(t *testing.T) {
	t.Chdir(t.TempDir())
	x := newTrial(t)
	if code := x.run("lab", "vectors", "export", "all"); code != 0 {
		t.Fatal(x.stderr.String())
	}
	var one struct {
		Version int `json:"pawl_vectors"`
		CDDL    map[string]string
		Vectors map[string]json.RawMessage
	}
	if code := x.run("lab", "vectors", "export", "all.json"); code != 0 {
		t.Fatal(x.stderr.String())
	}
	b, err := os.ReadFile("all.json")
	if err != nil || json.Unmarshal(b, &one) != nil || one.Version != 1 {
		t.Fatal(err, one.Version)
	}
	files := 0
	for _, pattern := range []string{"vectors/*.json", "cddl/*.cddl"} {
		names, _ := fs.Glob(spec.Files(), pattern)
		for _, name := range names {
			files++
			want, _ := fs.ReadFile(spec.Files(), name)
			if got, err := os.ReadFile(filepath.Join("all", name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v", name, err)
			}
			base := filepath.Base(name)
			var a, c any
			if strings.HasSuffix(base, ".cddl") {
				if one.CDDL[base] != string(want) {
					t.Errorf("%s differs in the bundle", name)
				}
			} else if json.Unmarshal(one.Vectors[strings.TrimSuffix(base, ".json")], &a) != nil || json.Unmarshal(want, &c) != nil || !sameJSON(a, c) {
				t.Errorf("%s differs in the bundle", name)
			}
		}
	}
	if files < 20 || len(one.CDDL)+len(one.Vectors) != files {
		t.Errorf("%d files, %d and %d in the bundle", files, len(one.CDDL), len(one.Vectors))
	}
	if err := os.WriteFile("plain", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to   string
		more []string
		code int
	}{
		{"all", nil, 2}, {"all.json", nil, 2}, {"plain", nil, 2}, {"plain", []string{"--force"}, 2}, {"no/all", nil, 2}, {"no/all.json", nil, 2},
		{"all", []string{"--force"}, 0}, {"all.json", []string{"--force"}, 0},
	} {
		if code := x.run(append([]string{"lab", "vectors", "export", c.to}, c.more...)...); code != c.code {
			t.Errorf("%s %q: exit %d: %s", c.to, c.more, code, x.stderr.String())
		}
	}
	if names := left(t); len(names) != 3 {
		t.Errorf("there are %q", names)
	}
}

func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// R-LAB-28: the vectors that were exported pass; a changed one fails with 1 after it was told, a
// malformed file with 2, its name and place.
func TestR_LAB_28_Check(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	x := newTrial(t)
	for _, to := range []string{"all", "all.json"} {
		if code := x.run("lab", "vectors", "export", to); code != 0 {
			t.Fatal(x.stderr.String())
		}
		if code := x.run("lab", "vectors", "check", to, "--json"); code != 0 {
			t.Errorf("%s: exit %d: %s", to, code, x.stderr.String())
		}
		lines := strings.Split(strings.TrimSuffix(x.stdout.String(), "\n"), "\n")
		here, _ := os.Getwd()
		t.Chdir(root)
		for i, line := range lines {
			kind := "vector"
			if i == len(lines)-1 {
				kind = "vector_check"
			}
			if err := cli.CheckObject(kind, []byte(line)); err != nil {
				t.Errorf("%v in %s", err, line)
			}
		}
		t.Chdir(here)
		if len(lines) < 400 {
			t.Errorf("only %d lines", len(lines))
		}
	}
	b, err := os.ReadFile("all/vectors/identity.json")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("empty", 0o700); err != nil {
		t.Fatal(err)
	}
	write("changed.json", strings.Replace(string(b), "alice@example.org", "alicf@example.org", 1))
	write("cut.json", string(b[:len(b)-20]))
	write("other.json", `{"area":"weather","vectors":[{"name":"rain","kind":"positive","fields":{}}]}`)
	write("form.json", `{"area":"lab","vectors":[{"name":"\u001b[31mrain","kind":"positive","fields":{"trace":"zz"}}]}`)
	write("none.json", `{"pawl_vectors":2,"vectors":{}}`)
	for _, c := range []struct {
		word, stdout, stderr string
		code                 int
	}{
		{"all/vectors/identity.json", "16 passed, 0 failed, 0 not checked", "", 0},
		{"changed.json", "FAILED  identity, device list of four versions", "1 of 16 vectors do not pass", 1},
		{"cut.json", "", "cut.json", 2},
		{"other.json", "0 passed, 0 failed, 1 not checked", "", 0},
		{"form.json", "", "field trace", 2},
		{"none.json", "", "bundle", 2},
		{"empty", "", "empty", 2},
		{"nowhere", "", "there is no file", 2},
	} {
		if code := x.run("lab", "vectors", "check", c.word); code != c.code || !strings.Contains(x.stdout.String(), c.stdout) || c.stdout == "" && x.stdout.Len() > 0 || !strings.Contains(x.stderr.String(), c.stderr) {
			t.Errorf("%s: exit %d, want %d\n%s%s", c.word, code, c.code, x.stdout.String(), x.stderr.String())
		}
		if strings.Contains(x.stderr.String(), "\x1b") {
			t.Errorf("%s: a control character", c.word)
		}
	}
	for word, want := range map[string]string{"changed.json": `"code":"lab"`, "cut.json": `"code":"vectors_invalid"`} {
		if x.run("lab", "vectors", "check", word, "--json"); !strings.Contains(x.stderr.String(), want) {
			t.Errorf("%s: %s", word, x.stderr.String())
		}
	}
}
