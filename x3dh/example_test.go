package x3dh_test

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

// Alice starts a session with Bob, who is away, from the bundle that Bob's
// device left at the server.
func Example() {
	now := time.Now()
	alice, _ := newDevice("alice@example.org", 1)
	bob, bobSigner := newDevice("bob@example.org", 2)
	upload, private := prekeys.Generate(now, prekeys.OwnerOf(bob.Party), bobSigner)
	bundle := prekeys.AssembleBundle(upload.Signed, upload.LastResort, upload.OneTimeEC[0], upload.OneTimeKEM[0])

	// Alice verifies the bundle and sends started.Initial with her first
	// message.
	parsed, err := prekeys.ParseBundle(bundle)
	if err != nil {
		fmt.Println(err)
		return
	}
	offer, err := parsed.Verify(bob.Party, bobSigner.Public().(ed25519.PublicKey), now)
	if err != nil {
		fmt.Println(err)
		return
	}
	started, err := x3dh.Initiate(alice, &offer)
	if err != nil {
		fmt.Println(err)
		return
	}

	// Bob looks up the private halves that the message names.
	initial, err := x3dh.ParseInitial(started.Initial)
	if err != nil {
		fmt.Println(err)
		return
	}
	find := func(id uint64) *prekeys.Private {
		for i := range private {
			if private[i].Info().ID == id {
				return &private[i]
			}
		}
		return nil
	}
	keys, err := prekeys.Keys(find(initial.SignedID), find(initial.OneTimeID), find(initial.KEMID))
	if err != nil {
		fmt.Println(err)
		return
	}
	accepted, err := initial.Respond(bob, alice.Party, &keys)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(accepted.Secret == started.Secret, accepted.AD == started.AD, accepted.ID == started.ID)
	fmt.Println(accepted.Strength, accepted.Strength.Reusable())
	// Output:
	// true true true
	// one-time false
}

func newDevice(addr string, id uint64) (*x3dh.Own, ed25519.PrivateKey) {
	account, _, _ := ed25519.GenerateKey(nil)
	_, signer, _ := ed25519.GenerateKey(nil)
	identity, public := x3dh.GenerateKey()
	return &x3dh.Own{
		Party:       x3dh.Party{Account: account, Address: addr, Device: id, Identity: public},
		IdentityKey: identity,
	}, signer
}
