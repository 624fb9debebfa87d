package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// groupInvite makes a link that has to be answered (R-CLI-39).
func (a *app) groupInvite() *cobra.Command {
	return &cobra.Command{
		Use: "invite '#NAME'", Short: "make a link with which people ask to be let in",
		Long: `Prints a link, and on a terminal also a QR code. Whoever runs pawl group join with it asks
you to be let in; the link alone lets nobody in. pawl group show lists who asks, and
pawl group add lets them in, after you have seen to it that they are who they say.

It takes the right to add members.`,
		Example: "  pawl group invite '#rowing'\n  pawl group invite '#rowing' --json | jq -r .link",
		Args:    groupWords(1, 1, "one '#NAME'"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				link, err := api.GroupInvite(ctx, g.ID)
				if err != nil {
					return err
				}
				text := clean(link) + "\n"
				if a.env.StdoutTerminal() {
					text += "\n" + qrText(link, a.out.out())
				}
				if err := a.out.show(groupInviteObject{head("group_invite"), g.ID, link}, text); err != nil {
					return err
				}
				if !a.out.json {
					a.out.note("who asks with it is listed by `pawl group show %s`", a.word(g.ID))
					a.out.note("let them in with `pawl group add %s WHO`", a.word(g.ID))
				}
				return nil
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames),
	}
}

func (a *app) groupJoin() *cobra.Command {
	return &cobra.Command{
		Use: "join LINK", Short: "ask to be let into a group",
		Long: `Asks the admin who made the link to add you. The group appears here when they have, with
the next pawl recv. LINK may be -, then it is read from standard input.`,
		Example: "  pawl group join 'pawl://…'\n  pawl group join - < link.txt",
		Args:    words(1, 1, "one LINK"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			link, err := a.uriOf(args[0], "`pawl group invite` prints one", client.ErrGroupInvite)
			if err != nil {
				return err
			}
			return a.with(ctx, func(api client.API) error {
				r, err := api.JoinGroup(ctx, link)
				if err != nil {
					return err
				}
				return a.out.show(groupJoinObject{head("group_join"), r.Group, r.Asked},
					fmt.Sprintf("asked %s to let you in; the group appears when they have\n", clean(r.Asked)))
			})
		}),
	}
}
