package cli

import (
	"context"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// labels are what the screens of one run call this account and its groups.
type labels struct {
	me     string
	groups map[string]string // id → name as it is shown
	words  map[string]string // id → the word for a command line, quoted
}

// isGroup reports whether a conversation is a group.
func isGroup(conversation string) bool { return strings.HasPrefix(conversation, "#") }

// groupIn is the group that an entry of a conversation belongs to, or empty.
func groupIn(m client.Message) string {
	if m.Group == "" && isGroup(m.Conversation) {
		return m.Conversation
	}
	return m.Group
}

// learn makes sure that the groups of these messages have names. A name is only
// for the eye: where none is known the id serves.
func (a *app) learn(ctx context.Context, api client.API, list ...client.Message) {
	for _, m := range list {
		id := groupIn(m)
		if _, known := a.labels.groups[id]; id == "" || known && m.Notice != client.NoticeGroupRenamed {
			continue
		}
		a.learnGroups(ctx, api)
		if _, known := a.labels.groups[id]; !known {
			a.labels.groups[id] = clean(id)
		}
	}
}

// learnGroups reads the names of all groups. Two groups of one name are told
// apart by the beginnings of their ids.
func (a *app) learnGroups(ctx context.Context, api client.API) {
	groups, _ := api.Groups(ctx)
	names := map[string]int{}
	for _, g := range groups {
		names[g.Name]++
	}
	if a.labels.groups == nil {
		a.labels.groups, a.labels.words = map[string]string{}, map[string]string{}
	}
	for _, g := range groups {
		label := "#" + clean(g.Name)
		if names[g.Name] > 1 || strings.TrimSpace(g.Name) == "" {
			label += " (" + clean(shortID(g.ID)) + ")"
		}
		a.labels.groups[g.ID] = label
		if word := "#" + g.Name; label == word {
			a.labels.words[g.ID] = shellWord(word)
		} else {
			delete(a.labels.words, g.ID)
		}
	}
}

// shortID is the beginning of a group's id, which names it as well while no
// other begins so.
func shortID(id string) string { return id[:min(len(id), 9)] }

// word is what a person writes in a command to mean a group.
func (a *app) word(id string) string {
	if word := a.labels.words[id]; word != "" {
		return word
	}
	return shellWord(clean(id))
}

// called is what a person, or a group, is called on a screen. It is clean.
func (a *app) called(who string) string {
	if label := a.labels.groups[who]; label != "" {
		return label
	}
	return clean(who)
}

// you is called, in the second person for this account.
func (a *app) you(who string) string {
	if who != "" && who == a.labels.me {
		return "you"
	}
	return a.called(who)
}

// sender is who a message came from. What has become of a group comes from the
// group: its words say who did it.
func (a *app) sender(m client.Message) string {
	if id := groupIn(m); id != "" && m.Kind == client.KindNotice {
		return a.called(id)
	}
	return clean(m.From)
}
