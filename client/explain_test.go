package client_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// causes are the values of all constants named Cause… of the package.
func causes(t *testing.T) (all []string) {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Cause") {
				s, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				all = append(all, s)
			}
			return true
		})
	}
	return all
}

// TestR_CLT_21_Causes: every cause has words of its own.
func TestR_CLT_21_Causes(t *testing.T) {
	unknown, _ := client.ExplainCause("")
	said := map[string]bool{}
	all := causes(t)
	if len(all) < 10 {
		t.Fatalf("only %d causes were found", len(all))
	}
	for _, c := range all {
		what, next := client.ExplainCause(c)
		if what == "" || next == "" || strings.HasPrefix(what, unknown) || said[what] {
			t.Errorf("%s: %q, %q", c, what, next)
		}
		said[what] = true
	}
}

// TestR_CLT_21_Life: the life of a message is told in order, and an own one can
// be sent again as a new one.
func TestR_CLT_21_Life(t *testing.T) {
	w := newWorld(t)
	alice, bob := friends(t, w, config(t, "alice"), config(t, "bob"))
	m, err := alice.Send(ctx(t), "bob", "text", client.SendOptions{Subject: "subject"})
	if err != nil {
		t.Fatal(err)
	}
	take(t, bob)
	becomes(t, alice, m.ID, client.StatusRead)
	m, err = alice.Message(ctx(t), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	x := client.Explain(m)
	var words []string
	for i, s := range x.Steps {
		word, _, _ := strings.Cut(s.What, " ")
		words = append(words, strings.TrimSuffix(word, ":"))
		if i > 0 && s.At.Before(x.Steps[i-1].At) {
			t.Error("out of order")
		}
	}
	if len(words) > 5 {
		words = slices.DeleteFunc(words, func(w string) bool { return w == "delivered" }) // may be skipped
	}
	if !slices.Equal(words, []string{"written", "sealed", "sealed", "accepted", "read"}) || x.Next != "" {
		t.Errorf("%q, next %q", words, x.Next)
	}
	again, err := alice.Resend(ctx(t), m.ID, client.SendOptions{})
	if err != nil || again.ID == m.ID || again.Text != "text" || again.Subject != "subject" {
		t.Fatalf("%+v, %v", again, err)
	}
	if got := take(t, bob); !slices.Equal(got, []string{"text"}) {
		t.Errorf("got %q", got)
	}
	in, err := bob.History(ctx(t), "alice", 1, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Resend(ctx(t), in[0].ID, client.SendOptions{}); !errors.Is(err, client.ErrCannotResend) {
		t.Errorf("another's message: %v", err)
	}
	w.stop()
	stuck, err := alice.Send(ctx(t), "bob", "stuck", client.SendOptions{NoWait: true})
	if err != nil {
		t.Fatal(err)
	}
	if stuck.Status == client.StatusSending {
		if _, err := alice.Resend(ctx(t), stuck.ID, client.SendOptions{}); !errors.Is(err, client.ErrCannotResend) {
			t.Errorf("one on its way: %v", err)
		}
	}
}
