package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) demo() *cobra.Command {
	var yes bool
	var keep string
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "a guided run: a server and three people on this machine",
		GroupID: groupSetup,
		Long: `Runs a real server and three people, one of them with two devices, in temporary
directories on this machine and shows what each side sees. Every claim is checked as it
is made; the command fails if one does not hold. Everything is removed at the end unless
--keep says where to keep it.`,
		Example: "  pawl demo\n  pawl demo -y\n  pawl demo --json | jq '{name, ok}'\n  pawl demo --keep ./demo",
		Args:    words(0, 0, "no words"),
		RunE:    a.run(func(ctx context.Context, _ []string) error { return a.runDemo(ctx, yes, keep) }),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not wait for Enter between the steps")
	cmd.Flags().StringVar(&keep, "keep", "", "keep the server and the homes in `DIR`")
	return cmd
}

// step is one screen of the demonstration.
type step struct {
	name, title string
	about       string // one or two sentences: what is shown, and why
	do          func(w *demoWorld, ctx context.Context, s *shown) error
}

func demoSteps() []step {
	return []step{
		{"server", "A server starts", "A relay with TLS 1.3 and an SQLite store, in this process. It makes its own key; the invite link carries the key's fingerprint.", (*demoWorld).stepServer},
		{"register", "Alice and Bob register", "Each device makes its own keys and a sealed store. The server gets public keys only, and no password.", (*demoWorld).stepRegister},
		{"talk", "They talk", "The first message needs no answer from Bob: prekeys stand in for him. Each message then has a key of its own, gone once it is used.", (*demoWorld).stepTalk},
		{"offline", "Bob is away and catches up", "Bob's program ends. Alice goes on; the server keeps what it cannot read.", (*demoWorld).stepOffline},
		{"server_saw", "What the server saw", "Every message as the server held it. It knows who writes to whom and when, not what.", (*demoWorld).stepServerSaw},
		{"verify", "They compare safety numbers", "Had the server put itself in the middle, the numbers would differ.", (*demoWorld).stepVerify},
		{"devices", "Alice links her phone, and loses it", "One account, several devices, each with keys and sessions of its own. The new one waits and shows a URI; the one that holds the account key lets it in.", (*demoWorld).stepDevices},
		{"theft", "A thief copies Bob's home, passphrase included", "The thief also has every message recorded at the server. Can the keys in the home open them?", (*demoWorld).stepTheft},
		{"forge", "Anyone can forge what was said", "Spent MAC keys are published in later messages. Whoever recorded the traffic can change a text and it still verifies: a record proves nothing to others.", (*demoWorld).stepForge},
		{"old_copy", "The thief connects with the copy", "A copy of a home, stolen or put back from a backup of the disk, would use keys again that were used before. With every login device and server agree on a new random value, which the copy lacks.", (*demoWorld).stepOldCopy},
		{"groups", "A group, and who can read it", "Sender keys, replaced when somebody goes; a roster that the members keep together and the server cannot read.", (*demoWorld).stepGroups},
	}
}

// shown collects what one step prints and claims.
type shown struct {
	lines  []string
	claims []string
	data   map[string]any
	failed error
}

func (s *shown) line(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// claim states something and whether it was found to hold.
func (s *shown) claim(holds bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.claims = append(s.claims, text)
	if !holds && s.failed == nil {
		s.failed = fmt.Errorf("%w: %s", errDemo, text)
	}
	mark := "✓ "
	if !holds {
		mark = "✗ FAILED: "
	}
	for i, line := range splitLines(wrap(mark+text, demoWidth-8)) {
		if i > 0 {
			line = "  " + line
		}
		s.lines = append(s.lines, line)
	}
}

// runDemo plays the steps and cleans up, however it ends (R-CLI-12).
func (a *app) runDemo(ctx context.Context, yes bool, keep string) (err error) {
	dir, remove, err := demoDir(keep)
	if err != nil {
		return err
	}
	defer remove()
	w, err := newDemoWorld(a, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	paced := !yes && !a.out.json && a.env.StdinTerminal() && a.env.StdoutTerminal()
	steps := demoSteps()
	began := a.env.Now()
	for i, st := range steps {
		start := a.env.Now()
		s := &shown{data: map[string]any{}}
		if err := st.do(w, ctx, s); err != nil {
			return fmt.Errorf("step %s: %w", st.name, err)
		}
		object := demoStepObject{head("demo_step"), i + 1, st.name, st.title, s.failed == nil, s.claims, s.data, a.env.Now().Sub(start).Milliseconds()}
		if err := a.out.show(object, a.demoScreen(i+1, len(steps), st, s)); err != nil {
			return err
		}
		if s.failed != nil {
			return s.failed
		}
		if paced && i+1 < len(steps) {
			if _, err := a.env.ReadLine(ctx, a.out.err().dim("   Enter: next step ")); err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	if a.out.json {
		return nil
	}
	return a.out.text(a.demoEnd(w, keep, a.env.Now().Sub(began)))
}

// demoDir makes the directory of the demonstration and says how to remove it.
func demoDir(keep string) (dir string, remove func(), err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "pawl-demo-")
		return dir, func() { os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(keep); err != nil {
		return "", nil, err
	}
	if list, _ := os.ReadDir(dir); len(list) > 0 {
		return "", nil, usagef("name a new directory", "--keep needs an empty directory")
	}
	return dir, func() {}, os.MkdirAll(dir, 0o700)
}

const demoWidth = 76

func (a *app) demoScreen(n, of int, st step, s *shown) string {
	ink := a.out.out()
	text := fmt.Sprintf("\n%s %s\n", ink.bold(cyan, fmt.Sprintf("[%d/%d]", n, of)), ink.bold(plain, st.title))
	for _, line := range splitLines(wrap(st.about, demoWidth-6)) {
		text += "      " + ink.dim(line) + "\n"
	}
	text += "\n"
	for _, line := range s.lines {
		if rest, ok := strings.CutPrefix(line, "✓"); ok {
			line = ink.bold(green, "✓") + rest
		} else if strings.HasPrefix(line, "✗") {
			line = ink.bold(red, line)
		}
		text += strings.TrimRight("      "+line, " ") + "\n"
	}
	return text
}

func (a *app) demoEnd(w *demoWorld, keep string, took time.Duration) string {
	ink := a.out.out()
	text := "\n" + ink.bold(green, "Every claim was checked and holds.") + fmt.Sprintf(" %.1f seconds.\n\n", took.Seconds())
	if keep != "" {
		text += ink.bold(plain, "The demonstration is kept. Go on with it:") + "\n" +
			"  pawl serve --data " + shellWord(w.path("server")) + " --listen " + w.listen + "\n" +
			"  pawl history bob --home " + shellWord(w.path("alice")) + " --passphrase-file " + shellWord(w.path("alice.passphrase")) + "\n"
		return text
	}
	return text + ink.bold(plain, "Now for real, in two terminals:") + `
  pawl serve                                     prints an invite link
  pawl register alice --invite 'pawl://…'        makes your account
  pawl send me "hello"                           and then: pawl history me
A second person on this machine takes another home:
  pawl register bob --invite 'pawl://…' --home ./bob
`
}
