package cli

import (
	"context"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// watchStepEvery is how often a long change is asked how far it is.
const watchStepEvery = 250 * time.Millisecond

// watchStep shows on a terminal how far a change has come that takes many
// messages, until end is called (R-CLI-34). Programs, and who wants it quiet, see
// nothing of it.
func (a *app) watchStep(ctx context.Context, look func(context.Context) *client.GroupStep) (end func()) {
	if a.out.json || a.out.quiet || !a.env.StderrTerminal() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		p := a.progress("devices have the keys", 0)
		defer p.end()
		tick := time.NewTicker(watchStepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if step := look(ctx); step != nil && step.Total > 0 {
				p.at(step.Done, step.Total)
			}
		}
	})
	return func() {
		cancel()
		watch.Wait()
	}
}

// pendingOf asks what is under way in a group.
func pendingOf(api client.API, id string) func(context.Context) *client.GroupStep {
	return func(ctx context.Context) *client.GroupStep {
		g, err := api.Group(ctx, id)
		if err != nil {
			return nil
		}
		return g.Pending
	}
}
