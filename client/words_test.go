package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// onPaper is what alice writes down.
func onPaper(t *testing.T, a client.API) client.WordsRequest {
	t.Helper()
	r, err := a.RecoveryWords(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Words) != 24 || r.Address != a.Account().Address || len(r.Pin) != 43 {
		t.Fatalf("%d words, %s, pin %q", len(r.Words), r.Address, r.Pin)
	}
	if said := fmt.Sprintf("%v %+v %s %#v", r, r, r, r); strings.Contains(said, r.Words[0]+" ") || strings.Contains(said, r.Words[1]) {
		t.Errorf("printed %s", said)
	}
	return client.WordsRequest{Address: r.Address, Pin: r.Pin, Words: strings.Join(r.Words, " ")}
}

// R-BAK-11: the words alone take the account back, with every earlier device
// of the list known and removed if asked.
func TestR_BAK_11_WordsAlone(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	b := w.join(config(t, "bob"), "bob")
	send(t, a, b.Account().Address, "one")
	take(t, b)
	paper := onPaper(t, a)
	paper.DeviceName = "second"
	second, err := client.RestoreWords(ctx(t), config(t, "second"), paper)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	again := onPaper(t, second)
	if again.Words != paper.Words {
		t.Error("other words on the other device")
	}
	// The list has three versions by then; an invite brings the pin as well.
	paper.RevokeAll, paper.Pin, paper.Invite = true, "", w.invite
	c, err := client.RestoreWords(ctx(t), config(t, "third"), paper)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Account().Identity != a.Account().Identity {
		t.Error("another identity")
	}
	send(t, b, a.Account().Address, "two")
	if got := take(t, c); strings.Join(got, ",") != "two" {
		t.Errorf("received %q", got)
	}
	seen, err := b.Contact(ctx(t), a.Account().Address)
	if err != nil || len(seen.Devices) != 3 || !seen.Devices[0].Revoked || !seen.Devices[1].Revoked || seen.Devices[2].Revoked {
		t.Errorf("bob sees %+v, %v", seen, err)
	}
	if err := a.Sync(ctx(t)); !errors.Is(err, client.ErrRevoked) {
		t.Errorf("the first device: %v", err)
	}
}

// R-BAK-11: what does not fit leaves nothing behind.
func TestR_BAK_11_Refusals(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	good := onPaper(t, a)
	words := strings.Fields(good.Words)
	for name, c := range map[string]struct {
		change func(*client.WordsRequest)
		want   error
	}{
		"bob's words":     {func(r *client.WordsRequest) { r.Words = onPaper(t, b).Words }, client.ErrRefused},
		"nobody":          {func(r *client.WordsRequest) { r.Address = "carol@" + strings.SplitN(r.Address, "@", 2)[1] }, client.ErrRefused},
		"no address":      {func(r *client.WordsRequest) { r.Address = "alice" }, client.ErrUnknownRecipient},
		"another pin":     {func(r *client.WordsRequest) { r.Pin = strings.Repeat("A", 43) }, client.ErrServerIdentity},
		"no pin":          {func(r *client.WordsRequest) { r.Pin = "short" }, client.ErrInvite},
		"another invite":  {func(r *client.WordsRequest) { r.Invite = strings.Replace(w.invite, "127.0.0.1", "127.0.0.2", 1) }, client.ErrInvite},
		"a word too few":  {func(r *client.WordsRequest) { r.Words = strings.Join(words[1:], " ") }, client.ErrWords},
		"an unknown word": {func(r *client.WordsRequest) { r.Words = "pawl " + strings.Join(words[1:], " ") }, client.ErrWords},
		"a long name":     {func(r *client.WordsRequest) { r.DeviceName = strings.Repeat("x", 100) }, client.ErrInvalidText},
	} {
		r, cfg := good, config(t, "fresh")
		c.change(&r)
		if _, err := client.RestoreWords(ctx(t), cfg, r); !errors.Is(err, c.want) || strings.Contains(err.Error(), words[2]) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if left, _ := filepath.Glob(filepath.Join(cfg.Home, "store*")); len(left) > 0 {
			t.Errorf("%s: %q is left", name, left)
		}
	}
	if _, err := client.RestoreWords(ctx(t), config(t, "one"), good); err != nil {
		t.Errorf("the true ones: %v", err)
	}
}

// R-BAK-11: a restore that was cut short goes on, whether the server heard of
// it or not, and though the list has grown meanwhile.
func TestR_BAK_11_TakenUpAgain(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	good, cfg := onPaper(t, a), config(t, "fresh")
	for _, answered := range []int{1, 2} { // the entry is lost on the way; its answer is
		dialled := 0
		cfg.Dial = func(c context.Context, network, addr string) (net.Conn, error) {
			if dialled++; dialled > answered {
				return nil, errors.New("unplugged")
			}
			conn, err := (&net.Dialer{}).DialContext(c, network, addr)
			if err == nil && dialled == 2 {
				conn = &deaf{Conn: conn}
			}
			return conn, err
		}
		if _, err := client.RestoreWords(ctx(t), cfg, good); !errors.Is(err, client.ErrUnreachable) {
			t.Fatalf("unplugged: %v", err)
		}
		if _, err := os.Stat(filepath.Join(cfg.Home, "store.db")); err != nil {
			t.Fatal(err)
		}
		if _, err := client.RestoreWords(ctx(t), config(t, "other"), good); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Dial = nil
	c, err := client.RestoreWords(ctx(t), cfg, good)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := w.join(config(t, "bob"), "bob")
	seen, err := b.Contact(ctx(t), good.Address)
	if err != nil || len(seen.Devices) != 4 {
		t.Errorf("bob sees %+v, %v", seen, err)
	}
	send(t, b, good.Address, "hello")
	if got := take(t, c); strings.Join(got, ",") != "hello" {
		t.Errorf("received %q", got)
	}
}

// deaf loses the answer to a long request.
type deaf struct {
	net.Conn
	said atomic.Int64
}

func (d *deaf) Write(b []byte) (int, error) {
	d.said.Add(int64(len(b)))
	return d.Conn.Write(b)
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.said.Load() > 50_000 {
		return 0, errors.New("unplugged")
	}
	return n, err
}
