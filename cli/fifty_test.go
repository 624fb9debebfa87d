package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestFiftyProcesses: fifty processes of the program started at once on one
// home all succeed, whatever they do, and each message leaves once (R-OWN-01,
// R-CLT-10).
func TestFiftyProcesses(t *testing.T) {
	s := newArena(t, 0)
	s.serve()
	s.must("alice", "register", "alice", "--invite", s.invite)
	s.must("bob", "register", "bob", "--invite", s.invite)
	s.must("bob", "send", "alice", "something to list")
	s.must("alice", "recv")

	type call struct {
		args     []string
		cmd      *exec.Cmd
		out, err bytes.Buffer
	}
	var calls []*call
	var texts []string
	for i := range 50 {
		args := [][]string{
			{"send", "bob", fmt.Sprint("message ", i), "--json"},
			{"ls", "--json"},
			{"send", "bob", fmt.Sprint("message ", i), "--wait", "none", "--json"},
			{"history", "bob", "--json"},
			{"send", "bob", fmt.Sprint("message ", i), "--json"},
			{"recv", "--consumer", fmt.Sprint("reader", i), "--json"},
			{"contact", "list", "--json"},
			{"status", "--json"},
		}[i%8]
		if args[0] == "send" {
			texts = append(texts, args[2])
		}
		c := &call{args: args, cmd: s.command("alice", args...)}
		c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
		calls = append(calls, c)
	}
	for _, c := range calls {
		if err := c.cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range calls {
		err := c.cmd.Wait()
		line, _, _ := strings.Cut(c.out.String(), "\n")
		if err != nil || !json.Valid([]byte(line)) {
			t.Errorf("%s: %v\n%s%s", c.args, err, c.out.String(), c.err.String())
		}
		if c.args[0] == "recv" && !strings.Contains(line, "something to list") {
			t.Errorf("%s printed %q", c.args, line)
		}
	}
	s.must("alice", "recv") // what was queued leaves with a connection
	for !s.settled("alice") {
		s.must("alice", "recv")
	}
	s.must("bob", "recv")
	var got []string
	for _, e := range s.history("bob", "alice", "in") {
		got = append(got, e.Text)
	}
	slices.Sort(got)
	slices.Sort(texts)
	if !slices.Equal(got, texts) {
		t.Errorf("bob has %q, sent were %q", got, texts)
	}
}
