package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
)

type meetID = [relay.MeetIDSize]byte

func (w *world) meet(id meetID) (net.Conn, error) {
	return relayclient.Meet(w.t.Context(), w.t.Context(), w.target(), id)
}

func (w *world) mustMeet(id meetID) net.Conn {
	w.t.Helper()
	c, err := w.meet(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func hears(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("%q, %v; want %q", b, err, want)
	}
}

// R-LNK-13: two who name the same id are joined, in any order, and hear each
// other; a third is refused, and whoever names another id hears nothing of it.
func TestR_LNK_13_TwoMeet(t *testing.T) {
	w := serve(t)
	a := w.mustMeet(meetID{1})
	if _, err := a.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	other := w.mustMeet(meetID{2})
	b := w.mustMeet(meetID{1})
	hears(t, b, "before")
	_, err := w.meet(meetID{1})
	wantCode(t, err, relay.Conflict)
	long := strings.Repeat("x", relay.MaxMeetMessage)
	go b.Write([]byte(long))
	hears(t, a, long)
	go a.Write([]byte("again"))
	hears(t, b, "again")
	other.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := other.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("somebody else hears %d bytes", n)
	}
	// What was said before leaving arrives; then it is over, and the id is free.
	if _, err := b.Write([]byte("goodbye")); err != nil {
		t.Fatal(err)
	}
	go b.Close()
	hears(t, a, "goodbye")
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the other has left: %v", err)
	}
	a.Close()
	c, d := w.mustMeet(meetID{1}), w.mustMeet(meetID{1})
	go c.Write([]byte("anew"))
	hears(t, d, "anew")
}

// R-LNK-13: who waits alone, and two who stay too long, are sent away.
func TestR_LNK_13_MeetingsEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *pipes) {
		alone, a, b := w.mustMeet(meetID{1}), w.mustMeet(meetID{2}), w.mustMeet(meetID{2})
		began := time.Now()
		go a.Write([]byte("hello"))
		hears(t, b, "hello")
		var all sync.WaitGroup
		for _, c := range []net.Conn{alone, a, b} {
			all.Go(func() {
				c.Read(make([]byte, 1))
				if d := time.Since(began); d < relay.MeetLife || d > relay.MeetLife+time.Minute {
					t.Errorf("it ended after %v", d)
				}
				c.Close()
			})
		}
		all.Wait()
	})
}

// R-REL-24: a stop ends meetings too, and leaves nothing behind.
func TestR_REL_24_MeetingsEndWithTheServer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *pipes) {
		alone, a, b := w.mustMeet(meetID{1}), w.mustMeet(meetID{2}), w.mustMeet(meetID{2})
		began := time.Now()
		w.stop()
		for _, c := range []net.Conn{alone, a, b} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("it goes on after the stop")
			}
			c.Close()
		}
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// R-LNK-13: what one address may open at a time, and how fast, is limited, and
// a place that was left is free again.
func TestR_LNK_13_Flood(t *testing.T) {
	w := serve(t, limited(func(l *server.Limits) { l.MeetingsPerAddress, l.Meets = 3, server.Rate{Burst: -1} }))
	var open []net.Conn
	for i := range byte(3) {
		open = append(open, w.mustMeet(meetID{i}))
	}
	_, err := w.meet(meetID{9})
	wantCode(t, err, relay.RateLimited)
	open[0].Close()
	for { // until the server has noticed, or the test's time is over
		if _, err := w.meet(meetID{9}); err == nil {
			break
		} else {
			wantCode(t, err, relay.RateLimited)
		}
	}
	w = serve(t, limited(func(l *server.Limits) { l.Meets = server.Rate{Burst: 4, Every: time.Hour} }))
	for i := range byte(4) {
		w.mustMeet(meetID{i})
	}
	_, err = w.meet(meetID{9})
	wantCode(t, err, relay.RateLimited)
}

// R-LNK-13: the whole server has room for so many.
func TestR_LNK_13_Full(t *testing.T) {
	w := serve(t, limited(func(l *server.Limits) { l.Meetings, l.Meets = 2, server.Rate{Burst: -1} }))
	w.mustMeet(meetID{1})
	w.mustMeet(meetID{1})
	_, err := w.meet(meetID{2})
	wantCode(t, err, relay.Unavailable)
}

// insecure trusts any server, as a test may.
func insecure() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
}

// rawMeet opens a meeting without the bounds of the client.
func (w *world) rawMeet(query, protocol string) (*websocket.Conn, *http.Response, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: insecure(), DialContext: w.dial}}
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	return websocket.Dial(ctx, "https://"+w.invite.Host+relay.PathMeet+"?"+query, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{protocol}})
}

// R-LNK-13: what breaks the bounds ends the meeting for both.
func TestR_LNK_13_Bounds(t *testing.T) {
	w := serve(t)
	for name, write := range map[string]func(c *websocket.Conn) error{
		"too long": func(c *websocket.Conn) error {
			return c.Write(t.Context(), websocket.MessageBinary, make([]byte, relay.MaxMeetMessage+1))
		},
		"text": func(c *websocket.Conn) error { return c.Write(t.Context(), websocket.MessageText, []byte("hello")) },
		"too many": func(c *websocket.Conn) (err error) {
			for i := 0; i <= relay.MaxMeetMessages && err == nil; i++ {
				err = c.Write(t.Context(), websocket.MessageBinary, []byte{1})
			}
			return err
		},
		"too much": func(c *websocket.Conn) (err error) {
			for i := 0; i <= relay.MaxMeetBytes/relay.MaxMeetMessage && err == nil; i++ {
				err = c.Write(t.Context(), websocket.MessageBinary, make([]byte, relay.MaxMeetMessage))
			}
			return err
		},
	} {
		id := meetID{byte(len(name)), name[len(name)-1]}
		listener := w.mustMeet(id)
		c, _, err := w.rawMeet(relay.MeetQuery(id), relay.SubprotocolMeet)
		if err != nil {
			t.Fatal(err)
		}
		wrote := make(chan struct{})
		go func() { defer close(wrote); write(c) }()
		n, err := io.Copy(io.Discard, listener)
		if n > relay.MaxMeetBytes || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %d bytes came, %v", name, n, err)
		}
		c.CloseNow()
		<-wrote
		listener.Close()
	}
	id := relay.MeetQuery(meetID{77})
	for _, q := range []string{"", "id=", "id=" + strings.Repeat("0", 31), "id=" + strings.Repeat("g", 32), strings.ToUpper(relay.MeetQuery(meetID{0xab})), id + "&x=1", id + "00"} {
		_, resp, err := w.rawMeet(q, relay.SubprotocolMeet)
		if err == nil || resp == nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %v", q, err)
		}
	}
	if c, _, err := w.rawMeet(id, relay.Subprotocol); err == nil {
		if _, _, err := c.Read(t.Context()); err == nil {
			t.Error("another subprotocol is served")
		}
		c.CloseNow()
	}
	// A request that was never a WebSocket leaves its seat.
	for range 3 {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: insecure()}}
		resp, err := client.Get("https://" + w.invite.Host + relay.PathMeet + "?" + id)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	a, b := w.mustMeet(meetID{77}), w.mustMeet(meetID{77})
	go a.Write([]byte("hello"))
	hears(t, b, "hello")
}

// R-REL-25: nothing of a meeting is logged.
func TestR_REL_25_MeetingsAreNotLogged(t *testing.T) {
	var log bytes.Buffer // written by one handler, which locks
	w := serve(t, func(c *server.Config) {
		c.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	a, b := w.mustMeet(meetID{0xab, 0xcd}), w.mustMeet(meetID{0xab, 0xcd})
	go a.Write([]byte("secret words"))
	hears(t, b, "secret words")
	_, err := w.meet(meetID{0xab, 0xcd})
	wantCode(t, err, relay.Conflict)
	a.Close()
	w.stop()
	for _, word := range []string{"secret", "abcd", "127.0.0.1"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log says %q: %s", word, log.String())
		}
	}
}
