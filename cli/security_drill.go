package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/lab"
	"github.com/pawl-chat/pawl/x3dh"
)

// errDrill: what opened in a drill is not what the status says.
var errDrill = errors.New("the drill opened something else than the status says")

func (a *app) securityDrill() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drill [RECIPIENT]",
		Short: "try it: rob a copy of this device's keys",
		Long: `Copies the keys of this device in memory, as of one moment, and lets the code of pawl
attack with them: messages are made under the keys of the copy as the other side would
make them, the talk goes on with a stand-in for the other side, first messages come from
a stranger, and each time a thief with the copy tries to open what there is. Then it holds
what opened against ` + "`pawl security status`" + `, and fails when they differ. Nothing is
written, nothing leaves this process, and the account does not change.`,
		Example: "  pawl security drill\n  pawl security drill bob\n  pawl security drill --json | jq -r .agrees",
		Args:    words(0, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				who, err := a.only(ctx, api, args)
				if err != nil {
					return err
				}
				return a.unlocked(ctx, api, func(api client.API) error {
					a.learnGroups(ctx, api)
					return a.drill(ctx, api, who)
				})
			})
		}),
	}
	cmd.ValidArgsFunction = a.completeWords(a.recipients, nil)
	return cmd
}

// trialObject is what was tried of one kind.
type trialObject struct {
	header
	What         string `json:"what" enum:"missing,received,theirs,yours,answer,healed,read,after,foreign,first,first_answered,last,last_answered,group_yours,group_yours_before" doc:"what was tried; spec/security.md explains each"`
	Conversation string `json:"conversation" doc:"with whom; empty for what is about nobody in particular"`
	Tried        int    `json:"tried" doc:"messages that the thief tried to open"`
	Opened       int    `json:"opened" doc:"of them, how many opened"`
	Expected     int    `json:"expected" doc:"how many have to open by the status of the same moment"`
	Agrees       bool   `json:"agrees" doc:"opened is expected, and enough was tried for that to mean something"`
}

// drillObject ends a drill.
type drillObject struct {
	header
	At     string `json:"at" doc:"the moment of the copy, RFC 3339, UTC"`
	Tried  int    `json:"tried" doc:"messages that were tried in all"`
	Opened int    `json:"opened" doc:"of them, how many opened"`
	Agrees bool   `json:"agrees" doc:"every trial agrees, something that had to open did, and something that had to stay closed did"`
}

// drill tries what is here and holds what opens against the report of the same
// moment (R-CLI-51).
func (a *app) drill(ctx context.Context, api client.API, who string) error {
	objects, end, err := attempt(ctx, api, who)
	if err != nil {
		return err
	}
	if !a.out.json {
		if err := a.out.text(wrap(fmt.Sprintf("A thief with a copy of the keys of %s, in memory, tried %s.", clean(api.Account().Address), count(end.Tried, "message")), 78) + "\n"); err != nil {
			return err
		}
	}
	for i, o := range objects {
		text := a.trialText(o)
		if i == 0 || objects[i-1].Conversation != o.Conversation {
			title := "first messages and groups"
			if o.Conversation != "" {
				title = a.named(o.Conversation)
			}
			text = "\n" + a.out.out().bold(plain, title) + "\n" + text
		}
		if err := a.out.show(o, text); err != nil {
			return err
		}
	}
	verdict := a.out.out().bold(green, "as `pawl security status` says")
	if !end.Agrees {
		verdict = a.out.out().bold(red, "NOT as `pawl security status` says")
	}
	if err := a.out.show(end, fmt.Sprintf("\n%d of %d opened, %s\n", end.Opened, end.Tried, verdict)); err != nil {
		return err
	}
	if !end.Agrees {
		return &failure{err: errDrill, message: errDrill.Error() + wrong(objects)}
	}
	return nil
}

// attempt drills a copy of everything or, where that is too much for one copy,
// of one person after the other, each as of one moment.
func attempt(ctx context.Context, api client.API, who string) (objects []trialObject, end drillObject, err error) {
	x, err := api.SecurityCopy(ctx, who)
	if err != nil {
		return nil, end, err
	}
	defer x.Erase()
	if x.Partly {
		for _, p := range x.Report.People {
			if p.Sessions == 0 {
				continue
			}
			more, _, err := attempt(ctx, api, p.Conversation)
			if err != nil {
				return nil, end, err
			}
			objects = append(objects, more...)
		}
		x.Report.People = nil
	}
	in, err := stolenOf(x)
	if err != nil {
		return nil, end, err
	}
	trials, err := lab.Drill(ctx, in)
	if err != nil {
		return nil, end, err
	}
	objects = append(objects, judge(trials, x.Report)...)
	return objects, sum(objects, x.Report.At), nil
}

func wrong(objects []trialObject) string {
	var parts []string
	for _, o := range objects {
		if !o.Agrees {
			parts = append(parts, fmt.Sprintf("%s: %d of %d, expected %d", o.What, o.Opened, o.Tried, o.Expected))
		}
	}
	if len(parts) == 0 {
		return ": nothing was there that could have opened"
	}
	return ": " + strings.Join(parts, "; ")
}

// stolenOf hands a copy to the laboratory.
func stolenOf(x client.SecurityCopy) (lab.Stolen, error) {
	identity, err := x3dh.ParsePublicKey(x.Self.Identity)
	if err != nil || len(x.IdentityKey) != 32 || len(x.Self.Account) != ed25519.PublicKeySize {
		return lab.Stolen{}, client.ErrStoreDamaged
	}
	out := lab.Stolen{
		Self:     x3dh.Party{Account: ed25519.PublicKey(x.Self.Account), Address: x.Self.Address, Device: x.Self.Device, Identity: identity},
		Identity: [32]byte(x.IdentityKey), Prekeys: x.Prekeys,
	}
	for _, s := range x.Sessions {
		out.Sessions = append(out.Sessions, lab.StolenSession{Peer: s.Peer, Device: s.Device, Head: s.Head, Skipped: s.Skipped})
	}
	for _, c := range x.Chains {
		out.Chains = append(out.Chains, c.Record)
	}
	return out, nil
}

// judge holds trials against the report of the same moment (R-SEC-09).
func judge(trials []lab.DrillResult, r client.SecurityReport) (out []trialObject) {
	// add holds one kind against what is expected; least is how many have to be
	// tried for the trial to say anything.
	add := func(what, who string, least, expected int) {
		o := trialObject{header: head("trial"), What: what, Conversation: who, Expected: expected}
		i := slices.IndexFunc(trials, func(t lab.DrillResult) bool { return t.What == what && t.Peer == who })
		if i >= 0 {
			o.Tried, o.Opened = trials[i].Tried, trials[i].Opened
		}
		o.Agrees = o.Opened == o.Expected && o.Tried >= least
		if i >= 0 || !o.Agrees {
			out = append(out, o)
		}
	}
	for _, p := range r.People {
		who, n := p.Conversation, p.Sessions
		if n == 0 {
			continue
		}
		add(lab.TryMissing, who, p.Skipped, p.Skipped)
		add(lab.TryReceived, who, 0, 0)
		add(lab.TryTheirs, who, p.ReadsTheirs, p.ReadsTheirs)
		add(lab.TryYours, who, n, p.ReadsYours)
		add(lab.TryAnswer, who, n, p.ReadsYours)
		add(lab.TryHealed, who, n, 0)
		add(lab.TryRead, who, n, 0)
		add(lab.TryAfter, who, n, n)
		add(lab.TryForeign, who, n, 0)
	}
	held := map[string]int{}
	for _, k := range r.Prekeys {
		held[k.Kind] = k.Held
	}
	own := 0
	for _, g := range r.Groups {
		own += g.ReadsYours
	}
	one, last := held["one_time_kem"], held["last_resort"]
	add(lab.TryFirst, "", one, one)
	add(lab.TryFirstAnswered, "", one, 0)
	add(lab.TryLast, "", last, last)
	add(lab.TryLastAnswered, "", last, last)
	add(lab.TryGroupYours, "", own, own)
	add(lab.TryGroupRead, "", own, 0)
	return out
}

// sum ends a drill: it has proved something when something opened, and
// something did not.
func sum(objects []trialObject, at time.Time) drillObject {
	end := drillObject{header: head("drill"), At: instant(at), Agrees: true}
	for _, o := range objects {
		end.Tried, end.Opened, end.Agrees = end.Tried+o.Tried, end.Opened+o.Opened, end.Agrees && o.Agrees
	}
	end.Agrees = end.Agrees && end.Opened > 0 && end.Opened < end.Tried
	return end
}

// trialText says for people what was tried.
func (a *app) trialText(o trialObject) string {
	what := map[string]string{
		lab.TryMissing: "messages that have not come", lab.TryReceived: "messages that were received",
		lab.TryTheirs: "what they go on to write", lab.TryYours: "what you write next", lab.TryAnswer: "their answer to it",
		lab.TryHealed: "what both write after that", lab.TryRead: "all of this, by who comes later", lab.TryAfter: "what they write next then",
		lab.TryForeign: "what others write to others",
		lab.TryFirst:   "first messages with one-time keys", lab.TryFirstAnswered: "the same once they are answered",
		lab.TryLast: "first messages without", lab.TryLastAnswered: "the same once they are answered",
		lab.TryGroupYours: "what you say next in groups", lab.TryGroupRead: "the same, by who comes later",
	}[o.What]
	verdict := "as it should"
	if !o.Agrees {
		verdict = a.out.out().bold(red, fmt.Sprintf("NOT the %d expected", o.Expected))
	}
	return fmt.Sprintf("  %-34s %4d of %4d open, %s\n", what, o.Opened, o.Tried, verdict)
}
