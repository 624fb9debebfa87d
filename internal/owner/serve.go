package owner

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Handler carries out what peers ask for. Both methods are called from several
// goroutines. ctx ends when the peer cancels or dies, or the owner stops; a
// handler must then return soon. An error that is a *Failure reaches the peer
// as it is, any other as ErrInternal.
type Handler interface {
	Call(ctx context.Context, method string, body []byte) ([]byte, error)
	// Stream calls send for each item. send blocks while the peer is slow, so
	// nothing that others wait for may be held meanwhile; once it has failed
	// it always fails.
	Stream(ctx context.Context, method string, body []byte, send func([]byte) error) error
}

// Owner is the process that has the home.
type Owner struct {
	home string
	lock io.Closer

	mu       sync.Mutex
	serving  bool
	stopping bool
	unlocked bool
	l        *net.UnixListener
	place    *place
	conns    map[*net.UnixConn]struct{}
	ended    chan struct{} // closed when stopping begins
	stop     sync.Once
	running  sync.WaitGroup // requests
	handling sync.WaitGroup // connections and the accept loop

	handler Handler
	check   func(secret []byte) bool
	calls   context.Context // ends all calls
	cancel  context.CancelFunc
	streams context.Context // ends all streams, earlier than calls
	hangUp  context.CancelFunc
}

func (*Owner) role() {}

// Home returns the absolute path of the home.
func (o *Owner) Home() string { return o.home }

// Serve lets peers in. It returns once they can connect, and serves them in
// the background until Stop. check decides on the secret of each peer's hello,
// which is empty when the peer gave none; nil accepts all. It must be quick.
func (o *Owner) Serve(h Handler, check func(secret []byte) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopping || o.serving {
		return ErrClosed
	}
	l, p, err := listen(o.home)
	if err != nil {
		return err
	}
	o.serving, o.l, o.place = true, l, p
	o.handler, o.check = h, check
	o.conns = make(map[*net.UnixConn]struct{})
	o.calls, o.cancel = context.WithCancel(context.Background())
	o.streams, o.hangUp = context.WithCancel(o.calls)
	o.handling.Go(o.accept)
	return nil
}

func (o *Owner) accept() {
	for {
		c, err := o.l.AcceptUnix()
		if err != nil {
			select {
			case <-o.ended:
				return
			case <-time.After(maxWait): // out of descriptors, for instance
				if errors.Is(err, net.ErrClosed) {
					return
				}
				continue
			}
		}
		o.mu.Lock()
		full := o.stopping || len(o.conns) >= maxConnections
		if !full {
			o.conns[c] = struct{}{}
			o.handling.Go(func() { o.serve(c) })
		}
		o.mu.Unlock()
		if full {
			// R-OWN-08: it will try again.
			c.Close()
		}
	}
}

// begin counts a request in, unless the owner is stopping.
func (o *Owner) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopping {
		return false
	}
	o.running.Add(1)
	return true
}

// serve is one connection's life.
func (o *Owner) serve(c *net.UnixConn) {
	defer func() {
		c.Close()
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	if !o.greet(c, r) {
		return
	}
	s := &served{o: o, c: c, r: r, running: make(map[uint64]context.CancelFunc)}
	s.ctx, s.cancel = context.WithCancel(o.calls)
	defer s.cancel()
	s.loop()
	s.cancel()
	c.Close() // an answer that is stuck comes free
	s.calls.Wait()
}

// greet checks who is there.
func (o *Owner) greet(c *net.UnixConn, r io.Reader) bool {
	// R-OWN-03
	if !sameUser(c) {
		return false
	}
	c.SetDeadline(time.Now().Add(helloTime))
	b, err := readFrame(r, maxHello, func() {})
	if err != nil {
		return false
	}
	h, err := parseHello(b)
	if err != nil {
		return false
	}
	defer clear(h.Secret)
	w := welcome{PID: uint64(os.Getpid())}
	switch {
	case h.Version != protocol:
		w.Code = codeVersion
	case o.check != nil && !o.check(h.Secret):
		w.Code = codeRefused
	}
	if _, err := c.Write(appendFrame(&w)); err != nil || w.Code != codeOK {
		return false
	}
	c.SetDeadline(time.Time{})
	return true
}

// served is a connection after its hello.
type served struct {
	o      *Owner
	c      *net.UnixConn
	r      *bufio.Reader
	ctx    context.Context
	cancel context.CancelFunc
	write  sync.Mutex
	calls  sync.WaitGroup

	mu      sync.Mutex
	running map[uint64]context.CancelFunc
}

// loop reads requests until the peer ends, breaks the protocol or asks for a
// stream, which has its connection to itself.
func (s *served) loop() {
	for first := true; ; first = false {
		b, err := s.read()
		if err != nil {
			return
		}
		q, err := parseRequest(b)
		if err != nil {
			return
		}
		switch q.Ask {
		case askCall:
			if !s.call(q) {
				return
			}
		case askStream:
			if first {
				s.stream(q)
			}
			return
		case askCancel:
			s.mu.Lock()
			if cancel, ok := s.running[q.ID]; ok {
				cancel()
			}
			s.mu.Unlock()
		}
	}
}

func (s *served) read() ([]byte, error) {
	b, err := readFrame(s.r, MaxFrame, func() { s.c.SetReadDeadline(time.Now().Add(frameTime)) })
	s.c.SetReadDeadline(time.Time{})
	return b, err
}

// call starts a call. It reports whether the peer keeps to the protocol.
func (s *served) call(q request) bool {
	// R-OWN-08
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	_, twice := s.running[q.ID]
	full := len(s.running) >= maxCalls
	if !twice && !full {
		s.running[q.ID] = cancel
	}
	s.mu.Unlock()
	if twice || full {
		cancel()
		return false
	}
	if !s.o.begin() {
		cancel()
		s.finish(answer{ID: q.ID, Code: codeClosing, Last: true})
		return true
	}
	s.calls.Go(func() {
		defer s.o.running.Done()
		defer cancel()
		body, err := s.o.handler.Call(ctx, q.Method, q.Body)
		a := s.o.outcome(ctx, err)
		if err == nil {
			a.Body = body
			if len(body) > MaxBody {
				a.Code, a.Body = codeTooLarge, nil
			}
		}
		a.ID, a.Last = q.ID, true
		s.finish(a)
	})
	return true
}

// outcome turns a handler's error into an answer.
func (o *Owner) outcome(ctx context.Context, err error) answer {
	var f *Failure
	switch {
	case err == nil:
		return answer{}
	case errors.As(err, &f) && f.Code >= FirstCode && len(f.Body) <= MaxBody:
		return answer{Code: f.Code, Body: f.Body}
	case o.calls.Err() != nil:
		return answer{Code: codeClosing}
	case ctx.Err() != nil:
		return answer{Code: codeCanceled}
	default:
		return answer{Code: codeInternal}
	}
}

// finish answers a call. The id is free again before the peer can know.
func (s *served) finish(a answer) {
	s.mu.Lock()
	delete(s.running, a.ID)
	s.mu.Unlock()
	f := appendFrame(&a)
	s.write.Lock()
	defer s.write.Unlock()
	s.c.SetWriteDeadline(time.Now().Add(answerTime))
	if _, err := s.c.Write(f); err != nil {
		s.c.Close()
	}
}

// stream serves a stream. Nothing but the end of the connection is read
// meanwhile: that is how the peer cancels.
func (s *served) stream(q request) {
	// R-OWN-06
	if !s.o.begin() {
		s.finish(answer{ID: q.ID, Code: codeClosing, Last: true})
		return
	}
	defer s.o.running.Done()
	ctx, cancel := context.WithCancel(s.o.streams)
	defer cancel()
	s.calls.Go(func() {
		s.r.ReadByte()
		cancel()
	})
	// A write that waits for a slow peer ends with the context.
	defer context.AfterFunc(ctx, func() { s.c.SetWriteDeadline(time.Unix(1, 0)) })()

	var failed error
	err := s.o.handler.Stream(ctx, q.Method, q.Body, func(item []byte) error {
		switch {
		case failed != nil:
			return failed
		case len(item) > MaxBody:
			return ErrTooLarge
		}
		if failed = ctx.Err(); failed == nil {
			if _, err := s.c.Write(appendFrame(&answer{ID: q.ID, Body: item})); err != nil {
				failed = ErrClosed
				cancel()
			}
		}
		return failed
	})
	if failed == nil && ctx.Err() == nil {
		a := s.o.outcome(ctx, err)
		if errors.Is(err, ErrTooLarge) {
			a.Code = codeTooLarge
		}
		a.ID, a.Last = q.ID, true
		s.c.Write(appendFrame(&a))
	}
	// Otherwise the peer is gone, or learns from the end of the connection
	// that its owner is.
}

// Stop lets nobody in any more, ends the streams, lets the calls in flight
// finish (after drainTime their contexts end) and removes the socket. The lock
// is still held: close the store, then call Close. Peers get ErrOwnerGone.
func (o *Owner) Stop() {
	// R-OWN-07
	o.stop.Do(o.drain)
}

func (o *Owner) drain() {
	o.mu.Lock()
	o.stopping = true
	close(o.ended)
	serving := o.serving
	o.mu.Unlock()
	if !serving {
		return
	}
	o.l.Close()
	o.hangUp()
	idle := make(chan struct{})
	go func() { o.running.Wait(); close(idle) }()
	t := time.NewTimer(drainTime)
	select {
	case <-idle:
	case <-t.C:
		o.cancel()
		o.hangUpAll()
		<-idle
	}
	t.Stop()
	o.cancel()
	o.hangUpAll()
	o.handling.Wait()
	o.place.remove()
}

func (o *Owner) hangUpAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		c.Close()
	}
}

// Close stops, and gives the home to whoever acquires it next.
func (o *Owner) Close() error {
	o.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unlocked {
		return nil
	}
	o.unlocked = true
	return o.lock.Close()
}
