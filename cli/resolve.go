package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// resolve finds the conversation that a RECIPIENT means (R-CLI-31): an address, or a
// group's id. When it could be several it asks on a terminal; else the error
// lists them. A group that is not known here may be waiting at the server
// (R-CLI-33).
func (a *app) resolve(ctx context.Context, api client.API, word string) (string, error) {
	if strings.TrimSpace(word) == "" {
		return "", usagef("is a variable of the shell empty?", "the RECIPIENT is empty")
	}
	address, err := api.Resolve(ctx, word)
	if errors.Is(err, client.ErrUnknownGroup) && api.Sync(ctx) == nil {
		address, err = api.Resolve(ctx, word)
	}
	return a.which(ctx, api, address, err)
}

// person is resolve where a group has no business.
func (a *app) person(ctx context.Context, api client.API, word string) (string, error) {
	address, err := a.resolve(ctx, api, word)
	if err == nil && isGroup(address) {
		a.learnGroups(ctx, api)
		return "", usagef(fmt.Sprintf("`pawl group show %s` shows who is in it", a.word(address)), "%s is a group, and this is about one person", a.called(address))
	}
	return address, err
}

// which asks the person on a terminal who was meant, if that is what err is
// about.
func (a *app) which(ctx context.Context, api client.API, found string, err error) (string, error) {
	var ambiguous *client.AmbiguousError
	if !errors.As(err, &ambiguous) || a.out.json || !a.env.StdinTerminal() || !a.env.StderrTerminal() {
		return found, err
	}
	for i, c := range ambiguous.Candidates {
		fmt.Fprintf(a.env.Stderr, "  %d  %s\n", i+1, a.candidate(ctx, api, c))
	}
	for range promptTries {
		answer, asked := a.env.ReadLine(ctx, fmt.Sprintf("which one, 1 to %d? ", len(ambiguous.Candidates)))
		if asked != nil {
			break
		}
		if n, bad := strconv.Atoi(strings.TrimSpace(answer)); bad == nil && n >= 1 && n <= len(ambiguous.Candidates) {
			return ambiguous.Candidates[n-1], nil
		}
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return "", err
}

// candidate says enough of somebody, or of a group, to choose.
func (a *app) candidate(ctx context.Context, api client.API, who string) string {
	if isGroup(who) {
		if g, err := api.Group(ctx, who); err == nil {
			return fmt.Sprintf("%s  #%s, %s", clean(who), clean(g.Name), count(len(g.Members), "member"))
		}
	}
	return clean(who)
}
