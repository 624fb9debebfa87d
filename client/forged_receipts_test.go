package client

import (
	"context"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// claim sends receipts as a program of the peer's own might: for any ids, in
// any number.
func claim(t *testing.T, from *Client, to peerKey, state content.ReceiptState, ids ...content.ID) {
	t.Helper()
	e := from.engine
	e.state.Lock()
	defer e.state.Unlock()
	w := &work{e: e, pairs: map[peerKey]session.Pair{}, people: map[string]*person{}}
	err := e.update(context.Background(), func(tx *vault.Tx) error {
		w.tx = tx
		_, err := w.acknowledge(to, state, ids, map[content.ID]bool{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	e.remember(w.pairs)
	wake(e.flushKick)
}

// TestR_CLT_19_ForgedReceipts: receipts for ids that do not exist, for what was
// sent to somebody else, for incoming messages and for what was not sealed yet
// change nothing, and none is answered.
func TestR_CLT_19_ForgedReceipts(t *testing.T) {
	m := memstore.New()
	srv, err := server.New(server.Config{Stores: server.Stores{Directory: m, Mailbox: m, Wake: m}, Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	defer func() { stop(); <-done }()
	invite, err := srv.Invite(ctx, server.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	join := func(name string) *Client {
		dir := t.TempDir()
		c, err := Register(ctx, Config{Home: dir + "/home", Unlock: Unlock{KeyFile: dir + "/key"}}, RegisterRequest{Name: name, Invite: invite})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.(*Client)
	}
	alice, bob, mallory := join("alice"), join("bob"), join("mallory")
	say := func(from *Client, to, text string) content.ID {
		got, err := from.Send(ctx, to, text, SendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id, _ := content.ParseID(got.ID)
		return id
	}
	toBob, toMallory := say(alice, "bob", "for bob"), say(alice, "mallory", "for mallory")
	if err := mallory.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	fromMallory := say(mallory, "alice", "from mallory")
	var ids []content.ID
	for range 1000 {
		ids = append(ids, content.NewID())
	}
	key := peerKey{alice.account.Address, alice.engine.self.device}
	claim(t, mallory, key, content.Read, append(ids, toBob, fromMallory)...)
	claim(t, mallory, key, content.Read, toMallory)
	status := func(id content.ID) Status {
		got, err := alice.Message(ctx, id.String())
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	for status(toMallory) != StatusRead { // the last of them has been taken
		news := alice.engine.watch()
		if status(toMallory) == StatusRead {
			break
		}
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatal("the receipts did not come")
		}
	}
	if s := status(toBob); s != StatusAccepted {
		t.Errorf("mallory made bob's message %s", s)
	}
	if s := status(fromMallory); s != StatusReceived {
		t.Errorf("an incoming message is %s", s)
	}
	// Late and repeated: nothing falls.
	claim(t, mallory, key, content.Delivered, toMallory)
	claim(t, mallory, key, content.Read, toMallory)
	after := say(mallory, "alice", "after that")
	if err := alice.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if status(after) != StatusReceived || status(toMallory) != StatusRead {
		t.Error("a late receipt changed a status")
	}
	if got, err := alice.Receive(ctx, "", 10); err != nil || len(got) != 2 {
		t.Errorf("alice was shown %d messages, %v", len(got), err)
	}
	bob.Close()
}

// TestR_CLT_19_Claims: the rule by itself, for every status and device.
func TestR_CLT_19_Claims(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	all := []Status{StatusSending, StatusFailed, StatusAccepted, StatusDelivered, StatusRead}
	for _, was := range all {
		for _, claim := range all[3:] {
			for _, sealed := range []int64{0, 1} {
				r := messageRecord{Outgoing: true, Status: string(was), SealedAt: sealed, Devices: []deviceState{
					{Device: 1, Status: string(was)}, {Device: 2, Status: string(was)},
				}}
				if r.claimed(address.Device(3), claim, now) || r.Status != string(was) {
					t.Error("a device that got nothing was believed")
				}
				believed := claim.rank() > was.rank() && (sealed != 0 || was.reached(StatusAccepted))
				if r.claimed(address.Device(1), claim, now) != believed {
					t.Errorf("%s, sealed %d: claim %s", was, sealed, claim)
				}
				want := was
				if believed {
					want = claim
				}
				if Status(r.Status) != want || Status(r.Devices[0].Status) != want || Status(r.Devices[1].Status) != was {
					t.Errorf("%s, sealed %d, claim %s: %+v", was, sealed, claim, r)
				}
				// The relay's late answer, or a failure here, lowers nothing.
				for _, late := range all[:3] {
					c := r
					c.Devices = append([]deviceState(nil), r.Devices...)
					c.addressed([]uint64{2})
					c.raiseAll(late)
					if !Status(c.Status).reached(want) {
						t.Errorf("%s became %s", want, c.Status)
					}
				}
			}
		}
	}
}
