package prekeys_test

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

// A device makes prekeys, a server splits the upload and assembles a bundle,
// and somebody else verifies the bundle.
func Example() {
	now := time.Now()
	account, _, _ := ed25519.GenerateKey(nil)
	sign, signer, _ := ed25519.GenerateKey(nil)
	_, identity := x3dh.GenerateKey()
	bob := x3dh.Party{Account: account, Address: "bob@example.org", Device: 7, Identity: identity}

	// Bob's device.
	upload, private := prekeys.Generate(now, prekeys.OwnerOf(bob), signer)
	fmt.Println(len(private), "private halves kept, one row each")

	// The server, which knows Bob's device by its login.
	received, err := prekeys.ParseUpload(upload.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := received.Verify(prekeys.OwnerOf(bob), sign, now); err != nil {
		fmt.Println(err)
		return
	}
	bundle := prekeys.AssembleBundle(received.Signed, received.LastResort, received.OneTimeEC[0], received.OneTimeKEM[0])

	// Alice, who knows Bob's device by his device list.
	b, err := prekeys.ParseBundle(bundle)
	if err != nil {
		fmt.Println(err)
		return
	}
	offer, err := b.Verify(bob, sign, now)
	fmt.Println(offer.Strength(), err)
	// Output:
	// 202 private halves kept, one row each
	// one-time <nil>
}
