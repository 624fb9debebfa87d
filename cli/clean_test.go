package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostile are texts that try to do something to a terminal or a reader, and
// what is left of each.
func hostile() map[string]string {
	return map[string]string{
		"plain":                       "plain",
		"":                            "",
		"\x1b[31mred\x1b[0m":          "[31mred[0m",
		"\x1b]0;title\x07":            "]0;title",
		"\u009b31mC1":                 "31mC1",
		"bell\a back\b\x7f":           "bell back",
		"over\u202ewritten":           "overwritten",
		"\u2066isolate\u2069":         "isolate",
		"zero\u200bwidth\u200d\ufeff": "zerowidth",
		"soft\u00adhyphen":            "softhyphen",
		"tag\U000e0041":               "tag",
		"filler\u3164\u115f":          "filler",
		"one\ntwo\r\nthree\u2028x":    "one two three x",
		"tab\tbed":                    "tab bed",
		"carriage\rreturn":            "carriagereturn",
		"bad\xff\xc0utf8":             "bad\ufffd\ufffdutf8",
		"heart ❤️ 日本語 עברית Ünï": "heart ❤️ 日本語 עברית Ünï",
	}
}

// R-CLI-06
func TestR_CLI_06_Clean(t *testing.T) {
	for in, want := range hostile() {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := cleanLines("a\r\nb\x1b\nc\u2029d"); got != "a\nb\nc\nd" {
		t.Errorf("cleanLines: %q", got)
	}
}

// R-CLI-06
func TestR_CLI_06_JSONCarriesNoRawControls(t *testing.T) {
	for in := range hostile() {
		line := encodeLine(messageObject{Text: in})
		checkLine(t, line, in)
	}
	line := string(encodeLine(messageObject{Text: "\u202e\U000e0041\x7f\x1b<&>"}))
	if !strings.Contains(line, `"text":"\u202e\udb40\udc41\u007f\u001b<&>"`) {
		t.Errorf("escapes: %s", line)
	}
}

// checkLine holds that a line of JSON is safe to print and loses nothing.
func checkLine(t *testing.T, line []byte, text string) {
	t.Helper()
	if strings.IndexFunc(strings.TrimSuffix(string(line), "\n"), func(r rune) bool { return hidden(r) || r == '\n' }) >= 0 {
		t.Errorf("%q has a raw hidden character", line)
	}
	var back messageObject
	if err := json.Unmarshal(line, &back); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(text, "\ufffd"); utf8.ValidString(text) && back.Text != want {
		t.Errorf("%q came back as %q", text, back.Text)
	}
}

func FuzzClean(f *testing.F) {
	for in := range hostile() {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, got := range []string{clean(in), cleanLines(in)} {
			if !utf8.ValidString(got) {
				t.Fatalf("%q is not UTF-8", got)
			}
			for _, r := range got {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Fatalf("%q has %U", got, r)
				}
			}
		}
		if strings.Contains(clean(in), "\n") {
			t.Fatal("clean kept a line break")
		}
		if twice := clean(clean(in)); twice != clean(in) {
			t.Fatalf("clean is not stable: %q", twice)
		}
		checkLine(t, encodeLine(messageObject{Text: in}), in)
	})
}

func TestColumns(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"a longer text", 8, "a longe…"},
		{"日本語の文", 6, "日本…"},
		{"exact", 5, "exact"},
	} {
		if got := fit(c.s, c.n); got != c.want || columns(got) > c.n {
			t.Errorf("fit(%q, %d) = %q of %d columns, want %q", c.s, c.n, got, columns(got), c.want)
		}
	}
	got := table(30, [][]string{{"a", "longer", "the last column is cut here"}, {"日本", "x", "end"}})
	want := "a     longer  the last column…\n日本  x       end\n"
	if got != want {
		t.Errorf("table:\n%s\nwant:\n%s", got, want)
	}
	if got := wrap("one two\nthree four five\n\n  kept as it is\nnext", 9); got != "one two\nthree\nfour five\n\n  kept as it is\nnext" {
		t.Errorf("wrap:\n%s", got)
	}
}
