package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// verb marks a command that does something itself and holds others.
const verb = "verb"

func (a *app) historyExport() *cobra.Command {
	var format, output string
	var force bool
	cmd := &cobra.Command{
		Use:   "export [RECIPIENT]",
		Short: "write whole conversations as text, Markdown or JSON",
		Long: `Writes every message of the conversation with RECIPIENT, or of all conversations,
oldest first: as text, as Markdown, or as JSON with one object a line (also with
--json). What is written is in plain: with --output it goes into a file that only you
can read, which appears when it is whole.`,
		Example: `  pawl history export bob
  pawl history export '#rowing' --format markdown --output bob.md
  pawl history export --json --output all.jsonl`,
		Args: words(0, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if a.out.json && format == "text" {
				format = "json"
			}
			if err := oneOf("format", format, "text", "markdown", "json"); err != nil {
				return err
			}
			if force && output == "" {
				return usagef("", "--force belongs to --output")
			}
			return a.with(ctx, func(api client.API) error {
				with := ""
				if len(args) > 0 {
					peer, err := a.resolve(ctx, api, args[0])
					if err != nil {
						return err
					}
					with = peer
				}
				return a.export(ctx, api, with, format, output, force)
			})
		}),
	}
	cmd.Flags().StringVar(&format, "format", "text", "`FORMAT`: text, markdown or json")
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write instead of standard output")
	cmd.Flags().BoolVar(&force, "force", false, "replace a FILE that exists")
	return cmd
}

func (a *app) export(ctx context.Context, api client.API, with, format, output string, force bool) error {
	about, all, err := api.Export(ctx, with)
	if err != nil {
		return err
	}
	if output != "" {
		to := target{output, force}
		return to.write(ctx, func(w io.Writer) error { return a.exportTo(ctx, api, w, about, all, format) })
	}
	w := bufio.NewWriterSize(dataWriter{a.env.Stdout}, 64<<10)
	if err := a.exportTo(ctx, api, w, about, all, format); err != nil {
		return err
	}
	return w.Flush()
}

// dataWriter marks failures of standard output.
type dataWriter struct{ w io.Writer }

func (d dataWriter) Write(b []byte) (int, error) { return len(b), writeData(d.w, b) }

func (a *app) exportTo(ctx context.Context, api client.API, w io.Writer, about int, all func(func(client.Message, error) bool), format string) (err error) {
	shape := map[string]func(*exporter, client.Message) string{
		"text": (*exporter).text, "markdown": (*exporter).markdown,
		"json": func(_ *exporter, m client.Message) string { return string(encodeLine(objectOf(m))) },
	}[format]
	p := a.progress("messages exported", about)
	x := &exporter{app: a}
	for m, failed := range all {
		if err = errors.Join(failed, ctx.Err()); err != nil {
			break
		}
		if format != "json" {
			a.learn(ctx, api, m)
		}
		if _, err = io.WriteString(w, shape(x, m)); err != nil {
			break
		}
		p.step(1)
	}
	p.end()
	return err
}

// exporter lays messages out for people (R-EXP-02). It remembers what the last
// heading said.
type exporter struct {
	app          *app
	conversation string
	day          string
}

// heading reports what is new about m: its conversation and its day.
func (x *exporter) heading(m client.Message) (conversation, day string) {
	if m.Conversation != x.conversation {
		x.conversation, x.day = m.Conversation, ""
		conversation = x.app.called(m.Conversation)
	}
	if d := x.app.when(shownAt(m)); len(d) > 10 && d[:10] != x.day {
		x.day = d[:10]
		day = x.day
	}
	return conversation, day
}

func (x *exporter) text(m client.Message) string {
	var b strings.Builder
	if conversation, _ := x.heading(m); conversation != "" {
		fmt.Fprintf(&b, "== %s\n", conversation)
	}
	to := ""
	if m.Direction == client.Out {
		to = " → " + x.app.recipient(m)
		if m.Status == client.StatusFailed || m.Status == client.StatusSending {
			to += " (" + clean(string(m.Status)) + ")"
		}
	}
	to += x.app.retoldText(m)
	body := x.app.bodyText(m)
	if m.Subject != "" {
		body = "Subject: " + clean(m.Subject) + "\n" + body
	}
	// Every further line is indented, so that no text can pass for a message.
	fmt.Fprintf(&b, "%s  %s%s  %s\n", x.app.when(shownAt(m)), x.app.sender(m), to, strings.ReplaceAll(body, "\n", "\n    "))
	return b.String()
}

func (x *exporter) markdown(m client.Message) string {
	var b strings.Builder
	conversation, day := x.heading(m)
	if conversation != "" {
		fmt.Fprintf(&b, "# %s\n\n", escapeMarkdown(conversation))
	}
	if day != "" {
		fmt.Fprintf(&b, "## %s\n\n", day)
	}
	moment := ""
	if when := x.app.when(shownAt(m)); len(when) > 11 {
		moment = when[11:]
	}
	fmt.Fprintf(&b, "**%s**%s %s", escapeMarkdown(x.app.sender(m)), escapeMarkdown(x.app.retoldText(m)), moment)
	if m.Direction == client.Out && (m.Status == client.StatusFailed || m.Status == client.StatusSending) {
		fmt.Fprintf(&b, " (%s)", escapeMarkdown(clean(string(m.Status))))
	}
	b.WriteString("\n\n")
	body := x.app.bodyText(m)
	if m.Subject != "" {
		fmt.Fprintf(&b, "> **%s**\n>\n", escapeMarkdown(clean(m.Subject)))
	}
	// A block quote: whatever a text holds, it stays inside.
	for line := range strings.SplitSeq(body, "\n") {
		b.WriteString(strings.TrimRight("> "+escapeMarkdown(line), " "))
		if line != "" {
			b.WriteString("\\")
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\\\n") + "\n\n"
}

// escapeMarkdown makes a line of text stand for itself in CommonMark: no
// markup, no links, no HTML, no list or heading, and no code by indentation.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '<':
			b.WriteString("&lt;")
		case c == '&':
			b.WriteString("&amp;")
		case c == ' ' && (i == 0 || s[i-1] == ' '):
			b.WriteString("&#32;")
		case strings.IndexByte("\\`*_{}[]()#+-.!|>~$=:@", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// progress says on standard error how far a long task has come, if somebody
// may be looking.
type progress struct {
	app       *app
	what      string
	total     int
	done      int
	last      time.Time
	shown     bool
	rewriting bool
}

// progressEvery is how often a progress line changes.
const progressEvery = 500 * time.Millisecond

func (a *app) progress(what string, total int) *progress {
	return &progress{app: a, what: what, total: total, last: a.env.Now(), rewriting: a.env.StderrTerminal()}
}

func (p *progress) step(n int) {
	if p.done += n; p.done%64 == 0 {
		p.show()
	}
}

// at sets how far it has come, and how far it goes when that is known.
func (p *progress) at(done, about int) {
	p.done, p.total = done, about
	p.show()
}

func (p *progress) show() {
	if p.app.out.quiet || !p.rewriting {
		return
	}
	now := p.app.env.Now()
	if now.Sub(p.last) < progressEvery {
		return
	}
	p.last, p.shown = now, true
	if p.total > 0 {
		fmt.Fprintf(p.app.env.Stderr, "\rpawl: %d of %d %s", p.done, max(p.done, p.total), p.what)
		return
	}
	fmt.Fprintf(p.app.env.Stderr, "\rpawl: %d %s", p.done, p.what)
}

// end finishes the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprintln(p.app.env.Stderr)
	}
}
