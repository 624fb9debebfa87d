package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// maxUnanswered bounds the lines that were sent and still wait for a receipt;
// reading goes on when the first of them is settled.
const maxUnanswered = 1024

// lines is one send --lines under way.
type lines struct {
	app *app
	api client.API
	to  string
	o   client.SendOptions

	number                        int // of the line that was read last
	done, waiting, failed, missed int // what became of them; missed is a receipt
	first, lastQueued, lastMissed error
}

// sendLines sends every line of standard input as it comes. Lines that cannot
// leave now stay queued and count as partly done only when others got through.
// With a receipt to wait for, lines are sent without waiting for each other,
// and each is printed when its receipt or its time-out has come (R-CLI-17).
func (a *app) sendLines(ctx context.Context, api client.API, to string, o client.SendOptions) error {
	address, err := a.resolve(ctx, api, to)
	if err != nil {
		return err
	}
	s := &lines{app: a, api: api, to: address, o: o}
	if o.Wait == "" {
		err = s.read(ctx, func(m client.Message, _ time.Time) error { return s.print(m) })
	} else {
		err = s.readAndWait(ctx)
	}
	if err != nil {
		return err
	}
	return s.verdict()
}

// read sends each line and hands what has left, or may have, to done, with
// the time at which that began.
func (s *lines) read(ctx context.Context, done func(client.Message, time.Time) error) error {
	o := s.o
	o.Wait = ""
	in := bufio.NewReaderSize(s.app.env.Stdin, 64<<10)
	for ended := false; !ended; {
		line, err := interruptible(ctx, func() (string, error) { return readLine(in) })
		ended = errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		if line = withoutLineEnd(line); line == "" {
			continue
		}
		s.number++
		began := time.Now()
		var m client.Message
		if o.Mentions, err = s.app.mentions(ctx, s.api, s.to, line, s.o.Mentions); err == nil {
			m, err = s.app.sendTo(ctx, s.api, s.to, line, o)
		}
		if err == nil && s.o.Wait == "" {
			err = partly(m)
		}
		switch {
		case err == nil:
			s.done++
			if err := done(m, began); err != nil {
				return err
			}
		case errors.Is(queued(m, err), errQueued):
			s.waiting++
			s.lastQueued = queued(m, err)
		case errors.Is(err, client.ErrTimeout) && s.o.Wait != "":
			s.done++ // the wait, which is over at once, tells it from the others
			if err := done(m, began); err != nil {
				return err
			}
		case errors.Is(err, client.ErrTimeout):
			s.missed++
			s.lastMissed = queued(m, err)
			if err := s.print(m); err != nil {
				return err
			}
		case perLine(err):
			s.failed++
			if s.first == nil {
				s.first = err
			}
			if errors.Is(err, errPartly) {
				s.app.out.note("line %d: %s", s.number, clean(err.Error()))
				if err := done(m, began); err != nil {
					return err
				}
				continue
			}
			s.app.out.note("line %d was not sent: %s", s.number, clean(err.Error()))
		case s.done+s.waiting+s.missed == 0:
			return err
		default:
			return &failure{err: errPartly, message: fmt.Sprintf("stopped at line %d after %s: %v", s.number, count(s.done, "message"), err)}
		}
	}
	return nil
}

func (s *lines) print(m client.Message) error { return s.app.out.show(messageOf(m), s.app.sentText(m)) }

// readAndWait lets one routine read and send while another waits for the
// receipts in the order of the lines. To send a message again under its ID
// sends nothing and waits for it.
func (s *lines) readAndWait(ctx context.Context) error {
	reading, end := context.WithCancelCause(ctx)
	defer end(nil)
	type sent struct {
		m     client.Message
		until time.Time
	}
	line := make(chan sent, maxUnanswered)
	var missed, failed int
	var lastMissed, first error
	var wait sync.WaitGroup
	wait.Go(func() {
		for x := range line {
			if reading.Err() != nil {
				continue
			}
			m, err := s.receipt(reading, x.m, x.until)
			switch {
			case errors.Is(err, client.ErrTimeout):
				missed++
				lastMissed = queued(m, err)
			case err != nil && reading.Err() != nil:
				continue
			case err != nil:
				failed++
				if first == nil {
					first = err
				}
				s.app.out.note("message %s: %s", clean(m.ID), clean(err.Error()))
			}
			if err := s.print(m); err != nil {
				end(err)
			}
		}
	})
	err := s.read(reading, func(m client.Message, began time.Time) error {
		var until time.Time
		if s.o.Timeout > 0 {
			until = began.Add(s.o.Timeout)
		}
		line <- sent{m, until}
		return nil
	})
	close(line)
	wait.Wait()
	s.done, s.missed, s.failed = s.done-missed-failed, s.missed+missed, s.failed+failed
	if s.lastMissed == nil {
		s.lastMissed = lastMissed
	}
	if s.first == nil {
		s.first = first
	}
	if cause := context.Cause(reading); cause != nil {
		return cause
	}
	return err
}

// receipt waits for what was asked of one message.
func (s *lines) receipt(ctx context.Context, m client.Message, until time.Time) (client.Message, error) {
	o := client.SendOptions{ID: m.ID, Subject: s.o.Subject, ReplyTo: s.o.ReplyTo, TTL: s.o.TTL, Wait: s.o.Wait}
	if !until.IsZero() {
		o.Timeout = max(time.Until(until), time.Millisecond) // it may be there already
	}
	now, err := s.api.Send(ctx, m.To, m.Text, o)
	if now.ID == "" {
		now = m
	}
	if err == nil {
		err = partly(now)
	}
	return now, err
}

// verdict is what became of all lines together.
func (s *lines) verdict() error {
	through := s.done + s.waiting + s.missed
	switch {
	case s.number == 0:
		return usagef("", "there is no text to send: standard input has no lines")
	case s.failed > 0 && through == 0:
		return s.first
	case s.failed > 0, s.waiting > 0 && through > s.waiting:
		text := fmt.Sprintf("of %s %d were accepted, %d are queued and %d failed", count(s.number, "line"), s.done, s.waiting, s.failed)
		if s.missed > 0 {
			text += fmt.Sprintf("; %d have no receipt yet", s.missed)
		}
		return &failure{err: errPartly, message: text}
	case s.missed > 1:
		return &failure{err: client.ErrTimeout, kept: true, message: fmt.Sprintf("time ran out; %d of %s are not %s", s.missed, count(s.number, "message"), s.o.Wait)}
	case s.missed == 1:
		return s.lastMissed
	case s.waiting > 1:
		return &failure{err: errQueued, message: fmt.Sprintf("the server cannot be reached; %s are queued", count(s.waiting, "message"))}
	}
	return s.lastQueued
}

// perLine reports whether an error is about this line alone.
func perLine(err error) bool {
	return errors.Is(err, client.ErrTooLong) || errors.Is(err, client.ErrInvalidText) || errors.Is(err, errPartly)
}

// readLine reads up to a line end; a line past maxText comes in pieces that
// the engine refuses as too long.
func readLine(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		piece, err := in.ReadSlice('\n')
		b.Write(piece)
		if !errors.Is(err, bufio.ErrBufferFull) || b.Len() > maxText {
			return b.String(), err
		}
	}
}
