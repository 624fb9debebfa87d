package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// resolve finds the address that a RECIPIENT means. When it could be several
// people it asks on a terminal; else the error lists them.
func (a *app) resolve(ctx context.Context, api client.API, word string) (string, error) {
	if strings.TrimSpace(word) == "" {
		return "", usagef("is a variable of the shell empty?", "the RECIPIENT is empty")
	}
	address, err := api.Resolve(ctx, word)
	var ambiguous *client.AmbiguousError
	if !errors.As(err, &ambiguous) || a.out.json || !a.env.StdinTerminal() || !a.env.StderrTerminal() {
		return address, err
	}
	for i, c := range ambiguous.Candidates {
		fmt.Fprintf(a.env.Stderr, "  %d  %s\n", i+1, clean(c))
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
