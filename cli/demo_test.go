package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
)

// demoEnv is the real engine with a place of its own for temporary files.
func demoEnv(t *testing.T, out *bytes.Buffer) *Env {
	t.Setenv("TMPDIR", t.TempDir())
	no := func() bool { return false }
	return &Env{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: new(bytes.Buffer), Getenv: func(string) string { return "" }, Now: time.Now,
		StdinTerminal: no, StdoutTerminal: no, StderrTerminal: no, Width: func() int { return 0 }, Engine: engine(),
	}
}

// R-CLI-12: a claim that does not hold fails the run, and names its step. Each
// case is one part that lies.
func TestR_CLI_12_ClaimsAreChecked(t *testing.T) {
	for step, lie := range map[string]func(*Env){
		"server_saw": func(e *Env) {
			serve := e.Engine.Serve
			e.Engine.Serve = func(c ServeConfig) (Server, error) {
				show := c.Tap
				c.Tap = func(r TappedRow) { r.Body = append(r.Body, "Shall we meet at the old mill?"...); show(r) }
				return serve(c)
			}
		},
		"theft": func(e *Env) {
			e.Engine.Examine = func(client.Config) (Examination, error) { return openBook{}, nil }
		},
		"forge": func(e *Env) {
			make := e.Engine.Forge
			e.Engine.Forge = func(ctx context.Context, r ForgeRequest) (Forgery, error) {
				f, err := make(ctx, r)
				f.Forged = bytes.Clone(f.Original)
				return f, err
			}
		},
		"devices": func(e *Env) {
			parse := e.Engine.ParseLink
			e.Engine.ParseLink = func(uri string) (client.LinkOffer, error) {
				o, err := parse(uri)
				o.Code = "0000 0000 0000"
				return o, err
			}
		},
		"groups": func(e *Env) {
			examine := e.Engine.Examine
			e.Engine.Examine = func(c client.Config) (Examination, error) {
				if filepath.Base(c.Home) == "carol" {
					return toldAll{}, nil
				}
				return examine(c)
			}
		},
		"old_copy": func(e *Env) {
			open := e.Engine.Open
			e.Engine.Open = func(ctx context.Context, c client.Config) (client.API, error) {
				api, err := open(ctx, c)
				if filepath.Base(c.Home) == "bob-stolen" {
					api = unnoticed{api}
				}
				return api, err
			}
		},
	} {
		var out bytes.Buffer
		env := demoEnv(t, &out)
		lie(env)
		if code := Run(t.Context(), env, []string{"demo", "--json"}); code != exitUnexpected {
			t.Errorf("%s: exit %d, want 1", step, code)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		var last demoStepObject
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Name != step || last.OK {
			t.Errorf("the lie in %s was found in %s, ok %v, %v", step, last.Name, last.OK, err)
		}
		if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
			t.Errorf("%s: %d entries were left behind", step, len(left))
		}
	}
}

// R-CLI-12: on a terminal a person sets the pace, unless told not to.
func TestR_CLI_12_Pace(t *testing.T) {
	yes := func() bool { return true }
	for _, c := range []struct {
		args     []string
		terminal bool
		want     int
	}{
		{[]string{"demo"}, true, len(demoSteps()) - 1},
		{[]string{"demo", "-y"}, true, 0},
		{[]string{"demo", "--json"}, true, 0},
		{[]string{"demo"}, false, 0},
	} {
		var out bytes.Buffer
		env := demoEnv(t, &out)
		waits := 0
		env.ReadLine = func(context.Context, string) (string, error) { waits++; return "", nil }
		if c.terminal {
			env.StdinTerminal, env.StdoutTerminal = yes, yes
		}
		if code := Run(t.Context(), env, c.args); code != 0 || waits != c.want {
			t.Errorf("%v: exit %d, waited %d times, want %d: %s", c.args, code, waits, c.want, env.Stderr)
		}
	}
}

// R-CLI-12: what fails on the way is an error, and cleans up.
func TestR_CLI_12_ServerFails(t *testing.T) {
	var out bytes.Buffer
	env := demoEnv(t, &out)
	env.Engine.Serve = func(ServeConfig) (Server, error) { return nil, errors.Join(server.ErrDiskFull) }
	if code := Run(t.Context(), env, []string{"demo"}); code != exitUnexpected || out.Len() > 0 {
		t.Errorf("exit %d, printed %q", code, out.String())
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("%d entries were left behind", len(left))
	}
}

// openBook is a home whose keys open everything.
type openBook struct{}

func (openBook) TryOpen(context.Context, []byte) (string, bool, error) { return "text", true, nil }
func (openBook) Close() error                                          { return nil }

// toldAll is the home of somebody who was removed and reads on.
type toldAll struct{ openBook }

func (toldAll) TryOpen(context.Context, []byte) (string, bool, error) {
	return "More cheese for everybody.", true, nil
}

// unnoticed is a copy of a home that nobody finds out about.
type unnoticed struct{ client.API }

func (unnoticed) Send(context.Context, string, string, client.SendOptions) (client.Message, error) {
	return client.Message{Status: client.StatusAccepted, SealedAt: time.Now()}, nil
}
func (unnoticed) Sync(context.Context) error { return nil }
