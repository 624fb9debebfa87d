package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
)

// attempt is one try to connect; done is closed when it is decided.
type attempt struct {
	done chan struct{}
	link *link
	err  error
}

// connected returns the live connection, starting one if need be. It waits for
// an attempt that begins after it was called, so that its answer is never
// older than the question, and returns that attempt's error: the loop goes on
// trying in the background, the caller decides whether to.
func (e *engine) connected(ctx context.Context) (*link, error) {
	e.mu.Lock()
	if e.link != nil && !isClosed(e.link.failed) {
		l := e.link
		e.mu.Unlock()
		return l, nil
	}
	if e.life.Err() != nil {
		e.mu.Unlock()
		return nil, errClosed
	}
	if e.refused != nil { // R-CLT-32
		defer e.mu.Unlock()
		return nil, e.refused
	}
	if e.attempt == nil {
		e.attempt = &attempt{done: make(chan struct{})}
	}
	a := e.attempt
	if !e.started {
		e.started = true
		e.tasks.Go(e.connectLoop)
		e.tasks.Go(e.outboxLoop)
		e.tasks.Go(e.receiptLoop)
		e.tasks.Go(e.askLoop)
		e.tasks.Go(e.repairLoop)
		e.tasks.Go(e.groupsLoop)
	}
	e.mu.Unlock()
	wake(e.kick)
	select {
	case <-a.done:
		return a.link, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.life.Done():
		return nil, errClosed
	}
}

// begin takes the attempt that callers wait for: who asks from now on waits
// for the next one.
func (e *engine) begin() *attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.attempt
	e.attempt = nil
	return a
}

// decided publishes the outcome of dialling to those who waited for it, and a
// connection to everybody. It reports whether somebody asks for another try.
func (e *engine) decided(a *attempt, l *link, err error) (again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.link, e.lastErr = l, err
	if err == nil {
		e.lastLive, e.checked = e.now(), true
	}
	if errors.Is(err, ErrRolledBack) {
		e.refused = err
	}
	for _, w := range []*attempt{a, e.attempt} {
		if w == nil || (w != a && err != nil && e.refused == nil) {
			continue
		}
		w.link, w.err = l, err
		close(w.done)
		if w == e.attempt {
			e.attempt = nil
		}
	}
	return e.attempt != nil
}

var errClosed = errors.New("client: closed")

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// connectLoop keeps a connection while the engine lives: full-jitter back-off
// between attempts, cut short when somebody asks for a connection.
func (e *engine) connectLoop() {
	delay := reconnectMin
	for e.life.Err() == nil {
		a := e.begin()
		l, err := e.dial()
		again := e.decided(a, l, err)
		e.changed()
		wake(e.flushKick)
		if err == nil {
			e.push()
			wake(e.owedKick)
			if err := e.openDeferred(e.life); err != nil && e.life.Err() == nil {
				e.log.Error("messages that were held could not be opened", "reason", reason(err))
			}
			wake(e.askKick)
			e.tasks.Go(func() { e.maintain(l) })
			since := e.now()
			e.receiveLoop(l)
			l.conn.Close()
			if e.now().Sub(since) > reconnectMax {
				delay = reconnectMin // not for connections that die young
			}
			e.mu.Lock()
			e.link, e.lastErr = nil, l.err
			e.mu.Unlock()
			e.changed()
		} else {
			e.log.Info("not connected", "reason", reason(err))
		}
		if e.life.Err() != nil || e.refusal() != nil {
			return // a home that is not the latest never comes back by itself
		}
		if again {
			continue
		}
		t := time.NewTimer(rand.N(delay) + reconnectMin/2)
		select {
		case <-t.C:
		case <-e.kick:
		case <-e.life.Done():
		}
		t.Stop()
		delay = min(2*delay, reconnectMax)
	}
}

// dial connects, logs in and checks the clocks. The pin is enforced below
// (R-CLT-06).
func (e *engine) dial() (*link, error) {
	ctx, cancel := context.WithTimeout(e.life, 20*time.Second)
	defer cancel()
	before := e.now()
	conn, err := e.logIn(ctx, relayclient.Login{
		User: e.self.address.User(), Device: e.self.device, Key: ed25519.PrivateKey(e.self.sign),
	})
	if err != nil {
		return nil, e.loginError(ctx, err)
	}
	now := e.now()
	offset := conn.ServerTime().Sub(before.Add(now.Sub(before) / 2))
	e.mu.Lock()
	e.offset = offset
	e.mu.Unlock()
	if offset.Abs() > ClockTolerance { // R-CLT-11
		conn.Close()
		return nil, ErrClock
	}
	return &link{conn: conn, caught: make(chan struct{}), failed: make(chan struct{})}, nil
}

// dialFunc opens the transport below TLS.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// target is the account's server, reached through dial; nil is plain TCP.
func (s *self) target(dial dialFunc) relayclient.Target {
	t := relayclient.Target{Host: s.record.Host, Dial: dial}
	if len(s.record.Pin) > 0 {
		t.Pin = s.record.Pin
	}
	return t
}

// relayError turns the relay's refusals into the client's errors.
func relayError(err error) error {
	for _, m := range []struct {
		from error
		to   error
	}{
		{relayclient.ErrPin, ErrServerIdentity}, {relayclient.ErrUnreachable, ErrUnreachable},
		{relay.NotFound, ErrUnknownRecipient}, {relay.RateLimited, ErrRateLimited},
		{relay.MailboxFull, ErrMailboxFull}, {relay.TooLarge, ErrTooLong}, {relay.Unauthorized, ErrRevoked},
		{relay.Exists, ErrNameTaken}, {relay.InviteInvalid, ErrInvite}, {relay.Closed, ErrRefused},
		{relay.Unavailable, ErrUnreachable}, {relay.Internal, ErrUnreachable}, {relay.BadRequest, ErrRefused},
		{relay.Conflict, ErrRefused}, {relay.RolledBack, ErrRolledBack},
	} {
		if errors.Is(err, m.from) {
			return &wrapped{m.to, err}
		}
	}
	return err
}

// reason is an error in words that name nobody (R-CLT-12).
func reason(err error) string {
	for _, known := range []error{
		ErrUnreachable, ErrServerIdentity, ErrRolledBack, ErrRevoked, ErrClock, ErrDiskFull, ErrStoreDamaged, ErrRateLimited,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}
