package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/linking"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
)

// knocker waits at a server (R-LNK-13). A connection that did not greet rightly
// is followed by the next one under the same id.
type knocker struct {
	target relayclient.Target
	at     linking.Meet
	id     [linking.IDSize]byte
	w      *linking.Waiting
	now    func() time.Time
	ready  chan guest
	failed chan error
	life   context.Context
	end    context.CancelFunc
	tasks  sync.WaitGroup
}

// knock connects before the URI is shown, so that nobody is sent to a server
// that does not answer.
func knock(ctx context.Context, t relayclient.Target, w *linking.Waiting, now func() time.Time) (*knocker, error) {
	k := &knocker{
		target: t, at: linking.Meet{Host: t.Host, Pin: t.Pin}, w: w, now: now,
		ready: make(chan guest), failed: make(chan error, 1),
	}
	l, err := w.Link(k.at)
	if err != nil {
		return nil, linkError(err)
	}
	k.id = l.ID()
	k.life, k.end = context.WithCancel(ctx)
	c, err := relayclient.Meet(k.life, k.life, t, k.id)
	if err != nil {
		k.end()
		return nil, relayError(err)
	}
	k.tasks.Go(func() { k.loop(c) })
	return k, nil
}

func (k *knocker) place() linking.Meet { return k.at }

func (k *knocker) loop(c deadlined) {
	delay := reconnectMin
	for {
		if c != nil {
			began := time.Now()
			k.greet(c)
			if time.Since(began) > reconnectMax {
				delay = reconnectMin
			}
		}
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-k.life.Done():
			t.Stop()
			return
		}
		delay = min(2*delay, 10*time.Second)
		next, err := relayclient.Meet(k.life, k.life, k.target, k.id)
		switch {
		case errors.Is(err, relayclient.ErrPin):
			k.failed <- relayError(err) // has room for one
			return
		case err != nil:
			c = nil
		default:
			c = next
		}
	}
}

// deadlined is a connection that can be told when to end.
type deadlined interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

func (k *knocker) greet(c deadlined) {
	g, err := k.w.Greet(linking.Frames(c), k.now)
	if err != nil {
		c.Close()
		return
	}
	select {
	case k.ready <- guest{g, func(t time.Time) { c.SetDeadline(t) }}:
	case <-k.life.Done():
	}
}

func (k *knocker) next(ctx context.Context) (guest, error) {
	select {
	case g := <-k.ready:
		return g, nil
	case err := <-k.failed:
		return guest{}, err
	case <-ctx.Done():
		return guest{}, ctx.Err()
	}
}

func (k *knocker) close() {
	k.end()
	k.tasks.Wait()
}

// reachServer meets the new device at the server that its URI names. The pin of
// this account's own server is known better here.
func (e *engine) reachServer(ctx context.Context, l linking.Link) (io.ReadWriteCloser, linking.Offer, error) {
	t := relayclient.Target{Host: l.Meet.Host, Pin: l.Meet.Pin, Dial: e.transport}
	if t.Host == e.self.record.Host {
		t = e.self.target(e.transport)
	}
	ctx, cancel := context.WithTimeout(ctx, greetPatience)
	defer cancel()
	c, err := relayclient.Meet(ctx, e.life, t, l.ID())
	if errors.Is(err, relay.Conflict) {
		return nil, linking.Offer{}, fmt.Errorf("%w: somebody else is talking to the new device", ErrUnreachable)
	}
	if err != nil {
		return nil, linking.Offer{}, relayError(err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	o, err := linking.Reach(linking.Frames(c), l)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, o, e.lostDevice(ctx, err)
	}
	return c, o, nil
}
