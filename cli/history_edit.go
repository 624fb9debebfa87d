package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// historyEdit changes what is stored (R-CLI-43).
func (a *app) historyEdit() *cobra.Command {
	var text, from, at, insert string
	var remove bool
	cmd := &cobra.Command{
		Use:   "edit [ID]",
		Short: "change what is stored of a conversation here",
		Long: `Changes the text of a message, who has written it, or its time, deletes it, or inserts one
with --insert RECIPIENT. What stands on a disk proves nothing: whoever has the disk can
write on it, and this makes it easy. The change stays on this device; it goes to nobody and
leaves no mark of its own. A signature of the message goes with the change.

It prints the message as it is then, or as a deleted one was.`,
		Example: `  pawl history edit 4QW6… --text "I never said that"
  pawl history edit 4QW6… --from bob --at 2026-01-31T12:00:00Z
  pawl history edit 4QW6… --delete
  pawl history edit --insert bob --from bob --text "It was me."`,
		Args: words(0, 1, "one ID"),
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		q := client.HistoryEdit{Delete: remove}
		set := cmd.Flags().Changed
		if set("text") {
			q.Text = &text
		}
		if set("from") {
			q.From = &from
		}
		if set("at") {
			t, err := time.Parse(time.RFC3339, at)
			if err != nil {
				return usagef("for example 2026-01-31T12:00:00Z", "--at takes a time, not %q", clean(at))
			}
			q.SentAt = &t
		}
		changes := set("text") || set("from") || set("at")
		switch {
		case (len(args) == 1) == set("insert"):
			return usagef("`pawl history RECIPIENT --json` shows the ids", "name the message to edit, or the conversation with --insert")
		case remove && (changes || set("insert")):
			return usagef("", "--delete goes alone")
		case !remove && !changes:
			return usagef("say --text, --from, --at or --delete", "there is nothing to change")
		case set("insert") && !set("text"):
			return usagef("say it with --text", "a message that is inserted needs a text")
		}
		return a.with(ctx, func(api client.API) error {
			var err error
			if set("insert") {
				if q.With, err = a.resolve(ctx, api, insert); err != nil {
					return err
				}
			} else {
				q.ID = args[0]
			}
			if set("from") {
				if from, err = a.person(ctx, api, from); err != nil {
					return err
				}
			}
			m, err := api.EditHistory(ctx, q)
			if err != nil {
				return err
			}
			a.learn(ctx, api, m)
			return a.out.show(objectOf(m), a.messageText(m))
		})
	})
	cmd.Flags().StringVar(&text, "text", "", "`TEXT` that it is to have")
	cmd.Flags().StringVar(&from, "from", "", "`PERSON` who is to have written it: me, or somebody in the conversation")
	cmd.Flags().StringVar(&at, "at", "", "`TIME` at which it is to have come; it moves to its place")
	cmd.Flags().BoolVar(&remove, "delete", false, "let it be gone")
	cmd.Flags().StringVar(&insert, "insert", "", "insert a message into the conversation with `RECIPIENT`")
	return cmd
}
