package memnet

import (
	"context"
	"net"
	"sync"
)

// Addr is the address of everything in memory.
type Addr struct{}

// Network implements net.Addr.
func (Addr) Network() string { return "tcp" }

func (Addr) String() string { return "127.0.0.1:7295" }

// Listener is a net.Listener whose connections come from Dial.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Listen returns a listener.
func Listen() *Listener { return &Listener{conns: make(chan net.Conn), done: make(chan struct{})} }

// Dial opens a connection and returns when it is accepted.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	near, far := Pair()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (*Listener) Addr() net.Addr { return Addr{} }
