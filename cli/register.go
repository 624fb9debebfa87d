package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) register() *cobra.Command {
	var invite, name string
	cmd := &cobra.Command{
		Use:     "register NAME --invite LINK",
		Short:   "make an account; this is its first device",
		GroupID: groupSetup,
		Long: `Makes a new account at a server and a home for it on this machine. NAME is a user
name, or user@host when there is no invite link.

The store in the home is sealed. It opens with a passphrase (--passphrase-file,
PAWL_PASSPHRASE_FILE, the systemd credential pawl.passphrase, or asked for twice on
the terminal) or with a key file that is made here (--key-file). With neither and
without a terminal a key file is made inside the home; file permissions alone then
protect the store.`,
		Example: `  pawl register alice --invite 'pawl://localhost:7295/invite/…'
  pawl register alice --invite LINK --name laptop
  pawl register bot@chat.example.org --home /var/lib/bot --key-file /etc/bot.key`,
		Args: words(1, 1, "one NAME"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			home, err := a.homeDir()
			if err != nil {
				return err
			}
			unlock, undo, err := a.unlockNew(ctx, home)
			if err != nil {
				return err
			}
			cfg := client.Config{Home: home, Unlock: unlock, Log: a.log(), Now: a.env.Now}
			api, err := a.env.Engine.Register(ctx, cfg, client.RegisterRequest{Name: args[0], Invite: invite, DeviceName: name})
			if err != nil {
				undo()
				return err
			}
			defer api.Close()
			account := api.Account()
			if err := a.out.show(accountOf(account), a.accountText(account)); err != nil {
				return err
			}
			a.warnKeyFile(home, unlock)
			if !a.out.json {
				a.out.note("others reach you as %s; try `pawl send me hello` and `pawl history me`", clean(account.Address))
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&invite, "invite", "", "invite `LINK` of the server, pawl://…")
	cmd.Flags().StringVar(&name, "name", "", "name of this `DEVICE`, shown to peers")
	return cmd
}

func (a *app) accountText(x client.Account) string {
	return a.out.out().bold(plain, clean(x.Address)) + "\n" + fields("  ", a.accountFields(x, "")...)
}

// accountFields are the lines about an account; connection is said of the
// server when it is known.
func (a *app) accountFields(x client.Account, connection string) [][2]string {
	return [][2]string{
		{"device", deviceText(x.Device, x.DeviceName)},
		{"server", strings.TrimSpace(clean(x.Server) + "  " + connection)},
		{"identity", clean(x.Identity)},
		{"created", a.when(x.CreatedAt)},
	}
}

func deviceText(id, name string) string {
	if name == "" {
		return clean(id)
	}
	return clean(id) + "  " + clean(name)
}
