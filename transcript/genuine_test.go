package transcript_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/transcript"
	"github.com/pawl-chat/pawl/x3dh"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// device is one with all its keys.
type device struct {
	own    x3dh.Own
	signer ed25519.PrivateKey
}

func newDevice(t testing.TB, addr string, id uint64) *device {
	t.Helper()
	account, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, signer, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	identity, public := x3dh.GenerateKey()
	return &device{x3dh.Own{
		Party:       x3dh.Party{Account: account, Address: addr, Device: id, Identity: public},
		IdentityKey: identity,
	}, signer}
}

// party is the public half.
func (d *device) party() transcript.Party {
	return transcript.Party{
		Account: [32]byte(d.own.Account), Address: d.own.Address,
		Devices: []transcript.Device{{ID: d.own.Device, Identity: d.own.Identity.Array()}},
	}
}

func (d *device) sender() groups.Sender {
	return groups.Sender{Address: d.own.Address, Device: d.own.Device, Identity: d.own.Identity.Array()}
}

func (d *device) envelope(t testing.TB, to uint64, initial, message []byte) []byte {
	t.Helper()
	a, err := address.ParseCanonical(d.own.Address)
	if err != nil {
		t.Fatal(err)
	}
	return content.Envelope{From: a, Device: address.Device(d.own.Device), To: address.Device(to), Initial: initial, Message: message}.Encode()
}

// genuine is what really went over the wire when two people really talked: with
// published prekeys, a verified bundle, and both devices apart.
func genuine(t testing.TB, a, b *device, lines []transcript.Line) *transcript.Transcript {
	t.Helper()
	tr, _ := remembered(t, a, b, lines)
	return tr
}

// reader is a device as it was just before a message came: what nobody has any
// more.
type reader struct {
	ratchet.State
	ad [32]byte
}

// text opens an envelope.
func (r *reader) text(t testing.TB, envelope []byte) string {
	t.Helper()
	env, err := content.DecodeEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.Open(env.Message, r.ad[:], noon)
	if err != nil {
		t.Fatal(err)
	}
	c, err := content.Decode(o.Plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return c.Text.Text
}

func remembered(t testing.TB, a, b *device, lines []transcript.Line) (tr *transcript.Transcript, readers []reader) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tr = &transcript.Transcript{Kind: transcript.Pair, Parties: []transcript.Party{a.party(), b.party()}}
	first, second := a, b
	if lines[0].From == b.own.Address {
		first, second = b, a
	}
	up, private := prekeys.Generate(noon, prekeys.OwnerOf(second.own.Party), second.signer)
	bundle, err := prekeys.ParseBundle(prekeys.AssembleBundle(up.Signed, up.LastResort, up.OneTimeEC[0], up.OneTimeKEM[0]))
	must(err)
	offer, err := bundle.Verify(second.own.Party, second.signer.Public().(ed25519.PublicKey), noon)
	must(err)
	started, err := x3dh.Initiate(&first.own, &offer)
	must(err)
	initial, err := x3dh.ParseInitial(started.Initial)
	must(err)
	find := func(id uint64) *prekeys.Private {
		for i := range private {
			if private[i].Info().ID == id {
				return &private[i]
			}
		}
		return nil
	}
	keys, err := prekeys.Keys(find(initial.SignedID), find(initial.OneTimeID), find(initial.KEMID))
	must(err)
	accepted, err := initial.Respond(&second.own, first.own.Party, &keys)
	must(err)
	ends := map[*device]ratchet.State{}
	ends[first], err = ratchet.Initiate(&started.Secret, started.PeerRatchet)
	must(err)
	ends[second] = ratchet.Respond(&accepted.Secret, accepted.RatchetKey)
	carried := started.Initial
	for _, l := range lines {
		from, to := first, second
		if l.From == second.own.Address {
			from, to, carried = second, first, nil
		}
		c, err := content.NewText(content.NewID(), l.At, 0, content.Text{Text: l.Text})
		must(err)
		s, err := ends[from].Seal(c.Encode(), started.AD[:])
		must(err)
		readers = append(readers, reader{ends[to], accepted.AD})
		o, err := ends[to].Open(s.Message, accepted.AD[:], l.At)
		must(err)
		ends[from], ends[to] = s.Next, o.Next
		tr.Messages = append(tr.Messages, transcript.Message{
			At: l.At, Envelope: from.envelope(t, to.own.Device, carried, s.Message), Text: l.Text,
			Place: &transcript.Place{Session: [8]byte(started.ID[:8]), Chain: s.At.Chain, Number: s.At.Number},
		})
	}
	return tr, readers
}

// genuineGroup is the same of a group.
func genuineGroup(t testing.TB, id groups.ID, all []*device, lines []transcript.Line) *transcript.Transcript {
	t.Helper()
	tr := &transcript.Transcript{Kind: transcript.Group, Group: id}
	chains := map[string]groups.Sending{}
	byName := map[string]*device{}
	for _, d := range all {
		tr.Parties = append(tr.Parties, d.party())
		byName[d.own.Address] = d
	}
	head := groups.HeadOf(id, 1, groups.Head{}, []byte("entry"))
	for _, l := range lines {
		d := byName[l.From]
		chain, ok := chains[l.From]
		if !ok {
			var err error
			if chain, err = groups.NewSending(id, 1, d.sender(), l.At, groups.Before{}); err != nil {
				t.Fatal(err)
			}
			tr.Keys = append(tr.Keys, transcript.Key{Epoch: 1, Address: d.own.Address, Device: d.own.Device, Seed: chain.Seed()})
		}
		c, err := content.NewText(content.NewID(), l.At, 0, content.Text{Text: l.Text})
		if err != nil {
			t.Fatal(err)
		}
		s, err := chain.Seal(uint64(len(all)), head, c.Encode())
		if err != nil {
			t.Fatal(err)
		}
		chains[l.From] = s.Next
		tr.Messages = append(tr.Messages, transcript.Message{At: l.At, Envelope: d.envelope(t, 0, nil, s.Message), Text: l.Text})
	}
	return tr
}

// script is a talk of n messages with turns of several lengths.
func script(n int, who ...string) []transcript.Line {
	var out []transcript.Line
	for i := range n {
		out = append(out, transcript.Line{
			From: who[(i/(1+i%3))%len(who)], Text: fmt.Sprintf("line %03d of the talk", i), At: noon.Add(time.Duration(i) * time.Minute),
		})
	}
	return out
}
