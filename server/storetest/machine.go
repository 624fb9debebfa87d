package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/server"
)

// runMachine walks a store and a naive model of the contract side by side,
// with restarts in between.
func runMachine(t *testing.T, f Factory) {
	rapid.Check(t, func(rt *rapid.T) {
		open, reopens := f(t)
		s, err := open()
		if err != nil {
			rt.Fatal(err)
		}
		m := &machine{t: rt, s: s, ctx: context.Background(), model: newModel(), now: t0}
		defer func() { m.s.Close() }()
		steps := map[string]func(*rapid.T){
			"append":        m.append,
			"append again":  m.append,
			"read":          m.read,
			"ack":           m.ack,
			"expire":        m.expire,
			"stat":          m.stat,
			"remove device": m.removeDevice,
			"register":      m.register,
			"update":        m.update,
			"account":       m.account,
			"put keys":      m.putKeys,
			"take":          m.take,
			"advance epoch": m.advanceEpoch,
			"restored":      m.restored,
			"create group":  m.createGroup,
			"append group":  m.appendGroup,
			"append more":   m.appendGroup,
			"read group":    m.readGroup,
		}
		if reopens {
			steps["reopen"] = func(rt *rapid.T) {
				if err := m.s.Close(); err != nil {
					rt.Fatal(err)
				}
				if m.s, err = open(); err != nil {
					rt.Fatal(err)
				}
			}
		}
		rt.Repeat(steps)
	})
}

type machine struct {
	t   *rapid.T
	s   Store
	ctx context.Context
	now time.Time
	*model
}

// model is the contract in its most naive form: lists that only grow.
type model struct {
	messages   []*modelMessage
	removed    map[server.Device]bool
	last       map[server.Device]server.Seq
	accounts   map[string]*server.Account
	keys       []*modelKey
	batches    map[modelBatch]bool
	epochs     map[server.Device]server.Epoch
	groups     map[server.GroupID]*modelGroup
	next       uint64 // ids of messages, keys and batches
	generation uint64
}

type modelMessage struct {
	server.Envelope
	seq              server.Seq
	ended, forgotten bool
}

type modelKey struct {
	dev  server.Device
	kind server.OneTimeKind
	id   uint64
	left bool
}

type modelBatch struct {
	dev   server.Device
	kind  server.OneTimeKind
	batch server.BatchID
}

func newModel() *model {
	return &model{removed: map[server.Device]bool{}, last: map[server.Device]server.Seq{},
		accounts: map[string]*server.Account{}, batches: map[modelBatch]bool{},
		epochs: map[server.Device]server.Epoch{}, groups: map[server.GroupID]*modelGroup{}, generation: 1}
}

func (m *model) known(dev server.Device, id server.MessageID) *modelMessage {
	for _, x := range m.messages {
		if x.Device == dev && x.ID == id && !x.forgotten {
			return x
		}
	}
	return nil
}

func (m *model) waits(dev server.Device) (all []*modelMessage) {
	for _, x := range m.messages {
		if x.Device == dev && !x.ended {
			all = append(all, x)
		}
	}
	return all
}

func drawUser(t *rapid.T) string { return rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "user") }

func drawDevice(t *rapid.T, user string) server.Device {
	return device(user, rapid.Uint64Range(1, 3).Draw(t, "device"))
}

// append sends to some devices of both users; ids come from a small range so
// that some repeat.
func (m *machine) append(t *rapid.T) {
	var batch []server.Envelope
	for range rapid.IntRange(1, 4).Draw(t, "envelopes") {
		e := envelope(drawDevice(t, drawUser(t)), rapid.Uint64Range(1, 12).Draw(t, "id"))
		e.At = m.now
		e.Body = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "body")
		if life := rapid.IntRange(0, 50).Draw(t, "hours"); life > 0 {
			e.Expires = m.now.Add(time.Duration(life) * time.Hour)
		}
		batch = append(batch, e)
	}
	refused := slices.ContainsFunc(batch, func(e server.Envelope) bool { return m.removed[e.Device] })
	results, err := m.s.Append(m.ctx, batch)
	if refused {
		if !errors.Is(err, server.ErrRemoved) {
			t.Fatalf("append to a removed device: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range batch {
		old := m.known(e.Device, e.ID)
		if results[i].Duplicate != (old != nil) {
			t.Fatalf("envelope %d: duplicate %v", i, results[i].Duplicate)
		}
		if old != nil {
			if results[i].Seq != old.seq {
				t.Fatalf("seq %d for a repetition of %d", results[i].Seq, old.seq)
			}
			continue
		}
		if results[i].Seq <= m.last[e.Device] {
			t.Fatalf("seq %d after %d", results[i].Seq, m.last[e.Device])
		}
		m.last[e.Device] = results[i].Seq
		m.messages = append(m.messages, &modelMessage{Envelope: e, seq: results[i].Seq})
	}
}

func (m *machine) read(t *rapid.T) {
	dev := drawDevice(t, drawUser(t))
	want := m.waits(dev)
	var after server.Seq
	if len(want) > 0 && rapid.Bool().Draw(t, "after some") {
		n := rapid.IntRange(0, len(want)-1).Draw(t, "after")
		after, want = want[n].seq, want[n+1:]
	}
	limit := rapid.IntRange(1, 10).Draw(t, "limit")
	msgs, more, err := m.s.Read(m.ctx, dev, after, limit, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(msgs) != min(limit, len(want)) || more != (len(want) > limit) {
		t.Fatalf("%d messages, more %v; %d wait, limit %d", len(msgs), more, len(want), limit)
	}
	for i, got := range msgs {
		if w := want[i]; got.Seq != w.seq || got.ID != w.ID || !got.At.Equal(w.At) || !bytes.Equal(got.Body, w.Body) || got.Damaged {
			t.Fatalf("message %d: %+v, want %+v", i, got, w)
		}
	}
}

func (m *machine) ack(t *rapid.T) {
	dev := drawDevice(t, drawUser(t))
	var seqs []server.Seq
	for _, x := range m.messages { // others' and ended ones too: they change nothing
		if rapid.IntRange(0, 3).Draw(t, "ack") == 0 {
			seqs = append(seqs, x.seq)
			x.ended = x.ended || x.Device == dev
		}
	}
	if err := m.s.Ack(m.ctx, dev, seqs); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) expire(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hours")) * time.Hour)
	if _, err := m.s.Expire(m.ctx, m.now, 1<<20); err != nil {
		t.Fatal(err)
	}
	// Rows go in one pass: what ended before may be forgotten by this very call.
	for _, x := range m.messages {
		over := !x.Due().After(m.now)
		old := !x.At.Add(server.RememberIDs).After(m.now)
		if x.ended && old || over && old {
			x.forgotten = true
		}
		x.ended = x.ended || over
	}
}

func (m *machine) stat(t *rapid.T) {
	dev := drawDevice(t, drawUser(t))
	st, err := m.s.Stat(m.ctx, dev)
	if err != nil {
		t.Fatal(err)
	}
	var want server.Stat
	for _, x := range m.waits(dev) {
		want.Count++
		want.Bytes += int64(len(x.Body))
		if want.Oldest.IsZero() || x.At.Before(want.Oldest) {
			want.Oldest = x.At
		}
	}
	if st.Count != want.Count || st.Bytes != want.Bytes || !st.Oldest.Equal(want.Oldest) {
		t.Fatalf("%+v, want %+v", st, want)
	}
}

func (m *machine) removeDevice(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "rarely") != 0 {
		return
	}
	dev := drawDevice(t, drawUser(t))
	if err := m.s.RemoveDevice(m.ctx, dev); err != nil {
		t.Fatal(err)
	}
	m.removed[dev] = true
	for _, x := range m.messages {
		if x.Device == dev {
			x.ended, x.forgotten = true, true
		}
	}
}

func (m *machine) register(t *rapid.T) {
	user, record := drawUser(t), []byte{byte(rapid.IntRange(0, 2).Draw(t, "record"))}
	err := m.s.CreateAccount(m.ctx, server.Registration{User: user, Record: record, Now: m.now})
	switch a := m.accounts[user]; {
	case a == nil:
		m.accounts[user] = &server.Account{User: user, Version: 1, Record: record}
		fallthrough
	case a.Version == 1 && bytes.Equal(a.Record, record):
		if err != nil {
			t.Fatal(err)
		}
	default:
		if !errors.Is(err, server.ErrExists) {
			t.Fatalf("%v, want ErrExists", err)
		}
	}
}

func (m *machine) update(t *rapid.T) {
	user, record := drawUser(t), []byte{byte(rapid.IntRange(0, 2).Draw(t, "record"))}
	old := server.Version(rapid.Uint64Range(1, 6).Draw(t, "old"))
	gone := drawDevice(t, user)
	v, err := m.s.UpdateAccount(m.ctx, server.Change{User: user, Old: old, Record: record, Removed: []address.Device{gone.ID}})
	switch a := m.accounts[user]; {
	case a == nil:
		if !errors.Is(err, server.ErrNotFound) {
			t.Fatalf("%v, want ErrNotFound", err)
		}
	case a.Version == old+1 && bytes.Equal(a.Record, record):
		if err != nil || v != old+1 {
			t.Fatalf("repeated: version %d, %v", v, err)
		}
	case a.Version != old:
		if !errors.Is(err, server.ErrConflict) {
			t.Fatalf("%v, want ErrConflict", err)
		}
	default:
		if err != nil || v != old+1 {
			t.Fatalf("version %d, %v", v, err)
		}
		a.Version, a.Record = v, record
		for _, k := range m.keys {
			if k.dev == gone {
				k.left = false
			}
		}
		delete(m.epochs, gone)
	}
}

// advanceEpoch draws from so few values that all cases come.
func (m *machine) advanceEpoch(t *rapid.T) {
	dev := drawDevice(t, drawUser(t))
	draw := func(name string) server.Epoch { return server.Epoch{byte(rapid.IntRange(0, 2).Draw(t, name))} }
	from, to := draw("from"), draw("to")
	err := m.s.AdvanceEpoch(m.ctx, dev, from, to)
	switch held, ok := m.epochs[dev]; {
	case m.accounts[dev.User] == nil:
		if !errors.Is(err, server.ErrNotFound) {
			t.Fatalf("%v, want ErrNotFound", err)
		}
	case ok && held != from && held != to:
		if !errors.Is(err, server.ErrConflict) {
			t.Fatalf("%v, want ErrConflict", err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		m.epochs[dev] = to
	}
}

func (m *machine) account(t *rapid.T) {
	user := drawUser(t)
	got, err := m.s.Account(m.ctx, user)
	want := m.accounts[user]
	if want == nil {
		if !errors.Is(err, server.ErrNotFound) {
			t.Fatalf("%v, want ErrNotFound", err)
		}
		return
	}
	if err != nil || got.Version != want.Version || !bytes.Equal(got.Record, want.Record) {
		t.Fatalf("%+v, want %+v, %v", got, want, err)
	}
}

// putKeys puts a set; fewer batches are used than are remembered.
func (m *machine) putKeys(t *rapid.T) {
	dev := drawDevice(t, drawUser(t))
	kind := server.OneTimeKind(rapid.IntRange(1, 2).Draw(t, "kind"))
	batch := rapid.Uint64Range(1, server.RememberBatches).Draw(t, "batch")
	set := keySet(dev, kind, batch, m.next+1, rapid.IntRange(0, 4).Draw(t, "keys"))
	m.next += uint64(len(set.Keys))
	err := m.s.PutOneTime(m.ctx, dev.User, set)
	if m.accounts[dev.User] == nil {
		if !errors.Is(err, server.ErrNotFound) {
			t.Fatalf("%v, want ErrNotFound", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	b := modelBatch{dev, kind, set.Batch}
	if m.batches[b] {
		return
	}
	m.batches[b] = true
	for _, k := range m.keys {
		if k.dev == dev && k.kind == kind {
			k.left = false
		}
	}
	for _, k := range set.Keys {
		m.keys = append(m.keys, &modelKey{dev: dev, kind: kind, id: k.ID, left: true})
	}
}

func (m *machine) take(t *rapid.T) {
	dev := drawDevice(t, drawUser(t))
	taken, err := m.s.TakeOneTime(m.ctx, dev)
	if err != nil {
		t.Fatal(err)
	}
	left := [3]int{}
	for kind, got := range map[server.OneTimeKind]*server.OneTimeKey{server.OneTimeEC: taken.EC, server.OneTimeKEM: taken.KEM} {
		found := false
		had := 0
		for _, k := range m.keys {
			if k.dev != dev || k.kind != kind || !k.left {
				continue
			}
			had++
			if got != nil && k.id == got.ID {
				if !bytes.Equal(got.Public, publicKey(dev, kind, k.id)) {
					t.Fatal("another key's content")
				}
				k.left, found = false, true
			}
		}
		if got == nil && had > 0 || got != nil && !found {
			t.Fatalf("kind %d: took %v of %d", kind, got, had)
		}
		left[kind] = had
		if found {
			left[kind]--
		}
	}
	ec, kem, err := m.s.CountOneTime(m.ctx, dev)
	if err != nil || ec != left[1] || kem != left[2] {
		t.Fatalf("%d and %d left, want %v, %v", ec, kem, left, err)
	}
}

func (m *machine) restored(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "rarely") != 0 {
		return
	}
	g, err := m.s.Restored(m.ctx)
	if m.generation++; err != nil || g != m.generation {
		t.Fatalf("generation %d, want %d, %v", g, m.generation, err)
	}
	for _, k := range m.keys {
		k.left = false
	}
	clear(m.epochs)
}
