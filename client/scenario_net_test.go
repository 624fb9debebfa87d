package client

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/server"
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

// errLostAnswer is what a store says that may have done what it was asked.
var errLostAnswer = context.DeadlineExceeded

// ledger is the relay's mailboxes with a record of all that reached them, and
// the faults of a relay: answers that are lost and messages that come again.
type ledger struct {
	server.Mailbox
	harsh harshness

	mu      sync.Mutex
	rng     *rand.Rand
	calm    bool
	came    map[[32]byte]map[address.Device]bool // ratchet messages that reached the relay, and for whom they were stored
	history []server.Envelope
}

func hashMessage(message []byte) [32]byte { return sha256.Sum256(message) }

func newLedger(m server.Mailbox, h harshness, seed uint64) *ledger {
	return &ledger{Mailbox: m, harsh: h, rng: rand.New(rand.NewPCG(seed, 2)), came: map[[32]byte]map[address.Device]bool{}}
}

// settle ends the faults.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calm = true
}

// note writes down what reached the relay.
func (l *ledger) note(envelopes []server.Envelope, stored bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range envelopes {
		env, err := content.DecodeEnvelope(e.Body)
		if err != nil {
			continue
		}
		h := hashMessage(env.Message)
		if l.came[h] == nil {
			l.came[h] = map[address.Device]bool{}
		}
		if stored {
			l.came[h][e.Device.ID] = true
			l.history = append(l.history, e)
		}
	}
}

// draw decides on the faults of one append.
func (l *ledger) draw() (before, after bool, again []server.Envelope) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calm {
		return false, false, nil
	}
	if l.rng.Float64() < l.harsh.lost {
		before = l.rng.IntN(2) == 0
		after = !before
	}
	if len(l.history) > 0 && l.rng.Float64() < l.harsh.repeats {
		e := l.history[l.rng.IntN(len(l.history))]
		for i := range e.ID {
			e.ID[i] = byte(l.rng.Uint32())
		}
		again = append(again, e)
	}
	return before, after, again
}

func (l *ledger) Append(ctx context.Context, envelopes []server.Envelope) ([]server.Result, error) {
	l.note(envelopes, false)
	before, after, again := l.draw()
	if before {
		return nil, errLostAnswer
	}
	r, err := l.Mailbox.Append(ctx, envelopes)
	if err == nil {
		l.note(envelopes, true)
	}
	if len(again) > 0 {
		l.Mailbox.Append(ctx, again) // to a device that may be gone
	}
	if after && err == nil {
		return nil, errLostAnswer
	}
	return r, err
}

// took reports whether the relay has stored a message for a device.
func (l *ledger) took(h [32]byte, d address.Device) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.came[h][d]
}
