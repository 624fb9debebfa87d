// Package storetest is the contract of the server's stores as tests
// (spec/stores.md): the same histories, random walks, contention and faults run
// on every implementation.
//
// Not its concern: what one implementation alone promises, such as surviving
// kill -9; those tests stand beside it.
package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/server"
)

// Store is an implementation of all three interfaces.
type Store interface {
	server.Directory
	server.Mailbox
	server.Wake
	Close() error
}

// Factory makes the place of a new store and returns how to open it. When
// reopens is true, opening again after Close gives the same content.
type Factory func(t testing.TB) (open func() (Store, error), reopens bool)

// Run runs everything.
func Run(t *testing.T, f Factory) {
	t.Run("Directory", func(t *testing.T) { runHistories(t, f, directoryHistories) })
	t.Run("Groups", func(t *testing.T) { runHistories(t, f, groupHistories) })
	t.Run("Mailbox", func(t *testing.T) { runHistories(t, f, mailboxHistories) })
	t.Run("Wake", func(t *testing.T) { runHistories(t, f, wakeHistories) })
	t.Run("Contention", func(t *testing.T) { runHistories(t, f, contentionHistories) })
	t.Run("Machine", func(t *testing.T) { runMachine(t, f) })
	t.Run("Faults", func(t *testing.T) { runFaults(t, f) })
}

// history is one story with its expectations.
type history struct {
	name string
	run  func(h *harness)
}

func runHistories(t *testing.T, f Factory, all []history) {
	for _, one := range all {
		t.Run(one.name, func(t *testing.T) {
			one.run(newHarness(t, f))
		})
	}
}

// harness is a store under test. Each check fails the test at once.
type harness struct {
	testing.TB
	Store
	ctx     context.Context
	open    func() (Store, error)
	reopens bool
}

func newHarness(t testing.TB, f Factory) *harness {
	h := &harness{TB: t, ctx: context.Background()}
	h.open, h.reopens = f(t)
	var err error
	h.Store, err = h.open()
	h.ok(err)
	t.Cleanup(func() { h.Store.Close() })
	return h
}

// reopen closes and opens the store, if that keeps its content.
func (h *harness) reopen() {
	h.Helper()
	if !h.reopens {
		return
	}
	h.ok(h.Store.Close())
	var err error
	h.Store, err = h.open()
	h.ok(err)
}

func (h *harness) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("unexpected error: %v", err)
	}
}

func (h *harness) is(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("error %v, want %v", err, want)
	}
}

// t0 is the stores' time in tests; none of them reads a clock.
var t0 = time.UnixMilli(1_800_000_000_000)

func device(user string, id uint64) server.Device {
	return server.Device{User: user, ID: address.Device(id)}
}

func messageID(n uint64) (id server.MessageID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func envelope(dev server.Device, n uint64) server.Envelope {
	return server.Envelope{Device: dev, ID: messageID(n), At: t0, Body: fmt.Appendf(nil, "message %d for %s/%d", n, dev.User, dev.ID)}
}

func batchID(n uint64) (b server.BatchID) {
	binary.BigEndian.PutUint64(b[:], n)
	return b
}

// keySet is count keys with ids from first on; what a key says names it.
func keySet(dev server.Device, kind server.OneTimeKind, batch, first uint64, count int) server.OneTimeSet {
	s := server.OneTimeSet{Device: dev.ID, Kind: kind, Batch: batchID(batch)}
	for i := range uint64(count) {
		s.Keys = append(s.Keys, server.OneTimeKey{ID: first + i, Public: publicKey(dev, kind, first+i)})
	}
	return s
}

func publicKey(dev server.Device, kind server.OneTimeKind, id uint64) []byte {
	return fmt.Appendf(nil, "%s/%d kind %d key %d", dev.User, dev.ID, kind, id)
}

// account registers a user with an empty record.
func (h *harness) account(user string) {
	h.Helper()
	h.ok(h.CreateAccount(h.ctx, server.Registration{User: user, Now: t0}))
}

// appendAll appends and returns the results.
func (h *harness) appendAll(envelopes ...server.Envelope) []server.Result {
	h.Helper()
	r, err := h.Append(h.ctx, envelopes)
	h.ok(err)
	if len(r) != len(envelopes) {
		h.Fatalf("%d results for %d envelopes", len(r), len(envelopes))
	}
	return r
}

// readAll reads a whole mailbox in pages.
func (h *harness) readAll(dev server.Device) (all []server.Message) {
	h.Helper()
	var after server.Seq
	for {
		msgs, more, err := h.Read(h.ctx, dev, after, 100, 1<<20)
		h.ok(err)
		for _, m := range msgs {
			if m.Seq <= after {
				h.Fatalf("seq %d after %d", m.Seq, after)
			}
			after = m.Seq
		}
		all = append(all, msgs...)
		if !more {
			return all
		}
		if len(msgs) == 0 {
			h.Fatal("more, but nothing was returned")
		}
	}
}

// ids lists the numbers of messages.
func ids(msgs []server.Message) (n []uint64) {
	for _, m := range msgs {
		n = append(n, binary.BigEndian.Uint64(m.ID[8:]))
	}
	return n
}
