package cli

import (
	"context"
	"errors"
	"sync"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// recvBatch is how many messages are printed between two acknowledgements.
const recvBatch = 100

// maxConsumer bounds the name of a consumer, in bytes.
const maxConsumer = 64

type recvFlags struct {
	follow, offline bool
	consumer        string
	limit           int
}

func (a *app) recv() *cobra.Command {
	var f recvFlags
	cmd := &cobra.Command{
		Use:     "recv",
		Short:   "print the messages that wait",
		GroupID: groupDaily,
		Long: `Prints the messages that wait, oldest first, and exits; with --follow it goes on
printing as they come. A message counts as taken only after standard output took it, so
one that a broken pipe lost comes again.

Several programs can each have every message: give each a name with --consumer.`,
		Example: `  pawl recv
  pawl recv --follow
  pawl recv --json | jq -r .text
  pawl recv --follow --consumer mailer --json`,
		Args: words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if f.limit < 0 {
				return usagef("0 is no limit", "--limit cannot be negative")
			}
			if len(f.consumer) > maxConsumer || clean(f.consumer) != f.consumer {
				return usagef("", "--consumer takes a name of at most %d bytes without control characters", maxConsumer)
			}
			if f.follow && f.offline {
				return usagef("", "--follow and --offline exclude each other")
			}
			return a.with(ctx, func(api client.API) error {
				if f.follow {
					return a.followMessages(ctx, api, f)
				}
				return a.takeMessages(ctx, api, f)
			})
		}),
	}
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "stay connected and print messages as they come")
	cmd.Flags().StringVar(&f.consumer, "consumer", "", "`NAME` of the reader; each name gets every message once")
	cmd.Flags().IntVarP(&f.limit, "limit", "n", 0, "print at most `N`; 0 is all")
	cmd.Flags().BoolVar(&f.offline, "offline", false, "print what is already here without asking the server")
	return cmd
}

// takeMessages prints what waits. It acknowledges only what standard output
// has taken (R-CLI-05).
func (a *app) takeMessages(ctx context.Context, api client.API, f recvFlags) error {
	if !f.offline {
		if err := api.Sync(ctx); err != nil {
			if errors.Is(err, client.ErrUnreachable) {
				return &failure{err: err, message: err.Error(), hint: "`pawl recv --offline` prints what is already here"}
			}
			return err
		}
	}
	printed := 0
	for f.limit == 0 || printed < f.limit {
		size := recvBatch
		if f.limit > 0 {
			size = min(size, f.limit-printed)
		}
		batch, err := api.Receive(ctx, f.consumer, size)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		if err := a.printAll(ctx, api, batch); err != nil {
			return err
		}
		ids := make([]string, len(batch))
		for i, m := range batch {
			ids[i] = m.ID
		}
		if err := api.Ack(ctx, f.consumer, ids...); err != nil {
			return err
		}
		printed += len(batch)
	}
	if printed == 0 && !a.out.json {
		a.out.note("nothing waits")
	}
	return nil
}

// followMessages prints messages as they come; each is acknowledged when the
// loop comes back for the next one, that is after it was written.
func (a *app) followMessages(ctx context.Context, api client.API, f recvFlags) error {
	following, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { end(a.reach(following, api)) })
	defer watch.Wait()
	defer end(nil)
	printed := 0
	for m, err := range api.Follow(following, f.consumer) {
		if cause := context.Cause(following); cause != nil && ctx.Err() == nil {
			return cause
		}
		if err != nil {
			return err
		}
		if err := a.printAll(ctx, api, []client.Message{m}); err != nil {
			return err
		}
		if printed++; printed == f.limit {
			// Breaking out would leave this one unacknowledged.
			return api.Ack(ctx, f.consumer, m.ID)
		}
	}
	return context.Cause(following)
}

// reach says early when there is no connection. What waiting cannot mend ends
// the following.
func (a *app) reach(ctx context.Context, api client.API) error {
	err := api.Sync(ctx)
	for _, lasting := range []error{client.ErrServerIdentity, client.ErrRevoked, client.ErrRolledBack, client.ErrClock, client.ErrStoreDamaged} {
		if errors.Is(err, lasting) {
			return err
		}
	}
	if err != nil && ctx.Err() == nil {
		a.out.note("not connected, trying again and again: %s", clean(tidy(err.Error())))
	}
	<-ctx.Done()
	return nil
}

// printAll writes messages with one write, so that one batch costs one call.
func (a *app) printAll(ctx context.Context, api client.API, messages []client.Message) error {
	if !a.out.json {
		a.learn(ctx, api, messages...)
	}
	var data []byte
	for _, m := range messages {
		switch {
		case a.out.json:
			data = append(data, encodeLine(objectOf(m))...)
		case m.Kind == client.KindNotice:
			a.printNotice(m)
		default:
			data = append(data, a.messageText(m)...)
		}
	}
	return writeData(a.env.Stdout, data)
}
