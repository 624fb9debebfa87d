package groups_test

import (
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/groups"
)

// Alice makes a group with Bob and writes to it.
func Example() {
	now := time.Unix(1_800_000_000, 0)
	alice := groups.Sender{Address: "alice@example.org", Device: 1, Identity: [32]byte{1}}
	people := []groups.Member{
		{Address: "alice@example.org", Account: [32]byte{11}, Role: groups.Admin},
		{Address: "bob@example.org", Account: [32]byte{12}, Role: groups.RoleMember},
	}

	// Alice's device: a group, the secret of its first epoch, a chain of her own.
	g, secret := groups.NewID(), groups.NewSecret()
	chain, err := groups.NewSending(g, 1, alice, now, groups.Before{})
	if err != nil {
		panic(err)
	}
	created, err := groups.Propose(groups.Roster{Group: g}, secret, chain, groups.Author{Address: alice.Address, Device: alice.Device},
		groups.Change{Kind: groups.Create, Name: "walks", Members: people}, nil, now)
	if err != nil {
		panic(err)
	}

	// Bob's device is welcomed over its pairwise session, which says who sends.
	key := chain.Key()
	welcome := groups.Signal{Group: g, Key: &groups.Key{
		Seq: 1, Head: created.Head, Epoch: 1, Secret: secret, Roster: created.Roster.Encode(), Chain: &key,
	}}
	signal, err := groups.ParseSignal(welcome.Encode())
	if err != nil {
		panic(err)
	}
	roster, err := groups.ParseRoster(signal.Key.Roster)
	if err != nil || !roster.Holds(signal.Key.Secret) {
		panic(err)
	}
	receiving, err := groups.Accept(*signal.Key.Chain, alice)
	if err != nil {
		panic(err)
	}

	// One message for everybody.
	sealed, err := chain.Seal(created.Roster.Seq, created.Roster.Head, []byte("Sunday at ten?"))
	if err != nil {
		panic(err)
	}
	opened, err := receiving.Open(sealed.Message, now)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s: %s\n", roster.Name, opened.Plaintext)
	fmt.Println("same roster:", opened.Head == roster.Head)
	// Output:
	// walks: Sunday at ten?
	// same roster: true
}
