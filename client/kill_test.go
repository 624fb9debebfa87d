package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// childHome names the home that a child process works on; it is set only in
// the processes that the tests below start from this very binary.
const childHome = "PAWL_TEST_CHILD_HOME"

func childConfig(spec string) client.Config {
	home, key, _ := strings.Cut(spec, "|")
	return client.Config{Home: home, Unlock: client.Unlock{KeyFile: key}}
}

// TestChildSends is the body of a child that sends numbers for ever and prints
// each once the server has it.
func TestChildSends(t *testing.T) {
	spec := os.Getenv(childHome)
	if spec == "" {
		return
	}
	first, err := strconv.Atoi(os.Getenv("PAWL_TEST_FIRST"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Open(context.Background(), childConfig(spec))
	if err != nil {
		t.Fatal(err)
	}
	for i := first; ; i++ {
		if _, err := c.Send(context.Background(), "bob", strconv.Itoa(i), client.SendOptions{}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("accepted", i)
	}
}

// TestChildReceives is the body of a child that receives for ever and prints
// each message before it acknowledges it.
func TestChildReceives(t *testing.T) {
	spec := os.Getenv(childHome)
	if spec == "" {
		return
	}
	c, err := client.Open(context.Background(), childConfig(spec))
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range c.Follow(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("got", m.Text)
	}
}

// child starts one of the bodies above and kills it at a line it prints. It
// returns what it printed.
func child(t *testing.T, body string, cfg client.Config, first int, last func(count int, line string) bool) (out []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+body+"$", "-test.v=false")
	cmd.Env = append(os.Environ(), childHome+"="+cfg.Home+"|"+cfg.Unlock.KeyFile, "PAWL_TEST_FIRST="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sc, killed := bufio.NewScanner(pipe), false
	for sc.Scan() {
		if out = append(out, sc.Text()); !killed && last(len(out), sc.Text()) {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			killed = true
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("the child ended by itself after %q", out)
	}
	return out
}

// TestR_CLT_13_KilledSender: a sender killed at any moment of a burst, again
// and again, loses nothing that was accepted, sends nothing twice, and keeps
// the order.
func TestR_CLT_13_KilledSender(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	w.join(home, "alice").Close()
	bob := w.join(config(t, "bob"), "bob")
	var accepted []string
	next := 0
	for range 6 {
		lines := 1 + rand.IntN(12)
		for _, line := range child(t, "TestChildSends", home, next, func(n int, _ string) bool { return n == lines }) {
			n, ok := strings.CutPrefix(line, "accepted ")
			if !ok {
				t.Fatalf("the child said %q", line)
			}
			accepted = append(accepted, n)
		}
		last, err := strconv.Atoi(accepted[len(accepted)-1])
		if err != nil {
			t.Fatal(err)
		}
		next = last + 100 // what was under way has a number of its own
	}
	alice := open(t, home)
	if err := alice.Sync(ctx(t)); err != nil { // what was durable and not yet sent leaves now
		t.Fatal(err)
	}
	until(t, "the outbox is empty", func() bool {
		s, err := alice.Status(ctx(t))
		return err == nil && s.Outbox == 0
	})
	got := take(t, bob)
	at := -1
	for _, text := range got {
		n, err := strconv.Atoi(text)
		if err != nil || n <= at {
			t.Fatalf("%q after %d: out of order, twice, or not a message: %q", text, at, got)
		}
		at = n
	}
	for _, n := range accepted {
		if !slices.Contains(got, n) {
			t.Errorf("%s was accepted and is lost", n)
		}
	}
}

// TestR_CLT_01_KilledReceiver: a receiver killed at any moment has every
// message in its history exactly once, and its consumer sees each at least
// once and in order.
func TestR_CLT_01_KilledReceiver(t *testing.T) {
	w := newWorld(t)
	home := config(t, "bob")
	alice := w.join(config(t, "alice"), "alice")
	w.join(home, "bob").Close()
	const n = 300
	for i := range n {
		if _, err := alice.Send(ctx(t), "bob", strconv.Itoa(i), client.SendOptions{NoWait: i < n-1}); err != nil {
			t.Fatal(err)
		}
	}
	printed := map[string]int{}
	at := -1
	for printed["got "+strconv.Itoa(n-1)] == 0 {
		// What was printed and not acknowledged comes again, so the end is a
		// certain message and not a number of lines.
		end := "got " + strconv.Itoa(min(at+1+rand.IntN(60), n-1))
		for _, line := range child(t, "TestChildReceives", home, 0, func(_ int, line string) bool { return line == end }) {
			printed[line]++
			if i, err := strconv.Atoi(strings.TrimPrefix(line, "got ")); err != nil || i > at+1 {
				t.Fatalf("%q after %d", line, at)
			} else {
				at = max(at, i)
			}
		}
	}
	bob := open(t, home)
	h, err := bob.History(ctx(t), "alice", 0, "")
	if err != nil || len(h) != n {
		t.Fatalf("%d messages in the history, %v", len(h), err)
	}
	for i, m := range h {
		if m.Text != strconv.Itoa(i) || m.Kind != client.KindText {
			t.Fatalf("entry %d is %q, %s %s", i, m.Text, m.Kind, m.Cause)
		}
	}
	if err := bob.Sync(ctx(t)); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
