package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) security() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "security",
		Short:   "what a thief of this machine could read, and a drill",
		GroupID: groupSetup,
		Long: `Says what somebody could read who took this machine now and could open its store, and
tries it on a copy in memory with the same code that a thief would use.`,
		Example: "  pawl security status\n  pawl security drill",
	}
	return a.noun(cmd, a.securityStatus(), a.securityDrill())
}

func (a *app) securityStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [RECIPIENT]",
		Short: "what could be read if this machine were seized now",
		Long: `Counts, from the keys that are here, what this machine gives to who takes it together with
what opens its store: the history kept here; messages that have not come and whose keys are
alive; what is written next, until new keys have been made on both sides; first messages
to the prekeys kept here. What was sent and received before stays closed to who only has
recordings of the wire: its keys are erased. Works without the server.`,
		Example: "  pawl security status\n  pawl security status bob\n  pawl security status --json | jq .skipped",
		Args:    words(0, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				who, err := a.only(ctx, api, args)
				if err != nil {
					return err
				}
				r, err := api.Security(ctx, who)
				if err != nil {
					return err
				}
				a.learnGroups(ctx, api)
				return a.showSecurity(r, who)
			})
		}),
	}
	cmd.ValidArgsFunction = a.completeWords(a.recipients, nil)
	return cmd
}

// only is the conversation that the words limit a command to, or empty.
func (a *app) only(ctx context.Context, api client.API, args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	return a.resolve(ctx, api, args[0])
}

// exposureObject is what one conversation gives to a thief.
type exposureObject struct {
	header
	Conversation  string  `json:"conversation" doc:"a person's address, this account's own for its other devices, or a group's id"`
	Messages      int     `json:"messages" doc:"messages kept here in the clear, inside the sealed store"`
	Oldest        *string `json:"oldest" doc:"when the oldest of them was sent, RFC 3339, UTC; null for none"`
	Mortal        int     `json:"mortal" doc:"of them, how many have a lifetime after which they are erased"`
	Sessions      int     `json:"sessions" doc:"ratchet sessions; of a group, open chains of other devices"`
	Since         *string `json:"since" doc:"when the oldest of these began, RFC 3339, UTC; null for none"`
	ReadsYours    int     `json:"reads_yours" doc:"in how many of them the thief reads what is written here next"`
	ReadsTheirs   int     `json:"reads_theirs" doc:"in how many of them the thief reads what comes next on the peer's present chain"`
	Skipped       int     `json:"skipped" doc:"skipped keys that are alive: each opens one message that was sent and has not come"`
	SkippedSince  *string `json:"skipped_since" doc:"since when the oldest of these is kept, RFC 3339, UTC; null for none"`
	SkippedUntil  *string `json:"skipped_until" doc:"when the last of these will have been erased, RFC 3339, UTC; null for none"`
	LastResort    int     `json:"last_resort" doc:"sessions that began without a one-time key and whose prekeys are still here: recorded, that beginning can be opened"`
	Heals         *string `json:"heals" doc:"what is closed again to a thief who only listens: your_message: from the next message from here on; their_reply: from the message from here on that follows their next one; rekey: a group, once sessions with all members have healed and it is rekeyed after that; null: nothing to heal"`
	HealsQuantum  *string `json:"heals_quantum" doc:"the same against a thief with a quantum computer; null: nothing is claimed"`
	RekeyDue      *string `json:"rekey_due" doc:"of a group: when its next epoch is due, RFC 3339, UTC; null for none"`
	MACsHeld      int     `json:"macs_held" doc:"received chains whose MAC keys only sender and receiver know; of a group, earlier own chains whose signing keys are not disclosed yet"`
	MACsOwed      int     `json:"macs_owed" doc:"received chains whose MAC keys go out with the next message"`
	MACsDisclosed int     `json:"macs_disclosed" doc:"received chains whose MAC keys were disclosed, so that anybody could have made what came on them; of a group, chains whose signing keys were"`
}

// securityObject is what the whole device gives.
type securityObject struct {
	header
	At            string         `json:"at" doc:"the moment all figures are of, RFC 3339, UTC"`
	Conversations int            `json:"conversations" doc:"objects of type exposure before this one"`
	Messages      int            `json:"messages" doc:"messages kept here in the clear, inside the sealed store"`
	Oldest        *string        `json:"oldest" doc:"when the oldest of them was sent, RFC 3339, UTC; null for none"`
	Mortal        int            `json:"mortal" doc:"of them, how many have a lifetime after which they are erased"`
	Outbox        int            `json:"outbox" doc:"messages that wait to leave, in the clear"`
	Sealed        int            `json:"sealed" doc:"sealed messages that wait here, such as those of a contact whose identity changed: keys here may open them"`
	Skipped       int            `json:"skipped" doc:"skipped keys that are alive, over all conversations"`
	KeyInHome     bool           `json:"key_in_home" doc:"what opens the store lies beside it: who has the directory needs nothing else"`
	Prekeys       []prekeyObject `json:"prekeys" doc:"private halves kept for first messages, by kind"`
}

// prekeyObject is what is kept of one kind of prekeys.
type prekeyObject struct {
	Kind     string  `json:"kind" enum:"signed,one_time,one_time_kem,last_resort" doc:"what they are for"`
	Held     int     `json:"held" doc:"private halves kept here"`
	Oldest   *string `json:"oldest" doc:"when the oldest was made, RFC 3339, UTC; null for none"`
	Replaced int     `json:"replaced" doc:"of them, how many are kept only for messages under way"`
	Until    *string `json:"until" doc:"when the last of the replaced ones will have been erased, RFC 3339, UTC; null for none"`
	Answered int     `json:"answered" doc:"last_resort: first messages that were answered with them; the others are erased by answering"`
}

// wordOrNull is a word, or null for none.
func wordOrNull[T ~string](w T) *string {
	if w == "" {
		return nil
	}
	s := string(w)
	return &s
}

func exposureOf(x client.ConversationExposure) exposureObject {
	return exposureObject{
		header: head("exposure"), Conversation: x.Conversation, Messages: x.History.Messages, Oldest: maybeInstant(x.History.Oldest), Mortal: x.History.Mortal,
		Sessions: x.Sessions, Since: maybeInstant(x.Since), ReadsYours: x.ReadsYours, ReadsTheirs: x.ReadsTheirs,
		Skipped: x.Skipped, SkippedSince: maybeInstant(x.SkippedSince), SkippedUntil: maybeInstant(x.SkippedUntil), LastResort: x.LastResort,
		Heals: wordOrNull(x.Heals), HealsQuantum: wordOrNull(x.HealsQuantum), RekeyDue: maybeInstant(x.RekeyDue),
		MACsHeld: x.MACHeld, MACsOwed: x.MACOwed, MACsDisclosed: x.MACDisclosed,
	}
}

// conversationsOf are all conversations of a report, people first.
func conversationsOf(r client.SecurityReport) []client.ConversationExposure {
	return append(append([]client.ConversationExposure{}, r.People...), r.Groups...)
}

func skippedOf(r client.SecurityReport) (n int) {
	for _, x := range conversationsOf(r) {
		n += x.Skipped
	}
	return n
}

func (a *app) securityOf(r client.SecurityReport) securityObject {
	o := securityObject{
		header: head("security"), At: instant(r.At), Conversations: len(r.People) + len(r.Groups), Messages: r.History.Messages,
		Oldest: maybeInstant(r.History.Oldest), Mortal: r.History.Mortal, Outbox: r.Outbox, Sealed: r.Sealed, Skipped: skippedOf(r),
		KeyInHome: a.keyInHome(), Prekeys: []prekeyObject{},
	}
	for _, k := range r.Prekeys {
		o.Prekeys = append(o.Prekeys, prekeyObject{k.Kind, k.Held, maybeInstant(k.Oldest), k.Replaced, maybeInstant(k.Until), k.Answered})
	}
	return o
}

// keyInHome reports whether what opens the store lies in the home itself.
func (a *app) keyInHome() bool {
	dir, err := a.homeDir()
	return err == nil && isFile(filepath.Join(dir, keyFileName))
}

// showSecurity prints every conversation and then the whole (R-CLI-50).
func (a *app) showSecurity(r client.SecurityReport, who string) error {
	if !a.out.json {
		if err := a.out.text(a.securityText(r, who)); err != nil {
			return err
		}
	}
	for _, x := range conversationsOf(r) {
		if err := a.out.show(exposureOf(x), a.exposureText(x)); err != nil {
			return err
		}
	}
	if a.out.json {
		return a.out.object(a.securityOf(r))
	}
	return a.out.text("\n" + indent(wrap(closedText, 76)))
}

const closedText = "Everything else that was sent and received before is closed to who has only recorded it: its keys are erased, and no key that is here leads back to them. " +
	"The thief meant here listens; one who writes with the stolen keys delays healing for as long as they go on. Of one with a quantum computer nothing is said here."

func (a *app) securityText(r client.SecurityReport, who string) string {
	var parts []string
	if n := r.History.Messages; n > 0 {
		parts = append(parts, fmt.Sprintf("%s could be read, the oldest from %s", count(n, "message"), a.when(r.History.Oldest)))
	} else {
		parts = append(parts, "no message of the history could be read")
	}
	parts = append(parts, fmt.Sprintf("%s %s alive", count(skippedOf(r), "skipped key"), areIs(skippedOf(r))))
	worst := client.HealsNever
	for _, x := range r.People {
		if x.Heals == client.HealsWithReply || worst == client.HealsNever {
			worst = x.Heals
		}
	}
	switch worst {
	case client.HealsWithReply:
		parts = append(parts, "healed after the next reply and what you write then")
	case client.HealsWithYours:
		parts = append(parts, "healed with your next message")
	}
	text := wrap(a.out.out().bold(plain, "if this machine were seized now:")+" "+strings.Join(parts, "; ")+".", 78) + "\n\n"
	lifetimes := ""
	if r.History.Messages > 0 {
		lifetimes = fmt.Sprintf("%d of %d have a lifetime; `pawl send --ttl 7d` gives a message one, for both sides", r.History.Mortal, r.History.Messages)
	}
	store := "its passphrase or key file, which is not in the home"
	if a.keyInHome() {
		store = "anybody who has the home: its key lies in it. Take it elsewhere (--key-file), or use a passphrase"
	}
	kept := ""
	if who == "" {
		kept = a.prekeysText(r.Prekeys)
	}
	return text + fields("  ", [2]string{"opens to", store}, [2]string{"history", lifetimes}, [2]string{"outbox", some0(r.Outbox, "message", "to leave, in the clear")},
		[2]string{"set aside", some0(r.Sealed, "sealed message", "that keys here may open")}, [2]string{"prekeys", kept})
}

func areIs(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// some0 is a count with what it is of, empty for none.
func some0(n int, what, more string) string {
	if n == 0 {
		return ""
	}
	return count(n, what) + " " + more
}

// prekeysText says what first messages the prekeys here open.
func (a *app) prekeysText(list []client.PrekeyExposure) string {
	var parts []string
	for _, k := range list {
		name := map[string]string{"signed": "signed", "one_time": "one-time", "one_time_kem": "one-time ML-KEM", "last_resort": "last-resort"}[k.Kind]
		if name == "" || k.Held == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", k.Held, name)
		if k.Replaced > 0 {
			text += fmt.Sprintf(" (%d replaced, erased by %s)", k.Replaced, a.when(k.Until))
		}
		if k.Answered > 0 {
			text += fmt.Sprintf(", with which %s %s answered", count(k.Answered, "first message"), map[bool]string{true: "was", false: "were"}[k.Answered == 1])
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, ", ") + ": first messages to them can be opened"
}

func (a *app) exposureText(x client.ConversationExposure) string {
	history := ""
	if x.History.Messages > 0 {
		history = fmt.Sprintf("%s, the oldest from %s", count(x.History.Messages, "message"), a.when(x.History.Oldest))
	}
	missing := ""
	if x.Skipped > 0 {
		missing = fmt.Sprintf("%s for messages that have not come", count(x.Skipped, "key"))
		if !x.SkippedSince.IsZero() {
			missing += ", since " + a.when(x.SkippedSince)
		}
		missing += ", erased by " + a.when(x.SkippedUntil)
	}
	var reads []string
	if x.ReadsYours > 0 {
		reads = append(reads, "what you write next")
	}
	if x.ReadsTheirs > 0 {
		reads = append(reads, "what they go on to write")
	}
	begun := ""
	if x.LastResort > 0 {
		begun = fmt.Sprintf("%s began without a one-time key: recorded, that beginning can be opened while the prekeys last", count(x.LastResort, "session"))
	}
	return "\n" + a.out.out().bold(plain, a.named(x.Conversation)) + "\n" + fields("  ",
		[2]string{"history", history}, [2]string{"missing", missing}, [2]string{"reads", strings.Join(reads, ", ")}, [2]string{"began", begun},
		[2]string{"heals", a.healsText(x)}, [2]string{"MAC keys", a.macsText(x)})
}

// named is what a conversation of the report is called.
func (a *app) named(conversation string) string {
	if conversation == a.labels.me {
		return clean(conversation) + " (your other devices)"
	}
	return a.called(conversation)
}

func (a *app) healsText(x client.ConversationExposure) string {
	switch x.Heals {
	case client.HealsWithYours:
		return "with your next message; theirs from their answer to it on"
	case client.HealsWithReply:
		return "after their next reply, when you write; theirs from their answer to that on"
	case client.HealsWithRekey:
		text := "with a rekey that comes after a healing with each member's devices"
		if !x.RekeyDue.IsZero() {
			text += "; the next one is due by " + a.when(x.RekeyDue)
		}
		return text
	}
	return ""
}

func (a *app) macsText(x client.ConversationExposure) string {
	if isGroup(x.Conversation) {
		return some0(x.MACDisclosed, "chain", "whose signing key is disclosed, so that anybody could have written it")
	}
	if x.MACDisclosed+x.MACOwed+x.MACHeld == 0 {
		return ""
	}
	return fmt.Sprintf("of %s of theirs disclosed, so that anybody could have written it; of %d with your next message, of %d not yet", count(x.MACDisclosed, "chain"), x.MACOwed, x.MACHeld)
}
