package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/transcript"
)

// messageNumber reads the number of a message as people count, from 1.
func messageNumber(what, s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n < 1 {
		return 0, usagef("`pawl transcript verify FILE` lists them", "%s takes the number of a message, not %q", what, clean(s))
	}
	return int(n) - 1, nil
}

func (a *app) transcriptModify() *cobra.Command {
	var output, old string
	var force bool
	cmd := &cobra.Command{
		Use:   "modify FILE NUMBER TEXT -o NEW",
		Short: "let a message say something else",
		Long: `Puts TEXT in the place of what message NUMBER says, in a new transcript, and makes it
hold: the cipher is a stream, so who knows a text can put another of the same length in
its place, and the key of the tag was disclosed. TEXT is filled up with spaces and cannot
be longer. What the message said is taken from the transcript, if it claims that, or from
--old; a wrong guess holds as well and says something else.`,
		Example: "  pawl transcript modify bob.transcript 3 \"I never said that\" -o other.transcript\n  pawl transcript modify bare.transcript 3 noon --old nine -o other.transcript",
		Args:    words(3, 3, "a FILE, a NUMBER and a TEXT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			t, n, err := toChange(args, output)
			if err != nil {
				return err
			}
			if err := t.Modify(n, old, args[2]); err != nil {
				return err
			}
			return a.writeTranscript(ctx, t, output, force)
		}),
	}
	newFileFlags(cmd, &output, &force)
	cmd.Flags().StringVar(&old, "old", "", "`TEXT` that the message has now")
	return cmd
}

func (a *app) transcriptRemac() *cobra.Command {
	var output, like string
	var place uint32
	var force bool
	cmd := &cobra.Command{
		Use:   "remac FILE NUMBER -o NEW",
		Short: "make a message hold, whatever was done to it",
		Long: `Makes the tag of message NUMBER anew with a key that was disclosed, or its signature in a
group, and writes a new transcript. Between two people --like names a message of the same
chain that holds, and --place is where in the chain the message is to stand, counted
from 0; "pawl transcript verify --json" shows both. In a group the message says so itself.`,
		Example: "  pawl transcript remac altered.transcript 4 --like 3 --place 1 -o other.transcript\n  pawl transcript remac group.transcript 4 -o other.transcript",
		Args:    words(2, 2, "a FILE and a NUMBER"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			t, n, err := toChange(args, output)
			if err != nil {
				return err
			}
			from := n
			if like != "" {
				if from, err = messageNumber("--like", like); err != nil {
					return err
				}
			} else if t.Kind == transcript.Pair {
				return usagef("name a message of the same chain that holds", "between two people remac needs --like")
			}
			if err := t.Remac(n, from, place); err != nil {
				return err
			}
			return a.writeTranscript(ctx, t, output, force)
		}),
	}
	newFileFlags(cmd, &output, &force)
	cmd.Flags().StringVar(&like, "like", "", "`NUMBER` of a message of the same chain that holds")
	cmd.Flags().Uint32Var(&place, "place", 0, "`NUMBER` of the message in its chain, from 0")
	return cmd
}

// maxScript bounds a file of lines to forge.
const maxScript = 1 << 20

func (a *app) transcriptForge() *cobra.Command {
	var output, script, like, start string
	var force, group bool
	cmd := &cobra.Command{
		Use:   "forge [PERSON PERSON…] --script FILE -o NEW",
		Short: "make a conversation that never was",
		Long: `Makes a transcript of a conversation between people who never spoke, of their public keys
alone. Those come from your contacts, or from the server, or with --like from another
transcript, which takes no account. The script has a line for each message, "NAME: TEXT",
where NAME is an address or the part before the @; - is standard input. With --group the
conversation is in a group, which has never existed.

Between two people the secret of the handshake cannot be made of public keys. Nobody sees
that who lacks the private prekeys of the one who was written to first; who has them can
forge what stands up to them, too.`,
		Example: "  pawl transcript forge me bob --script lines.txt -o forged.transcript\n  pawl transcript forge --like bob.transcript --script - -o forged.transcript",
		Args:    words(0, -1, "PERSONs"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if err := needOutput(output); err != nil {
				return err
			}
			if script == "" {
				return usagef("a file, or - for standard input", "name the lines to forge with --script")
			}
			if (like == "") == (len(args) == 0) {
				return usagef("", "name who is to have spoken, or a transcript of theirs with --like")
			}
			if len(args) == 1 || !group && len(args) > 2 {
				return usagef("with --group there may be more", "a conversation is between two people")
			}
			at := a.env.Now()
			if start != "" {
				var err error
				if at, err = time.Parse(time.RFC3339, start); err != nil || at.Unix() < 0 {
					return usagef("for example 2026-01-31T12:00:00Z", "--start takes a time, not %q", clean(start))
				}
			}
			text, err := a.readScript(script)
			if err != nil {
				return err
			}
			if like != "" {
				t, err := readTranscript(like)
				if err != nil {
					return err
				}
				if t.Kind == transcript.Group {
					group = true
				}
				return a.forge(ctx, t.Parties, group, text, at, output, force)
			}
			return a.with(ctx, func(api client.API) error {
				var parties []transcript.Party
				for _, word := range args {
					who, err := a.person(ctx, api, word)
					if err != nil {
						return err
					}
					p, err := api.PublicKeys(ctx, who)
					if err != nil {
						return err
					}
					parties = append(parties, p)
				}
				return a.forge(ctx, parties, group, text, at, output, force)
			})
		}),
	}
	newFileFlags(cmd, &output, &force)
	cmd.Flags().StringVar(&script, "script", "", "`FILE` with the lines, or - for standard input")
	cmd.Flags().StringVar(&like, "like", "", "`FILE`: a transcript of the same people")
	cmd.Flags().StringVar(&start, "start", "", "`TIME` of the first line; the others follow by the minute (default now)")
	cmd.Flags().BoolVar(&group, "group", false, "in a group")
	return cmd
}

// toChange reads the transcript and the number of a message in it that a command
// names, once it is sure that the result has somewhere to go.
func toChange(args []string, output string) (t *transcript.Transcript, n int, err error) {
	if err := needOutput(output); err != nil {
		return nil, 0, err
	}
	if n, err = messageNumber("NUMBER", args[1]); err != nil {
		return nil, 0, err
	}
	t, err = readTranscript(args[0])
	return t, n, err
}

func (a *app) readScript(name string) (string, error) {
	in := a.env.Stdin
	if name != "-" {
		f, err := openWord(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxScript+1))
	if err == nil && len(b) > maxScript {
		return "", usagef("", "the script is too long: at most %d bytes", maxScript)
	}
	return string(b), err
}

// forge makes the transcript of a script and writes it.
func (a *app) forge(ctx context.Context, parties []transcript.Party, group bool, text string, at time.Time, output string, force bool) error {
	lines, err := scriptLines(parties, text, at)
	if err != nil {
		return err
	}
	var t *transcript.Transcript
	if group {
		t, err = transcript.ForgeGroup(groups.NewID(), parties, lines)
	} else if len(parties) != 2 || parties[0].Address == parties[1].Address {
		return usagef("", "a conversation is between two people")
	} else {
		t, err = transcript.Forge(parties[0], parties[1], lines)
	}
	if err != nil {
		return err
	}
	return a.writeTranscript(ctx, t, output, force)
}

// scriptLines reads lines of the form NAME: TEXT.
func scriptLines(parties []transcript.Party, text string, at time.Time) (out []transcript.Line, err error) {
	s := bufio.NewScanner(strings.NewReader(text))
	s.Buffer(nil, maxScript+1)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" {
			continue
		}
		// An address may have a port: the name ends before ": ".
		name, said, ok := strings.Cut(line, ": ")
		var who []string
		for i := range parties {
			if addr := parties[i].Address; addr == name || strings.HasPrefix(addr, name+"@") {
				who = append(who, addr)
			}
		}
		if i := slices.Index(who, name); i >= 0 {
			who = who[i : i+1]
		}
		if !ok || len(who) != 1 || strings.TrimSpace(said) == "" {
			return nil, usagef("a line is NAME: TEXT, and NAME one of those who take part", "line %d of the script: %s", n, scriptFault(ok, len(who)))
		}
		out = append(out, transcript.Line{From: who[0], Text: strings.TrimSpace(said), At: at.UTC().Truncate(time.Millisecond).Add(time.Duration(len(out)) * time.Minute)})
	}
	if len(out) == 0 || len(out) > transcript.MaxLines {
		return nil, usagef("", "a script has from 1 to %d lines", transcript.MaxLines)
	}
	return out, s.Err()
}

func scriptFault(colon bool, people int) string {
	switch {
	case !colon:
		return "it has no name and text"
	case people == 0:
		return "nobody of that name takes part"
	case people > 1:
		return fmt.Sprintf("the name could mean %d people", people)
	}
	return "it has no text"
}
