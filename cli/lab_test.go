package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/cli"
	"github.com/pawl-chat/pawl/lab"
)

// R-LAB-14: a verdict for each compromise, then a summary; each by its schema.
func TestR_LAB_14_Objects(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range lab.Shipped() {
		x := newTrial(t)
		if code := x.run("lab", "run", s.Name, "--json"); code != 0 {
			t.Errorf("%s: exit %d: %s", s.Name, code, x.stderr.String())
		}
		lines := strings.Split(strings.TrimSuffix(x.stdout.String(), "\n"), "\n")
		for i, line := range lines {
			kind := "verdict"
			if i == len(lines)-1 {
				kind = "summary"
			}
			t.Chdir(root)
			if err := cli.CheckObject(kind, []byte(line)); err != nil {
				t.Errorf("%s: %v in %s", s.Name, err, line)
			}
		}
		var summary struct {
			Met    bool
			Thefts int
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &summary); err != nil || !summary.Met || summary.Thefts != len(lines)-1 {
			t.Errorf("%s: %v: %+v in %d lines", s.Name, err, summary, len(lines))
		}
	}
}

// R-LAB-14: what is not as expected fails after it was printed; a file is read
// strictly, and one's own scenario runs like a shipped one.
func TestR_LAB_14_OwnFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x := newTrial(t)
	if code := x.run("lab", "show", "state-theft"); code != 0 {
		t.Fatal(x.stderr.String())
	}
	shown := x.stdout.String()
	write("mine.toml", shown)
	write("wrong.toml", strings.Replace(shown, `opened = "5-6"`, `opened = "5"`, 1))
	write("broken.toml", shown+"\nsteal = 1\n")
	write("long.toml", strings.Repeat("#", lab.MaxScenario+1))
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"mine.toml"}, 0, "as expected", ""},
		{[]string{"./mine.toml", "--seed", "9", "--json"}, 0, `"seed":9,`, ""},
		{[]string{"wrong.toml"}, 1, "NOT as expected", "theft: opened: expected 5, found 5-6"},
		{[]string{"wrong.toml", "--json"}, 1, `"met":false`, `"code":"lab"`},
		{[]string{"broken.toml"}, 2, "", "steal"},
		{[]string{"broken.toml", "--json"}, 2, "", `"code":"scenario_invalid"`},
		{[]string{"long.toml"}, 2, "", "longer than"},
		{[]string{"mine.toml", "--seed", "-1"}, 2, "", "--seed"},
		{[]string{"mine"}, 2, "", "no scenario"},
		{[]string{"../none/mine.toml"}, 2, "", "no file"},
		{[]string{}, 2, "", "NAME or FILE"},
	} {
		x := newTrial(t)
		if code := x.run(append([]string{"lab", "run"}, c.args...)...); code != c.code {
			t.Errorf("%q: exit %d, want %d: %s", c.args, code, c.code, x.stderr.String())
		}
		if !strings.Contains(x.stdout.String(), c.stdout) || c.stdout == "" && x.stdout.Len() > 0 || !strings.Contains(x.stderr.String(), c.stderr) {
			t.Errorf("%q:\n%s%s", c.args, x.stdout.String(), x.stderr.String())
		}
	}
}
