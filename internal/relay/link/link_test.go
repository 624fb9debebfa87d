package link

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/relay"
)

// pair connects a link with a plain WebSocket.
func pair(t *testing.T) (*Link, *websocket.Conn) {
	t.Helper()
	links := make(chan *Link, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		links <- New(ws, closer(func() error { return ws.CloseNow() }), time.Hour)
	}))
	t.Cleanup(s.Close)
	ws, _, err := websocket.Dial(t.Context(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(relay.MaxPacket)
	l := <-links
	t.Cleanup(func() { l.Close(0); l.Wait() })
	return l, ws
}

type closer func() error

func (f closer) Close() error { return f() }

// R-REL-07: frames that are ready together share packets, which stay within
// bounds and hold whole frames in their order.
func TestFramesSharePackets(t *testing.T) {
	l, ws := pair(t)
	const n = 3000
	body := make([]byte, 1000)
	l.mu.Lock()
	l.writing = true // as if another goroutine were in the middle of a write
	l.mu.Unlock()
	for i := range uint64(n) {
		if err := l.Post(relay.Frame{ID: i + 1, Body: body}); err != nil {
			if i < maxQueued/2000 || !errors.Is(err, ErrSlow) {
				t.Fatalf("frame %d: %v", i, err)
			}
			go l.flush()
			for next, packets := uint64(1), 0; next <= i; packets++ {
				_, p, err := ws.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(p) > packet {
					t.Fatalf("a packet of %d bytes", len(p))
				}
				for len(p) > 0 {
					var f relay.Frame
					if f, p, err = relay.CutFrame(p); err != nil || f.ID != next {
						t.Fatalf("frame %d where %d is due: %v", f.ID, next, err)
					}
					next++
				}
				if packets > int(i)/30 {
					t.Fatal("frames do not share packets")
				}
			}
			return
		}
	}
	t.Fatal("the queue has no end")
}

// R-REL-23: Send waits while the peer does not read, and ends with the link.
func TestSendWaits(t *testing.T) {
	l, _ := pair(t)
	l.mu.Lock()
	l.writing = true
	l.mu.Unlock()
	big := relay.Frame{ID: 1, Body: make([]byte, relay.MaxPacket/2)}
	sent := make(chan error, 1)
	go func() {
		for {
			if err := l.Send(big); err != nil {
				sent <- err
				return
			}
		}
	}()
	for {
		l.mu.Lock()
		full := len(l.queue) > maxQueued
		l.mu.Unlock()
		if full {
			break
		}
		runtime.Gosched()
	}
	l.Close(0)
	if err := <-sent; !errors.Is(err, ErrClosed) {
		t.Errorf("Send: %v", err)
	}
	if len(l.queue) > maxQueued+2*relay.MaxPacket {
		t.Errorf("%d bytes are queued", len(l.queue))
	}
}

// The first reason for which a link is closed is the one that the peer is told.
func TestFirstReasonCounts(t *testing.T) {
	l, ws := pair(t)
	l.Close(relay.CloseReplaced)
	l.Close(relay.CloseProtocol)
	_, _, err := ws.Read(context.Background())
	if CloseCode(err) != relay.CloseReplaced {
		t.Errorf("the peer reads %v", err)
	}
	if CloseCode(io.EOF) != 0 {
		t.Error("an error that is no close code has one")
	}
	if err := l.Post(relay.Frame{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Post: %v", err)
	}
}

// R-REL-24: what was sent before a stop is written before the link is closed.
func TestDrain(t *testing.T) {
	l, ws := pair(t)
	for i := range uint64(50) {
		if err := l.Post(relay.Frame{ID: i + 1, Body: make([]byte, 10_000)}); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		l.Drain(context.Background())
		l.Close(relay.CloseGoingAway)
	}()
	n := 0
	for {
		_, p, err := ws.Read(t.Context())
		if CloseCode(err) == relay.CloseGoingAway {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for len(p) > 0 {
			if _, p, err = relay.CutFrame(p); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n != 50 {
		t.Errorf("%d frames came before the end", n)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	l.Drain(over) // of a link that has ended: at once
}
