package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// linkWorld is a server, alice and bob.
type linkWorld struct {
	t          *testing.T
	invite     string
	alice, bob Config
}

func inTime(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return c
}

func freshHome(t *testing.T, name string) Config {
	dir := t.TempDir()
	return Config{Home: filepath.Join(dir, name), Unlock: Unlock{KeyFile: filepath.Join(dir, "key")}}
}

func newLinkWorld(t *testing.T) *linkWorld {
	t.Helper()
	m := memstore.New()
	s, err := server.New(server.Config{Stores: server.Stores{Directory: m, Mailbox: m, Wake: m}, Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	w := &linkWorld{t: t, alice: freshHome(t, "alice"), bob: freshHome(t, "bob")}
	if w.invite, err = s.Invite(ctx, server.InviteOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{"alice": w.alice, "bob": w.bob} {
		c, err := Register(inTime(t), cfg, RegisterRequest{Name: name, Invite: w.invite})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *linkWorld) open(cfg Config) *Client {
	w.t.Helper()
	c, err := Open(inTime(w.t), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c.(*Client)
}

// arriving is a link under way in this process.
type arriving struct {
	shown chan LinkOffer
	done  chan error
	api   API // once done has been read
}

func (w *linkWorld) link(cfg Config, s steps) *arriving {
	a := &arriving{shown: make(chan LinkOffer, 1), done: make(chan error, 1)}
	go func() {
		c, err := linkHome(inTime(w.t), cfg, LinkRequest{DeviceName: "desk", Listen: "127.0.0.1:0", Show: func(o LinkOffer) { a.shown <- o }}, s)
		a.api = c
		a.done <- err
	}()
	return a
}

// offer waits for what the link shows.
func (w *linkWorld) offer(a *arriving) string {
	w.t.Helper()
	select {
	case o := <-a.shown:
		return o.URI
	case err := <-a.done:
		w.t.Fatalf("the link ended before it showed anything: %v", err)
	}
	return ""
}

func (w *linkWorld) arrived(a *arriving) *Client {
	w.t.Helper()
	if err := <-a.done; err != nil {
		w.t.Fatalf("link: %v", err)
	}
	w.t.Cleanup(func() { a.api.Close() })
	return a.api.(*Client)
}

// whole checks that the account has these two devices and no half of one: both
// receive what bob sends, and nothing is owed to anybody.
func (w *linkWorld) whole(alice, desk *Client) {
	w.t.Helper()
	if err := alice.Sync(inTime(w.t)); err != nil {
		w.t.Fatal(err)
	}
	if err := desk.Sync(inTime(w.t)); err != nil {
		w.t.Fatal(err)
	}
	l, err := alice.engine.connected(inTime(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := alice.engine.mendAdmitted(inTime(w.t), l, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	if _, err := alice.engine.lookup(inTime(w.t), l, alice.engine.self.address); err != nil {
		w.t.Fatal(err)
	}
	all, err := alice.Devices(inTime(w.t))
	if err != nil || len(all) != 2 || all[0].Revoked || all[1].Revoked || all[1].ID != desk.Account().Device {
		w.t.Errorf("devices: %+v, %v", all, err)
	}
	err = alice.engine.view(inTime(w.t), func(tx *vault.Tx) error {
		owed, err := admittedRows(tx)
		if len(owed) != 0 {
			w.t.Errorf("still owed: %+v", owed)
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	bob := w.open(w.bob)
	if _, err := bob.Send(inTime(w.t), alice.Account().Address, "to both", SendOptions{}); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range []*Client{alice, desk} {
		if err := c.Sync(inTime(w.t)); err != nil {
			w.t.Fatal(err)
		}
		got, err := c.Receive(inTime(w.t), "", 10)
		found := 0
		for _, m := range got {
			if m.Text == "to both" {
				found++
			}
		}
		if err != nil || found != 1 {
			w.t.Errorf("%s received %+v, %v", c.Account().Device, got, err)
		}
	}
	bob.Close()
}

const linkChild = "PAWL_TEST_LINK_CHILD"

// TestChildOfALink is the body of a process that links or approves and ends
// without a word at one of its steps.
func TestChildOfALink(t *testing.T) {
	spec := strings.Split(os.Getenv(linkChild), "|")
	if len(spec) != 5 {
		return
	}
	cfg := Config{Home: spec[1], Unlock: Unlock{KeyFile: spec[2]}}
	s := steps(func(step string) {
		if step == spec[3] {
			os.Exit(9)
		}
	})
	if spec[0] == "link" {
		_, err := linkHome(context.Background(), cfg, LinkRequest{DeviceName: "desk", Listen: "127.0.0.1:0", Show: func(o LinkOffer) { fmt.Println("uri", o.URI) }}, s)
		t.Fatal(err)
	}
	if spec[0] == "relink" {
		_, err := relinkHome(context.Background(), cfg, LinkRequest{Listen: "127.0.0.1:0", Show: func(o LinkOffer) { fmt.Println("uri", o.URI) }},
			func(step string) error { s(step); return nil })
		t.Fatal(err)
	}
	c, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.(*Client).engine.approve(context.Background(), spec[4], ApproveOptions{History: true}, s)
	t.Fatal(err)
}

// linkProcess starts such a process; ended waits until it has died at its step.
func linkProcess(t *testing.T, what string, cfg Config, step, uri string) (lines *bufio.Scanner, ended func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildOfALink$", "-test.v=false")
	cmd.Env = append(os.Environ(), linkChild+"="+strings.Join([]string{what, cfg.Home, cfg.Unlock.KeyFile, step, uri}, "|"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines = bufio.NewScanner(out)
	return lines, func() {
		t.Helper()
		for lines.Scan() {
			t.Log(lines.Text())
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 9 {
			t.Errorf("it ended with %d and not at the step %q", code, step)
		}
	}
}

// R-LNK-12, R-LNK-07: the new device is killed at each step; repeating the link
// in that home takes it up, or starts afresh when nobody can have heard of it.
func TestR_LNK_12_TheNewDeviceIsKilled(t *testing.T) {
	for _, c := range []struct {
		step     string
		approved bool // the server has it: the old device knows
		resumes  bool // without a new offer
	}{
		{"shown", false, false}, {"stored", false, false}, {"joined", false, false}, {"taken", false, true},
		{"submitted", true, true}, {"registered", true, true},
	} {
		t.Run(c.step, func(t *testing.T) {
			w := newLinkWorld(t)
			alice, home := w.open(w.alice), freshHome(t, "desk")
			lines, ended := linkProcess(t, "link", home, c.step, "")
			if !lines.Scan() {
				t.Fatal("nothing is shown")
			}
			_, err := alice.Approve(inTime(t), strings.TrimPrefix(lines.Text(), "uri "), ApproveOptions{History: true})
			ended()
			if (err == nil) != c.approved || (err != nil && !errors.Is(err, ErrUnreachable)) {
				t.Errorf("the old device says %v", err)
			}
			if c.step == "registered" {
				if _, err := Link(inTime(t), home, LinkRequest{}); !errors.Is(err, ErrAlreadyHere) {
					t.Errorf("linked again: %v", err)
				}
				w.whole(alice, w.open(home))
				return
			}
			if _, err := Open(inTime(t), home); !errors.Is(err, ErrNotRegistered) {
				t.Errorf("opened in between: %v", err)
			}
			again := w.link(home, nil)
			if !c.resumes {
				if _, err := alice.Approve(inTime(t), w.offer(again), ApproveOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			desk := w.arrived(again)
			if c.resumes && len(again.shown) != 0 {
				t.Error("a new offer was shown")
			}
			if !c.resumes { // what the first attempt was promised is never given
				forgetAdmitted(t, alice)
			}
			w.whole(alice, desk)
		})
	}
}

// forgetAdmitted lets the time pass in which a device may still appear.
func forgetAdmitted(t *testing.T, c *Client) {
	t.Helper()
	l, err := c.engine.connected(inTime(t))
	if err == nil {
		err = c.engine.mendAdmitted(inTime(t), l, time.Now().Add(admittedFor))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// R-LNK-14, R-LNK-07: the old device is killed at each step. Before it has
// signed, the new one goes on waiting under the same URI; afterwards it joins,
// and the old one finds it in the list and gives it what it is owed.
func TestR_LNK_14_TheOldDeviceIsKilled(t *testing.T) {
	for _, c := range []struct {
		step   string
		joined bool
	}{
		{"reached", false}, {"hailed", false}, {"answered", false}, {"noted", false}, {"signed", true}, {"heard", true}, {"settled", true},
	} {
		t.Run(c.step, func(t *testing.T) {
			w := newLinkWorld(t)
			a := w.link(freshHome(t, "desk"), nil)
			uri := w.offer(a)
			_, ended := linkProcess(t, "approve", w.alice, c.step, uri)
			ended()
			alice := w.open(w.alice)
			if !c.joined {
				if _, err := alice.Approve(inTime(t), uri, ApproveOptions{}); err != nil {
					t.Fatal(err)
				}
				forgetAdmitted(t, alice)
			}
			w.whole(alice, w.arrived(a))
		})
	}
}

// R-LNK-12: an entry that was signed before the list moved on is void: the new
// device starts afresh.
func TestR_LNK_12_TheListMovedOnMeanwhile(t *testing.T) {
	w := newLinkWorld(t)
	alice, home := w.open(w.alice), freshHome(t, "desk")
	lines, ended := linkProcess(t, "link", home, "taken", "")
	if !lines.Scan() {
		t.Fatal("nothing is shown")
	}
	if _, err := alice.Approve(inTime(t), strings.TrimPrefix(lines.Text(), "uri "), ApproveOptions{}); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	ended()
	if _, err := alice.RenameDevice(inTime(t), alice.Account().Device, "laptop"); err != nil {
		t.Fatal(err)
	}
	again := w.link(home, nil)
	if _, err := alice.Approve(inTime(t), w.offer(again), ApproveOptions{}); err != nil {
		t.Fatal(err)
	}
	desk := w.arrived(again)
	forgetAdmitted(t, alice)
	w.whole(alice, desk)
}

// R-LNK-10: the list moves on between the signature and the server: the old
// device signs anew, and sends what the new one lacks.
func TestR_LNK_10_TheListMovesOnInBetween(t *testing.T) {
	w := newLinkWorld(t)
	alice := w.open(w.alice)
	a := w.link(freshHome(t, "desk"), nil)
	moves := 0
	_, err := alice.engine.approve(inTime(t), w.offer(a), ApproveOptions{}, func(step string) {
		if step != "noted" || moves == 3 {
			return
		}
		for range 2 {
			if _, err := alice.RenameDevice(inTime(t), alice.Account().Device, fmt.Sprint("laptop ", time.Now().UnixNano())); err != nil {
				t.Error(err)
			}
		}
		moves++
	})
	if err != nil {
		t.Fatal(err)
	}
	w.whole(alice, w.arrived(a))
	if moves != 3 {
		t.Errorf("%d moves", moves)
	}
}
