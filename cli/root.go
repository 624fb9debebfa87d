package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is one run of the program.
type app struct {
	env *Env
	out output
	// the global flags
	home           string
	verbose        bool
	passphraseFile string
	keyFile        string
	labels         labels
	// started is set when a command's own code begins to run: whatever fails
	// before that is a mistake in the words.
	started bool
}

// Run executes the command that args name and returns the exit code.
func Run(ctx context.Context, env *Env, args []string) int {
	a := &app{env: env, out: output{env: env}}
	// A mistake in the flags is reported as asked for even when the flag that
	// asks stands behind it.
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "--json" || arg == "--json=true" {
			a.out.json = true
		}
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if errors.Is(err, syscall.EPIPE) && errors.Is(err, errStdout) {
		return exitDone // the reader has seen enough: `pawl history bob | head`
	}
	var f *failure
	if !a.started && !errors.As(err, &f) {
		err = &failure{err: errUsage, message: lowerFirst(err.Error()), hint: "`pawl help` lists the commands"}
	}
	object, exit := describe(ctx, err)
	if exit == exitInterrupted && !a.out.json {
		return exit
	}
	a.out.fail(object)
	return exit
}

func lowerFirst(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

const (
	groupDaily  = "daily"
	groupPeople = "people"
	groupSetup  = "setup"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "pawl",
		Short: "messages that only their readers can read",
		Long: `pawl sends messages that only their readers can read: every message has its own
key, used keys are erased, and what was said cannot be proven to others.

The program is both the client and the server. ` + "`pawl demo`" + ` shows all of it on this
machine in a few seconds.`,
		Example: `  pawl demo
  pawl serve --data ./server --listen 127.0.0.1:7295
  pawl register alice --invite 'pawl://…'
  pawl send bob@localhost "Shall we meet at noon?"
  pawl recv`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          a.knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.help(cmd) },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", "", "`DIR` of the account (default $PAWL_HOME, else in the XDG data directory)")
	flags.BoolVar(&a.out.json, "json", a.out.json, "print objects, one a line")
	flags.BoolVarP(&a.out.quiet, "quiet", "q", false, "no remarks on standard error")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "say on standard error what happens")
	flags.StringVar(&a.passphraseFile, "passphrase-file", "", "`FILE` that holds the passphrase of the store")
	flags.StringVar(&a.keyFile, "key-file", "", "`FILE` of 32 random bytes that opens the store instead of a passphrase")
	root.AddGroup(
		&cobra.Group{ID: groupDaily, Title: "Messages:"},
		&cobra.Group{ID: groupPeople, Title: "People:"},
		&cobra.Group{ID: groupSetup, Title: "Accounts and servers:"},
	)
	root.AddCommand(
		a.send(), a.recv(), a.ls(), a.history(), a.message(), a.explain(),
		a.verify(), a.contact(), a.group(),
		a.demo(), a.lab(), a.transcript(), a.serve(), a.register(), a.link(), a.device(), a.account(), a.backup(), a.status(), a.settings(), a.version(), a.man(),
		a.exitCodes(),
		a.security(),
	)
	root.SetCompletionCommandGroupID(groupSetup)
	root.SetHelpCommand(a.helpCommand(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Short = "write the completion script of a shell"
			a.noun(c)
			c.Example = "  pawl completion bash > /etc/bash_completion.d/pawl\n  pawl completion zsh > \"${fpath[1]}/_pawl\"\n  pawl completion fish | source"
		}
	}
	eachCommand(root, func(c *cobra.Command) { c.Long = wrap(c.Long, 78) })
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(a.flagError)
	return root
}

func eachCommand(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, child := range c.Commands() {
		eachCommand(child, do)
	}
}

// run makes a cobra function of a command's own code.
func (a *app) run(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return f(cmd.Context(), args)
	}
}

func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "explain a command",
		GroupID: groupSetup,
		Example: "  pawl help send\n  pawl help exit-codes",
		RunE: a.run(func(_ context.Context, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return a.knownCommand(cmd, append(rest, args...))
			}
			return a.help(cmd)
		}),
	}
}

// help prints a command's help as data.
func (a *app) help(cmd *cobra.Command) error {
	cmd.InitDefaultHelpFlag()
	return cmd.Help()
}

// knownCommand is the argument check of commands that only hold others.
func (a *app) knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := fmt.Sprintf("`%s --help` lists the commands", cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		hint = "did you mean `" + cmd.CommandPath() + " " + like[0] + "`?"
	}
	return usagef(hint, "there is no command %q", clean(args[0]))
}

// noun is a command that only holds others, such as contact.
func (a *app) noun(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.Args = a.knownCommand
	cmd.AddCommand(verbs...)
	verbs = cmd.Commands()
	cmd.RunE = a.run(func(context.Context, []string) error {
		names := make([]string, len(verbs))
		for i, v := range verbs {
			names[i] = v.Name()
		}
		return usagef(fmt.Sprintf("`%s --help` shows examples", cmd.CommandPath()), "%s needs one of %s", cmd.CommandPath(), strings.Join(names, ", "))
	})
	return cmd
}

// words checks the number of words that follow a command.
func words(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := fmt.Sprintf("usage: %s", cmd.UseLine())
		switch {
		case len(args) < least:
			return usagef(hint, "%s needs %s", cmd.CommandPath(), what)
		case most == 0 && len(args) > 0:
			return usagef(hint, "%s takes no words, only flags", cmd.CommandPath())
		case most > 0 && len(args) > most:
			return usagef(hint, "%s takes no more than %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// flagError explains a flag that pflag did not understand.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("`%s --help` lists the flags", cmd.CommandPath())
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if like := nearestFlag(cmd, unknown.GetSpecifiedName()); like != "" {
			hint = "did you mean --" + like + "?"
		} else if cmd.Name() == "send" {
			hint = "if that belongs to the text, put `--` before it"
		}
	}
	return &failure{err: errUsage, message: clean(lowerFirst(err.Error())), hint: hint}
}

func nearestFlag(cmd *cobra.Command, word string) (nearest string) {
	best := 3
	look := func(f *pflag.Flag) {
		if d := distance(word, f.Name); d < best && !f.Hidden {
			nearest, best = f.Name, d
		}
	}
	cmd.Flags().VisitAll(look)
	cmd.InheritedFlags().VisitAll(look)
	return nearest
}

// distance counts the letters to add, drop or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// dataDir is the directory for name below the person's data.
func (a *app) dataDir(name string) (string, error) {
	if base := a.env.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, name), nil
	}
	if base := a.env.Getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && base != "" {
		return filepath.Join(base, name), nil
	}
	if home := a.env.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", name), nil
	}
	return "", usagef("name a directory with --home or PAWL_HOME", "neither HOME nor XDG_DATA_HOME is set")
}

// homeDir is the directory of the account (R-CLI-08).
func (a *app) homeDir() (string, error) {
	for _, dir := range []string{a.home, a.env.Getenv("PAWL_HOME")} {
		if dir != "" {
			return filepath.Abs(dir)
		}
	}
	return a.dataDir("pawl")
}

// log is for the engine's operational messages.
func (a *app) log() *slog.Logger {
	if !a.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(cleanWriter{a.env.Stderr}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// cleanWriter cleans log lines, which may carry words from elsewhere.
type cleanWriter struct{ w io.Writer }

func (c cleanWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(c.w, cleanLines(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// oneOf checks a flag that takes one of a few words.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usagef("", "--%s takes %s, not %q", flag, strings.Join(allowed, " or "), clean(value))
}

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

const usageTemplate = `Usage:{{if and .Runnable (or (not .HasAvailableSubCommands) (index .Annotations "verb"))}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND [flags]{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{if eq (len .Groups) 0}}

Commands:{{range $cmds}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{else}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Everywhere:
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasHelpSubCommands}}

More:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{.Root.Name}} help {{rpad .Name 13}} {{.Short}}{{end}}{{end}}{{end}}
`
