package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/grouplog"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// team is a group as its members know it. What its log says is noise: the
// server must not care.
type team struct {
	t       testing.TB
	group   [relay.GroupIDSize]byte
	token   [relay.GroupTokenSize]byte
	seq     uint64
	head    [relay.GroupHeadSize]byte
	entries []relay.GroupEntry
	members []*person
}

func draw32() (b [32]byte) {
	rand.Read(b[:])
	return b
}

// noise is an entry's blob.
func noise() []byte {
	b := draw32()
	return b[:]
}

// newTeam makes a group through c.
func newTeam(t testing.TB, c *relayclient.Conn, members ...*person) *team {
	t.Helper()
	g := &team{t: t, token: draw32(), seq: 1, members: members}
	rand.Read(g.group[:])
	first := relay.GroupEntry{Seq: 1, Blob: noise()}
	first.Head = grouplog.Head(g.group, 1, first.Prev, first.Blob)
	g.head, g.entries = first.Head, []relay.GroupEntry{first}
	if err := c.GroupCreate(t.Context(), g.creation()); err != nil {
		t.Fatal(err)
	}
	return g
}

// creation is what made the group, as long as it is in its first epoch.
func (g *team) creation() relay.GroupCreate {
	return relay.GroupCreate{Group: g.group, Head: g.entries[0].Head, Blob: g.entries[0].Blob, Token: g.token}
}

// next is an entry that would follow, the end of the epoch if next is given.
func (g *team) next(next []byte) relay.GroupAppend {
	return g.hashed(relay.GroupAppend{Group: g.group, Seq: g.seq + 1, Prev: g.head, Blob: noise(), Token: g.token, NextToken: next})
}

// hashed gives an entry the head that it must have.
func (g *team) hashed(a relay.GroupAppend) relay.GroupAppend {
	a.Head = grouplog.Head(a.Group, a.Seq, a.Prev, a.Blob)
	return a
}

// place appends what must be placed.
func (g *team) place(c *relayclient.Conn, a relay.GroupAppend) {
	g.t.Helper()
	placed, err := c.GroupAppend(g.t.Context(), a)
	if err != nil || !placed.Ok || placed.Seq != a.Seq || placed.Head != a.Head {
		g.t.Fatalf("GroupAppend = %+v, %v", placed, err)
	}
	g.seq, g.head = a.Seq, a.Head
	g.entries = append(g.entries, relay.GroupEntry{Seq: a.Seq, Prev: a.Prev, Head: a.Head, Blob: a.Blob})
	if len(a.NextToken) > 0 {
		g.token = [relay.GroupTokenSize]byte(a.NextToken)
	}
}

// audience is every active device of the members but from.
func (g *team) audience(from address.Device) []relay.GroupAudience {
	var all []relay.GroupAudience
	for _, p := range g.members {
		m := relay.GroupAudience{User: p.addr.User(), Version: p.list.Version, Devices: []address.Device{}}
		for _, d := range p.list.Active() {
			if d.ID != from {
				m.Devices = append(m.Devices, d.ID)
			}
		}
		all = append(all, m)
	}
	return all
}

func (g *team) message(from address.Device, body string) relay.GroupSend {
	m := relay.GroupSend{Group: g.group, Seq: g.seq, Head: g.head, Token: g.token, Body: []byte(body), Audience: g.audience(from)}
	rand.Read(m.ID[:])
	return m
}

// say sends to everybody, which must succeed.
func (g *team) say(c *relayclient.Conn, m relay.GroupSend) relay.GroupSendResult {
	g.t.Helper()
	got, err := c.GroupSend(g.t.Context(), m)
	if err != nil || got.Stale != nil || got.Lists != nil {
		g.t.Fatalf("GroupSend = %+v, %v", got, err)
	}
	return got
}

func readTeam(t testing.TB, c *relayclient.Conn, g *team, token [relay.GroupTokenSize]byte, from uint64) relay.GroupPage {
	t.Helper()
	page, err := c.GroupRead(t.Context(), relay.GroupRead{Group: g.group, From: from, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func wantEntries(t testing.TB, page relay.GroupPage, want []relay.GroupEntry) {
	t.Helper()
	if len(page.Entries) != len(want) {
		t.Fatalf("%d entries, want %d", len(page.Entries), len(want))
	}
	for i, e := range page.Entries {
		w := want[i]
		if e.Seq != w.Seq || e.Prev != w.Prev || e.Head != w.Head || !bytes.Equal(e.Blob, w.Blob) {
			t.Fatalf("entry %d is another", i)
		}
	}
}

// R-REL-40, R-REL-42, R-REL-43: a log is made once and grows by
// compare-and-swap; every step may be repeated.
func TestR_REL_43_Log(t *testing.T) {
	w := serve(t)
	a, b := w.person("alice").connect(), w.person("bob").connect()
	g := newTeam(t, a)
	if err := a.GroupCreate(t.Context(), g.creation()); err != nil {
		t.Fatal(err)
	}
	other := g.creation()
	other.Blob = []byte("another")
	wantCode(t, b.GroupCreate(t.Context(), other), relay.BadRequest) // R-REL-53
	other.Head = grouplog.Head(other.Group, 1, [32]byte{}, other.Blob)
	wantCode(t, b.GroupCreate(t.Context(), other), relay.Exists)

	first := g.token
	one, rival := g.next(nil), g.next(nil)
	g.place(a, one)
	lost, err := b.GroupAppend(t.Context(), rival)
	if err != nil || lost.Ok || lost.Seq != 2 || lost.Head != one.Head {
		t.Fatalf("the loser is told %+v, %v", lost, err)
	}
	next := draw32()
	rekey := g.next(next[:])
	g.place(b, rekey)
	g.place(b, g.next(nil))
	for _, again := range []relay.GroupAppend{one, rekey} {
		placed, err := a.GroupAppend(t.Context(), again)
		if err != nil || !placed.Ok || placed.Seq != again.Seq || placed.Head != again.Head {
			t.Fatalf("a repetition: %+v, %v", placed, err)
		}
	}
	changed := rekey
	changed.NextToken = noise()
	if placed, err := a.GroupAppend(t.Context(), changed); err != nil || placed.Ok {
		t.Fatalf("the same entry for another epoch: %+v, %v", placed, err)
	}
	wrong := g.next(nil)
	wrong.Head = draw32()
	_, err = a.GroupAppend(t.Context(), wrong)
	wantCode(t, err, relay.BadRequest) // R-REL-53
	reused := g.next(first[:])
	_, err = a.GroupAppend(t.Context(), reused)
	wantCode(t, err, relay.BadRequest)
	wantEntries(t, readTeam(t, a, g, g.token, 1), g.entries[3:])
}

// R-REL-40: the same log may be written from any account that shows the token,
// and the store holds nothing of who did.
func TestR_REL_40_Nobody(t *testing.T) {
	st := &seen{Store: memstore.New()}
	defer st.Close()
	w := serve(t, func(c *server.Config) { c.Stores = storesOf(st) })
	a, b := w.person("alice").connect(), w.person("bob").connect()
	g := newTeam(t, a)
	g.place(b, g.next(nil))
	g.place(a, g.next(nil))
	wantEntries(t, readTeam(t, b, g, g.token, 1), g.entries)
	if len(st.creations) != 1 || len(st.appends) != 2 {
		t.Fatalf("%d groups and %d entries reach the store", len(st.creations), len(st.appends))
	}
	hash := server.GroupToken(sha256.Sum256(g.token[:])) // R-REL-41
	for i, e := range g.entries {
		got := server.GroupAppend{Group: server.GroupID(g.group), Token: hash, Entry: server.GroupEntry{Seq: e.Seq, Prev: e.Prev, Head: e.Head, Blob: e.Blob}}
		var stored any = server.GroupCreation{Group: got.Group, Token: got.Token, Entry: got.Entry}
		reached := any(st.creations[0])
		if i > 0 {
			stored, reached = got, st.appends[i-1]
		}
		if !reflect.DeepEqual(reached, stored) {
			t.Errorf("the store is given %+v", reached)
		}
	}
}

// seen is a store that keeps what it is given of groups.
type seen struct {
	*memstore.Store
	creations []server.GroupCreation
	appends   []server.GroupAppend
}

func (s *seen) CreateGroup(ctx context.Context, c server.GroupCreation) error {
	s.creations = append(s.creations, c)
	return s.Store.CreateGroup(ctx, c)
}

func (s *seen) AppendGroup(ctx context.Context, a server.GroupAppend) (server.GroupState, error) {
	s.appends = append(s.appends, a)
	return s.Store.AppendGroup(ctx, a)
}

// R-REL-43: of many who place an entry at once, one does.
func TestR_REL_43_OneOfMany(t *testing.T) {
	w := serve(t)
	a := w.person("alice").connect()
	g := newTeam(t, a)
	var mu sync.Mutex
	won := 0
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			next := draw32()
			placed, err := a.GroupAppend(t.Context(), g.next(next[:]))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if placed.Ok {
				won++
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Fatalf("%d of 16 rivals were placed", won)
	}
}

// R-REL-44: a token shows the entries of its epoch, in pages, and where that
// ended; R-REL-41: to everybody else there is no such group.
func TestR_REL_44_OldTokens(t *testing.T) {
	w := serve(t)
	a, eve := w.person("alice").connect(), w.person("eve").connect()
	g := newTeam(t, a)
	first := g.token
	for len(g.entries) < relay.MaxGroupPage+5 {
		g.place(a, g.next(nil))
	}
	next := draw32()
	g.place(a, g.next(next[:]))
	end := len(g.entries)
	// The new epoch has no entry yet.
	page := readTeam(t, a, g, g.token, uint64(end))
	if len(page.Entries) != 0 || page.More || page.Moved || page.Seq != g.seq || page.Head != g.head {
		t.Fatalf("the new epoch begins with %+v", page)
	}
	g.place(a, g.next(nil))

	// A former member sees the end of their epoch and nothing after it.
	page = readTeam(t, eve, g, first, 1)
	wantEntries(t, page, g.entries[:relay.MaxGroupPage])
	if !page.More || !page.Moved || page.Seq != uint64(end) || page.Head != g.entries[end-1].Head {
		t.Fatalf("an old token shows %v, %v up to %d", page.More, page.Moved, page.Seq)
	}
	page = readTeam(t, eve, g, first, relay.MaxGroupPage+1)
	wantEntries(t, page, g.entries[relay.MaxGroupPage:end])
	if page.More || !page.Moved {
		t.Fatalf("the rest has more: %+v", page)
	}
	if page = readTeam(t, eve, g, first, uint64(end)+1); len(page.Entries) != 0 || page.Seq != uint64(end) {
		t.Fatalf("beyond the end of an epoch: %+v", page)
	}
	late := g.next(nil)
	late.Token = first
	forked := late // after the end that the token knows
	forked.Seq, forked.Prev = uint64(end)+1, g.entries[end-1].Head
	for _, a := range []relay.GroupAppend{late, g.hashed(forked)} {
		placed, err := eve.GroupAppend(t.Context(), a)
		if err != nil || placed.Ok || placed.Seq != uint64(end) || placed.Head != g.entries[end-1].Head {
			t.Fatalf("a former member places an entry: %+v, %v", placed, err)
		}
	}
	// The member of today sees no entry of the time before.
	wantEntries(t, readTeam(t, a, g, g.token, 1), g.entries[end:])

	unknown := [relay.GroupIDSize]byte{1}
	for _, who := range []struct {
		group [relay.GroupIDSize]byte
		token [relay.GroupTokenSize]byte
	}{{g.group, draw32()}, {unknown, g.token}, {unknown, draw32()}, {g.group, [32]byte{}}} {
		_, err := eve.GroupRead(t.Context(), relay.GroupRead{Group: who.group, From: 1, Token: who.token})
		refused := []*relay.Error{wantCode(t, err, relay.NotFound)}
		add := g.next(nil)
		add.Group, add.Token = who.group, who.token
		add = g.hashed(add)
		_, err = eve.GroupAppend(t.Context(), add)
		refused = append(refused, wantCode(t, err, relay.NotFound))
		m := g.message(0, "let me in")
		m.Group, m.Token, m.Audience = who.group, who.token, []relay.GroupAudience{{User: "alice", Version: 1, Devices: []address.Device{}}}
		_, err = eve.GroupSend(t.Context(), m)
		refused = append(refused, wantCode(t, err, relay.NotFound))
		for _, r := range refused {
			if len(r.Body()) != 0 { // R-REL-41: nothing tells the cases apart
				t.Errorf("a refusal says %+v", r)
			}
		}
	}
}

// R-REL-52: entries have a size, and creating and placing are limited for each
// account.
func TestR_REL_52_LogLimits(t *testing.T) {
	w := serve(t, limited(func(l *server.Limits) {
		l.GroupCreates = server.Rate{Burst: 2, Every: time.Hour}
		l.GroupAppends = server.Rate{Burst: 3, Every: time.Hour}
		l.GroupLog = server.Rate{Burst: relay.MaxGroupBlob + 300, Every: time.Hour}
	}))
	a, b := w.person("alice").connect(), w.person("bob").connect()
	g := newTeam(t, a)
	newTeam(t, a)
	third := g.creation()
	third.Group[0]++
	third.Head = grouplog.Head(third.Group, 1, [32]byte{}, third.Blob)
	e := wantCode(t, a.GroupCreate(t.Context(), third), relay.RateLimited)
	if e.RetryAfter <= 0 || e.RetryAfter > time.Hour {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	newTeam(t, b) // others are not affected

	long := g.next(nil)
	long.Blob = make([]byte, relay.MaxGroupBlob+1)
	_, err := a.GroupAppend(t.Context(), long)
	wantCode(t, err, relay.BadRequest)
	long.Blob = long.Blob[1:]
	g.place(a, g.hashed(long))
	long = g.next(nil)
	long.Blob = make([]byte, 300)
	_, err = a.GroupAppend(t.Context(), g.hashed(long)) // no more bytes
	wantCode(t, err, relay.RateLimited)
	g.place(a, g.next(nil))
	_, err = a.GroupAppend(t.Context(), g.next(nil)) // no more entries
	wantCode(t, err, relay.RateLimited)
	g.place(b, g.next(nil))

	// An audience beyond the bounds is refused before anybody is looked up.
	m := g.message(0, "to everybody")
	for i := range relay.MaxAudience + 1 {
		m.Audience = append(m.Audience, relay.GroupAudience{User: fmt.Sprintf("user%d", i), Version: 1, Devices: []address.Device{1}})
	}
	_, err = b.GroupSend(t.Context(), m)
	wantCode(t, err, relay.BadRequest)
	m.Audience = m.Audience[:1]
	for d := range address.Device(relay.MaxDevices) {
		m.Audience[0].Devices = append(m.Audience[0].Devices, d+2)
	}
	_, err = b.GroupSend(t.Context(), m)
	wantCode(t, err, relay.BadRequest)
}

// people makes n accounts with a device each.
func (w *world) people(n int) []*person {
	var all []*person
	for i := range n {
		all = append(all, w.person(fmt.Sprintf("member%d", i)))
	}
	return all
}
