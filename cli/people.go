package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (a *app) verify() *cobra.Command {
	var confirm, untrust bool
	cmd := &cobra.Command{
		Use:     "verify RECIPIENT",
		Short:   "compare safety numbers",
		GroupID: groupPeople,
		Long: `Prints the safety number of you and RECIPIENT. Both of you see the same 60 digits and
the same QR code when nobody stands between you; compare them in person or in a call,
then say --confirm. --confirm also accepts an identity that has changed.`,
		Example: `  pawl verify bob
  pawl verify bob --confirm
  pawl verify bob --untrust
  pawl verify bob --json | jq -r .digits`,
		Args: words(1, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if confirm && untrust {
				return usagef("", "--confirm and --untrust exclude each other")
			}
			return a.with(ctx, func(api client.API) error {
				peer, err := a.person(ctx, api, args[0])
				if err != nil {
					return err
				}
				if confirm {
					err = api.Confirm(ctx, peer)
				} else if untrust {
					err = api.Untrust(ctx, peer)
				}
				if err != nil {
					return err
				}
				number, err := api.SafetyNumber(ctx, peer)
				if err != nil {
					return err
				}
				if confirm || untrust {
					return a.out.show(safetyNumberOf(number), fmt.Sprintf("%s is now: %s\n", clean(number.Peer), trustText(number.Trust)))
				}
				return a.out.show(safetyNumberOf(number), a.safetyText(number))
			})
		}),
	}
	cmd.Flags().BoolVar(&confirm, "confirm", false, "the numbers were compared and agree; also accepts a changed identity")
	cmd.Flags().BoolVar(&untrust, "untrust", false, "take a confirmation back")
	return cmd
}

func trustText(t client.Trust) string {
	switch t {
	case client.TrustFirstUse:
		return "trusted on first use, not yet compared"
	case client.TrustVerified:
		return "verified"
	case client.TrustChanged:
		return "CHANGED: another identity was seen; nothing is sent until you confirm"
	}
	return clean(string(t))
}

func (a *app) safetyText(n client.SafetyNumber) string {
	ink := a.out.out()
	var b strings.Builder
	fmt.Fprintf(&b, "Safety number with %s\n\n", ink.bold(plain, clean(n.Peer)))
	groups := fives(clean(n.Digits))
	for len(groups) > 0 {
		line := groups[:min(4, len(groups))]
		groups = groups[len(line):]
		fmt.Fprintf(&b, "    %s\n", ink.bold(plain, strings.Join(line, " ")))
	}
	b.WriteString("\n" + qrText(n.QR, ink) + "\n")
	state := trustText(n.Trust)
	if n.Trust == client.TrustChanged {
		state = ink.bold(red, state)
	}
	b.WriteString("State: " + state + "\n")
	return b.String()
}

func (a *app) contact() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "list the contacts",
		Long:    "Lists everybody whose identity is pinned here.",
		Example: "  pawl contact list\n  pawl contact list --json | jq -r .address",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				all, err := api.Contacts(ctx)
				if err != nil {
					return err
				}
				if a.out.json {
					return printObjects(a, all, contactOf)
				}
				var rows [][]string
				for _, c := range all {
					rows = append(rows, []string{nameOf(c.Address, c.Alias), trustWord(c.Trust), clean(c.Identity)})
				}
				if len(rows) == 0 {
					a.out.note("there are no contacts yet")
				}
				return a.out.text(table(a.env.Width(), rows))
			})
		}),
	}
	show := &cobra.Command{
		Use: "show RECIPIENT", Short: "show a contact and its devices",
		Long:    "Shows a contact and its devices. Somebody new is looked up at the server and pinned.",
		Example: "  pawl contact show bob@localhost",
		Args:    words(1, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.onContact(ctx, args[0], nil)
		}),
	}
	alias := &cobra.Command{
		Use: "alias RECIPIENT ALIAS", Short: "give a contact a name of your own",
		Long:    "Gives a contact a short name that works wherever a RECIPIENT is expected. An empty\nname takes it away. Nobody else sees it.",
		Example: "  pawl contact alias robert@chat.example.org bob\n  pawl contact alias bob ''",
		Args:    words(2, 2, "a RECIPIENT and an ALIAS"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.onContact(ctx, args[0], func(api client.API, who string) error { return api.SetAlias(ctx, who, args[1]) })
		}),
	}
	remove := &cobra.Command{
		Use: "remove RECIPIENT", Aliases: []string{"rm"}, Short: "forget a contact",
		Long:    "Forgets a contact and the identity that was pinned. When you meet again it counts as\nthe first time, without a warning if the identity has changed meanwhile.",
		Example: "  pawl contact remove bob",
		Args:    words(1, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				who, err := a.person(ctx, api, args[0])
				if err != nil {
					return err
				}
				known, err := api.Contacts(ctx)
				if err != nil {
					return err
				}
				i := slices.IndexFunc(known, func(c client.Contact) bool { return c.Address == who })
				if i < 0 {
					return fmt.Errorf("%w among the contacts", client.ErrUnknownRecipient)
				}
				if err := api.RemoveContact(ctx, who); err != nil {
					return err
				}
				object := contactOf(known[i])
				object.Removed = true
				return a.out.show(object, "removed "+clean(who)+"\n")
			})
		}),
	}
	return a.noun(&cobra.Command{
		Use:     "contact",
		Short:   "list, show, name and forget people",
		GroupID: groupPeople,
		Example: "  pawl contact list\n  pawl contact show bob\n  pawl contact alias robert@chat.example.org bob\n  pawl contact remove bob",
	}, list, show, alias, remove)
}

// onContact does something to a contact and prints it as it is afterwards.
func (a *app) onContact(ctx context.Context, word string, do func(client.API, string) error) error {
	return a.with(ctx, func(api client.API) error {
		who, err := a.person(ctx, api, word)
		if err != nil {
			return err
		}
		if do != nil {
			if err := do(api, who); err != nil {
				return err
			}
		}
		c, err := api.Contact(ctx, who)
		if err != nil {
			return err
		}
		return a.out.show(contactOf(c), a.contactText(c))
	})
}

func (a *app) contactText(c client.Contact) string {
	s := a.out.out().bold(plain, clean(c.Address)) + "\n" + fields("  ",
		[2]string{"alias", clean(c.Alias)},
		[2]string{"trust", trustText(c.Trust)},
		[2]string{"identity", clean(c.Identity)},
		[2]string{"new identity", clean(c.Pending)},
		[2]string{"first seen", a.when(c.FirstSeen)},
	)
	for _, d := range c.Devices {
		state := "since " + a.when(d.AddedAt)
		if d.Revoked {
			state = "revoked"
		}
		s += fmt.Sprintf("  device %s  %s\n", deviceText(d.ID, d.Name), state)
	}
	return s
}
