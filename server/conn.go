package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relay/link"
)

const (
	// loginPatience is how long a connection may take to log in.
	loginPatience = 10 * time.Second
	// maxInFlight and maxInFlightBytes bound the requests of one connection that
	// are being answered; beyond them it is not read.
	maxInFlight      = 64
	maxInFlightBytes = 2 << 20
)

// conn is one device's connection.
type conn struct {
	s     *Server
	link  *link.Link
	nonce [relay.NonceSize]byte
	dev   Device // set by the login, before anything else may look at it
	ctx   context.Context
	end   context.CancelFunc // ends ctx, which ends the pump
	work  sync.WaitGroup     // requests in flight and the pump
	login *time.Timer

	mu       sync.Mutex
	idle     sync.Cond // inFlight shrank
	inFlight int
	bytes    int // of requests in flight
	leaving  bool

	window window

	// delivered is the Seq of the last message delivered.
	delivered atomic.Uint64
}

// connect turns a request into a connection (R-REL-08).
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	under, ok := r.Context().Value(under{}).(io.Closer)
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:    []string{relay.Subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return // Accept has answered
	}
	if ws.Subprotocol() != relay.Subprotocol {
		ws.CloseNow()
		return
	}
	c := &conn{s: s, link: link.New(ws, under, s.conf.Heartbeat)}
	c.idle.L = &c.mu
	c.window.init()
	c.ctx, c.end = context.WithCancel(s.store)
	if !s.conns.add(c) {
		c.end()
		c.link.Close(relay.CloseGoingAway)
		return
	}
	go c.run()
}

// run is the connection's reader and its whole life.
func (c *conn) run() {
	defer c.s.conns.remove(c)
	c.login = time.AfterFunc(loginPatience, func() { c.link.Close(relay.CloseUnauthorized) })
	rand.Read(c.nonce[:])
	err := c.link.Send(notice(relay.OpHello, &relay.Hello{Nonce: c.nonce}))
	if err == nil {
		err = c.link.Run(c.handle)
	}
	c.login.Stop()
	c.end()
	c.link.Close(relay.CloseProtocol) // unless it was closed for a better reason
	c.work.Wait()
	c.link.Wait()
	c.s.log.Debug("connection ended", "err", why(err))
}

// handle takes one frame from the device. It runs in the reader and returns
// before the request is answered.
func (c *conn) handle(f relay.Frame) error {
	if f.ID == 0 {
		return link.ErrProtocol // devices send no notices but heartbeats
	}
	if c.dev.ID == 0 {
		return c.logIn(f)
	}
	if !c.admit(len(f.Body)) {
		return c.link.Post(response(f.ID, nil, &relay.Error{Code: relay.Unavailable, RetryAfter: time.Second}))
	}
	f.Body = bytes.Clone(f.Body)
	c.work.Go(func() {
		body, err := c.answer(relay.Op(f.Kind), f.Body)
		c.link.Send(response(f.ID, body, err))
		if relay.Op(f.Kind) == relay.OpPutDeviceList && err == nil {
			c.leaveIfRevoked()
		}
		c.dismiss(len(f.Body))
	})
	return nil
}

// admit waits until the request may be worked on; false means that the server
// is stopping.
func (c *conn) admit(size int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.inFlight >= maxInFlight || (c.inFlight > 0 && c.bytes+size > maxInFlightBytes) {
		c.idle.Wait()
	}
	if c.leaving {
		return false
	}
	c.inFlight++
	c.bytes += size
	return true
}

func (c *conn) dismiss(size int) {
	c.mu.Lock()
	c.inFlight--
	c.bytes -= size
	c.idle.Broadcast()
	c.mu.Unlock()
}

// goAway takes no more requests, finishes those in flight or gives up with
// ctx, and ends the connection (R-REL-24).
func (c *conn) goAway(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		c.idle.Broadcast()
		c.mu.Unlock()
	})
	defer stop()
	c.mu.Lock()
	c.leaving = true
	for c.inFlight > 0 && ctx.Err() == nil {
		c.idle.Wait()
	}
	c.mu.Unlock()
	c.link.Drain(ctx)
	c.link.Close(relay.CloseGoingAway)
}

// answer works on one request.
func (c *conn) answer(op relay.Op, body []byte) ([]byte, *relay.Error) {
	own, err := c.listed()
	if err != nil {
		return nil, c.s.refuse(opName(op), err)
	}
	var result []byte
	switch op {
	case relay.OpSend:
		result, err = c.send(own, body)
	case relay.OpAck:
		err = c.ack(body)
	case relay.OpAccount:
		result, err = c.account(body)
	case relay.OpTakeBundle:
		result, err = c.takeBundle(body)
	case relay.OpPrekeyStatus:
		result, err = c.prekeyStatus(body)
	case relay.OpPutPrekeys:
		err = c.putPrekeys(body)
	case relay.OpPutDeviceList:
		err = c.putDeviceList(body)
	case relay.OpMailboxEnd:
		result, err = c.mailboxEnd(body)
	case relay.OpGroupCreate:
		err = c.createGroup(body)
	case relay.OpGroupAppend:
		result, err = c.appendGroup(body)
	case relay.OpGroupRead:
		result, err = c.readGroup(body)
	case relay.OpGroupSend:
		result, err = c.sendGroup(own, body)
	default:
		err = relay.ErrMalformed
	}
	if err != nil {
		return nil, c.s.refuse(opName(op), err)
	}
	return result, nil
}

// listed returns the account of the connection's device. A device that was
// revoked since it logged in gets nothing done any more, by whichever server of
// the store it was revoked (R-REL-32).
func (c *conn) listed() (*account, error) {
	own, err := c.s.accounts.recent(c.s.store, c.dev.User)
	if err != nil {
		return nil, err
	}
	if !own.isActive(c.dev.ID) {
		c.end()
		c.link.Close(relay.CloseUnauthorized)
		return nil, relay.Refuse(relay.Unauthorized)
	}
	return own, nil
}

func opName(op relay.Op) string {
	switch op {
	case relay.OpSend:
		return "send"
	case relay.OpAck:
		return "ack"
	case relay.OpAccount:
		return "account"
	case relay.OpTakeBundle:
		return "take bundle"
	case relay.OpPrekeyStatus:
		return "prekey status"
	case relay.OpPutPrekeys:
		return "put prekeys"
	case relay.OpPutDeviceList:
		return "put device list"
	case relay.OpMailboxEnd:
		return "mailbox end"
	case relay.OpGroupCreate:
		return "group create"
	case relay.OpGroupAppend:
		return "group append"
	case relay.OpGroupRead:
		return "group read"
	case relay.OpGroupSend:
		return "group send"
	}
	return "unknown"
}

// response builds the frame that answers request id.
func response(id uint64, body []byte, refused *relay.Error) relay.Frame {
	if refused != nil {
		return relay.Frame{ID: id, Kind: uint64(refused.Code), Body: refused.Body()}
	}
	return relay.Frame{ID: id, Kind: uint64(relay.OK), Body: body}
}

// why tells in a word why a connection ended, without any of the peer's text.
func why(err error) string {
	switch err {
	case link.ErrIdle:
		return "idle"
	case link.ErrSlow:
		return "slow"
	case link.ErrProtocol:
		return "protocol"
	case link.ErrClosed:
		return "closed here"
	}
	return "lost or closed by the peer"
}
