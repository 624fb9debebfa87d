package client_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/linking"
	"github.com/pawl-chat/pawl/internal/relayclient"
)

// linked is how a link ended on the side of the new device.
type linked struct {
	api client.API
	err error
}

// linkTo starts a link and returns what it shows.
func linkTo(t *testing.T, cfg client.Config, req client.LinkRequest) (client.LinkOffer, <-chan linked) {
	t.Helper()
	shown, done := make(chan client.LinkOffer, 1), make(chan linked, 1)
	req.Show = func(o client.LinkOffer) { shown <- o }
	if req.Server == "" && req.Listen == "" {
		req.Listen = "127.0.0.1:0"
	}
	go func() {
		c, err := client.Link(ctx(t), cfg, req)
		done <- linked{c, err}
	}()
	select {
	case o := <-shown:
		return o, done
	case l := <-done:
		t.Fatalf("link: %v", l.err)
	}
	panic("unreachable")
}

// arrived is the account of a link that went well.
func arrived(t *testing.T, done <-chan linked) client.API {
	t.Helper()
	l := <-done
	if l.err != nil {
		t.Fatalf("link: %v", l.err)
	}
	t.Cleanup(func() { l.api.Close() })
	return l.api
}

func devices(t *testing.T, c client.API) (names []string) {
	t.Helper()
	all, err := c.Devices(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		name := d.Name
		if d.Current {
			name += "*"
		}
		if d.Revoked {
			name += "!"
		}
		names = append(names, name)
	}
	return names
}

// R-LNK-12: alice links a second device: it is in her account under her
// identity, knows itself, holds no account key, and can write to bob.
func TestR_LNK_12_LinkDirectly(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	b := w.join(config(t, "bob"), "bob")
	cfg := config(t, "desk")
	offer, done := linkTo(t, cfg, client.LinkRequest{DeviceName: "desk"})
	seen, err := client.ParseLink(strings.ToLower(" " + offer.URI + "\n"))
	if err != nil || seen != offer || time.Until(offer.Expires) > 10*time.Minute {
		t.Fatalf("%+v is read as %+v, %v", offer, seen, err)
	}
	d, err := a.Approve(ctx(t), offer.URI, client.ApproveOptions{})
	if err != nil {
		t.Fatalf("approve: %v", err)
	}
	c := arrived(t, done)
	now, was := c.Account(), a.Account()
	if now.Address != was.Address || now.Identity != was.Identity || now.Device == was.Device || now.Device != d.ID || now.DeviceName != "desk" || d.Name != "desk" {
		t.Errorf("%+v and %+v, approved %+v", now, was, d)
	}
	if got := devices(t, a); len(got) != 2 || got[0] != "*" || got[1] != "desk" {
		t.Errorf("the old device lists %q", got)
	}
	if got := devices(t, c); len(got) != 2 || got[0] != "" || got[1] != "desk*" {
		t.Errorf("the new device lists %q", got)
	}
	if _, err := c.Approve(ctx(t), offer.URI, client.ApproveOptions{}); !errors.Is(err, client.ErrNoAccountKey) {
		t.Errorf("a linked device approves: %v", err)
	}
	if err := c.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	send(t, c, b.Account().Address, "from the desk")
	if got := take(t, b); strings.Join(got, ",") != "from the desk" {
		t.Errorf("bob received %q", got)
	}
	c.Close()
	again, err := client.Open(ctx(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Account() != now {
		t.Errorf("opened again: %+v", again.Account())
	}
	if _, err := client.Link(ctx(t), cfg, client.LinkRequest{}); !errors.Is(err, client.ErrAlreadyHere) {
		t.Errorf("a second link in that home: %v", err)
	}
}

// R-LNK-11: the default waits on all addresses, and what strangers do there
// neither ends the wait nor keeps the right one out.
func TestR_LNK_11_StrangersAtTheDoor(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	offer, done := linkTo(t, config(t, "desk"), client.LinkRequest{Listen: "127.0.0.1:0"})
	l, err := linking.ParseURI(offer.URI)
	if err != nil {
		t.Fatal(err)
	}
	var offers [][]byte
	for i := range 60 {
		c, err := net.Dial("tcp", l.Meet.Candidates[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 3 {
		case 0: // silence
		case 1:
			c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		case 2:
			p := linking.Frames(c)
			o, err := p.Receive(linking.MaxOffer)
			if err != nil {
				continue // evicted already
			}
			offers = append(offers, o)
			p.Send(make([]byte, 2000))
			if b, err := p.Receive(1 << 20); err == nil {
				t.Errorf("a stranger gets %d bytes", len(b))
			}
		}
	}
	for _, o := range offers {
		if string(o) != string(offers[0]) {
			t.Error("offers differ")
		}
	}
	if _, err := a.Approve(ctx(t), offer.URI, client.ApproveOptions{}); err != nil {
		t.Fatalf("approve: %v", err)
	}
	arrived(t, done)
}

// R-LNK-11: what the URI lists.
func TestR_LNK_11_Candidates(t *testing.T) {
	offer, done := linkTo(t, config(t, "desk"), client.LinkRequest{Listen: ":0"})
	l, err := linking.ParseURI(offer.URI)
	if err != nil {
		t.Fatal(err)
	}
	at := l.Meet.Candidates
	if len(at) == 0 || len(at) > linking.MaxCandidates || at[0].Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("candidates: %v", at)
	}
	// Somebody who is not there and one who speaks otherwise are passed over.
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("220 mail\r\n"))
		}
	}()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	l.Meet.Candidates = []netip.AddrPort{
		closed.Addr().(*net.TCPAddr).AddrPort(), other.Addr().(*net.TCPAddr).AddrPort(), at[0],
	}
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	if _, err := a.Approve(ctx(t), l.URI(), client.ApproveOptions{}); err != nil {
		t.Fatal(err)
	}
	arrived(t, done)
}

// R-LNK-13: the same through a server, given as an invite link or by name.
func TestR_LNK_13_LinkThroughAServer(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	elsewhere := newWorld(t)
	for _, server := range []string{w.invite, elsewhere.invite} {
		offer, done := linkTo(t, config(t, "desk"), client.LinkRequest{DeviceName: "desk", Server: server})
		if _, err := a.Approve(ctx(t), offer.URI, client.ApproveOptions{}); err != nil {
			t.Fatalf("approve: %v", err)
		}
		c := arrived(t, done)
		if c.Account().Address != a.Account().Address {
			t.Errorf("%+v", c.Account())
		}
	}
	if got := devices(t, a); len(got) != 3 {
		t.Errorf("%q", got)
	}
	_, err := client.Link(ctx(t), config(t, "desk"), client.LinkRequest{Server: w.server.Host()})
	if !errors.Is(err, client.ErrServerIdentity) {
		t.Errorf("by the name of a server with a key of its own: %v", err)
	}
	host := w.server.Host()
	w.stop()
	if _, err = client.Link(ctx(t), config(t, "desk"), client.LinkRequest{Server: host}); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("without a server: %v", err)
	}
}

// R-LNK-13, R-LNK-07: somebody who knows the id sits in the meeting without a
// hello. Once they have left, the right device gets through.
func TestR_LNK_13_SomebodySitsInTheMeeting(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	offer, done := linkTo(t, config(t, "desk"), client.LinkRequest{Server: w.invite})
	l, err := linking.ParseURI(offer.URI)
	if err != nil {
		t.Fatal(err)
	}
	squatter, err := relayclient.Meet(ctx(t), ctx(t), relayclient.Target{Host: l.Meet.Host, Pin: l.Meet.Pin}, l.ID())
	if err != nil {
		t.Fatal(err)
	}
	if o, err := linking.Frames(squatter).Receive(linking.MaxOffer); err != nil || len(o) == 0 {
		t.Fatalf("the offer: %v", err)
	}
	if _, err := a.Approve(ctx(t), offer.URI, client.ApproveOptions{}); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("while they are there: %v", err)
	}
	if err := linking.Frames(squatter).Send([]byte("nothing")); err != nil {
		t.Fatal(err)
	}
	squatter.Close()
	for { // until the server has noticed, or the test's time is over
		if _, err = a.Approve(ctx(t), offer.URI, client.ApproveOptions{}); !errors.Is(err, client.ErrUnreachable) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	arrived(t, done)
}
