package server

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate is the listener: it closes connections beyond the limits of an address
// or of the server before any work is done for them (R-REL-23).
type gate struct {
	net.Listener
	limits *limiters
	max    Limits

	mu    sync.Mutex
	open  map[string]int
	total int
}

func newGate(l net.Listener, limits *limiters, max Limits) *gate {
	return &gate{Listener: l, limits: limits, max: max, open: make(map[string]int)}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := networkOf(c.RemoteAddr().String())
		if !g.enter(from) {
			c.Close()
			continue
		}
		return &guest{Conn: c, leave: func() { g.leave(from) }}, nil
	}
}

func (g *gate) enter(from string) bool {
	if g.limits.connect.take(from, 1, time.Now()) != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.max.Connections || g.open[from] >= g.max.ConnectionsPerAddress {
		return false
	}
	g.total++
	g.open[from]++
	return true
}

func (g *gate) leave(from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.open[from]--; g.open[from] == 0 {
		delete(g.open, from)
	}
}

// guest is a connection that was let in.
type guest struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close implements net.Conn.
func (c *guest) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// networkOf is what limits by address count as one: an IPv4 address or an IPv6
// /64.
func networkOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := at.Addr().Unmap()
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
