package linking

import (
	"bytes"
	"crypto/ed25519"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
)

var start = time.Unix(1_700_000_000, 0).UTC()

func seed(n byte) (s [32]byte) {
	copy(s[:], bytes.Repeat([]byte{n}, 32))
	return s
}

func signer(n byte) ed25519.PrivateKey {
	s := seed(n)
	return ed25519.NewKeyFromSeed(s[:])
}

// account is an account of some devices, with its key.
type account struct {
	key   ed25519.PrivateKey
	chain [][]byte
	list  devicelist.List
}

func newAccount(t testing.TB, name string, n byte) *account {
	t.Helper()
	addr, err := address.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	a := &account{key: signer(n)}
	k := dh.FromBytes(seed(n + 1))
	pub := a.key.Public().(ed25519.PublicKey)
	d := devicelist.NewDevice(pub, addr, address.Device(n), signer(n+2), k.Public(), "first", start)
	entry, err := devicelist.Sign(devicelist.First(pub, addr, d, start), a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.add(t, entry)
	return a
}

func (a *account) add(t testing.TB, entry []byte) {
	t.Helper()
	a.chain = append(a.chain, entry)
	var err error
	if a.list, err = devicelist.VerifyChain(a.chain); err != nil {
		t.Fatal(err)
	}
}

// rename adds an entry that changes a name.
func (a *account) rename(t testing.TB, name string) {
	t.Helper()
	next := a.list.Next(start)
	next.Devices[0].Name = name
	entry, err := devicelist.Sign(next, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.add(t, entry)
}

func (a *account) hello() Hello {
	return Hello{Chain: a.chain, Host: a.list.Address.Host(), Device: a.list.Devices[0].ID}
}

// waiting is a new device with fixed keys.
func waiting(t testing.TB, n byte) *Waiting {
	t.Helper()
	s := seed(n)
	seal, err := kem().DeriveKeyPair(s[:])
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWaiting(start, signer(n+1), dh.FromBytes(seed(n+2)), seal, [SecretSize]byte(s[:]))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var here = Meet{Candidates: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:40000")}}

func linkOf(t testing.TB, w *Waiting) Link {
	t.Helper()
	l, err := w.Link(here)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// pipes returns two ends.
func pipes(t testing.TB) (Pipe, Pipe) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return Frames(a), Frames(b)
}

// greeted is how a greeting went.
type greeted struct {
	Greeting
	err error
}

func greet(w *Waiting, p Pipe, now time.Time) <-chan greeted {
	done := make(chan greeted, 1)
	go func() {
		g, err := w.Greet(p, at(now))
		done <- greeted{g, err}
	}()
	return done
}

// met brings a new device and an account together.
func met(t testing.TB, w *Waiting, a *account) (*Channel, Greeting, Offer) {
	t.Helper()
	here, there := pipes(t)
	done := greet(w, there, start)
	l := linkOf(t, w)
	o, err := Reach(here, l)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Hail(here, l, o, a.hello())
	if err != nil {
		t.Fatal(err)
	}
	g := <-done
	if g.err != nil {
		t.Fatal(g.err)
	}
	return c, g.Greeting, o
}

// record is a Pipe that keeps what is sent and plays what it was given.
type record struct {
	sent [][]byte
	in   [][]byte
}

func (r *record) Send(b []byte) error { r.sent = append(r.sent, bytes.Clone(b)); return nil }
func (r *record) Close() error        { return nil }
func (r *record) Receive(limit int) ([]byte, error) {
	if len(r.in) == 0 {
		return nil, net.ErrClosed
	}
	b := r.in[0]
	r.in = r.in[1:]
	if len(b) > limit {
		return nil, ErrTooLong
	}
	return b, nil
}
