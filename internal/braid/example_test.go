package braid_test

import (
	"crypto/rand"
	"fmt"

	"github.com/pawl-chat/pawl/internal/braid"
)

// Two sides write to each other in turn. Each message has room for 171 bytes,
// about what a short text leaves of the smallest padded message.
func Example() {
	secret := [32]byte{} // of the session; here for the sake of an example
	states := [2]braid.State{braid.Start(&secret, braid.Initiator), braid.Start(&secret, braid.Responder)}
	var keys [2][32]byte

	messages := 0
	for states[0].Epoch() == 1 || states[1].Epoch() == 1 {
		from, to := messages%2, 1-messages%2
		var random [braid.RandomLen]byte
		rand.Read(random[:])
		sent := states[from].Send(171, &random)
		states[from] = sent.Next // make this durable, then let the message go
		if sent.Secret.Epoch == 1 {
			keys[from] = sent.Secret.Key
		}

		received, err := states[to].Receive(sent.Piece) // once the message is authentic
		if err != nil {
			fmt.Println(err)
			return
		}
		states[to] = received.Next
		if received.Secret.Epoch == 1 {
			keys[to] = received.Secret.Key
		}
		messages++
	}
	fmt.Println(messages, "messages;", "the same secret on both sides:", keys[0] == keys[1] && keys[0] != [32]byte{})
	// Output: 17 messages; the same secret on both sides: true
}
