// Package cli is the program pawl: its commands, what they print, how they
// fail, and the guided demonstration.
//
// A command here parses its words, calls package client or package server,
// and prints. What it prints and how it exits is a promise to scripts, written
// in spec/cli.md; the objects of --json are the structs of objects.go.
//
// Not its concern: the protocol, the store, the network. Nothing here opens an
// envelope; even the demonstration asks package client to.
package cli

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// Env is everything a run of the program takes from outside. Main fills it
// from the operating system; tests fill it by hand.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Getenv looks an environment variable up; empty means not set.
	Getenv func(string) string
	Now    func() time.Time
	// Zone is the time zone of times printed for people; nil is UTC.
	Zone *time.Location
	// The three terminal questions. Each is asked anew, so that a test can
	// change its answer.
	StdinTerminal, StdoutTerminal, StderrTerminal func() bool
	// Width is the number of columns of the terminal on standard output.
	Width func() int
	// ReadSecret shows a prompt on the terminal and reads a line without
	// echo. It returns ErrNoTerminal at once when there is none.
	ReadSecret func(ctx context.Context, prompt string) ([]byte, error)
	// ReadLine shows a prompt on standard error and reads a line from the
	// terminal on standard input.
	ReadLine func(ctx context.Context, prompt string) (string, error)

	Engine Engine
}

// Engine is the working part behind the commands.
type Engine struct {
	Register func(context.Context, client.Config, client.RegisterRequest) (client.API, error)
	Open     func(context.Context, client.Config) (client.API, error)
	// Link makes a home that is a device of an account that exists, Relink makes a
	// new device of a home that is an older copy of itself; ParseLink reads what a
	// waiting device shows.
	Link      func(context.Context, client.Config, client.LinkRequest) (client.API, error)
	Relink    func(context.Context, client.Config, client.LinkRequest) (client.API, error)
	ParseLink func(uri string) (client.LinkOffer, error)
	// VerifyBackup reads a backup to its end; Restore makes a home of one.
	VerifyBackup func(context.Context, io.Reader, client.BackupOptions) (client.BackupSummary, error)
	Restore      func(context.Context, client.Config, io.ReadSeeker, client.RestoreRequest) (client.API, client.BackupSummary, error)
	// RestoreWords makes a home of the words on paper.
	RestoreWords func(context.Context, client.Config, client.WordsRequest) (client.API, error)
	Serve        func(ServeConfig) (Server, error)
	// Examine opens a copy of a home as a thief with the passphrase would.
	Examine func(client.Config) (Examination, error)
	// Forge makes a message that was never sent out of one that was, from what
	// went over the wire and what the two devices publish.
	Forge func(context.Context, ForgeRequest) (Forgery, error)
}

// Server is a running relay.
type Server interface {
	Addr() string
	// Invite returns an invite link, or an empty one when registration is
	// closed.
	Invite(context.Context) (string, error)
	// Serve answers until ctx ends and then shuts down cleanly.
	Serve(ctx context.Context) error
}

// ServeConfig is what pawl serve knows of the server it is to run.
type ServeConfig struct {
	Data         string
	Listen       string
	Host         string
	CertFile     string
	KeyFile      string
	ACME         string
	Registration string // invite, open or closed
	// Restored says that Data was restored from a copy since it last ran.
	Restored bool
	Log      *slog.Logger
	// Tap, when not nil, is shown every row that the mailbox is asked to
	// keep, before the server seals it under its own key: the most that a
	// curious operator could see. The demonstration prints it.
	Tap func(TappedRow)
}

// TappedRow is one message as the server holds it.
type TappedRow struct {
	User   string // the recipient's name at this server
	Device string // the recipient's device
	ID     string
	Body   []byte // the opaque envelope
}

// Examination is a home in the hands of a thief: it tries what its keys open.
type Examination interface {
	// TryOpen returns the text of an envelope, and whether any key in the home
	// opens it at all.
	TryOpen(ctx context.Context, envelope []byte) (text string, opens bool, err error)
	Close() error
}

// ForgeRequest names the message to forge. Of the recorded envelopes, the
// first that a disclosed key verifies is changed.
type ForgeRequest struct {
	Envelopes [][]byte
	// Home is a copy of a home that knows both devices. Only their public keys
	// are read; anybody could ask the server for them.
	Home             client.Config
	OldText, NewText string // of equal length
}

// Forgery is a message nobody sent.
type Forgery struct {
	Original []byte // the recorded envelope
	Forged   []byte // the same with the new text
	Seed     []byte // the disclosed value that made it possible
	// Verifies checks an envelope under the disclosed key exactly as the
	// receiver of the original did.
	Verifies func(envelope []byte) bool
}

// isSet reports whether an environment variable is set to something.
func (e *Env) isSet(name string) bool { return e.Getenv(name) != "" }
