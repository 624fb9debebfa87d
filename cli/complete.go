package cli

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// completePatience bounds what a person waits for who has pressed Tab.
const completePatience = time.Second

// candidates lists what may stand at a place of the command line, after the
// words before it.
type candidates func(ctx context.Context, api client.API, before []string) []string

// completeWords completes the words of a command: each place has its candidates,
// and the last of them also those that follow. A place with nil has none. It asks
// nobody for a passphrase: then there is nothing to complete with.
func (a *app) completeWords(places ...candidates) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, begun string) (found []string, _ cobra.ShellCompDirective) {
		list := places[min(len(args), len(places)-1)]
		if list == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completePatience)
		defer cancel()
		silent := *a.env
		silent.Stderr = io.Discard
		silent.ReadSecret = func(context.Context, string) ([]byte, error) { return nil, ErrNoTerminal }
		b := &app{env: &silent, out: output{env: &silent}, home: a.home, passphraseFile: a.passphraseFile, keyFile: a.keyFile}
		b.with(ctx, func(api client.API) error {
			for _, word := range list(ctx, api, args) {
				if word = clean(word); strings.HasPrefix(word, begun) {
					found = append(found, word)
				}
			}
			return nil
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// groupNames are the groups, each as #name.
func (a *app) groupNames(ctx context.Context, api client.API, _ []string) (names []string) {
	all, _ := api.Groups(ctx)
	for _, g := range all {
		names = append(names, "#"+g.Name)
	}
	return names
}

// people are the contacts, by alias where there is one.
func (a *app) people(ctx context.Context, api client.API, _ []string) (names []string) {
	all, _ := api.Contacts(ctx)
	for _, c := range all {
		if c.Alias != "" {
			names = append(names, c.Alias)
		}
		names = append(names, c.Address)
	}
	return names
}

// memberNames are the members of the group that is the first word.
func (a *app) memberNames(ctx context.Context, api client.API, before []string) (names []string) {
	g, err := api.Group(ctx, before[0])
	if err != nil {
		return nil
	}
	for _, m := range g.Members {
		if !m.You {
			names = append(names, m.Address)
		}
	}
	return names
}

// recipients are people and groups.
func (a *app) recipients(ctx context.Context, api client.API, before []string) []string {
	return append(a.people(ctx, api, before), a.groupNames(ctx, api, before)...)
}
