package cli_test

import (
	"context"
	"crypto/ed25519"
	"slices"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/x3dh"
)

// Security is a report with something of everything in it.
func (f *fake) Security(_ context.Context, only string) (client.SecurityReport, error) {
	r := client.SecurityReport{
		At: noon, History: client.KeptHistory{Messages: 120, Oldest: noon.AddDate(0, -2, 0), Mortal: 7}, Outbox: 1, Sealed: 2,
		People: []client.ConversationExposure{
			{Conversation: "alice@localhost", Sessions: 1, Since: noon, ReadsTheirs: 1, Heals: client.HealsWithYours, MACHeld: 1},
			{
				Conversation: "bob@localhost", History: client.KeptHistory{Messages: 100, Oldest: noon.AddDate(0, -2, 0), Mortal: 7}, Sessions: 2, Since: noon,
				ReadsYours: 1, ReadsTheirs: 2, Skipped: 3, SkippedSince: noon, SkippedUntil: noon.AddDate(0, 0, 7), LastResort: 1,
				Heals: client.HealsWithReply, MACHeld: 2, MACOwed: 1, MACDisclosed: 4,
			},
		},
		Groups: []client.ConversationExposure{{
			Conversation: rosters()[0].ID, History: client.KeptHistory{Messages: 20, Oldest: noon}, Sessions: 3, Since: noon, ReadsYours: 1, ReadsTheirs: 3,
			Skipped: 1, SkippedSince: noon, SkippedUntil: noon.AddDate(0, 0, 7), Heals: client.HealsWithRekey, RekeyDue: noon.AddDate(0, 0, 3), MACDisclosed: 2,
		}},
		Prekeys: []client.PrekeyExposure{
			{Kind: "signed", Held: 2, Oldest: noon, Replaced: 1, Until: noon.AddDate(0, 0, 37)}, {Kind: "one_time", Held: 99, Oldest: noon},
			{Kind: "one_time_kem", Held: 98, Oldest: noon}, {Kind: "last_resort", Held: 2, Oldest: noon, Replaced: 1, Until: noon.AddDate(0, 0, 37), Answered: 1},
		},
	}
	if only != "" {
		other := func(x client.ConversationExposure) bool { return x.Conversation != only }
		r.People, r.Groups = slices.DeleteFunc(r.People, other), slices.DeleteFunc(r.Groups, other)
		r.History = client.KeptHistory{}
	}
	return r, f.fail["Security"]
}

// SecurityCopy is a copy without any keys, and a report of some: a drill opens
// nothing and must say so.
func (f *fake) SecurityCopy(ctx context.Context, only string) (client.SecurityCopy, error) {
	if err := f.fail["SecurityCopy"]; err != nil {
		return client.SecurityCopy{}, err
	}
	r, err := f.Security(ctx, only)
	_, identity := x3dh.GenerateKey()
	return client.SecurityCopy{
		Report: r, IdentityKey: make([]byte, 32), SigningKey: make([]byte, 32),
		Self: client.SecurityParty{Address: "alice@localhost", Device: 1, Account: make([]byte, ed25519.PublicKeySize), Identity: identity.Bytes()},
	}, err
}
