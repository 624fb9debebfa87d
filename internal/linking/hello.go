package linking

import (
	"crypto/hpke"
	"crypto/sha256"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// Hello is what a device of the account says first: which account it is, and
// where its server is. The account key and the address stand in the chain.
type Hello struct {
	Chain   [][]byte // the whole device list
	Host    string   // canonical host[:port] of the account's server
	Pin     []byte   // nil for the system's roots
	Device  address.Device
	History bool // the new device may fetch the history
}

type wireHello struct {
	Chain   [][]byte `cbor:"1,keyasint"`
	Host    string   `cbor:"2,keyasint"`
	Pin     []byte   `cbor:"3,keyasint,omitempty"`
	Device  uint64   `cbor:"4,keyasint"`
	History bool     `cbor:"5,keyasint"`
}

func (h Hello) encode() []byte {
	return codec.Marshal(wireHello{Chain: h.Chain, Host: h.Host, Pin: h.Pin, Device: uint64(h.Device), History: h.History})
}

// parseHello decodes a hello and verifies the device list in it (R-LNK-06).
func parseHello(b []byte) (Hello, devicelist.List, error) {
	var w wireHello
	if err := codec.Unmarshal(b, MaxHello, &w); err != nil {
		return Hello{}, devicelist.List{}, ErrMalformed
	}
	h := Hello{Chain: w.Chain, Host: w.Host, Pin: w.Pin, Device: address.Device(w.Device), History: w.History}
	if host, err := address.Host(h.Host); err != nil || host != h.Host || (len(h.Pin) != 0 && len(h.Pin) != pinSize) {
		return Hello{}, devicelist.List{}, ErrMalformed
	}
	if chainSize(h.Chain) > MaxChainBytes {
		return Hello{}, devicelist.List{}, ErrTooLong
	}
	list, err := devicelist.VerifyChain(h.Chain)
	if err != nil {
		return Hello{}, devicelist.List{}, ErrAccount
	}
	if d, ok := list.Device(h.Device); !ok || d.Status != devicelist.Active || list.Address.Host() != h.Host {
		return Hello{}, devicelist.List{}, ErrAccount
	}
	return h, list, nil
}

func chainSize(chain [][]byte) (n int) {
	for _, e := range chain {
		n += len(e)
	}
	return n
}

// info binds a hello to the URI: only who has seen it knows the secret
// (R-LNK-05).
func info(l *Link) []byte {
	id := l.ID()
	b := append([]byte(labelHello), id[:]...)
	b = append(b, l.Secret[:]...)
	return append(b, l.Offer[:]...)
}

// Reach takes the offer from whoever is at the other end and checks that it is
// the one that the URI names.
func Reach(p Pipe, l Link) (Offer, error) {
	b, err := p.Receive(MaxOffer)
	if err != nil {
		return Offer{}, err
	}
	if sha256.Sum256(b) != l.Offer {
		return Offer{}, ErrOffer
	}
	o, err := parseOffer(b)
	if err != nil {
		return Offer{}, err
	}
	if !o.Expires.Equal(l.Expires) {
		return Offer{}, ErrOffer
	}
	return o, nil
}

// Hail greets the waiting device and returns the channel to it.
func Hail(p Pipe, l Link, o Offer, h Hello) (*Channel, error) {
	enc, s, err := hpke.NewSender(o.seal, kdf(), aead(), info(&l))
	if err != nil {
		return nil, ErrOffer
	}
	ct, err := s.Seal(nil, h.encode())
	if err != nil {
		return nil, err
	}
	hello := append(enc, ct...)
	if len(hello) > MaxHello || chainSize(h.Chain) > MaxChainBytes {
		return nil, ErrTooLong
	}
	c, err := newChannel(p, s.Export, labelToNew, labelToOld)
	if err != nil {
		return nil, err
	}
	return c, p.Send(hello)
}

// encSize is the length of an encapsulated X-Wing secret.
const encSize = 1120

// Greeting is a hello that was opened, and verified as far as can be.
type Greeting struct {
	Hello
	List devicelist.List
	*Channel
}

// Greet sends the offer and waits for a hello. What it returns an error for has
// learnt the offer and nothing else; the device goes on waiting (R-LNK-07).
func (w *Waiting) Greet(p Pipe, now func() time.Time) (Greeting, error) {
	if err := p.Send(w.offer); err != nil {
		return Greeting{}, err
	}
	b, err := p.Receive(MaxHello)
	if err != nil {
		return Greeting{}, err
	}
	if !now().Before(w.expires) { // R-LNK-02
		return Greeting{}, ErrExpired
	}
	return w.open(p, b)
}

func (w *Waiting) open(p Pipe, b []byte) (Greeting, error) {
	if len(b) < encSize {
		return Greeting{}, ErrHello
	}
	l := Link{Secret: w.secret, Offer: w.parsed.hash}
	r, err := hpke.NewRecipient(b[:encSize], w.seal, kdf(), aead(), info(&l))
	if err != nil {
		return Greeting{}, ErrHello
	}
	body, err := r.Open(nil, b[encSize:])
	if err != nil {
		return Greeting{}, ErrHello
	}
	if err := w.once(sha256.Sum256(b)); err != nil {
		return Greeting{}, err
	}
	h, list, err := parseHello(body)
	if err != nil {
		return Greeting{}, err
	}
	c, err := newChannel(p, r.Export, labelToOld, labelToNew)
	return Greeting{Hello: h, List: list, Channel: c}, err
}

// once notes a hello that opened; the same one does not count twice, and not
// more than a few are looked at.
func (w *Waiting) once(sum [32]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[sum] {
		return ErrReplayed
	}
	if len(w.seen) >= MaxGreetings {
		return ErrTooLong
	}
	w.seen[sum] = true
	return nil
}
