package lab

import (
	"crypto/ed25519"
	"fmt"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// stranger is who writes first messages in a drill.
func stranger() (*device, error) {
	account, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	key, public := dh.Generate()
	p := x3dh.Party{Account: account, Address: "stranger@drill.invalid", Device: 1, Identity: public}
	return &device{own: x3dh.Own{Party: p, IdentityKey: key}}, nil
}

// first tries first messages with every prekey of the copy: as long as the
// keys are there all of them open, and once one was answered only those
// without one-time keys.
func (d *drill) first() error {
	by, err := stranger()
	if err != nil {
		return err
	}
	keys := newDisk(d.stolen.Self, nil)
	keys.identity = d.stolen.Identity
	byKind := map[prekeys.Kind][]prekeys.Info{}
	for _, b := range d.stolen.Prekeys {
		p, err := prekeys.ParsePrivate(b)
		if err != nil {
			return err
		}
		i := p.Info()
		p.Erase()
		keys.prekeys[row{i.Kind, i.ID}] = kept{i, b}
		byKind[i.Kind] = append(byKind[i.Kind], i)
	}
	signed := byKind[prekeys.Signed]
	if len(signed) == 0 {
		return nil
	}
	w := &world{devices: []*device{by}}
	var kinds []string
	used := map[int][]row{}
	write := func(what string, s, kem prekeys.Info, one *prekeys.Info) error {
		in := x3dh.Initial{SignedID: s.ID, KEMKind: x3dh.KEMKind(kem.Kind), KEMID: kem.ID}
		if one != nil {
			in.OneTimeID = one.ID
		}
		private, rows, err := keys.keys(&in)
		if err != nil {
			return err
		}
		l, err := d.write(by, &in, &private)
		if err != nil {
			return err
		}
		l.index = len(w.letters)
		w.letters, kinds = append(w.letters, l), append(kinds, what)
		used[l.index] = rows
		return nil
	}
	ec := byKind[prekeys.OneTimeEC]
	for i, k := range byKind[prekeys.KEMOneTime] {
		var one *prekeys.Info
		if i < len(ec) {
			one = &ec[i]
		}
		if err := write(TryFirst, signed[i%len(signed)], k, one); err != nil {
			return err
		}
	}
	for _, k := range byKind[prekeys.KEMLastResort] {
		if err := write(TryLast, signed[0], k, nil); err != nil {
			return err
		}
	}
	try := func(answered map[string]string) error {
		opened, err := w.attack(&loot{self: d.self, disk: keys})
		for i, ok := range opened {
			what := kinds[i]
			if answered != nil {
				what = answered[what]
			}
			d.count(what, "", 1, ones(ok))
		}
		return err
	}
	if err := try(nil); err != nil {
		return err
	}
	for _, rows := range used {
		for _, r := range rows {
			delete(keys.prekeys, r)
		}
	}
	return try(map[string]string{TryFirst: TryFirstAnswered, TryLast: TryLastAnswered})
}

// write seals a first message for the victim with the public halves of some of
// its prekeys.
func (d *drill) write(by *device, in *x3dh.Initial, k *x3dh.Keys) (*letter, error) {
	var one x3dh.Prekey
	if in.OneTimeID != 0 {
		one = x3dh.Prekey{ID: in.OneTimeID, Key: k.OneTimePublic}
	}
	offer, err := x3dh.NewOffer(d.stolen.Self, x3dh.Prekey{ID: in.SignedID, Key: k.SignedPublic}, one, x3dh.KEMPrekey{ID: in.KEMID, Kind: in.KEMKind, Key: k.KEM.Public()})
	if err != nil {
		return nil, err
	}
	st, err := x3dh.Initiate(&by.own, &offer)
	if err != nil {
		return nil, err
	}
	s, err := ratchet.Initiate(&st.Secret, st.PeerRatchet)
	if err != nil {
		return nil, err
	}
	m, err := s.Seal(textOf(TryFirst), st.AD[:])
	if err != nil {
		return nil, err
	}
	return &letter{from: by.peer(), to: d.self, session: session.ID(st.ID), initial: st.Initial, body: m.Message, ad: st.AD, text: textOf(TryFirst)}, nil
}

// groups tries the victim's own sender keys. What others say cannot be made
// here: their signing keys are not in the copy.
func (d *drill) groups() error {
	for _, b := range d.stolen.Chains {
		s, err := groups.ParseSending(b)
		if err != nil {
			return err
		}
		m, err := s.Seal(1, groups.Head{}, textOf(TryGroupYours))
		if err != nil {
			return err
		}
		for what, state := range map[string]groups.Sending{TryGroupYours: s, TryGroupRead: m.Next} {
			thief, err := groups.Accept(state.Key(), state.Sender())
			if err != nil {
				return fmt.Errorf("%w: a sender key of the copy: %w", ErrFault, err)
			}
			o, err := thief.Open(m.Message, thiefTime)
			if err == nil && string(o.Plaintext) != string(textOf(TryGroupYours)) {
				return fmt.Errorf("%w: the thief opened another text than was sent", ErrFault)
			}
			d.count(what, "", 1, ones(err == nil))
		}
	}
	return nil
}
