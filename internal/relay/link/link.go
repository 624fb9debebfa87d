// Package link carries relay frames over one WebSocket connection: it packs
// frames that are ready together into one message, reads within bounds, pings
// a silent peer and drops a dead one (spec/relay.md, R-REL-07, R-REL-22,
// R-REL-23). Both ends of a connection are a Link.
//
// An idle link costs one goroutine, its reader: writing is done by whoever has
// something to write, and the heartbeat is a timer.
//
// Not its concern: what frames mean.
package link

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/relay"
)

// Reasons for which a link ends by itself.
var (
	ErrClosed   = errors.New("link: closed")
	ErrIdle     = errors.New("link: the peer was silent for too long")
	ErrSlow     = errors.New("link: the peer does not read")
	ErrProtocol = errors.New("link: the peer broke the protocol")
)

const (
	// packet is the size up to which frames that are ready together share a
	// WebSocket message.
	packet = 64 << 10
	// maxQueued is how many bytes may wait to be written before Send waits and
	// Post gives up.
	maxQueued = 2 << 20
	// keep is the largest buffer that an idle link holds on to.
	keep = 4 << 10
	// grace is what a peer gets to take its part in closing.
	grace = time.Second
	// ticks is how often in a heartbeat the link looks after itself.
	ticks = 4
)

// Link is one end of a connection. Its methods may be called by any number of
// goroutines, except Run.
type Link struct {
	ws        *websocket.Conn
	under     io.Closer
	heartbeat time.Duration
	heard     atomic.Int64 // when the last frame came, on the clock of since
	pinged    atomic.Bool  // a ping is out since the last frame came
	start     time.Time

	mu       sync.Mutex
	room     sync.Cond // signalled when the queue shrinks or the link ends
	queue    []byte    // frames that wait to be written
	cuts     []int     // where a new packet begins in queue
	spare    []byte
	writing  bool
	begun    time.Duration // when the write in progress began
	patience time.Duration // silence after which the next ping goes out
	timer    *time.Timer
	err      error // why the link ended
	shutting bool
	closing  sync.WaitGroup
}

// New returns a link over ws that pings after heartbeat on average. under is
// the connection that ws runs on: closing it ends everything at once.
func New(ws *websocket.Conn, under io.Closer, heartbeat time.Duration) *Link {
	l := &Link{ws: ws, under: under, heartbeat: heartbeat, start: time.Now()}
	l.room.L = &l.mu
	ws.SetReadLimit(relay.MaxGreeting)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.patience = l.jitter()
	l.timer = time.AfterFunc(heartbeat/ticks, l.tick)
	return l
}

// Trust lets the peer send packets of full size: call it after the login.
func (l *Link) Trust() { l.ws.SetReadLimit(relay.MaxPacket) }

func (l *Link) since() time.Duration { return time.Since(l.start) }

// jitter draws a heartbeat between 0.8 and 1.2 of the mean, so that links that
// began together do not ping together.
func (l *Link) jitter() time.Duration {
	return time.Duration(float64(l.heartbeat) * (0.8 + 0.4*rand.Float64()))
}

// Run reads frames and passes each to handle until the link ends or handle
// returns an error; it returns why. Pings are answered and not passed on. The
// body of a frame is valid only until handle returns.
func (l *Link) Run(handle func(relay.Frame) error) error {
	var buf []byte
	for {
		p, err := l.read(buf)
		if err != nil {
			return l.fail(err)
		}
		l.heard.Store(int64(l.since()))
		if l.pinged.Load() {
			l.pinged.Store(false)
		}
		if len(p) == 0 {
			return l.fail(ErrProtocol)
		}
		for rest := p; len(rest) > 0; {
			var f relay.Frame
			if f, rest, err = relay.CutFrame(rest); err != nil {
				return l.fail(ErrProtocol)
			}
			if f.ID == 0 && (f.Kind == uint64(relay.OpPing) || f.Kind == uint64(relay.OpPong)) {
				if err := l.heartbeatFrame(f); err != nil {
					return l.fail(err)
				}
				continue
			}
			if err := handle(f); err != nil {
				return err
			}
		}
		buf = nil
		if cap(p) <= keep {
			buf = p[:0]
		}
	}
}

// read reads one WebSocket message into buf.
func (l *Link) read(buf []byte) ([]byte, error) {
	typ, r, err := l.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	if typ != websocket.MessageBinary {
		return nil, ErrProtocol
	}
	if cap(buf) == 0 {
		buf = make([]byte, 0, 2<<10)
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (l *Link) heartbeatFrame(f relay.Frame) error {
	if len(f.Body) != 0 {
		return ErrProtocol
	}
	if f.Kind == uint64(relay.OpPong) {
		return nil
	}
	return l.Post(relay.Frame{Kind: uint64(relay.OpPong)})
}

// Send writes a frame, or leaves it to the goroutine that is writing already.
// It waits while too much is queued.
func (l *Link) Send(f relay.Frame) error {
	l.mu.Lock()
	for l.err == nil && len(l.queue) > maxQueued {
		l.room.Wait()
	}
	if !l.enqueue(f) {
		defer l.mu.Unlock()
		return l.err
	}
	if l.writing {
		l.mu.Unlock()
		return nil
	}
	l.writing, l.begun = true, l.since()
	l.mu.Unlock()
	l.flush()
	return nil
}

// Post queues a frame to be written by another goroutine. It never waits.
func (l *Link) Post(f relay.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && len(l.queue) > maxQueued {
		return ErrSlow
	}
	if !l.enqueue(f) {
		return l.err
	}
	if !l.writing {
		l.writing, l.begun = true, l.since()
		go l.flush()
	}
	return nil
}

// enqueue appends a frame. l.mu is held.
func (l *Link) enqueue(f relay.Frame) bool {
	if l.err != nil {
		return false
	}
	last := 0
	if n := len(l.cuts); n > 0 {
		last = l.cuts[n-1]
	}
	if here := len(l.queue); here > last && here-last+relay.FrameSize(len(f.Body)) > packet {
		l.cuts = append(l.cuts, here)
	}
	l.queue = relay.AppendFrame(l.queue, f)
	return true
}

// flush writes until nothing is queued. Its caller has set writing.
func (l *Link) flush() {
	l.mu.Lock()
	for l.err == nil && len(l.queue) > 0 {
		out, cuts := l.queue, l.cuts
		l.queue, l.cuts, l.spare = l.spare[:0], nil, nil
		l.room.Broadcast()
		l.begun = l.since()
		l.mu.Unlock()

		from := 0
		var err error
		for _, to := range append(cuts, len(out)) {
			if err = l.ws.Write(context.Background(), websocket.MessageBinary, out[from:to]); err != nil {
				break
			}
			from = to
		}

		l.mu.Lock()
		if err != nil {
			l.end(err)
		}
		if cap(out) <= keep {
			l.spare = out
		}
	}
	if cap(l.queue) > keep {
		l.queue = nil
	}
	l.writing = false
	l.room.Broadcast()
	l.mu.Unlock()
}

// tick pings a silent peer, and ends a link whose peer is dead or does not
// read.
func (l *Link) tick() {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	now := l.since()
	silent := now - time.Duration(l.heard.Load())
	var code int
	switch {
	case l.writing && now-l.begun > l.heartbeat:
		code = relay.CloseSlow
		l.end(ErrSlow)
	case silent > 2*l.heartbeat:
		code = relay.CloseIdle
		l.end(ErrIdle)
	}
	if l.err != nil {
		l.mu.Unlock()
		l.shut(code)
		return
	}
	ping := silent > l.patience-l.heartbeat/(2*ticks) && !l.pinged.Load()
	if ping {
		l.pinged.Store(true)
		l.patience = l.jitter()
	}
	l.timer.Reset(l.heartbeat / ticks)
	l.mu.Unlock()
	if ping {
		l.Post(relay.Frame{Kind: uint64(relay.OpPing)})
	}
}

// end notes why the link ended. l.mu is held.
func (l *Link) end(err error) {
	if l.err == nil {
		l.err = err
		l.timer.Stop()
		l.room.Broadcast()
	}
}

// fail ends the link because of err and returns the reason it has ended for.
func (l *Link) fail(err error) error {
	l.mu.Lock()
	l.end(err)
	err = l.err
	l.mu.Unlock()
	code := 0
	if errors.Is(err, ErrProtocol) {
		code = relay.CloseProtocol
	}
	l.shut(code)
	return err
}

// Close ends the link and tells the peer the code, if the connection still
// takes it. It does not wait; Wait does.
func (l *Link) Close(code int) {
	l.mu.Lock()
	l.end(ErrClosed)
	l.mu.Unlock()
	l.shut(code)
}

// shut closes the connection, with a close frame when code is not zero. A
// goroutine does it because the closing handshake waits for the peer, which may
// take no longer than grace. The first call decides on the code.
func (l *Link) shut(code int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shutting {
		return
	}
	l.shutting = true
	l.closing.Add(1)
	go func() {
		defer l.closing.Done()
		cut := time.AfterFunc(grace, func() { l.under.Close() })
		defer cut.Stop()
		if code != 0 {
			l.ws.Close(websocket.StatusCode(code), "")
		} else {
			l.ws.CloseNow()
		}
	}()
}

// Wait waits until the connection is closed. The link must have ended.
func (l *Link) Wait() { l.closing.Wait() }

// Drain waits until nothing is left to be written, the link has ended or ctx
// has.
func (l *Link) Drain(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.room.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil && ctx.Err() == nil && (l.writing || len(l.queue) > 0) {
		l.room.Wait()
	}
}

// CloseCode returns the close code that the peer ended the link with, or zero.
func CloseCode(err error) int {
	if c := websocket.CloseStatus(err); c >= 0 {
		return int(c)
	}
	return 0
}
