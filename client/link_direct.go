package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/linking"
)

const (
	// greetPatience is what a connection gets to send its hello.
	greetPatience = 20 * time.Second
	// maxGuests is how many connections may be about that. One more ends the
	// oldest: silence is never in the way of who has something to say.
	maxGuests = 32
)

// door waits on the network of this machine (R-LNK-11).
type door struct {
	l     net.Listener
	at    linking.Meet
	w     *linking.Waiting
	now   func() time.Time
	ready chan guest
	life  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // that have not greeted, the oldest first
}

func listen(ctx context.Context, at string, w *linking.Waiting, now func() time.Time) (*door, error) {
	if at == "" {
		at = ":0"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("%w: this machine cannot be listened on: %w", ErrUnreachable, err)
	}
	d := &door{l: l, w: w, now: now, ready: make(chan guest)}
	d.life, d.end = context.WithCancel(ctx)
	if d.at.Candidates = candidates(l.Addr()); len(d.at.Candidates) == 0 {
		d.close()
		return nil, fmt.Errorf("%w: this machine has no address to be reached at", ErrUnreachable)
	}
	d.tasks.Go(d.accept)
	return d, nil
}

// candidates are the addresses at which a listener is reached: loopback, for a
// device on this very machine, and then those of its networks.
func candidates(at net.Addr) (out []netip.AddrPort) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return nil
	}
	where := tcp.AddrPort()
	if ip := where.Addr().Unmap(); !ip.IsUnspecified() {
		return []netip.AddrPort{netip.AddrPortFrom(ip.WithZone(""), where.Port())}
	}
	out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), where.Port()))
	var found []netip.Addr
	interfaces, err := net.Interfaces()
	if err != nil {
		return out
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if ip := p.Addr().Unmap(); err == nil && ip.IsGlobalUnicast() {
				found = append(found, ip.WithZone(""))
			}
		}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() }) // IPv4 first
	for _, ip := range found {
		if len(out) < linking.MaxCandidates {
			out = append(out, netip.AddrPortFrom(ip, where.Port()))
		}
	}
	return out
}

func (d *door) place() linking.Meet { return d.at }

func (d *door) accept() {
	for {
		c, err := d.l.Accept()
		if d.life.Err() != nil {
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil {
			t := time.NewTimer(100 * time.Millisecond) // out of descriptors, for a while
			select {
			case <-t.C:
			case <-d.life.Done():
			}
			t.Stop()
			continue
		}
		d.enter(c)
		d.tasks.Go(func() { d.greet(c) })
	}
}

// enter counts a connection in, and the oldest out when there are too many.
func (d *door) enter(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.conns) >= maxGuests {
		d.conns[0].Close()
		d.conns = d.conns[1:]
	}
	d.conns = append(d.conns, c)
}

func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = slices.DeleteFunc(d.conns, func(o net.Conn) bool { return o == c })
}

func (d *door) greet(c net.Conn) {
	c.SetDeadline(time.Now().Add(greetPatience))
	stop := context.AfterFunc(d.life, func() { c.Close() })
	g, err := d.w.Greet(linking.Frames(c), d.now)
	d.leave(c)
	if err != nil {
		stop()
		c.Close()
		return
	}
	select {
	case d.ready <- guest{g, func(t time.Time) { c.SetDeadline(t) }}:
	case <-d.life.Done():
	}
}

func (d *door) next(ctx context.Context) (guest, error) {
	select {
	case g := <-d.ready:
		return g, nil
	case <-ctx.Done():
		return guest{}, ctx.Err()
	}
}

func (d *door) close() {
	d.end()
	d.l.Close()
	d.tasks.Wait()
}

// reachDirect dials every candidate and returns the first that makes the offer
// which the URI names.
func reachDirect(ctx context.Context, dial dialFunc, l linking.Link) (net.Conn, linking.Offer, error) {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	type reached struct {
		conn  net.Conn
		offer linking.Offer
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, greetPatience)
	found := make(chan reached)
	var tasks sync.WaitGroup
	for _, at := range l.Meet.Candidates {
		tasks.Go(func() {
			r := reached{}
			if r.conn, r.err = dial(ctx, "tcp", at.String()); r.err == nil {
				stop := context.AfterFunc(ctx, func() { r.conn.Close() })
				r.offer, r.err = linking.Reach(linking.Frames(r.conn), l)
				if !stop() && r.err == nil {
					r.err = ctx.Err()
				}
				if r.err != nil {
					r.conn.Close()
				}
			}
			select {
			case found <- r:
			case <-ctx.Done():
				if r.err == nil {
					r.conn.Close()
				}
			}
		})
	}
	defer tasks.Wait()
	defer cancel()
	var all error
	for range l.Meet.Candidates {
		select {
		case r := <-found:
			if r.err == nil {
				return r.conn, r.offer, nil
			}
			all = errors.Join(all, linkError(r.err))
		case <-ctx.Done():
			return nil, linking.Offer{}, fmt.Errorf("%w: nobody answers at its addresses", ErrUnreachable)
		}
	}
	return nil, linking.Offer{}, fmt.Errorf("%w: the other device does not wait at its addresses, or this one is on another network", ErrUnreachable)
}
