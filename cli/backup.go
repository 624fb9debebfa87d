package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) backup() *cobra.Command {
	return a.noun(&cobra.Command{
		Use:     "backup",
		Short:   "make, check and restore sealed backups",
		GroupID: groupSetup,
		Long: `A backup is one sealed file with the account's identity, contacts and history, under a
passphrase of its own (--backup-passphrase-file, or asked for on the terminal). It
holds nothing of the ratchet: a device that is restored from it is a new device of the
account and starts new sessions.

Whoever has the file and its passphrase has the account. Keep them apart.`,
		Example: "  pawl backup create alice.pawl\n  pawl backup verify alice.pawl\n  pawl backup restore alice.pawl",
	}, a.backupCreate(), a.backupVerify(), a.backupRestore())
}

func backupPassphraseFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "backup-passphrase-file", "", "`FILE` that holds the passphrase of the backup")
}

// backupPassphrase finds the passphrase of a backup. It is never the store's
// by default, and nobody is asked where there is no terminal.
func (a *app) backupPassphrase(ctx context.Context, file string, fresh bool) ([]byte, error) {
	if file != "" {
		u, err := passphraseFile("--backup-passphrase-file", file)
		return u.Passphrase, err
	}
	var secret []byte
	var err error
	if fresh {
		secret, err = a.newSecret(ctx, "passphrase for the backup: ")
	} else {
		secret, err = a.env.ReadSecret(ctx, "passphrase of the backup: ")
	}
	if errors.Is(err, ErrNoTerminal) {
		return nil, usagef("give --backup-passphrase-file FILE", "the backup needs a passphrase, and there is no terminal to ask on")
	}
	return secret, err
}

func (a *app) backupCreate() *cobra.Command {
	var passphrase string
	var force bool
	cmd := &cobra.Command{
		Use:   "create FILE",
		Short: "write a sealed backup",
		Long: `Writes history, contacts and identity into FILE, sealed under a passphrase of its own.
FILE appears when it is whole, readable by you only, and never replaces another unless
--force is given.`,
		Example: "  pawl backup create alice.pawl\n  pawl backup create /mnt/alice.pawl --backup-passphrase-file ./secret --force",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			secret, err := a.backupPassphrase(ctx, passphrase, true)
			if err != nil {
				return err
			}
			defer clear(secret)
			return a.with(ctx, func(api client.API) error {
				return a.writeBackup(ctx, api, args[0], client.BackupOptions{Passphrase: secret}, force)
			})
		}),
	}
	backupPassphraseFlag(cmd, &passphrase)
	cmd.Flags().BoolVar(&force, "force", false, "replace a FILE that exists")
	return cmd
}

func (a *app) writeBackup(ctx context.Context, api client.API, path string, o client.BackupOptions, force bool) error {
	var summary client.BackupSummary
	to := target{path, force}
	err := to.write(ctx, func(w io.Writer) error {
		p := a.progress("messages", 0)
		defer p.end()
		o.Progress = p.at
		return a.unlocked(ctx, api, func(api client.API) (err error) {
			summary, err = api.Backup(ctx, w, o)
			return err
		})
	})
	if err != nil {
		return err
	}
	return a.out.show(backupOf(path, summary), a.backupText(path, summary))
}

// unlocked does what needs the account key. A running owner hands it out only
// to who knows what opens the store, so the store's passphrase may be asked for.
func (a *app) unlocked(ctx context.Context, api client.API, do func(client.API) error) error {
	locked := do(api)
	if !errors.Is(locked, client.ErrLocked) {
		return locked
	}
	secret, err := a.env.ReadSecret(ctx, "passphrase of the store: ")
	if errors.Is(err, ErrNoTerminal) {
		return locked
	}
	if err != nil {
		return err
	}
	home, err := a.homeDir()
	if err != nil {
		return err
	}
	api, err = a.env.Engine.Open(ctx, client.Config{Home: home, Log: a.log(), Now: a.env.Now, Unlock: client.Unlock{Passphrase: secret}})
	if err != nil {
		return err
	}
	defer api.Close()
	return do(api)
}

func (a *app) backupVerify() *cobra.Command {
	var passphrase string
	cmd := &cobra.Command{
		Use:     "verify FILE",
		Short:   "read a backup and check all of it",
		Long:    "Reads FILE from its beginning to its end, checks everything that a restore would, and\nsays what it holds. Needs no account and changes nothing.",
		Example: "  pawl backup verify alice.pawl\n  pawl backup verify alice.pawl --json | jq .messages",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			f, err := openBackup(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			secret, err := a.backupPassphrase(ctx, passphrase, false)
			if err != nil {
				return err
			}
			defer clear(secret)
			p := a.progress("messages", 0)
			summary, err := a.env.Engine.VerifyBackup(ctx, f, client.BackupOptions{Passphrase: secret, Progress: p.at})
			p.end()
			if err != nil {
				return err
			}
			return a.out.show(backupOf(args[0], summary), a.backupText(args[0], summary))
		}),
	}
	backupPassphraseFlag(cmd, &passphrase)
	return cmd
}

func openBackup(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("", "%s cannot be read: %s", clean(path), reason(err))
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, usagef("", "%s is not a file", clean(path))
	}
	return f, nil
}

func (a *app) backupRestore() *cobra.Command {
	var passphrase, name string
	var revoke bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "make a new home of a backup, as a new device",
		Long: `Makes a home of FILE where there is none: with the history and contacts of the backup,
as a new device of the same account. The server must be reachable. The store of the
new home opens as with pawl register: --passphrase-file, --key-file, or asked for.

Sessions start anew: the first messages either way make new ones, and peers see a new
device. --revoke-old removes the device that made the backup from the account, so
that nobody sends to it any more; use it when that device is lost. A restore that was
interrupted goes on when it is repeated.`,
		Example: "  pawl backup restore alice.pawl --revoke-old\n  pawl backup restore alice.pawl --home ./alice --key-file ./key --name desktop",
		Args:    words(1, 1, "one FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			req := client.RestoreRequest{DeviceName: name, RevokeOld: revoke}
			summary, err := a.restoreFile(ctx, args[0], passphrase, req)
			if err != nil {
				return err
			}
			a.out.note("%d messages and %d contacts are back; this is a new device, and sessions start anew with the next messages", summary.Messages, summary.Contacts)
			if !revoke {
				a.out.note("the device that made the backup (%s) is still part of the account", clean(summary.Device))
			}
			return nil
		}),
	}
	backupPassphraseFlag(cmd, &passphrase)
	cmd.Flags().StringVar(&name, "name", "", "name of the new `DEVICE`, shown to peers")
	cmd.Flags().BoolVar(&revoke, "revoke-old", false, "remove the device that made the backup")
	return cmd
}

// restoreFile makes a home of a backup or recovery file and prints the account.
func (a *app) restoreFile(ctx context.Context, path, passphrase string, req client.RestoreRequest) (summary client.BackupSummary, err error) {
	home, err := a.homeDir()
	if err != nil {
		return summary, err
	}
	f, err := openBackup(path)
	if err != nil {
		return summary, err
	}
	defer f.Close()
	if req.Passphrase, err = a.backupPassphrase(ctx, passphrase, false); err != nil {
		return summary, err
	}
	defer clear(req.Passphrase)
	unlock, undo, err := a.unlockNew(ctx, home)
	if err != nil {
		return summary, err
	}
	p := a.progress("messages", 0)
	req.Progress = p.at
	api, summary, err := a.env.Engine.Restore(ctx, client.Config{Home: home, Unlock: unlock, Log: a.log(), Now: a.env.Now}, f, req)
	p.end()
	if err != nil {
		undo()
		return summary, err
	}
	defer api.Close()
	account := api.Account()
	if err := a.out.show(accountOf(account), a.accountText(account)); err != nil {
		return summary, err
	}
	a.warnKeyFile(home, unlock)
	return summary, nil
}

func (a *app) backupText(path string, s client.BackupSummary) string {
	return a.out.out().bold(plain, clean(path)) + "\n" + fields("  ",
		[2]string{"account", clean(s.Address)},
		[2]string{"identity", clean(s.Identity)},
		[2]string{"made", a.when(s.MadeAt) + "  by device " + clean(s.Device)},
		[2]string{"contacts", fmt.Sprint(s.Contacts)},
		[2]string{"messages", fmt.Sprint(s.Messages)},
	)
}

// newSecret asks for a new secret twice.
func (a *app) newSecret(ctx context.Context, prompt string) ([]byte, error) {
	for range promptTries {
		first, err := a.env.ReadSecret(ctx, prompt)
		if err != nil {
			return nil, err
		}
		if len(first) == 0 {
			a.out.note("a passphrase cannot be empty")
			continue
		}
		second, err := a.env.ReadSecret(ctx, "once more: ")
		if err != nil {
			return nil, err
		}
		if bytes.Equal(first, second) {
			return first, nil
		}
		a.out.note("the two differ")
	}
	return nil, usagef("", "no passphrase was chosen")
}
