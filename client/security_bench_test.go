package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// BenchmarkSecurity counts what a device with 1 000 contacts holds: a session
// with 50 skipped keys and 20 messages each.
func BenchmarkSecurity(b *testing.B) {
	const people, messages, skipped = 1000, 20, 50
	store := memstore.New()
	w := newBench(b, server.Stores{Directory: store, Mailbox: store, Wake: store})
	api, _ := w.join("alice")
	defer api.Close()
	e := api.engine
	now := time.Now()
	state := talked(b, skipped, now)
	err := e.update(context.Background(), func(tx *vault.Tx) error {
		for i := range people {
			k := peerKey{fmt.Sprintf("person%d@bench.example", i), address.Device(i + 1)}
			s := session.Session{Rank: 1, Answered: true, Initiator: true, Strength: 1, Started: now, Heard: now, LastUsed: now, State: state}
			binary.BigEndian.PutUint64(s.ID[:], uint64(i))
			if err := storeChange(tx, k, session.Change{Write: []*session.Session{&s}, Skipped: []session.ID{s.ID}}); err != nil {
				return err
			}
			for range messages {
				id := content.NewID()
				m := messageRecord{ID: id[:], Conversation: k.address, From: k.address, To: "alice", Kind: string(KindText), Text: "a message of some forty characters or more", SentAt: now.UnixMilli(), Status: string(StatusReceived), order: e.nextOrder()}
				if err := putMessage(tx, &m); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		r, err := api.Security(context.Background(), "")
		if err != nil || len(r.People) != people || r.History.Messages != people*messages || r.People[7].Skipped != skipped {
			b.Fatalf("%d people, %d messages, %v", len(r.People), r.History.Messages, err)
		}
	}
}

// talked is a state from which some messages are missing.
func talked(b testing.TB, skipped int, now time.Time) ratchet.State {
	var secret [32]byte
	key, public := ratchet.GenerateKey()
	a, err := ratchet.Initiate(&secret, public)
	if err != nil {
		b.Fatal(err)
	}
	s := ratchet.Respond(&secret, key)
	for i := range skipped + 1 {
		x, err := a.Seal([]byte("text"), nil)
		if err != nil {
			b.Fatal(err)
		}
		if a = x.Next; i < skipped {
			continue
		}
		o, err := s.Open(x.Message, nil, now)
		if err != nil {
			b.Fatal(err)
		}
		s = o.Next
	}
	return s
}
