package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/linking"
)

// tamper is what somebody between the two devices does to one frame.
type tamper struct {
	name string
	do   func(frame []byte) [][]byte // nil ends both connections
}

func tampers() []tamper {
	return []tamper{
		{"changed", func(f []byte) [][]byte { f[len(f)-1] ^= 1; return [][]byte{f} }},
		{"repeated", func(f []byte) [][]byte { return [][]byte{f, f} }},
		{"swallowed", func([]byte) [][]byte { return nil }},
	}
}

// between stands between the two devices and tampers with frame number at of a
// direction. It returns the URI that leads to it.
func between(t *testing.T, uri string, fromNew bool, at int, do tamper) string {
	t.Helper()
	l, err := linking.ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	real := l.Meet.Candidates[0].String()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			e, err := ln.Accept()
			if err != nil {
				return
			}
			n, err := net.Dial("tcp", real)
			if err != nil {
				e.Close()
				continue
			}
			pass := func(from, to net.Conn, mine bool) {
				defer from.Close()
				defer to.Close()
				for i := 0; ; i++ {
					var head [4]byte
					if _, err := io.ReadFull(from, head[:]); err != nil {
						return
					}
					frame := make([]byte, binary.BigEndian.Uint32(head[:]))
					if _, err := io.ReadFull(from, frame); err != nil {
						return
					}
					out := [][]byte{frame}
					if mine && i == at {
						if out = do.do(frame); out == nil {
							return
						}
					}
					for _, f := range out {
						if _, err := to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)); err != nil {
							return
						}
					}
				}
			}
			go pass(n, e, fromNew)
			go pass(e, n, !fromNew)
		}
	}()
	l.Meet.Candidates = []netip.AddrPort{ln.Addr().(*net.TCPAddr).AddrPort()}
	return l.URI()
}

// R-LNK-08, R-LNK-14: whatever somebody in between does to a message, the link
// fails on both sides or succeeds on both, and the new device goes on waiting
// for the right one as long as it has no entry.
func TestR_LNK_08_SomebodyInBetween(t *testing.T) {
	for _, c := range []struct {
		what    string
		fromNew bool
		frame   int
		linked  bool // the server has it all the same
	}{{"offer", true, 0, false}, {"join", true, 1, false}, {"outcome", true, 2, true}, {"hello", false, 0, false}, {"entry", false, 1, false}} {
		for _, do := range tampers() {
			t.Run(c.what+" "+do.name, func(t *testing.T) {
				w := newLinkWorld(t)
				alice := w.open(w.alice)
				a := w.link(freshHome(t, "desk"), nil)
				uri := w.offer(a)
				_, err := alice.Approve(inTime(t), between(t, uri, c.fromNew, c.frame, do), ApproveOptions{})
				// What is repeated may come after the other side is done with it.
				linked := c.linked || (do.name == "repeated" && err == nil)
				if linked != (err == nil) {
					t.Fatalf("approve: %v", err)
				}
				if !linked {
					if !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrRefused) {
						t.Errorf("approve: %v", err)
					}
					if _, err := alice.Approve(inTime(t), uri, ApproveOptions{}); err != nil {
						t.Fatalf("the right way: %v", err)
					}
				}
				desk := w.arrived(a)
				forgetAdmitted(t, alice)
				w.whole(alice, desk)
			})
		}
	}
}

// A third person who sees the URI first gets the new device, and the new device
// says whose it is now; the right account is not touched.
func TestR_LNK_10_AThirdPersonSeesTheURI(t *testing.T) {
	w := newLinkWorld(t)
	alice, bob := w.open(w.alice), w.open(w.bob)
	a := w.link(freshHome(t, "desk"), nil)
	uri := w.offer(a)
	if _, err := bob.Approve(inTime(t), uri, ApproveOptions{}); err != nil {
		t.Fatal(err)
	}
	desk := w.arrived(a)
	if desk.Account().Address != bob.Account().Address || desk.Account().Identity != bob.Account().Identity {
		t.Errorf("it says it is %+v", desk.Account())
	}
	if _, err := alice.Approve(inTime(t), uri, ApproveOptions{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("too late: %v", err)
	}
	if all, err := alice.Devices(inTime(t)); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// R-LNK-06, R-LNK-07, R-LNK-10: somebody who has seen the URI pretends to be
// alice, whose device list is no secret. Without her key there is no entry; the
// new device goes on waiting, and the right one gets it.
func TestR_LNK_07_SomebodyPretends(t *testing.T) {
	w := newLinkWorld(t)
	alice := w.open(w.alice)
	own, err := alice.engine.ownPerson(inTime(t))
	if err != nil {
		t.Fatal(err)
	}
	a := w.link(freshHome(t, "desk"), nil)
	uri := w.offer(a)
	l, err := linking.ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	raw, offer, err := reachDirect(inTime(t), nil, l)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	ch, err := linking.Hail(linking.Frames(raw), l, offer, linking.Hello{Chain: own.record.Chain, Host: alice.engine.self.record.Host, Device: alice.engine.self.device})
	if err != nil {
		t.Fatal(err)
	}
	var join linking.Join
	if err := ch.Receive(&join); err != nil {
		t.Fatal(err)
	}
	draft, err := linking.Draft(own.list, offer, join, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	mallory := w.open(w.bob).engine.self
	if _, err := linking.Sign(draft, mallory.account); err == nil {
		t.Fatal("signed with another key")
	}
	draft.Account = mallory.own.Account
	d := devicelist.NewDevice(draft.Account, draft.Address, 5, mallory.sign, mallory.own.Identity, "", time.Now())
	forged, err := devicelist.Sign(devicelist.First(draft.Account, draft.Address, d, time.Now()), mallory.account)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Send(&linking.Entry{Entry: forged}); err != nil {
		t.Fatal(err)
	}
	var refused *linking.Refusal
	if err := ch.Receive(&linking.Outcome{}); !errors.As(err, &refused) {
		t.Errorf("a forged entry: %v", err)
	}
	if _, err := alice.Approve(inTime(t), uri, ApproveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.whole(alice, w.arrived(a))
}

// R-LNK-02: the old device goes by its clock, and so does the new one.
func TestR_LNK_02_Clocks(t *testing.T) {
	w := newLinkWorld(t)
	alice := w.open(w.alice)
	a := w.link(freshHome(t, "desk"), nil)
	uri := w.offer(a)
	alice.Close()
	for _, c := range []struct {
		ahead time.Duration
		want  error
	}{{16 * time.Minute, ErrLinkExpired}, {-6 * time.Minute, ErrLinkInvalid}} {
		cfg := w.alice
		cfg.Now = func() time.Time { return time.Now().Add(c.ahead) }
		if _, err := w.openAndApprove(cfg, uri); !errors.Is(err, c.want) {
			t.Errorf("%v ahead: %v", c.ahead, err)
		}
	}
	if _, err := w.openAndApprove(w.alice, uri); err != nil {
		t.Errorf("in time: %v", err)
	}
	w.arrived(a)

	home := freshHome(t, "late")
	var calls atomic.Int64
	home.Now = func() time.Time { // the time is over as soon as the keys are drawn
		if calls.Add(1) == 1 {
			return time.Now()
		}
		return time.Now().Add(linking.Life)
	}
	if _, err := Link(inTime(t), home, LinkRequest{Listen: "127.0.0.1:0"}); !errors.Is(err, ErrLinkExpired) {
		t.Errorf("after the time: %v", err)
	}
	if _, err := Open(inTime(t), home); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("what is left of it: %v", err)
	}
}

func (w *linkWorld) openAndApprove(cfg Config, uri string) (Device, error) {
	w.t.Helper()
	c := w.open(cfg)
	defer c.Close()
	return c.Approve(inTime(w.t), uri, ApproveOptions{})
}

// R-LNK-09: a ninth device is refused, and both sides are told why.
func TestR_LNK_09_ANinthDevice(t *testing.T) {
	w := newLinkWorld(t)
	alice := w.open(w.alice)
	for i := 1; i <= devicelist.MaxActive; i++ {
		a := w.link(freshHome(t, fmt.Sprint("desk", i)), nil)
		_, err := alice.Approve(inTime(t), w.offer(a), ApproveOptions{})
		there := <-a.done
		if i < devicelist.MaxActive && (err != nil || there != nil) {
			t.Fatalf("device %d: %v, %v", i, err, there)
		}
		if i == devicelist.MaxActive && (!errors.Is(err, ErrTooManyDevices) || !errors.Is(there, ErrTooManyDevices)) {
			t.Errorf("one too many: %v, %v", err, there)
		}
		if a.api != nil {
			a.api.Close()
		}
	}
}

// R-LNK-12: the new device does not reach the server when it has its entry. It
// says so, keeps the entry, and joins when it is asked again.
func TestR_LNK_12_TheServerIsOutOfReach(t *testing.T) {
	w := newLinkWorld(t)
	alice, home := w.open(w.alice), freshHome(t, "desk")
	var cut atomic.Bool
	home.Dial = func(ctx context.Context, network, at string) (net.Conn, error) {
		if cut.Load() {
			return nil, net.ErrClosed
		}
		return new(net.Dialer).DialContext(ctx, network, at)
	}
	a := w.link(home, func(step string) { cut.Store(step == "taken" || cut.Load()) })
	if _, err := alice.Approve(inTime(t), w.offer(a), ApproveOptions{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("the old device: %v", err)
	}
	if err := <-a.done; !errors.Is(err, ErrUnreachable) {
		t.Errorf("the new device: %v", err)
	}
	if _, err := Link(inTime(t), home, LinkRequest{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("again: %v", err)
	}
	cut.Store(false)
	again := w.link(home, nil)
	w.whole(alice, w.arrived(again))
}

// Who gives up leaves nothing behind, and the URI leads nowhere any more.
func TestR_LNK_07_GivingUp(t *testing.T) {
	w := newLinkWorld(t)
	alice, home := w.open(w.alice), freshHome(t, "desk")
	ctx, cancel := context.WithCancel(inTime(t))
	shown := make(chan LinkOffer, 1)
	done := make(chan error, 1)
	go func() {
		_, err := Link(ctx, home, LinkRequest{Listen: "127.0.0.1:0", Show: func(o LinkOffer) { shown <- o }})
		done <- err
	}()
	offer := <-shown
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if _, err := Open(inTime(t), home); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("what is left: %v", err)
	}
	if _, err := alice.Approve(inTime(t), offer.URI, ApproveOptions{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody is there: %v", err)
	}
	for _, uri := range []string{"", "pawl://example.org/invite/AAAAAAAAAAAAAAAAAAAAAA", offer.URI[:40]} {
		if _, err := ParseLink(uri); !errors.Is(err, ErrLinkInvalid) {
			t.Errorf("%q: %v", uri, err)
		}
		if _, err := alice.Approve(inTime(t), uri, ApproveOptions{}); !errors.Is(err, ErrLinkInvalid) {
			t.Errorf("%q: %v", uri, err)
		}
	}
	if _, err := Register(inTime(t), home, RegisterRequest{Name: "carol", Invite: w.invite}); err != nil {
		t.Errorf("that home is free for another account: %v", err)
	}
}
