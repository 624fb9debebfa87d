package x3dh

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strconv"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

func TestVectors(t *testing.T) {
	var vectors []vectorfile.Vector
	hx := func(b []byte) string { return hex.EncodeToString(b) }
	private := func(k PrivateKey) string { b := k.Export(); return hx(b[:]) }
	u64 := func(n uint64) string { return strconv.FormatUint(n, 16) }
	ek, m := seed("ek"), seed("m")
	common := func(w *world) vectorfile.Fields {
		ks := w.kem.Seed()
		f := vectorfile.Fields{
			"initiator_account":  hx(w.alice.Account),
			"initiator_address":  w.alice.Address,
			"initiator_device":   u64(w.alice.Device),
			"initiator_identity": private(w.alice.IdentityKey),
			"responder_account":  hx(w.bob.Account),
			"responder_address":  w.bob.Address,
			"responder_device":   u64(w.bob.Device),
			"responder_identity": private(w.bob.IdentityKey),
			"signed_id":          u64(spkID),
			"signed_private":     private(w.spk),
			"kem_id":             u64(kemID),
			"kem_kind":           u64(uint64(w.keys.KEMKind)),
			"kem_seed":           hx(ks[:]),
		}
		if w.keys.OneTime != nil {
			f["one_time_id"], f["one_time_private"] = u64(opkID), private(w.opk)
		}
		return f
	}
	for _, s := range strengths {
		w := newWorld(t, s)
		started := w.initiate(t)
		a, err := Respond(w.bob, w.alice.Party, started.Initial, &w.keys)
		if err != nil || a.Secret != started.Secret {
			t.Fatal(s, err)
		}
		f := common(w)
		f["ephemeral_private"], f["encapsulation_m"] = hx(ek[:]), hx(m[:])
		f["initial"], f["secret"], f["ad"], f["session_id"] = vectorfile.Object("handshake-initial", started.Initial), hx(started.Secret[:]), hx(started.AD[:]), hx(started.ID[:])
		f["strength"] = s.String()
		vectors = append(vectors, vectorfile.Positive(s.String(), f))
	}

	w := newWorld(t, OneTime)
	good := w.initiate(t).Initial
	altered := func(change func(*wireInitial)) []byte {
		x := decodeInitial(t, bytes.Clone(good))
		change(&x)
		return codec.Marshal(x)
	}
	lastResort := w.keys
	lastResort.KEMKind = KEMLastResort
	for _, c := range []struct {
		name, reason string
		initial      []byte
		keys         *Keys
		peer         Party
		want         error
	}{
		{"truncated", "x3dh.ErrMalformed", good[:len(good)-1], &w.keys, w.alice.Party, ErrMalformed},
		{"trailing byte", "x3dh.ErrMalformed", append(bytes.Clone(good), 0), &w.keys, w.alice.Party, ErrMalformed},
		{"id zero", "x3dh.ErrMalformed", altered(func(i *wireInitial) { i.SignedID = 0 }), &w.keys, w.alice.Party, ErrMalformed},
		{"unknown suite", "x3dh.ErrSuite", altered(func(i *wireInitial) { i.Suite = 2 }), &w.keys, w.alice.Party, ErrSuite},
		{"ephemeral key of low order", "x3dh.ErrPublicKey", altered(func(i *wireInitial) {
			i.Ephemeral = append([]byte{1}, make([]byte, 31)...)
		}), &w.keys, w.alice.Party, ErrPublicKey},
		{"identity key not canonical", "x3dh.ErrPublicKey", altered(func(i *wireInitial) {
			i.Identity[31] |= 0x80
		}), &w.keys, w.alice.Party, ErrPublicKey},
		{"identity key of another", "x3dh.ErrIdentity", altered(func(i *wireInitial) {
			i.Identity = w.bob.Identity.Bytes()
		}), &w.keys, w.alice.Party, ErrIdentity},
		{"last-resort key called one-time", "x3dh.ErrKeys", good, &lastResort, w.alice.Party, ErrKeys},
		{"peer is this device", "x3dh.ErrSelf", good, &w.keys, w.bob.Party, ErrSelf},
	} {
		if _, err := Respond(w.bob, c.peer, c.initial, c.keys); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		f := common(w)
		f["kem_kind"] = u64(uint64(c.keys.KEMKind))
		f["peer_account"], f["peer_device"] = hx(c.peer.Account), u64(c.peer.Device)
		f["initial"] = hx(c.initial)
		vectors = append(vectors, vectorfile.Negative(c.name, c.reason, f))
	}
	vectorfile.Check(t, "../spec/vectors/handshake.json", "handshake", vectors)
}
