package x3dh

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
)

// R-X3D-09
func TestR_X3D_01_BothSidesAgree(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, s := range strengths {
		w := newWorld(t, s)
		started, err := Initiate(w.alice, &w.offer)
		if err != nil {
			t.Fatal(s, err)
		}
		accepted, err := Respond(w.bob, w.alice.Party, started.Initial, &w.keys)
		if err != nil {
			t.Fatal(s, err)
		}
		if accepted.Secret != started.Secret || accepted.AD != started.AD || accepted.ID != started.ID {
			t.Errorf("%v: the two sides differ", s)
		}
		if started.Strength != s || accepted.Strength != s || w.offer.Strength() != s {
			t.Errorf("%v: reported as %v, %v, %v", s, w.offer.Strength(), started.Strength, accepted.Strength)
		}
		if accepted.RatchetKey.Public() != started.PeerRatchet || started.PeerRatchet != w.spk.Public() {
			t.Errorf("%v: the ratchet keys are no pair", s)
		}
		if seen[started.Secret] || started.Secret == [32]byte{} {
			t.Errorf("%v: secret is not fresh", s)
		}
		seen[started.Secret] = true
		// Stored public halves and computed ones give the same.
		w.keys.SignedPublic = w.spk.Public()
		if w.keys.OneTime != nil {
			w.keys.OneTimePublic = w.opk.Public()
		}
		again, err := Respond(w.bob, w.alice.Party, started.Initial, &w.keys)
		if err != nil || again.Secret != accepted.Secret {
			t.Errorf("%v: with stored public keys: %v", s, err)
		}
	}
}

// The secret and the associated data, computed once more from the words of
// spec/handshake.md with the standard library alone.
//
// R-X3D-03 and R-X3D-04
func TestR_X3D_02_KeyDerivation(t *testing.T) {
	for _, s := range strengths {
		w := newWorld(t, s)
		started := w.initiate(t)
		i, err := ParseInitial(started.Initial)
		if err != nil {
			t.Fatal(err)
		}
		agree := func(k PrivateKey, p PublicKey) []byte {
			b := k.Export()
			priv, _ := ecdh.X25519().NewPrivateKey(b[:])
			pub, _ := ecdh.X25519().NewPublicKey(p.Bytes())
			z, err := priv.ECDH(pub)
			if err != nil {
				t.Fatal(err)
			}
			return z
		}
		ikm := bytes.Repeat([]byte{0xff}, 32)
		ikm = append(ikm, agree(w.spk, w.alice.Identity)...)
		ikm = append(ikm, agree(w.bob.IdentityKey, i.Ephemeral)...)
		ikm = append(ikm, agree(w.spk, i.Ephemeral)...)
		var opk PublicKey
		if w.keys.OneTime != nil {
			ikm = append(ikm, agree(w.opk, i.Ephemeral)...)
			opk = w.opk.Public()
		}
		ks := w.kem.Seed()
		dk, err := mlkem.NewDecapsulationKey1024(ks[:])
		if err != nil {
			t.Fatal(err)
		}
		ss, err := dk.Decapsulate(i.ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		ikm = append(ikm, ss...)

		u64 := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
		party := func(p Party) []byte {
			return bytes.Join([][]byte{p.Account, u64(p.Device), p.Identity.Bytes(),
				{0, byte(len(p.Address))}, []byte(p.Address)}, nil)
		}
		parties := append(party(w.alice.Party), party(w.bob.Party)...)
		tr := sha256.Sum256(bytes.Join([][]byte{
			[]byte("pawl/1 x3dh transcript"), {1}, parties, i.Ephemeral.Bytes(),
			u64(spkID), w.spk.Public().Bytes(), u64(i.OneTimeID), opk.Bytes(),
			{byte(w.keys.KEMKind)}, u64(kemID), dk.EncapsulationKey().Bytes(), i.ciphertext,
		}, nil))
		want, err := hkdf.Key(sha256.New, ikm, nil, "pawl/1 x3dh secret"+string(tr[:]), 32)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, started.Secret[:]) {
			t.Errorf("%v: the secret is not what the specification says", s)
		}
		ad := sha256.Sum256(bytes.Join([][]byte{[]byte("pawl/1 x3dh associated data"), {1}, parties}, nil))
		if ad != started.AD {
			t.Errorf("%v: the associated data is not what the specification says", s)
		}
	}
}

// Whatever of the responder's view differs from the initiator's, the secret
// differs: no two people can hold one secret and think of different parties.
//
// R-X3D-04
func TestR_X3D_03_EveryViewIsBound(t *testing.T) {
	w := newWorld(t, OneTime)
	started := w.initiate(t)
	other := newOwn("mallory", "mallory@example.org", 0xbad)
	type view struct {
		own     Own
		peer    Party
		initial Initial
		keys    Keys
	}
	for name, c := range map[string]struct {
		change func(*view)
		sameAD bool
	}{
		"peer's account":       {change: func(v *view) { v.peer.Account = other.Account }},
		"peer's address":       {change: func(v *view) { v.peer.Address = other.Address }},
		"peer's device":        {change: func(v *view) { v.peer.Device++ }},
		"peer's identity":      {change: func(v *view) { v.peer.Identity, v.initial.Identity = other.Identity, other.Identity }},
		"own account":          {change: func(v *view) { v.own.Account = other.Account }},
		"own address":          {change: func(v *view) { v.own.Address = other.Address }},
		"own device":           {change: func(v *view) { v.own.Device++ }},
		"own identity, public": {change: func(v *view) { v.own.Identity = other.Identity }},
		"accounts swapped":     {change: func(v *view) { v.own.Account, v.peer.Account = v.peer.Account, v.own.Account }},
		"addresses swapped":    {change: func(v *view) { v.own.Address, v.peer.Address = v.peer.Address, v.own.Address }},
		"devices swapped":      {change: func(v *view) { v.own.Device, v.peer.Device = v.peer.Device, v.own.Device }},
		"boundary of addresses": {change: func(v *view) {
			v.peer.Address += "x"
			v.own.Address = v.own.Address[1:]
		}},
		"own identity, private":   {sameAD: true, change: func(v *view) { v.own.IdentityKey = other.IdentityKey }},
		"ephemeral key":           {sameAD: true, change: func(v *view) { v.initial.Ephemeral = other.Identity }},
		"signed prekey's id":      {sameAD: true, change: func(v *view) { v.initial.SignedID++ }},
		"one-time prekey's id":    {sameAD: true, change: func(v *view) { v.initial.OneTimeID++ }},
		"KEM prekey's id":         {sameAD: true, change: func(v *view) { v.initial.KEMID++ }},
		"KEM prekey's kind":       {sameAD: true, change: func(v *view) { v.initial.KEMKind, v.keys.KEMKind = KEMLastResort, KEMLastResort }},
		"signed prekey":           {sameAD: true, change: func(v *view) { v.keys.SignedPrekey = w.opk }},
		"signed prekey, public":   {sameAD: true, change: func(v *view) { v.keys.SignedPublic = other.Identity }},
		"one-time prekey":         {sameAD: true, change: func(v *view) { v.keys.OneTime = &w.spk }},
		"one-time prekey, public": {sameAD: true, change: func(v *view) { v.keys.OneTimePublic = other.Identity }},
		"one-time prekey left out": {sameAD: true, change: func(v *view) {
			v.initial.OneTimeID, v.keys.OneTime = 0, nil
		}},
		"KEM key": {sameAD: true, change: func(v *view) { v.keys.KEM, _ = kem.Generate() }},
		"KEM ciphertext": {sameAD: true, change: func(v *view) {
			v.initial.ciphertext = bytes.Clone(v.initial.ciphertext)
			v.initial.ciphertext[100] ^= 1
		}},
	} {
		i, err := ParseInitial(started.Initial)
		if err != nil {
			t.Fatal(err)
		}
		v := view{own: *w.bob, peer: w.alice.Party, initial: i, keys: w.keys}
		c.change(&v)
		a, err := v.initial.Respond(&v.own, v.peer, &v.keys)
		if err != nil {
			t.Errorf("%s: refused with %v, where the secret should differ", name, err)
			continue
		}
		if a.Secret == started.Secret {
			t.Errorf("%s: not bound, the secret is the same", name)
		}
		if (a.AD == started.AD) != c.sameAD {
			t.Errorf("%s: associated data the same: %v", name, a.AD == started.AD)
		}
	}
}

// Unknown key-share: Mallory publishes Bob's public keys as her own device's.
// She signs whatever she likes; Alice means to talk to Mallory, and Mallory
// passes the first message to Bob as one for him.
func TestR_X3D_03_UnknownKeyShare(t *testing.T) {
	w := newWorld(t, OneTime)
	mallory := newOwn("mallory", "mallory@example.org", 0xb0b).Party
	mallory.Identity = w.bob.Identity
	o, err := NewOffer(mallory, w.offer.signed, w.offer.oneTime, w.offer.kem)
	if err != nil {
		t.Fatal(err)
	}
	started, err := Initiate(w.alice, &o)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Respond(w.bob, w.alice.Party, started.Initial, &w.keys)
	if err != nil || a.Secret == started.Secret || a.AD == started.AD {
		t.Errorf("Bob shares a secret with Alice, who thinks of Mallory: %v", err)
	}
	// And the other way: Alice's keys under Mallory's name, towards Bob.
	started, err = Initiate(w.alice, &w.offer)
	if err != nil {
		t.Fatal(err)
	}
	mallory.Identity = w.alice.Identity
	a, err = Respond(w.bob, mallory, started.Initial, &w.keys)
	if err != nil || a.Secret == started.Secret || a.AD == started.AD {
		t.Errorf("Bob shares a secret with Alice and thinks of Mallory: %v", err)
	}
}

func TestR_X3D_05_LowOrderEverywhere(t *testing.T) {
	w := newWorld(t, OneTime)
	// The zero key is the only low-order point that the types let through;
	// decoders refuse all others (R-X3D-07).
	zero := PublicKey{}
	for name, change := range map[string]func(*world){
		"own identity":    func(w *world) { w.alice.Identity = zero },
		"peer's identity": func(w *world) { w.offer.peer.Identity = zero },
		"signed prekey":   func(w *world) { w.offer.signed.Key = zero },
		"one-time prekey": func(w *world) { w.offer.oneTime.Key = zero },
		"KEM key":         func(w *world) { w.offer.kem.Key = KEMPublicKey{} },
	} {
		w := newWorld(t, OneTime)
		change(w)
		if _, err := Initiate(w.alice, &w.offer); !errors.Is(err, ErrOffer) && !errors.Is(err, ErrParty) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := NewOffer(w.offer.peer, w.offer.signed, w.offer.oneTime, w.offer.kem); name != "own identity" && err == nil {
			t.Errorf("%s: NewOffer accepts it", name)
		}
	}
	started := w.initiate(t)
	i, _ := ParseInitial(started.Initial)
	i.Ephemeral = zero
	if _, err := i.Respond(w.bob, w.alice.Party, &w.keys); !errors.Is(err, ErrPublicKey) {
		t.Errorf("ephemeral key: %v", err)
	}
	// An all-zero agreement is refused in the core as well.
	var in input
	if err := in.agree(&w.spk, zero); !errors.Is(err, ErrPublicKey) || in.n != 0 {
		t.Errorf("all-zero result: %v", err)
	}
}

func TestR_X3D_06_WhoItIs(t *testing.T) {
	w := newWorld(t, OneTime)
	started := w.initiate(t)
	mallory := newOwn("mallory", "mallory@example.org", 0xbad)
	if _, err := Respond(w.bob, mallory.Party, started.Initial, &w.keys); !errors.Is(err, ErrIdentity) {
		t.Errorf("another peer: %v", err)
	}
	swapped := w.alice.Party
	swapped.Identity = w.bob.Identity
	if _, err := Respond(w.bob, swapped, started.Initial, &w.keys); !errors.Is(err, ErrIdentity) {
		t.Errorf("swapped identity: %v", err)
	}
	if _, err := Respond(w.bob, w.bob.Party, started.Initial, &w.keys); !errors.Is(err, ErrSelf) {
		t.Errorf("own device as the peer: %v", err)
	}
	self := w.offer
	self.peer = w.alice.Party
	if _, err := Initiate(w.alice, &self); !errors.Is(err, ErrSelf) {
		t.Errorf("own device's offer: %v", err)
	}
	// Another device of one's own account is a peer like any other.
	self.peer.Device++
	if _, err := Initiate(w.alice, &self); err != nil {
		t.Errorf("second own device: %v", err)
	}
}

func TestR_X3D_11_KeysMustFit(t *testing.T) {
	w := newWorld(t, OneTime)
	started := w.initiate(t)
	keys := w.keys
	keys.OneTime = nil
	if _, err := Respond(w.bob, w.alice.Party, started.Initial, &keys); !errors.Is(err, ErrKeys) {
		t.Errorf("one-time key missing: %v", err)
	}
	keys = w.keys
	keys.KEMKind = KEMLastResort
	if _, err := Respond(w.bob, w.alice.Party, started.Initial, &keys); !errors.Is(err, ErrKeys) {
		t.Errorf("message calls a last-resort key one-time: %v", err)
	}
	keys.KEMKind = 0
	if _, err := Respond(w.bob, w.alice.Party, started.Initial, &keys); !errors.Is(err, ErrKeys) {
		t.Errorf("no kind: %v", err)
	}
	last := newWorld(t, LastResort)
	started = last.initiate(t)
	keys = last.keys
	keys.OneTime = &last.opk
	if _, err := Respond(last.bob, last.alice.Party, started.Initial, &keys); !errors.Is(err, ErrKeys) {
		t.Errorf("one-time key that was not used: %v", err)
	}
	keys = last.keys
	keys.KEMKind = KEMOneTime
	if _, err := Respond(last.bob, last.alice.Party, started.Initial, &keys); !errors.Is(err, ErrKeys) {
		t.Errorf("message calls a one-time key last-resort: %v", err)
	}
}

func TestR_X3D_12_IncompleteParties(t *testing.T) {
	for name, change := range map[string]func(*Party){
		"no account":       func(p *Party) { p.Account = nil },
		"short account":    func(p *Party) { p.Account = p.Account[:31] },
		"no address":       func(p *Party) { p.Address = "" },
		"over-long":        func(p *Party) { p.Address = string(make([]byte, 70000)) },
		"no device":        func(p *Party) { p.Device = 0 },
		"no identity":      func(p *Party) { p.Identity = PublicKey{} },
		"nothing whatever": func(p *Party) { *p = Party{} },
	} {
		w := newWorld(t, OneTime)
		started := w.initiate(t)
		own, peer, offer := *w.alice, w.alice.Party, w.offer
		change(&own.Party)
		change(&peer)
		change(&offer.peer)
		if _, err := Initiate(&own, &w.offer); !errors.Is(err, ErrParty) {
			t.Errorf("%s, initiator: %v", name, err)
		}
		if _, err := Initiate(w.alice, &offer); !errors.Is(err, ErrParty) {
			t.Errorf("%s, offer: %v", name, err)
		}
		if _, err := Respond(w.bob, peer, started.Initial, &w.keys); !errors.Is(err, ErrParty) {
			t.Errorf("%s, peer: %v", name, err)
		}
		bob := *w.bob
		change(&bob.Party)
		if _, err := Respond(&bob, w.alice.Party, started.Initial, &w.keys); !errors.Is(err, ErrParty) {
			t.Errorf("%s, responder: %v", name, err)
		}
	}
	w := newWorld(t, OneTime)
	if _, err := Initiate(w.alice, &Offer{}); !errors.Is(err, ErrParty) && !errors.Is(err, ErrOffer) {
		t.Errorf("zero offer: %v", err)
	}
	for name, change := range map[string]func(*Offer){
		"signed id 0":     func(o *Offer) { o.signed.ID = 0 },
		"one-time id 0":   func(o *Offer) { o.oneTime.ID = 0 },
		"KEM id 0":        func(o *Offer) { o.kem.ID = 0 },
		"KEM kind 0":      func(o *Offer) { o.kem.Kind = 0 },
		"KEM kind signed": func(o *Offer) { o.kem.Kind = 1 },
	} {
		o := w.offer
		change(&o)
		if _, err := NewOffer(o.peer, o.signed, o.oneTime, o.kem); !errors.Is(err, ErrOffer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&Initial{}).Respond(w.bob, w.alice.Party, &w.keys); !errors.Is(err, ErrMalformed) {
		t.Errorf("zero first message: %v", err)
	}
}

// Erased inputs do not reach the results: the keys the caller passed are
// untouched.
func TestCallerKeepsItsKeys(t *testing.T) {
	w := newWorld(t, OneTime)
	before := w.alice.IdentityKey.Export()
	started := w.initiate(t)
	if _, err := Respond(w.bob, w.alice.Party, started.Initial, &w.keys); err != nil {
		t.Fatal(err)
	}
	spk := dh.FromBytes(seed("spk"))
	if w.alice.IdentityKey.Export() != before || w.keys.SignedPrekey.Export() != spk.Export() {
		t.Error("a caller's key changed")
	}
	if len(w.alice.Account) != ed25519.PublicKeySize {
		t.Error("the account key changed")
	}
}
