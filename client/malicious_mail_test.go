package client_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/server"
)

// mail changes the deliveries to one user, message by message, and numbers
// afresh what comes of them: a relay that has the sequence numbers in its hand.
func mail(user string, change func([]relay.Delivery) []relay.Delivery) func(string, relay.Deliver) []relay.Deliver {
	var mu sync.Mutex
	var last uint64
	return func(to string, d relay.Deliver) []relay.Deliver {
		if to != user {
			return []relay.Deliver{d}
		}
		mu.Lock()
		defer mu.Unlock()
		var out []relay.Deliver
		for _, m := range change(d.Messages) {
			last = max(last+1, m.Seq)
			m.Seq = last
			out = append(out, relay.Deliver{Messages: []relay.Delivery{m}})
		}
		if d.Empty {
			out = append(out, relay.Deliver{Empty: true})
		}
		return out
	}
}

// TestR_CLT_01_MailWithheld: what a relay keeps back is not claimed to have
// arrived, and is shown in its place or after when the relay lets go of it; the
// rest of the conversation goes on.
func TestR_CLT_01_MailWithheld(t *testing.T) {
	l := newVillain(t)
	alice, bob := l.join(config(t, "alice"), "alice"), l.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "hello")
	take(t, bob)
	send(t, bob, "alice", "hello") // alice is no stranger, so bob sends receipts
	take(t, alice)
	var mu sync.Mutex
	keeping, kept := false, map[relay.MessageID]bool{}
	l.delivers(mail("bob", func(in []relay.Delivery) (out []relay.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range in {
			if keeping || kept[m.ID] {
				kept[m.ID] = true
				continue
			}
			out = append(out, m)
		}
		return out
	}))
	device, err := address.ParseDevice(bob.Account().Device)
	if err != nil {
		t.Fatal(err)
	}
	keep := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		keeping = on
	}
	var sent []client.Message
	for i := range 4 {
		keep(i == 1)
		sent = append(sent, send(t, alice, "bob", fmt.Sprint("message ", i)))
		until(t, "it arrives, or is kept back and all that waits with it", func() bool {
			if i != 1 {
				return slices.Contains(viewOf(t, bob, "alice").texts, fmt.Sprint("text message ", i))
			}
			st, err := l.stores.Mailbox.Stat(ctx(t), server.Device{User: "bob", ID: device})
			mu.Lock()
			defer mu.Unlock()
			return err == nil && len(kept) > 0 && st.Count == len(kept)
		})
	}
	if got := viewOf(t, bob, "alice").texts; slices.Contains(got, "text message 1") || len(got) != 5 {
		t.Fatalf("bob is shown %q", got)
	}
	until(t, "the last one is known to have arrived", func() bool {
		m, err := alice.Message(ctx(t), sent[3].ID)
		return err == nil && (m.Status == client.StatusDelivered || m.Status == client.StatusRead)
	})
	if m, err := alice.Message(ctx(t), sent[1].ID); err != nil || m.Status != client.StatusAccepted {
		t.Errorf("the one that is kept back is %s, %v", m.Status, err)
	}
	l.delivers(nil)
	l.hangUp()
	until(t, "it arrives at last", func() bool { return slices.Contains(viewOf(t, bob, "alice").texts, "text message 1") })
	got := viewOf(t, bob, "alice").texts
	slices.Sort(got)
	if want := []string{"text hello", "text hello", "text message 0", "text message 1", "text message 2", "text message 3"}; !slices.Equal(got, want) {
		t.Errorf("bob is shown %q", got)
	}
}

// TestR_CLT_04_MailReordered: mail in reverse order, some of it twice, is shown
// once each, whatever the relay numbers it.
func TestR_CLT_04_MailReordered(t *testing.T) {
	l := newVillain(t)
	home := config(t, "bob")
	alice, bob := l.join(config(t, "alice"), "alice"), l.join(home, "bob")
	send(t, alice, "bob", "hello")
	take(t, bob)
	bob.Close()
	var want []string
	for i := range 30 {
		send(t, alice, "bob", fmt.Sprint(i))
		want = append(want, fmt.Sprint("text ", i))
	}
	var kept []relay.Delivery
	l.delivers(mail("bob", func(in []relay.Delivery) []relay.Delivery {
		out := slices.Clone(in)
		slices.Reverse(out)
		for i, m := range out[:len(out)/2] {
			m.ID[0] ^= byte(i) // the same under another id
			out = append(out, m)
		}
		kept = append(kept, out...)
		return out
	}))
	bob = open(t, home)
	if err := bob.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	got := viewOf(t, bob, "alice").texts
	if len(kept) < 30 || len(got) == 0 || got[0] != "text hello" {
		t.Fatalf("%d messages passed, bob is shown %q", len(kept), got)
	}
	got = got[1:]
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("bob is shown %q", got)
	}
}

// TestR_CLT_05_MailMisdirected: mail that is put into another mailbox, sent back,
// or given another sender is shown as nobody's text.
func TestR_CLT_05_MailMisdirected(t *testing.T) {
	l := newVillain(t)
	alice, bob, carol := l.join(config(t, "alice"), "alice"), l.join(config(t, "bob"), "bob"), l.join(config(t, "carol"), "carol")
	send(t, alice, "bob", "hello")
	send(t, carol, "bob", "hello")
	take(t, bob)
	send(t, bob, "alice", "hello")
	send(t, bob, "carol", "hello")
	take(t, alice)
	take(t, carol)
	carolsDevice, err := bob.Contact(ctx(t), "carol")
	if err != nil {
		t.Fatal(err)
	}
	as := func(addr string, device string) func(content.Envelope) content.Envelope {
		return func(e content.Envelope) content.Envelope {
			var err error
			if e.From, err = address.ParseCanonical(addr); err != nil {
				t.Error(err)
			}
			if e.Device, err = address.ParseDevice(device); err != nil {
				t.Error(err)
			}
			return e
		}
	}
	relabel := func(f func(content.Envelope) content.Envelope) func([]relay.Delivery) []relay.Delivery {
		return func(in []relay.Delivery) (out []relay.Delivery) {
			for _, m := range in {
				e, err := content.DecodeEnvelope(m.Body)
				if err != nil {
					t.Error(err)
				}
				m.Body = f(e).Encode()
				out = append(out, m)
			}
			return out
		}
	}
	me := bob.Account()
	for name, f := range map[string]func(content.Envelope) content.Envelope{
		"from carol":       as(carol.Account().Address, carolsDevice.Devices[0].ID),
		"from bob himself": as(me.Address, me.Device),
		"from his other":   as(me.Address, "00000000000000ff"),
		"to another device": func(e content.Envelope) content.Envelope {
			e.To++
			return e
		},
		"from a device that alice does not have": as(alice.Account().Address, "00000000000000ff"),
	} {
		l.delivers(mail("bob", relabel(f)))
		send(t, alice, "bob", "stolen words")
		if err := bob.Sync(ctx(t)); err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"alice", "carol", "me"} {
			if got := viewOf(t, bob, who).texts; slices.Contains(got, "text stolen words") {
				t.Errorf("%s: with %s bob is shown %q", name, who, got)
			}
		}
	}
	// Bob's mail in carol's mailbox, where it comes beside her own.
	var mu sync.Mutex
	var stolen []relay.Delivery
	l.delivers(func(to string, d relay.Deliver) []relay.Deliver {
		mu.Lock()
		defer mu.Unlock()
		if to == "bob" {
			stolen = append(stolen, d.Messages...)
			return nil
		}
		return mail("carol", func(in []relay.Delivery) []relay.Delivery { return append(stolen, in...) })(to, d)
	})
	send(t, alice, "bob", "stolen words")
	until(t, "bob's mail is in the relay's hands", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(stolen) > 0
	})
	send(t, alice, "carol", "her own")
	if err := carol.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "carol has hers", func() bool { return slices.Contains(viewOf(t, carol, "alice").texts, "text her own") })
	for _, who := range []string{"alice", "bob"} {
		if got := viewOf(t, carol, who).texts; slices.Contains(got, "text stolen words") {
			t.Errorf("with %s carol is shown %q", who, got)
		}
	}
}
