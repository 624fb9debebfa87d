package conform

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/braid"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/linking"
	"github.com/pawl-chat/pawl/lab"
)

func identityErrors() map[string]error {
	return map[string]error{
		"ErrMalformed": devicelist.ErrMalformed, "ErrLimit": devicelist.ErrLimit, "ErrKey": devicelist.ErrKey, "ErrSignature": devicelist.ErrSignature, "ErrProof": devicelist.ErrProof,
		"ErrAccount": devicelist.ErrAccount, "ErrAddress": devicelist.ErrAddress, "ErrRollback": devicelist.ErrRollback, "ErrFork": devicelist.ErrFork,
		"ErrNotExtending": devicelist.ErrNotExtending, "ErrTime": devicelist.ErrTime,
	}
}

func identities(in *input) error {
	switch {
	case in.has("input"):
		a, err := address.Parse(in.text("input"))
		if err != nil {
			return err
		}
		return in.sameText("canonical", a.String())
	case in.has("account_a"):
		a, b := in.sized("account_a", ed25519.PublicKeySize), in.sized("account_b", ed25519.PublicKeySize)
		return errors.Join(in.sameText("number", devicelist.SafetyNumber(a, b)), in.sameText("qr_text", devicelist.QRText(a, b)), in.sameText("fingerprint_a", devicelist.Fingerprint(a)))
	case in.has("entry_1"):
		return history(in)
	}
	held, err := devicelist.Verify(in.bytes("held"))
	if err != nil {
		return fmt.Errorf("%w: the list held does not verify: %w", errDiffers, err)
	}
	_, err = devicelist.Extend(held, in.bytes("entry"))
	return err
}

func history(in *input) error {
	var entries [][]byte
	for i := 1; in.has("entry_" + strconv.Itoa(i)); i++ {
		n := strconv.Itoa(i)
		e := in.bytes("entry_" + n)
		entries = append(entries, e)
		l, err := devicelist.VerifyChain(entries)
		if err != nil {
			return fmt.Errorf("entry %s: %w", n, err)
		}
		account := ed25519.NewKeyFromSeed(in.sized("account_seed", ed25519.SeedSize)).Public().(ed25519.PublicKey)
		if !account.Equal(l.Account) {
			return fmt.Errorf("%w: entry %s is of another account", errDiffers, n)
		}
		h := devicelist.Hash(e)
		if err := errors.Join(in.same("hash_"+n, h[:]), in.sameText("address", l.Address.String())); err != nil {
			return err
		}
	}
	return nil
}

func contentErrors() map[string]error {
	return map[string]error{"ErrMalformed": content.ErrMalformed, "ErrTooLong": content.ErrTooLong, "ErrPadding": content.ErrPadding}
}

// contents decodes, and holds that what is accepted encodes to itself.
func contents(in *input) error {
	if in.has("envelope") {
		e, err := content.DecodeEnvelope(in.bytes("envelope"))
		if err != nil || !in.has("message") {
			return err
		}
		return errors.Join(in.same("envelope", e.Encode()), in.sameText("from", e.From.String()), in.same("message", e.Message), in.same("initial", e.Initial))
	}
	c, err := content.Decode(in.bytes("padded"))
	if err != nil {
		return err
	}
	if err := in.same("padded", c.Encode()); err != nil {
		return err
	}
	if in.has("body") {
		if err := in.same("body", c.Body); err != nil {
			return err
		}
	}
	if in.has("text") {
		return in.sameText("text", c.Text.Text)
	}
	return nil
}

func braidErrors() map[string]error {
	return map[string]error{"ErrMalformed": braid.ErrMalformed, "ErrEpoch": braid.ErrEpoch, "ErrRolledBack": braid.ErrRolledBack, "ErrExhausted": braid.ErrExhausted}
}

func braids(in *input) error {
	switch {
	case in.has("record"):
		b, wrap := in.wrapped("record")
		s, err := braid.ParseRecord(b)
		if err != nil {
			return err
		}
		return in.same("record", wrap(s.AppendRecord(nil)))
	case in.has("piece") && in.has("state"):
		s, err := braid.ParseRecord(in.bytes("state"))
		if err != nil {
			return fmt.Errorf("%w: the state does not parse: %w", errDiffers, err)
		}
		_, err = s.Receive(in.bytes("piece"))
		return err
	}
	return unchecked("its steps draw randomness inside package braid")
}

func linkErrors() map[string]error {
	return map[string]error{"ErrURI": linking.ErrURI}
}

func links(in *input) error {
	if !in.has("uri") || in.has("offer") {
		return unchecked("the channel draws its keys inside package linking")
	}
	l, err := linking.ParseURI(in.text("uri"))
	if err != nil {
		return err
	}
	id := l.ID()
	return errors.Join(in.sameText("uri", l.URI()), in.sameText("code", l.Code()), in.same("meeting", id[:]), in.same("secret", l.Secret[:]))
}

func labErrors() map[string]error {
	return map[string]error{"ErrTrace": lab.ErrTrace, "ErrJudgement": lab.ErrJudgement}
}

func traces(in *input) error {
	if !in.has("trace") {
		return unchecked("a single item of a trace says nothing by itself")
	}
	b, err := hex.DecodeString(in.text("trace"))
	if err != nil {
		in.fail("trace", "is not hexadecimal")
		return nil
	}
	_, err = lab.Replay(context.Background(), bytes.NewReader(b))
	return err
}
