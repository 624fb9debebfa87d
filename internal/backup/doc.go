// Package backup is the format of sealed backups (spec/backup.md): a file that
// opens with a passphrase of its own and holds an account's identity, its
// contacts and its messages.
//
// [NewWriter] and [NewReader] are the format; the records are in record.go and
// check themselves, since whoever knows the passphrase can write any backup.
//
// Not its concern: where the records come from and go to (package client), and
// the file on disk (package cli).
package backup
