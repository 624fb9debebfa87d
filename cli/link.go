package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

const linkText = `Makes this home a further device of an account that exists. It shows a URI, as text and
on a terminal also as a QR code, and a short code. Carry the URI to the device that
holds the account key (pawl device approve URI), and see that both show the same code.
The offer is good for ten minutes and for one device.

The two meet at the account's server (--server), or directly over the local machine or
network (without --server; --listen says where). The store of the new home opens as with
pawl register. If the other device offers its history, it is fetched now; that may be
interrupted, and pawl device history goes on.`

func linkFlags(cmd *cobra.Command, req *client.LinkRequest) {
	cmd.Flags().StringVar(&req.DeviceName, "name", "", "name of this `DEVICE`, shown to your devices and to peers")
	cmd.Flags().StringVar(&req.Server, "server", "", "`SERVER` where the devices meet: host[:port], an address, or an invite link")
	cmd.Flags().StringVar(&req.Listen, "listen", "", "`ADDRESS` to wait at without --server (default: a free port)")
}

func checkLinkFlags(req client.LinkRequest) error {
	if req.Server != "" && req.Listen != "" {
		return usagef("devices meet at the server or directly", "--server and --listen exclude each other")
	}
	return nil
}

// link is the short name of device link.
func (a *app) link() *cobra.Command {
	cmd := a.deviceLink()
	cmd.GroupID = groupSetup
	cmd.Short = "add this device to an account that exists"
	cmd.Example = strings.ReplaceAll(cmd.Example, "pawl device link", "pawl link")
	return cmd
}

func (a *app) deviceLink() *cobra.Command {
	var req client.LinkRequest
	cmd := &cobra.Command{
		Use: "link", Short: "add this device to an account that exists",
		Long: linkText,
		Example: `  pawl device link --server alice@chat.example.org --name desktop
  pawl device link --server 'pawl://chat.example.org/invite/…'
  pawl device link --listen 127.0.0.1:0 --key-file ./key --json`,
		Args: words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if err := checkLinkFlags(req); err != nil {
				return err
			}
			home, err := a.homeDir()
			if err != nil {
				return err
			}
			unlock, undo, err := a.unlockNew(ctx, home)
			if err != nil {
				return err
			}
			cfg := client.Config{Home: home, Unlock: unlock, Log: a.log(), Now: a.env.Now}
			api, err := a.join(ctx, req, func(ctx context.Context, req client.LinkRequest) (client.API, error) {
				return a.env.Engine.Link(ctx, cfg, req)
			})
			if err != nil {
				undo()
				return err
			}
			defer api.Close()
			if err := a.joined(ctx, api); err != nil {
				return err
			}
			a.warnKeyFile(home, unlock)
			return a.offeredHistory(ctx, api)
		}),
	}
	linkFlags(cmd, &req)
	return cmd
}

func (a *app) deviceRelink() *cobra.Command {
	var req client.LinkRequest
	cmd := &cobra.Command{
		Use: "relink", Short: "go on as a new device after a rollback",
		Long: `For a home that was restored from a snapshot or copied while the original went on: to send
from it would use keys a second time, so pawl stops with exit code 4. This command makes
a new device of the home. History, contacts and verifications stay; keys and sessions
are new; the old device is removed from the account.

A home that holds the account key does that alone. Another waits to be approved, as with
pawl device link: approve the URI on the device that holds the account key.`,
		Example: "  pawl device relink\n  pawl device relink --name desktop --json",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if err := checkLinkFlags(req); err != nil {
				return err
			}
			api, err := a.join(ctx, req, func(ctx context.Context, req client.LinkRequest) (client.API, error) {
				return a.opening(ctx, func(ctx context.Context, cfg client.Config) (client.API, error) {
					return a.env.Engine.Relink(ctx, cfg, req)
				})
			})
			if err != nil {
				return err
			}
			defer api.Close()
			if err := a.joined(ctx, api); err != nil {
				return err
			}
			return a.offeredHistory(ctx, api)
		}),
	}
	linkFlags(cmd, &req)
	return cmd
}

// join shows what the person carries to the other device as soon as it is
// known, and ends the waiting when standard output does not take it (R-CLI-15).
func (a *app) join(ctx context.Context, req client.LinkRequest, do func(context.Context, client.LinkRequest) (client.API, error)) (client.API, error) {
	waiting, end := context.WithCancelCause(ctx)
	defer end(nil)
	req.Show = func(o client.LinkOffer) {
		if err := a.out.show(linkOf(o), a.offerText(o)); err != nil {
			end(err)
			return
		}
		if !a.out.json {
			a.out.note("waiting until %s; on the device that holds the account key, run", a.clock(o.Expires))
			a.out.note("  pawl device approve '%s'", clean(o.URI))
			a.out.note("and see that it shows the code %s", clean(o.Code))
		}
	}
	api, err := do(waiting, req)
	if cause := context.Cause(waiting); err != nil && cause != nil && ctx.Err() == nil {
		err = cause
	}
	return api, err
}

// joined prints the account that this home is a device of now.
func (a *app) joined(_ context.Context, api client.API) error {
	account := api.Account()
	return a.out.show(accountOf(account), a.accountText(account))
}

// offerText is the offer for people; the QR code is for a camera in front of a
// terminal.
func (a *app) offerText(o client.LinkOffer) string {
	ink := a.out.out()
	text := clean(o.URI) + "\n"
	if a.env.StdoutTerminal() {
		text += "\n" + qrText(o.URI, ink) + "\n"
	}
	return text + "code  " + ink.bold(plain, clean(o.Code)) + "\n"
}

// clock prints the time of day.
func (a *app) clock(t time.Time) string {
	zone := a.env.Zone
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("15:04")
}

func (a *app) deviceHistory() *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "fetch the rest of the history that was offered",
		Long:    "Fetches the messages that the device which approved this one lets it have, and goes on\nwhere an earlier attempt ended. It may be interrupted at any time.",
		Example: "  pawl device history",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				s, err := api.Status(ctx)
				if err != nil {
					return err
				}
				if !s.History.Offered {
					return usagef("the device that approves offers it: `pawl device approve URI --history`", "no other device has offered its history")
				}
				if err := a.fetchHistory(ctx, api, 0); err != nil {
					return err
				}
				if s, err = api.Status(ctx); err != nil {
					return err
				}
				return a.out.show(statusOf(s), "history  "+historyText(s.History)+"\n")
			})
		}),
	}
}

// offeredHistory fetches the history after a link. The link stands whatever
// becomes of it.
func (a *app) offeredHistory(ctx context.Context, api client.API) error {
	s, err := api.Status(ctx)
	if err != nil || !s.History.Offered || s.History.Done {
		return nil
	}
	err = a.fetchHistory(ctx, api, historyPatience)
	switch {
	case errors.Is(err, errAway):
		a.out.note("this device is linked; the other one is away, and the rest of the history comes when both are connected")
	case errors.Is(err, context.Canceled):
		a.out.note("this device is linked; `pawl device history` fetches the rest of the history")
		return err
	case err != nil:
		a.out.warn("this device is linked, but the history is not complete: %s; `pawl device history` fetches the rest", clean(tidy(err.Error())))
	}
	return nil
}

// historyPatience is how long a device that was just linked waits for the next
// part of the history: the other one may have gone.
const historyPatience = 30 * time.Second

var errAway = errors.New("the other device is away")

// fetchHistory waits for the whole history and says how far it has come. With
// some patience it ends, by errAway, when nothing comes for so long.
func (a *app) fetchHistory(ctx context.Context, api client.API, patience time.Duration) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	done := make(chan error, 1)
	go func() { done <- api.FetchHistory(ctx) }()
	last, since := 0, time.Now()
	p := a.progress("messages of the history", 0)
	defer p.end()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			s, err := api.Status(ctx)
			if err != nil {
				continue
			}
			p.at(s.History.Messages, s.History.Total)
			if s.History.Messages != last {
				last, since = s.History.Messages, time.Now()
			}
			if patience > 0 && time.Since(since) > patience {
				end()
				<-done
				return errAway
			}
		}
	}
}
