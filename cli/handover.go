package cli

import (
	"context"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// handOverEvery is how often the giving side looks how far it has come.
const handOverEvery = 200 * time.Millisecond

// handOver stays connected after an approval until the new device was given the
// last of the history, or has asked for nothing for a while (R-CLI-20). The
// device is part of the account however this ends, so it ends in remarks only.
func (a *app) handOver(ctx context.Context, api client.API, device string) {
	a.out.note("the new device fetches the history now; it may be interrupted")
	given, done := a.watchHandOver(ctx, api, device)
	if done { // the last page may not have left yet
		leaving, cancel := context.WithTimeout(ctx, historyPatience)
		defer cancel()
		done = api.Sync(leaving) == nil
	}
	const rest = "the rest goes when both devices are connected again"
	switch {
	case done:
		a.out.note("the new device was given the history: %d messages", given.Messages)
	case ctx.Err() != nil:
		a.out.note("interrupted after %d messages of the history; %s", given.Messages, rest)
	case given.Done:
		a.out.note("the last of the history has not left yet; %s", rest)
	default:
		a.out.note("the new device asks for nothing, after %d messages of the history; %s", given.Messages, rest)
	}
}

// watchHandOver waits for the last page, and shows what was handed out so far.
func (a *app) watchHandOver(ctx context.Context, api client.API, device string) (given client.HistoryGiven, done bool) {
	p := a.progress("messages of the history handed out", 0)
	defer p.end()
	tick := time.NewTicker(handOverEvery)
	defer tick.Stop()
	since := time.Now()
	for {
		if s, err := api.Status(ctx); err == nil {
			for _, g := range s.HistoryGiven {
				if g.Device != device {
					continue
				}
				if !g.Asked.Equal(given.Asked) {
					since = time.Now()
				}
				given = g
			}
		}
		if given.Done {
			return given, true
		}
		p.at(given.Messages, given.Total)
		if time.Since(since) > historyPatience {
			return given, false
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return given, false
		}
	}
}
