package server_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// second adds a device to the account by its connected first one and returns
// its login.
func (p *person) second(c *relayclient.Conn) relayclient.Login {
	p.w.t.Helper()
	sign, id := key(p.w.t), address.NewDevice()
	entry := p.next(func(l *devicelist.List) { l.Devices = append(l.Devices, p.describe(id, sign)) })
	if err := c.PutDeviceList(p.w.t.Context(), entry); err != nil {
		p.w.t.Fatal(err)
	}
	p.held(entry)
	return relayclient.Login{User: p.addr.User(), Device: id, Key: sign}
}

func (p *person) revoke(c *relayclient.Conn, id address.Device) []byte {
	p.w.t.Helper()
	entry := p.next(func(l *devicelist.List) {
		for i := range l.Devices {
			if l.Devices[i].ID == id {
				l.Devices[i].Status = devicelist.Revoked
			}
		}
	})
	if err := c.PutDeviceList(p.w.t.Context(), entry); err != nil {
		p.w.t.Fatal(err)
	}
	p.held(entry)
	return entry
}

func (w *world) dialAs(l relayclient.Login) *relayclient.Conn {
	w.t.Helper()
	c, err := relayclient.Dial(w.t.Context(), w.target(), l)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// copies are those of a send by one device for the person's other ones.
func copies(p *person, from address.Device, body string) *relay.OwnCopies {
	o := &relay.OwnCopies{ListVersion: p.list.Version, Messages: []relay.Outgoing{}}
	for _, d := range p.list.Active() {
		if d.ID != from {
			o.Messages = append(o.Messages, outgoing(d.ID, body))
		}
	}
	return o
}

// R-REL-14, R-REL-30: one request for the recipient's devices and one's own:
// all of it is stored or nothing, and own copies name exactly the other devices
// of the present list.
func TestR_REL_30_OwnCopies(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	alone := to(bob, "alone")
	alone.Own = copies(alice, alice.device, "")
	send(t, a, alone)
	desk := alice.second(a)
	bob.second(b)

	base := to(bob, "theirs")
	with := func(own *relay.OwnCopies) relay.SendRequest {
		r := to(bob, "refused")
		r.Own = own
		return r
	}
	self := copies(alice, alice.device, "x")
	self.Messages = append(self.Messages, outgoing(alice.device, "to itself"))
	only := copies(alice, desk.Device, "for the wrong one")
	foreign := copies(alice, alice.device, "x")
	foreign.Messages[0].Device = bob.device
	more := copies(alice, alice.device, "x")
	more.Messages = append(more.Messages, outgoing(address.NewDevice(), "x"))
	old, ahead := copies(alice, alice.device, "x"), copies(alice, alice.device, "x")
	old.ListVersion, ahead.ListVersion = 1, 3
	for name, own := range map[string]*relay.OwnCopies{
		"the sending device too":     self,
		"the sending device instead": only,
		"a device of somebody else":  foreign,
		"a device too many":          more,
		"nobody":                     {ListVersion: 2, Messages: []relay.Outgoing{}},
		"the version before":         old,
		"a version to come":          ahead,
	} {
		result, err := a.Send(t.Context(), with(own))
		if err != nil || result.Stale == nil || !result.Stale.Own || result.Stale.Version != 2 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	// The recipient's list is told first when both are old.
	both := with(old)
	both.ListVersion = 1
	if result, err := a.Send(t.Context(), both); err != nil || result.Stale == nil || result.Stale.Own {
		t.Errorf("both lists: %+v, %v", result, err)
	}
	// A send to oneself has no own copies beside it.
	note := to(alice, "note")
	note.Messages = note.Messages[1:]
	note.Own = copies(alice, alice.device, "x")
	_, err := a.Send(t.Context(), note)
	wantCode(t, err, relay.BadRequest)
	if n := waiting(t, w, alice, desk.Device); n != 0 {
		t.Fatalf("%d copies of refused sends are stored", n)
	}

	base.Own = copies(alice, alice.device, "ours")
	for range 2 { // repeated, it is stored once
		send(t, a, base)
	}
	// Without a version of the recipient's, own copies are the same.
	loose := relay.SendRequest{To: "bob", Messages: []relay.Outgoing{outgoing(bob.device, "loose")}, Own: copies(alice, alice.device, "own of loose")}
	send(t, a, loose)
	if got := bodies(receive(t, w.dialAs(desk), -1)); !slices.Equal(got, []string{"ours", "own of loose"}) {
		t.Errorf("the own device got %q", got)
	}
	if got := bodies(receive(t, b, 3)); !slices.Equal(got, []string{"alone", "theirs", "loose"}) {
		t.Errorf("the recipient got %q", got)
	}
}

// R-REL-30: what the recipient has no room for keeps the own copies back, and a
// lifetime counts for both parts.
func TestR_REL_30_TogetherOrNotAtAll(t *testing.T) {
	mem := memstore.New()
	defer mem.Close()
	w := serve(t, func(c *server.Config) { c.Stores = storesOf(mem) })
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	desk := alice.second(a)
	r := to(bob, "short")
	r.TTL, r.Own = 60, copies(alice, alice.device, "short")
	send(t, a, r)
	var oldest time.Time
	for _, dev := range []server.Device{{User: "bob", ID: bob.device}, {User: "alice", ID: desk.Device}} {
		st, err := mem.Stat(t.Context(), dev)
		if err != nil || st.Count != 1 {
			t.Fatalf("%+v, %v", st, err)
		}
		oldest = st.Oldest
	}
	if n, err := mem.Expire(t.Context(), oldest.Add(61e9), 10); n != 2 || err != nil {
		t.Errorf("%d messages expire after their time, %v", n, err)
	}
	fill(t, mem, "bob", bob.device, server.MailboxMessages)
	r = to(bob, "kept back")
	r.Own = copies(alice, alice.device, "kept back")
	_, err := a.Send(t.Context(), r)
	wantCode(t, err, relay.MailboxFull)
	if n := waiting(t, w, alice, desk.Device); n != 0 {
		t.Errorf("%d copies are stored without their message", n)
	}
}

// R-REL-30, R-REL-17: own copies take from the bytes of the own device that
// receives them.
func TestR_REL_17_OwnBytes(t *testing.T) {
	limits := unlimited
	limits.SendBytes = server.Rate{Burst: 1000, Every: 1e12}
	w := serve(t, func(c *server.Config) { c.Limits = limits })
	alice, bob, carol := w.person("alice"), w.person("bob"), w.person("carol")
	a := alice.connect()
	alice.second(a)
	size := string(make([]byte, 600))
	for i, p := range []*person{bob, carol} {
		r := to(p, "small")
		r.Own = copies(alice, alice.device, size)
		_, err := a.Send(t.Context(), r)
		if (err == nil) != (i == 0) {
			t.Errorf("send %d: %v", i, err)
		}
		if err != nil {
			wantCode(t, err, relay.RateLimited)
		}
	}
}

func extend(l devicelist.List, entries [][]byte) (devicelist.List, error) {
	for _, e := range entries {
		next, err := devicelist.Extend(l, e)
		if err != nil {
			return l, err
		}
		l = next
	}
	return l, nil
}

// R-REL-31: the refusal carries what the sender lacks, which verifies, and
// nothing when nothing is known to be lacking.
func TestR_REL_31_Difference(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	first, mine := bob.list, alice.list
	old := to(bob, "old")
	old.Own = copies(alice, alice.device, "")
	login := bob.second(b)
	bob.revoke(b, login.Device)
	bob.second(b)
	alice.second(a)

	result, err := a.Send(t.Context(), old)
	if err != nil || result.Stale == nil || result.Stale.Own || result.Stale.Version != 4 {
		t.Fatalf("%+v, %v", result, err)
	}
	now, err := extend(first, result.Stale.Entries)
	if err != nil || now.Hash() != bob.list.Hash() {
		t.Fatalf("the entries lead to version %d, %v", now.Version, err)
	}
	next := to(bob, "next")
	next.Own = old.Own
	if result, err = a.Send(t.Context(), next); err != nil || result.Stale == nil || !result.Stale.Own || result.Stale.Version != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	if now, err = extend(mine, result.Stale.Entries); err != nil || now.Hash() != alice.list.Hash() {
		t.Fatalf("the own entries lead to version %d, %v", now.Version, err)
	}
	next.Own = copies(alice, alice.device, "x")
	send(t, a, next)

	for name, version := range map[string]uint64{"none": 0, "the present": 4, "a later": 5, "the last of all": 1<<64 - 1} {
		r := relay.SendRequest{To: "bob", ListVersion: version, Messages: []relay.Outgoing{outgoing(login.Device, "x")}}
		result, err := a.Send(t.Context(), r)
		if err != nil || result.Stale == nil || result.Stale.Version != 4 || len(result.Stale.Entries) != 0 {
			t.Errorf("version %s: %+v, %v", name, result, err)
		}
	}
}

// R-REL-31: the difference is a page at most.
func TestR_REL_31_Page(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	old, size := to(bob, "old"), 0
	for size <= relay.MaxPage {
		entry := bob.next(func(l *devicelist.List) {
			for i := range l.Devices[1:] {
				l.Devices[i+1].Status = devicelist.Revoked
			}
			if len(l.Devices) < 40 {
				l.Devices = append(l.Devices, bob.describe(address.NewDevice(), key(t)))
			}
		})
		if err := b.PutDeviceList(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		bob.held(entry)
		size += len(entry)
	}
	result, err := a.Send(t.Context(), old)
	if err != nil || result.Stale == nil || result.Stale.Version != bob.list.Version {
		t.Fatalf("%+v, %v", result, err)
	}
	if n := uint64(len(result.Stale.Entries)); n == 0 || n >= bob.list.Version-1 {
		t.Errorf("%d entries of %d", n, bob.list.Version-1)
	}
}
