package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pawl-chat/pawl/cli"
	"github.com/pawl-chat/pawl/client"
)

// R-CLI-30: a change prints the group as it is afterwards.
func TestR_CLI_30_GroupObject(t *testing.T) {
	for _, c := range []struct {
		args []string
		want client.GroupChange
	}{
		{[]string{"create", "tea", "bob", "dave@localhost"}, client.GroupChange{Add: []string{"bob@localhost", "dave@localhost"}}},
		{[]string{"add", "#rowing", "dave@localhost"}, client.GroupChange{Add: []string{"dave@localhost"}}},
		{[]string{"remove", "rowing", "carol", "BOB"}, client.GroupChange{Remove: []string{"carol@here", "bob@localhost"}}},
		{[]string{"role", "#rowing", "bob@localhost", "admin"}, client.GroupChange{Member: "bob@localhost", Role: client.GroupAdminRole}},
		{[]string{"rename", "#rowing", "#row"}, client.GroupChange{Name: "row"}},
		{[]string{"policy", "#rowing", "--open-history"}, client.GroupChange{Policy: &client.GroupPolicy{OpenHistory: true}}},
		{[]string{"rekey", "#rowing"}, client.GroupChange{Rekey: true}},
	} {
		x := newTrial(t)
		if code := x.run(append([]string{"group", "--json"}, c.args...)...); code != 0 {
			t.Fatalf("%v: exit %d: %s", c.args, code, x.stderr.String())
		}
		line := bytes.TrimSpace(x.stdout.Bytes())
		if err := cli.CheckObject("group", line); err != nil {
			t.Errorf("%v: %v", c.args, err)
		}
		var o struct {
			ID, Name string
			Epoch    int
			Members  []struct {
				Address, Role string
				Devices       []struct{ ID string }
			}
		}
		if err := json.Unmarshal(line, &o); err != nil || !strings.HasPrefix(o.ID, "#") || o.Epoch < 4 || len(o.Members) == 0 || o.Members[0].Address == "" || len(o.Members[0].Devices) == 0 {
			t.Errorf("%v: %s", c.args, line)
		}
		if got, want := fmt.Sprint(asked(x)), fmt.Sprint(plainly(c.want)); got != want {
			t.Errorf("%v asked for %s, want %s", c.args, got, want)
		}
	}
	x := newTrial(t)
	x.run("group", "list", "--json")
	if out := x.stdout.String(); strings.Count(out, `"type":"group"`) != 3 || strings.Count(out, `"mine":""`) != 1 {
		t.Errorf("listed %s", out)
	}
	for _, args := range [][]string{
		{"create", ""}, {"create", "#"}, {"rename", "#rowing", " "}, {"show", "#"}, {"role", "#rowing", "bob", "king"}, {"policy", "#rowing", "--open-history=maybe"},
		{"add", "#rowing"}, {"remove"},
	} {
		if code := x.run(append([]string{"group"}, args...)...); code != 2 || x.stdout.Len() > 0 || len(x.fake.changed) > 0 {
			t.Errorf("%v: exit %d", args, code)
		}
	}
}

// R-CLI-30: what is so already is no failure.
func TestR_CLI_30_SoAlready(t *testing.T) {
	for _, c := range []struct {
		args []string
		add  []string // what is left to ask for
		says string
	}{
		{[]string{"add", "#rowing", "bob"}, nil, "in #rowing already: bob@localhost"},
		{[]string{"add", "#rowing", "bob", "dave@localhost"}, []string{"dave@localhost"}, "in #rowing already: bob@localhost"},
		{[]string{"role", "#rowing", "bob", "member"}, nil, "that is so already"},
	} {
		for _, flag := range []string{"--json", "--json=false"} {
			x := newTrial(t)
			if c.args[0] == "role" {
				x.fake.fail["ChangeGroup"] = client.ErrNothingToChange
			}
			code := x.run(append([]string{"group", flag}, c.args...)...)
			if code != 0 || !strings.Contains(x.stderr.String(), c.says) && !(flag == "--json" && len(c.add) == 0) {
				t.Errorf("%v: exit %d: %s", c.args, code, x.stderr.String())
			}
			if c.add != nil && !slices.Equal(x.fake.changed[0].Add, c.add) || c.args[0] == "add" && c.add == nil && len(x.fake.changed) > 0 {
				t.Errorf("%v asked for %+v", c.args, x.fake.changed)
			}
			if flag == "--json" {
				if err := cli.CheckObject("group", bytes.TrimSpace(x.stdout.Bytes())); err != nil {
					t.Errorf("%v: %v", c.args, err)
				}
			}
		}
	}
	// Who has left meanwhile, by the server's word, is added again.
	x := newTrial(t)
	x.fake.onSync = func() { x.fake.groups[0].Members = x.fake.groups[0].Members[:1] }
	if code := x.run("group", "add", "#rowing", "bob"); code != 0 || len(x.fake.changed) != 1 {
		t.Errorf("exit %d, %+v: %s", code, x.fake.changed, x.stderr.String())
	}
}

// asked is the one change that a run asked for.
func asked(x *trial) any {
	if len(x.fake.changed) != 1 {
		return x.fake.changed
	}
	return plainly(x.fake.changed[0])
}

// plainly makes two changes comparable as text.
func plainly(c client.GroupChange) any {
	policy := client.GroupPolicy{}
	if c.Policy != nil {
		policy = *c.Policy
	}
	return []any{c.Add, c.Remove, c.Member, c.Role, c.Name, c.Policy != nil, policy, c.Rekey}
}

// R-CLI-31: groups stand where a RECIPIENT may, and nowhere else.
func TestR_CLI_31_Recipients(t *testing.T) {
	for _, word := range []string{"#rowing", rowing, "#aaaa"} {
		x := newTrial(t)
		if code := x.run("send", word, "hi"); code != 0 || x.fake.sent[0].To != rowing {
			t.Errorf("%s: exit %d, sent %+v", word, code, x.fake.sent)
		}
		for _, args := range [][]string{{"history", word}, {"history", "export", word}, {"history", "export", word, "--format", "markdown"}} {
			if code := x.run(args...); code != 0 || !strings.Contains(x.stdout.String(), "#rowing") || strings.Contains(x.stdout.String(), rowing) {
				t.Errorf("%v: exit %d: %s", args, code, x.stdout.String())
			}
		}
	}
	for _, args := range [][]string{
		{"verify", "#rowing"}, {"verify", "#rowing", "--confirm"}, {"contact", "show", "#rowing"}, {"contact", "alias", "#rowing", "x"},
		{"contact", "remove", "#rowing"}, {"group", "add", "#rowing", "#chess"}, {"group", "create", "tea", "#rowing"},
	} {
		x := newTrial(t)
		if code := x.run(args...); code != 2 || x.stdout.Len() > 0 || len(x.fake.changed) > 0 || x.fake.removed || x.fake.alias != "" || x.fake.trust != client.TrustFirstUse {
			t.Errorf("%v: exit %d: %s", args, code, x.stderr.String())
		}
	}
	for _, args := range [][]string{{"send", "#chess", "hi"}, {"history", "#chess"}, {"group", "show", "chess"}, {"group", "leave", "#chess"}} {
		x := newTrial(t)
		if code := x.run(append(args, "--json")...); code != 2 || !strings.Contains(x.stderr.String(), `"candidates":["`+chess+`","`+chessToo+`"]`) {
			t.Errorf("%v: exit %d: %s", args, code, x.stderr.String())
		}
		x = newTrial(t)
		x.terminal, x.answers = true, []string{"1", "y"}
		if code := x.run(args...); code != 0 || !strings.Contains(x.stderr.String(), "  1  "+chess+"  #chess, 2 members\n") {
			t.Errorf("%v on a terminal: exit %d: %s", args, code, x.stderr.String())
		}
	}
	x := newTrial(t)
	if code := x.run("send"); code != 2 || !strings.Contains(x.stderr.String(), "quote a '#group'") {
		t.Errorf("exit %d: %s", code, x.stderr.String())
	}
	// Follow and lines go to groups as well.
	x.in = strings.NewReader("one @bob\ntwo\n")
	if code := x.run("send", "#rowing", "--lines", "--json"); code != 0 || len(x.fake.sent) != 2 || len(x.fake.sent[0].Mentions) != 1 || len(x.fake.sent[1].Mentions) != 0 {
		t.Errorf("--lines: exit %d, %+v", code, x.fake.sent)
	}
	x.fake.messages = []client.Message{inGroup(1, "one"), groupEvent(2, client.NoticeGroupRenamed, "bob@localhost", "sailing"), inGroup(3, "two")}
	if code := x.run("recv", "--follow", "--limit", "3"); code != 0 || strings.Count(x.stdout.String(), "→ #rowing  ") != 2 {
		t.Errorf("exit %d: %s", code, x.stdout.String())
	}
}

// R-CLI-32: a terminal is asked, programs are not.
func TestR_CLI_32_Confirmation(t *testing.T) {
	done := func(x *trial) bool { return len(x.fake.changed) > 0 || x.fake.groups[0].Mine == "" }
	for _, args := range [][]string{{"group", "remove", "#rowing", "bob"}, {"group", "leave", "#rowing"}} {
		for answer, code := range map[string]int{"y": 0, "YES": 0, "": 2, "n": 2, "j": 2} {
			x := newTrial(t)
			x.terminal, x.answers = true, []string{answer}
			if got := x.run(args...); got != code || done(x) != (code == 0) || len(x.asked) != 1 || !strings.Contains(x.asked[0], "#rowing") {
				t.Errorf("%v, %q: exit %d, asked %q, %+v", args, answer, got, x.asked, x.fake.changed)
			}
		}
		for _, flag := range []string{"--yes", "--json"} {
			x := newTrial(t)
			x.terminal = true
			if code := x.run(append(args, flag)...); code != 0 || len(x.asked) > 0 || !done(x) {
				t.Errorf("%v %s: exit %d, asked %q", args, flag, code, x.asked)
			}
		}
		x := newTrial(t)
		if code := x.run(args...); code != 0 || !done(x) {
			t.Errorf("%v without a terminal: exit %d", args, code)
		}
	}
}

// R-CLI-33: what waits at the server is asked for, once.
func TestR_CLI_33_AskTheServer(t *testing.T) {
	for _, args := range [][]string{{"send", "#news", "hi"}, {"history", "#news"}, {"group", "show", "#news"}, {"group", "leave", "news"}, {"group", "show", "#news", "--offline"}} {
		x := newTrial(t)
		news := rosters()[0]
		news.ID, news.Name = "#eeeeeeeeeeeeeeeeeeeeeeeeee", "news"
		x.fake.hidden = []client.Group{news}
		if code := x.run(args...); code != 0 {
			t.Errorf("%v: exit %d: %s", args, code, x.stderr.String())
		}
		x.fake.groups, x.fake.hidden = rosters(), []client.Group{news}
		x.fake.fail["Sync"] = client.ErrUnreachable
		if code := x.run(args...); code != 7 || x.stdout.Len() > 0 {
			t.Errorf("%v without the server: exit %d", args, code)
		}
	}
	x := newTrial(t)
	x.fake.fail["Sync"] = client.ErrUnreachable
	for _, what := range []string{"list", "show"} {
		args := []string{"group", what, "#rowing"}
		if what == "list" {
			args = args[:2]
		}
		if code := x.run(args...); code != 0 || x.stdout.Len() == 0 || !strings.Contains(x.stderr.String(), "shown as last known: the server cannot be reached") {
			t.Errorf("%s: exit %d: %s", what, code, x.stderr.String())
		}
		if code := x.run(append(args, "--offline")...); code != 0 || x.stderr.Len() > 0 {
			t.Errorf("%s --offline: exit %d: %s", what, code, x.stderr.String())
		}
	}
	// A member who is not on the roster here may be on a newer one.
	x = newTrial(t)
	newer := rosters()[0]
	newer.Members = append(newer.Members, client.GroupMember{Address: "zoe@localhost", Role: client.GroupMemberRole})
	x.fake.onSync = func() { x.fake.groups[0] = newer }
	if code := x.run("group", "remove", "#rowing", "zoe"); code != 0 || !slices.Equal(x.fake.changed[0].Remove, []string{"zoe@localhost"}) {
		t.Errorf("exit %d: %s", code, x.stderr.String())
	}
	if code := x.run("group", "remove", "#rowing", "nobody"); code != 7 || len(x.fake.changed) != 1 {
		t.Errorf("exit %d: %s", code, x.stderr.String())
	}
}

// R-CLI-34: how far a long change is, for those who look.
func TestR_CLI_34_Progress(t *testing.T) {
	for _, c := range []struct {
		args     []string
		terminal bool
		shown    bool
	}{
		{[]string{"group", "remove", "#rowing", "bob", "--yes"}, true, true},
		{[]string{"group", "rekey", "#rowing"}, true, true},
		{[]string{"send", "#rowing", "hi"}, true, false}, // nothing was under way
		{[]string{"group", "rekey", "#rowing", "--json"}, true, false},
		{[]string{"group", "rekey", "#rowing", "--quiet"}, true, false},
		{[]string{"group", "rekey", "#rowing"}, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newTrial(t)
			x.terminal, x.now = c.terminal, time.Now
			began := time.Now()
			x.fake.step = func() *client.GroupStep {
				return &client.GroupStep{What: "rekey", Done: min(40, int(time.Since(began)/(100*time.Millisecond))), Total: 40}
			}
			if c.args[0] == "send" {
				x.fake.step = nil
			}
			code := x.run(c.args...)
			if got := x.stderr.String(); code != 0 || strings.Contains(got, "\rpawl: 30 of 40 devices have the keys") != c.shown || !c.shown && got != "" {
				t.Errorf("%v: exit %d: %q", c.args, code, got)
			}
		})
	}
	for _, c := range []struct {
		method string
		args   []string
	}{{"CreateGroup", []string{"group", "create", "tea", "bob"}}, {"ChangeGroup", []string{"group", "remove", "#rowing", "bob"}}} {
		x := newTrial(t)
		x.fake.fail[c.method] = client.ErrUnreachable
		code := x.run(append(c.args, "--json")...)
		if got := x.stderr.String(); code != 3 || x.stdout.Len() > 0 || !strings.Contains(got, `"code":"queued"`) || !strings.Contains(got, `"retryable":false`) || !strings.Contains(got, "goes on by itself") {
			t.Errorf("%v: exit %d: %s", c.args, code, got)
		}
		x.fake.fail[c.method] = client.ErrGroupChanged
		if code := x.run(append(c.args, "--json")...); code != 2 || !strings.Contains(x.stderr.String(), `"code":"group_changed"`) {
			t.Errorf("%v: exit %d: %s", c.args, code, x.stderr.String())
		}
	}
	// An interrupt ends both the change and the looking.
	x := newTrial(t)
	ctx, cancel := context.WithCancel(t.Context())
	x.ctx, x.terminal = ctx, true
	x.fake.step = func() *client.GroupStep { cancel(); return &client.GroupStep{Total: 1} }
	if code := x.run("group", "rekey", "#rowing"); code != 130 {
		t.Errorf("interrupted: exit %d: %s", code, x.stderr.String())
	}
}

// R-CLI-35: the safety view; testdata/groups.golden has it whole.
func TestR_CLI_35_SafetyView(t *testing.T) {
	x := newTrial(t)
	x.run("group", "show", "#rowing")
	for _, want := range []string{
		"3, of whom 2 verified", "last replaced 2026-11-21 11:00", "head 0123 abcd", "bob@localhost  member, not yet compared", "carol@here  member, verified",
		"00000000000000b2  tablet  gets the key with the next message", "00000000000000a1  laptop  this device", "pawl group add '#rowing' dave@localhost",
	} {
		if !strings.Contains(x.stdout.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, x.stdout.String())
		}
	}
	if strings.Contains(x.stdout.String(), "ALARM") {
		t.Error("an alarm without a reason")
	}
	for with, want := range map[string][]string{
		"bob@localhost": {"ALARM", "bob@localhost was shown other changes", "16  alice@localhost removed dave@localhost", "17  alice@localhost renamed it to rowing", "16  mallory@localhost added dave@localhost", "Ask bob@localhost by another way"},
		"":              {"ALARM", "the server has shown other changes than it showed before", "not known yet", "Ask the other members"},
	} {
		x.fake.groups[0] = forked(with)
		x.run("group", "show", "#rowing")
		for _, w := range append(want, "replaced before the next message", "CHANGED", "rekey: 2 of 4 devices", "What to do") {
			if !strings.Contains(x.stdout.String(), w) {
				t.Errorf("%q: %q is missing in:\n%s", with, w, x.stdout.String())
			}
		}
		x.run("group", "list")
		if !strings.Contains(x.stdout.String(), "ALARM: rosters differ") {
			t.Errorf("listed %s", x.stdout.String())
		}
	}
	x.fake.groups[0].Pending = &client.GroupStep{What: "leave"}
	if x.run("group", "show", "#rowing"); !strings.Contains(x.stdout.String(), "under way  leave: waits for the server") {
		t.Errorf("printed %s", x.stdout.String())
	}
	x.fake.fail["Send"] = client.ErrGroupForked
	if code := x.run("send", "#rowing", "hi"); code != 5 {
		t.Errorf("exit %d", code)
	}
}

// R-CLI-36: each claim counts for itself.
func TestR_CLI_36_Status(t *testing.T) {
	members := func(words ...client.Status) map[string]client.Status {
		all := map[string]client.Status{}
		for i, w := range words {
			all[fmt.Sprintf("m%d@localhost", i)] = w
		}
		return all
	}
	const a, d, r, f = client.StatusAccepted, client.StatusDelivered, client.StatusRead, client.StatusFailed
	for want, m := range map[string]client.Message{
		"read by 3 of 5": {Status: r, PerMember: members(r, r, r, a, a)}, "delivered to 4 of 5": {Status: d, PerMember: members(d, d, d, d, a)},
		"read by 1 of 3, delivered to 2 of 3": {Status: r, PerMember: members(r, d, a)}, "accepted": {Status: a, PerMember: members(a, a)},
		"accepted, failed for 1": {Status: a, PerMember: members(a, f)}, "failed": {Status: f, PerMember: members(f, f)}, "sending": {Status: client.StatusSending},
		"delivered to 1 of 2, failed for 1": {Status: d, PerMember: members(d, f)},
	} {
		x := newTrial(t)
		m.ID, m.Direction, m.Kind, m.Group, m.Conversation, m.To, m.From = "G1", client.Out, client.KindText, rowing, rowing, rowing, "alice@localhost"
		x.fake.messages = []client.Message{m}
		x.run("history", "#rowing")
		if !strings.Contains(x.stdout.String(), "me → #rowing ("+want+")") {
			t.Errorf("want %q: %s", want, x.stdout.String())
		}
	}
	x := newTrial(t)
	x.run("send", "#rowing", "hi", "--wait", "delivered", "--json")
	if !strings.Contains(x.stdout.String(), `"per_member":{"bob@localhost":"delivered","carol@here":"accepted"}`) {
		t.Errorf("sent %s", x.stdout.String())
	}
	x.run("explain", "MSG1", "--json")
	const want = `"members":[{"address":"bob@localhost","status":"delivered","devices":{"00000000000000b1":"delivered","00000000000000b2":"accepted"}},{"address":"carol@here",`
	if err := cli.CheckObject("explanation", bytes.TrimSpace(x.stdout.Bytes())); err != nil || !strings.Contains(x.stdout.String(), want) {
		t.Errorf("%v: %s", err, x.stdout.String())
	}
	for _, args := range [][]string{{"explain", "MSG1"}, {"message", "show", "MSG1"}} {
		x.run(args...)
		if !strings.Contains(x.stdout.String(), "  bob@localhost  delivered\n      device 00000000000000b1  phone  delivered") {
			t.Errorf("%v: %s", args, x.stdout.String())
		}
	}
	x.run("send", "bob", "hi", "--json")
	if got := x.stdout.String(); strings.Contains(got, "per_member") || strings.Contains(got, `"group"`) {
		t.Errorf("between two people: %s", got)
	}
}

// R-CLI-37
func TestR_CLI_37_Mentions(t *testing.T) {
	for _, c := range []struct {
		text  string
		named []string
		want  []string
	}{
		{"hi", nil, nil},
		{"@bob", nil, []string{"bob@localhost"}},
		{"so, @Bob... or @carol@here?", nil, []string{"bob@localhost", "carol@here"}},
		{"(@bob) @bob", nil, []string{"bob@localhost"}},
		{"write to bob@localhost or x@carol", nil, nil},
		{"@nobody @ @@ @dave", nil, nil},
		{"two\n@carol", nil, []string{"carol@here"}},
		{"@rob is an alias", nil, []string{"bob@localhost"}},
		{"@al is two", nil, nil},
		{"hi", []string{"carol", "bob@localhost"}, []string{"bob@localhost", "carol@here"}},
		{"@bob", []string{"bob"}, []string{"bob@localhost"}},
		{"@alice to oneself", nil, []string{"alice@localhost"}},
	} {
		x := newTrial(t)
		x.fake.alias = "Rob"
		x.fake.groups[0].Members = append(x.fake.groups[0].Members, client.GroupMember{Address: "al@here"}, client.GroupMember{Address: "al@there"})
		args := []string{"send", "#rowing", c.text}
		for _, n := range c.named {
			args = append(args, "--mention", n)
		}
		if code := x.run(args...); code != 0 || !slices.Equal(x.fake.sent[0].Mentions, c.want) {
			t.Errorf("%q, %q: exit %d, mentions %q, want %q", c.text, c.named, code, x.fake.sent[0].Mentions, c.want)
		}
	}
	for code, args := range map[int][]string{7: {"send", "#rowing", "hi", "--mention", "dave@localhost"}, 2: {"send", "bob", "hi", "--mention", "bob"}} {
		x := newTrial(t)
		if got := x.run(args...); got != code || len(x.fake.sent) > 0 {
			t.Errorf("%v: exit %d, want %d", args, got, code)
		}
	}
	x := newTrial(t)
	text := ""
	for i := range 40 {
		m := client.GroupMember{Address: fmt.Sprintf("m%d@localhost", i)}
		x.fake.groups[0].Members = append(x.fake.groups[0].Members, m)
		text += fmt.Sprintf(" @m%d", i)
	}
	if code := x.run("send", "#rowing", text); code != 0 || len(x.fake.sent[0].Mentions) != 32 {
		t.Errorf("exit %d, %d mentions", code, len(x.fake.sent[0].Mentions))
	}
	m := inGroup(1, "@alice")
	m.Mentions = []string{"alice@localhost"}
	x.fake.messages = []client.Message{m, inGroup(2, "@alice, says nobody")}
	x.run("history", "#rowing")
	if got := x.stdout.String(); strings.Count(got, "(mentions you)") != 1 {
		t.Errorf("printed %s", got)
	}
}

// R-CLI-38
func TestR_CLI_38_GroupEvents(t *testing.T) {
	for _, what := range []string{
		client.NoticeGroupCreated, client.NoticeGroupAdded, client.NoticeGroupRemoved, client.NoticeGroupLeft, client.NoticeGroupRole, client.NoticeGroupRenamed,
		client.NoticeGroupPolicy, client.NoticeGroupRekeyed, client.NoticeGroupJoinAsk, client.NoticeGroupForked, client.NoticeGroupRollback,
	} {
		alarm := what == client.NoticeGroupForked || what == client.NoticeGroupRollback
		x := newTrial(t)
		x.fake.messages = []client.Message{groupEvent(1, what, "bob\u202e@localhost", "carol@here\x1b\n")}
		x.run("recv", "--quiet")
		got := x.stderr.String()
		if x.stdout.Len() > 0 || strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "\u202e\x1b") || strings.HasPrefix(got, "pawl: warning: ALARM: ") != alarm || strings.Contains(got, "ALARM") != alarm {
			t.Errorf("%s: %q", what, got)
		}
		x.fake.acked = map[string]bool{}
		x.run("recv", "--json")
		line := bytes.TrimSpace(x.stdout.Bytes())
		if err := cli.CheckObject("event", line); err != nil {
			t.Error(err)
		}
		want := `"group":"` + rowing + `","by":"bob\u202e@localhost","about":"carol@here\u001b\n"`
		if !bytes.Contains(line, []byte(want)) || bytes.Contains(line, []byte(`"alarm":true`)) != alarm || bytes.Contains(line, []byte(`"device"`)) {
			t.Errorf("%s: %s", what, line)
		}
	}
}

// R-CLI-39: a link, the question, and the answer.
func TestR_CLI_39_Invite(t *testing.T) {
	x := newTrial(t)
	x.terminal = true
	if code := x.run("group", "invite", "#rowing"); code != 0 || !strings.HasPrefix(x.stdout.String(), "pawl://localhost/group/") || !strings.Contains(x.stdout.String(), "█") {
		t.Errorf("exit %d: %s", code, x.stdout.String())
	}
	link, _, _ := strings.Cut(x.stdout.String(), "\n")
	x = newTrial(t)
	for _, args := range [][]string{{"group", "join", link}, {"group", "join", "-"}} {
		x.in = strings.NewReader(link + "\n")
		if code := x.run(args...); code != 0 || !strings.Contains(x.stdout.String(), "asked bob@localhost") {
			t.Errorf("%v: exit %d: %s", args, code, x.stderr.String())
		}
	}
	for _, args := range [][]string{{"group", "join", "https://example.org"}, {"group", "join", strings.Repeat("x", 5000)}, {"group", "join", ""}, {"group", "join"}} {
		if code := x.run(args...); code != 2 || x.stdout.Len() > 0 {
			t.Errorf("exit %d", code)
		}
	}
}

// Tab completes groups, people and members, and asks nobody for a passphrase.
func TestGroupCompletion(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"group", "show", "#"}, []string{"#rowing", "#chess", "#chess"}},
		{[]string{"group", "show", "#rowing", ""}, nil},
		{[]string{"group", "remove", "#rowing", ""}, []string{"bob@localhost", "carol@here"}},
		{[]string{"group", "role", "#rowing", "bob", ""}, []string{"member", "admin"}},
		{[]string{"group", "add", "#rowing", "b"}, []string{"bob@localhost"}},
		{[]string{"send", "#r"}, []string{"#rowing"}},
		{[]string{"history", "b"}, []string{"bob@localhost"}},
	} {
		x := newTrial(t)
		x.run(append([]string{"__complete"}, c.args...)...)
		if got := strings.Fields(strings.Split(x.stdout.String(), ":4")[0]); !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
	x := newTrial(t)
	x.terminal, x.answers, x.fake.needs = true, []string{"swans"}, "swans"
	x.run("__complete", "group", "show", "#")
	if len(x.asked) > 0 || strings.Contains(x.stdout.String(), "rowing") {
		t.Errorf("asked %q: %s", x.asked, x.stdout.String())
	}
}
