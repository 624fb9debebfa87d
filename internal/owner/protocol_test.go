//go:build unix

package owner

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
)

// serving returns an owner that serves h, and its home.
func serving(t testing.TB, h Handler, check func([]byte) bool) (*Owner, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := Acquire(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	o := r.(*Owner)
	if err := o.Serve(h, check); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o, dir
}

func attached(t testing.TB, dir string, opts ...Option) *Peer {
	t.Helper()
	r, err := Acquire(context.Background(), dir, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.(*Peer)
}

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		runtime.Gosched()
	}
}

func (o *Owner) connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns)
}

func TestCalls(t *testing.T) {
	_, dir := serving(t, &echo{}, nil)
	p := attached(t, dir)
	for _, n := range []int{0, 1, 100, chunk, chunk + 1, MaxBody} {
		body := bytes.Repeat([]byte{7}, n)
		got, err := p.Call(t.Context(), "echo", body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
	if _, err := p.Call(t.Context(), "echo", make([]byte, MaxBody+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
	var f *Failure
	if _, err := p.Call(t.Context(), "fail", []byte("why")); !errors.As(err, &f) || f.Code != 77 || string(f.Body) != "why" {
		t.Errorf("failure: %v", err)
	}
	if _, err := p.Call(t.Context(), "unknown", nil); !errors.Is(err, ErrInternal) || strings.Contains(err.Error(), "secret") {
		t.Errorf("other error: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 200 { // more than maxCalls at once
		wg.Go(func() {
			body := []byte{byte(i)}
			if got, err := p.Call(t.Context(), "echo", body); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	wg.Wait()
	p.Close()
	if _, err := p.Call(t.Context(), "echo", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestR_OWN_06_Cancel(t *testing.T) {
	h := &echo{}
	o, dir := serving(t, h, nil)
	p := attached(t, dir)
	for range 3 * maxCalls { // a cancelled call gives its slot back
		ctx, cancel := context.WithCancel(t.Context())
		before := h.served.Load()
		done := make(chan error)
		go func() { _, err := p.Call(ctx, "wait", nil); done <- err }()
		until(t, "the call arrives", func() bool { return h.served.Load() > before })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := p.Call(t.Context(), "echo", nil); err != nil {
		t.Error(err)
	}
	// A peer that dies cancels its calls.
	q := attached(t, dir)
	before := h.served.Load()
	done := make(chan error)
	go func() { _, err := q.Call(t.Context(), "wait", nil); done <- err }()
	until(t, "the call arrives", func() bool { return h.served.Load() > before })
	q.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	until(t, "one connection is left", func() bool { return o.connections() == 1 })
}

func TestR_OWN_06_Streams(t *testing.T) {
	h := &echo{}
	o, dir := serving(t, h, nil)
	p := attached(t, dir)
	n := 0
	for b, err := range p.Stream(t.Context(), "once", []byte("item")) {
		if err != nil || string(b) != "item" {
			t.Fatal(b, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d items", n)
	}
	for range p.Stream(t.Context(), "for ever", []byte("item")) {
		if n++; n == 500 {
			break
		}
	}
	until(t, "leaving the loop ends the stream", func() bool { return o.connections() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, last = range p.Stream(ctx, "for ever", nil) {
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("cancelled: %v", last)
	}
	until(t, "cancelling ends the stream", func() bool { return o.connections() == 1 })
	last = nil
	for _, last = range p.Stream(t.Context(), "once", make([]byte, MaxBody+1)) {
	}
	if !errors.Is(last, ErrTooLarge) {
		t.Errorf("too long: %v", last)
	}
}

// R-OWN-08: a stream that nobody reads holds up neither calls nor the end.
func TestR_OWN_08_SlowPeer(t *testing.T) {
	o, dir := serving(t, &echo{}, nil)
	p := attached(t, dir)
	stuck, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var once sync.Once
	var last error
	wg.Go(func() {
		for _, last = range p.Stream(context.Background(), "for ever", make([]byte, 100_000)) {
			once.Do(func() { close(stuck); <-release })
		}
	})
	<-stuck
	if _, err := p.Call(t.Context(), "echo", nil); err != nil {
		t.Error(err)
	}
	start := time.Now()
	o.Close()
	if d := time.Since(start); d >= drainTime {
		t.Errorf("it took %v to stop", d)
	}
	close(release)
	wg.Wait()
	if !errors.Is(last, ErrOwnerGone) {
		t.Errorf("the stream ended with %v", last)
	}
}

// gate answers a call when it is told to.
type gate struct {
	echo
	in, out chan struct{}
}

func (g *gate) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	g.in <- struct{}{}
	<-g.out
	return []byte("finished"), nil
}

func TestR_OWN_07_HandOver(t *testing.T) {
	g := &gate{in: make(chan struct{}), out: make(chan struct{})}
	o, dir := serving(t, g, nil)
	p := attached(t, dir)
	done := make(chan error, 1)
	go func() {
		b, err := p.Call(t.Context(), "slow", nil)
		if string(b) != "finished" {
			t.Errorf("%q", b)
		}
		done <- err
	}()
	<-g.in
	stopped := make(chan struct{})
	go func() { o.Stop(); close(stopped) }()
	<-o.ended
	until(t, "new calls are refused", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Call(ctx, "new", nil)
		return errors.Is(err, ErrOwnerGone)
	})
	select {
	case <-stopped:
		t.Error("stopped with a call in flight")
	default:
	}
	close(g.out)
	if err := <-done; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	<-stopped
	// The lock is still held until Close: the store can be closed in between.
	ctx, cancel := context.WithTimeout(t.Context(), 5*minWait)
	defer cancel()
	if _, err := Acquire(ctx, dir); !errors.Is(err, ErrNotAnswering) {
		t.Errorf("between Stop and Close: %v", err)
	}
	o.Close()
	r, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.(*Owner); !ok {
		t.Error("nobody took over")
	}
	r.Close()
	onlyLock(t, dir)
	if err := o.Serve(g, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("served after the end: %v", err)
	}
}

func TestR_OWN_03_Secret(t *testing.T) {
	_, dir := serving(t, &echo{}, func(s []byte) bool { return len(s) == 0 || string(s) == "right" })
	attached(t, dir)
	p := attached(t, dir, WithSecret([]byte("right")))
	for _, err := range p.Stream(t.Context(), "once", nil) {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := Acquire(t.Context(), dir, WithSecret([]byte("wrong"))); !errors.Is(err, ErrRefused) {
		t.Errorf("wrong: %v", err)
	}
	if _, err := Acquire(t.Context(), dir, WithSecret(make([]byte, MaxSecret+1))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
}

// rawPeer connects without saying hello.
func rawPeer(t *testing.T, dir string) net.Conn {
	t.Helper()
	socket, err := locate(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// R-OWN-04, R-OWN-08: whatever a peer sends, its connection ends and the owner
// serves the others.
func TestR_OWN_04_Garbage(t *testing.T) {
	o, dir := serving(t, &echo{}, nil)
	p := attached(t, dir)
	greeting := appendFrame(&hello{Version: protocol, Secret: []byte{}})
	long := binary.BigEndian.AppendUint32(nil, MaxFrame+1)
	call := func(id uint64) []byte { return appendFrame(&request{ID: id, Ask: askCall, Method: "wait"}) }
	var flood []byte
	for i := range uint64(maxCalls + 1) {
		flood = append(flood, call(i)...)
	}
	for name, b := range map[string][]byte{
		"junk":              bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 100),
		"a long hello":      binary.BigEndian.AppendUint32(nil, maxHello+1),
		"an empty frame":    {0, 0, 0, 0},
		"another version":   appendFrame(&hello{Version: protocol + 1, Secret: []byte{}}),
		"a request first":   call(1),
		"an oversize frame": append(bytes.Clone(greeting), long...),
		"junk after hello":  append(bytes.Clone(greeting), 0, 0, 0, 1, 0xff),
		"an unknown ask":    append(bytes.Clone(greeting), appendFrame(&request{ID: 1, Ask: 9, Method: "x"})...),
		"an id twice":       append(append(bytes.Clone(greeting), call(1)...), call(1)...),
		"too many calls":    append(bytes.Clone(greeting), flood...),
		"a stream second":   append(append(bytes.Clone(greeting), call(1)...), appendFrame(&request{ID: 2, Ask: askStream, Method: "x"})...),
	} {
		c := rawPeer(t, dir)
		c.Write(b) // the owner may have hung up in the middle
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays", name)
		}
		c.Close()
	}
	// One that says nothing, and one that stops within a frame, cost nobody
	// else anything.
	rawPeer(t, dir)
	c := rawPeer(t, dir)
	c.Write(append(bytes.Clone(greeting), 0, 0x3f, 0xff, 0xff, 1, 2, 3))
	if _, err := p.Call(t.Context(), "echo", nil); err != nil {
		t.Error(err)
	}
	start := time.Now()
	o.Close()
	if d := time.Since(start); d > drainTime {
		t.Errorf("it took %v to stop", d)
	}
}

// An owner that answers garbage is as good as gone.
func TestR_OWN_04_GarbageFromOwner(t *testing.T) {
	dir := t.TempDir()
	l, err := lock(filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ln, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	answers := [][]byte{
		{0, 0, 0, 1, 0xff},
		binary.BigEndian.AppendUint32(nil, MaxFrame+1),
		appendFrame(&answer{ID: 99, Last: true}),
		appendFrame(&answer{ID: 1, Last: false}),
		appendFrame(&answer{ID: 1, Code: 3, Last: false}),
	}
	go func() {
		for _, a := range answers {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			readFrame(c, maxHello, func() {})
			c.Write(appendFrame(&welcome{PID: 1}))
			readFrame(c, MaxFrame, func() {})
			c.Write(a)
		}
		c, err := ln.Accept()
		if err == nil {
			c.Write(appendFrame(&welcome{Code: codeVersion}))
		}
	}()
	for range answers {
		p := attached(t, dir)
		if _, err := p.Call(t.Context(), "x", nil); !errors.Is(err, ErrOwnerGone) {
			t.Error(err)
		}
		p.Close()
	}
	if _, err := Acquire(t.Context(), dir); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

// R-OWN-05: a home whose name is too long for a socket.
func TestR_OWN_05_LongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30), strings.Repeat("er", 40))
	for range 2 { // the second owner finds the first one's traces gone
		r, err := Acquire(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		o := r.(*Owner)
		if err := o.Serve(&echo{}, nil); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(o.place.dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
		if info, err := os.Stat(o.place.socket); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		p := attached(t, dir)
		if _, err := p.Call(t.Context(), "echo", nil); err != nil {
			t.Error(err)
		}
		elsewhere := o.place.dir
		o.Close()
		if _, err := os.Stat(elsewhere); err == nil {
			t.Error("the directory is left")
		}
		onlyLock(t, dir)
	}
	// A record that leads nowhere, as a killed owner leaves it.
	gone := filepath.Join(t.TempDir(), "pawl-x", socketName)
	os.WriteFile(filepath.Join(dir, placeName), []byte(gone), 0o600)
	r, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.(*Owner).Serve(&echo{}, nil); err != nil {
		t.Error(err)
	}
	attached(t, dir)
	r.Close()
	onlyLock(t, dir)
}

// R-OWN-05: a record that is out of date, as a killed owner leaves it when its
// home is then moved to a shorter name, and what it had bound elsewhere.
func TestR_OWN_05_OldRecord(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "pawl-old")
	os.Mkdir(elsewhere, 0o700)
	old := filepath.Join(elsewhere, socketName)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: old, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	os.WriteFile(filepath.Join(dir, placeName), []byte(old), 0o600)
	r, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.(*Owner).Serve(&echo{}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("the old directory is left")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	p, err := Acquire(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	// A record that is no path is no place to connect to.
	for _, bad := range []string{"", "sock", "relative/sock", "/tmp/\x00/sock", "/tmp/other", strings.Repeat("/long", 40) + "/sock"} {
		os.WriteFile(filepath.Join(dir, placeName), []byte(bad), 0o600)
		if got, err := locate(dir); err == nil {
			t.Errorf("%q leads to %q", bad, got)
		}
	}
	os.Remove(filepath.Join(dir, placeName))
}

// Nothing but a socket is removed from the socket's place, and no link is
// followed to the lock.
func TestR_OWN_02_OddFiles(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, socketName), []byte("precious"), 0o600)
	r, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.(*Owner).Serve(&echo{}, nil); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a file in the socket's place: %v", err)
	}
	r.Close()
	if b, _ := os.ReadFile(filepath.Join(dir, socketName)); string(b) != "precious" {
		t.Error("the file is gone")
	}
	dir = t.TempDir()
	os.Symlink(filepath.Join(t.TempDir(), "else"), filepath.Join(dir, lockName))
	if _, err := Acquire(t.Context(), dir); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a link for a lock: %v", err)
	}
}

// No goroutine outlives its owner or peer.
func TestNothingLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	o, dir := serving(t, &echo{}, nil)
	for range 20 {
		p := attached(t, dir)
		p.Call(t.Context(), "echo", nil)
		for range p.Stream(t.Context(), "for ever", nil) {
			break
		}
		p.Close()
	}
	o.Close()
	until(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	onlyLock(t, dir)
}

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(&hello{Version: 1, Secret: []byte("s")}))
	f.Add(appendFrame(&welcome{PID: 12}))
	f.Add(appendFrame(&request{ID: 1, Ask: askCall, Method: "m", Body: []byte("b")}))
	f.Add(appendFrame(&request{ID: 1, Ask: askCancel}))
	f.Add(appendFrame(&answer{ID: 1, Code: 20, Body: []byte("b"), Last: true}))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := readFrame(bytes.NewReader(b), 1<<16, func() {})
		if err != nil {
			return
		}
		if !bytes.Equal(frame, b[4:4+len(frame)]) || cap(frame) > 2*len(b)+chunk {
			t.Fatal("not what was sent")
		}
		same := func(v any, err error) {
			if err == nil && !bytes.Equal(codec.Marshal(v), frame) {
				t.Fatalf("accepted what it would not write: %T", v)
			}
		}
		h, err := parseHello(frame)
		same(&h, err)
		w, err := parseWelcome(frame)
		same(&w, err)
		q, err := parseRequest(frame)
		same(&q, err)
		a, err := parseAnswer(frame)
		same(&a, err)
	})
}

func BenchmarkCall(b *testing.B) {
	_, dir := serving(b, &echo{}, nil)
	p := attached(b, dir)
	body := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Call(context.Background(), "echo", body); err != nil {
			b.Fatal(err)
		}
	}
}
