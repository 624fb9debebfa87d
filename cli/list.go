package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) ls() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list the conversations",
		GroupID: groupDaily,
		Long:    "Lists the conversations, the latest first: who, how many messages are unread, and the\nlast line.",
		Example: "  pawl ls\n  pawl ls --json | jq -r 'select(.unread > 0).peer'",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				list, err := api.Conversations(ctx)
				if err != nil {
					return err
				}
				if a.out.json {
					return printObjects(a, list, conversationOf)
				}
				var rows [][]string
				for _, c := range list {
					name, trust := nameOf(c.Peer, c.Alias), trustWord(c.Trust)
					switch {
					case isGroup(c.Peer):
						a.learn(ctx, api, client.Message{Group: c.Peer})
						name, trust = a.called(c.Peer), "group"
					case c.Peer == a.labels.me:
						name, trust = nameOf(c.Peer, "me"), ""
					}
					rows = append(rows, []string{name, trust, unreadWord(c.Unread), a.when(shownAt(c.Last)), a.summary(c.Last)})
				}
				if len(rows) == 0 {
					a.out.note("there are no conversations yet; `pawl send RECIPIENT TEXT` starts one")
				}
				return a.out.text(table(a.env.Width(), rows))
			})
		}),
	}
}

func (a *app) history() *cobra.Command {
	var limit int
	var before string
	cmd := &cobra.Command{
		Use:         "history RECIPIENT",
		Short:       "show the messages of a conversation",
		GroupID:     groupDaily,
		Annotations: map[string]string{verb: "yes"},
		Long: "Shows the newest messages with RECIPIENT, oldest first. Reading history does not take\nanything from `pawl recv`, but what it shows counts as read for its sender." +
			"\n\n`pawl history export` writes whole conversations, and `pawl history edit` changes them; somebody called export or edit is reached by the full address.",
		Example: "  pawl history bob\n  pawl history '#rowing' --limit 10\n  pawl history bob --before ID --json",
		Args:    groupWords(1, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if limit < 1 {
				return usagef("", "--limit takes a number of at least 1")
			}
			return a.with(ctx, func(api client.API) error {
				peer, err := a.resolve(ctx, api, args[0])
				if err != nil {
					return err
				}
				list, err := api.History(ctx, peer, limit, before)
				if err != nil {
					return err
				}
				if a.out.json {
					return printObjects(a, list, objectOf)
				}
				a.learn(ctx, api, list...)
				var b strings.Builder
				for _, m := range list {
					b.WriteString(a.messageText(m))
				}
				return a.out.text(b.String())
			})
		}),
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "show at most `N`")
	cmd.Flags().StringVar(&before, "before", "", "`ID` of a message: show what came before it")
	cmd.ValidArgsFunction = a.completeWords(a.recipients, nil)
	cmd.AddCommand(a.historyExport(), a.historyEdit())
	return cmd
}

func (a *app) message() *cobra.Command {
	return a.noun(&cobra.Command{
		Use:     "message",
		Short:   "look at one message, send it again, or prove it",
		GroupID: groupDaily,
		Example: "  pawl message show ID\n  pawl message resend ID\n  pawl message proof ID -o FILE\n  pawl message verify-proof FILE",
	}, a.resend(), a.messageProof(), a.verifyProof(), &cobra.Command{
		Use:     "show ID",
		Short:   "show a message and how far it has come",
		Long:    "Shows one message with everything that is known of it: who, when, and for an own\nmessage how far it has come at each device of the recipient.",
		Example: "  pawl message show 4QW6…\n  pawl message show 4QW6… --json | jq .per_device",
		Args:    words(1, 1, "one ID"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				m, err := api.Message(ctx, args[0])
				if err != nil {
					return err
				}
				object := objectOf(m)
				if o, ok := object.(messageObject); ok {
					o.Sealed = sealedOf(m.Sealed)
					object = o
				}
				a.learn(ctx, api, m)
				return a.out.show(object, a.messageCard(m, a.reached(ctx, api, m)))
			})
		}),
	})
}

// printObjects prints a list as one write of many lines.
func printObjects[T, O any](a *app, list []T, object func(T) O) error {
	var data []byte
	for _, x := range list {
		data = append(data, encodeLine(object(x))...)
	}
	return writeData(a.env.Stdout, data)
}

// when prints a time for people, in their zone.
func (a *app) when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	zone := a.env.Zone
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("2006-01-02 15:04")
}

// whenExactly is when, to the second.
func (a *app) whenExactly(t time.Time) string {
	zone := a.env.Zone
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("2006-01-02 15:04:05")
}

// messageText is one message for people. Every line of its text but the first
// is indented, so that no text can pass for another message.
func (a *app) messageText(m client.Message) string {
	ink := a.out.out()
	from := ink.bold(cyan, a.sender(m))
	note := a.mentionText(m) + signedText(m)
	switch {
	case m.Direction == client.Out:
		from = ink.bold(green, "me") + " → " + a.recipient(m)
		note = ink.dim(" ("+statusText(m)+")") + signedText(m)
	case groupIn(m) != "" && m.Kind != client.KindNotice:
		from += a.retoldText(m) + " → " + a.recipient(m)
	}
	line := ink.dim(a.when(shownAt(m))) + "  " + from + note
	body := a.bodyText(m)
	if m.Subject != "" {
		body = "Subject: " + ink.bold(plain, clean(m.Subject)) + "\n" + body
	}
	return line + "  " + strings.ReplaceAll(body, "\n", "\n    ") + "\n"
}

// recipient is whom a message was sent to, as a screen calls them.
func (a *app) recipient(m client.Message) string {
	if id := groupIn(m); id != "" {
		return a.called(id)
	}
	return clean(m.To)
}

// bodyText says what a message holds, also when it holds no text.
func (a *app) bodyText(m client.Message) string {
	if m.Expired {
		return "[its lifetime is over: the content is erased]"
	}
	switch m.Kind {
	case client.KindText:
		return cleanLines(m.Text)
	case client.KindUndecryptable:
		return "[a message that could not be opened: " + clean(m.Cause) + repairWord(m.Repair) + "]"
	case client.KindNotice:
		return "[notice: " + a.noticeText(m) + "]"
	}
	return "[a message that this version of pawl cannot show]"
}

func repairWord(r client.RepairState) string {
	switch r {
	case client.RepairAsked:
		return "; its sender was asked to send it again"
	case client.RepairDone:
		return "; it was sent again"
	case client.RepairNothing:
		return "; its sender had nothing to send again"
	}
	return ""
}

func (a *app) summary(m client.Message) string {
	if m.ID == "" {
		return ""
	}
	text := clean(a.bodyText(m))
	if m.Subject != "" {
		text = clean(m.Subject) + ": " + text
	}
	if m.Direction == client.Out {
		text = "me: " + text
	} else if groupIn(m) != "" && m.Kind != client.KindNotice {
		text = clean(m.From) + ": " + text
	}
	return text
}

func (a *app) messageCard(m client.Message, reached []memberReach) string {
	var b strings.Builder
	b.WriteString(fields("",
		[2]string{"id", clean(m.ID)},
		[2]string{"from", clean(m.From) + "  " + clean(m.FromDevice)},
		[2]string{"to", a.recipient(m)},
		[2]string{"status", strings.TrimSpace(statusText(m) + "  " + clean(m.Cause))},
		[2]string{"sent", a.when(m.SentAt)},
		[2]string{"accepted", a.when(m.AcceptedAt)},
		[2]string{"received", a.when(m.ReceivedAt)},
		[2]string{"expires", a.when(m.ExpiresAt)},
		[2]string{"reply to", clean(m.ReplyTo)},
		[2]string{"signature", signatureText(m.Signature)},
		[2]string{"subject", clean(m.Subject)},
	))
	if id := groupIn(m); id != "" {
		b.WriteString(fields("", [2]string{"group", clean(id)}, [2]string{"mentions", cleanAll(m.Mentions)}, [2]string{"told by", clean(m.RetoldBy)}))
	}
	b.WriteString(a.reachedText(m, reached))
	if reached == nil {
		for _, device := range sortedKeys(m.PerDevice) {
			b.WriteString("  " + a.deviceReached(m, device, "") + "\n")
		}
	}
	for _, c := range m.Sealed {
		what := "sealed for"
		if m.Direction == client.In {
			what = "opened, of"
		} else if c.Own {
			what = "sealed for your"
		}
		fmt.Fprintf(&b, "  %s device %s  session %s, chain %d, message %d\n", what, clean(c.Device), clean(c.Session), c.Chain, c.Number)
	}
	b.WriteString("\n    " + strings.ReplaceAll(a.bodyText(m), "\n", "\n    ") + "\n")
	return b.String()
}

func nameOf(address, alias string) string {
	if alias == "" {
		return clean(address)
	}
	return clean(alias) + " (" + clean(address) + ")"
}

func trustWord(t client.Trust) string {
	switch t {
	case client.TrustVerified:
		return "verified"
	case client.TrustChanged:
		return "CHANGED"
	case client.TrustFirstUse:
		return "first use"
	}
	return clean(string(t))
}

func unreadWord(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d new", n)
}
