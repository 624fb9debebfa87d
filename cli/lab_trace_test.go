package cli_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// R-LAB-25: a trace is judged again with the same objects; what was changed is
// refused; a drawing can be made of it.
func TestR_LAB_25_Replay(t *testing.T) {
	t.Chdir(t.TempDir())
	x := newTrial(t)
	if code := x.run("lab", "run", "clone", "--trace", "clone.trace", "--json"); code != 0 {
		t.Fatal(x.stderr.String())
	}
	first := x.stdout.String()
	if code := x.run("lab", "replay", "clone.trace", "--json"); code != 0 || x.stdout.String() != first {
		t.Errorf("exit %d: %s\n%s\nbecame\n%s", code, x.stderr.String(), first, x.stdout.String())
	}
	b, err := os.ReadFile("clone.trace")
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(b)
	changed[len(b)/2] ^= 1
	if err := os.WriteFile("changed.trace", changed, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := "name = \"wrong\"\nsteps = [ { do = \"compromise\", who = \"alice\", as = \"t\" } ]\n[people]\nalice = 1\n[[expect]]\nat = \"t\"\nopened = \"1\"\n"
	if err := os.WriteFile("wrong.toml", []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"replay", "clone.trace"}, 0, "as expected", ""},
		{[]string{"replay", "changed.trace", "--json"}, 2, "", `"code":"trace_invalid"`},
		{[]string{"replay", "wrong.toml"}, 2, "", "not a trace"},
		{[]string{"replay", "none.trace"}, 2, "", "there is no file"},
		{[]string{"run", "clone", "--trace", "clone.trace"}, 2, "", "exists already"},
		{[]string{"run", "clone", "--force"}, 2, "", "--force belongs to --trace"},
		{[]string{"run", "clone", "--trace", "clone.trace", "--force"}, 0, "as expected", ""},
		{[]string{"run", "./wrong.toml", "--trace", "wrong.trace"}, 1, "NOT as expected", "expected 1"},
		{[]string{"replay", "wrong.trace"}, 1, "NOT as expected", "expected 1"},
		{[]string{"run", "./none.toml", "--trace", "no.trace"}, 2, "", "there is no file"},
		{[]string{"plot", "./clone.trace", "-o", "clone.html"}, 0, "7 messages and 1 theft drawn", ""},
		{[]string{"plot", "./clone.trace", "--seed", "3", "-o", "other.html"}, 2, "", "--seed"},
		{[]string{"plot", "./changed.trace", "-o", "other.html"}, 2, "", "item"},
		{[]string{"plot", "./wrong.toml", "-o", "wrong.html"}, 0, "wrong.html", ""},
	} {
		x := newTrial(t)
		if code := x.run(append([]string{"lab"}, c.args...)...); code != c.code {
			t.Errorf("%q: exit %d, want %d: %s", c.args, code, c.code, x.stderr.String())
		}
		if !strings.Contains(x.stdout.String(), c.stdout) || c.stdout == "" && x.stdout.Len() > 0 || !strings.Contains(x.stderr.String(), c.stderr) {
			t.Errorf("%q:\n%s%s", c.args, x.stdout.String(), x.stderr.String())
		}
	}
	for _, name := range []string{"no.trace", "other.html"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s was left", name)
		}
	}
}
