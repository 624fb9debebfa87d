package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) account() *cobra.Command {
	recovery := a.noun(&cobra.Command{
		Use:   "recovery",
		Short: "keep the account key for the day every device is lost",
		Long: `A recovery file is small: it holds the account key and where the account is, sealed
under a passphrase of its own, and neither history nor contacts. With it somebody who
lost every device takes the account back. Whoever has it and its passphrase has the
account.`,
		Example: "  pawl account recovery export alice.key.pawl\n  pawl account recovery restore alice.key.pawl",
	}, a.recoveryExport(), a.recoveryRestore())
	return a.noun(&cobra.Command{
		Use:     "account",
		Short:   "look after the account as a whole",
		GroupID: groupSetup,
		Example: "  pawl account recovery export alice.key.pawl",
	}, recovery)
}

func (a *app) recoveryExport() *cobra.Command {
	var passphrase string
	var force bool
	cmd := &cobra.Command{
		Use:     "export FILE",
		Short:   "write the sealed recovery file",
		Long:    "Writes the account key into FILE, sealed under a passphrase of its own. Make it once,\nand keep it away from your devices: it stays good for as long as the account is.",
		Example: "  pawl account recovery export alice.key.pawl\n  pawl account recovery export k.pawl --backup-passphrase-file ./secret",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			secret, err := a.backupPassphrase(ctx, passphrase, true)
			if err != nil {
				return err
			}
			defer clear(secret)
			return a.with(ctx, func(api client.API) error {
				return a.writeBackup(ctx, api, args[0], client.BackupOptions{Passphrase: secret, Recovery: true}, force)
			})
		}),
	}
	backupPassphraseFlag(cmd, &passphrase)
	cmd.Flags().BoolVar(&force, "force", false, "replace a FILE that exists")
	return cmd
}

func (a *app) recoveryRestore() *cobra.Command {
	var passphrase, name string
	var revoke bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "take the account back on a new home",
		Long: `Makes a new home with a new device of the account in FILE, without history and
contacts. The server must be reachable; the file says which it is. The store of the
new home opens as with pawl register. --revoke-others removes every other device from
the account: use it when they are lost.`,
		Example: "  pawl account recovery restore alice.key.pawl --revoke-others --name laptop",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			_, err := a.restoreFile(ctx, args[0], passphrase, client.RestoreRequest{
				BackupOptions: client.BackupOptions{Recovery: true}, DeviceName: name, RevokeAll: revoke,
			})
			if err == nil {
				a.out.note("this is a new device; sessions start anew, and contacts are pinned again when you write to them: compare safety numbers")
			}
			return err
		}),
	}
	backupPassphraseFlag(cmd, &passphrase)
	cmd.Flags().StringVar(&name, "name", "", "name of the new `DEVICE`, shown to peers")
	cmd.Flags().BoolVar(&revoke, "revoke-others", false, "remove every other device from the account")
	return cmd
}
