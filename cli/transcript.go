package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/transcript"
)

// errTranscript: messages of a transcript do not hold under the keys that were
// disclosed.
var errTranscript = errors.New("messages do not hold")

func (a *app) transcript() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "transcript",
		Short:   "show that a conversation proves nothing",
		GroupID: groupSetup,
		Long: `Works on transcripts: what somebody on the wire has of a conversation, and the keys that
were disclosed since. It explains every field, checks messages under these keys, changes
what they say and makes them hold again, and forges whole conversations between people who
never spoke. No verifier can tell what came out of it from what really was sent.

What that means and what not is in docs/deniability.md. Only record, export and forge
without --like need an account.`,
		Example: `  pawl transcript record bob on
  pawl transcript export bob -o bob.transcript
  pawl transcript verify bob.transcript
  pawl transcript modify bob.transcript 3 "I never said that" -o other.transcript
  pawl transcript export '#rowing' -o rowing.transcript`,
	}
	return a.noun(cmd, a.transcriptRecord(), a.transcriptExport(), a.transcriptParse(), a.transcriptVerify(), a.transcriptModify(), a.transcriptRemac(), a.transcriptForge())
}

// recordingObject is a conversation of which ciphertexts are kept.
type recordingObject struct {
	header
	Conversation string  `json:"conversation" doc:"the peer's address, or a group's id"`
	Recorded     bool    `json:"recorded" doc:"what goes over the wire is kept"`
	Since        *string `json:"since" doc:"RFC 3339, UTC; null when nothing is kept"`
	Messages     int     `json:"messages" doc:"envelopes kept"`
	Bytes        int     `json:"bytes" doc:"their size"`
}

func (a *app) recording(r client.Recording) error {
	on := !r.Since.IsZero()
	text := a.called(r.Conversation) + "  nothing is kept\n"
	if on {
		text = fmt.Sprintf("%s  %s, %d bytes, since %s\n", a.called(r.Conversation), count(r.Messages, "envelope"), r.Bytes, a.when(r.Since))
	}
	return a.out.show(recordingObject{head("recording"), r.Conversation, on, maybeInstant(r.Since), r.Messages, r.Bytes}, text)
}

// transcriptRecord holds R-CLI-41.
func (a *app) transcriptRecord() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "record [RECIPIENT on|off]",
		Short: "keep what goes over the wire of a conversation",
		Long: `Keeps, from now on, every envelope of the conversation as it goes over the wire, so that
it can be exported: the newest 5000, at most 48 MiB. Nothing is kept unless you say so, for
to keep ciphertexts is what an eavesdropper does. No key is kept that opens them. With off
it stops, and everything that was kept of the conversation is erased. Without words it
lists the conversations of which something is kept.`,
		Example: "  pawl transcript record bob on\n  pawl transcript record\n  pawl transcript record bob off",
		Args:    words(0, 2, "a RECIPIENT and on or off"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if len(args) == 1 || len(args) == 2 && args[1] != "on" && args[1] != "off" {
				return usagef("for example `pawl transcript record bob on`", "pawl transcript record takes a RECIPIENT and on or off")
			}
			return a.with(ctx, func(api client.API) error {
				if len(args) == 2 {
					peer, err := a.resolve(ctx, api, args[0])
					if err != nil {
						return err
					}
					r, err := api.Record(ctx, peer, args[1] == "on")
					if err != nil {
						return err
					}
					a.learn(ctx, api, client.Message{Conversation: r.Conversation, Group: groupNamed(r.Conversation)})
					return a.recording(r)
				}
				all, err := api.Recordings(ctx)
				if err != nil {
					return err
				}
				for _, r := range all {
					a.learn(ctx, api, client.Message{Conversation: r.Conversation, Group: groupNamed(r.Conversation)})
					if err := a.recording(r); err != nil {
						return err
					}
				}
				if len(all) == 0 {
					a.out.note("nothing is kept of any conversation")
				}
				return nil
			})
		}),
	}
	cmd.ValidArgsFunction = a.completeWords(a.recipients, func(context.Context, client.API, []string) []string { return []string{"on", "off"} }, nil)
	return cmd
}

// groupNamed is the group that a conversation is, or empty.
func groupNamed(conversation string) string {
	if isGroup(conversation) {
		return conversation
	}
	return ""
}

// transcriptObject is a transcript that was written or looked at.
type transcriptObject struct {
	header
	File     string   `json:"file" doc:"where it is"`
	Kind     string   `json:"kind" enum:"pair,group" doc:"between two people, or in a group"`
	Parties  []string `json:"parties" doc:"addresses"`
	Messages int      `json:"messages" doc:"envelopes in it"`
	Keys     int      `json:"keys" doc:"disclosed signing keys of a group; between two people messages disclose keys themselves"`
	Verified int      `json:"verified" doc:"messages that hold under a disclosed key, which anybody has who made the transcript"`
	NoKey    int      `json:"no_key" doc:"messages for which no key was disclosed"`
	Bad      int      `json:"bad" doc:"messages that do not hold"`
	Complete bool     `json:"complete" doc:"false when the search for keys was given up: then messages may be among no_key that a key was disclosed for"`
}

func transcriptOf(file string, t *transcript.Transcript, r *transcript.Report) transcriptObject {
	o := transcriptObject{
		header: head("transcript"), File: file, Kind: "pair", Parties: []string{}, Messages: len(t.Messages), Keys: len(t.Keys),
		Verified: r.Verified, NoKey: r.NoKey, Bad: r.Bad, Complete: r.Complete,
	}
	if t.Kind == transcript.Group {
		o.Kind = "group"
	}
	for i := range t.Parties {
		o.Parties = append(o.Parties, t.Parties[i].Address)
	}
	return o
}

func transcriptText(o transcriptObject) string {
	who := count(len(o.Parties), "person")
	if len(o.Parties) != 1 {
		who = strconv.Itoa(len(o.Parties)) + " people"
	}
	if o.Kind == "pair" {
		who = clean(o.Parties[0]) + " and " + clean(o.Parties[1])
	}
	text := fmt.Sprintf("%s  %s, %s\n  %d hold under keys that are public, %d were given no key, %d are bad\n",
		clean(o.File), who, count(o.Messages, "envelope"), o.Verified, o.NoKey, o.Bad)
	if !o.Complete {
		text += "  the search for keys was given up: there are too many\n"
	}
	return text
}

// writeTranscript puts a transcript into a new file and says what is in it.
func (a *app) writeTranscript(ctx context.Context, t *transcript.Transcript, output string, force bool) error {
	r, err := t.Verify()
	if err != nil {
		return err
	}
	to := target{output, force}
	if err := to.write(ctx, t.Write); err != nil {
		return err
	}
	o := transcriptOf(output, t, r)
	return a.out.show(o, transcriptText(o))
}

// readTranscript reads a file; nothing in it is believed.
func readTranscript(name string) (*transcript.Transcript, error) {
	f, err := openWord(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return transcript.Read(f)
}

func newFileFlags(cmd *cobra.Command, output *string, force *bool) {
	cmd.Flags().StringVarP(output, "output", "o", "", "`FILE` to write")
	cmd.Flags().BoolVar(force, "force", false, "replace a FILE that exists")
}

func needOutput(output string) error {
	if output == "" {
		return usagef("for example -o bob.transcript", "name the file to write with --output")
	}
	return nil
}

func (a *app) transcriptExport() *cobra.Command {
	var output string
	var force, bare bool
	cmd := &cobra.Command{
		Use:   "export RECIPIENT -o FILE",
		Short: "write what was recorded of a conversation",
		Long: `Writes what "pawl transcript record" has kept of the conversation: the envelopes as
somebody on the wire has them, the public keys of who takes part, and the keys that were
disclosed. Beside each message it writes what this device says of it: where it stands and
its text. These claims prove nothing, and nobody can check them; --bare leaves them out,
and is what an eavesdropper has.`,
		Example: "  pawl transcript export bob -o bob.transcript\n  pawl transcript export '#rowing' -o rowing.transcript --bare --force",
		Args:    words(1, 1, "one RECIPIENT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if err := needOutput(output); err != nil {
				return err
			}
			return a.with(ctx, func(api client.API) error {
				peer, err := a.resolve(ctx, api, args[0])
				if err != nil {
					return err
				}
				t, err := api.Transcript(ctx, peer)
				if err != nil {
					return err
				}
				if bare {
					for i := range t.Messages {
						t.Messages[i].Place, t.Messages[i].Text = nil, ""
					}
				}
				return a.writeTranscript(ctx, t, output, force)
			})
		}),
	}
	newFileFlags(cmd, &output, &force)
	cmd.ValidArgsFunction = a.completeWords(a.recipients, nil)
	cmd.Flags().BoolVar(&bare, "bare", false, "only what was on the wire, without what this device says of it")
	return cmd
}

// envelopeObject is one message of a transcript taken apart.
type envelopeObject struct {
	header
	Number int           `json:"number" doc:"of the message in the transcript, from 1"`
	SeenAt string        `json:"seen_at" doc:"RFC 3339, UTC"`
	From   string        `json:"from" doc:"address of the sender"`
	To     string        `json:"to" doc:"address of the receiver; empty in a group"`
	Kind   string        `json:"kind" enum:"message,farewell,group,malformed" doc:"what it is on the wire"`
	Bytes  int           `json:"bytes" doc:"size of the envelope"`
	Fields []fieldObject `json:"fields" doc:"in the order in which they stand"`
}

type fieldObject struct {
	Name    string `json:"name" doc:"a stable word"`
	Bytes   int    `json:"bytes" doc:"how long it is; 0 when it is not on the wire"`
	Value   string `json:"value" doc:"a number, a name, or bytes in hexadecimal; of long ones the beginning"`
	Meaning string `json:"meaning" doc:"in plain words"`
}

func (a *app) transcriptParse() *cobra.Command {
	return &cobra.Command{
		Use:     "parse FILE",
		Short:   "explain every field of every message",
		Long:    "Takes every message of a transcript apart and says what each field is, who can read it\nand who can make it. It takes no key and no account.",
		Example: "  pawl transcript parse bob.transcript\n  pawl transcript parse bob.transcript --json | jq '.fields[].name'",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(_ context.Context, args []string) error {
			t, err := readTranscript(args[0])
			if err != nil {
				return err
			}
			all, err := t.Explain()
			if err != nil {
				return err
			}
			for _, e := range all {
				o := envelopeObject{head("envelope"), e.Number + 1, e.At, e.From, e.To, e.Type, e.Size, []fieldObject{}}
				to := ""
				if e.To != "" {
					to = " → " + clean(e.To)
				}
				text := a.out.out().bold(plain, fmt.Sprintf("%d  %s  %s%s", o.Number, e.At, clean(e.From), to)) + fmt.Sprintf("  %s, %d bytes\n", e.Type, e.Size)
				for _, f := range e.Fields {
					o.Fields = append(o.Fields, fieldObject(f))
					text += fmt.Sprintf("  %s %5d  %s\n", pad(f.Name, 18), f.Bytes, clean(f.Value)) + a.out.out().dim(indent(indent(wrap(f.Meaning, 74))))
				}
				if err := a.out.show(o, text); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// checkObject is what a verifier says of one message.
type checkObject struct {
	header
	Number      int    `json:"number" doc:"of the message in the transcript, from 1"`
	From        string `json:"from" doc:"address of the sender"`
	State       string `json:"state" enum:"verified,no_key,bad" doc:"verified: it holds under a key that was disclosed, and so can have been made by anybody who read that; no_key: no key was disclosed; bad: it does not hold"`
	Reason      string `json:"reason,omitempty" enum:"malformed,identity,tag,signature,sender" doc:"why it is bad"`
	DisclosedBy *int   `json:"disclosed_by" doc:"number of the message that discloses the key, or of the key in a group, from 1; null when there is none"`
	InChain     *int64 `json:"in_chain" doc:"number of the message in its chain; null when it is not known"`
}

// transcriptVerify holds R-CLI-40.
func (a *app) transcriptVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "check messages under the keys that were disclosed",
		Long: `Checks every message of a transcript: verified, when it holds under a key that was
disclosed; no_key, when none was; bad, when it does not hold. What is verified was made by
somebody who knew the key, and since that is in the transcript, everybody does: genuine and
forged messages are verified alike. It takes no account. Exits with 1 when a message is bad.`,
		Example: "  pawl transcript verify bob.transcript\n  pawl transcript verify bob.transcript --json | jq -r .state",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(_ context.Context, args []string) error {
			t, err := readTranscript(args[0])
			if err != nil {
				return err
			}
			r, err := t.Verify()
			if err != nil {
				return err
			}
			all, err := t.Explain()
			if err != nil {
				return err
			}
			for i, v := range r.Verdicts {
				o := checkObject{header: head("check"), Number: i + 1, From: all[i].From, State: string(v.State), Reason: v.Reason}
				text := fmt.Sprintf("%4d  %s  %s %s", o.Number, all[i].At, pad(o.State+reasonText(v.Reason), 16), clean(o.From))
				if v.By >= 0 {
					by := v.By + 1
					o.DisclosedBy = &by
					text += "  key disclosed by " + strconv.Itoa(by)
				}
				if v.State == transcript.Verified {
					n := int64(v.Number)
					o.InChain = &n
				}
				if err := a.out.show(o, text+"\n"); err != nil {
					return err
				}
			}
			o := transcriptOf(args[0], t, r)
			if err := a.out.show(o, transcriptText(o)); err != nil {
				return err
			}
			if r.Bad > 0 {
				return &failure{err: errTranscript, message: fmt.Sprintf("%d of %s do not hold", r.Bad, count(len(t.Messages), "message"))}
			}
			return nil
		}),
	}
}

func reasonText(reason string) string {
	if reason == "" {
		return ""
	}
	return ", " + reason
}
