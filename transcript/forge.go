package transcript

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// Line is one message of a conversation that never was.
type Line struct {
	From string // address of a party
	Text string
	At   time.Time
}

// Forge makes the transcript of a conversation between two people who never
// spoke, of their public keys alone (R-TRN-09). The forger plays both sides
// with the real code.
//
// What it cannot make is the secret of the handshake: one of its agreements
// takes a private key of either side. So the forger draws one. Nobody can see
// that who lacks the private halves of the prekeys that the first message
// names; who has them is one of the two, or the thief of one, and can forge
// what ForgeReceived does.
func Forge(a, b Party, lines []Line) (*Transcript, error) {
	f, err := newForgery(a, b, lines)
	if err != nil {
		return nil, err
	}
	return f.play(lines)
}

// ForgeReceived makes the transcript of a conversation that peer began with the
// device own, of own's private keys and the peer's public ones (R-TRN-10). It
// stands up to the private keys, too: whoever is handed them computes the same
// secret from the first message and opens what follows. The prekeys that it
// rests on are new and returned, by the session's id; they are as good as any,
// for it is own that signs them.
//
// The device that begins a session cannot do the same with its own keys through
// this package, though the mathematics allow it: it knows every secret of the
// session as soon as it has chosen the other side's keys.
func ForgeReceived(own *x3dh.Own, peer Party, lines []Line) (*Transcript, map[[32]byte]*x3dh.Keys, error) {
	if own.Account == nil || len(own.Account) != 32 {
		return nil, nil, ErrMalformed
	}
	me := Party{Account: [32]byte(own.Account), Address: own.Address, Devices: []Device{{own.Device, own.Identity.Array()}}}
	f, err := newForgery(peer, me, lines)
	if err != nil {
		return nil, nil, err
	}
	if lines[0].From != peer.Address {
		return nil, nil, ErrStart
	}
	f.own, f.keys = own, map[[32]byte]*x3dh.Keys{}
	t, err := f.play(lines)
	return t, f.keys, err
}

// forgery is a conversation in the making.
type forgery struct {
	t        *Transcript
	sessions map[[2]place]*forged
	own      *x3dh.Own
	keys     map[[32]byte]*x3dh.Keys
}

// forged is one session, both ends of it.
type forged struct {
	id      [32]byte
	ad      [32]byte
	initial []byte // until answered
	first   place
	ends    map[place]ratchet.State
}

func newForgery(a, b Party, lines []Line) (*forgery, error) {
	t := &Transcript{Kind: Pair, Parties: []Party{a, b}}
	if err := t.Check(); err != nil {
		return nil, err
	}
	if err := checkLines(t, lines); err != nil {
		return nil, err
	}
	return &forgery{t: t, sessions: map[[2]place]*forged{}}, nil
}

func checkLines(t *Transcript, lines []Line) error {
	if len(lines) == 0 || len(lines) > MaxLines {
		return ErrLines
	}
	x, err := t.index()
	if err != nil {
		return err
	}
	for _, l := range lines {
		if _, ok := x.where[l.From]; !ok {
			return ErrParty
		}
	}
	return nil
}

func (f *forgery) play(lines []Line) (*Transcript, error) {
	for _, l := range lines {
		from := 0
		if l.From == f.t.Parties[1].Address {
			from = 1
		}
		c, err := content.NewText(content.NewID(), l.At, 0, content.Text{Text: l.Text})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrText, err)
		}
		for d := range f.t.Parties[1-from].Devices {
			if err := f.say(place{from, 0}, place{1 - from, d}, c); err != nil {
				return nil, err
			}
		}
	}
	return f.t, f.t.Check()
}

// say seals one content and opens it at the other end.
func (f *forgery) say(from, to place, c content.Content) error {
	s, err := f.session(from, to)
	if err != nil {
		return err
	}
	sealed, err := s.ends[from].Seal(c.Encode(), s.ad[:])
	if err != nil {
		return err
	}
	opened, err := s.ends[to].Open(sealed.Message, s.ad[:], c.SentAt)
	if err != nil {
		return err
	}
	s.ends[from], s.ends[to] = sealed.Next, opened.Next
	if from != s.first {
		s.initial = nil
	}
	sender := &f.t.Parties[from.party]
	addr, err := address.ParseCanonical(sender.Address)
	if err != nil {
		return ErrMalformed
	}
	env := content.Envelope{
		From: addr, Device: address.Device(sender.Devices[from.device].ID), To: address.Device(f.t.Parties[to.party].Devices[to.device].ID),
		Initial: s.initial, Message: sealed.Message,
	}
	f.t.Messages = append(f.t.Messages, Message{
		At: c.SentAt, Envelope: env.Encode(), Text: c.Text.Text,
		Place: &Place{[8]byte(s.id[:8]), sealed.At.Chain, sealed.At.Number},
	})
	return nil
}

// session is that of two devices; the first one to write begins it.
func (f *forgery) session(from, to place) (*forged, error) {
	key := [2]place{from, to}
	if cmp.Compare(from.party, to.party) > 0 {
		key = [2]place{to, from}
	}
	if s, ok := f.sessions[key]; ok {
		return s, nil
	}
	initiator := f.t.Parties[from.party].view(from.device)
	responder := f.t.Parties[to.party].view(to.device)
	keys, offer, err := prekeysOf(responder)
	if err != nil {
		return nil, err
	}
	s := &forged{first: from, ends: map[place]ratchet.State{}, ad: x3dh.AssociatedData(initiator, responder)}
	if s.initial, err = x3dh.ForgeInitial(initiator, &offer); err != nil {
		return nil, err
	}
	s.id = x3dh.SessionID(s.initial)
	var secret [32]byte
	rand.Read(secret[:]) // what nobody else can compare
	if f.own != nil {
		if from.party != 0 {
			return nil, ErrStart
		}
		acc, err := x3dh.Respond(f.own, initiator, s.initial, keys)
		if err != nil {
			return nil, err
		}
		secret = acc.Secret
		f.keys[s.id] = keys
	}
	again := secret
	if s.ends[from], err = ratchet.Initiate(&secret, keys.SignedPublic); err != nil {
		return nil, err
	}
	s.ends[to] = ratchet.Respond(&again, x3dh.PrivateKeyFromBytes(keys.SignedPrekey.Export()))
	f.sessions[key] = s
	return s, nil
}

// prekeysOf makes up the prekeys of a device.
func prekeysOf(p x3dh.Party) (*x3dh.Keys, x3dh.Offer, error) {
	signed, signedPublic := x3dh.GenerateKey()
	oneTime, oneTimePublic := x3dh.GenerateKey()
	kem, kemPublic := x3dh.GenerateKEMKey()
	offer, err := x3dh.NewOffer(p,
		x3dh.Prekey{ID: randomID(), Key: signedPublic}, x3dh.Prekey{ID: randomID(), Key: oneTimePublic},
		x3dh.KEMPrekey{ID: randomID(), Kind: x3dh.KEMOneTime, Key: kemPublic})
	return &x3dh.Keys{
		SignedPrekey: signed, SignedPublic: signedPublic, OneTime: &oneTime, OneTimePublic: oneTimePublic,
		KEM: kem, KEMKind: x3dh.KEMOneTime,
	}, offer, err
}

func randomID() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:])
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// ForgeGroup makes the transcript of a conversation in a group that never was,
// of the public keys of its members alone (R-TRN-11). Chains belong to their
// devices by nobody's word but that of the sessions that carry them, and
// those are deniable: so a forger makes chains for everybody, and discloses
// their keys as the devices would.
func ForgeGroup(id groups.ID, parties []Party, lines []Line) (*Transcript, error) {
	t := &Transcript{Kind: Group, Group: id, Parties: parties}
	if err := t.Check(); err != nil {
		return nil, err
	}
	if err := checkLines(t, lines); err != nil {
		return nil, err
	}
	var head groups.Head
	rand.Read(head[:]) // of a log that nobody else holds
	seq := uint64(len(parties))
	chains := map[string]groups.Sending{}
	for _, l := range lines {
		p := &t.Parties[indexOf(t.Parties, l.From)]
		chain, ok := chains[l.From]
		if !ok {
			var err error
			if chain, err = groups.NewSending(id, 1, p.sender(0), l.At, groups.Before{}); err != nil {
				return nil, ErrMalformed
			}
			t.Keys = append(t.Keys, Key{1, p.Address, p.Devices[0].ID, chain.Seed()})
		}
		c, err := content.NewText(content.NewID(), l.At, 0, content.Text{Text: l.Text})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrText, err)
		}
		s, err := chain.Seal(seq, head, c.Encode())
		if err != nil {
			return nil, err
		}
		chains[l.From] = s.Next
		addr, err := address.ParseCanonical(p.Address)
		if err != nil {
			return nil, ErrMalformed
		}
		env := content.Envelope{From: addr, Device: address.Device(p.Devices[0].ID), Message: s.Message}
		t.Messages = append(t.Messages, Message{At: c.SentAt, Envelope: env.Encode(), Text: l.Text})
	}
	return t, t.Check()
}

func indexOf(parties []Party, addr string) int {
	for i := range parties {
		if parties[i].Address == addr {
			return i
		}
	}
	return -1 // checkLines has found it
}
