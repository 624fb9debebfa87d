package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

// left lists what is in the working directory.
func left(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*")
	hidden, _ := filepath.Glob(".pawl-*")
	if err != nil {
		t.Fatal(err)
	}
	return append(names, hidden...)
}

// R-LAB-29: a file that is there stays, one that failed leaves nothing.
func TestR_LAB_29_PlotFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args []string
		code int
		left int
	}{
		{[]string{"none", "-o", "out.html"}, 2, 0},
		{[]string{"state-theft"}, 2, 0},
		{[]string{"state-theft", "-o", "no/out.html"}, 2, 0},
		{[]string{"state-theft", "--seed", "-1", "-o", "out.html"}, 2, 0},
		{[]string{"state-theft", "-o", "out.html"}, 0, 1},
		{[]string{"clone", "-o", "out.html"}, 2, 1},
	} {
		x := newTrial(t)
		if code := x.run(append([]string{"lab", "plot"}, c.args...)...); code != c.code || len(left(t)) != c.left {
			t.Errorf("%q: exit %d, want %d; there are %q: %s", c.args, code, c.code, left(t), x.stderr.String())
		}
	}
	first, err := os.ReadFile("out.html")
	if err != nil || !bytes.Contains(first, []byte("<h1>state-theft</h1>")) {
		t.Fatalf("%v: %.200s", err, first)
	}
	x := newTrial(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x.ctx = ctx
	if code := x.run("lab", "plot", "clone", "-o", "out.html", "--force"); code != 130 {
		t.Errorf("interrupted: exit %d: %s", code, x.stderr.String())
	}
	if now, _ := os.ReadFile("out.html"); !bytes.Equal(now, first) || len(left(t)) != 1 {
		t.Errorf("an interruption left %q", left(t))
	}
	x = newTrial(t)
	if code := x.run("lab", "plot", "clone", "-o", "out.html", "--force"); code != 0 {
		t.Errorf("exit %d: %s", code, x.stderr.String())
	}
	if now, _ := os.ReadFile("out.html"); !bytes.Contains(now, []byte("<h1>clone</h1>")) {
		t.Error("--force did not replace the file")
	}
	if info, err := os.Stat("out.html"); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}
