package server_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/sqlitestore"
)

// R-REL-45: one body reaches every device of the audience, once, however often
// it is sent.
func TestR_REL_45_FanOut(t *testing.T) {
	w := serve(t)
	alice, bob, carol := w.person("alice"), w.person("bob"), w.person("carol")
	a, b, c := alice.connect(), bob.connect(), carol.connect()
	tablet, desk := bob.second(b).Device, alice.second(a).Device
	g := newTeam(t, a, alice, bob, carol)
	m := g.message(alice.device, "to all")
	for range 3 {
		if got := g.say(a, m); got.Full != nil {
			t.Fatalf("left out: %+v", got.Full)
		}
	}
	if n := waiting(t, w, alice, alice.device); n != 0 {
		t.Errorf("the sending device has got %d", n)
	}
	for _, at := range []struct {
		p *person
		d address.Device
	}{{alice, desk}, {bob, bob.device}, {bob, tablet}, {carol, carol.device}} {
		if n := waiting(t, w, at.p, at.d); n != 1 {
			t.Errorf("%s has got %d", at.p.addr.User(), n)
		}
	}
	if got := bodies(receive(t, c, 1)); got[0] != "to all" {
		t.Errorf("%q came", got)
	}
	g.say(a, m) // also after it was acknowledged
	g.say(b, g.message(bob.device, "an answer"))
	if got := bodies(receive(t, c, 1)); got[0] != "an answer" {
		t.Errorf("%q came", got)
	}
	// Another sender's equal id is another message (R-REL-16).
	m.Body, m.Audience = []byte("mine"), g.audience(bob.device)
	g.say(b, m)
	if got := bodies(receive(t, c, 1)); got[0] != "mine" {
		t.Errorf("%q came", got)
	}
	// A group of one device says nothing to nobody.
	lonely := newTeam(t, c, carol)
	lonely.say(c, lonely.message(carol.device, "hello?"))
}

// R-REL-46: nothing is sent by who has not seen the end of the log, and nothing
// with the token of an epoch that has ended.
func TestR_REL_46_StaleHead(t *testing.T) {
	w := serve(t)
	alice, bob, eve := w.person("alice"), w.person("bob"), w.person("eve")
	a, e := alice.connect(), eve.connect()
	g := newTeam(t, a, alice, bob)
	before := g.message(alice.device, "late")
	g.place(a, g.next(nil))
	forked := g.message(alice.device, "forked")
	forked.Head = draw32()
	ahead := g.message(alice.device, "ahead")
	ahead.Seq++
	old := g.message(eve.device, "by a former member")
	next := draw32()
	for name, m := range map[string]relay.GroupSend{"behind": before, "forked": forked, "ahead": ahead} {
		got, err := a.GroupSend(t.Context(), m)
		if err != nil || got.Stale == nil || got.Stale.Seq != g.seq || got.Stale.Head != g.head {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	g.place(a, g.next(next[:]))
	end := relay.GroupStale{Seq: g.seq, Head: g.head}
	g.place(a, g.next(nil))
	// With the old token: at the head it knew, at the end of its epoch, and at
	// the present head.
	for _, at := range []relay.GroupStale{{Seq: old.Seq, Head: old.Head}, end, {Seq: g.seq, Head: g.head}} {
		m := old
		m.Seq, m.Head = at.Seq, at.Head
		got, err := e.GroupSend(t.Context(), m)
		if err != nil || got.Stale == nil || *got.Stale != end {
			t.Errorf("an old token at %d: %+v, %v", at.Seq, got, err)
		}
	}
	if n := waiting(t, w, bob, bob.device); n != 0 {
		t.Fatalf("%d messages were stored", n)
	}
	g.say(a, g.message(alice.device, "now"))
}

// R-REL-47: the server asks for an audience that it does not hold, holds those
// it was told of within its bounds, and tells nobody of another group whether it
// holds one.
func TestR_REL_47_Audiences(t *testing.T) {
	w := serve(t, limited(func(l *server.Limits) { l.CachedAudience = 8 }))
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	g, other := newTeam(t, a, alice, bob), newTeam(t, b, alice, bob)
	probe := w.raw()
	probe.logIn(w, w.person("probe"))
	ask := func(m relay.GroupSend, audience *relay.Audience, whole bool) relay.Code {
		t.Helper()
		probe.write(relay.AppendFrame(nil, relay.Frame{ID: 9, Kind: uint64(relay.OpGroupSend), Body: m.Request(audience, whole)}))
		for {
			f, err := probe.read()
			if err != nil {
				t.Fatal(err)
			}
			if f.ID == 9 {
				return relay.Code(f.Kind)
			}
		}
	}
	held := func(g *team) bool {
		t.Helper()
		m := g.message(alice.device, "x")
		code := ask(m, relay.NewAudience(m.Audience), false)
		if code != relay.OK && code != relay.NeedAudience {
			t.Fatalf("asked by its hash: %v", code)
		}
		return code == relay.OK
	}
	if held(g) {
		t.Fatal("an audience is held that nobody has sent")
	}
	g.say(a, g.message(alice.device, "one"))
	if !held(g) {
		t.Fatal("an audience that was sent is not held")
	}
	if held(other) {
		t.Fatal("the same audience is held for another group")
	}
	// Three users' worth of room each: with the third the first is forgotten.
	other.say(a, other.message(alice.device, "two"))
	third := newTeam(t, b, alice, bob)
	third.say(a, third.message(alice.device, "three"))
	if held(g) || !held(other) || !held(third) {
		t.Fatal("not the least recently used audience was forgotten")
	}
	// Too large to hold: sent along each time.
	big := newTeam(t, a, append(w.people(4), alice)...)
	for range 2 {
		big.say(a, big.message(alice.device, "x"))
		if held(big) {
			t.Fatal("an audience beyond the bound is held")
		}
	}
	// What is sent along must be what was named.
	m := g.message(alice.device, "x")
	r := relay.NewAudience(m.Audience)
	r.Hash[0]++
	if code := ask(m, r, true); code != relay.BadRequest {
		t.Errorf("another audience than its hash says: %v", code)
	}
}

// R-REL-48: with a device list that is not the present one nothing is stored,
// and the answer names whose.
func TestR_REL_48_Lists(t *testing.T) {
	w := serve(t)
	alice, bob, carol := w.person("alice"), w.person("bob"), w.person("carol")
	a, b, c := alice.connect(), bob.connect(), carol.connect()
	g := newTeam(t, a, alice, bob, carol)
	old := g.message(alice.device, "old picture")
	bob.second(b)
	carol.second(c)
	now := g.message(alice.device, "x")
	change := func(f func(m []relay.GroupAudience) []relay.GroupAudience) relay.GroupSend {
		m := now
		m.Audience = f(g.audience(alice.device))
		return m
	}
	for name, c := range map[string]struct {
		m    relay.GroupSend
		want []string
	}{
		"two lists have moved": {old, []string{"bob", "carol"}},
		"a device is missing": {change(func(m []relay.GroupAudience) []relay.GroupAudience {
			m[1].Devices = m[1].Devices[:1]
			return m
		}), []string{"bob"}},
		"a device too many": {change(func(m []relay.GroupAudience) []relay.GroupAudience {
			m[2].Devices = append(m[2].Devices, address.NewDevice())
			return m
		}), []string{"carol"}},
		"a version to come": {change(func(m []relay.GroupAudience) []relay.GroupAudience {
			m[1].Version++
			return m
		}), []string{"bob"}},
		"the sending device": {change(func(m []relay.GroupAudience) []relay.GroupAudience {
			m[0].Devices = append(m[0].Devices, alice.device)
			return m
		}), []string{"alice"}},
		"nobody of that name": {change(func(m []relay.GroupAudience) []relay.GroupAudience {
			return append(m, relay.GroupAudience{User: "nobody", Version: 1, Devices: []address.Device{1}})
		}), []string{"nobody"}},
	} {
		got, err := a.GroupSend(t.Context(), c.m)
		if err != nil || !slices.Equal(got.Lists, c.want) || got.Stale != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, p := range []*person{bob, carol} {
		if n := waiting(t, w, p, p.device); n != 0 {
			t.Fatalf("%s has got %d messages", p.addr.User(), n)
		}
	}
	g.say(a, now)
	// A revoked device sends nothing.
	gone := bob.next(func(l *devicelist.List) { l.Devices[0].Status = devicelist.Revoked })
	if err := b.PutDeviceList(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	bob.held(gone)
	if _, err := b.GroupSend(t.Context(), g.message(bob.device, "x")); err == nil {
		t.Fatal("a revoked device has sent")
	}
}

// R-REL-48: a list that another server on the same store has changed is read
// before anybody is told that theirs is old.
func TestR_REL_48_ReadAfresh(t *testing.T) {
	mem := memstore.New()
	defer mem.Close()
	over := func(c *server.Config) { c.Stores = storesOf(mem) }
	w := serve(t, over)
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	g := newTeam(t, a, alice, bob)
	g.say(a, g.message(alice.device, "one")) // and bob's list is at hand

	w2 := serve(t, over, func(c *server.Config) { c.Host = w.srv.Host() })
	b, err := relayclient.Dial(t.Context(), relayclient.Target{Host: w.srv.Host(), Pin: w2.invite.Pin, Dial: w2.elsewhere}, bob.login())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	bob.second(b)
	g.say(a, g.message(alice.device, "two"))

	// A sender that was revoked there meanwhile is nobody here.
	desk := alice.second(a)
	d, err := relayclient.Dial(t.Context(), relayclient.Target{Host: w.srv.Host(), Pin: w2.invite.Pin, Dial: w2.elsewhere}, desk)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	gone := alice.next(func(l *devicelist.List) { l.Devices[0].Status = devicelist.Revoked })
	if err := d.PutDeviceList(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	alice.held(gone)
	_, err = a.GroupSend(t.Context(), g.message(alice.device, "three"))
	wantCode(t, err, relay.Unauthorized)
}

// elsewhere reaches this server, whatever name was dialled.
func (w *world) elsewhere(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, w.srv.Addr())
}

// R-REL-49: devices without room are left out and named, and the rest gets it;
// with no room anywhere nothing is stored.
func TestR_REL_49_Full(t *testing.T) {
	x := newCrowd(t)
	carol := x.person("carol")
	g := newTeam(t, x.a, x.alice, x.bob, carol)
	fill(t, x.mem, "bob", x.tablet, server.MailboxMessages)
	fill(t, x.mem, "carol", carol.device, server.MailboxMessages-1)
	fits := g.message(x.alice.device, "the last that carol has room for")
	leftOut := []relay.GroupDevice{{User: "bob", Device: x.tablet}}
	for range 2 { // what filled the mailbox itself is not left out when it comes again
		if got := g.say(x.a, fits); !reflect.DeepEqual(got.Full, leftOut) {
			t.Fatalf("left out: %+v", got.Full)
		}
	}
	m := g.message(x.alice.device, "two are full")
	leftOut = append(leftOut, relay.GroupDevice{User: "carol", Device: carol.device})
	if got := g.say(x.a, m); !reflect.DeepEqual(got.Full, leftOut) {
		t.Fatalf("left out: %+v", got.Full)
	}
	if waiting(t, x.world, x.bob, x.bob.device) != 2 || waiting(t, x.world, x.alice, x.desk) != 2 {
		t.Error("those with room have not got it")
	}
	fill(t, x.mem, "bob", x.bob.device, server.MailboxMessages-2)
	fill(t, x.mem, "alice", x.desk, server.MailboxMessages-2)
	_, err := x.a.GroupSend(t.Context(), g.message(x.alice.device, "nobody"))
	wantCode(t, err, relay.MailboxFull)
}

// cutShort is a mailbox that fails after so many appends.
type cutShort struct {
	server.Mailbox
	left atomic.Int64
}

func (c *cutShort) Append(ctx context.Context, e []server.Envelope) ([]server.Result, error) {
	if c.left.Add(-1) < 0 {
		return nil, errors.New("the disk is gone")
	}
	return c.Mailbox.Append(ctx, e)
}

// R-REL-45: a message that reached some when the server died reaches the rest
// when it is sent again, and nobody twice; what was answered is durable.
func TestR_REL_45_CrashBetween(t *testing.T) {
	dir := t.TempDir()
	open := func() *sqlitestore.Store {
		st, err := sqlitestore.Open(sqlitestore.Options{Dir: filepath.Join(dir, "store")})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	box := &cutShort{Mailbox: st}
	box.left.Store(1 << 40)
	w := serve(t, func(c *server.Config) { c.Stores, c.Dir, c.Mailbox = storesOf(st), dir, box })
	alice := w.person("alice")
	members := append(w.people(80), alice)
	a := alice.connect()
	g := newTeam(t, a, members...)
	m := g.message(alice.device, "to eighty")
	box.left.Store(33)
	_, err := a.GroupSend(t.Context(), m)
	wantCode(t, err, relay.Internal)
	a.Close()
	w.stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	st = open()
	defer st.Close()
	w2 := serve(t, func(c *server.Config) { c.Stores, c.Dir, c.Listen = storesOf(st), dir, w.srv.Addr() })
	defer w2.stop()
	count := func() (got, twice int) {
		for _, p := range members {
			switch n := waiting(t, w2, p, p.device); {
			case n > 1:
				twice++
			case n == 1:
				got++
			}
		}
		return got, twice
	}
	if got, _ := count(); got != 33 {
		t.Fatalf("%d have got it before", got)
	}
	a = alice.connect()
	g.say(a, m)
	g.say(a, m)
	if got, twice := count(); got != 80 || twice != 0 {
		t.Fatalf("%d have got it, %d of them twice", got+twice, twice)
	}
}

// removedMeanwhile is a mailbox in which a device is gone since it was looked
// up.
type removedMeanwhile struct {
	server.Mailbox
	device address.Device
}

func (r *removedMeanwhile) Append(ctx context.Context, e []server.Envelope) ([]server.Result, error) {
	for i := range e {
		if e[i].Device.ID == r.device {
			return nil, server.ErrRemoved
		}
	}
	return r.Mailbox.Append(ctx, e)
}

// R-REL-45: a device that is revoked while a message is on its way is passed
// over, and the others get theirs.
func TestR_REL_45_RemovedMeanwhile(t *testing.T) {
	box := &removedMeanwhile{}
	w := serve(t, withMemory, func(c *server.Config) { box.Mailbox, c.Mailbox = c.Mailbox, box })
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	tablet := bob.second(bob.connect()).Device
	g := newTeam(t, a, alice, bob)
	box.device = bob.device
	if got := g.say(a, g.message(alice.device, "x")); got.Full != nil {
		t.Errorf("left out: %+v", got.Full)
	}
	if waiting(t, w, bob, tablet) != 1 || waiting(t, w, bob, bob.device) != 0 {
		t.Error("not the one left has got it")
	}
}

// R-REL-50: what one account has copied for groups is limited by copies, bytes
// and pairs, and a message within the limits is not refused.
func TestR_REL_50_SendLimits(t *testing.T) {
	const none = -1
	limit := func(copies, bytes, pair int) (*world, *team, *person, func(string) error) {
		w := serve(t, limited(func(l *server.Limits) {
			for to, n := range map[*server.Rate]int{&l.GroupCopies: copies, &l.GroupBytes: bytes, &l.GroupPair: pair} {
				*to = server.Rate{Burst: n, Every: time.Hour}
			}
		}))
		alice := w.person("alice")
		a := alice.connect()
		g := newTeam(t, a, append(w.people(3), alice)...)
		return w, g, alice, func(body string) error {
			_, err := a.GroupSend(t.Context(), g.message(alice.device, body))
			return err
		}
	}
	for name, l := range map[string][3]int{"copies": {6, none, none}, "bytes": {none, 6 * 2, none}, "pairs": {none, none, 2}} {
		_, _, _, say := limit(l[0], l[1], l[2])
		for range 2 {
			if err := say("xx"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if e := wantCode(t, say("xx"), relay.RateLimited); e.RetryAfter <= 0 {
			t.Errorf("%s: retry after %v", name, e.RetryAfter)
		}
	}
	// A device that was sent too many bytes does not hold up the others.
	w := serve(t, limited(func(l *server.Limits) { l.SendBytes = server.Rate{Burst: 100, Every: time.Hour} }))
	alice, bob, carol := w.person("alice"), w.person("bob"), w.person("carol")
	a := alice.connect()
	send(t, a, to(bob, string(make([]byte, 99))))
	g := newTeam(t, a, alice, bob, carol)
	got := g.say(a, g.message(alice.device, "four"))
	if !reflect.DeepEqual(got.Full, []relay.GroupDevice{{User: "bob", Device: bob.device}}) {
		t.Errorf("left out: %+v", got.Full)
	}
	if waiting(t, w, carol, carol.device) != 1 {
		t.Error("carol has got nothing")
	}
	_, err := a.GroupSend(t.Context(), g.message(alice.device, string(make([]byte, relay.MaxEnvelope+1))))
	wantCode(t, err, relay.TooLarge)
}

// R-REL-18: what goes to a group expires as everything else does.
func TestR_REL_45_Expiry(t *testing.T) {
	mem := memstore.New()
	defer mem.Close()
	w := serve(t, func(c *server.Config) { c.Stores = storesOf(mem) })
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	g := newTeam(t, a, alice, bob)
	short := g.message(alice.device, "short")
	short.TTL = 60
	g.say(a, short)
	g.say(a, g.message(alice.device, "long"))
	if _, err := mem.Expire(t.Context(), time.Now().Add(2*time.Minute), 100); err != nil {
		t.Fatal(err)
	}
	if got := bodies(receive(t, bob.connect(), -1)); len(got) != 1 || got[0] != "long" {
		t.Errorf("%q came", got)
	}
}
