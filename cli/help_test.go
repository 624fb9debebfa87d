package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// Every command says what it is for, in lines that fit, with an example that
// names flags it really has.
func TestHelpOfEveryCommand(t *testing.T) {
	no := func() bool { return false }
	var out bytes.Buffer
	env := &Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, Now: time.Now,
		StdinTerminal: no, StdoutTerminal: no, StderrTerminal: no, Width: func() int { return 80 },
	}
	root := (&app{env: env, out: output{env: env}}).root()
	seen := 0
	eachCommand(root, func(c *cobra.Command) {
		path := c.CommandPath()
		if strings.HasPrefix(path, "pawl completion ") || c.IsAdditionalHelpTopicCommand() {
			return
		}
		seen++
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 60 {
			t.Errorf("%s: short text %q", path, c.Short)
		}
		if c.Example == "" {
			t.Errorf("%s has no example", path)
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			for word := range strings.FieldsSeq(line) {
				if word == "--" || word == "|" {
					break
				}
				word, _, _ = strings.Cut(word, "=")
				if name, ok := strings.CutPrefix(word, "--"); ok && c.Flags().Lookup(name) == nil && c.InheritedFlags().Lookup(name) == nil && c != root {
					t.Errorf("%s: the example names --%s, which it does not have", path, name)
				}
			}
		}
		out.Reset()
		args := append(strings.Fields(path)[1:], "--help")
		if code := Run(t.Context(), env, args); code != 0 {
			t.Errorf("%s --help: exit %d", path, code)
		}
		for line := range strings.SplitSeq(out.String(), "\n") {
			if columns(line) > 84 {
				t.Errorf("%s --help has a line of %d columns: %s", path, columns(line), line)
			}
		}
		page := manPage(c)
		if !strings.HasPrefix(page, ".TH ") || !strings.Contains(page, "\n.SH NAME\n") || strings.Contains(page, "`") && strings.Contains(page, ".B `") {
			t.Errorf("%s: manual page:\n%s", path, page)
		}
	})
	if seen < 20 {
		t.Errorf("only %d commands were looked at", seen)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"reply", "reply", 0}, {"replay", "reply", 1}, {"tt", "ttl", 1}, {"abc", "xyz", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestLifetime(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": 0, "90m": 90 * time.Minute, "12h": 12 * time.Hour, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "1s": time.Second,
	} {
		if got, err := lifetime(in); err != nil || got != want {
			t.Errorf("lifetime(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"d", "-1d", "0d", "1.5d", "99999999d", "x", "500ms", "-2h", "d7", "31d", "721h"} {
		if got, err := lifetime(in); err == nil {
			t.Errorf("lifetime(%q) = %v, want an error", in, got)
		}
	}
}

// What is drawn is the code: reading the half blocks back gives its modules.
func TestQRText(t *testing.T) {
	drawn := strings.Split(strings.TrimSuffix(qrText("PAWL:1:012345678901234567890123456789", false), "\n"), "\n")
	if len(drawn) < 13 || qrText("", false) != "" {
		t.Fatalf("%d lines", len(drawn))
	}
	var rows []string
	for _, line := range drawn {
		line = strings.TrimPrefix(line, "    ")
		top := strings.NewReplacer("█", "1", "▀", "1", "▄", "0", " ", "0").Replace(line)
		bottom := strings.NewReplacer("█", "1", "▄", "1", "▀", "0", " ", "0").Replace(line)
		rows = append(rows, top, bottom)
	}
	// The finder pattern stands in three corners behind a light frame of two.
	finder := []string{"0000000", "0111110", "0100010", "0100010", "0100010", "0111110", "0000000"}
	n := len(rows[0])
	for i, want := range finder {
		if got := rows[2+i][2:9]; got != want {
			t.Errorf("top left, row %d: %s, want %s", i, got, want)
		}
		if got := rows[2+i][n-9 : n-2]; got != want {
			t.Errorf("top right, row %d: %s, want %s", i, got, want)
		}
		if got := rows[n-9+i][2:9]; got != want {
			t.Errorf("bottom left, row %d: %s, want %s", i, got, want)
		}
	}
	if strings.Contains(rows[0]+rows[1], "0") {
		t.Error("there is no light frame")
	}
}
