package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) device() *cobra.Command {
	return a.noun(&cobra.Command{
		Use:     "device",
		Short:   "link, list, rename and cut off one's own devices",
		GroupID: groupSetup,
		Long: `One account has up to 8 devices. Each has keys and sessions of its own; what is sent and
received appears on all of them. The first device holds the account key, which signs the
list of devices: adding, renaming and removing one needs that device, or the recovery
file.`,
		Example: "  pawl device link                      # on the new device\n  pawl device approve PAWL://DEVICE/LINK/…  # on the one that holds the account key\n  pawl device list\n  pawl device revoke phone",
	}, a.deviceLink(), a.deviceApprove(), a.deviceList(), a.deviceRename(), a.deviceRevoke(), a.deviceRelink(), a.deviceHistory())
}

func (a *app) deviceList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "list the devices of this account",
		Long:    "Lists the devices of this account in the order in which they were added, removed ones\nincluded. Works without the server.",
		Example: "  pawl device list\n  pawl device list --json | jq -r 'select(.revoked | not).name'",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				all, err := api.Devices(ctx)
				if err != nil {
					return err
				}
				if a.out.json {
					return printObjects(a, all, deviceOf)
				}
				var rows [][]string
				for _, d := range all {
					mark, state := " ", "since "+a.when(d.AddedAt)
					if d.Current {
						mark, state = "*", state+", this device"
					}
					if d.Revoked {
						state = "removed, was added " + a.when(d.AddedAt)
					}
					rows = append(rows, []string{mark, clean(d.ID), clean(d.Name), state})
				}
				return a.out.text(table(a.env.Width(), rows))
			})
		}),
	}
}

func (a *app) deviceRename() *cobra.Command {
	return &cobra.Command{
		Use: "rename ID NAME", Short: "give a device another name",
		Long:    "Gives a device another name, which your other devices and everybody you talk to see. ID is\na device's id, the beginning of one, or its present name. Needs the account key.",
		Example: "  pawl device rename 3f2a desktop\n  pawl device rename phone 'old phone'",
		Args:    words(2, 2, "an ID and a NAME"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				d, err := api.RenameDevice(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return a.out.show(deviceOf(d), "device "+deviceText(d.ID, d.Name)+"\n")
			})
		}),
	}
}

func (a *app) deviceRevoke() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "cut a device off, for good",
		Long: `Removes a device from the account: the server ends its connection and deletes what waits
for it, and your other devices and everybody you talk to stop sealing for it. Messages
that are under way to others are not touched, and what is stored on the device stays
readable there: its passphrase protects that, not this command.

ID is a device's id, the beginning of one, or its name. There is no way back; the same
machine can be linked again as a new device. Needs the account key.`,
		Example: "  pawl device revoke phone\n  pawl device revoke 3f2a --yes --json",
		Args:    words(1, 1, "one ID"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				d, err := meant(ctx, api, args[0])
				if err != nil {
					return err
				}
				if d.Current {
					return usagef("run it on another device that holds the account key", "a device cannot cut itself off")
				}
				if !yes {
					err = a.confirm(ctx, fmt.Sprintf("Cut off device %s, for good?", deviceText(d.ID, d.Name)),
						"say --yes if you are sure", "a device is cut off only after a confirmation")
					if err != nil {
						return err
					}
				}
				if d, err = api.RevokeDevice(ctx, d.ID); err != nil {
					return err
				}
				return a.out.show(deviceOf(d), "removed device "+deviceText(d.ID, d.Name)+"\n")
			})
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// meant finds the device that a word means.
func meant(ctx context.Context, api client.API, word string) (client.Device, error) {
	all, err := api.Devices(ctx)
	if err != nil {
		return client.Device{}, err
	}
	var found []client.Device
	for _, d := range all {
		if d.ID == word {
			return d, nil
		}
		if word != "" && (strings.HasPrefix(d.ID, strings.ToLower(word)) || d.Name == word && !d.Revoked) {
			found = append(found, d)
		}
	}
	if len(found) > 1 {
		return client.Device{}, fmt.Errorf("%w: %d of its devices could be meant", client.ErrUnknownDevice, len(found))
	}
	if len(found) == 0 {
		return client.Device{}, client.ErrUnknownDevice
	}
	return found[0], nil
}

// confirm asks a question that only a person in front of a terminal may
// answer. Without one, and for programs, it is a mistake in usage (R-CLI-16).
func (a *app) confirm(ctx context.Context, question, hint, why string) error {
	if a.out.json || !a.env.StdinTerminal() || !a.env.StderrTerminal() {
		return usagef(hint, "%s, and there is nobody to ask", why)
	}
	answer, err := a.env.ReadLine(ctx, question+" [y/N] ")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return usagef("nothing was done", "not confirmed")
	}
	return nil
}

func (a *app) deviceApprove() *cobra.Command {
	var yes, history bool
	cmd := &cobra.Command{
		Use: "approve URI", Short: "let a waiting device into this account",
		Long: `Lets the device into this account that shows URI: run pawl device link there, and carry
the URI here by a paste or a camera. URI may be -, then it is read from standard input.

Both devices show the same short code; go on only if they do. Without a terminal the
comparison is yours: say --yes when it is done. --history lets the new device fetch the
messages that are here. Needs the account key.`,
		Example: "  pawl device approve 'PAWL://DEVICE/LINK/…'\n  pawl device approve - --history < uri.txt\n  ssh server pawl device link --json | head -n 1 | jq -r .uri",
		Args:    words(1, 1, "one URI"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			uri, err := a.uriOf(args[0], "`pawl device link` on the new device shows it", client.ErrLinkInvalid)
			if err != nil {
				return err
			}
			offer, err := a.env.Engine.ParseLink(uri)
			if err != nil {
				return err
			}
			if !offer.Expires.IsZero() && a.env.Now().After(offer.Expires) {
				return client.ErrLinkExpired
			}
			if !yes {
				err := a.confirm(ctx, fmt.Sprintf("Does the new device show the code %s?", clean(offer.Code)),
					fmt.Sprintf("the code is %s: compare it with what the new device shows, then say --yes", offer.Code), "the code has to be compared first")
				if err != nil {
					return err
				}
			}
			return a.with(ctx, func(api client.API) error {
				d, err := api.Approve(ctx, uri, client.ApproveOptions{History: history})
				if errors.Is(err, client.ErrUnreachable) {
					return &failure{err: err, message: err.Error(), hint: "see that the new device still waits and shows this URI, and that both reach the same server or each other"}
				}
				if err != nil {
					return err
				}
				err = a.out.show(deviceOf(d), fmt.Sprintf("device %s is part of %s now\n", deviceText(d.ID, d.Name), clean(api.Account().Address)))
				if err == nil && history {
					a.handOver(ctx, api, d.ID)
				}
				return err
			})
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "the codes were compared and agree; do not ask")
	cmd.Flags().BoolVar(&history, "history", false, "let the new device fetch the messages that are here, and stay until it has them")
	return cmd
}

// maxURI bounds what is read of standard input for a link.
const maxURI = 4096

// uriOf is a URI that was carried here: the word, or a line of standard input.
// source says where it comes from, and invalid is the error for one that is too long.
func (a *app) uriOf(word, source string, invalid error) (string, error) {
	if word == "-" {
		line, err := bufio.NewReader(io.LimitReader(a.env.Stdin, maxURI+1)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("standard input cannot be read: %w", err)
		}
		word = line
	}
	word = strings.TrimSpace(word)
	switch {
	case word == "":
		return "", usagef(source, "there is no URI")
	case len(word) > maxURI:
		return "", invalid
	}
	return word, nil
}
