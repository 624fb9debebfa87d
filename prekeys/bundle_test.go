package prekeys

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/x3dh"
)

// A bundle of each make-up starts a session that the maker's records finish.
//
// R-PRE-11: the last-resort key goes out only when no one-time key is left.
func TestR_PRE_05_BundleToSession(t *testing.T) {
	bob, alice := newDevice("bob", 2), newDevice("alice", 1)
	u, all := bob.upload(2)
	for name, c := range map[string]struct {
		ec, kem []byte
		want    x3dh.Strength
	}{
		"both":    {u.OneTimeEC[1], u.OneTimeKEM[1], x3dh.OneTime},
		"KEM":     {nil, u.OneTimeKEM[0], x3dh.OneTimeKEM},
		"X25519":  {u.OneTimeEC[0], nil, x3dh.OneTimeEC},
		"neither": {nil, nil, x3dh.LastResort},
	} {
		bundle := AssembleBundle(u.Signed, u.LastResort, c.ec, c.kem)
		if hasLast := bytes.Contains(bundle, u.LastResort); hasLast != (c.kem == nil) {
			t.Errorf("%s: last-resort key inside: %v", name, hasLast)
		}
		o, err := bob.offer(bundle, now)
		if err != nil || o.Strength() != c.want {
			t.Fatal(name, o.Strength(), err)
		}
		own := &x3dh.Own{Party: alice.party, IdentityKey: x3dh.PrivateKeyFromBytes(seed("alice identity"))}
		s, err := x3dh.Initiate(own, &o)
		if err != nil {
			t.Fatal(name, err)
		}
		i, err := x3dh.ParseInitial(s.Initial)
		if err != nil {
			t.Fatal(name, err)
		}
		var oneTime *Private
		if i.OneTimeID != 0 {
			oneTime = private(t, all, i.OneTimeID)
		}
		keys, err := Keys(private(t, all, i.SignedID), oneTime, private(t, all, i.KEMID))
		if err != nil {
			t.Fatal(name, err)
		}
		bobs := &x3dh.Own{Party: bob.party, IdentityKey: x3dh.PrivateKeyFromBytes(seed("bob identity"))}
		a, err := x3dh.Respond(bobs, alice.party, s.Initial, &keys)
		if err != nil || a.Secret != s.Secret || a.Strength != c.want {
			t.Errorf("%s: %v, %v", name, a.Strength, err)
		}
	}
}

// sign makes a row with any content, signed by key as of a kind of the
// attacker's choice.
func forge(key ed25519.PrivateKey, owner Owner, row signedRow, as Kind) []byte {
	row.Signature = ed25519.Sign(key, message(owner, as, row.ID, int64(row.NotAfter), row.Public))
	return row.encode()
}

func row(t testing.TB, b []byte) (r signedRow) {
	t.Helper()
	if err := codec.Unmarshal(b, maxRow, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// No signature of one kind passes for another, whichever way the row is
// relabelled.
func TestR_PRE_02_KindsAreDisjoint(t *testing.T) {
	bob := newDevice("bob", 2)
	u, _ := bob.upload(1)
	rows := map[Kind][]byte{Signed: u.Signed, KEMOneTime: u.OneTimeKEM[0], KEMLastResort: u.LastResort}
	for from, b := range rows {
		for to := range rows {
			if from == to {
				continue
			}
			// The genuine row in a place of the other kind.
			bundle := AssembleBundle(u.Signed, u.LastResort, nil, b)
			if to == Signed {
				bundle = AssembleBundle(b, u.LastResort, nil, nil)
			}
			if _, err := bob.offer(bundle, now); (to == Signed || from == Signed) && !errors.Is(err, ErrKind) {
				t.Errorf("kind %d in the place of %d: %v", from, to, err)
			}
			// The row relabelled as the other kind, the signature kept.
			r := row(t, b)
			r.Kind = uint64(to)
			if to == Signed {
				bundle = AssembleBundle(r.encode(), u.LastResort, nil, nil)
			} else {
				bundle = AssembleBundle(u.Signed, nil, nil, r.encode())
			}
			_, err := bob.offer(bundle, now)
			sameShape := from.isKEM() && to.isKEM()
			if sameShape && !errors.Is(err, ErrSignature) || !sameShape && !errors.Is(err, ErrMalformed) {
				t.Errorf("kind %d relabelled %d: %v", from, to, err)
			}
			// A key of the right shape for the place, signed as the other kind.
			r = row(t, rows[to])
			if to == Signed {
				bundle = AssembleBundle(forge(bob.signer, bob.owner(), r, from), u.LastResort, nil, nil)
			} else {
				bundle = AssembleBundle(u.Signed, nil, nil, forge(bob.signer, bob.owner(), r, from))
			}
			if _, err := bob.offer(bundle, now); !errors.Is(err, ErrSignature) {
				t.Errorf("kind %d signed as %d: %v", to, from, err)
			}
		}
	}
	// An unsigned one-time row stands for no signed one.
	if _, err := bob.offer(AssembleBundle(u.OneTimeEC[0], u.LastResort, nil, nil), now); !errors.Is(err, ErrMalformed) {
		t.Errorf("one-time X25519 row as the signed key: %v", err)
	}
	if _, err := bob.offer(AssembleBundle(u.Signed, u.LastResort, u.Signed, nil), now); !errors.Is(err, ErrMalformed) {
		t.Errorf("signed row as the one-time key: %v", err)
	}
	// In uploads, last-resort and one-time do not swap places either.
	for name, w := range map[string]wireUpload{
		"one-time as last-resort": {Signed: u.Signed, LastResort: u.OneTimeKEM[0]},
		"last-resort as one-time": {Signed: u.Signed, LastResort: u.LastResort, OneTimeKEM: [][]byte{u.LastResort}},
		"last-resort as signed":   {Signed: u.LastResort, LastResort: u.LastResort},
		"signed as last-resort":   {Signed: u.Signed, LastResort: u.Signed},
	} {
		if _, err := ParseUpload(codec.Marshal(w)); !errors.Is(err, ErrKind) {
			t.Errorf("upload, %s: %v", name, err)
		}
	}
}

// Everything that stands inside a signature is bound by it.
func TestR_PRE_01_WhatIsSigned(t *testing.T) {
	bob, eve := newDevice("bob", 2), newDevice("eve", 3)
	u, _ := bob.upload(1)
	theirs, _ := eve.upload(1)
	for place, good := range map[string][]byte{"signed": u.Signed, "one-time": u.OneTimeKEM[0], "last-resort": u.LastResort} {
		other := map[string][]byte{"signed": theirs.Signed, "one-time": theirs.OneTimeKEM[0], "last-resort": theirs.LastResort}[place]
		try := func(b []byte) error {
			bundle := AssembleBundle(u.Signed, b, nil, nil)
			if place == "signed" {
				bundle = AssembleBundle(b, u.LastResort, nil, nil)
			}
			_, err := bob.offer(bundle, now)
			return err
		}
		if err := try(good); err != nil {
			t.Fatal(place, err)
		}
		for name, change := range map[string]func(*signedRow){
			"id":               func(r *signedRow) { r.ID++ },
			"not-after":        func(r *signedRow) { r.NotAfter-- },
			"key of another":   func(r *signedRow) { r.Public = row(t, other).Public },
			"signature, bit":   func(r *signedRow) { r.Signature[5] ^= 1 },
			"signature, other": func(r *signedRow) { r.Signature = row(t, other).Signature },
		} {
			r := row(t, good)
			change(&r)
			if err := try(r.encode()); !errors.Is(err, ErrSignature) {
				t.Errorf("%s, %s: %v", place, name, err)
			}
		}
		if err := try(other); !errors.Is(err, ErrSignature) {
			t.Errorf("%s of another device: %v", place, err)
		}
		// Signed by the right key for another owner, and by the wrong key for
		// the right owner.
		kind := Kind(row(t, good).Kind)
		for name, b := range map[string][]byte{
			"other account": forge(bob.signer, Owner{eve.party.Account, 2}, row(t, good), kind),
			"other device":  forge(bob.signer, Owner{bob.party.Account, 9}, row(t, good), kind),
			"other signer":  forge(eve.signer, bob.owner(), row(t, good), kind),
		} {
			if err := try(b); !errors.Is(err, ErrSignature) {
				t.Errorf("%s, %s: %v", place, name, err)
			}
		}
	}
	// The taker's picture of the peer is what counts.
	b, err := ParseBundle(AssembleBundle(u.Signed, u.LastResort, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	swapped := bob.party
	swapped.Account = eve.party.Account
	if _, err := b.Verify(swapped, bob.sign(), now); !errors.Is(err, ErrSignature) {
		t.Errorf("other account key: %v", err)
	}
	second := bob.party
	second.Device = 3
	if _, err := b.Verify(second, bob.sign(), now); !errors.Is(err, ErrSignature) {
		t.Errorf("other device id: %v", err)
	}
	if _, err := b.Verify(bob.party, eve.sign(), now); !errors.Is(err, ErrSignature) {
		t.Errorf("other signing key: %v", err)
	}
	for name, bad := range map[string]x3dh.Party{"zero party": {}, "no device": {Account: bob.party.Account}} {
		if _, err := b.Verify(bad, bob.sign(), now); !errors.Is(err, ErrOwner) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Verify(bob.party, nil, now); !errors.Is(err, ErrOwner) {
		t.Error("no signing key accepted")
	}
	incomplete := bob.party
	incomplete.Identity = x3dh.PublicKey{}
	if _, err := b.Verify(incomplete, bob.sign(), now); !errors.Is(err, x3dh.ErrParty) {
		t.Errorf("no identity key: %v", err)
	}
	if _, err := (Bundle{}).Verify(bob.party, bob.sign(), now); err == nil {
		t.Error("zero bundle accepted")
	}
}

func TestR_PRE_06_Time(t *testing.T) {
	bob := newDevice("bob", 2)
	u, _ := bob.upload(1)
	bundles := [][]byte{
		AssembleBundle(u.Signed, u.LastResort, nil, nil),
		AssembleBundle(u.Signed, u.LastResort, nil, u.OneTimeKEM[0]),
	}
	for _, bundle := range bundles {
		for after, want := range map[time.Duration]error{
			0:                               nil,
			Lifetime:                        nil,
			Lifetime + Skew:                 nil,
			Lifetime + Skew + time.Second:   ErrExpired,
			10 * Lifetime:                   ErrExpired,
			-Skew:                           nil,
			-Skew - time.Second:             ErrLifetime,
			-365 * 24 * time.Hour:           ErrLifetime,
			-12 * time.Hour:                 nil,
			Lifetime - time.Second:          nil,
			Lifetime + 12*time.Hour:         nil,
			100 * 365 * 24 * time.Hour:      ErrExpired,
			Lifetime + Skew + time.Hour*100: ErrExpired,
		} {
			if _, err := bob.offer(bundle, now.Add(after)); !errors.Is(err, want) {
				t.Errorf("%v after its making: %v, want %v", after, err, want)
			}
		}
	}
	// A key signed for ever is refused, though the signature holds; one bad
	// key of two is enough.
	for _, notAfter := range []uint64{uint64(now.Add(Lifetime+Skew).Unix()) + 1, maxNotAfter} {
		r := row(t, u.LastResort)
		r.NotAfter = notAfter
		if _, err := bob.offer(AssembleBundle(u.Signed, nil, nil, forge(bob.signer, bob.owner(), r, KEMLastResort)), now); !errors.Is(err, ErrLifetime) {
			t.Errorf("not-after %d: %v", notAfter, err)
		}
	}
	r := row(t, u.LastResort)
	r.NotAfter = maxNotAfter + 1
	if _, err := ParseBundle(AssembleBundle(u.Signed, nil, nil, r.encode())); !errors.Is(err, ErrMalformed) {
		t.Errorf("beyond the year 9999: %v", err)
	}
	r.NotAfter = uint64(now.Add(-Skew).Unix()) - 1
	if _, err := bob.offer(AssembleBundle(u.Signed, nil, nil, forge(bob.signer, bob.owner(), r, KEMLastResort)), now); !errors.Is(err, ErrExpired) {
		t.Errorf("only the last-resort key has expired: %v", err)
	}
}

// Low-order and non-canonical points and unreduced KEM keys, validly signed
// and in every position.
func TestR_PRE_04_UnusableKeys(t *testing.T) {
	bob := newDevice("bob", 2)
	u, _ := bob.upload(1)
	points := map[string][]byte{
		"zero":             make([]byte, 32),
		"one":              append([]byte{1}, make([]byte, 31)...),
		"p-1":              append(append([]byte{0xec}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
		"p":                append(append([]byte{0xed}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
		"p+1":              append(append([]byte{0xee}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
		"top bit":          append(make([]byte, 31), 0x80),
		"nine, top bit":    append(append([]byte{9}, make([]byte, 30)...), 0x80),
		"all ones":         bytes.Repeat([]byte{0xff}, 32),
		"order 8":          {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
		"order 8, another": {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	}
	upload := func(w wireUpload) error {
		up, err := ParseUpload(codec.Marshal(w))
		if err != nil {
			t.Fatal(err)
		}
		return up.Verify(bob.owner(), bob.sign(), now)
	}
	for name, p := range points {
		r := row(t, u.Signed)
		r.Public = p
		b := forge(bob.signer, bob.owner(), r, Signed)
		if _, err := bob.offer(AssembleBundle(b, u.LastResort, nil, nil), now); !errors.Is(err, ErrKey) {
			t.Errorf("signed key %s: %v", name, err)
		}
		if err := upload(wireUpload{Signed: b, LastResort: u.LastResort}); !errors.Is(err, ErrKey) {
			t.Errorf("signed key %s in an upload: %v", name, err)
		}
		ec := ecRow{ID: 5, Public: p}.encode()
		if _, err := bob.offer(AssembleBundle(u.Signed, u.LastResort, ec, nil), now); !errors.Is(err, ErrKey) {
			t.Errorf("one-time key %s: %v", name, err)
		}
		if err := upload(wireUpload{Signed: u.Signed, LastResort: u.LastResort, OneTimeEC: [][]byte{ec}}); !errors.Is(err, ErrKey) {
			t.Errorf("one-time key %s in an upload: %v", name, err)
		}
	}
	for kind, b := range map[Kind][]byte{KEMOneTime: u.OneTimeKEM[0], KEMLastResort: u.LastResort} {
		r := row(t, b)
		r.Public[0], r.Public[1] = 0xff, 0xff // a coefficient of 4095
		b = forge(bob.signer, bob.owner(), r, kind)
		if _, err := bob.offer(AssembleBundle(u.Signed, nil, nil, b), now); !errors.Is(err, ErrKey) {
			t.Errorf("unreduced key of kind %d: %v", kind, err)
		}
		w := wireUpload{Signed: u.Signed, LastResort: u.LastResort, OneTimeKEM: [][]byte{b}}
		if kind == KEMLastResort {
			w = wireUpload{Signed: u.Signed, LastResort: b}
		}
		if err := upload(w); !errors.Is(err, ErrKey) {
			t.Errorf("unreduced key of kind %d in an upload: %v", kind, err)
		}
	}
}

func TestR_PRE_05_BundleForm(t *testing.T) {
	bob := newDevice("bob", 2)
	u, _ := bob.upload(1)
	good := AssembleBundle(u.Signed, u.LastResort, u.OneTimeEC[0], u.OneTimeKEM[0])
	if len(good) > MaxBundle {
		t.Fatalf("a bundle takes %d bytes", len(good))
	}
	for n := range good {
		if _, err := ParseBundle(good[:n]); err == nil {
			t.Fatalf("prefix of %d bytes accepted", n)
		}
	}
	if _, err := ParseBundle(append(bytes.Clone(good), 0)); !errors.Is(err, ErrMalformed) {
		t.Error("trailing byte accepted")
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		o, err := bob.offer(bad, now)
		// The one-time X25519 key is not signed: altered, it is another key.
		unsigned := bytes.LastIndex(good, u.OneTimeEC[0])
		if err == nil && i < unsigned {
			t.Errorf("byte %d altered: accepted with strength %v", i, o.Strength())
		}
	}
	for name, w := range map[string]wireBundle{
		"nothing":       {},
		"no KEM key":    {Signed: u.Signed},
		"no signed key": {KEM: u.LastResort},
		"two in one":    {Signed: append(bytes.Clone(u.Signed), u.Signed...), KEM: u.LastResort},
		"one-time id 0": {Signed: u.Signed, KEM: u.LastResort, EC: ecRow{ID: 0, Public: make([]byte, 32)}.encode()},
		"one-time short": {Signed: u.Signed, KEM: u.LastResort,
			EC: ecRow{ID: 1, Public: make([]byte, 31)}.encode()},
	} {
		if _, err := ParseBundle(codec.Marshal(w)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*signedRow){
		"id 0":            func(r *signedRow) { r.ID = 0 },
		"key short":       func(r *signedRow) { r.Public = r.Public[1:] },
		"signature short": func(r *signedRow) { r.Signature = r.Signature[1:] },
		"signature none":  func(r *signedRow) { r.Signature = nil },
	} {
		r := row(t, u.Signed)
		change(&r)
		if _, err := ParseBundle(AssembleBundle(r.encode(), u.LastResort, nil, nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := row(t, u.Signed)
	r.Kind = 9
	if _, err := ParseBundle(AssembleBundle(r.encode(), u.LastResort, nil, nil)); !errors.Is(err, ErrKind) {
		t.Errorf("kind 9: %v", err)
	}
}

func FuzzParseBundle(f *testing.F) {
	bob := newDevice("bob", 2)
	u, _ := bob.upload(1)
	f.Add(AssembleBundle(u.Signed, u.LastResort, u.OneTimeEC[0], u.OneTimeKEM[0]))
	f.Add(AssembleBundle(u.Signed, u.LastResort, nil, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseBundle(b)
		if err != nil {
			return
		}
		var ec []byte
		if p.ec.ID != 0 {
			ec = p.ec.encode()
		}
		if again := AssembleBundle(p.signed.encode(), nil, ec, p.kem.encode()); !bytes.Equal(again, b) {
			t.Errorf("%x parses but encodes to %x", b, again)
		}
		p.Verify(bob.party, bob.sign(), now)
	})
}
