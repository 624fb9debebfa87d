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
under a passphrase of its own, and neither history nor contacts. Recovery words are the
same key on paper: 24 English words, which no passphrase protects. With either somebody
who lost every device takes the account back. Whoever has the words, or the file and its
passphrase, has the account.`,
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
	var force, paper bool
	cmd := &cobra.Command{
		Use:   "export FILE | --words",
		Short: "write the recovery file, or show the words",
		Long: `Writes the account key into FILE, sealed under a passphrase of its own; or, with --words,
prints it as 24 words to write on paper, with what else belongs on that paper. The words
are the key itself: whoever reads them has the account. Make either once, and keep it
away from your devices: it stays good for as long as the account is. Works on the device
that holds the account key.`,
		Example: "  pawl account recovery export alice.key.pawl\n  pawl account recovery export k.pawl --backup-passphrase-file ./secret\n  pawl account recovery export --words",
		Args: func(cmd *cobra.Command, args []string) error {
			if paper {
				return words(0, 0, "no words")(cmd, args)
			}
			return words(1, 1, "one FILE, or --words")(cmd, args)
		},
		RunE: a.run(func(ctx context.Context, args []string) error {
			if paper && (passphrase != "" || force) {
				return usagef("no passphrase protects words on paper", "--words excludes --backup-passphrase-file and --force")
			}
			if paper {
				return a.with(ctx, func(api client.API) error { return a.showWords(ctx, api) })
			}
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
	cmd.Flags().BoolVar(&paper, "words", false, "print 24 words for paper instead")
	return cmd
}

func (a *app) recoveryRestore() *cobra.Command {
	var passphrase, name, pin, invite string
	var revoke, paper bool
	cmd := &cobra.Command{
		Use:   "restore FILE | --words ADDRESS",
		Short: "take the account back on a new home",
		Long: `Makes a new home with a new device of the account, without history and contacts: from
FILE, or from the 24 words (--words), which are asked for or read from standard input.
With words the ADDRESS is needed and, unless the server has a public certificate, its
--pin from the paper or any --invite link of it. The server must be reachable. The store
of the new home opens as with pawl register.

--revoke-others removes every other device from the account: use it when they are lost.
A restore that was interrupted goes on when it is repeated.`,
		Example: "  pawl account recovery restore alice.key.pawl --revoke-others --name laptop\n  pawl account recovery restore --words alice@chat.example.org --pin PIN",
		Args: func(cmd *cobra.Command, args []string) error {
			if paper {
				return words(1, 1, "one ADDRESS")(cmd, args)
			}
			return words(1, 1, "one FILE, or --words and an ADDRESS")(cmd, args)
		},
		RunE: a.run(func(ctx context.Context, args []string) (err error) {
			switch {
			case paper && passphrase != "":
				return usagef("no passphrase protects words on paper", "--words excludes --backup-passphrase-file")
			case !paper && (pin != "" || invite != ""):
				return usagef("a recovery file says which server it is", "--pin and --invite belong to --words")
			case pin != "" && invite != "":
				return usagef("an invite link has the pin", "--pin and --invite exclude each other")
			case paper:
				err = a.restoreWords(ctx, client.WordsRequest{Address: args[0], Pin: pin, Invite: invite, DeviceName: name, RevokeAll: revoke})
			default:
				_, err = a.restoreFile(ctx, args[0], passphrase, client.RestoreRequest{
					BackupOptions: client.BackupOptions{Recovery: true}, DeviceName: name, RevokeAll: revoke,
				})
			}
			if err == nil {
				a.out.note("this is a new device; sessions start anew, and contacts are pinned again when you write to them: compare safety numbers")
			}
			return err
		}),
	}
	backupPassphraseFlag(cmd, &passphrase)
	cmd.Flags().StringVar(&name, "name", "", "name of the new `DEVICE`, shown to peers")
	cmd.Flags().BoolVar(&revoke, "revoke-others", false, "remove every other device from the account")
	cmd.Flags().BoolVar(&paper, "words", false, "from the 24 words instead of a file")
	cmd.Flags().StringVar(&pin, "pin", "", "`PIN` of the server's key, from the paper")
	cmd.Flags().StringVar(&invite, "invite", "", "any invite `LINK` of the server, which has its pin")
	return cmd
}
