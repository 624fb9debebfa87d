package ratchet_test

import (
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
)

func Example() {
	// Both sides hold a secret that a handshake gave them, and the initiator
	// knows a public key of the responder's.
	secret := [32]byte{1, 2, 3}
	private, public := ratchet.GenerateKey()
	ad := []byte("identities of both sides")

	alice, err := ratchet.Initiate(&secret, public)
	if err != nil {
		panic(err)
	}
	bob := ratchet.Respond(&secret, private)

	sealed, err := alice.Seal([]byte("hello"), ad)
	if err != nil {
		panic(err)
	}
	alice = sealed.Next // store it, then let sealed.Message leave

	opened, err := bob.Open(sealed.Message, ad, time.Now())
	if err != nil {
		panic(err)
	}
	bob = opened.Next // store it together with the plaintext
	fmt.Printf("%s\n", opened.Plaintext)

	_, err = bob.Open(sealed.Message, ad, time.Now())
	fmt.Println(err)
	// Output:
	// hello
	// ratchet: message was opened before
}

// A third party rewrites a message of a finished chain with what it saw on the
// wire: the message itself and, in a later one, the disclosed MAC seed.
func ExampleForge() {
	secret := [32]byte{1, 2, 3}
	private, public := ratchet.GenerateKey()
	ad := []byte("identities of both sides")
	alice, _ := ratchet.Initiate(&secret, public)
	bob := ratchet.Respond(&secret, private)

	exchange := func(from, to *ratchet.State, text string) []byte {
		sealed, err := from.Seal([]byte(text), ad)
		if err != nil {
			panic(err)
		}
		opened, err := to.Open(sealed.Message, ad, time.Now())
		if err != nil {
			panic(err)
		}
		*from, *to = sealed.Next, opened.Next
		return sealed.Message
	}
	seen := exchange(&alice, &bob, "meet at noon") // chain 1
	exchange(&bob, &alice, "yes")                  // chain 2
	exchange(&alice, &bob, "good")                 // chain 3: chain 1 is closed
	last := exchange(&bob, &alice, "bye")          // discloses chain 1

	wire, err := ratchet.ParseMessage(last)
	if err != nil {
		panic(err)
	}
	seed := wire.Disclosed[0]
	fmt.Println(ratchet.VerifyDisclosed(seed, 0, seen, ad))

	flip := make([]byte, len("meet at noon"))
	for i := range flip {
		flip[i] = "meet at noon"[i] ^ "meet at nine"[i]
	}
	forged, err := ratchet.Forge(seed, 0, seen, ad, flip)
	if err != nil {
		panic(err)
	}
	fmt.Println(ratchet.VerifyDisclosed(seed, 0, forged, ad))
	// Output:
	// true
	// true
}
