package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// maxMentions is how many members a message may mention. Words of the text past
// that are only words.
const maxMentions = 32

// mentioned finds words that begin with @ and may name somebody: not those in
// the middle of a word, as in an address. What ends a sentence is no part of a
// name.
var mentioned = regexp.MustCompile(`(?:^|[^\pL\pN@._+-])@([\pL\pN][\pL\pN@._+:-]*)`)

// mentions finds whom a text to a group mentions (R-CLI-37): the members that
// --mention names, which have to be members, and those that words such as @alice
// name, which may also be just words.
func (a *app) mentions(ctx context.Context, api client.API, to, text string, named []string) ([]string, error) {
	if !isGroup(to) {
		if len(named) > 0 {
			return nil, usagef("it is for groups: `pawl send '#group' --mention WHO`", "--mention has nobody to tell between two people")
		}
		return nil, nil
	}
	written := mentioned.FindAllStringSubmatch(text, -1)
	if len(named)+len(written) == 0 {
		return nil, nil
	}
	g, err := api.Group(ctx, to)
	if err != nil {
		return nil, err
	}
	a.learnGroups(ctx, api)
	list, err := a.members(ctx, api, &g, named)
	if err != nil {
		return nil, err
	}
	aliases := a.aliases(ctx, api)
	for _, word := range written {
		for name := word[1]; name != "" && len(list) < maxMentions; {
			if found := membersCalled(g, name, aliases); len(found) == 1 {
				list = append(list, found[0])
				break
			}
			shorter := strings.TrimRight(name, "@._+:-")
			if shorter == name {
				break
			}
			name = shorter
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// mentionText says that a message mentions its reader.
func (a *app) mentionText(m client.Message) string {
	if m.Direction == client.In && slices.Contains(m.Mentions, a.labels.me) {
		return a.out.out().bold(yellow, " (mentions you)")
	}
	return ""
}

// retoldText says that somebody else has told of a message.
func (a *app) retoldText(m client.Message) string {
	if m.RetoldBy == "" {
		return ""
	}
	return fmt.Sprintf(" (as %s tells it)", a.you(m.RetoldBy))
}
