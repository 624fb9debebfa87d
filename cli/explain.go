package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// explanationObject is the life of one message.
type explanationObject struct {
	header
	ID      string         `json:"id" doc:"id of the message"`
	Status  string         `json:"status" doc:"as in the message object"`
	Steps   []stepObject   `json:"steps" doc:"what happened to it, in order"`
	Sealed  []sealedObject `json:"sealed,omitempty" doc:"where each copy stands that was sealed or opened here"`
	Members []reachObject  `json:"members,omitempty" doc:"own messages to a group: how far it has come with each member, device by device"`
	Cause   string         `json:"cause,omitempty" doc:"a stable word: why it failed or cannot be opened"`
	Why     string         `json:"why,omitempty" doc:"the cause in plain words"`
	Next    string         `json:"next,omitempty" doc:"what to do, in plain words"`
}

type stepObject struct {
	At   *string `json:"at" doc:"RFC 3339, UTC; null when it is not known"`
	What string  `json:"what" doc:"in plain words"`
}

func explanationOf(x client.Explanation, members []memberReach) explanationObject {
	o := explanationObject{
		header: head("explanation"), ID: x.Message.ID, Status: string(x.Message.Status), Steps: []stepObject{},
		Cause: x.Message.Cause, Why: x.Cause, Next: x.Next, Sealed: sealedOf(x.Message.Sealed),
	}
	for _, r := range members {
		o.Members = append(o.Members, r.reachObject)
	}
	for _, s := range x.Steps {
		o.Steps = append(o.Steps, stepObject{maybeInstant(s.At), s.What})
	}
	return o
}

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use:     "explain ID",
		Short:   "tell the life of a message in plain words",
		GroupID: groupDaily,
		Long: `Tells when a message was written, sealed and accepted, what each device of the recipient
said of it and when, and in which session and at which place of its chains each copy
stands; or why it failed or could not be opened, and what to do. Of a message to a group
it also tells how far it has come with each member.`,
		Example: "  pawl explain 4QW6…\n  pawl explain 4QW6… --json | jq -r .next",
		Args:    words(1, 1, "one ID"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				m, err := api.Message(ctx, args[0])
				if err != nil {
					return err
				}
				x := client.Explain(m)
				a.learn(ctx, api, m)
				members := a.reached(ctx, api, m)
				return a.out.show(explanationOf(x, members), a.explanationText(x, members))
			})
		}),
	}
}

func (a *app) explanationText(x client.Explanation, members []memberReach) string {
	var b strings.Builder
	m := x.Message
	b.WriteString("message " + clean(m.ID) + " from " + clean(m.From) + " to " + a.recipient(m) + ": " + statusText(m) + "\n")
	for _, s := range x.Steps {
		at := "                   "
		if !s.At.IsZero() {
			at = a.whenExactly(s.At)
		}
		b.WriteString("  " + at + "  " + clean(s.What) + "\n")
	}
	if len(members) > 0 {
		b.WriteString("with each member:\n" + a.reachedText(m, members))
	}
	if x.Cause != "" {
		b.WriteString("why: " + clean(x.Cause) + " (" + clean(m.Cause) + ")\n")
	}
	if x.Next != "" {
		b.WriteString("next: " + clean(x.Next) + "\n")
	}
	return b.String()
}

func (a *app) resend() *cobra.Command {
	return &cobra.Command{
		Use:   "resend ID",
		Short: "send an own message again, as a new one",
		Long: `Makes a new message with the text, subject, reply and lifetime of an own one that was
sent or has failed. One that is still in the outbox leaves by itself.`,
		Example: "  pawl message resend 4QW6…",
		Args:    words(1, 1, "one ID"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				m, err := api.Resend(ctx, args[0], client.SendOptions{})
				if err != nil {
					return queued(m, err)
				}
				a.learn(ctx, api, m)
				if err := a.out.show(messageOf(m), a.sentText(m)); err != nil {
					return err
				}
				return partly(m)
			})
		}),
	}
}
