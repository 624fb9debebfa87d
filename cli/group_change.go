package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// change makes one change to a group and prints it as it is afterwards, for
// people as said.
func (a *app) change(ctx context.Context, api client.API, g client.Group, c client.GroupChange, said string) error {
	end := a.watchStep(ctx, pendingOf(api, g.ID))
	after, err := api.ChangeGroup(ctx, g.ID, c)
	end()
	if errors.Is(err, client.ErrNothingToChange) && !errors.Is(err, client.ErrGroupChanged) {
		return a.soAlready(g, "that is so already")
	}
	if err != nil {
		return underWay(after, err)
	}
	return a.out.show(groupOf(after), said+"\n")
}

// soAlready prints a group that is as it was asked to become.
func (a *app) soAlready(g client.Group, remark string) error {
	if a.out.json {
		return a.out.object(groupOf(g))
	}
	a.out.note("nothing was changed; %s", remark)
	return nil
}

func (a *app) groupAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add '#NAME' MEMBER…", Short: "add members to a group",
		Long: `Adds people to a group, also those who have asked for it with a link. They read what is
said from now on; what was said before they are told only if the group's policy opens its
history. Admins may add, and everybody where the policy says so.`,
		Example: "  pawl group add '#rowing' dave erin@chat.example.org",
		Args:    groupWords(2, -1, "a '#NAME' and a MEMBER"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				who, err := a.everybody(ctx, api, args[1:])
				if err != nil {
					return err
				}
				there := func(address string) bool {
					return slices.ContainsFunc(g.Members, func(m client.GroupMember) bool { return m.Address == address })
				}
				if slices.ContainsFunc(who, there) && api.Sync(ctx) == nil { // by the newest roster
					if now, err := api.Group(ctx, g.ID); err == nil {
						g = now
					}
				}
				members := slices.DeleteFunc(slices.Clone(who), func(address string) bool { return !there(address) })
				if who = slices.DeleteFunc(who, there); len(who) == 0 {
					return a.soAlready(g, "in "+a.called(g.ID)+" already: "+cleanAll(members))
				}
				if len(members) > 0 {
					a.out.note("in %s already: %s", a.called(g.ID), cleanAll(members))
				}
				return a.change(ctx, api, g, client.GroupChange{Add: who}, fmt.Sprintf("added %s to %s", cleanAll(who), a.called(g.ID)))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames, a.people),
	}
}

func (a *app) groupRemove() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove '#NAME' MEMBER…", Aliases: []string{"rm"}, Short: "remove members from a group",
		Long: `Removes members from a group and replaces everybody's keys in the same step: with all
that they have, they open nothing that is said afterwards. What they have read stays with
them. Only admins may; pawl group leave is for oneself.

A terminal asks first, unless --yes.`,
		Example: "  pawl group remove '#rowing' carol\n  pawl group remove '#rowing' carol --yes",
		Args:    groupWords(2, -1, "a '#NAME' and a MEMBER"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				who, err := a.members(ctx, api, &g, args[1:])
				if err != nil {
					return err
				}
				if slices.Contains(who, a.labels.me) {
					return usagef("`pawl group leave` is for that", "nobody removes themselves")
				}
				if err := a.sure(ctx, yes, fmt.Sprintf("Remove %s from %s?", cleanAll(who), a.called(g.ID))); err != nil {
					return err
				}
				return a.change(ctx, api, g, client.GroupChange{Remove: who}, fmt.Sprintf("removed %s from %s; everybody else has new keys", cleanAll(who), a.called(g.ID)))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames, a.memberNames),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// sure asks on a terminal whether something is meant. Without one nobody is
// asked: what is done to a group can be undone by its admins (R-CLI-32).
func (a *app) sure(ctx context.Context, yes bool, question string) error {
	if yes || a.out.json || !a.env.StdinTerminal() || !a.env.StderrTerminal() {
		return nil
	}
	return a.confirm(ctx, question, "", "")
}

func (a *app) groupLeave() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "leave '#NAME'", Short: "leave a group",
		Long: `Leaves a group. Its history stays here; what is said from then on does not come. When the
last admin leaves, the member of longest standing becomes one.

A terminal asks first, unless --yes.`,
		Example: "  pawl group leave '#rowing'",
		Args:    groupWords(1, 1, "one '#NAME'"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				if err := a.sure(ctx, yes, fmt.Sprintf("Leave %s? Only its members can let you in again.", a.called(g.ID))); err != nil {
					return err
				}
				end := a.watchStep(ctx, pendingOf(api, g.ID))
				after, err := api.LeaveGroup(ctx, g.ID)
				end()
				if err != nil {
					return underWay(after, err)
				}
				return a.out.show(groupOf(after), fmt.Sprintf("left %s; its history stays\n", a.called(g.ID)))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames, nil),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) groupRole() *cobra.Command {
	roles := []string{string(client.GroupMemberRole), string(client.GroupAdminRole)}
	return &cobra.Command{
		Use: "role '#NAME' MEMBER member|admin", Short: "say who is an admin of a group",
		Long: `Makes a member an admin, or an admin a plain member. Admins add and remove members, give
roles, and change the name and the policy. A group has at least one.`,
		Example: "  pawl group role '#rowing' bob admin\n  pawl group role '#rowing' bob member",
		Args:    groupWords(3, 3, "a '#NAME', a MEMBER and member or admin"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if !slices.Contains(roles, args[2]) {
				return usagef("", "a role is %s, not %q", strings.Join(roles, " or "), clean(args[2]))
			}
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				who, err := a.members(ctx, api, &g, args[1:2])
				if err != nil {
					return err
				}
				return a.change(ctx, api, g, client.GroupChange{Member: who[0], Role: client.GroupRole(args[2])},
					fmt.Sprintf("%s: %s in %s", clean(who[0]), args[2], a.called(g.ID)))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames, a.memberNames, func(context.Context, client.API, []string) []string { return roles }),
	}
}

func (a *app) groupRename() *cobra.Command {
	return &cobra.Command{
		Use: "rename '#NAME' NEW", Short: "give a group another name",
		Long:    "Gives a group another name, for all its members. Only admins may.",
		Example: "  pawl group rename '#rowing' 'rowing 2027'",
		Args:    groupWords(2, 2, "a '#NAME' and a NEW name"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			name := strings.TrimPrefix(args[1], "#")
			if strings.TrimSpace(name) == "" {
				return usagef("is a variable of the shell empty?", "the new name is empty")
			}
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				return a.change(ctx, api, g, client.GroupChange{Name: name}, fmt.Sprintf("%s is #%s now", a.called(g.ID), clean(name)))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames),
	}
}

func (a *app) groupPolicy() *cobra.Command {
	var add, open string
	cmd := &cobra.Command{
		Use: "policy '#NAME'", Short: "show or change what the members agreed to",
		Long: `Shows the policy of a group, or changes it. Only admins may change it.

--add-by-members: everybody may add members, not only admins.

--open-history: whoever adds somebody also tells them what was said before, as far as they
have it. It is marked as retold: that it was said is their word.`,
		Example: "  pawl group policy '#rowing'\n  pawl group policy '#rowing' --add-by-members --open-history=off",
		Args:    groupWords(1, 1, "one '#NAME'"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			byMembers, err := switched("add-by-members", add)
			if err != nil {
				return err
			}
			opened, err := switched("open-history", open)
			if err != nil {
				return err
			}
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				if byMembers == nil && opened == nil {
					return a.out.show(groupOf(g), policyFields(g.Policy))
				}
				policy := g.Policy
				if byMembers != nil {
					policy.AddByMembers = *byMembers
				}
				if opened != nil {
					policy.OpenHistory = *opened
				}
				return a.change(ctx, api, g, client.GroupChange{Policy: &policy}, strings.TrimSuffix(policyFields(policy), "\n"))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames),
	}
	for name, value := range map[string]*string{"add-by-members": &add, "open-history": &open} {
		usage := map[string]string{"add-by-members": "`on|off`: everybody may add members", "open-history": "`on|off`: new members are told what was said before"}[name]
		cmd.Flags().StringVar(value, name, "", usage)
		cmd.Flags().Lookup(name).NoOptDefVal = "on"
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions([]string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

// switched reads a flag that is on, off or not given.
func switched(flag, value string) (*bool, error) {
	on := false
	switch strings.ToLower(value) {
	case "":
		return nil, nil
	case "on", "true", "yes":
		on = true
	case "off", "false", "no":
	default:
		return nil, usagef("", "--%s takes on or off, not %q", flag, clean(value))
	}
	return &on, nil
}

func policyFields(p client.GroupPolicy) string {
	return fields("", [2]string{"add-by-members", onOff(p.AddByMembers)}, [2]string{"open-history", onOff(p.OpenHistory)})
}

func (a *app) groupRekey() *cobra.Command {
	return &cobra.Command{
		Use: "rekey '#NAME'", Short: "replace everybody's keys now",
		Long: `Replaces the keys of everybody in a group, as removing a member does. pawl does that by
itself once a week, after 1 000 messages, and when a member's devices change; do it when
you think that somebody has a copy of a member's keys.`,
		Example: "  pawl group rekey '#rowing'",
		Args:    groupWords(1, 1, "one '#NAME'"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.onGroup(ctx, args[0], func(api client.API, g client.Group) error {
				return a.change(ctx, api, g, client.GroupChange{Rekey: true}, fmt.Sprintf("everybody in %s has new keys", a.called(g.ID)))
			})
		}),
		ValidArgsFunction: a.completeWords(a.groupNames),
	}
}

// members finds the members of g that the words mean. When one is not known the
// roster may be old, so it is taken anew once.
func (a *app) members(ctx context.Context, api client.API, g *client.Group, words []string) ([]string, error) {
	list := []string{}
	for _, word := range words {
		who, err := a.member(ctx, api, *g, word)
		if errors.Is(err, client.ErrUnknownRecipient) && api.Sync(ctx) == nil {
			if now, again := api.Group(ctx, g.ID); again == nil {
				*g = now
				who, err = a.member(ctx, api, *g, word)
			}
		}
		if err != nil {
			return nil, err
		}
		list = append(list, who)
	}
	return list, nil
}

// member finds the one member that a word means.
func (a *app) member(ctx context.Context, api client.API, g client.Group, word string) (string, error) {
	found := membersCalled(g, word, a.aliases(ctx, api))
	switch len(found) {
	case 0:
		return "", &failure{
			err: client.ErrUnknownRecipient, message: fmt.Sprintf("nobody in %s is called %q", a.called(g.ID), clean(word)),
			hint: fmt.Sprintf("`pawl group show %s` shows the members", a.word(g.ID)),
		}
	case 1:
		return found[0], nil
	}
	return a.which(ctx, api, "", &client.AmbiguousError{Word: word, Candidates: found})
}

// aliases are the names that this account has for people.
func (a *app) aliases(ctx context.Context, api client.API) map[string]string {
	names := map[string]string{}
	contacts, _ := api.Contacts(ctx)
	for _, c := range contacts {
		if c.Alias != "" {
			names[strings.ToLower(c.Alias)] = c.Address
		}
	}
	return names
}

// membersCalled lists the members that a word may mean: by address, by alias, or
// by the name before the @. The first of these that anybody answers to decides.
func membersCalled(g client.Group, word string, aliases map[string]string) (found []string) {
	word = strings.ToLower(word)
	for _, fits := range []func(client.GroupMember) bool{
		func(m client.GroupMember) bool { return m.Address == word },
		func(m client.GroupMember) bool { return word != "" && aliases[word] == m.Address },
		func(m client.GroupMember) bool { return m.You && word == "me" },
		func(m client.GroupMember) bool { name, _, _ := strings.Cut(m.Address, "@"); return name == word },
	} {
		for _, m := range g.Members {
			if fits(m) {
				found = append(found, m.Address)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// cleanAll lists names in a sentence.
func cleanAll(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = clean(n)
	}
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	return strings.Join(list, "")
}
