package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const exitCodesText = `   0  done
   1  unexpected: the store is damaged, the disk is full, the clock is off, …
   2  usage, or a word that could mean several people
   3  the server or the network cannot be reached
   4  not registered, revoked, or the store stays closed
   5  an identity changed or is not trusted
   6  rate limited, or no room at the recipient
   7  unknown recipient or group
   8  partly done: some devices, recipients or lines failed
   9  the receipt asked for did not come in time
 130  interrupted`

func (a *app) exitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "what the exit codes mean",
		Long:  "The exit codes of every command:\n\n" + exitCodesText + "\n\nOn failure standard output stays empty unless the code is 8. With --json the error is\nan object of type error on standard error, with code, message, retryable and hint.",
	}
}

func (a *app) man() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "man [DIR]",
		Short:   "write the manual pages",
		GroupID: groupSetup,
		Long:    "Writes the manual pages of every command into DIR. Without DIR it prints the main page.",
		Example: "  pawl man | man -l -\n  pawl man /usr/local/share/man/man1",
		Args:    words(0, 1, "one DIR"),
	}
	cmd.RunE = a.run(func(_ context.Context, args []string) error {
		if len(args) == 0 {
			return a.out.text(manPage(cmd.Root()))
		}
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return err
		}
		var write func(*cobra.Command) error
		write = func(c *cobra.Command) error {
			name := filepath.Join(args[0], pageName(c)+".1")
			if err := os.WriteFile(name, []byte(manPage(c)), 0o644); err != nil {
				return err
			}
			for _, child := range c.Commands() {
				if child.IsAvailableCommand() {
					if err := write(child); err != nil {
						return err
					}
				}
			}
			return nil
		}
		return write(cmd.Root())
	})
	return cmd
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage is a page in the man macros of roff.
func manPage(c *cobra.Command) string {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"pawl\" \"pawl manual\"\n", strings.ToUpper(pageName(c)))
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", pageName(c), roff(c.Short))
	section("SYNOPSIS")
	line := c.UseLine()
	if c.HasAvailableSubCommands() {
		if c.Annotations[verb] != "" {
			fmt.Fprintf(&b, ".B %s\n.br\n", roff(line))
		}
		line = c.CommandPath() + " COMMAND [flags]"
	}
	fmt.Fprintf(&b, ".B %s\n", roff(line))
	if c.Long != "" {
		section("DESCRIPTION")
		for paragraph := range strings.SplitSeq(c.Long, "\n\n") {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(paragraph))
		}
	}
	if c.HasAvailableSubCommands() {
		section("COMMANDS")
		for _, child := range c.Commands() {
			if child.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(child.Use), roff(child.Short))
			}
		}
	}
	options := func(name string, set *pflag.FlagSet) {
		if !set.HasAvailableFlags() {
			return
		}
		section(name)
		set.VisitAll(func(f *pflag.Flag) {
			value, usage := pflag.UnquoteUsage(f)
			flag := "--" + f.Name
			if f.Shorthand != "" {
				flag = "-" + f.Shorthand + ", " + flag
			}
			if f.Value.Type() != "bool" {
				flag += " " + value
			}
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
				usage += " (default " + f.DefValue + ")"
			}
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(flag), roff(usage))
		})
	}
	options("OPTIONS", c.NonInheritedFlags())
	options("OPTIONS EVERYWHERE", c.InheritedFlags())
	if c.Example != "" {
		section("EXAMPLES")
		fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(c.Example))
	}
	if !c.HasParent() {
		section("ENVIRONMENT")
		for _, v := range [][2]string{
			{"PAWL_HOME", "directory of the account, when --home is not given"},
			{"PAWL_PASSPHRASE_FILE", "file that holds the passphrase, when --passphrase-file is not given"},
			{"CREDENTIALS_DIRECTORY", "systemd's credentials; pawl.passphrase in it is the passphrase"},
			{"NO_COLOR, CLICOLOR_FORCE, TERM", "whether output is coloured"},
		} {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(v[0]), roff(v[1]))
		}
		section("EXIT STATUS")
		fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(exitCodesText))
	} else {
		section("SEE ALSO")
		fmt.Fprintf(&b, ".BR %s (1)\n", roff(pageName(c.Parent())))
	}
	return b.String()
}

// roff protects what troff would take for its own: backslashes, hyphens, and
// lines that begin with a dot or an apostrophe.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `…`, `...`).Replace(s)
	return regexp.MustCompile(`(?m)^([.'])`).ReplaceAllString(s, `\&$1`)
}
