// Package owner sees to it that exactly one process owns a home, and lets the
// others talk to that one. It implements the second part of spec/store.md.
//
// Acquire takes the home's lock and returns an *Owner, or finds that another
// process has it, connects to that one's socket and returns a *Peer. The lock
// decides, never the socket: the system frees it when its holder dies in
// whatever way. An owner opens its store, calls Serve, and in the end Stop,
// closes its store, and Close. A peer calls; when it gets ErrOwnerGone it
// acquires again, may find itself the owner, and repeats what it asked for.
//
// Not its concern: what is called (bodies are opaque), and how a repeated call
// is told from a new one; that is a matter of ids in the bodies.
package owner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/pawl-chat/pawl/internal/home"
)

// Errors, one for each thing a caller does differently.
var (
	// ErrOwnerGone: the owner ended, or is about to, before it answered. The
	// call may have been carried out. Acquire again.
	ErrOwnerGone = errors.New("owner: the process that had this home is gone")
	// ErrNotAnswering: within the time given, the home stayed locked by a
	// process that did not serve.
	ErrNotAnswering = errors.New("owner: another process has this home and does not answer")
	// ErrRefused: the owner did not accept the secret of the hello.
	ErrRefused = errors.New("owner: the passphrase or key file was not accepted")
	// ErrVersion: the owner is of another version of pawl that speaks another
	// local protocol; it has to be ended first.
	ErrVersion = errors.New("owner: the process that has this home is of another version")
	// ErrTooLarge: a body is longer than MaxBody.
	ErrTooLarge = errors.New("owner: the message is too long")
	// ErrInternal: the owner's handler failed in a way it gave no code for.
	ErrInternal = errors.New("owner: the process that has this home failed to answer")
	// ErrClosed: this side was closed.
	ErrClosed = errors.New("owner: closed")
	// ErrUnsupported: this system has no way to lock a home.
	ErrUnsupported = errors.New("owner: this system is not supported")
	// ErrUnsafe: another user could take part (see package home).
	ErrUnsafe = home.ErrUnsafe
)

// Failure is an error that travels: a handler returns one and the peer's call
// returns an equal one. Codes below FirstCode are this package's own.
type Failure struct {
	Code uint64
	Body []byte
}

// Error names the code only.
func (f *Failure) Error() string { return fmt.Sprintf("owner: failure %d", f.Code) }

// Role is what this process is for a home: *Owner or *Peer.
type Role interface {
	// Close ends the role. It may be called more than once.
	Close() error
	role()
}

// Option changes how Acquire works.
type Option func(*options)

type options struct {
	secret []byte
}

// WithSecret sends secret to an owner, which may refuse it. An owner that
// becomes one by this call does not look at it.
func WithSecret(secret []byte) Option { return func(o *options) { o.secret = secret } }

// Acquire makes this process the owner of the home, which is created with mode
// 0700 when it is absent, or connects to its owner. While another process is
// about to own the home, or about to leave it, Acquire waits: until ctx ends,
// and for AcquireTime when ctx has no deadline.
func Acquire(ctx context.Context, dir string, opts ...Option) (Role, error) {
	// R-OWN-01
	var o options
	for _, f := range opts {
		f(&o)
	}
	dir, err := home.Prepare(dir)
	if err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, AcquireTime)
		defer cancel()
	}
	wait := minWait
	for {
		l, err := lock(filepath.Join(dir, lockName))
		if err == nil {
			return &Owner{home: dir, lock: l, ended: make(chan struct{})}, nil
		}
		if !errors.Is(err, errHeld) {
			return nil, err
		}
		p, err := dial(ctx, dir, o.secret)
		if err == nil {
			return p, nil
		}
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrVersion) || errors.Is(err, ErrUnsafe) || errors.Is(err, ErrTooLarge) {
			return nil, err
		}
		// Half of the wait is chance, so that processes started together do
		// not come back together.
		t := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			t.Stop()
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, ErrNotAnswering
		case <-t.C:
		}
		wait = min(2*wait, maxWait)
	}
}

// errHeld: another open file holds the lock.
var errHeld = errors.New("owner: the home is locked")

// Names of files in the home.
const (
	lockName   = "lock"
	socketName = "sock"
	placeName  = "sock.path"
)

// removeSocket removes a socket that a former owner left at path, and refuses
// to remove anything else.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("something else stands in the socket's place: %w", ErrUnsafe)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an old socket: %w", err)
	}
	return nil
}

var _ io.Closer = (Role)(nil)
