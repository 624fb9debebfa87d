package cli

import (
	"bufio"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Main runs the program in the process it was started in.
func Main(args []string) int { return RunProcess(System(), args) }

// RunProcess is Run for a whole process: it takes over the signals.
func RunProcess(env *Env, args []string) int {
	// A write to a closed pipe is to be an error that is handled, not a death.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return Run(ctx, env, args)
}

// System is the environment of this process.
func System() *Env {
	terminal := func(f *os.File) func() bool { return func() bool { return term.IsTerminal(int(f.Fd())) } }
	return &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv,
		Now:    time.Now,
		Zone:   time.Local,

		StdinTerminal: terminal(os.Stdin), StdoutTerminal: terminal(os.Stdout), StderrTerminal: terminal(os.Stderr),
		Width: func() int {
			columns, _, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0
			}
			return columns
		},
		ReadSecret: readSecret,
		ReadLine:   readLineFromTerminal,
		Engine:     engine(),
	}
}

// readSecret asks on the terminal. Standard input or standard error must be
// one: a terminal that merely controls the process may have nobody in front.
func readSecret(ctx context.Context, prompt string) ([]byte, error) {
	in, out := os.Stdin, os.Stderr
	if askIn, askOut := term.IsTerminal(int(in.Fd())), term.IsTerminal(int(out.Fd())); !askIn || !askOut {
		if !askIn && !askOut {
			return nil, ErrNoTerminal
		}
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, ErrNoTerminal
		}
		defer tty.Close()
		if !askIn {
			in = tty
		}
		if !askOut {
			out = tty
		}
	}
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return nil, ErrNoTerminal
	}
	out.WriteString(prompt)
	secret, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(int(in.Fd())) })
	if ctx.Err() != nil {
		term.Restore(int(in.Fd()), before)
	}
	out.WriteString("\n")
	return secret, err
}

func readLineFromTerminal(ctx context.Context, prompt string) (string, error) {
	os.Stderr.WriteString(prompt)
	line, err := interruptible(ctx, func() (string, error) { return bufio.NewReader(os.Stdin).ReadString('\n') })
	return withoutLineEnd(line), err
}

// interruptible gives up waiting for a read when ctx ends. The read itself
// cannot be ended; the process is about to be.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := read()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
