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
	// ReadKey waits for one line on the terminal: the pace of the demonstration.
	ReadKey func(ctx context.Context) error

	Engine Engine
}

// Engine is the working part behind the commands.
type Engine struct {
	Register func(context.Context, client.Config, client.RegisterRequest) (client.API, error)
	Open     func(context.Context, client.Config) (client.API, error)
	Serve    func(ServeConfig) (Server, error)
	// Examine reads a home as a thief with the passphrase would.
	Examine func(client.Config) (Examination, error)
	// Forge makes another text of the same length pass for one that was sent,
	// from recorded envelopes alone.
	Forge func(envelopes [][]byte, oldText, newText string) (Forgery, error)
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
	Log          *slog.Logger
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

// Examination is a home opened by a thief: it tries what the keys in it open.
type Examination interface {
	// TryOpen returns nil when some key in the home opens the envelope.
	TryOpen(envelope []byte) error
}

// Forgery is a message nobody sent, and the proof that it passes.
type Forgery struct {
	Original []byte // the recorded envelope that was changed
	Forged   []byte // verifies under the same disclosed key
	Seed     []byte // the disclosed seed it was made with
}

// dark reports whether an environment variable is set at all to something.
func (e *Env) isSet(name string) bool { return e.Getenv(name) != "" }
