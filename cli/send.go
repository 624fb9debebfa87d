package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// maxText bounds what is read of standard input for one message. It is well
// above what a message may hold, so that the engine says what is too long.
const maxText = 1 << 20

// maxLifetime is the longest that a server keeps a message.
const maxLifetime = 30 * 24 * time.Hour

type sendFlags struct {
	reply, subject, ttl, wait, timeout string

	mention     []string
	lines, sign bool
}

func (a *app) send() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:     "send RECIPIENT [TEXT… | -]",
		Short:   "send a message",
		GroupID: groupDaily,
		Long: `Sends TEXT, or standard input when there is no TEXT and standard input is not a
terminal, or when TEXT is -. RECIPIENT is user@host, an alias, a bare name that only one
contact has, me, or '#group'. Returns when the server has the message durably (--wait
accepted), or when a device of the recipient, and in a group one of every member, has
stored it (delivered) or shown it (read). When --timeout runs out first, it exits with 9; the
message stays sent. With --lines no line waits for
another; each is printed when its receipt has come, or its own --timeout has run out.

A word such as @alice in a message to a group mentions the member of that name, and so
does --mention. When the keys of a group are due, sending replaces them first.

With --sign this device signs the message: text, time and conversation. From then on
everybody who has it can prove to anybody that you wrote it, for ever; without, nobody can.
The recipient sees that it is signed, and "pawl message proof ID" exports the proof.

When the server cannot be reached the message stays queued, the command exits with 3
and names its id; it leaves by itself as soon as the server answers again.`,
		Example: `  pawl send bob@localhost "Shall we meet at noon?"
  pawl send bob --subject minutes < minutes.txt
  dmesg | tail | pawl send ops -
  tail -f log | pawl send ops --lines
  pawl send ops 'Restart now?' --wait read --timeout 5m
  pawl send ops --lines --wait delivered --timeout 1m < list.txt
  pawl send '#rowing' 'Who brings the oars? @bob?'
  pawl send bob -- --this is text, not a flag`,
		Args: func(cmd *cobra.Command, args []string) error {
			return groupWords(1, -1, "a RECIPIENT")(cmd, args)
		},
		RunE: a.run(func(ctx context.Context, args []string) error { return a.sendWords(ctx, f, args[0], args[1:]) }),
	}
	cmd.Flags().StringVar(&f.reply, "reply", "", "`ID` of the message this one answers")
	cmd.Flags().StringVar(&f.subject, "subject", "", "subject `LINE`")
	cmd.Flags().StringVar(&f.ttl, "ttl", "", "lifetime, such as 90m, 12h or 7d: after this `TIME` the content is erased on both sides")
	cmd.Flags().StringVar(&f.wait, "wait", "accepted", "`WHAT` to wait for: accepted (the server has it), delivered, read, or none (it is in the outbox)")
	cmd.Flags().StringVar(&f.timeout, "timeout", "", "`TIME` to wait at most, such as 10s; without it there is no limit")
	cmd.Flags().BoolVar(&f.lines, "lines", false, "send each line of standard input as a message of its own")
	cmd.Flags().BoolVar(&f.sign, "sign", false, "sign the message, so that whoever has it can prove that you wrote it")
	cmd.Flags().StringArrayVar(&f.mention, "mention", nil, "`MEMBER` of the group that is to notice; may be said several times")
	cmd.ValidArgsFunction = a.completeWords(a.recipients, nil)
	cmd.RegisterFlagCompletionFunc("wait", cobra.FixedCompletions([]string{"accepted", "delivered", "read", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) sendWords(ctx context.Context, f sendFlags, to string, text []string) error {
	o := client.SendOptions{Subject: f.subject, ReplyTo: f.reply, Mentions: f.mention, Sign: f.sign}
	switch f.wait {
	case "accepted":
	case "none":
		o.NoWait = true
	case "delivered", "read":
		o.Wait = client.Status(f.wait)
	default:
		return usagef("", "--wait takes accepted, delivered, read or none, not %q", clean(f.wait))
	}
	var err error
	if f.timeout != "" {
		if o.Timeout, err = time.ParseDuration(f.timeout); err != nil || o.Timeout <= 0 {
			return usagef("for example 10s or 5m", "--timeout takes a time, not %q", clean(f.timeout))
		}
		if o.NoWait {
			return usagef("", "--timeout and --wait none exclude each other")
		}
	}
	if o.TTL, err = lifetime(f.ttl); err != nil {
		return err
	}
	if f.lines && len(text) > 0 && !(len(text) == 1 && text[0] == "-") {
		return usagef("pipe the lines in, or leave --lines away", "--lines reads standard input and takes no TEXT")
	}
	if f.sign { // R-TRN-24
		a.out.warn("signing gives up deniability: everybody who has this message can prove to anybody that you wrote it, and that cannot be taken back")
	}
	if f.lines {
		if a.env.StdinTerminal() && len(text) == 0 {
			return usagef("pipe the lines in, or say - to type them", "--lines reads standard input, which is a terminal")
		}
		return a.with(ctx, func(api client.API) error { return a.sendLines(ctx, api, to, o) })
	}
	body, err := a.textOf(text)
	if err != nil {
		return err
	}
	return a.with(ctx, func(api client.API) error {
		address, err := a.resolve(ctx, api, to)
		if err != nil {
			return err
		}
		if o.Mentions, err = a.mentions(ctx, api, address, body, f.mention); err != nil {
			return err
		}
		m, err := a.sendTo(ctx, api, address, body, o)
		if err != nil {
			return queued(m, err)
		}
		if err := a.out.show(messageOf(m), a.sentText(m)); err != nil {
			return err
		}
		return partly(m)
	})
}

// sendTo sends one message. To a group it may have to replace the keys first,
// which a terminal shows.
func (a *app) sendTo(ctx context.Context, api client.API, to, text string, o client.SendOptions) (client.Message, error) {
	if !isGroup(to) {
		return api.Send(ctx, to, text, o)
	}
	defer a.watchStep(ctx, pendingOf(api, to))()
	if !a.out.json {
		a.learn(ctx, api, client.Message{Group: to})
	}
	return api.Send(ctx, to, text, o)
}

// textOf is the text of the message: the words, or standard input (R-CLI-10).
func (a *app) textOf(text []string) (string, error) {
	if len(text) > 0 && !(len(text) == 1 && text[0] == "-") {
		if body := strings.Join(text, " "); body != "" {
			return body, nil
		}
		return "", usagef("is a variable of the shell empty?", "there is no text to send: TEXT is empty")
	}
	if len(text) == 0 && a.env.StdinTerminal() {
		return "", usagef("write it after the recipient, pipe it in, or say - to type it and end with ctrl-D", "there is no text to send")
	}
	b, err := io.ReadAll(io.LimitReader(a.env.Stdin, maxText+1))
	if err != nil {
		return "", fmt.Errorf("standard input cannot be read: %w", err)
	}
	if len(b) > maxText {
		return "", fmt.Errorf("%w: more than %d bytes", client.ErrTooLong, maxText)
	}
	body := withoutLineEnd(string(b))
	if body == "" {
		return "", usagef("", "there is no text to send: standard input is empty")
	}
	return body, nil
}

func withoutLineEnd(s string) string {
	if rest, ok := strings.CutSuffix(s, "\n"); ok {
		return strings.TrimSuffix(rest, "\r")
	}
	return s
}

// queued turns "unreachable, but kept" into its own failure: doing it again
// would send it twice (R-CLI-11).
func queued(m client.Message, err error) error {
	if errors.Is(err, client.ErrTimeout) { // R-CLI-14
		return &failure{
			err: err, messageID: m.ID, kept: true,
			message: fmt.Sprintf("time ran out; message %s is %s", m.ID, m.Status),
		}
	}
	if m.ID == "" || m.Status != client.StatusSending {
		return err
	}
	if errors.Is(err, client.ErrUnreachable) {
		return &failure{
			err: errQueued, messageID: m.ID, kept: true,
			message: fmt.Sprintf("the server cannot be reached; message %s is queued and leaves later by itself", m.ID),
		}
	}
	if errors.Is(err, client.ErrRolledBack) {
		return &failure{
			err: err, messageID: m.ID, kept: true,
			message: fmt.Sprintf("%s; message %s is kept and leaves after a relink", tidy(err.Error()), m.ID),
		}
	}
	return &failure{
		err: err, messageID: m.ID, kept: true,
		message: fmt.Sprintf("%s; message %s is queued and leaves later by itself", tidy(err.Error()), m.ID),
		hint:    keptHint(err),
	}
}

// keptHint is what to do about a message that waits for another reason than the
// network.
func keptHint(err error) string {
	if errors.Is(err, client.ErrRateLimited) || errors.Is(err, client.ErrMailboxFull) {
		return "nothing needs to be sent again: it leaves by itself"
	}
	return "" // the hint of the class
}

// partly says when some devices of the recipient failed.
func partly(m client.Message) error {
	failed := 0
	for _, s := range m.PerDevice {
		if s == client.StatusFailed {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return &failure{
		err: errPartly, messageID: m.ID,
		message: fmt.Sprintf("message %s failed for %d of %s", m.ID, failed, count(len(m.PerDevice), "device")),
	}
}

func (a *app) sentText(m client.Message) string {
	return fmt.Sprintf("%s  %s  %s\n", clean(m.ID), statusText(m), a.recipient(m))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// lifetime reads a duration that may also be in days or weeks.
func lifetime(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, ok := strings.CutSuffix(s, unit); ok && err != nil {
			whole, bad := strconv.ParseUint(n, 10, 16)
			d, err = time.Duration(whole)*length, bad
		}
	}
	if err != nil || d < time.Second || d > maxLifetime {
		return 0, usagef("for example 90m, 12h, 7d or 2w", "--ttl takes a time from one second to 30 days, not %q", clean(s))
	}
	return d, nil
}
