package cli

import (
	"fmt"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// groupText is a group's safety view (R-CLI-35): who hears what is said in it,
// on which devices, how sure that is, and what has to be looked at.
func (a *app) groupText(g client.Group) string {
	ink := a.out.out()
	verified := 0
	for _, m := range g.Members {
		if m.Trust == client.TrustVerified {
			verified++
		}
	}
	mine := "you are a plain member"
	switch g.Mine {
	case client.GroupAdminRole:
		mine = "you are an admin"
	case "":
		mine = "you are no member any more: what is said in it does not come here"
	}
	keys := ""
	switch {
	case g.RekeyDue:
		keys = "replaced before the next message, for somebody has left or a device has changed"
	case !g.EpochAt.IsZero():
		keys = "last replaced " + a.when(g.EpochAt)
	}
	rows := [][2]string{
		{"id", clean(g.ID)},
		{"role", mine},
		{"members", fmt.Sprintf("%d, of whom %d verified", len(g.Members), verified)},
		{"epoch", fmt.Sprint(g.Epoch)},
		{"keys", keys},
		{"roster", fmt.Sprintf("%s, head %s", count(int(g.Seq), "change"), headText(g.Head))},
		{"policy", policyText(g.Policy)},
	}
	if g.Pending != nil {
		rows = append(rows, [2]string{"under way", stepText(*g.Pending)})
	}
	text := ink.bold(plain, "#"+clean(g.Name)) + "\n" + fields("  ", rows...)
	if g.Alarm != nil {
		text += "\n" + a.alarmText(g)
	}
	text += "\n"
	for _, m := range g.Members {
		text += a.memberText(m)
	}
	if len(g.Requests) > 0 {
		text += "\nask to be let in:\n"
		for _, r := range g.Requests {
			text += fmt.Sprintf("  %s  %s  pawl group add %s %s\n", clean(r.Address), a.when(r.At), a.word(g.ID), shellWord(clean(r.Address)))
		}
	}
	return text
}

// headText is the beginning of a head, as people read it out.
func headText(head string) string {
	const shown = 16
	var fours []string
	for head = clean(head[:min(len(head), shown)]); head != ""; head = head[min(len(head), 4):] {
		fours = append(fours, head[:min(len(head), 4)])
	}
	return strings.Join(fours, " ")
}

func policyText(p client.GroupPolicy) string {
	add, history := "admins add members", "new members are not told what was said before"
	if p.AddByMembers {
		add = "everybody may add members"
	}
	if p.OpenHistory {
		history = "new members are told what was said before"
	}
	return add + "; " + history
}

// stepText says how far something has come that takes many messages.
func stepText(p client.GroupStep) string {
	if p.Total == 0 {
		return clean(p.What) + ": waits for the server"
	}
	return fmt.Sprintf("%s: %d of %s have the keys", clean(p.What), p.Done, count(p.Total, "device"))
}

func (a *app) memberText(m client.GroupMember) string {
	ink := a.out.out()
	state := trustText(m.Trust)
	switch {
	case m.You:
		state = "you"
	case m.Trust == client.TrustFirstUse:
		state = fmt.Sprintf("not yet compared: pawl verify %s", shellWord(clean(m.Address)))
	case m.Trust == client.TrustChanged:
		state = ink.bold(red, "CHANGED: another identity was seen") + fmt.Sprintf("; pawl verify %s", shellWord(clean(m.Address)))
	case m.Trust == "":
		state = "not known here"
	}
	text := fmt.Sprintf("  %s  %s, %s\n", ink.bold(cyan, clean(m.Address)), clean(string(m.Role)), state)
	for _, d := range m.Devices {
		keys := "gets the key with the next message"
		switch {
		case d.Current:
			keys = "this device"
		case d.HasKeys:
			keys = "has the present key"
		}
		text += fmt.Sprintf("      %s  %s\n", deviceText(d.ID, d.Name), keys)
	}
	if len(m.Devices) == 0 {
		text += "      no device is known\n"
	}
	return text
}

// alarmText says what differs between two rosters, and what to do about it.
func (a *app) alarmText(g client.Group) string {
	b := g.Alarm
	ink := a.out.out()
	var text strings.Builder
	line := func(format string, args ...any) {
		for _, l := range splitLines(wrap(fmt.Sprintf(format, args...), 76)) {
			text.WriteString("  " + l + "\n")
		}
	}
	with, other := clean(b.With)+" was shown other changes than this device", clean(b.With)
	if b.With == "" {
		with, other = "the server has shown other changes than it showed before", "the server"
	}
	text.WriteString("  " + ink.bold(red, "ALARM: not everybody was shown the same roster") + "\n")
	line("Since change %d, %s (seen %s).", b.Seq, with, a.when(b.At))
	changes := func(whose string, list []string) {
		text.WriteString("  " + whose + ":\n")
		for i, c := range list {
			fmt.Fprintf(&text, "    %d  %s\n", b.Seq+uint64(i), clean(c))
		}
	}
	changes("as held here", b.Ours)
	if len(b.Other) > 0 {
		changes("as "+other+" has it", b.Other)
	} else {
		line("What %s has instead is not known yet.", other)
	}
	line("Only the server, or somebody who has it in hand, can do that. What to do:")
	ask := clean(b.With)
	if ask == "" {
		ask = "the other members"
	}
	line("1. Ask %s by another way who belongs to the group.", ask)
	line("2. Say nothing here that not everybody on both lists may read.")
	line("3. Make a new group of those who belong to it, at a server that you trust.")
	return text.String()
}
