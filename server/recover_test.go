package server_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/server"
)

// comeback drafts a new device for p's account and its prekeys.
func (p *person) comeback(revoke bool) (relay.RecoverRequest, address.Device, ed25519.PrivateKey) {
	sign, id := key(p.w.t), address.NewDevice()
	next := p.list.Next(time.Now())
	if revoke {
		next.Devices[0].Status = devicelist.Revoked
	}
	next.Devices = append(next.Devices, p.describe(id, sign))
	entry, err := devicelist.Sign(next, p.account)
	if err != nil {
		p.w.t.Fatal(err)
	}
	up, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: p.accountKey(), Device: uint64(id)}, sign)
	return relay.RecoverRequest{Entry: entry, Upload: up.Bytes()}, id, sign
}

func (w *world) tryRecover(r relay.RecoverRequest) ([][]byte, error) {
	return relayclient.Recover(w.t.Context(), w.target(), r)
}

func (w *world) joined(name string) *person {
	w.t.Helper()
	p := w.somebody(name)
	if err := w.tryRegister(p.request()); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func login(w *world, user string, id address.Device, sign ed25519.PrivateKey) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	c, err := relayclient.Dial(ctx, w.target(), relayclient.Login{User: user, Device: id, Key: sign})
	if err == nil {
		c.Close()
	}
	return err
}

func TestR_RCV_01_TheAccountKeyLetsADeviceIn(t *testing.T) {
	w := serve(t)
	alice := w.joined("alice")
	r, id, sign := alice.comeback(true)
	for range 2 { // the answer to the first may have been lost
		if _, err := w.tryRecover(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := login(w, "alice", id, sign); err != nil {
		t.Errorf("the new device: %v", err)
	}
	wantCode(t, login(w, "alice", alice.device, alice.sign), relay.Unauthorized)
	bob := w.joined("bob")
	c, err := relayclient.Dial(t.Context(), w.target(), relayclient.Login{User: "bob", Device: bob.device, Key: bob.sign})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if entries, err := c.Account(t.Context(), "alice"); err != nil || len(entries) != 2 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if _, err := c.TakeBundle(t.Context(), "alice", id); err != nil {
		t.Errorf("its prekeys: %v", err)
	}
	if _, err := c.TakeBundle(t.Context(), "alice", alice.device); err == nil {
		t.Error("the revoked device has prekeys")
	}
}

// Entries are public: whoever has seen one gets nothing from it.
func TestR_RCV_02_AnEntryAloneIsOfNoUse(t *testing.T) {
	w := serve(t)
	alice, mallory := w.joined("alice"), w.joined("mallory")
	r, id, sign := alice.comeback(false)

	// Before and after it was used: with prekeys of another key, of another
	// device, and with the device's own other prekeys once it is in.
	forged, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: alice.accountKey(), Device: uint64(id)}, mallory.sign)
	elsewhere, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: alice.accountKey(), Device: uint64(id + 1)}, sign)
	other, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: alice.accountKey(), Device: uint64(id)}, sign)
	for range 2 {
		for _, up := range []prekeys.Upload{forged, elsewhere} {
			_, err := w.tryRecover(relay.RecoverRequest{Entry: r.Entry, Upload: up.Bytes()})
			wantCode(t, err, relay.BadRequest)
		}
		_, err := w.tryRecover(relay.RecoverRequest{Entry: r.Entry, Upload: alice.upload.Bytes()})
		wantCode(t, err, relay.BadRequest)
		if _, err := w.tryRecover(r); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.tryRecover(relay.RecoverRequest{Entry: r.Entry, Upload: other.Bytes()})
	wantCode(t, err, relay.Unauthorized)

	// A list that adds none, or two, and the first entry.
	list, err := devicelist.Verify(r.Entry)
	if err != nil {
		t.Fatal(err)
	}
	none, err := devicelist.Sign(list.Next(time.Now()), alice.account)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.tryRecover(relay.RecoverRequest{Entry: none, Upload: r.Upload})
	wantCode(t, err, relay.BadRequest)
	two := list.Next(time.Now())
	two.Devices = append(two.Devices, alice.describe(address.NewDevice(), key(t)), alice.describe(id+1, key(t)))
	if entry, err := devicelist.Sign(two, alice.account); err != nil {
		t.Fatal(err)
	} else if _, err = w.tryRecover(relay.RecoverRequest{Entry: entry, Upload: r.Upload}); err == nil {
		t.Error("two devices at once")
	}
	_, err = w.tryRecover(relay.RecoverRequest{Entry: alice.entry, Upload: alice.upload.Bytes()})
	wantCode(t, err, relay.BadRequest)
	_, err = w.tryRecover(relay.RecoverRequest{Entry: []byte{0x80}, Upload: r.Upload})
	wantCode(t, err, relay.BadRequest)
}

// An unknown name and another account's key get the same answer, and strangers
// do not try for ever.
func TestR_RCV_03_StrangersLearnNothing(t *testing.T) {
	w := serve(t)
	w.joined("alice")
	impostor, nobody := w.somebody("alice"), w.somebody("nobody")
	for _, p := range []*person{impostor, nobody} {
		r, _, _ := p.comeback(true)
		entries, err := w.tryRecover(r)
		wantCode(t, err, relay.Unauthorized)
		if len(entries) != 0 {
			t.Errorf("%d entries", len(entries))
		}
	}
	few := serve(t, func(c *server.Config) {
		c.Limits = unlimited
		c.Limits.Registrations = server.Rate{Burst: 3, Every: time.Hour}
	})
	alice := few.joined("alice")
	var last error
	for range 4 {
		r, _, _ := alice.comeback(false)
		r.Upload = alice.upload.Bytes()
		_, last = few.tryRecover(r)
	}
	wantCode(t, last, relay.RateLimited)
}

// A requester that is behind is told the entries it lacks; one that is on a
// fork gets entries that do not extend its own.
func TestR_RCV_04_TheListHasMovedOn(t *testing.T) {
	w := serve(t)
	alice := w.joined("alice")
	first, _, _ := alice.comeback(false)
	if _, err := w.tryRecover(first); err != nil {
		t.Fatal(err)
	}
	behind, _, _ := alice.comeback(false)
	entries, err := w.tryRecover(behind)
	var refused *relay.Error
	if !errors.As(err, &refused) || refused.Code != relay.Conflict || refused.Version != 2 {
		t.Fatalf("%v", err)
	}
	if len(entries) != 1 || string(entries[0]) != string(first.Entry) {
		t.Errorf("%d entries", len(entries))
	}
	if alice.list, err = devicelist.Extend(alice.list, entries[0]); err != nil {
		t.Fatal(err)
	}
	again, id, sign := alice.comeback(false)
	if _, err := w.tryRecover(again); err != nil {
		t.Fatal(err)
	}
	if err := login(w, "alice", id, sign); err != nil {
		t.Error(err)
	}
	var answer relay.RecoverConflict
	if err := relay.Decode(codec.Marshal(&relay.RecoverConflict{Version: 0, Entries: [][]byte{}}), &answer); err == nil {
		t.Error("a conflict without a version")
	}
}

// Who has the account key and no list asks with an entry that follows nothing:
// it gets the list from its first entry on, and nothing is changed.
func TestR_RCV_05_TheWholeList(t *testing.T) {
	w := serve(t)
	alice := w.joined("alice")
	for versions := 1; versions < 4; versions++ {
		id, sign := address.NewDevice(), key(t)
		ask := devicelist.First(alice.accountKey(), alice.list.Address, alice.describe(id, sign), time.Now())
		ask.Version = 2
		ask.Prev[0] = 1
		entry, err := devicelist.Sign(ask, alice.account)
		if err != nil {
			t.Fatal(err)
		}
		up, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: alice.accountKey(), Device: uint64(id)}, sign)
		entries, err := w.tryRecover(relay.RecoverRequest{Entry: entry, Upload: up.Bytes()})
		wantCode(t, err, relay.Conflict)
		list, bad := devicelist.VerifyChain(entries)
		if bad != nil || len(entries) != versions || list.Hash() != alice.list.Hash() {
			t.Fatalf("%d entries, %v", len(entries), bad)
		}
		// An entry that follows the first gets what comes after it, as before.
		if versions > 1 {
			first, err := devicelist.Verify(entries[0])
			if err != nil {
				t.Fatal(err)
			}
			stale := *alice
			stale.list = first
			r, _, _ := stale.comeback(false)
			later, err := w.tryRecover(r)
			wantCode(t, err, relay.Conflict)
			if len(later) != versions-1 {
				t.Errorf("%d entries after the first of %d", len(later), versions)
			}
		}
		r, _, _ := alice.comeback(false)
		if _, err := w.tryRecover(r); err != nil {
			t.Fatal(err)
		}
		if alice.list, err = devicelist.Extend(alice.list, r.Entry); err != nil {
			t.Fatal(err)
		}
	}
}
