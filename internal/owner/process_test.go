//go:build unix

package owner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestMain lets this binary be another process.
func TestMain(m *testing.M) {
	dir := os.Getenv("PAWL_OWNER_HOME")
	switch os.Getenv("PAWL_OWNER_CHILD") {
	case "append":
		appendOnce(dir)
	case "hang": // an owner that never answers a call
		r, err := Acquire(context.Background(), dir)
		if o, ok := r.(*Owner); ok && err == nil {
			o.Serve(&echo{}, nil)
			fmt.Println("serving")
		}
		select {}
	case "silent": // an owner that never serves
		if _, err := Acquire(context.Background(), dir); err == nil {
			fmt.Println("serving")
		}
		select {}
	default:
		os.Exit(m.Run())
	}
}

// ledger counts in a file that only the owner may touch: it fails when it ever
// finds another process at work.
type ledger struct {
	echo
	dir string
	mu  sync.Mutex
}

func (l *ledger) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	guard := filepath.Join(l.dir, "guard")
	if err := os.Mkdir(guard, 0o700); err != nil {
		return nil, &Failure{Code: 100}
	}
	defer os.Remove(guard)
	f, err := os.OpenFile(filepath.Join(l.dir, "ledger"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s\n", body)
	return nil, err
}

// appendOnce is a short command: it writes one line, through whoever owns the
// home.
func appendOnce(dir string) {
	id := fmt.Append(nil, os.Getpid())
	for {
		r, err := Acquire(context.Background(), dir)
		if err != nil {
			fmt.Println(err)
			return
		}
		l := &ledger{dir: dir}
		if o, ok := r.(*Owner); ok {
			if err = o.Serve(l, nil); err == nil {
				_, err = l.Call(context.Background(), "append", id)
			}
		} else {
			_, err = r.(*Peer).Call(context.Background(), "append", id)
		}
		r.Close()
		if !errors.Is(err, ErrOwnerGone) {
			if err != nil {
				fmt.Println(err)
			} else {
				fmt.Println("done")
			}
			return
		}
	}
}

func child(t *testing.T, what, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "PAWL_OWNER_CHILD="+what, "PAWL_OWNER_HOME="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c, bufio.NewScanner(out)
}

// R-OWN-01: fifty processes started at once on one home all succeed, one at a
// time.
func TestR_OWN_01_FiftyProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	var outs []*bufio.Scanner
	for range 50 {
		_, out := child(t, "append", dir)
		outs = append(outs, out)
	}
	for _, out := range outs {
		out.Scan()
		if out.Text() != "done" {
			t.Errorf("a process said %q", out.Text())
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	// A call cut off by an owner that left may have been carried out and be
	// repeated: each id stands there at least once.
	ids := make(map[string]bool)
	for _, id := range strings.Fields(string(b)) {
		ids[id] = true
	}
	if len(ids) != 50 {
		t.Errorf("%d of 50 processes wrote", len(ids))
	}
	onlyLock(t, dir, "ledger")
}

// onlyLock fails when anything but the lock, and what is named, is left.
func onlyLock(t *testing.T, dir string, also ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName && !strings.Contains(strings.Join(also, " "), e.Name()) {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// R-OWN-02: the lock of an owner that was killed is free, its socket in
// nobody's way, and its peers learn of it at once.
func TestR_OWN_02_OwnerKilled(t *testing.T) {
	dir := t.TempDir()
	c, out := child(t, "hang", dir)
	if !out.Scan() {
		t.Fatal("no owner")
	}
	r, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	p := r.(*Peer)
	defer p.Close()
	if p.OwnerPID() != c.Process.Pid {
		t.Errorf("owner %d, want %d", p.OwnerPID(), c.Process.Pid)
	}
	errs := make(chan error, 2)
	go func() { _, err := p.Call(t.Context(), "wait", nil); errs <- err }()
	go func() {
		var last error
		n := 0
		for _, last = range p.Stream(t.Context(), "for ever", []byte("x")) {
			if n++; n == 1000 {
				c.Process.Kill()
			}
		}
		errs <- last
	}()
	for range 2 {
		if err := <-errs; !errors.Is(err, ErrOwnerGone) {
			t.Errorf("in flight: %v", err)
		}
	}
	<-p.Gone()
	if _, err := p.Call(t.Context(), "echo", nil); !errors.Is(err, ErrOwnerGone) {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, socketName)); err != nil {
		t.Error("the dead owner left no socket: this test shows nothing")
	}
	if r, err = Acquire(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	o, ok := r.(*Owner)
	if !ok {
		t.Fatal("not the owner")
	}
	if err := o.Serve(&echo{}, nil); err != nil {
		t.Fatal(err)
	}
	again, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.(*Peer).Call(t.Context(), "echo", nil); err != nil {
		t.Error(err)
	}
	again.Close()
	o.Close()
	onlyLock(t, dir)
}

// An owner that is stopped, or never serves, is not waited for for ever.
func TestR_OWN_01_NotAnswering(t *testing.T) {
	dir := t.TempDir()
	c, out := child(t, "silent", dir)
	if !out.Scan() {
		t.Fatal("no owner")
	}
	ctx, cancel := context.WithTimeout(t.Context(), minWait*30)
	defer cancel()
	if _, err := Acquire(ctx, dir); !errors.Is(err, ErrNotAnswering) {
		t.Errorf("silent: %v", err)
	}
	c.Process.Kill()
	c.Wait()
	c, out = child(t, "hang", dir)
	if !out.Scan() {
		t.Fatal("no owner")
	}
	c.Process.Signal(syscall.SIGSTOP)
	var ws syscall.WaitStatus
	for !ws.Stopped() {
		if _, err := syscall.Wait4(c.Process.Pid, &ws, syscall.WUNTRACED, nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel = context.WithTimeout(t.Context(), minWait*30)
	defer cancel()
	if _, err := Acquire(ctx, dir); !errors.Is(err, ErrNotAnswering) {
		t.Errorf("stopped: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := Acquire(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
