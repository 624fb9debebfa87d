package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/lab"
)

func (a *app) labReplay() *cobra.Command {
	return &cobra.Command{
		Use:   "replay TRACE",
		Short: "let both judges look at a recorded run again",
		Long: `Reads a trace that ` + "`pawl lab run --trace`" + ` wrote and judges it again, on the bytes in
it and without playing anything: the same objects are printed. A trace that was changed
is refused, and one that now shows another verdict than it tells fails after printing.`,
		Example: "  pawl lab replay theft.trace\n  pawl lab replay theft.trace --json | jq .opened",
		Args:    words(1, 1, "one TRACE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			f, err := openWord(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			r, err := lab.Replay(ctx, f)
			if r == nil {
				return err
			}
			told := a.labReport(r)
			if err != nil && !errors.Is(told, errStdout) {
				return err
			}
			return told
		}),
	}
}

// recorded plays a scenario and writes its trace, if one was asked for.
func (a *app) recorded(ctx context.Context, word string, seed int64, to target) (*lab.Report, error) {
	if to.path == "" {
		if to.force {
			return nil, usagef("", "--force belongs to --trace")
		}
		return a.played(ctx, word, seed)
	}
	s, err := chosen(word, seed)
	if err != nil {
		return nil, err
	}
	var r *lab.Report
	err = to.write(ctx, func(w io.Writer) (err error) {
		r, err = s.Record(ctx, uint64(seed), w)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// chosen finds the scenario that a word of the command line means.
func chosen(word string, seed int64) (*lab.Scenario, error) {
	if seed < 0 {
		return nil, usagef("", "--seed takes a number from 0 on")
	}
	return scenario(word)
}

// played plays a scenario given by a word of the command line.
func (a *app) played(ctx context.Context, word string, seed int64) (*lab.Report, error) {
	s, err := chosen(word, seed)
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, uint64(seed))
}

// shown is played, or replayed when the word names a trace.
func (a *app) shown(ctx context.Context, word string, seed int64) (*lab.Report, error) {
	if !strings.ContainsAny(word, `/\.`) {
		return a.played(ctx, word, seed)
	}
	f, err := openWord(word)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	begin := make([]byte, 64)
	n, err := io.ReadFull(f, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return nil, err
	}
	if !lab.IsTrace(begin[:n]) {
		return a.played(ctx, word, seed)
	}
	if seed != 0 {
		return nil, usagef("", "a trace is not played: --seed changes nothing in it")
	}
	return lab.Replay(ctx, io.MultiReader(bytes.NewReader(begin[:n]), f))
}
