package proof_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/proof"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

func TestVectors(t *testing.T) {
	a := newAccount(t, 1, "alice@example.org")
	whole := a.proof(began.Add(time.Hour))
	whole.Subject, whole.ReplyTo, whole.Mentions = "debts", append(make([]byte, 15), 7), []string{"bob12@example.org"}
	whole.Signature = whole.Sign(a.devices[0])
	var vectors []vectorfile.Vector
	const head = len("pawl proof\n")
	for name, p := range map[string]*proof.Proof{"of a text": a.proof(began.Add(time.Hour)), "of every field": whole} {
		if _, err := p.Verify(); err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, vectorfile.Positive(name, vectorfile.Fields{
			"file_head": "pawl proof\n", "proof": vectorfile.Object("proof", p.Encode()[head:]), "device_key": hex.EncodeToString(a.list.Devices[0].Sign),
		}))
	}
	if vectors[0].Name != "of a text" { // maps have no order
		vectors[0], vectors[1] = vectors[1], vectors[0]
	}
	changed := *a.proof(began.Add(time.Hour))
	changed.Text = "I owe you one."
	a.revoke(t, began.Add(time.Hour))
	for _, n := range []struct {
		name, reason string
		want         error
		p            *proof.Proof
	}{
		{"another text", "ErrSignature", proof.ErrSignature, &changed}, {"revoked at that time", "ErrRevoked", proof.ErrRevoked, a.proof(began.Add(time.Hour))},
	} {
		if _, err := n.p.Verify(); !errors.Is(err, n.want) {
			t.Errorf("%s: %v", n.name, err)
		}
		vectors = append(vectors, vectorfile.Negative(n.name, n.reason, vectorfile.Fields{"proof": vectorfile.Object("proof", n.p.Encode()[head:])}))
	}
	vectorfile.Check(t, "../../spec/vectors/proof.json", "proof", vectors)
}
