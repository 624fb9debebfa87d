package client

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// fate is what a network does to one connection.
type fate struct {
	out, in int           // bytes that pass before the end, in each direction; negative for all
	silent  bool          // the end is silence: nothing is closed and nothing passes
	latency time.Duration // of what arrives
}

// harshness is how much a schedule's network and server do wrong.
type harshness struct {
	cut     float64 // share of connections that do not last
	lost    float64 // share of appends whose answer the server's store loses
	repeats float64 // share of appends after which an earlier message comes again
}

// fate draws one.
func (h harshness) fate(r *rand.Rand) fate {
	f := fate{out: -1, in: -1}
	if r.IntN(3) == 0 {
		f.latency = time.Duration(r.IntN(300)) * time.Millisecond
	}
	if r.Float64() >= h.cut {
		return f
	}
	f.silent = r.IntN(4) == 0
	// The handshakes take some three thousand bytes in each direction.
	n := r.IntN(3000)
	if r.IntN(3) > 0 {
		n = 3000 + r.IntN(12000)
	}
	if r.IntN(2) == 0 {
		f.in = n
	} else {
		f.out = n
	}
	return f
}

// wire is a device's end of a connection.
type wire struct {
	net.Conn
	fate fate

	mu     sync.Mutex
	out    int // bytes that have passed
	in     int
	silent chan struct{} // closed once the connection is silent
	once   sync.Once
	closed chan struct{}
}

func newWire(c net.Conn, f fate) *wire {
	return &wire{Conn: c, fate: f, silent: make(chan struct{}), closed: make(chan struct{})}
}

// pass returns how many of n more bytes go through and whether that is the end.
func (w *wire) pass(sum *int, limit, n int) (through int, end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if limit >= 0 && *sum+n >= limit {
		n, end = max(0, limit-*sum), true
	}
	*sum += n
	return n, end
}

// end cuts the connection or makes it silent, and in that case waits until it
// is closed.
func (w *wire) end() error {
	if !w.fate.silent {
		w.Close()
		return net.ErrClosed
	}
	w.mu.Lock()
	if !isClosed(w.silent) {
		close(w.silent)
	}
	w.mu.Unlock()
	<-w.closed
	return net.ErrClosed
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		return n, err
	}
	if w.fate.latency > 0 {
		t := time.NewTimer(w.fate.latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-w.closed:
			return 0, net.ErrClosed
		}
	}
	through, end := w.pass(&w.in, w.fate.in, n)
	if isClosed(w.silent) || (end && through == 0) {
		return 0, w.end()
	}
	return through, nil // the end comes with the next read
}

func (w *wire) Write(b []byte) (int, error) {
	through, end := w.pass(&w.out, w.fate.out, len(b))
	if isClosed(w.silent) {
		return len(b), nil
	}
	n, err := w.Conn.Write(b[:through])
	if err != nil || !end {
		return n, err
	}
	if !w.fate.silent {
		w.Close()
		return n, net.ErrClosed
	}
	w.mu.Lock()
	if !isClosed(w.silent) {
		close(w.silent)
	}
	w.mu.Unlock()
	return len(b), nil
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}
