package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/cli"
	"github.com/pawl-chat/pawl/client"
)

// trial is one run of the program inside the test.
type trial struct {
	fake           *fake
	vars           map[string]string
	in             io.Reader
	terminal       bool
	answers        []string // to the prompts
	asked          []string
	ctx            context.Context
	now            func() time.Time
	stdout, stderr bytes.Buffer
}

func newTrial(t *testing.T) *trial {
	return &trial{
		fake: newFake(), in: strings.NewReader(""), ctx: t.Context(),
		vars: map[string]string{"PAWL_HOME": filepath.Join(t.TempDir(), "home")},
		now:  func() time.Time { return noon },
	}
}

func (x *trial) run(args ...string) int {
	x.stdout.Reset()
	x.stderr.Reset()
	terminal := func() bool { return x.terminal }
	return cli.Run(x.ctx, &cli.Env{
		Stdin: x.in, Stdout: &x.stdout, Stderr: &x.stderr,
		Getenv: func(name string) string { return x.vars[name] },
		Now:    x.now,

		StdinTerminal: terminal, StdoutTerminal: terminal, StderrTerminal: terminal,
		Width: func() int { return 80 },
		ReadSecret: func(_ context.Context, prompt string) ([]byte, error) {
			if !x.terminal {
				return nil, cli.ErrNoTerminal
			}
			x.asked = append(x.asked, prompt)
			if len(x.answers) == 0 {
				return nil, io.EOF
			}
			answer := x.answers[0]
			x.answers = x.answers[1:]
			return []byte(answer), nil
		},
		ReadLine: func(_ context.Context, prompt string) (string, error) {
			x.asked = append(x.asked, prompt)
			if len(x.answers) == 0 {
				return "", io.EOF
			}
			answer := x.answers[0]
			x.answers = x.answers[1:]
			return answer, nil
		},
		Engine: x.fake.engine(),
	}, args)
}

// R-CLI-09
func TestR_CLI_09_RegisterAsksTwice(t *testing.T) {
	x := newTrial(t)
	x.terminal, x.answers = true, []string{"", "one", "other", "swans", "swans"}
	if code := x.run("register", "alice", "--invite", "LINK", "--name", "laptop"); code != 0 {
		t.Fatalf("exit %d: %s", code, x.stderr.String())
	}
	if got := string(x.fake.opened[0].Unlock.Passphrase); got != "swans" {
		t.Errorf("passphrase %q", got)
	}
	if want := (client.RegisterRequest{Name: "alice", Invite: "LINK", DeviceName: "laptop"}); x.fake.request != want {
		t.Errorf("request %+v", x.fake.request)
	}
	if strings.Contains(x.stderr.String()+x.stdout.String(), "swans") {
		t.Error("the passphrase was printed")
	}
}

// R-CLI-09
func TestR_CLI_09_OpenAsksOnlyWhenNeeded(t *testing.T) {
	x := newTrial(t)
	x.terminal = true
	if code := x.run("ls"); code != 0 || len(x.asked) != 0 {
		t.Errorf("exit %d, asked %q", code, x.asked)
	}
	x.fake.needs, x.answers = "swans", []string{"wrong", "swans"}
	if code := x.run("ls"); code != 0 || len(x.asked) != 2 {
		t.Errorf("exit %d, asked %q: %s", code, x.asked, x.stderr.String())
	}
	x.answers, x.asked = []string{"a", "b", "c", "swans"}, nil
	if code := x.run("ls"); code != 4 || len(x.asked) != 3 {
		t.Errorf("exit %d after %d wrong answers, want 4 after 3", code, len(x.asked))
	}
	x.terminal = false
	if code := x.run("ls"); code != 4 || x.stdout.Len() > 0 {
		t.Errorf("without a terminal: exit %d", code)
	}
}

// R-CLI-09: the order of the sources.
func TestR_CLI_09_Order(t *testing.T) {
	x := newTrial(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flag, env, credential := file("flag", "by flag\r\n"), file("env", "by environment\n\n"), file("pawl.passphrase", "by credential")
	key := file("any.key", strings.Repeat("k", 32))
	if err := os.MkdirAll(x.vars["PAWL_HOME"], 0o700); err != nil {
		t.Fatal(err)
	}
	inHome := filepath.Join(x.vars["PAWL_HOME"], "key")
	if err := os.WriteFile(inHome, []byte(strings.Repeat("h", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = credential
	last := func(args ...string) client.Unlock {
		t.Helper()
		if code := x.run(append([]string{"ls"}, args...)...); code != 0 {
			t.Fatalf("exit %d: %s", code, x.stderr.String())
		}
		return x.fake.opened[len(x.fake.opened)-1].Unlock
	}
	if u := last(); u.KeyFile != inHome {
		t.Errorf("nothing given: %q", u.KeyFile)
	}
	x.vars["CREDENTIALS_DIRECTORY"] = dir
	if u := last(); string(u.Passphrase) != "by credential" || u.KeyFile != "" {
		t.Errorf("credential: %q", u.Passphrase)
	}
	x.vars["PAWL_PASSPHRASE_FILE"] = env
	if u := last(); string(u.Passphrase) != "by environment\n" {
		t.Errorf("environment: %q; only one line end is taken off", u.Passphrase)
	}
	if u := last("--passphrase-file", flag); string(u.Passphrase) != "by flag" {
		t.Errorf("flag: %q", u.Passphrase)
	}
	if u := last("--key-file", key); u.KeyFile != key || len(u.Passphrase) > 0 {
		t.Errorf("key file: %q", u.KeyFile)
	}
}

// R-CLI-07
func TestR_CLI_07_Colour(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		vars     map[string]string
		want     bool
	}{
		{"terminal", true, nil, true},
		{"pipe", false, nil, false},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, false},
		{"NO_COLOR wins", true, map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, false},
		{"CLICOLOR_FORCE", false, map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"CLICOLOR_FORCE=0", false, map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"dumb", true, map[string]string{"TERM": "dumb"}, false},
	} {
		x := newTrial(t)
		x.terminal = c.terminal
		for k, v := range c.vars {
			x.vars[k] = v
		}
		x.run("contact", "show", "bob")
		if got := strings.Contains(x.stdout.String(), "\x1b["); got != c.want {
			t.Errorf("%s: colour %v, want %v", c.name, got, c.want)
		}
	}
}

// R-CLI-06: names and texts from elsewhere, on every command that prints them.
func TestR_CLI_06_EveryCommand(t *testing.T) {
	x := newTrial(t)
	x.fake.alias = "b\x1b[2Job\u202e"
	nasty := greeting(1, "hi\x1b]0;owned\a\nalice@localhost: fake\u200b")
	nasty.Subject, nasty.From, nasty.FromDevice = "s\x1b[1m", "bob\u202e@localhost", "\x9bx"
	broken := greeting(2, "")
	broken.Kind, broken.Cause = client.KindUndecryptable, "forged\x1b"
	odd := greeting(3, "")
	odd.Kind = client.KindUnknown
	x.fake.messages = []client.Message{nasty, broken, odd, notice(4, "no\x1bvelty")}
	x.fake.trust = client.TrustChanged
	for _, args := range [][]string{
		{"recv"}, {"ls"}, {"history", "bob"}, {"message", "show", "IN1"}, {"message", "show", "IN2"}, {"contact", "list"}, {"contact", "show", "bob"},
		{"verify", "bob"}, {"status"}, {"send", "bob", "x\x1by"}, {"send", "carol", "x"},
	} {
		for _, json := range []bool{false, true} {
			if json {
				args = append([]string{"--json"}, args...)
			}
			x.fake.acked = map[string]bool{}
			x.run(args...)
			all := x.stdout.String() + x.stderr.String()
			if all == "" || strings.ContainsAny(all, "\x1b\a\u202e\u200b\u009b") {
				t.Errorf("%v printed %q", args, all)
			}
		}
	}
}

// R-CLI-01: what fails before it prints leaves standard output empty.
func TestR_CLI_01_FailureLeavesStdoutEmpty(t *testing.T) {
	commands := [][]string{
		{"send", "bob", "hi"}, {"recv"}, {"ls"}, {"history", "bob"}, {"verify", "bob"}, {"contact", "list"},
		{"contact", "show", "bob"}, {"contact", "remove", "bob"}, {"status"}, {"register", "alice"}, {"serve"},
		{"link"}, {"device", "relink"}, {"device", "list"}, {"device", "rename", "phone", "x"}, {"device", "revoke", "phone", "--yes"},
		{"device", "approve", "PAWL:LINK:0123", "--yes"}, {"device", "history"},
		{"group", "create", "new", "bob"}, {"group", "list"}, {"group", "show", "#rowing"}, {"group", "add", "#rowing", "dave@localhost"},
		{"group", "remove", "#rowing", "bob"}, {"group", "leave", "#rowing"}, {"group", "invite", "#rowing"}, {"group", "join", "LINK"}, {"send", "#rowing", "hi"},
	}
	methods := []string{"Link", "Relink", "Devices", "Approve", "FetchHistory", "Open", "Register", "Send", "Sync", "Receive", "Conversations", "History", "Contacts", "Contact", "SafetyNumber", "Status", "Resolve", "Serve", "Groups", "Group", "CreateGroup", "JoinGroup"}
	failed := 0
	for name, err := range sentinels() {
		for _, args := range commands {
			x := newTrial(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // pawl serve, if it gets that far, ends at once
			x.ctx = ctx
			for _, m := range methods {
				x.fake.fail[m] = err
			}
			code := x.run(args...)
			if code == 0 || x.stdout.Len() > 0 || !strings.HasPrefix(x.stderr.String(), "pawl: ") {
				t.Errorf("%s, %v: exit %d, stdout %q, stderr %q", name, args, code, x.stdout.String(), x.stderr.String())
			}
			failed++
		}
	}
	if failed == 0 {
		t.Fatal("nothing was tried")
	}
}

// R-CLI-02: one exit code and one code word for each error of the client.
func TestR_CLI_02_ExitCodes(t *testing.T) {
	want := map[string]int{
		"not_registered": 4, "already_registered": 2, "name_taken": 2, "wrong_passphrase": 4, "locked": 4, "store_damaged": 1,
		"disk_full": 1, "server_unreachable": 3, "server_identity": 5, "refused": 1, "invite_invalid": 2, "unknown_recipient": 7,
		"identity_changed": 5, "rate_limited": 6, "mailbox_full": 6, "text_too_long": 2, "text_invalid": 2, "revoked": 4, "clock": 1,
		"message_not_found": 2, "backup_damaged": 1, "backup_newer": 1, "backup_passphrase": 4,
		"timeout": 9, "cannot_resend": 2, "rolled_back": 4, "home_in_use": 1, "no_account_key": 2, "unknown_device": 2, "too_many_devices": 2,
		"link_invalid": 2, "link_expired": 2, "device_list": 5, "words_invalid": 2, "not_recorded": 2, "not_signed": 2, "cannot_edit": 2, "proof_malformed": 1, "proof_newer": 1, "proof_fails": 5,
		"unknown_group": 7, "not_a_member": 7, "not_allowed": 2, "group_full": 2, "nothing_to_change": 2, "group_changed": 2, "group_forked": 5, "group_name": 2, "group_invite": 2,
	}
	for name, err := range sentinels() {
		x := newTrial(t)
		x.fake.fail["Conversations"] = errors.Join(errors.New("while listing"), err)
		code := x.run("ls", "--json")
		if code != want[name] || !strings.Contains(x.stderr.String(), `"code":"`+name+`"`) {
			t.Errorf("%s: exit %d, want %d: %s", name, code, want[name], x.stderr.String())
		}
		if err := cli.CheckObject("error", bytes.TrimSpace(x.stderr.Bytes())); err != nil {
			t.Error(err)
		}
	}
	x := newTrial(t)
	x.fake.fail["Conversations"] = errors.New("something else")
	if code := x.run("ls", "--json"); code != 1 || !strings.Contains(x.stderr.String(), `"code":"unexpected"`) {
		t.Errorf("unexpected: exit %d", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x.ctx = ctx
	x.fake.fail["Conversations"] = context.Canceled
	if code := x.run("ls"); code != 130 || x.stderr.Len() > 0 {
		t.Errorf("interrupted: exit %d, %q", code, x.stderr.String())
	}
	if code := x.run("recv", "--follow"); code != 130 {
		t.Errorf("recv --follow interrupted: exit %d", code)
	}
}

// R-CLI-11: what is queued is not to be sent again, and says so.
func TestR_CLI_11_Queued(t *testing.T) {
	x := newTrial(t)
	x.fake.fail["Send"] = client.ErrUnreachable
	code := x.run("--json", "send", "bob", "hi")
	got := x.stderr.String()
	if code != 3 || !strings.Contains(got, `"code":"queued"`) || !strings.Contains(got, `"retryable":false`) || !strings.Contains(got, `"message_id":"MSG1"`) {
		t.Errorf("exit %d: %s", code, got)
	}
}

// R-CLI-05: a write that fails acknowledges nothing.
func TestR_CLI_05_AcknowledgeAfterWriting(t *testing.T) {
	for _, args := range [][]string{{"recv"}, {"recv", "--json"}, {"recv", "--follow", "--json"}} {
		x := newTrial(t)
		x.fake.messages = []client.Message{greeting(1, "one")}
		env := &cli.Env{
			Stdin: x.in, Stdout: brokenWriter{}, Stderr: &x.stderr, Getenv: func(n string) string { return x.vars[n] },
			Now:           func() time.Time { return noon },
			StdinTerminal: no, StdoutTerminal: no, StderrTerminal: no, Width: func() int { return 0 }, Engine: x.fake.engine(),
		}
		if code := cli.Run(t.Context(), env, args); code != 1 || len(x.fake.acked) != 0 {
			t.Errorf("%v: exit %d, acknowledged %v", args, code, x.fake.acked)
		}
	}
}

func no() bool { return false }

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space") }

// R-CLI-04: every command's objects are valid by their schemas.
func TestR_CLI_04_Objects(t *testing.T) {
	for _, c := range []struct {
		args []string
		kind []string
	}{
		{[]string{"send", "bob", "hi"}, []string{"message"}},
		{[]string{"recv"}, []string{"message", "event"}},
		{[]string{"ls"}, []string{"conversation"}},
		{[]string{"history", "bob"}, []string{"message", "event", "message"}},
		{[]string{"message", "show", "IN1"}, []string{"message"}},
		{[]string{"message", "show", "IN2"}, []string{"event"}},
		{[]string{"verify", "bob"}, []string{"safety_number"}},
		{[]string{"verify", "bob", "--confirm"}, []string{"safety_number"}},
		{[]string{"contact", "list"}, []string{"contact"}},
		{[]string{"contact", "show", "bob"}, []string{"contact"}},
		{[]string{"contact", "alias", "bob", "rob"}, []string{"contact"}},
		{[]string{"contact", "remove", "bob"}, []string{"contact"}},
		{[]string{"status"}, []string{"status"}},
		{[]string{"device", "list"}, []string{"device", "device"}},
		{[]string{"device", "rename", "phone", "old"}, []string{"device"}},
		{[]string{"device", "revoke", "phone", "--yes"}, []string{"device"}},
		{[]string{"device", "approve", "pawl:link:0123", "--yes"}, []string{"device"}},
		{[]string{"device", "link"}, []string{"link", "account"}},
		{[]string{"link"}, []string{"link", "account"}},
		{[]string{"device", "relink"}, []string{"link", "account"}},
		{[]string{"version"}, []string{"version"}},
		{[]string{"group", "create", "new", "bob"}, []string{"group"}},
		{[]string{"group", "list"}, []string{"group", "group", "group"}},
		{[]string{"group", "show", "#rowing"}, []string{"group"}},
		{[]string{"group", "invite", "#rowing"}, []string{"group_invite"}},
		{[]string{"group", "join", "pawl://localhost/group/ID?by=bob@localhost&t=TOKEN"}, []string{"group_join"}},
		{[]string{"send", "#rowing", "hi @bob"}, []string{"message"}},
		{[]string{"register", "alice", "--invite", "LINK"}, []string{"account"}},
	} {
		x := newTrial(t)
		x.fake.messages = []client.Message{greeting(1, "one"), notice(2, client.NoticeSessionReset)}
		if slices.Equal(c.args, []string{"history", "bob"}) {
			x.run("send", "bob", "before") // another fake process would not know it; this one does
		}
		if code := x.run(append(c.args, "--json")...); code != 0 {
			t.Errorf("%v: exit %d: %s", c.args, code, x.stderr.String())
		}
		lines := bytes.Split(bytes.TrimSpace(x.stdout.Bytes()), []byte("\n"))
		if len(lines) != len(c.kind) {
			t.Fatalf("%v: %d lines, want %d", c.args, len(lines), len(c.kind))
		}
		for i, line := range lines {
			if err := cli.CheckObject(c.kind[i], line); err != nil {
				t.Errorf("%v: %v", c.args, err)
			}
		}
	}
}

// R-CLI-13: the one line of a server that is ready, and a clean end.
func TestR_CLI_13_Serve(t *testing.T) {
	x := newTrial(t)
	x.vars["XDG_DATA_HOME"] = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x.ctx = ctx
	if code := x.run("serve", "--json"); code != 0 {
		t.Fatalf("exit %d: %s", code, x.stderr.String())
	}
	const want = `{"schema":"pawl.server/1","type":"server","listen":"127.0.0.1:34567","invite":"pawl://127.0.0.1:34567/invite/TOKEN?pin=PIN"}` + "\n"
	if x.stdout.String() != want {
		t.Errorf("printed %s", x.stdout.String())
	}
	x.run("serve")
	if got := x.stdout.String(); got != "listening on 127.0.0.1:34567, invite pawl://127.0.0.1:34567/invite/TOKEN?pin=PIN\n" {
		t.Errorf("printed %s", got)
	}
	x.run("serve", "--registration", "closed", "--json")
	if got := x.stdout.String(); strings.Contains(got, "invite") {
		t.Errorf("a closed server printed %s", got)
	}
}

// R-CLI-03: both forms of an error.
func TestR_CLI_03_ErrorForms(t *testing.T) {
	x := newTrial(t)
	x.fake.fail["Conversations"] = fmt.Errorf("client: %w: relay: %w", client.ErrRefused, client.ErrRefused)
	x.run("ls")
	const want = "pawl: error: the server refused\npawl: hint: the server's operator can say why\n"
	if got := x.stderr.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	x.run("ls", "--json")
	const object = `{"schema":"pawl.error/1","type":"error","code":"refused","exit":1,"message":"the server refused","retryable":false,"hint":"the server's operator can say why"}` + "\n"
	if got := x.stderr.String(); got != object {
		t.Errorf("printed %s, want %s", got, object)
	}
}

// R-CLI-03: each code has its section in docs/errors.md, with the same exit
// code and the same word on retrying.
func TestR_CLI_03_CodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cli.Codes() {
		_, section, found := strings.Cut(string(page), "\n## "+c.Code+"\n")
		retry := "not retryable"
		if c.Retryable {
			retry = "retryable"
		}
		if begin := fmt.Sprintf("Exit %d, %s.", c.Exit, retry); !found || !strings.HasPrefix(section, begin) {
			t.Errorf("docs/errors.md: the section %s is missing or does not begin with %q", c.Code, begin)
		}
	}
}

// R-CLI-08
func TestR_CLI_08_Home(t *testing.T) {
	for _, c := range []struct {
		flag string
		vars map[string]string
		want string
	}{
		{"/f", map[string]string{"PAWL_HOME": "/e", "XDG_DATA_HOME": "/x", "HOME": "/h"}, "/f"},
		{"", map[string]string{"PAWL_HOME": "/e", "XDG_DATA_HOME": "/x", "HOME": "/h"}, "/e"},
		{"", map[string]string{"XDG_DATA_HOME": "/x", "HOME": "/h"}, "/x/pawl"},
		{"", map[string]string{"XDG_DATA_HOME": "relative", "HOME": "/h"}, "/h/.local/share/pawl"},
		{"", map[string]string{"HOME": "/h"}, "/h/.local/share/pawl"},
	} {
		x := newTrial(t)
		x.vars = c.vars
		args := []string{"ls"}
		if c.flag != "" {
			args = append(args, "--home", c.flag)
		}
		if code := x.run(args...); code != 0 || x.fake.opened[0].Home != c.want {
			t.Errorf("%+v: exit %d, home %q", c, code, x.fake.opened[0].Home)
		}
	}
	x := newTrial(t)
	x.vars = nil
	if code := x.run("ls"); code != 2 || !strings.Contains(x.stderr.String(), "--home") {
		t.Errorf("no home at all: exit %d, %s", code, x.stderr.String())
	}
}

// R-CLI-10
func TestR_CLI_10_Text(t *testing.T) {
	for _, c := range []struct {
		args     []string
		in       string
		terminal bool
		want     string // empty: a mistake in usage
	}{
		{[]string{"two", "words"}, "ignored", false, "two words"},
		{nil, "piped\n", false, "piped"},
		{nil, "piped\r\n", false, "piped"},
		{nil, "two\n\n", false, "two\n"},
		{[]string{"-"}, "typed\n", true, "typed"},
		{nil, "", true, ""},
		{nil, "\n", false, ""},
		{[]string{"--", "--json"}, "", false, "--json"},
		{[]string{"-", "-"}, "", false, "- -"},
	} {
		x := newTrial(t)
		x.in, x.terminal = strings.NewReader(c.in), c.terminal
		code := x.run(append([]string{"send", "bob"}, c.args...)...)
		switch {
		case c.want == "" && (code != 2 || len(x.fake.sent) > 0):
			t.Errorf("%+v: exit %d, want 2", c, code)
		case c.want != "" && (code != 0 || x.fake.sent[0].Text != c.want):
			t.Errorf("%+v: exit %d, sent %+v", c, code, x.fake.sent)
		}
	}
}

// A server that is not the one pinned ends the following; one that is only away
// is waited for.
func TestFollowWithoutServer(t *testing.T) {
	x := newTrial(t)
	x.fake.fail["Sync"] = client.ErrServerIdentity
	if code := x.run("recv", "--follow", "--json"); code != 5 || !strings.Contains(x.stderr.String(), `"code":"server_identity"`) {
		t.Errorf("exit %d: %s", code, x.stderr.String())
	}
	x.fake.fail["Sync"] = client.ErrUnreachable
	x.fake.messages = []client.Message{greeting(1, "one"), greeting(2, "two")}
	if code := x.run("recv", "--follow", "--limit", "2"); code != 0 || strings.Count(x.stdout.String(), "\n") != 2 {
		t.Errorf("exit %d: %s%s", code, x.stdout.String(), x.stderr.String())
	}
}

// R-CLI-02: a word that could mean several people is asked about on a
// terminal, and nowhere else.
func TestR_CLI_02_Ambiguous(t *testing.T) {
	x := newTrial(t)
	x.terminal, x.answers = true, []string{"3", "x", "1"}
	if code := x.run("send", "carol", "hi"); code != 0 || x.fake.sent[0].To != "carol@here" {
		t.Errorf("exit %d, sent %+v", code, x.fake.sent)
	}
	if got := x.stderr.String(); !strings.Contains(got, "  2  carol@there\n") || strings.Contains(got, "\u202e") {
		t.Errorf("asked %q", got)
	}
	x.answers = []string{"0", "9", ""}
	if code := x.run("send", "carol", "hi"); code != 2 {
		t.Errorf("no answer: exit %d, want 2", code)
	}
	x.asked, x.answers = nil, []string{"1"}
	if code := x.run("--json", "send", "carol", "hi"); code != 2 || len(x.asked) > 0 {
		t.Errorf("--json: exit %d, asked %q", code, x.asked)
	}
}

// Every error that package client exports has a class of its own.
func TestR_CLI_02_NoErrorIsForgotten(t *testing.T) {
	files, err := filepath.Glob("../client/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("package client was not found")
	}
	internal := map[string]bool{ // of the demonstration's judges; they never reach a command
		"no key in this home opens the envelope":                         true,
		"no disclosed MAC key in the recorded traffic fits that message": true,
	}
	known := map[string]bool{}
	for _, err := range sentinels() {
		known[err.Error()] = true
	}
	found := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bErr[A-Z]\w*\s*=\s*errors\.New\("(.*)"\)`).FindAllStringSubmatch(string(source), -1) {
			if found++; !known[m[1]] && !internal[m[1]] {
				t.Errorf("%s: the error %q has no exit code", file, m[1])
			}
		}
	}
	if found < len(known) {
		t.Errorf("only %d errors were found", found)
	}
}
