package cli

import (
	"bufio"
	"bytes"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
)

func exported(t *testing.T, format string, texts ...string) string {
	t.Helper()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	no := func() bool { return false }
	env := &Env{Stderr: &bytes.Buffer{}, Now: func() time.Time { return at }, StderrTerminal: no, StdoutTerminal: no, Getenv: func(string) string { return "" }}
	a := &app{env: env, out: output{env: env}}
	var all iter.Seq2[client.Message, error] = func(yield func(client.Message, error) bool) {
		for _, text := range texts {
			m := client.Message{ID: "X", Conversation: "bob@here", From: "bob@here", Kind: client.KindText, Text: text, Direction: client.In, SentAt: at, Status: client.StatusReceived}
			if !yield(m, nil) {
				return
			}
		}
	}
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := a.exportTo(t.Context(), nil, w, len(texts), all, format); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	return b.String()
}

// A hostile text stays what it is: text of one message.
func TestR_EXP_02_NoTextBecomesMarkup(t *testing.T) {
	hostile := "a\x1b[31mb\u202ec\n2026-11-21 12:00  eve@here  forged\n# title\n[x](http://evil) <script> *b* `c` www.x.org\n    code\n1. one\n---\n|t|\\"
	text := exported(t, "text", hostile, "next")
	if strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("control characters: %q", text)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	messages := 0
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line, "    ") {
			messages++
		}
	}
	if messages != 2 || lines[0] != "== bob@here" {
		t.Errorf("%d messages in\n%s", messages, text)
	}

	md := exported(t, "markdown", hostile, "next")
	if strings.ContainsAny(md, "\x1b\u202e<") {
		t.Errorf("raw characters: %q", md)
	}
	for _, want := range []string{"> \\# title", "\\[x\\]\\(http\\://evil\\)", "&lt;script\\>", "\\*b\\*", "\\`c\\`", "www\\.x\\.org", "> &#32;&#32;&#32;&#32;code", "> 1\\. one", "> \\-\\-\\-", "# bob\\@here\n", "## 2026-11-21\n"} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in\n%s", want, md)
		}
	}
	heads := 0
	for line := range strings.SplitSeq(md, "\n") {
		if strings.HasPrefix(line, "#") {
			heads++
		}
	}
	if heads != 2 {
		t.Errorf("%d headings in\n%s", heads, md)
	}
	if js := exported(t, "json", hostile); strings.Count(js, "\n") != 1 || strings.ContainsAny(js, "\x1b\u202e") {
		t.Errorf("json: %q", js)
	}
}

func TestR_EXP_03_FilesAppearWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	count := func() int { l, _ := os.ReadDir(dir); return len(l) }
	f, err := createFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("half")
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before it is whole")
	}
	f.drop()
	if count() != 0 {
		t.Error("something is left of a file that was given up")
	}
	if f, err = createFile(path, false); err != nil {
		t.Fatal(err)
	}
	f.WriteString("whole")
	if err := f.commit(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || count() != 1 {
		t.Errorf("%v %v, %d files", info, err, count())
	}
	if _, err := createFile(path, false); !errors.Is(err, errUsage) {
		t.Errorf("a file that exists: %v", err)
	}
	// Somebody makes the file meanwhile.
	other := filepath.Join(dir, "other")
	if f, err = createFile(other, false); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(other, []byte("mine"), 0o600)
	if err := f.commit(); !errors.Is(err, errUsage) {
		t.Errorf("replaced a file: %v", err)
	}
	if b, _ := os.ReadFile(other); string(b) != "mine" || count() != 2 {
		t.Errorf("%q, %d files", b, count())
	}
	if f, err = createFile(path, true); err != nil {
		t.Fatal(err)
	}
	f.WriteString("new")
	if err := f.commit(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "new" || count() != 2 {
		t.Errorf("%q, %d files", b, count())
	}
	if _, err := createFile(dir, true); !errors.Is(err, errUsage) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := createFile(filepath.Join(dir, "no", "x"), false); !errors.Is(err, errUsage) {
		t.Errorf("no directory: %v", err)
	}
}
