package relayclient

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relay/link"
)

// Login says which device connects, and holds its signing key.
type Login struct {
	User   string // canonical user name
	Device address.Device
	Key    ed25519.PrivateKey
	// Epoch returns the epoch that the device has and the one that this login
	// moves it to (R-REL-33). It is called once, when the server has been reached
	// and right before the login is sent. Nil offers zeros.
	Epoch func(context.Context) (from, to relay.Epoch, err error)
}

// Batch is a group of messages in the order of their sequence numbers. Empty
// is set once on a connection, when all that had waited has been delivered;
// such a batch may have no messages.
type Batch struct {
	Messages []relay.Delivery
	Empty    bool
}

// Conn is a logged-in connection. Its methods may be called by any number of
// goroutines; each returns at the latest when its context ends.
type Conn struct {
	link    *link.Link
	batches chan Batch
	done    chan struct{}
	hello   chan [relay.NonceSize]byte
	time    time.Time
	offset  time.Duration

	mu      sync.Mutex
	greeted bool
	open    bool // logged in
	last    uint64
	pending map[uint64]chan answer
	unacked map[uint64]int // delivered sequence numbers and their sizes
	waiting int            // sum of unacked
	newest  uint64         // newest sequence number delivered
	emptied bool
	err     error
}

type answer struct {
	code uint64
	body []byte
}

// Dial connects and logs in. It fails with ErrUnreachable, ErrPin or a
// *relay.Error; relay.Unauthorized means that the server does not know the
// device, or no longer, relay.RolledBack that it last saw another epoch.
func Dial(ctx context.Context, t Target, l Login) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	ws, _, err := websocket.Dial(ctx, t.url(relay.PathConnect), &websocket.DialOptions{
		HTTPClient:      onConn(raw),
		Subprotocols:    []string{relay.Subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		raw.Close()
		return nil, unreachable(ctx, err)
	}
	if ws.Subprotocol() != relay.Subprotocol {
		ws.CloseNow()
		return nil, ErrProtocol
	}
	beat := t.Heartbeat
	if beat == 0 {
		beat = relay.Heartbeat
	}
	c := &Conn{
		link:    link.New(ws, raw, beat),
		batches: make(chan Batch, relay.WindowMessages+8),
		done:    make(chan struct{}),
		hello:   make(chan [relay.NonceSize]byte, 1),
		pending: make(map[uint64]chan answer),
		unacked: make(map[uint64]int),
	}
	go c.run()
	if err := c.login(ctx, t, l); err != nil {
		// Not Close: the server does not decide how long this takes.
		c.end(ErrClosed)
		c.link.Close(int(websocket.StatusNormalClosure))
		return nil, err
	}
	return c, nil
}

func (c *Conn) login(ctx context.Context, t Target, l Login) error {
	host, err := address.Host(t.Host)
	if err != nil {
		return err
	}
	var nonce [relay.NonceSize]byte
	select {
	case nonce = <-c.hello:
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return unreachable(ctx, ctx.Err())
	}
	req := relay.LoginRequest{User: l.User, Device: l.Device}
	rand.Read(req.Nonce[:])
	if l.Epoch != nil {
		if req.From, req.To, err = l.Epoch(ctx); err != nil {
			return err
		}
	}
	req.Signature = ed25519.Sign(l.Key, relay.LoginMessage(host, &nonce, &req))
	asked := time.Now()
	var result relay.LoginResult
	if err := c.call(ctx, relay.OpLogin, codec.Marshal(req), &result); err != nil {
		if ctx.Err() != nil {
			return unreachable(ctx, err)
		}
		return err
	}
	now := time.Now()
	c.time = time.UnixMilli(result.Time)
	// The server read its clock somewhere between asking and now.
	c.offset = c.time.Sub(asked.Add(now.Sub(asked) / 2).Round(0)).Round(time.Millisecond)
	return nil
}

// ServerTime returns the server's clock as of the login.
func (c *Conn) ServerTime() time.Time { return c.time }

// ClockOffset returns how far the server's clock was ahead of this machine's at
// the login.
func (c *Conn) ClockOffset() time.Duration { return c.offset }

// Deliveries returns the channel of incoming batches. It is closed when the
// connection has ended. Acknowledge what was taken: the server delivers at most
// relay.WindowMessages beyond that.
func (c *Conn) Deliveries() <-chan Batch { return c.batches }

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it has not. It wraps
// ErrUnreachable, or is relay.Unauthorized when the server no longer accepts
// this device.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits until nothing of it is left: a second at
// most, when the server does not take its part in closing.
func (c *Conn) Close() {
	c.end(ErrClosed)
	c.link.Close(int(websocket.StatusNormalClosure))
	<-c.done
}

// run reads until the connection ends. It is the only goroutine that sends on
// batches.
func (c *Conn) run() {
	err := c.link.Run(c.handle)
	switch {
	case errors.Is(err, link.ErrProtocol):
		err = ErrProtocol
	case errors.Is(err, link.ErrIdle):
		err = fmt.Errorf("%w: it has gone silent", ErrUnreachable)
	default:
		switch link.CloseCode(err) {
		case relay.CloseReplaced:
			err = ErrReplaced
		case relay.CloseUnauthorized:
			err = relay.Refuse(relay.Unauthorized)
		case relay.CloseGoingAway:
			err = fmt.Errorf("%w: it is going away, come back", ErrUnreachable)
		default:
			err = fmt.Errorf("%w: the connection was lost", ErrUnreachable)
		}
	}
	c.end(err)
	close(c.batches)
	close(c.done)
}

// end notes the first reason.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// handle takes one frame from the server.
func (c *Conn) handle(f relay.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := false
	switch {
	case f.ID != 0:
		ok = c.response(f)
	case f.Kind == uint64(relay.OpHello):
		ok = c.greet(f.Body)
	case f.Kind == uint64(relay.OpDeliver):
		ok = c.deliver(f.Body)
	}
	if !ok {
		c.link.Close(relay.CloseProtocol)
		return link.ErrProtocol
	}
	return nil
}

func (c *Conn) greet(body []byte) bool {
	var h relay.Hello
	if c.greeted || relay.Decode(body, &h) != nil {
		return false
	}
	c.greeted = true
	c.hello <- h.Nonce // has room for one
	return true
}

// response hands an answer to the request it belongs to. One to a request that
// was given up is dropped; one to a request never made ends the connection.
func (c *Conn) response(f relay.Frame) bool {
	if f.ID > c.last {
		return false
	}
	if reply, ok := c.pending[f.ID]; ok {
		delete(c.pending, f.ID)
		if !c.open && f.Kind == uint64(relay.OK) {
			c.open = true // the first request is the login
			c.link.Trust()
		}
		reply <- answer{f.Kind, bytes.Clone(f.Body)} // has room for one
	}
	return true
}

// deliver queues a batch. The server never has more than the window
// unacknowledged, and channel and map are as large as that.
func (c *Conn) deliver(body []byte) bool {
	var d relay.Deliver
	if !c.open || relay.Decode(body, &d) != nil || (d.Empty && c.emptied) {
		return false
	}
	for i := range d.Messages {
		m := &d.Messages[i]
		if m.Seq <= c.newest || len(c.unacked) >= relay.WindowMessages || c.waiting > relay.WindowBytes {
			return false
		}
		c.newest = m.Seq
		c.unacked[m.Seq] = len(m.Body)
		c.waiting += len(m.Body)
	}
	c.emptied = c.emptied || d.Empty
	select {
	case c.batches <- Batch{Messages: d.Messages, Empty: d.Empty}:
		return true
	default:
		return false
	}
}

// call makes one request and decodes its answer into result, unless that is
// nil.
func (c *Conn) call(ctx context.Context, op relay.Op, body []byte, result relay.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	reply := make(chan answer, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	c.last++
	id := c.last
	c.pending[id] = reply
	c.mu.Unlock()
	if relay.FrameSize(len(body)) > relay.MaxPacket {
		c.forget(id)
		return relay.Refuse(relay.TooLarge)
	}
	if err := c.link.Post(relay.Frame{ID: id, Kind: uint64(op), Body: body}); err != nil {
		c.forget(id)
		if errors.Is(err, link.ErrSlow) {
			return &relay.Error{Code: relay.Unavailable, RetryAfter: time.Second}
		}
		return c.ended(ctx)
	}
	select {
	case a := <-reply:
		return a.decode(result)
	case <-ctx.Done():
		c.forget(id)
		return ctx.Err()
	case <-c.done:
		select {
		case a := <-reply: // the answer was the last thing that came
			return a.decode(result)
		default:
			return c.ended(ctx)
		}
	}
}

// ended returns why the connection ended, also when that is only just known.
func (c *Conn) ended(ctx context.Context) error {
	select {
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Conn) forget(id uint64) {
	c.mu.Lock()
	delete(c.pending, id)
	c.mu.Unlock()
}

func (a answer) decode(result relay.Message) error {
	if a.code != uint64(relay.OK) {
		return relay.ParseError(a.code, a.body)
	}
	if result == nil {
		if len(a.body) != 0 {
			return ErrProtocol
		}
		return nil
	}
	if len(a.body) == 0 {
		switch result.(type) {
		case *relay.SendAnswer, *relay.GroupSendAnswer:
			return nil // nothing to say beyond the code
		}
	}
	if relay.Decode(a.body, result) != nil {
		return ErrProtocol
	}
	return nil
}
