package prekeys

import (
	"encoding/hex"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/vectorfile"
)

func TestVectors(t *testing.T) {
	bob, eve := newDevice("bob", 2), newDevice("eve", 3)
	u, all := bob.upload(1)
	hx := func(b []byte) string { return hex.EncodeToString(b) }
	fields := func(at time.Time, extra vectorfile.Fields) vectorfile.Fields {
		f := vectorfile.Fields{
			"account": hx(bob.party.Account), "device": strconv.FormatUint(bob.party.Device, 16),
			"sign_public": hx(bob.sign()), "now": strconv.FormatInt(at.Unix(), 10),
		}
		for k, v := range extra {
			f[k] = v
		}
		return f
	}
	d := u.Digest()
	signSeed := hx(bob.signer.Seed())
	vectors := []vectorfile.Vector{vectorfile.Positive("upload", fields(now, vectorfile.Fields{
		"sign_seed": signSeed, "upload": vectorfile.Object("prekeys-upload", u.Bytes()), "digest": hx(d[:]),
	}))}
	p, err := ParseUpload(u.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(bob.owner(), bob.sign(), now); err != nil {
		t.Fatal(err)
	}
	names := map[Kind]string{Signed: "record, signed", KEMOneTime: "record, one-time ML-KEM", KEMLastResort: "record, last-resort", OneTimeEC: "record, one-time X25519"}
	for i := range all {
		if _, err := ParsePrivate(all[i].Record()); err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, vectorfile.Positive(names[all[i].kind], vectorfile.Fields{"record": hx(all[i].Record())}))
	}
	for _, c := range []struct {
		name    string
		ec, kem []byte
	}{
		{"bundle, one-time", u.OneTimeEC[0], u.OneTimeKEM[0]},
		{"bundle, one-time-kem", nil, u.OneTimeKEM[0]},
		{"bundle, one-time-ec", u.OneTimeEC[0], nil},
		{"bundle, last-resort", nil, nil},
	} {
		b := AssembleBundle(u.Signed, u.LastResort, c.ec, c.kem)
		o, err := bob.offer(b, now)
		if err != nil {
			t.Fatal(c.name, err)
		}
		vectors = append(vectors, vectorfile.Positive(c.name, fields(now, vectorfile.Fields{"bundle": vectorfile.Object("prekeys-bundle", b), "strength": o.Strength().String()})))
	}

	good := AssembleBundle(u.Signed, u.LastResort, nil, nil)
	relabelled := row(t, u.LastResort)
	relabelled.Kind = uint64(KEMOneTime)
	low := row(t, u.Signed)
	low.Public = make([]byte, 32)
	forEver := row(t, u.Signed)
	forEver.NotAfter = maxNotAfter
	for _, c := range []struct {
		name, reason string
		bundle       []byte
		at           time.Time
		want         error
	}{
		{"truncated", "prekeys.ErrMalformed", good[:len(good)-1], now, ErrMalformed},
		{"one-time ML-KEM key as the signed key", "prekeys.ErrKind", AssembleBundle(u.OneTimeKEM[0], u.LastResort, nil, nil), now, ErrKind},
		{"last-resort key relabelled one-time", "prekeys.ErrSignature", AssembleBundle(u.Signed, nil, nil, relabelled.encode()), now, ErrSignature},
		{"signed for another account", "prekeys.ErrSignature", AssembleBundle(forge(bob.signer, Owner{eve.party.Account, 2}, row(t, u.Signed), Signed), u.LastResort, nil, nil), now, ErrSignature},
		{"signed for another device", "prekeys.ErrSignature", AssembleBundle(forge(bob.signer, Owner{bob.party.Account, 3}, row(t, u.Signed), Signed), u.LastResort, nil, nil), now, ErrSignature},
		{"signed by another", "prekeys.ErrSignature", AssembleBundle(forge(eve.signer, bob.owner(), row(t, u.Signed), Signed), u.LastResort, nil, nil), now, ErrSignature},
		{"signed key of low order", "prekeys.ErrKey", AssembleBundle(forge(bob.signer, bob.owner(), low, Signed), u.LastResort, nil, nil), now, ErrKey},
		{"good for ever", "prekeys.ErrLifetime", AssembleBundle(forge(bob.signer, bob.owner(), forEver, Signed), u.LastResort, nil, nil), now, ErrLifetime},
		{"expired", "prekeys.ErrExpired", good, now.Add(Lifetime + Skew + time.Second), ErrExpired},
	} {
		if _, err := bob.offer(c.bundle, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		vectors = append(vectors, vectorfile.Negative(c.name, c.reason, fields(c.at, vectorfile.Fields{"bundle": hx(c.bundle)})))
	}
	vectorfile.Check(t, "../spec/vectors/prekeys.json", "prekeys", vectors)
}
