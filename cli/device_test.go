package cli_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pawl-chat/pawl/cli"
	"github.com/pawl-chat/pawl/client"
)

// R-CLI-16: on a terminal a person is asked, and no is what anything but yes
// means.
func TestR_CLI_16_Confirmation(t *testing.T) {
	for _, c := range []struct {
		answer string
		code   int
	}{{"y", 0}, {"YES ", 0}, {"", 2}, {"n", 2}, {"yesterday", 2}, {"j", 2}} {
		x := newTrial(t)
		x.terminal, x.answers = true, []string{c.answer}
		if code := x.run("device", "revoke", "phone"); code != c.code || x.fake.own()[1].Revoked != (c.code == 0) {
			t.Errorf("revoke, %q: exit %d, revoked %v", c.answer, code, x.fake.own()[1].Revoked)
		}
		if len(x.asked) != 1 || !strings.Contains(x.asked[0], "00000000000000a2  phone") {
			t.Errorf("asked %q", x.asked)
		}
		x = newTrial(t)
		x.terminal, x.answers = true, []string{c.answer}
		if code := x.run("device", "approve", "pawl:link:0123", "--history"); code != c.code || x.fake.approved.History != (c.code == 0) {
			t.Errorf("approve, %q: exit %d, %+v", c.answer, code, x.fake.approved)
		}
		if len(x.asked) != 1 || !strings.Contains(x.asked[0], "the code 1234 5678?") {
			t.Errorf("asked %q", x.asked)
		}
	}
	// Nobody to answer, and programs.
	for _, args := range [][]string{{"device", "revoke", "phone"}, {"device", "approve", "pawl:link:0123", "--history"}} {
		for _, json := range []bool{false, true} {
			x := newTrial(t)
			x.terminal = json
			if json {
				args = append(args, "--json")
			}
			if code := x.run(args...); code != 2 || len(x.asked) > 0 || x.fake.own()[1].Revoked || x.fake.approved.History {
				t.Errorf("%v: exit %d", args, code)
			}
		}
	}
	x := newTrial(t)
	x.terminal = true
	for _, word := range []string{"0000", "", "nosuch"} {
		if code := x.run("device", "revoke", word); code != 2 || len(x.asked) > 0 {
			t.Errorf("a word for several or none: exit %d, asked %q", code, x.asked)
		}
	}
}

// R-CLI-15: what is shown while waiting, and for whom.
func TestR_CLI_15_Link(t *testing.T) {
	x := newTrial(t)
	x.terminal, x.answers = true, []string{"swans", "swans"}
	if code := x.run("device", "link", "--name", "desktop", "--server", "srv"); code != 0 {
		t.Fatalf("exit %d: %s", code, x.stderr.String())
	}
	if x.fake.link.DeviceName != "desktop" || x.fake.link.Server != "srv" || string(x.fake.opened[0].Unlock.Passphrase) != "swans" {
		t.Errorf("%+v", x.fake.link)
	}
	if out := x.stdout.String(); !strings.HasPrefix(out, "pawl:link:0123\n") || !strings.Contains(out, "█") {
		t.Errorf("printed %s", out)
	}
	// A write that fails ends the waiting.
	x = newTrial(t)
	env := &cli.Env{
		Stdin: x.in, Stdout: brokenWriter{}, Stderr: &x.stderr, Getenv: func(n string) string { return x.vars[n] },
		Now: nil, StdinTerminal: no, StdoutTerminal: no, StderrTerminal: no, Width: func() int { return 0 }, Engine: x.fake.engine(),
	}
	if code := cli.Run(t.Context(), env, []string{"link", "--json", "--key-file", t.TempDir() + "/key"}); code != 1 || !strings.Contains(x.stderr.String(), `"code":"output"`) {
		t.Errorf("a broken output: exit %d, %s", code, x.stderr.String())
	}
}

// A relink asks for the passphrase of the home that is there.
func TestRelinkOpensTheHome(t *testing.T) {
	x := newTrial(t)
	x.terminal, x.answers = true, []string{"swans", "ducks", "geese"}
	x.fake.fail["Relink"] = client.ErrLocked
	if code := x.run("device", "relink"); code != 4 || len(x.asked) == 0 || x.asked[0] != "passphrase: " {
		t.Errorf("exit %d, asked %q", code, x.asked)
	}
	x = newTrial(t)
	x.fake.fail["FetchHistory"] = errors.New("lost")
	x.fake.offered = client.HistoryProgress{Offered: true}
	if code := x.run("device", "relink", "--json"); code != 0 || bytes.Count(x.stdout.Bytes(), []byte("\n")) != 2 || !strings.Contains(x.stderr.String(), "lost") {
		t.Errorf("exit %d: %s", code, x.stderr.String())
	}
}

// R-CLI-15: a device that was linked does not wait for ever for a history that
// nobody sends.
func TestR_CLI_15_HistoryFromADeviceThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial(t)
		x.fake.offered = client.HistoryProgress{Offered: true}
		began := time.Now()
		code := x.run("link", "--key-file", filepath.Join(t.TempDir(), "key"))
		if took := time.Since(began); code != 0 || took < 30*time.Second || took > time.Minute || !strings.Contains(x.stderr.String(), "the other one is away") {
			t.Errorf("exit %d after %v: %s", code, took, x.stderr.String())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		x.ctx = ctx
		if code := x.run("device", "history"); code == 0 || ctx.Err() == nil {
			t.Errorf("pawl device history ended before it was told to: exit %d", code)
		}
	})
}

// R-CLI-19: events and their sentences; --quiet hides none.
func TestR_CLI_19_Notices(t *testing.T) {
	alarms := []string{client.NoticeIdentityChanged, client.NoticeAccountRecovered, client.NoticeListForked, client.NoticeListRolledBack}
	calm := []string{client.NoticeDeviceAdded, client.NoticeDeviceRevoked, client.NoticeDeviceRenamed, client.NoticeRelinked}
	warned := []string{client.NoticeSessionReset, client.NoticeLastResort, "of_a_later_version"}
	for _, kind := range []struct {
		list           []string
		alarm, warning bool
	}{{alarms, true, true}, {calm, false, false}, {warned, false, true}} {
		for i, what := range kind.list {
			x := newTrial(t)
			m := notice(i, what)
			m.Text = "phone\u202e\n"
			x.fake.messages = []client.Message{m}
			x.run("recv", "--quiet")
			got := x.stderr.String()
			if x.stdout.Len() > 0 || strings.Count(got, "\n") != 1 || strings.Contains(got, "\u202e") || strings.HasPrefix(got, "pawl: warning: ") != kind.warning {
				t.Errorf("%s: %q", what, got)
			}
			x.fake.acked = map[string]bool{}
			x.run("recv", "--json")
			if got := x.stdout.String(); strings.Contains(got, `"alarm":true`) != kind.alarm || !strings.Contains(got, `"device":"phone\u202e\n"`) {
				t.Errorf("%s: %s", what, got)
			}
			if err := cli.CheckObject("event", bytes.TrimSpace(x.stdout.Bytes())); err != nil {
				t.Error(err)
			}
		}
	}
}

// R-CLI-19: missing messages are counted.
func TestR_CLI_19_Counts(t *testing.T) {
	for _, c := range []struct{ text, words, field string }{
		{"2", "2 messages of bob@localhost", `,"count":2}`}, {"1", "1 message of bob@localhost", `,"count":1}`},
		{"", "messages of bob@localhost", `000Z"}`}, {"-3\x1b", "messages of bob@localhost", `000Z"}`},
	} {
		for _, what := range []string{client.NoticeMessagesMissing, client.NoticeMessagesRecovered} {
			x := newTrial(t)
			m := notice(1, what)
			m.Text = c.text
			x.fake.messages = []client.Message{m}
			x.run("recv")
			if got := x.stderr.String(); !strings.Contains(got, " "+c.words) || strings.HasPrefix(got, "pawl: warning: ") != (what == client.NoticeMessagesMissing) {
				t.Errorf("%s, %q: %q", what, c.text, got)
			}
			x.fake.acked = map[string]bool{}
			x.run("recv", "--json")
			if got := strings.TrimSpace(x.stdout.String()); !strings.HasSuffix(got, c.field) || strings.Contains(got, "device") {
				t.Errorf("%s, %q: %s", what, c.text, got)
			}
		}
	}
}

// R-CLI-18: on a terminal the words come line after line.
func TestR_CLI_18_WordsOnATerminal(t *testing.T) {
	x := newTrial(t)
	x.terminal = true
	x.answers = []string{"1 one 2 two", "", strings.Repeat("word ", 21), "last", "swans", "swans"}
	if code := x.run("account", "recovery", "restore", "--words", "alice@localhost", "--pin", "-IN", "--name", "n", "--revoke-others"); code != 0 {
		t.Fatalf("exit %d: %s", code, x.stderr.String())
	}
	want := client.WordsRequest{Address: "alice@localhost", Pin: "-IN", Words: "one two " + strings.Repeat("word ", 21) + "last", DeviceName: "n", RevokeAll: true}
	if x.fake.words != want || string(x.fake.opened[0].Unlock.Passphrase) != "swans" {
		t.Errorf("%+v", x.fake.words)
	}
	if strings.Contains(x.stdout.String()+x.stderr.String(), "last") {
		t.Error("a word was printed")
	}
	if x.asked[2] != "word 3: " || x.asked[3] != "word 24: " {
		t.Errorf("asked %q", x.asked)
	}
	x = newTrial(t)
	x.fake.fail["RestoreWords"] = client.ErrWords
	x.in = strings.NewReader("nonsense")
	if code := x.run("account", "recovery", "restore", "--words", "alice@localhost", "--json"); code != 2 || strings.Contains(x.stderr.String(), "nonsense") {
		t.Errorf("exit %d: %s", code, x.stderr.String())
	}
}
