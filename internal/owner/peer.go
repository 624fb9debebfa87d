package owner

import (
	"bufio"
	"context"
	"iter"
	"net"
	"sync"
	"time"
)

// Peer is a process that talks to the owner of the home. Its methods may be
// called from several goroutines.
type Peer struct {
	home   string
	secret []byte
	pid    int
	c      *net.UnixConn
	r      *bufio.Reader

	slots chan struct{} // one token for each call that the owner has
	write chan struct{} // one token: held while writing
	gone  chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan answer
	closed  bool
	end     sync.Once
}

func (*Peer) role() {}

// dial connects to the owner of the home and says hello.
func dial(ctx context.Context, dir string, secret []byte) (*Peer, error) {
	if len(secret) > MaxSecret {
		return nil, ErrTooLarge
	}
	c, r, pid, err := greet(ctx, dir, secret)
	if err != nil {
		return nil, err
	}
	p := &Peer{
		home: dir, secret: append([]byte(nil), secret...), pid: pid, c: c, r: r,
		slots:   make(chan struct{}, maxCalls),
		write:   make(chan struct{}, 1),
		gone:    make(chan struct{}),
		waiting: make(map[uint64]chan answer),
	}
	go p.read()
	return p, nil
}

// greet connects, makes sure that the other side is this user's, and only then
// sends the secret.
func greet(ctx context.Context, dir string, secret []byte) (_ *net.UnixConn, _ *bufio.Reader, pid int, err error) {
	// R-OWN-03
	socket, err := locate(dir)
	if err != nil {
		return nil, nil, 0, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, 0, err
	}
	c := nc.(*net.UnixConn)
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			c.Close()
		}
	}()
	if !sameUser(c) {
		return nil, nil, 0, ErrUnsafe
	}
	if _, err := c.Write(appendFrame(&hello{Version: protocol, Secret: secret})); err != nil {
		return nil, nil, 0, err
	}
	r := bufio.NewReader(c)
	b, err := readFrame(r, maxHello, func() {})
	if err != nil {
		return nil, nil, 0, err
	}
	w, err := parseWelcome(b)
	if err != nil {
		return nil, nil, 0, err
	}
	switch w.Code {
	case codeOK:
		return c, r, int(w.PID), nil
	case codeRefused:
		return nil, nil, 0, ErrRefused
	case codeVersion:
		return nil, nil, 0, ErrVersion
	default:
		return nil, nil, 0, ErrFrame
	}
}

// OwnerPID returns the owner's process id.
func (p *Peer) OwnerPID() int { return p.pid }

// Gone is closed when the owner has gone, or Close was called.
func (p *Peer) Gone() <-chan struct{} { return p.gone }

// Close ends the connection. Calls in flight are cancelled at the owner and
// return ErrClosed here.
func (p *Peer) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.hangUp()
	return nil
}

func (p *Peer) hangUp() {
	p.end.Do(func() {
		p.c.Close()
		close(p.gone)
	})
}

// why is the error of a call that gets no answer.
func (p *Peer) why() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	return ErrOwnerGone
}

// read hands answers to those who wait for them.
func (p *Peer) read() {
	defer p.hangUp()
	for {
		b, err := readFrame(p.r, MaxFrame, func() {})
		if err != nil {
			return
		}
		a, err := parseAnswer(b)
		if err != nil || !a.Last {
			return
		}
		p.mu.Lock()
		ch, ok := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if !ok {
			return // an answer to nothing
		}
		<-p.slots
		ch <- a // never blocks: room for one, sent once
	}
}

// send writes a frame. A frame half written ends the connection.
func (p *Peer) send(ctx context.Context, f []byte) error {
	select {
	case p.write <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.gone:
		return p.why()
	}
	defer func() { <-p.write }()
	if err := ctx.Err(); err != nil {
		return err
	}
	p.c.SetWriteDeadline(time.Time{})
	hit := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.c.SetWriteDeadline(time.Unix(1, 0)); close(hit) })
	_, err := p.c.Write(f)
	if !stop() {
		<-hit // or it would hit the next frame
	}
	if err != nil {
		p.hangUp()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return p.why()
	}
	return nil
}

// Call asks the owner and waits for its answer. When ctx ends, the call is
// cancelled at the owner and ctx's error returned; whether it was carried out
// is then as unknown as after ErrOwnerGone. A *Failure is the handler's.
func (p *Peer) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	if len(body) > MaxBody || len(method) > MaxMethod {
		return nil, ErrTooLarge
	}
	select {
	case <-p.gone:
		return nil, p.why()
	default:
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.gone:
		return nil, p.why()
	}
	ch := make(chan answer, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.waiting[id] = ch
	p.mu.Unlock()
	if err := p.send(ctx, appendFrame(&request{ID: id, Ask: askCall, Method: method, Body: body})); err != nil {
		p.mu.Lock()
		if _, ok := p.waiting[id]; ok {
			delete(p.waiting, id)
			<-p.slots
		}
		p.mu.Unlock()
		return nil, err
	}
	select {
	case a := <-ch:
		return a.result(ctx)
	case <-ctx.Done():
		// The slot stays taken until the owner has answered: it counts the
		// call until then.
		go p.send(context.Background(), appendFrame(&request{ID: id, Ask: askCancel}))
		return nil, ctx.Err()
	case <-p.gone:
		select {
		case a := <-ch: // it came just before the end
			return a.result(ctx)
		default:
			return nil, p.why()
		}
	}
}

// result turns the last answer into what the caller gets.
func (a *answer) result(ctx context.Context) ([]byte, error) {
	switch a.Code {
	case codeOK:
		return a.Body, nil
	case codeClosing:
		return nil, ErrOwnerGone
	case codeTooLarge:
		return nil, ErrTooLarge
	case codeCanceled:
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, context.Canceled
	}
	if a.Code < FirstCode {
		return nil, ErrInternal
	}
	return nil, &Failure{Code: a.Code, Body: a.Body}
}

// Stream asks the owner for a stream and yields its items. It ends after the
// owner's last item, or yields one error: ctx's, ErrOwnerGone, a *Failure. A
// stream has a connection of its own, so that one read slowly holds up nothing
// but itself; leaving the loop cancels it at the owner.
func (p *Peer) Stream(ctx context.Context, method string, body []byte) iter.Seq2[[]byte, error] {
	// R-OWN-06
	return func(yield func([]byte, error) bool) {
		if len(body) > MaxBody || len(method) > MaxMethod {
			yield(nil, ErrTooLarge)
			return
		}
		fail := func(err error) {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			yield(nil, err)
		}
		select {
		case <-p.gone:
			fail(p.why())
			return
		default:
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		c, r, _, err := greet(ctx, p.home, p.secret)
		if err != nil {
			if err != ErrRefused && err != ErrVersion && err != ErrUnsafe {
				err = ErrOwnerGone
			}
			fail(err)
			return
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		if _, err := c.Write(appendFrame(&request{ID: 1, Ask: askStream, Method: method, Body: body})); err != nil {
			fail(ErrOwnerGone)
			return
		}
		for {
			b, err := readFrame(r, MaxFrame, func() {})
			if err != nil {
				fail(ErrOwnerGone)
				return
			}
			a, err := parseAnswer(b)
			if err != nil || a.ID != 1 {
				fail(ErrOwnerGone)
				return
			}
			if a.Last {
				if _, err := a.result(ctx); err != nil {
					fail(err)
				}
				return
			}
			if !yield(a.Body, nil) {
				return
			}
		}
	}
}
