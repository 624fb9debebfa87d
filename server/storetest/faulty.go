package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/server"
)

// Fault is what happens to one call of a Faulty store.
type Fault int

// The two flavours of a fault that a caller cannot tell apart.
const (
	None   Fault = iota
	Before       // failed and not saved
	After        // failed but saved: the time-out that went through
)

// ErrLost is what a faulty call returns: the outcome is unknown to the caller.
var ErrLost = errors.New("the connection to the store was lost")

// Faulty is a store whose calls fail as Decide says; Decide gets the method's
// name and is called once per call, by one goroutine at a time per caller.
type Faulty struct {
	Store
	Decide func(method string) Fault
}

func faulty[T any](f *Faulty, method string, call func() (T, error)) (T, error) {
	var none T
	switch f.Decide(method) {
	case Before:
		return none, ErrLost
	case After:
		if _, err := call(); err != nil {
			return none, errors.Join(ErrLost, err)
		}
		return none, ErrLost
	}
	return call()
}

func faultyVoid(f *Faulty, method string, call func() error) error {
	_, err := faulty(f, method, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// The calls that change something, and those that a server retries.

func (f *Faulty) CreateAccount(ctx context.Context, r server.Registration) error {
	return faultyVoid(f, "CreateAccount", func() error { return f.Store.CreateAccount(ctx, r) })
}

func (f *Faulty) Account(ctx context.Context, user string) (server.Account, error) {
	return faulty(f, "Account", func() (server.Account, error) { return f.Store.Account(ctx, user) })
}

func (f *Faulty) UpdateAccount(ctx context.Context, c server.Change) (server.Version, error) {
	return faulty(f, "UpdateAccount", func() (server.Version, error) { return f.Store.UpdateAccount(ctx, c) })
}

func (f *Faulty) PutOneTime(ctx context.Context, user string, sets ...server.OneTimeSet) error {
	return faultyVoid(f, "PutOneTime", func() error { return f.Store.PutOneTime(ctx, user, sets...) })
}

func (f *Faulty) TakeOneTime(ctx context.Context, dev server.Device) (server.Taken, error) {
	return faulty(f, "TakeOneTime", func() (server.Taken, error) { return f.Store.TakeOneTime(ctx, dev) })
}

func (f *Faulty) AdvanceEpoch(ctx context.Context, dev server.Device, from, to server.Epoch) error {
	return faultyVoid(f, "AdvanceEpoch", func() error { return f.Store.AdvanceEpoch(ctx, dev, from, to) })
}

func (f *Faulty) CreateGroup(ctx context.Context, c server.GroupCreation) error {
	return faultyVoid(f, "CreateGroup", func() error { return f.Store.CreateGroup(ctx, c) })
}

func (f *Faulty) AppendGroup(ctx context.Context, a server.GroupAppend) (server.GroupState, error) {
	return faulty(f, "AppendGroup", func() (server.GroupState, error) { return f.Store.AppendGroup(ctx, a) })
}

func (f *Faulty) ReadGroup(ctx context.Context, group server.GroupID, token server.GroupToken, from uint64, limit, maxBytes int) (e []server.GroupEntry, st server.GroupState, err error) {
	e, err = faulty(f, "ReadGroup", func() (e []server.GroupEntry, err error) {
		e, st, err = f.Store.ReadGroup(ctx, group, token, from, limit, maxBytes)
		return e, err
	})
	if err != nil {
		st = server.GroupState{}
	}
	return e, st, err
}

func (f *Faulty) PutInvite(ctx context.Context, i server.Invite) error {
	return faultyVoid(f, "PutInvite", func() error { return f.Store.PutInvite(ctx, i) })
}

func (f *Faulty) Append(ctx context.Context, e []server.Envelope) ([]server.Result, error) {
	return faulty(f, "Append", func() ([]server.Result, error) { return f.Store.Append(ctx, e) })
}

func (f *Faulty) Read(ctx context.Context, dev server.Device, after server.Seq, limit, maxBytes int) (m []server.Message, more bool, err error) {
	m, err = faulty(f, "Read", func() (m []server.Message, err error) {
		m, more, err = f.Store.Read(ctx, dev, after, limit, maxBytes)
		return m, err
	})
	return m, more && err == nil, err
}

func (f *Faulty) Ack(ctx context.Context, dev server.Device, seqs []server.Seq) error {
	return faultyVoid(f, "Ack", func() error { return f.Store.Ack(ctx, dev, seqs) })
}

func (f *Faulty) Expire(ctx context.Context, now time.Time, budget int) (int, error) {
	return faulty(f, "Expire", func() (int, error) { return f.Store.Expire(ctx, now, budget) })
}

func (f *Faulty) RemoveDevice(ctx context.Context, dev server.Device) error {
	return faultyVoid(f, "RemoveDevice", func() error { return f.Store.RemoveDevice(ctx, dev) })
}

// runFaults runs one story again and again, each time with one more call
// failing, in both flavours, and once with every call failing first. After each
// fault the caller does what R-STO-02 allows: the same call again.
func runFaults(t *testing.T, f Factory) {
	calls := 0
	runStory(t, f, func(string) Fault { calls++; return None })
	if calls < 20 {
		t.Fatalf("the story has only %d calls", calls)
	}
	for _, flavour := range []Fault{Before, After} {
		for at := range calls {
			t.Run(fmt.Sprintf("flavour %d at call %d", flavour, at), func(t *testing.T) {
				n := -1
				runStory(t, f, func(string) Fault {
					if n++; n == at {
						return flavour
					}
					return None
				})
			})
		}
		t.Run(fmt.Sprintf("flavour %d everywhere", flavour), func(t *testing.T) {
			n := 0
			runStory(t, f, func(string) Fault {
				if n++; n%2 == 1 {
					return flavour
				}
				return None
			})
		})
	}
}

// again repeats a call until its outcome is known.
func again(h *harness, call func() error) {
	h.Helper()
	for range 4 {
		err := call()
		if err == nil {
			return
		}
		if !errors.Is(err, ErrLost) {
			h.Fatalf("a repetition was refused: %v", err)
		}
	}
	h.Fatal("the fault does not end")
}

// runStory registers, uploads, sends, takes, delivers and updates, and checks
// that acknowledged ⊆ stored ∪ delivered, that each prekey was given once and
// that order was kept.
func runStory(t *testing.T, f Factory, decide func(string) Fault) {
	h := newHarness(t, f)
	s := &Faulty{Store: h.Store, Decide: decide}
	one, two := device("alice", 1), device("alice", 2)
	invite := server.InviteHash{3}
	again(h, func() error {
		return s.PutInvite(h.ctx, server.Invite{Hash: invite, Expires: t0.Add(time.Hour), Uses: 1})
	})
	again(h, func() error {
		return s.CreateAccount(h.ctx, server.Registration{User: "alice", Record: []byte("v1"), Invite: &invite, Now: t0,
			OneTime: []server.OneTimeSet{keySet(one, server.OneTimeEC, 1, 1, 12)}})
	})
	h.wantUses(invite, 0)
	again(h, func() error { return s.PutOneTime(h.ctx, "alice", keySet(two, server.OneTimeEC, 1, 1, 12)) })

	given := map[uint64]bool{}
	take := func() {
		var taken server.Taken
		again(h, func() (err error) { taken, err = s.TakeOneTime(h.ctx, one); return err })
		if taken.EC == nil {
			h.Fatal("no key, though more were put than were asked for")
		}
		if given[taken.EC.ID] {
			h.Fatalf("key %d was given twice", taken.EC.ID)
		}
		given[taken.EC.ID] = true
	}
	var delivered []uint64
	var after server.Seq
	deliver := func() {
		var msgs []server.Message
		again(h, func() (err error) { msgs, _, err = s.Read(h.ctx, one, after, 10, 1<<20); return err })
		var seqs []server.Seq
		for _, m := range msgs {
			seqs = append(seqs, m.Seq)
			after = m.Seq
		}
		delivered = append(delivered, ids(msgs)...)
		again(h, func() error { return s.Ack(h.ctx, one, seqs) })
	}
	team := &roster{h: h, id: server.GroupID{1}, token: server.GroupToken{1, 1}}
	team.held = []server.GroupEntry{{Seq: 1, Head: server.GroupHead{1, 1}, Blob: []byte("create")}}
	again(h, func() error { return s.CreateGroup(h.ctx, team.creation()) })
	place := func(a server.GroupAppend) {
		again(h, func() error { _, err := s.AppendGroup(h.ctx, a); return err })
		team.held = append(team.held, a.Entry)
		if a.Next != nil {
			team.token = *a.Next
		}
	}
	var acked []uint64
	for n := range uint64(6) {
		place(team.next("change"))
		again(h, func() error { return s.AdvanceEpoch(h.ctx, one, server.Epoch{byte(n)}, server.Epoch{byte(n + 1)}) })
		again(h, func() error {
			_, err := s.Append(h.ctx, []server.Envelope{envelope(one, n+1), envelope(two, n+1)})
			return err
		})
		acked = append(acked, n+1)
		take()
		if n%2 == 1 {
			deliver()
		}
		if n == 2 {
			place(team.epoch("rekey", 2))
		}
		if n == 3 {
			again(h, func() error {
				_, err := s.UpdateAccount(h.ctx, server.Change{User: "alice", Old: 1, Record: []byte("v2")})
				return err
			})
			// The first upload comes in late; it must not bring keys back.
			again(h, func() error { return s.PutOneTime(h.ctx, "alice", keySet(one, server.OneTimeEC, 1, 1, 12)) })
			again(h, func() error { _, err := s.Expire(h.ctx, t0.Add(time.Hour), 10); return err })
		}
	}
	var a server.Account
	again(h, func() (err error) { a, err = s.Account(h.ctx, "alice"); return err })
	if a.Version != 2 || string(a.Record) != "v2" {
		h.Fatalf("%+v", a)
	}
	again(h, func() error { return s.RemoveDevice(h.ctx, two) })
	h.reopen()
	delivered = append(delivered, ids(h.readAll(one))...)
	if !slices.Equal(delivered, acked) {
		h.Fatalf("delivered %v, acknowledged %v", delivered, acked)
	}
	h.wantIDs(two)
	team.sees(server.GroupToken{1, 1}, 3, 1, 5, true)
	team.sees(team.token, 3, 6, 8, false)
}
