package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// world is a fake with something of everything in it.
func world(t *testing.T) *trial {
	x := newTrial(t)
	x.fake.alias, x.fake.trust = "bobby", client.TrustChanged
	subject := greeting(2, "first line\nsecond line, from bob@localhost")
	subject.Subject, subject.ReplyTo = "minutes", "MSG0"
	closed := greeting(3, "")
	closed.Kind, closed.Cause = client.KindUndecryptable, "too_old"
	closed.Repair = client.RepairAsked
	later := greeting(4, "")
	later.Kind = client.KindUnknown
	hello := greeting(1, "Shall we meet? ❤️")
	hello.Sealed = []client.SealedCopy{{Device: hello.FromDevice, Session: "0123456789abcdef", Chain: 1, At: hello.ReceivedAt}}
	x.fake.messages = []client.Message{hello, subject, closed, later, notice(5, client.NoticeIdentityChanged), notice(6, client.NoticeSessionReset)}
	for i, what := range []string{
		client.NoticeDeviceAdded, client.NoticeDeviceRevoked, client.NoticeDeviceRenamed, client.NoticeAccountRecovered, client.NoticeRelinked,
		client.NoticeListForked, client.NoticeListRolledBack, client.NoticeMessagesMissing, client.NoticeMessagesRecovered,
	} {
		theirs, ours := notice(10+2*i, what), notice(11+2*i, what)
		theirs.Text, ours.Text = "pho\x1bne", "laptop"
		if strings.HasPrefix(what, "messages_") {
			theirs.Text, ours.Text = "3", ""
		}
		ours.Conversation = ours.To
		x.fake.messages = append(x.fake.messages, theirs, ours)
	}
	x.fake.offered = client.HistoryProgress{Offered: true, Messages: 3, Total: 10}
	return x
}

// R-CLI-04: what every command prints, for people and as objects, is pinned:
// a change shows in testdata/screens.golden.
func TestR_CLI_04_Screens(t *testing.T) {
	var all bytes.Buffer
	for _, args := range [][]string{
		{"register", "alice", "--invite", "LINK", "--key-file", "made.key"},
		{"send", "bob", "two words"}, {"send", "bob", "hi", "--wait", "none"}, {"send", "bob", "half"},
		{"recv"}, {"ls"}, {"history", "bob"}, {"message", "show", "IN1"}, {"message", "show", "IN2"}, {"explain", "IN3"}, {"message", "resend", "IN1"}, {"explain", "IN1"}, {"explain", "OUT"},
		{"verify", "bob"}, {"verify", "bob", "--confirm"}, {"contact", "list"}, {"contact", "show", "bob"}, {"contact", "remove", "bob"},
		{"device", "link", "--key-file", "made.key"}, {"device", "list"}, {"device", "rename", "phone", "old phone"}, {"device", "revoke", "phone", "--yes"},
		{"device", "revoke", "phone"}, {"device", "approve", "pawl:link:0123", "--yes", "--history"}, {"device", "approve", "pawl:link:0123"}, {"device", "relink"},
		{"device", "history"}, {"account", "recovery", "export", "--words"}, {"status"}, {"send", "carol", "hi"}, {"send", "nobody", "hi"}, {"sned"},
		{"lab", "list"}, {"lab", "run", "state-theft"}, {"lab", "run", "clone"}, {"lab", "run", "false-account", "--seed", "5"}, {"lab", "run", "nobody"}, {"lab", "run", "./none.toml"},
	} {
		for _, args := range [][]string{args, append(args, "--json")} {
			t.Chdir(t.TempDir()) // for the key file
			x := world(t)
			code := x.run(args...)
			fmt.Fprintf(&all, "$ pawl %s\n%s", strings.Join(args, " "), x.stdout.String())
			for line := range strings.Lines(x.stderr.String()) {
				fmt.Fprintf(&all, "! %s", line)
			}
			fmt.Fprintf(&all, "= %d\n\n", code)
		}
	}
	golden(t, "testdata/screens.golden", all.Bytes())
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	file = home + "/" + file
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		for i := range g {
			if i >= len(w) || g[i] != w[i] {
				t.Fatalf("%s differs from line %d on; if that is meant, run the test with -update:\n%s", file, i+1, strings.Join(g[i:min(i+5, len(g))], "\n"))
			}
		}
		t.Fatalf("%s has more lines than were printed", file)
	}
}
