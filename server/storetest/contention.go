package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/pawl-chat/pawl/server"
)

// takers is how many contend for the same keys.
const takers = 32

var contentionHistories = []history{
	{"many takers, each key at most once", func(h *harness) { // R-STO-07
		h.account("alice")
		const devices, each = 5, server.MaxOneTime
		for d := range uint64(devices) {
			dev := device("alice", d+1)
			h.ok(h.PutOneTime(h.ctx, "alice", keySet(dev, server.OneTimeEC, 1, 1, each), keySet(dev, server.OneTimeKEM, 1, 1, each)))
		}
		type name struct {
			dev  server.Device
			kind server.OneTimeKind
			id   uint64
		}
		var mu sync.Mutex
		given := map[name]int{}
		h.together(takers, func(n int) error {
			for missed := 0; missed < devices; n++ {
				dev := device("alice", uint64(n%devices)+1)
				t, err := h.TakeOneTime(h.ctx, dev)
				if err != nil {
					return err
				}
				if t == (server.Taken{}) {
					missed++
					continue
				}
				missed = 0
				mu.Lock()
				if t.EC != nil {
					given[name{dev, server.OneTimeEC, t.EC.ID}]++
				}
				if t.KEM != nil {
					given[name{dev, server.OneTimeKEM, t.KEM.ID}]++
				}
				mu.Unlock()
			}
			return nil
		})
		for k, n := range given {
			if n != 1 {
				h.Fatalf("key %v was given %d times", k, n)
			}
		}
		if len(given) != 2*devices*each {
			h.Fatalf("%d of %d keys were given", len(given), 2*devices*each)
		}
	}},
	{"many writers of one record, each version once", func(h *harness) { // R-STO-03
		h.account("alice")
		const writers, each = 8, 20
		var mu sync.Mutex
		won := map[server.Version]string{}
		h.together(writers, func(n int) error {
			for i := 0; i < each; {
				a, err := h.Account(h.ctx, "alice")
				if err != nil {
					return err
				}
				mine := fmt.Sprintf("writer %d change %d", n, i)
				v, err := h.UpdateAccount(h.ctx, server.Change{User: "alice", Old: a.Version, Record: []byte(mine)})
				if errors.Is(err, server.ErrConflict) {
					continue
				}
				if err != nil {
					return err
				}
				mu.Lock()
				if won[v] != "" {
					err = fmt.Errorf("version %d was given twice", v)
				}
				won[v] = mine
				mu.Unlock()
				if err != nil {
					return err
				}
				i++
			}
			return nil
		})
		h.wantAccount("alice", writers*each+1, won[writers*each+1])
	}},
	{"one name, one account; one use, one guest", func(h *harness) { // R-STO-04
		invite := server.InviteHash{5}
		h.ok(h.PutInvite(h.ctx, server.Invite{Hash: invite, Expires: t0.Add(1), Uses: 3}))
		h.ok(h.PutInvite(h.ctx, server.Invite{Hash: invite, Expires: t0.Add(1e9), Uses: 3}))
		var mu sync.Mutex
		made := map[string]int{}
		h.together(24, func(n int) error {
			user := fmt.Sprintf("user%d", n%8)
			err := h.CreateAccount(h.ctx, server.Registration{User: user, Record: fmt.Appendf(nil, "record %d", n), Invite: &invite, Now: t0})
			if errors.Is(err, server.ErrExists) || errors.Is(err, server.ErrInvite) {
				return nil
			}
			mu.Lock()
			made[user]++
			mu.Unlock()
			return err
		})
		if len(made) != 3 {
			h.Fatalf("%d accounts with 3 invites", len(made))
		}
		for user, n := range made {
			if n != 1 {
				h.Fatalf("%s was made %d times", user, n)
			}
		}
		h.wantUses(invite, 0)
	}},
	{"many senders, all stored once and in their order", func(h *harness) { // R-STO-08 R-STO-09
		const senders, each = 16, 40
		dev := device("alice", 1)
		h.together(senders, func(n int) error {
			var last server.Seq
			for i := range each {
				e := envelope(dev, uint64(n*each+i)+1)
				for try := range 2 { // each is sent twice
					r, err := h.Append(h.ctx, []server.Envelope{e})
					if err != nil {
						return err
					}
					if r[0].Duplicate != (try == 1) || try == 0 && r[0].Seq <= last || try == 1 && r[0].Seq != last {
						return fmt.Errorf("try %d: %+v after %d", try, r[0], last)
					}
					last = r[0].Seq
				}
			}
			return nil
		})
		next := make([]uint64, senders)
		for _, n := range ids(h.readAll(dev)) {
			s := (n - 1) / each
			if (n-1)%each != next[s] {
				h.Fatalf("sender %d: message %d, want %d", s, (n-1)%each, next[s])
			}
			next[s]++
		}
		for s, n := range next {
			if n != each {
				h.Fatalf("sender %d: %d messages", s, n)
			}
		}
	}},
}

// together runs f in n goroutines and fails with the first error.
func (h *harness) together(n int, f func(n int) error) {
	h.Helper()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	h.ok(first)
}
