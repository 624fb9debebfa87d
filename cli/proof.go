package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// signatureText says in words what SignatureState says to programs.
func signatureText(s client.SignatureState) string {
	switch s {
	case client.SignatureValid:
		return "signed by the device of its sender; `pawl message proof` proves it to others"
	case client.SignatureInvalid:
		return "does not hold: the message is as good as unsigned"
	}
	return ""
}

// signedText marks a signed message in a conversation.
func signedText(m client.Message) string {
	switch m.Signature {
	case client.SignatureValid:
		return " [signed]"
	case client.SignatureInvalid:
		return " [signature does not hold]"
	}
	return ""
}

// proofObject is what a proof shows.
type proofObject struct {
	header
	File       string   `json:"file" doc:"where it is"`
	Author     string   `json:"author" doc:"address of who wrote the message"`
	Identity   string   `json:"identity" doc:"fingerprint of the author's account key; that it is theirs, the proof does not show"`
	Device     string   `json:"device" doc:"device that signed"`
	DeviceName string   `json:"device_name" doc:"its name, may be empty"`
	To         string   `json:"to" doc:"address of the recipient, or a group's id"`
	ID         string   `json:"id" doc:"id of the message"`
	SentAt     string   `json:"sent_at" doc:"the author's word, RFC 3339, UTC"`
	Text       string   `json:"text" doc:"what was signed"`
	Subject    string   `json:"subject,omitempty" doc:"subject line"`
	ReplyTo    string   `json:"reply_to,omitempty" doc:"id of the message that it answers"`
	Mentions   []string `json:"mentions,omitempty" doc:"addresses that it mentions"`
	AddedAt    string   `json:"added_at" doc:"when the device was added to the account, RFC 3339, UTC"`
	RevokedAt  *string  `json:"revoked_at" doc:"when the device was revoked; whoever has its key can have signed since, with an earlier time; null when the list in the proof does not say so"`
	List       int64    `json:"list" doc:"version of the device list in the proof; a later one may have revoked the device"`
	ListAt     string   `json:"list_at" doc:"date of that list, RFC 3339, UTC"`
}

func (a *app) provenText(o proofObject, p client.Proven) string {
	text := fmt.Sprintf("%s  the signature holds\n", clean(o.File)) + fields("  ",
		[2]string{"author", clean(p.Author)},
		[2]string{"identity", clean(p.Identity) + "  compare it by another way: the proof does not show whose it is"},
		[2]string{"device", clean(strings.TrimSpace(p.Device + "  " + p.DeviceName))},
		[2]string{"to", clean(p.To)},
		[2]string{"message", clean(p.ID)},
		[2]string{"sent", a.when(p.SentAt) + "  by the author's word"},
		[2]string{"reply to", clean(p.ReplyTo)},
		[2]string{"mentions", cleanAll(p.Mentions)},
		[2]string{"subject", clean(p.Subject)},
		[2]string{"device list", fmt.Sprintf("version %d of %s", p.List, a.when(p.ListAt))},
	)
	if !p.RevokedAt.IsZero() {
		text += "  the device was revoked at " + a.when(p.RevokedAt) + ": whoever has its key since can have signed this with an earlier time\n"
	}
	return text + indent(cleanLines(p.Text)+"\n")
}

func provenOf(file string, p client.Proven) proofObject {
	return proofObject{
		head("proof"), file, p.Author, p.Identity, p.Device, p.DeviceName, p.To, p.ID, instant(p.SentAt), p.Text, p.Subject, p.ReplyTo, p.Mentions,
		instant(p.AddedAt), maybeInstant(p.RevokedAt), int64(p.List), instant(p.ListAt),
	}
}

// messageProof writes what proves a signed message (R-CLI-42).
func (a *app) messageProof() *cobra.Command {
	var output string
	var force bool
	cmd := &cobra.Command{
		Use:   "proof ID -o FILE",
		Short: "write what proves who wrote a signed message",
		Long: `Writes the signature of a message that was sent with --sign, with everything that it takes
to check it: the message, and the whole device list of its author as it is held here. Who
has the file can prove to anybody who wrote the message. A message that was not signed, and
one that was edited here, cannot be proven.`,
		Example: "  pawl message proof 4QW6… -o promise.proof\n  pawl message verify-proof promise.proof",
		Args:    words(1, 1, "one ID"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if err := needOutput(output); err != nil {
				return err
			}
			return a.with(ctx, func(api client.API) error {
				b, err := api.Proof(ctx, args[0])
				if err != nil {
					return err
				}
				p, err := client.VerifyProof(b)
				if err != nil {
					return err
				}
				to := target{output, force}
				err = to.write(ctx, func(w io.Writer) error {
					_, err := w.Write(b)
					return err
				})
				if err != nil {
					return err
				}
				o := provenOf(output, p)
				return a.out.show(o, a.provenText(o, p))
			})
		}),
	}
	newFileFlags(cmd, &output, &force)
	return cmd
}

// verifyProof checks a proof offline (R-CLI-42).
func (a *app) verifyProof() *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use:   "verify-proof FILE",
		Short: "check who wrote a signed message, offline",
		Long: `Checks a file of "pawl message proof": the signature, the whole device list of the author,
and whether the device was on it at that time and not revoked. It takes no account and asks
nobody. What it does not show is whose the account key is: compare the identity by another
way, or give it with --identity, and it is held against that. The time is the author's
word, and a device list that ends before a revocation does not show it.`,
		Example: "  pawl message verify-proof promise.proof\n  pawl message verify-proof promise.proof --json | jq -r .text",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(_ context.Context, args []string) error {
			b, err := readProof(args[0])
			if err != nil {
				return err
			}
			p, err := client.VerifyProof(b)
			if err != nil {
				return err
			}
			if want := strings.ToLower(strings.Join(strings.Fields(identity), "")); want != "" && want != p.Identity {
				return fmt.Errorf("%w: it is of another identity", client.ErrProofFails)
			}
			o := provenOf(args[0], p)
			return a.out.show(o, a.provenText(o, p))
		}),
	}
	cmd.Flags().StringVar(&identity, "identity", "", "`FINGERPRINT` of the author's account key, as their `pawl status` shows it")
	return cmd
}

func readProof(name string) ([]byte, error) {
	f, err := openWord(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, client.MaxProof+64))
}
