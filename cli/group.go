package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) group() *cobra.Command {
	return a.noun(&cobra.Command{
		Use:     "group",
		Short:   "make groups, and say who is in them",
		GroupID: groupPeople,
		Long: `A group is a conversation of many. Its roster, which says who is in it and who may do
what, is kept by its members together: the server stores it and cannot read it. Whoever
leaves or is removed has keys to nothing that is said afterwards, and whoever is added
has none to what was said before.

A group is named by # and its name, or by its id. Quote it, for a shell takes # as the
beginning of a comment.`,
		Example: "  pawl group create rowing bob carol\n  pawl send '#rowing' 'The boat is ready.'\n  pawl group show '#rowing'\n  pawl group remove '#rowing' carol",
	}, a.groupCreate(), a.groupList(), a.groupShow(), a.groupAdd(), a.groupRemove(), a.groupLeave(), a.groupRole(), a.groupRename(),
		a.groupPolicy(), a.groupRekey(), a.groupInvite(), a.groupJoin())
}

// groupWords is words for commands whose first word is a group: when it is
// missing it may have been a comment to the shell.
func groupWords(least, most int, what string) cobra.PositionalArgs {
	check := words(least, most, what)
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if f := (*failure)(nil); len(args) < least && errors.As(err, &f) {
			f.hint += "; " + quoteHint
		}
		return err
	}
}

const quoteHint = "quote a '#group', for a shell takes # as the beginning of a comment"

// findGroup finds the group that a word means, in the way of resolve.
func (a *app) findGroup(ctx context.Context, api client.API, word string) (client.Group, error) {
	if strings.Trim(word, "# ") == "" {
		return client.Group{}, usagef("is a variable of the shell empty?", "the name of the group is empty")
	}
	g, err := api.Group(ctx, word)
	if errors.Is(err, client.ErrUnknownGroup) && api.Sync(ctx) == nil { // R-CLI-33
		g, err = api.Group(ctx, word)
	}
	var ambiguous *client.AmbiguousError
	if errors.As(err, &ambiguous) {
		var id string
		if id, err = a.which(ctx, api, "", err); err == nil {
			g, err = api.Group(ctx, id)
		}
	}
	if err == nil {
		a.learnGroups(ctx, api)
	}
	return g, err
}

// onGroup runs do on the group that a word means.
func (a *app) onGroup(ctx context.Context, word string, do func(client.API, client.Group) error) error {
	return a.with(ctx, func(api client.API) error {
		g, err := a.findGroup(ctx, api, word)
		if err != nil {
			return err
		}
		return do(api, g)
	})
}

// everybody resolves the people that are to be members. Nothing is done before
// all of them are known.
func (a *app) everybody(ctx context.Context, api client.API, words []string) ([]string, error) {
	list := []string{}
	for _, word := range words {
		who, err := a.person(ctx, api, word)
		var f *failure
		switch {
		case errors.Is(err, client.ErrUnknownRecipient) && !errors.As(err, &f):
			return nil, &failure{err: err, message: fmt.Sprintf("%s: %s", clean(word), tidy(err.Error()))}
		case err != nil:
			return nil, err
		case who == a.labels.me:
			return nil, usagef("name the others", "you are a member yourself")
		}
		list = append(list, who)
	}
	return list, nil
}

func (a *app) groupCreate() *cobra.Command {
	return &cobra.Command{
		Use: "create NAME [MEMBER…]", Short: "make a group",
		Long: `Makes a group of you and the MEMBERs, with you as its admin. It is ready when every
device of theirs was sent the keys; with many of them a terminal shows how far that is.
More can be added later.`,
		Example: "  pawl group create rowing bob carol@chat.example.org\n  pawl group create rowing bob --json | jq -r .id",
		Args:    words(1, -1, "a NAME"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			name := strings.TrimPrefix(args[0], "#")
			if strings.TrimSpace(name) == "" {
				return usagef("is a variable of the shell empty?", "the name of the group is empty")
			}
			return a.with(ctx, func(api client.API) error {
				members, err := a.everybody(ctx, api, args[1:])
				if err != nil {
					return err
				}
				end := a.watchStep(ctx, func(ctx context.Context) (step *client.GroupStep) {
					all, _ := api.Groups(ctx)
					for _, g := range all {
						if g.Name == name && g.Pending != nil {
							step = g.Pending
						}
					}
					return step
				})
				g, err := api.CreateGroup(ctx, name, members)
				end()
				if err != nil {
					return underWay(g, err)
				}
				a.learnGroups(ctx, api)
				return a.out.show(groupOf(g), fmt.Sprintf("made %s  %s  %s\n", a.called(g.ID), clean(g.ID), count(len(g.Members), "member")))
			})
		}),
		ValidArgsFunction: a.completeWords(nil, a.people),
	}
}

// underWay tells of a change that was cut short and goes on by itself: to say it
// again would do it twice (R-CLI-34).
func underWay(g client.Group, err error) error {
	if g.Pending == nil || !errors.Is(err, client.ErrUnreachable) {
		return err
	}
	return &failure{
		err: errQueued, kept: true,
		message: fmt.Sprintf("the server cannot be reached; what was asked of the group is kept and goes on by itself (%s)", clean(g.Pending.What)),
		hint:    fmt.Sprintf("nothing needs to be said again; `pawl group show '%s'` tells how far it is", clean(g.ID)),
	}
}

// refresh takes what waits at the server, so that a group is shown as it is now.
// What is stored is shown all the same when the server cannot say (R-CLI-33).
func (a *app) refresh(ctx context.Context, api client.API, offline bool) error {
	if offline {
		return nil
	}
	err := api.Sync(ctx)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		a.out.note("shown as last known: %s", clean(tidy(err.Error())))
	}
	return nil
}

func (a *app) groupList() *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "list the groups",
		Long:    "Lists the groups of this device, those that you have left included.",
		Example: "  pawl group list\n  pawl group list --json | jq -r 'select(.mine != \"\").name'",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				if err := a.refresh(ctx, api, offline); err != nil {
					return err
				}
				all, err := api.Groups(ctx)
				if err != nil {
					return err
				}
				if a.out.json {
					return printObjects(a, all, groupOf)
				}
				a.learnGroups(ctx, api)
				var rows [][]string
				for _, g := range all {
					rows = append(rows, []string{a.called(g.ID), mineWord(g), count(len(g.Members), "member"), "epoch " + fmt.Sprint(g.Epoch), a.attention(g)})
				}
				if len(rows) == 0 {
					a.out.note("there are no groups yet; `pawl group create NAME MEMBER` makes one")
				}
				return a.out.text(table(a.env.Width(), rows))
			})
		}),
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the server first")
	return cmd
}

func mineWord(g client.Group) string {
	if g.Mine == "" {
		return "no member"
	}
	return clean(string(g.Mine))
}

// attention is what a person should look at in a group, in a few words.
func (a *app) attention(g client.Group) string {
	var list []string
	if g.Alarm != nil {
		list = append(list, "ALARM: rosters differ")
	}
	if n := len(g.Requests); n == 1 {
		list = append(list, "1 asks to be let in")
	} else if n > 1 {
		list = append(list, fmt.Sprintf("%d ask to be let in", n))
	}
	if g.Pending != nil {
		list = append(list, stepText(*g.Pending))
	}
	return strings.Join(list, ", ")
}

func (a *app) groupShow() *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use: "show '#NAME'", Short: "show a group: who, which devices, how safe",
		Long: `Shows who is in a group and as what, whose identity is verified, which of their devices
have the present key of this one, when everybody's keys were last replaced, who asks to
be let in, and whether members were shown different rosters.

All members see the same head. Who wants to be sure that all see the same roster compares
it, or relies on the comparison that is part of every message.`,
		Example: "  pawl group show '#rowing'\n  pawl group show '#rowing' --json | jq -r '.members[].address'",
		Args:    groupWords(1, 1, "one '#NAME'"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				if err := a.refresh(ctx, api, offline); err != nil {
					return err
				}
				g, err := a.findGroup(ctx, api, args[0])
				if err != nil {
					return err
				}
				return a.out.show(groupOf(g), a.groupText(g))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames, nil),
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the server first")
	return cmd
}
