package cli

import (
	"fmt"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// groupNotice says in words what has become of a group (R-CLI-38). It is clean.
func (a *app) groupNotice(m client.Message) string {
	group, word := a.called(groupIn(m)), a.word(groupIn(m))
	by, has, about := a.you(m.From), "has", a.listed(m.Text)
	if by == "you" {
		has = "have"
	}
	if m.From == "" {
		by = "somebody"
	}
	switch m.Notice {
	case client.NoticeBadSignature:
		return fmt.Sprintf("a message of %s in %s came with a signature that does not hold; it is shown as one without", by, group)
	case client.NoticeGroupCreated:
		return fmt.Sprintf("%s %s made the group %s", by, has, group)
	case client.NoticeGroupAdded:
		return fmt.Sprintf("%s %s added %s to %s", by, has, about, group)
	case client.NoticeGroupRemoved:
		if a.labels.me != "" && m.Text == a.labels.me {
			return fmt.Sprintf("%s %s removed you from %s; what is said there from now on does not come here", by, has, group)
		}
		return fmt.Sprintf("%s %s removed %s from %s; everybody else has new keys", by, has, about, group)
	case client.NoticeGroupLeft:
		return fmt.Sprintf("%s %s left %s; everybody else gets new keys before the next message", by, has, group)
	case client.NoticeGroupRole:
		if who, role, ok := strings.Cut(m.Text, ": "); ok && (role == string(client.GroupAdminRole) || role == string(client.GroupMemberRole)) {
			return fmt.Sprintf("%s %s made %s %s of %s", by, has, a.you(who), map[string]string{"admin": "an admin", "member": "a plain member"}[role], group)
		}
		return fmt.Sprintf("%s %s changed the role of %s in %s", by, has, about, group)
	case client.NoticeGroupRenamed:
		return fmt.Sprintf("%s %s renamed a group; it is #%s now", by, has, clean(m.Text))
	case client.NoticeGroupPolicy:
		return fmt.Sprintf("%s %s changed the policy of %s; `pawl group policy %s` shows it", by, has, group, word)
	case client.NoticeGroupRekeyed:
		return fmt.Sprintf("%s %s replaced everybody's keys in %s", by, has, group)
	case client.NoticeGroupJoinAsk:
		who := clean(m.From)
		return fmt.Sprintf("%s asks to be let into %s; if that is who they say, `pawl group add %s %s` lets them in", who, group, word, shellWord(who))
	case client.NoticeGroupChangeLost:
		return fmt.Sprintf("a change of %s that was cut short was not made, for others have changed the group since: %s", group, about)
	case client.NoticeGroupForked:
		whom := ""
		if m.From != "" && m.From != a.labels.me {
			whom = ": " + clean(m.From) + " was shown another than this device"
		}
		return fmt.Sprintf("ALARM: the members of %s were shown different rosters%s; say nothing there that not everybody may read, and see `pawl group show %s`", group, whom, word)
	case client.NoticeGroupRollback:
		return fmt.Sprintf("ALARM: the server has shown an older roster of %s than the one held here, which stays; it may be hiding that somebody was removed: see `pawl group show %s`", group, word)
	}
	return group + ": " + clean(strings.ReplaceAll(m.Notice, "_", " ")) + strings.TrimRight(" "+about, " ")
}

// listed reads a list of addresses, parted by commas or spaces, and says it as a
// sentence does.
func (a *app) listed(text string) string {
	var names []string
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		names = append(names, a.you(name))
	}
	return cleanAll(names)
}
