package client

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// Examination is a thief's view of a home: a copy of the store, unlocked, and
// every key in it (R-CLT-15). It changes nothing and reaches no network.
type Examination struct {
	e *engine
}

// Examine opens a copy of a home whose passphrase or key file is known. Give
// it a copy: the store itself has one owner.
func Examine(cfg Config) (*Examination, error) {
	v, err := vault.Open(cfg.Home, cfg.Unlock.vault(), tables())
	if err != nil {
		return nil, storeError(err)
	}
	s, err := readSelf(v)
	if err != nil {
		v.Close()
		return nil, err
	}
	e, err := newEngine(v, s, cfg)
	if err != nil {
		v.Close()
		return nil, err
	}
	return &Examination{e}, nil
}

// Close closes the copy.
func (x *Examination) Close() error { return x.e.close() }

// ErrStaysClosed says that no key in the home opens an envelope.
var ErrStaysClosed = errors.New("no key in this home opens the envelope")

// TryOpen tries to open a recorded envelope with every session, every private
// prekey and every sender key in the home, and commits nothing. It returns the text, or
// ErrStaysClosed.
func (x *Examination) TryOpen(ctx context.Context, envelope []byte) (text string, err error) {
	env, err := content.DecodeEnvelope(envelope)
	if err != nil {
		return "", &wrapped{ErrStaysClosed, err}
	}
	rollback := errors.New("client: nothing is kept")
	err = x.e.update(ctx, func(tx *vault.Tx) error {
		w := &work{e: x.e, tx: tx, pairs: map[peerKey]session.Pair{}, people: map[string]*person{}}
		try := w.tryAll
		if env.To == 0 && len(env.Initial) == 0 {
			try = w.tryChains
		}
		plain, err := try(env)
		if err != nil {
			return err
		}
		c, err := content.Decode(plain)
		if err != nil {
			return err
		}
		text = c.Text.Text
		return rollback
	})
	if errors.Is(err, rollback) {
		return text, nil
	}
	if errors.Is(err, ErrStoreDamaged) {
		return "", err
	}
	return "", ErrStaysClosed
}

// tryAll opens an envelope as its receiver or, for one that the home sent, by
// whatever its sessions hold.
func (w *work) tryAll(env content.Envelope) ([]byte, error) {
	now := w.e.now()
	k := peerKey{env.From.String(), env.Device}
	p, err := w.person(k.address)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, ErrStaysClosed
	}
	device, ok := p.list.Device(env.Device)
	if !ok {
		return nil, ErrStaysClosed
	}
	pair, err := w.pair(k)
	if err != nil {
		return nil, err
	}
	if o, err := pair.Open(nil, env.Message, now, nil); err == nil {
		return o.Plaintext, nil
	}
	if len(env.Initial) == 0 {
		return nil, ErrStaysClosed
	}
	acc, _, err := w.respond(p.party(device), env.Initial, now)
	if err != nil {
		return nil, err
	}
	o, err := ratchet.Respond(&acc.Secret, acc.RatchetKey).Open(env.Message, acc.AD[:], now)
	return o.Plaintext, err
}

// Forgery is a message that its receiver never got and nobody can tell from
// one that its sender wrote.
type Forgery struct {
	Original []byte   // the recorded envelope
	Forged   []byte   // the same with another text
	Number   uint32   // the message's number in its chain
	Seed     [32]byte // the disclosed seed of the chain's MAC keys

	ad [32]byte
}

// ErrNothingDisclosed says that the recorded traffic discloses no MAC key that
// fits a text of that length.
var ErrNothingDisclosed = errors.New("no disclosed MAC key in the recorded traffic fits that message")

// Parties returns the public identities in a home: its own first, then every
// device of its contacts. Nothing in them is secret; anybody can ask a server
// for them.
func (x *Examination) Parties(ctx context.Context) ([]x3dh.Party, error) {
	out := []x3dh.Party{x.e.self.own.Party}
	records, err := x.e.contactRecords(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		p, err := r.live()
		if err != nil {
			return nil, err
		}
		for _, d := range p.list.Devices {
			out = append(out, p.party(d))
		}
	}
	return out, nil
}

// ForgeText makes another message of a recorded one with public data only: the
// recorded envelopes, the MAC keys disclosed among them, and the public
// identities of the devices. The message must have said oldText and nothing
// else; newText must be as long.
func ForgeText(envelopes [][]byte, parties []x3dh.Party, oldText, newText string) (Forgery, error) {
	if len(oldText) != len(newText) || len(oldText) == 0 {
		return Forgery{}, errors.New("the forged text must be as long as the true one")
	}
	var seeds [][32]byte
	for _, b := range envelopes {
		if _, w, ok := onWire(b); ok {
			seeds = append(seeds, w.Disclosed...)
		}
	}
	at := content.TextOffset(len(oldText))
	padded := paddedLength(oldText)
	for _, b := range envelopes {
		env, w, ok := onWire(b)
		if !ok || len(w.Body) != padded {
			continue
		}
		f := Forgery{Original: b}
		if !f.find(env.Message, parties, seeds) {
			continue
		}
		xor := make([]byte, len(w.Body))
		for i := range oldText {
			xor[at+i] = oldText[i] ^ newText[i]
		}
		m, err := ratchet.Forge(f.Seed, f.Number, env.Message, f.ad[:], xor)
		if err != nil {
			return Forgery{}, err
		}
		env.Message = m
		f.Forged = env.Encode()
		return f, nil
	}
	return Forgery{}, ErrNothingDisclosed
}

// find looks for the disclosed key of a message, trying every pair of devices
// and every number a chain is likely to have reached.
func (f *Forgery) find(message []byte, parties []x3dh.Party, seeds [][32]byte) bool {
	const numbers = 256
	for i := range parties {
		for j := range parties {
			if i == j {
				continue
			}
			f.ad = x3dh.AssociatedData(parties[i], parties[j])
			for _, f.Seed = range seeds {
				if n, ok := ratchet.Locate(f.Seed, message, f.ad[:], numbers); ok {
					f.Number = n
					return true
				}
			}
		}
	}
	return false
}

// Verifies reports whether an envelope's message verifies under the disclosed
// key, exactly as the receiver of the true message verified it.
func (f Forgery) Verifies(envelope []byte) bool {
	env, _, ok := onWire(envelope)
	return ok && ratchet.VerifyDisclosed(f.Seed, f.Number, env.Message, f.ad[:])
}

// onWire reads what everybody on the wire can.
func onWire(envelope []byte) (content.Envelope, ratchet.Wire, bool) {
	env, err := content.DecodeEnvelope(envelope)
	if err != nil {
		return env, ratchet.Wire{}, false
	}
	w, err := ratchet.ParseMessage(env.Message)
	return env, w, err == nil
}

func paddedLength(text string) int {
	c, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: text})
	if err != nil {
		return -1
	}
	return len(c.Encode())
}

// DisclosedIn counts the MAC seeds that a recorded envelope discloses.
func DisclosedIn(envelope []byte) int {
	_, w, _ := onWire(envelope)
	return len(w.Disclosed)
}
