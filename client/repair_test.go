package client_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// counted is a directory that counts the bundles it hands out, and can refuse
// to or have no one-time keys left.
type counted struct {
	server.Directory
	taken        atomic.Int64
	down, barren atomic.Bool
}

func (d *counted) TakeOneTime(ctx context.Context, dev server.Device) (server.Taken, error) {
	d.taken.Add(1)
	switch {
	case d.down.Load():
		return server.Taken{}, context.DeadlineExceeded
	case d.barren.Load():
		return server.Taken{}, nil
	}
	return d.Directory.TakeOneTime(ctx, dev)
}

// lossy is two friends at a server that the test holds, with one clock for all.
type lossy struct {
	*world
	box                *tap
	keys               *counted
	ahead              atomic.Int64 // nanoseconds
	alice, bob         client.API
	aliceHome, bobHome client.Config
}

func newLossy(t *testing.T) *lossy {
	t.Helper()
	m := memstore.New()
	x := &lossy{box: &tap{Mailbox: m}, keys: &counted{Directory: m}}
	now := func() time.Time { return time.Now().Add(time.Duration(x.ahead.Load())) }
	x.world = &world{t: t, dir: t.TempDir(), stores: server.Stores{Directory: x.keys, Mailbox: x.box, Wake: m}}
	x.serve(server.Config{Stores: x.stores, Listen: "127.0.0.1:0", Dir: x.dir, Now: now})
	x.aliceHome, x.bobHome = config(t, "alice"), config(t, "bob")
	x.aliceHome.Now, x.bobHome.Now = now, now
	x.alice, x.bob = friends(t, x.world, x.aliceHome, x.bobHome)
	x.quiet()
	t.Cleanup(func() {
		if all, err := x.bob.History(context.Background(), "alice", 0, ""); t.Failed() && err == nil {
			for _, m := range all {
				t.Logf("bob was shown %s %q %s %s %s", m.Kind, m.Text, m.Notice, m.Cause, m.Repair)
			}
		}
	})
	return x
}

// quiet waits until all receipts of what was sent have come.
func (x *lossy) quiet() {
	x.t.Helper()
	reached(x.t, "everything is read", func() bool {
		for _, c := range []client.API{x.alice, x.bob} {
			peer := "bob"
			if c == x.bob {
				peer = "alice"
			}
			for _, m := range history(x.t, c, peer) {
				if m.Direction == client.Out && m.Status != client.StatusRead && m.Status != client.StatusFailed {
					return false
				}
			}
			if s, err := c.Status(ctx(x.t)); err != nil || s.Outbox != 0 {
				return false
			}
		}
		return true
	}, x.alice, x.bob)
}

func (x *lossy) later(d time.Duration) { x.ahead.Add(int64(d)) }

// shown are the texts, tombstones and notices of a conversation, in order.
func shown(t *testing.T, c client.API, with string) (out []string) {
	t.Helper()
	all, err := c.History(ctx(t), with, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		switch m.Kind {
		case client.KindText:
			out = append(out, m.Text)
		case client.KindNotice:
			out = append(out, m.Notice+":"+m.Text)
		default:
			out = append(out, string(m.Kind)+":"+m.Cause+":"+string(m.Repair))
		}
	}
	return out
}

func has(t *testing.T, c client.API, with string, want ...string) func() bool {
	return func() bool {
		got := shown(t, c, with)
		for _, w := range want {
			if !slices.Contains(got, w) {
				return false
			}
		}
		return true
	}
}

// TestR_CLT_35_36_37_38_LostSession: a device that has lost its session starts
// one new session, asks on it, gets everything that was lost once and in order, and
// says so; statuses rise, and the conversation goes on.
func TestR_CLT_35_36_37_38_LostSession(t *testing.T) {
	x := newLossy(t)
	if err := client.LoseSessions(ctx(t), x.bob, "alice"); err != nil {
		t.Fatal(err)
	}
	x.bob.Close()
	var sent []client.Message
	for i := range 5 {
		sent = append(sent, send(t, x.alice, "bob", fmt.Sprint("lost ", i)))
	}
	before := x.keys.taken.Load()
	x.bob = open(t, x.bobHome)
	reached(t, "the messages came again", has(t, x.bob, "alice", "messages_recovered:5"), x.bob, x.alice)
	x.quiet()
	got := shown(t, x.bob, "alice")
	var texts []string
	for _, s := range got {
		if strings.HasPrefix(s, "lost ") {
			texts = append(texts, s)
		}
		if strings.HasPrefix(s, "undecryptable") && s != "undecryptable:no_session:repaired" {
			t.Errorf("a tombstone is %q", s)
		}
	}
	if want := []string{"lost 0", "lost 1", "lost 2", "lost 3", "lost 4"}; !slices.Equal(texts, want) {
		t.Errorf("bob was shown %q", texts)
	}
	if n := x.keys.taken.Load() - before; n != 1 {
		t.Errorf("%d new sessions", n)
	}
	for _, c := range []struct {
		api  client.API
		peer string
	}{{x.alice, "bob"}, {x.bob, "alice"}} {
		n := 0
		for _, s := range shown(t, c.api, c.peer) {
			if s == "session_reset:" {
				n++
			}
		}
		if c.api == x.alice && n != 1 { // bob had none that gave way
			t.Errorf("the switch was shown %d times to %s's peer", n, c.peer)
		}
	}
	m, err := x.alice.Message(ctx(t), sent[0].ID)
	if err != nil || m.Status != client.StatusRead || m.SentAgainAt.IsZero() {
		t.Errorf("alice's message is now %+v, %v", m, err)
	}
	said := fmt.Sprint(client.Explain(m).Steps)
	if !strings.Contains(said, "sent again") {
		t.Errorf("explained as %s", said)
	}
	send(t, x.alice, "bob", "and on")
	send(t, x.bob, "alice", "indeed")
	reached(t, "the conversation goes on", func() bool {
		return has(t, x.bob, "alice", "and on")() && has(t, x.alice, "bob", "indeed")()
	}, x.alice, x.bob)
	if got := shown(t, x.bob, "alice"); got[len(got)-1] != "indeed" && got[len(got)-1] != "and on" {
		t.Errorf("bob's conversation ends with %q", got[len(got)-1])
	}
}

// TestR_CLT_36_PrekeysLost: a device that cannot take a start of the other side
// starts a session itself, on which everything comes again, whichever of the
// two would win by its id (R-SES-16).
func TestR_CLT_36_PrekeysLost(t *testing.T) {
	for range 3 {
		x := newLossy(t)
		for _, err := range []error{
			client.LoseSessions(ctx(t), x.alice, "bob"), client.LoseSessions(ctx(t), x.bob, "alice"), client.LosePrekeys(ctx(t), x.bob),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		send(t, x.alice, "bob", "one")
		send(t, x.alice, "bob", "two")
		reached(t, "both came again", has(t, x.bob, "alice", "messages_recovered:2", "undecryptable:no_prekey:repaired"), x.bob, x.alice)
		got := slices.DeleteFunc(shown(t, x.bob, "alice"), func(s string) bool { return s != "one" && s != "two" })
		if !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("bob was shown %q", got)
		}
	}
}

// garbled are copies of an envelope that no session recognises.
func garbled(e server.Envelope, n int) (out []server.Envelope) {
	env, err := content.DecodeEnvelope(e.Body)
	if err != nil {
		panic(err)
	}
	for i := range n {
		bad := e
		bad.ID[5], bad.ID[6] = byte(i), byte(i>>8)
		other := env
		other.Initial, other.Message = nil, bytes.Clone(env.Message)
		wire, err := ratchet.ParseMessage(env.Message)
		if err != nil {
			panic(err)
		}
		other.Message[bytes.Index(env.Message, wire.Header)] ^= byte(i + 1)
		bad.Body = other.Encode()
		out = append(out, bad)
	}
	return out
}

// TestR_CLT_36_GarbageIsBounded: a server that makes up messages without end
// causes one new session an hour and no more, loses nothing by it, and never one that
// rests on a last-resort key.
func TestR_CLT_36_GarbageIsBounded(t *testing.T) {
	x := newLossy(t)
	n := 0
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User != "bob" {
			return []server.Envelope{e}
		}
		n++
		out := garbled(e, 3)
		for i := range out {
			out[i].ID[7] = byte(n)
		}
		return append(out, e)
	})
	round := func(text string) {
		t.Helper()
		for i := range 4 {
			send(t, x.alice, "bob", fmt.Sprint(text, i))
			if err := x.bob.Sync(ctx(t)); err != nil {
				t.Fatal(err)
			}
		}
		reached(t, "the true messages are there", has(t, x.bob, "alice", text+"0", text+"1", text+"2", text+"3"), x.bob, x.alice)
	}
	before := x.keys.taken.Load()
	round("a")
	if n := x.keys.taken.Load() - before; n != 1 {
		t.Errorf("%d new sessions in the first hour", n)
	}
	x.later(client.RepairEvery + time.Minute)
	round("b")
	if n := x.keys.taken.Load() - before; n != 2 {
		t.Errorf("%d new sessions in two hours", n)
	}
	x.keys.barren.Store(true)
	x.later(client.RepairEvery + time.Minute)
	sessions := status(t, x.bob).Sessions
	round("c")
	if n := status(t, x.bob).Sessions; n != sessions {
		t.Errorf("%d sessions, %d before: garbage led to one without a one-time key", n, sessions)
	}
	if slices.Contains(shown(t, x.bob, "alice"), client.NoticeLastResort+":") {
		t.Error("garbage led to a session that rests on a last-resort key")
	}
	all := shown(t, x.bob, "alice")
	if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, "undecryptable:no_session") }) {
		t.Error("no garbage came: the test proves nothing")
	}
	for _, text := range []string{"a0", "b1", "c3"} {
		if n := len(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s != text })); n != 1 {
			t.Errorf("%q is shown %d times", text, n)
		}
	}
}

func status(t *testing.T, c client.API) client.StatusReport {
	t.Helper()
	s, err := c.Status(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestR_CLT_35_Durable: a repair that could not begin before the process ended
// is made by the next one.
func TestR_CLT_35_Durable(t *testing.T) {
	x := newLossy(t)
	if err := client.LoseSessions(ctx(t), x.bob, "alice"); err != nil {
		t.Fatal(err)
	}
	x.keys.down.Store(true)
	send(t, x.alice, "bob", "lost")
	_ = x.bob.Sync(ctx(t))
	if got := shown(t, x.bob, "alice"); !slices.Contains(got, "undecryptable:no_session:") {
		t.Fatalf("bob was shown %q", got)
	}
	x.bob.Close()
	x.keys.down.Store(false)
	x.bob = open(t, x.bobHome)
	reached(t, "it came again", has(t, x.bob, "alice", "lost", "messages_recovered:1", "undecryptable:no_session:repaired"), x.bob, x.alice)
}

// TestR_CLT_35_Strangers: nothing is sent by itself to a stranger, whatever
// cannot be opened, and a stranger's question is not answered. R-CLT-14
func TestR_CLT_35_Strangers(t *testing.T) {
	x := newLossy(t)
	carol := x.join(config(t, "carol"), "carol")
	send(t, carol, "bob", "one")
	take(t, x.bob)
	var toCarol atomic.Int64
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User == "carol" {
			toCarol.Add(1)
		}
		if e.Device.User == "bob" {
			return append(garbled(e, 2), e)
		}
		return []server.Envelope{e}
	})
	send(t, carol, "bob", "two")
	if err := client.SayRepair(ctx(t), carol, "bob", client.AskForEver()); err != nil {
		t.Fatal(err)
	}
	send(t, carol, "bob", "three")
	reached(t, "all came", has(t, x.bob, "carol", "two", "three", "undecryptable:no_session:"), carol, x.bob)
	x.later(client.RepairEvery + time.Minute)
	if err := x.bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if n := toCarol.Load(); n != 0 {
		t.Errorf("%d envelopes to a stranger", n)
	}
}

// TestR_CLT_37_AsksForEver: a contact that asks without end is answered once
// an hour with a bounded answer; a server that repeats the question gains nothing,
// and answers that nobody asked for change nothing.
func TestR_CLT_37_AsksForEver(t *testing.T) {
	x := newLossy(t)
	x.bob.Close() // its texts stay without receipts
	for i := range 3 {
		send(t, x.alice, "bob", fmt.Sprint(i))
	}
	var toBob atomic.Int64
	x.box.set(func(e server.Envelope) []server.Envelope {
		if e.Device.User == "bob" {
			toBob.Add(1)
			return nil // nothing arrives, so nothing is acknowledged
		}
		again := e // the question twice
		again.ID[0] ^= 0xff
		return []server.Envelope{e, again}
	})
	x.bob = open(t, x.bobHome)
	for hour := range 2 {
		for range 5 {
			for _, r := range []content.Repair{client.AskForEver(), client.DoneForEver()} {
				if err := client.SayRepair(ctx(t), x.bob, "alice", r); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range []client.API{x.bob, x.alice} {
				if err := c.Sync(ctx(t)); err != nil {
					t.Fatal(err)
				}
			}
		}
		// Of the three texts those are sent again that have no receipt.
		if n := toBob.Load(); n > int64(4*(hour+1)) || n == 0 {
			t.Errorf("%d envelopes in hour %d", n, hour+1)
		}
		x.later(client.RepairEvery + time.Minute)
	}
	for _, s := range shown(t, x.alice, "bob") {
		if strings.HasPrefix(s, "messages_") {
			t.Errorf("alice was told %q", s)
		}
	}
}

// TestR_CLT_38_NothingToHeal: what had no text in it, or whose lifetime is
// over, is not called healed.
func TestR_CLT_38_NothingToHeal(t *testing.T) {
	x := newLossy(t)
	if err := client.LoseSessions(ctx(t), x.bob, "alice"); err != nil {
		t.Fatal(err)
	}
	carol := x.join(config(t, "carol"), "carol")
	var held []byte
	x.box.set(func(e server.Envelope) []server.Envelope {
		if held == nil {
			held = e.Body
			return nil
		}
		late := e
		late.ID[0], late.Body = ^e.ID[0], held
		x.box.set(nil)
		return []server.Envelope{e, late}
	})
	if _, err := x.alice.Send(ctx(t), "bob", "brief", client.SendOptions{TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	x.later(2 * time.Minute) // the server delivers it when its lifetime is over
	send(t, carol, "bob", "with this one")
	reached(t, "the answer", has(t, x.bob, "alice", "undecryptable:no_session:nothing"), x.bob, x.alice)
	for _, m := range history(t, x.bob, "alice") {
		if m.Kind == client.KindUndecryptable && (m.Repaired || !strings.Contains(client.Explain(m).Next, "had no text")) {
			t.Errorf("%+v: %s", m, client.Explain(m).Next)
		}
	}
	if slices.ContainsFunc(shown(t, x.bob, "alice"), func(s string) bool { return strings.HasPrefix(s, "messages_recovered") }) {
		t.Error("something was called recovered")
	}
}

// TestR_CLT_35_OwnDevices: what another device of the account has sent is asked
// for and sent again in the same way.
func TestR_CLT_35_OwnDevices(t *testing.T) {
	w := newWorld(t)
	laptop := w.join(config(t, "alice"), "alice")
	bob := w.join(config(t, "bob"), "bob")
	desktop := w.another(laptop, "desktop")
	bobs := bob.Account().Address
	send(t, laptop, "bob", "before")
	reached(t, "the desktop knows it", func() bool { return len(history(t, desktop, bobs)) == 1 }, desktop, laptop)
	if err := client.LoseSessions(ctx(t), desktop, "me"); err != nil {
		t.Fatal(err)
	}
	send(t, laptop, "bob", "lost to the desktop")
	send(t, laptop, "me", "a note")
	reached(t, "both came again", func() bool {
		return has(t, desktop, bobs, "before", "lost to the desktop")() && has(t, desktop, "me", "a note", "messages_recovered:2")()
	}, desktop, laptop)
	if got := history(t, desktop, bobs); len(got) != 2 || got[1].Direction != client.Out {
		t.Errorf("the desktop shows %+v", got)
	}
	if got := take(t, bob); !slices.Equal(got, []string{"before", "lost to the desktop"}) {
		t.Errorf("bob got %q", got)
	}
}
