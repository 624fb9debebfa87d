package server_test

import (
	"context"
	"net"
	"sync"
)

// pipes is a network of in-memory connections, for tests on a synthetic clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	mu  sync.Mutex
	cut []*frozen
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "tcp" }
func (pipeAddr) String() string  { return "127.0.0.1:7295" }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := socketPair()
	f := &frozen{Conn: near, gate: make(chan struct{}), closed: make(chan struct{})}
	close(f.gate)
	p.mu.Lock()
	p.cut = append(p.cut, f)
	p.mu.Unlock()
	select {
	case p.conns <- far:
		return f, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// freeze makes every connection of the clients go deaf and dumb, as when a
// cable is pulled: nothing is closed and nothing passes.
func (p *pipes) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.cut {
		f.mu.Lock()
		f.gate = make(chan struct{})
		f.mu.Unlock()
	}
}

// frozen is the client's end of a connection.
type frozen struct {
	net.Conn
	mu     sync.Mutex
	gate   chan struct{} // closed while bytes pass
	once   sync.Once
	closed chan struct{}
}

func (f *frozen) pass() error {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	select {
	case <-gate:
		return nil
	case <-f.closed:
		return net.ErrClosed
	}
}

func (f *frozen) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if perr := f.pass(); perr != nil {
		return 0, perr
	}
	return n, err
}

func (f *frozen) Write(b []byte) (int, error) {
	if err := f.pass(); err != nil {
		return 0, err
	}
	return f.Conn.Write(b)
}

func (f *frozen) Close() error {
	f.once.Do(func() { close(f.closed) })
	return f.Conn.Close()
}
