package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
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
		client.NoticeBadSignature,
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
		{"transcript", "record"}, {"transcript", "record", "bob", "on"}, {"transcript", "record", "bob", "off"}, {"transcript", "export", "bob", "-o", "x"}, {"message", "proof", "IN1", "-o", "x"},
		{"history", "edit", "IN1", "--text", "edited"}, {"send", "bob", "I owe you", "--sign"},
		{"lab", "list"}, {"lab", "run", "state-theft"}, {"lab", "run", "clone"}, {"lab", "run", "false-account", "--seed", "5"}, {"lab", "run", "nobody"}, {"lab", "run", "./none.toml"}, {"lab", "plot", "state-theft", "-o", "out.html"}, {"lab", "plot", "state-theft"}, {"lab", "run", "one-time", "--trace", "out.trace"}, {"lab", "replay", "none.trace"}, {"lab", "vectors", "check", "none.d"},
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

// groupWorld is a fake in which groups have talked.
func groupWorld(t *testing.T) *trial {
	x := newTrial(t)
	told := inGroup(2, "We meet at nine.\nBring the \u202ekey.")
	told.From, told.RetoldBy = "carol@here", "bob@localhost"
	called := inGroup(3, "@alice: did you hear?")
	called.Mentions = []string{"alice@localhost"}
	x.fake.messages = []client.Message{inGroup(1, "The boat is ready."), told, called}
	for i, e := range []struct{ what, by, text string }{
		{client.NoticeGroupCreated, "alice@localhost", "rowing"}, {client.NoticeGroupAdded, "bob@localhost", "alice@localhost"},
		{client.NoticeGroupAdded, "bob@localhost", "dave@localhost, erin@localhost"}, {client.NoticeGroupRemoved, "alice@localhost", "dave@localhost"},
		{client.NoticeGroupRemoved, "bob@localhost", "alice@localhost"}, {client.NoticeGroupLeft, "erin@localhost", ""},
		{client.NoticeGroupRole, "alice@localhost", "bob@localhost: admin"}, {client.NoticeGroupRole, "alice@localhost", "bob@localhost"},
		{client.NoticeGroupRenamed, "bob@localhost", "row\x1bing"}, {client.NoticeGroupPolicy, "bob@localhost", "open_history"},
		{client.NoticeGroupRekeyed, "bob@localhost", ""}, {client.NoticeGroupJoinAsk, "dave@localhost", ""},
		{client.NoticeGroupChangeLost, "alice@localhost", "alice@localhost removed dave@localhost"},
		{client.NoticeGroupForked, "bob@localhost", ""}, {client.NoticeGroupRollback, "", ""}, {"group_of_a_later_version", "bob@localhost", "some\x1bthing"},
	} {
		x.fake.messages = append(x.fake.messages, groupEvent(10+i, e.what, e.by, e.text))
	}
	return x
}

// R-CLI-04: the same of groups, in testdata/groups.golden.
func TestR_CLI_04_GroupScreens(t *testing.T) {
	var all bytes.Buffer
	for _, args := range [][]string{
		{"group", "list"}, {"group", "show", "#rowing"}, {"group", "show", "chess"}, {"group", "show", "#cccc"}, {"group", "show", "#nosuch"}, {"group", "show"},
		{"group", "create", "#tea", "bob", "dave@localhost"}, {"group", "create", "tea", "nobody"}, {"group", "create", "tea", "me"},
		{"group", "add", "#rowing", "dave@localhost", "erin@localhost"}, {"group", "remove", "#rowing", "carol"}, {"group", "remove", "#rowing", "zoe"},
		{"group", "remove", "#rowing", "me"}, {"group", "leave", "#rowing"}, {"group", "role", "#rowing", "bob", "admin"}, {"group", "role", "#rowing", "bob", "king"},
		{"group", "rename", "#rowing", "#sailing"}, {"group", "policy", "#rowing"}, {"group", "policy", "#rowing", "--add-by-members", "--open-history=off"},
		{"group", "rekey", "#rowing"}, {"group", "invite", "#rowing"}, {"group", "join", "pawl://localhost/group/ID?by=bob@localhost&t=TOKEN"}, {"group", "join", "nonsense"},
		{"send", "#rowing", "Who brings the oars?", "@bob?"}, {"send", "#rowing", "hi", "--mention", "carol", "--wait", "read"}, {"send", "#rowing", "hi", "--mention", "zoe"},
		{"send", "bob", "hi", "--mention", "bob"}, {"send", "#chess", "hi"}, {"history", "#rowing"}, {"recv"}, {"ls"}, {"message", "show", "IN2"}, {"message", "show", "IN3"},
		{"message", "show", "MSG1"}, {"explain", "MSG1"}, {"history", "export", "#rowing"}, {"history", "export", "#rowing", "--format", "markdown"},
		{"verify", "#rowing"}, {"contact", "show", "#rowing"}, {"group", "list", "forked"}, {"group", "show", "#rowing", "forked"}, {"group", "show", "#rowing", "contradicted"},
	} {
		for _, args := range [][]string{args, append(args, "--json")} {
			x := groupWorld(t)
			if slices.Contains(args, "MSG1") {
				x.run("send", "#rowing", "Who brings the oars? @bob?", "--wait", "delivered")
				delete(x.fake.sent[0].PerMember, "carol@here") // who has left meanwhile
				x.fake.sent[0].PerDevice["00000000000000d1"] = client.StatusFailed
				x.fake.sent[0].Receipts = map[string]client.ReceiptTimes{"00000000000000b1": {Delivered: noon}}
			}
			said := args
			for i, world := range map[string]string{"forked": "bob@localhost", "contradicted": ""} {
				if at := slices.Index(args, i); at > 0 {
					x.fake.groups[0], said = forked(world), slices.Delete(slices.Clone(args), at, at+1)
				}
			}
			code := x.run(said...)
			fmt.Fprintf(&all, "$ pawl %s\n%s", strings.Join(args, " "), x.stdout.String())
			for line := range strings.Lines(x.stderr.String()) {
				fmt.Fprintf(&all, "! %s", line)
			}
			fmt.Fprintf(&all, "= %d\n\n", code)
		}
	}
	golden(t, "testdata/groups.golden", all.Bytes())
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
