// Package memnet is a network inside one process, for tests on a synthetic
// clock: connections and a listener that a TLS server takes for real ones.
//
// Not its concern: faults and delays; who wants them wraps a connection.
package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// socketBuffer is how much one direction of a connection takes before its
// writer waits for the reader.
const socketBuffer = 256 << 10

// socket is one end of a connection in memory that behaves as a kernel's: each
// direction has a buffer, so that a write returns though nobody reads yet. On
// net.Pipe a closing TLS connection holds locks while it waits for a reader,
// and on a synthetic clock no time passes for those who wait for a lock.
type socket struct {
	in, out     *stream
	read, write deadline
}

// Pair returns the two ends of a connection.
func Pair() (net.Conn, net.Conn) {
	a, b := newStream(), newStream()
	return &socket{in: a, out: b}, &socket{in: b, out: a}
}

// stream is one direction.
type stream struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	ended   bool // the writer has closed: what is there is still read
	refused bool // the reader has closed
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	return s
}

// deadline is guarded by the mutex of the stream it is about.
type deadline struct {
	at   time.Time
	wake *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(t time.Time, s *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.at = t
	if d.wake != nil {
		d.wake.Stop()
		d.wake = nil
	}
	if !t.IsZero() {
		d.wake = time.AfterFunc(time.Until(t), s.changed.Broadcast)
	}
	s.changed.Broadcast()
}

func (c *socket) Read(b []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.refused:
			return 0, net.ErrClosed
		case c.read.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0 || len(b) == 0:
			n := copy(b, s.buf)
			s.buf = s.buf[n:]
			s.changed.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (c *socket) Write(b []byte) (int, error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.ended:
			return 0, net.ErrClosed
		case s.refused:
			return 0, io.ErrClosedPipe
		case c.write.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) < socketBuffer:
			s.buf = append(s.buf, b...)
			s.changed.Broadcast()
			return len(b), nil
		}
		s.changed.Wait()
	}
}

func (c *socket) Close() error {
	c.read.set(time.Time{}, c.in)
	c.write.set(time.Time{}, c.out)
	c.in.mu.Lock()
	c.in.refused = true
	c.in.changed.Broadcast()
	c.in.mu.Unlock()
	c.out.mu.Lock()
	c.out.ended = true
	c.out.changed.Broadcast()
	c.out.mu.Unlock()
	return nil
}

func (c *socket) SetReadDeadline(t time.Time) error {
	c.read.set(t, c.in)
	return nil
}

func (c *socket) SetWriteDeadline(t time.Time) error {
	c.write.set(t, c.out)
	return nil
}

func (c *socket) SetDeadline(t time.Time) error {
	c.read.set(t, c.in)
	c.write.set(t, c.out)
	return nil
}

func (*socket) LocalAddr() net.Addr  { return Addr{} }
func (*socket) RemoteAddr() net.Addr { return Addr{} }
