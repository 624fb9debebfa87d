package server_test

import (
	"context"
	"net"
	"sync"

	"github.com/pawl-chat/pawl/internal/memnet"
)

// pipes is a network of in-memory connections, for tests on a synthetic clock.
type pipes struct {
	*memnet.Listener

	mu  sync.Mutex
	cut []*frozen
}

func newPipes() *pipes { return &pipes{Listener: memnet.Listen()} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	f := &frozen{Conn: near, gate: make(chan struct{}), closed: make(chan struct{})}
	close(f.gate)
	p.mu.Lock()
	p.cut = append(p.cut, f)
	p.mu.Unlock()
	return f, nil
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
