package conform

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/kem"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

func areas() map[string]area {
	return map[string]area{
		"ratchet": {ratchets, map[string]error{
			"ErrMalformed": ratchet.ErrMalformed, "ErrUnknownChain": ratchet.ErrUnknownChain, "ErrForged": ratchet.ErrForged, "ErrDuplicate": ratchet.ErrDuplicate,
			"ErrTooOld": ratchet.ErrTooOld, "ErrTooFarAhead": ratchet.ErrTooFarAhead, "ErrRolledBack": ratchet.ErrRolledBack, "ErrBadKey": ratchet.ErrBadKey, "ErrWaiting": ratchet.ErrWaiting,
			"ErrEpoch": ratchet.ErrEpoch, "ErrOldRecord": ratchet.ErrOldRecord,
		}},
		"handshake": {handshakes, map[string]error{
			"ErrMalformed": x3dh.ErrMalformed, "ErrSuite": x3dh.ErrSuite, "ErrPublicKey": x3dh.ErrPublicKey, "ErrIdentity": x3dh.ErrIdentity, "ErrKeys": x3dh.ErrKeys, "ErrSelf": x3dh.ErrSelf,
		}},
		"prekeys": {prekeyVectors, map[string]error{
			"ErrMalformed": prekeys.ErrMalformed, "ErrKind": prekeys.ErrKind, "ErrSignature": prekeys.ErrSignature, "ErrKey": prekeys.ErrKey, "ErrLifetime": prekeys.ErrLifetime, "ErrExpired": prekeys.ErrExpired,
		}},
		"session":  {sessions, map[string]error{"ErrRecord": session.ErrRecord}},
		"identity": {identities, identityErrors()},
		"content":  {contents, contentErrors()},
		"groups":   {groupVectors, groupErrors()},
		"braid":    {braids, braidErrors()},
		"linking":  {links, linkErrors()},
		"lab":      {traces, labErrors()},
	}
}

// ratchets does what a ratchet vector says.
func ratchets(in *input) error {
	switch f := in.text("function"); f {
	case "conversation":
		return conversation(in)
	case "open":
		s, err := ratchet.ParseRecord(in.bytes("state"))
		if err != nil {
			return fmt.Errorf("%w: the state does not parse: %w", errDiffers, err)
		}
		_, err = s.Open(in.bytes("message"), in.maybe("ad"), time.Unix(int64(in.optional("now")), 0))
		return err
	case "seal":
		s, err := ratchet.ParseRecord(in.bytes("state"))
		if err != nil {
			return fmt.Errorf("%w: the state does not parse: %w", errDiffers, err)
		}
		_, err = s.Seal(nil, in.maybe("ad"))
		return err
	case "record":
		_, err := ratchet.ParseRecord(in.bytes("state"))
		return err
	case "initiate":
		_, err := ratchet.ParsePublicKey(in.bytes("public"))
		if err != nil {
			err = ratchet.ErrBadKey
		}
		return err
	case "forge":
		forged, err := ratchet.Forge(in.key("seed"), uint32(in.optional("number")), in.bytes("message"), in.maybe("ad"), in.bytes("xor"))
		if err == nil && in.has("forged") {
			err = in.same("forged", forged)
		}
		return err
	default:
		return unchecked("the function " + f + " is inside the ratchet; conversations rest on it")
	}
}

// conversation plays what can be played without the randomness of the sides:
// every message is opened from the record before it, and every record read. What
// was sealed is checked when the other side opens it.
func conversation(in *input) error {
	secret := in.key("secret")
	bob := ratchet.Respond(&secret, dh.FromBytes(in.key("responder_key")))
	if err := in.same("responder", bob.AppendRecord(nil)); err != nil {
		return err
	}
	records := map[string][]byte{"initiator": in.bytes("initiator"), "responder": in.bytes("responder")}
	for i, st := range in.each("steps") {
		err := step(st, records)
		if st.bad != "" {
			in.fail("steps", fmt.Sprintf("step %d: %s", i+1, st.bad))
			return nil
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func step(st *input, records map[string][]byte) error {
	by := st.text("by")
	before, err := ratchet.ParseRecord(records[by])
	if err != nil {
		return fmt.Errorf("%w: the state before does not parse: %w", errDiffers, err)
	}
	var next ratchet.State
	switch do := st.text("do"); do {
	case "open":
		o, err := before.Open(st.bytes("message"), st.maybe("ad"), st.time("now"))
		if err != nil {
			return err
		}
		if string(o.Plaintext) != string(st.maybe("plaintext")) || o.At.Chain != st.optional("chain") || uint64(o.At.Number) != st.optional("number") {
			return fmt.Errorf("%w: it opens as %x at %d, %d", errDiffers, o.Plaintext, o.At.Chain, o.At.Number)
		}
		next = o.Next
	case "expire":
		next, _ = before.Expire(st.time("now"))
	case "seal", "farewell":
		if _, err := ratchet.ParseMessage(st.bytes("message")); err != nil {
			return err
		}
		if !st.has("state") {
			return nil
		}
		if next, err = ratchet.ParseRecord(st.bytes("state")); err != nil {
			return err
		}
	default:
		return unchecked("a step that pawl's code does not have: " + do)
	}
	records[by] = next.AppendRecord(nil)
	return st.same("state", records[by])
}

// handshakes answers the first message of a vector.
func handshakes(in *input) error {
	side := func(who string) (x3dh.Own, x3dh.Party) {
		k := dh.FromBytes(in.key(who + "_identity"))
		p := x3dh.Party{Account: in.sized(who+"_account", ed25519.PublicKeySize), Address: in.text(who + "_address"), Device: in.number(who+"_device", 16), Identity: k.Public()}
		return x3dh.Own{Party: p, IdentityKey: k}, p
	}
	own, self := side("responder")
	_, peer := side("initiator")
	if in.has("peer_account") && in.has("peer_device") {
		if account, device := in.sized("peer_account", ed25519.PublicKeySize), in.number("peer_device", 16); device == self.Device && string(account) == string(self.Account) {
			peer = self
		}
	}
	keys := x3dh.Keys{
		SignedPrekey: dh.FromBytes(in.key("signed_private")), KEM: kem.FromSeed([kem.SeedSize]byte(in.sized("kem_seed", kem.SeedSize))), KEMKind: x3dh.KEMKind(in.number("kem_kind", 16)),
	}
	if in.has("one_time_private") {
		k := dh.FromBytes(in.key("one_time_private"))
		keys.OneTime = &k
	}
	initial := in.bytes("initial")
	if in.bad != "" {
		return nil
	}
	a, err := x3dh.Respond(&own, peer, initial, &keys)
	if err != nil || !in.has("secret") {
		return err
	}
	i, err := x3dh.ParseInitial(initial)
	if err != nil {
		return err
	}
	ephemeral := dh.FromBytes(in.key("ephemeral_private"))
	if ephemeral.Public() != i.Ephemeral || i.SignedID != in.number("signed_id", 16) || i.KEMID != in.number("kem_id", 16) {
		return fmt.Errorf("%w: the first message names other keys", errDiffers)
	}
	return errors.Join(in.same("secret", a.Secret[:]), in.same("ad", a.AD[:]), in.same("session_id", i.ID[:]), in.sameText("strength", i.Strength().String()))
}

func prekeyVectors(in *input) error {
	if in.has("record") {
		b := in.bytes("record")
		p, err := prekeys.ParsePrivate(b)
		if err != nil {
			return err
		}
		return in.same("record", p.Record())
	}
	account, device, sign, now := in.sized("account", ed25519.PublicKeySize), in.number("device", 16), in.sized("sign_public", ed25519.PublicKeySize), in.time("now")
	if in.has("upload") {
		u, err := prekeys.ParseUpload(in.bytes("upload"))
		if err != nil {
			return err
		}
		digest := u.Digest()
		return errors.Join(u.Verify(prekeys.Owner{Account: account, Device: device}, sign, now), in.same("digest", digest[:]))
	}
	b, err := prekeys.ParseBundle(in.bytes("bundle"))
	if err != nil {
		return err
	}
	// What a bundle is verified against is the account, the device and its key;
	// address and identity key only name the peer in the offer.
	identity := dh.FromBytes([32]byte{1})
	offer, err := b.Verify(x3dh.Party{Account: account, Address: "somebody@example.org", Device: device, Identity: identity.Public()}, sign, now)
	if err != nil {
		return err
	}
	return in.sameText("strength", offer.Strength().String())
}

func sessions(in *input) error {
	if !in.has("record") {
		return unchecked("which of two sessions is used is decided inside; a conversation shows it")
	}
	s, err := session.Parse(in.bytes("record"), in.bytes("skipped"))
	if err != nil {
		return err
	}
	return errors.Join(in.same("record", s.Head()), in.same("skipped", s.Skipped()))
}
