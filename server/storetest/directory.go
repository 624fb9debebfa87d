package storetest

import (
	"bytes"
	"context"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/server"
)

var directoryHistories = []history{
	{"an account is one compare-and-swap record", func(h *harness) { // R-STO-03
		_, err := h.Account(h.ctx, "alice")
		h.is(err, server.ErrNotFound)
		h.ok(h.CreateAccount(h.ctx, server.Registration{User: "alice", Record: []byte("one"), Now: t0}))
		h.wantAccount("alice", 1, "one")

		v, err := h.UpdateAccount(h.ctx, server.Change{User: "alice", Old: 1, Record: []byte("two")})
		h.ok(err)
		if v != 2 {
			h.Fatalf("version %d", v)
		}
		_, err = h.UpdateAccount(h.ctx, server.Change{User: "alice", Old: 1, Record: []byte("other")})
		h.is(err, server.ErrConflict)
		_, err = h.UpdateAccount(h.ctx, server.Change{User: "alice", Old: 3, Record: []byte("two")})
		h.is(err, server.ErrConflict)
		_, err = h.UpdateAccount(h.ctx, server.Change{User: "bob", Old: 1, Record: []byte("two")})
		h.is(err, server.ErrNotFound)
		h.reopen()
		h.wantAccount("alice", 2, "two")
	}},
	{"creating and updating may be repeated", func(h *harness) { // R-STO-02
		invite := server.InviteHash{7}
		h.ok(h.PutInvite(h.ctx, server.Invite{Hash: invite, Expires: t0.Add(time.Hour), Uses: 2}))
		r := server.Registration{User: "alice", Record: []byte("one"), Invite: &invite, Now: t0}
		h.ok(h.CreateAccount(h.ctx, r))
		h.ok(h.CreateAccount(h.ctx, r))
		h.wantUses(invite, 1)
		other := r
		other.Record = []byte("thief")
		h.is(h.CreateAccount(h.ctx, other), server.ErrExists)
		h.wantUses(invite, 1)

		c := server.Change{User: "alice", Old: 1, Record: []byte("two")}
		for range 2 {
			v, err := h.UpdateAccount(h.ctx, c)
			h.ok(err)
			if v != 2 {
				h.Fatalf("version %d", v)
			}
		}
		h.is(h.CreateAccount(h.ctx, r), server.ErrExists)
	}},
	{"an invite is used up with the account", func(h *harness) { // R-STO-04
		invite := server.InviteHash{1, 2}
		register := func(user string, now time.Time) error {
			return h.CreateAccount(h.ctx, server.Registration{User: user, Invite: &invite, Now: now})
		}
		h.is(register("alice", t0), server.ErrInvite)
		h.ok(h.PutInvite(h.ctx, server.Invite{Hash: invite, Expires: t0.Add(time.Hour), Uses: 2}))
		h.is(register("alice", t0.Add(time.Hour)), server.ErrInvite)
		_, err := h.Account(h.ctx, "alice")
		h.is(err, server.ErrNotFound)
		h.ok(register("alice", t0))
		h.reopen()
		h.ok(register("bob", t0.Add(time.Hour-time.Millisecond)))
		h.is(register("carol", t0), server.ErrInvite)
		_, err = h.Account(h.ctx, "carol")
		h.is(err, server.ErrNotFound)
		h.wantUses(invite, 0)

		h.ok(h.DropInvites(h.ctx, t0))
		h.wantUses(invite, 0)
		h.ok(h.DropInvites(h.ctx, t0.Add(time.Hour)))
		_, err = h.Invite(h.ctx, invite)
		h.is(err, server.ErrInvite)
	}},
	{"a refused registration leaves nothing", func(h *harness) { // R-STO-04
		dev := device("alice", 1)
		set := keySet(dev, server.OneTimeEC, 1, 1, 3)
		invite := server.InviteHash{1}
		h.is(h.CreateAccount(h.ctx, server.Registration{User: "alice", OneTime: []server.OneTimeSet{set}, Invite: &invite, Now: t0}), server.ErrInvite)
		h.wantCount(dev, 0, 0)
		h.ok(h.CreateAccount(h.ctx, server.Registration{User: "alice", OneTime: []server.OneTimeSet{set}, Now: t0}))
		h.wantCount(dev, 3, 0)
	}},
	{"a set replaces the one before, a repeated batch nothing", func(h *harness) { // R-STO-06
		dev := device("alice", 1)
		h.is(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 1, 1, 1)), server.ErrNotFound)
		h.account("alice")
		first := keySet(dev, server.OneTimeEC, 1, 1, 5)
		h.ok(h.PutOneTime(h.ctx, "alice", first, keySet(dev, server.OneTimeKEM, 1, 1, 2)))
		h.wantCount(dev, 5, 2)
		h.take(dev)
		h.ok(h.PutOneTime(h.ctx, "alice", first))
		h.wantCount(dev, 4, 1)
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 2, 11, 3)))
		h.wantCount(dev, 3, 1)
		h.reopen()
		h.ok(h.PutOneTime(h.ctx, "alice", first)) // late, after its successor
		h.wantCount(dev, 3, 1)
		if k := h.take(dev).EC; k == nil || k.ID < 11 {
			h.Fatalf("a key of a replaced set: %v", k)
		}
		h.wantCount(device("alice", 2), 0, 0)
	}},
	{"the last batches are remembered", func(h *harness) { // R-STO-06
		dev := device("alice", 1)
		h.account("alice")
		for n := range uint64(server.RememberBatches) {
			h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, n+1, 100*n+1, 1)))
		}
		h.take(dev)
		for n := range uint64(server.RememberBatches) {
			h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, n+1, 100*n+1, 1)))
			h.wantCount(dev, 0, 0)
		}
		// Batch ids are per device and kind.
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeKEM, 1, 1, 1)))
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(device("alice", 2), server.OneTimeEC, 1, 1, 1)))
		h.wantCount(dev, 0, 1)
		h.wantCount(device("alice", 2), 1, 0)
	}},
	{"each key is taken once, then there is none", func(h *harness) { // R-STO-07
		dev := device("alice", 1)
		h.account("alice")
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 1, 1, 6), keySet(dev, server.OneTimeKEM, 1, 1, 3)))
		seen := map[uint64]bool{}
		for i := range 7 {
			taken := h.take(dev)
			if (taken.EC != nil) != (i < 6) || (taken.KEM != nil) != (i < 3) {
				h.Fatalf("take %d: %v", i, taken)
			}
			if taken.EC != nil {
				if seen[taken.EC.ID] {
					h.Fatal("a key was given twice")
				}
				seen[taken.EC.ID] = true
			}
			if i == 2 {
				h.reopen()
			}
		}
		if taken := h.take(device("nobody", 9)); taken != (server.Taken{}) {
			h.Fatal("a key of nobody")
		}
	}},
	{"ids of keys may have the top bit set", func(h *harness) {
		dev := device("alice", 1<<63|5)
		h.account("alice")
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 1, 1<<63, 2)))
		for range 2 {
			if k := h.take(dev).EC; k == nil || k.ID < 1<<63 {
				h.Fatalf("%v", k)
			}
		}
	}},
	{"a change replaces and removes keys with the record", func(h *harness) { // R-STO-03
		one, two := device("alice", 1), device("alice", 2)
		h.account("alice")
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(one, server.OneTimeEC, 1, 1, 2), keySet(one, server.OneTimeKEM, 1, 1, 2), keySet(two, server.OneTimeEC, 1, 1, 2)))
		c := server.Change{User: "alice", Old: 7, Record: []byte("r"), Removed: []address.Device{one.ID, 77},
			OneTime: []server.OneTimeSet{keySet(two, server.OneTimeKEM, 2, 5, 4)}}
		_, err := h.UpdateAccount(h.ctx, c)
		h.is(err, server.ErrConflict)
		h.wantCount(one, 2, 2)
		h.wantCount(two, 2, 0)
		c.Old = 1
		_, err = h.UpdateAccount(h.ctx, c)
		h.ok(err)
		h.wantCount(one, 0, 0)
		h.wantCount(two, 2, 4)
	}},
	{"a restored store voids one-time keys", func(h *harness) { // R-STO-18
		dev := device("alice", 1)
		h.account("alice")
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 1, 1, 2), keySet(dev, server.OneTimeKEM, 1, 1, 2)))
		before := h.appendAll(envelope(dev, 1))[0].Seq
		g, err := h.Generation(h.ctx)
		h.ok(err)
		if g != 1 {
			h.Fatalf("generation %d", g)
		}
		g, err = h.Restored(h.ctx)
		h.ok(err)
		if g != 2 {
			h.Fatalf("generation %d", g)
		}
		h.wantCount(dev, 0, 0)
		if h.take(dev) != (server.Taken{}) {
			h.Fatal("a voided key was given")
		}
		h.reopen()
		g, err = h.Generation(h.ctx)
		h.ok(err)
		if g != 2 {
			h.Fatalf("generation %d after reopening", g)
		}
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 1, 1, 2)))
		h.wantCount(dev, 0, 0) // the batch was put before
		h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 2, 3, 2)))
		h.wantCount(dev, 2, 0)
		if after := h.appendAll(envelope(dev, 2))[0].Seq; after <= before {
			h.Fatalf("seq %d after %d", after, before)
		}
	}},
	{"an epoch moves on only from the one that is held", func(h *harness) { // R-STO-23
		dev := device("alice", 1<<63|1)
		h.is(h.AdvanceEpoch(h.ctx, dev, server.Epoch{}, server.Epoch{1}), server.ErrNotFound)
		h.account("alice")
		h.is(h.AdvanceEpoch(h.ctx, device("alice", 0), server.Epoch{}, server.Epoch{1}), server.ErrInvalid)
		h.is(h.AdvanceEpoch(h.ctx, device("", 1), server.Epoch{}, server.Epoch{1}), server.ErrInvalid)
		h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{7}, server.Epoch{1})) // nothing was held
		h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{1}, server.Epoch{2}))
		h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{1}, server.Epoch{2})) // the answer was lost
		h.reopen()
		h.is(h.AdvanceEpoch(h.ctx, dev, server.Epoch{1}, server.Epoch{3}), server.ErrConflict)
		h.is(h.AdvanceEpoch(h.ctx, dev, server.Epoch{}, server.Epoch{1}), server.ErrConflict)
		h.ok(h.AdvanceEpoch(h.ctx, device("alice", 2), server.Epoch{}, server.Epoch{9})) // another device
		h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{2}, server.Epoch{4}))
		h.is(h.AdvanceEpoch(h.ctx, dev, server.Epoch{2}, server.Epoch{5}), server.ErrConflict)
		h.reopen()
		h.is(h.AdvanceEpoch(h.ctx, dev, server.Epoch{2}, server.Epoch{5}), server.ErrConflict)
		h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{4}, server.Epoch{5}))
	}},
	{"the epoch of a removed device goes with it", func(h *harness) { // R-STO-23
		one, two := device("alice", 1), device("alice", 2)
		h.account("alice")
		for _, dev := range []server.Device{one, two} {
			h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{}, server.Epoch{1}))
		}
		c := server.Change{User: "alice", Old: 4, Record: []byte("r"), Removed: []address.Device{one.ID}}
		_, err := h.UpdateAccount(h.ctx, c)
		h.is(err, server.ErrConflict)
		h.is(h.AdvanceEpoch(h.ctx, one, server.Epoch{8}, server.Epoch{9}), server.ErrConflict)
		c.Old = 1
		_, err = h.UpdateAccount(h.ctx, c)
		h.ok(err)
		h.ok(h.AdvanceEpoch(h.ctx, one, server.Epoch{8}, server.Epoch{9})) // nothing is held
		h.is(h.AdvanceEpoch(h.ctx, two, server.Epoch{8}, server.Epoch{9}), server.ErrConflict)
	}},
	{"a restored store refuses nobody for an epoch", func(h *harness) { // R-STO-18
		dev := device("alice", 1)
		h.account("alice")
		h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{}, server.Epoch{1}))
		_, err := h.Restored(h.ctx)
		h.ok(err)
		h.reopen()
		h.ok(h.AdvanceEpoch(h.ctx, dev, server.Epoch{5}, server.Epoch{6})) // it has moved on since the copy
		h.is(h.AdvanceEpoch(h.ctx, dev, server.Epoch{1}, server.Epoch{7}), server.ErrConflict)
	}},
	{"arguments are checked", func(h *harness) { // R-STO-05
		h.account("alice")
		dev := device("alice", 1)
		long := make([]byte, server.MaxRecord+1)
		h.is(h.CreateAccount(h.ctx, server.Registration{}), server.ErrInvalid)
		h.is(h.CreateAccount(h.ctx, server.Registration{User: "b", Record: long}), server.ErrTooLarge)
		_, err := h.UpdateAccount(h.ctx, server.Change{User: "alice", Old: 1, Record: long})
		h.is(err, server.ErrTooLarge)
		for _, s := range []server.OneTimeSet{
			keySet(dev, 3, 1, 1, 1),
			keySet(device("alice", 0), server.OneTimeEC, 1, 1, 1),
			keySet(dev, server.OneTimeEC, 1, 0, 1),
			{Device: 1, Kind: server.OneTimeEC, Keys: []server.OneTimeKey{{ID: 4}, {ID: 4}}},
		} {
			h.is(h.PutOneTime(h.ctx, "alice", s), server.ErrInvalid)
		}
		h.is(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 1, 1, server.MaxOneTime+1)), server.ErrTooLarge)
		h.is(h.PutOneTime(h.ctx, "alice", server.OneTimeSet{Device: 1, Kind: server.OneTimeKEM,
			Keys: []server.OneTimeKey{{ID: 4, Public: make([]byte, server.MaxOneTimeKey+1)}}}), server.ErrTooLarge)
		h.wantCount(dev, 0, 0)
	}},
	{"nothing is shared with the caller", func(h *harness) {
		record := []byte("record")
		h.ok(h.CreateAccount(h.ctx, server.Registration{User: "alice", Record: record, Now: t0}))
		clear(record)
		a, err := h.Account(h.ctx, "alice")
		h.ok(err)
		clear(a.Record)
		h.wantAccount("alice", 1, "record")
	}},
	{"a cancelled context does nothing; a closed store says so", func(h *harness) { // R-STO-02
		ctx, cancel := context.WithCancel(h.ctx)
		cancel()
		h.is(h.CreateAccount(ctx, server.Registration{User: "alice", Now: t0}), context.Canceled)
		_, err := h.Append(ctx, []server.Envelope{envelope(device("alice", 1), 1)})
		h.is(err, context.Canceled)
		_, err = h.Account(h.ctx, "alice")
		h.is(err, server.ErrNotFound)
		h.ok(h.Close())
		_, err = h.Account(h.ctx, "alice")
		h.is(err, server.ErrClosed)
		_, err = h.Append(h.ctx, []server.Envelope{envelope(device("alice", 1), 1)})
		h.is(err, server.ErrClosed)
		h.ok(h.Close())
	}},
}

func (h *harness) wantAccount(user string, v server.Version, record string) {
	h.Helper()
	a, err := h.Account(h.ctx, user)
	h.ok(err)
	if a.User != user || a.Version != v || !bytes.Equal(a.Record, []byte(record)) {
		h.Fatalf("account %q version %d record %q, want version %d record %q", a.User, a.Version, a.Record, v, record)
	}
}

func (h *harness) wantUses(invite server.InviteHash, n uint32) {
	h.Helper()
	i, err := h.Invite(h.ctx, invite)
	h.ok(err)
	if i.Uses != n || i.Hash != invite {
		h.Fatalf("%d uses left, want %d", i.Uses, n)
	}
}

func (h *harness) wantCount(dev server.Device, ec, kem int) {
	h.Helper()
	e, k, err := h.CountOneTime(h.ctx, dev)
	h.ok(err)
	if e != ec || k != kem {
		h.Fatalf("%d and %d one-time keys, want %d and %d", e, k, ec, kem)
	}
}

// take takes keys and holds them against what was put.
func (h *harness) take(dev server.Device) server.Taken {
	h.Helper()
	t, err := h.TakeOneTime(h.ctx, dev)
	h.ok(err)
	for kind, k := range map[server.OneTimeKind]*server.OneTimeKey{server.OneTimeEC: t.EC, server.OneTimeKEM: t.KEM} {
		if k != nil && !bytes.Equal(k.Public, publicKey(dev, kind, k.ID)) {
			h.Fatalf("key %d of kind %d is not the one that was put", k.ID, kind)
		}
	}
	return t
}
