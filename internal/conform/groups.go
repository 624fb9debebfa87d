package conform

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
)

func groupErrors() map[string]error {
	return map[string]error{
		"ErrMalformed": groups.ErrMalformed, "ErrUnknownChain": groups.ErrUnknownChain, "ErrForged": groups.ErrForged, "ErrDuplicate": groups.ErrDuplicate, "ErrTooOld": groups.ErrTooOld,
		"ErrTooFarAhead": groups.ErrTooFarAhead, "ErrClosed": groups.ErrClosed, "ErrNotAllowed": groups.ErrNotAllowed, "ErrState": groups.ErrState, "ErrInvite": groups.ErrInvite,
	}
}

// groupVectors does what a group vector says.
func groupVectors(in *input) error {
	switch f := in.text("function"); f {
	case "open":
		return heard(in)
	case "accept":
		_, err := groups.Accept(chainKey(in), sender(in))
		return err
	case "chain":
		k := chainKey(in)
		c, err := groups.ParseSending(in.bytes("record"))
		if err != nil {
			return err
		}
		if c.Key() != k || c.ID() != groups.ChainIDOf(k.Group, k.Epoch, sender(in), k.Verify) {
			return fmt.Errorf("%w: the record is of another chain", errDiffers)
		}
		seed := c.Seed()
		return errors.Join(in.same("record", c.AppendRecord(nil)), in.same("seed", seed[:]), in.same("chain_key", k.Key[:]))
	case "seal":
		k := chainKey(in)
		r, err := groups.Accept(k, sender(in))
		if err != nil {
			return err
		}
		o, err := r.Open(in.bytes("message"), time.Unix(k.Created, 0))
		if err != nil {
			return err
		}
		w, err := groups.ParseMessage(in.bytes("message"))
		if err != nil {
			return err
		}
		if uint64(w.Index) != in.optional("index") || w.Seq != in.number("seq", 10) {
			return fmt.Errorf("%w: it stands at %d, upon entry %d", errDiffers, w.Index, w.Seq)
		}
		return errors.Join(in.same("plaintext", o.Plaintext), in.same("head", w.Head[:]))
	case "forge":
		m, err := groups.Forge(in.key("seed"), chainKey(in), sender(in), uint32(in.optional("index")), in.number("seq", 10), groups.Head(in.key("head")), in.bytes("plaintext"))
		if err != nil {
			return err
		}
		return in.same("message", m)
	case "secret":
		s, g, epoch := groups.Secret(in.key("secret")), groups.ID(in.sized("group", len(groups.ID{}))), in.number("epoch", 10)
		token, commitment := s.Token(g, epoch), s.Commitment(g, epoch)
		return errors.Join(in.same("token", token[:]), in.same("commitment", commitment[:]))
	case "entry":
		return entry(in)
	case "signal":
		s, err := groups.ParseSignal(in.bytes("signal"))
		if err != nil {
			return err
		}
		return in.same("signal", s.Encode())
	case "invite":
		i, err := groups.ParseInvite(in.text("link"))
		if err != nil {
			return err
		}
		return errors.Join(in.sameText("link", i.String()), in.sameText("host", i.Host), in.sameText("by", i.By), in.sameText("group", i.Group.String()), in.same("token", i.Token[:]))
	default:
		return unchecked("the function " + f + " is inside package groups; entries rest on it")
	}
}

func sender(in *input) groups.Sender {
	s := in.object("sender")
	out := groups.Sender{Address: s.text("address"), Device: s.number("device", 10), Identity: s.key("identity")}
	if s.bad != "" {
		in.fail("sender", s.bad)
	}
	return out
}

// chainKey is a chain as it is handed out.
func chainKey(in *input) groups.ChainKey {
	k := in.object("key_at_start")
	out := groups.ChainKey{
		Group: groups.ID(k.sized("group", len(groups.ID{}))), Epoch: k.number("epoch", 10), Chain: groups.ChainID(k.sized("chain", len(groups.ChainID{}))),
		Index: uint32(k.number("index", 10)), Key: k.key("key"), Verify: k.key("verify"), Created: int64(k.number("created", 10)),
		Before: groups.Before{Chain: groups.ChainID(k.sized("before", len(groups.ChainID{}))), Count: uint32(k.number("before_count", 10))},
	}
	if k.bad != "" {
		in.fail("key_at_start", k.bad)
	}
	return out
}

// heard opens messages from a record: one that is refused, or several with the
// records after each.
func heard(in *input) error {
	r, err := groups.ParseReceiving(in.bytes("record"))
	if err != nil {
		return fmt.Errorf("%w: the record does not parse: %w", errDiffers, err)
	}
	now := in.time("now")
	if in.has("message") {
		_, err := r.Open(in.bytes("message"), now)
		return err
	}
	messages, records := in.list("messages"), in.list("records")
	if len(messages) != len(records) {
		in.fail("records", "are not one for each message")
		return nil
	}
	for i, m := range messages {
		o, err := r.Open(m, now)
		if err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
		r = o.Next
		if got := r.AppendRecord(nil); !slices.Equal(got, records[i]) {
			return fmt.Errorf("%w: the record after message %d is %s", errDiffers, i+1, hex.EncodeToString(got))
		}
	}
	return nil
}

// entry reads an entry of a log and applies it to the roster before.
func entry(in *input) error {
	g := groups.ID(in.sized("group", len(groups.ID{})))
	r := groups.Roster{Group: g}
	if before := in.bytes("before"); len(before) > 0 {
		var err error
		if r, err = groups.ParseRoster(before); err != nil {
			return fmt.Errorf("%w: the roster before does not parse: %w", errDiffers, err)
		}
	}
	e, err := groups.Read(g, in.number("seq", 10), groups.Head(in.key("prev")), groups.Secret(in.key("secret")), in.number("epoch", 10), in.bytes("blob"))
	if err != nil {
		return err
	}
	var verify [32]byte
	if in.has("verify") {
		verify = in.key("verify")
	} else {
		seed := in.key("seed")
		copy(verify[:], ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
	}
	next, err := r.Apply(e, verify, sender(in))
	if err != nil || !in.has("roster") {
		return err
	}
	return errors.Join(in.same("head", next.Head[:]), in.same("roster", next.Encode()))
}
