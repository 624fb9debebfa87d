package client_test

import (
	"crypto/ed25519"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/mnemonic"
	"github.com/pawl-chat/pawl/internal/relay"
)

// twin is a puppet with the account key of a real person, and its list as the
// honest server has it: for lists that only a thief of the key can sign.
func (l *villain) twin(c client.API) *puppet {
	l.t.Helper()
	words, err := c.RecoveryWords(ctx(l.t))
	if err != nil {
		l.t.Fatal(err)
	}
	seed, err := mnemonic.Decode(strings.Join(words.Words, " "))
	if err != nil {
		l.t.Fatal(err)
	}
	addr, err := address.ParseCanonical(words.Address)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &puppet{villain: l, addr: addr, account: ed25519.NewKeyFromSeed(seed[:]), sign: map[address.Device]ed25519.PrivateKey{}}
	asker := l.puppet("asker")
	asker.enroll()
	chain, err := asker.login(asker.lists[0].Devices[0].ID).Account(l.t.Context(), addr.User())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range chain {
		p.add(e)
	}
	return p
}

// byWords makes one more device of a person, by the words on paper.
func (l *villain) byWords(c client.API, name string) client.API {
	l.t.Helper()
	words, err := c.RecoveryWords(ctx(l.t))
	if err != nil {
		l.t.Fatal(err)
	}
	d, err := client.RestoreWords(ctx(l.t), config(l.t, name), client.WordsRequest{
		Address: words.Address, Invite: l.invite, Words: strings.Join(words.Words, " "), DeviceName: name,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { d.Close() })
	return d
}

// TestR_CLT_26_LiesAboutTheOwnAccount: a relay that shows a person's own
// devices the list with a device that nobody signed, a fork, an older state or
// another account changes neither what they show nor for whom they seal.
func TestR_CLT_26_LiesAboutTheOwnAccount(t *testing.T) {
	l := newVillain(t)
	laptop := l.join(config(t, "alice"), "alice")
	desktop := l.byWords(laptop, "desktop")
	l.join(config(t, "bob"), "bob")
	send(t, laptop, "bob", "before")
	alice, other := l.twin(laptop), l.puppet("alice")
	other.add(other.after(1, with(other.device("second"))))
	other.add(other.after(2, with(other.device("third"))))
	before, err := laptop.Devices(ctx(t))
	if err != nil || len(before) != 2 {
		t.Fatalf("%+v, %v", before, err)
	}
	for name, c := range map[string]struct {
		chain  func(alice, other *puppet) [][]byte
		notice string
	}{
		"a device that nobody signed": {func(alice, _ *puppet) [][]byte {
			e := alice.after(2, with(alice.device("spy")))
			e[len(e)-1] ^= 1
			return append(slices.Clip(alice.chain), e)
		}, ""},
		"a fork with another device": {func(alice, _ *puppet) [][]byte {
			return [][]byte{alice.chain[0], alice.after(1, with(alice.device("spy")))}
		}, client.NoticeListForked},
		"a fork that goes on": {func(alice, _ *puppet) [][]byte {
			fork := *alice
			fork.chain, fork.lists = alice.chain[:1:1], alice.lists[:1:1]
			fork.add(alice.after(1, with(alice.device("spy"))))
			fork.add(fork.after(2, with(alice.device("another"))))
			return fork.chain
		}, client.NoticeListForked},
		"an older state without the other device": {func(alice, _ *puppet) [][]byte {
			return alice.chain[:1]
		}, client.NoticeListRolledBack},
		"another account": {func(_, other *puppet) [][]byte { return other.chain }, client.NoticeListForked},
		"somebody else's": {func(_, other *puppet) [][]byte { return other.chain[:1] }, client.NoticeListForked},
		"nothing":         {func(_, _ *puppet) [][]byte { return nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			spies := map[address.Device]bool{}
			chain := c.chain(alice, other)
			for _, p := range []*puppet{alice, other} {
				for id := range p.sign {
					spies[id] = true
				}
			}
			told := viewOf(t, laptop, "me").notices
			// For every connection, and for every send.
			lied := staleWith("alice", true, 2, chain)
			l.lies(func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
				var b relay.TakeBundleRequest
				if q.op == relay.OpTakeBundle && relay.Decode(q.body, &b) == nil && spies[b.Device] {
					t.Error("a device that is none is asked for keys")
				}
				var s relay.SendRequest
				if q.op == relay.OpSend {
					if s, _ = relay.DecodeSend(q.body); s.Own == nil {
						return code, body, true
					}
					for _, m := range s.Own.Messages {
						if e, err := content.DecodeEnvelope(m.Body); err != nil || spies[e.To] {
							t.Error("something is sealed for a device that is none")
						}
					}
				}
				return lied(q, code, body)
			})
			asked := l.count(relay.OpAccount)
			l.hangUp()
			until(t, "the own list is asked for", func() bool { return laptop.Sync(ctx(t)) == nil && l.count(relay.OpAccount) > asked })
			_, err = laptop.Send(ctx(t), "bob", "lied to", client.SendOptions{})
			if err == nil {
				t.Error("a message left on a false list")
			}
			if now, err := laptop.Devices(ctx(t)); err != nil || !reflect.DeepEqual(now, before) {
				t.Errorf("the own devices are shown as %+v, %v", now, err)
			}
			if c.notice != "" {
				told = append(slices.Clip(told), c.notice)
			}
			if got := viewOf(t, laptop, "me").notices; !slices.Equal(got, told) {
				t.Errorf("alice is told %q, want %q", got, told)
			}
			l.lies(nil)
			send(t, laptop, "bob", "after "+name)
			until(t, "the other device is told", func() bool {
				return desktop.Sync(ctx(t)) == nil && slices.Contains(viewOf(t, desktop, "bob").texts, "text after "+name)
			})
		})
	}
}

// TestR_CLT_07_AlarmHoldsNobodyUp: mail from a device that the held list does not
// have, of a person about whom the relay lies, keeps nobody else's mail back.
func TestR_CLT_07_AlarmHoldsNobodyUp(t *testing.T) {
	l := newVillain(t)
	alice := l.join(config(t, "alice"), "alice")
	bob, carol := l.join(config(t, "bob"), "bob"), l.join(config(t, "carol"), "carol")
	send(t, bob, "alice", "hello")
	send(t, carol, "alice", "hello")
	take(t, alice)
	l.byWords(bob, "tablet")
	if _, err := alice.Send(ctx(t), "bob", "to both", client.SendOptions{Refresh: true}); err != nil {
		t.Fatal(err)
	}
	twin := l.twin(bob)
	phone := l.byWords(bob, "phone")
	// The relay shows alice, and not bob's own devices, a fork.
	fork := chains("bob", [][]byte{twin.chain[0], twin.after(1, with(twin.device("spy")))})
	l.lies(func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
		if q.user == "alice" {
			return fork(q, code, body)
		}
		return code, body, true
	})
	send(t, phone, "alice", "from a new device")
	send(t, carol, "alice", "not held up")
	until(t, "carol's message comes", func() bool {
		alice.Sync(ctx(t))
		return slices.Contains(viewOf(t, alice, "carol").texts, "text not held up")
	})
	got := viewOf(t, alice, "bob")
	if !slices.Contains(got.notices, client.NoticeListForked) || len(got.contact.Devices) != 2 || got.texts[len(got.texts)-1] != "undecryptable " {
		t.Errorf("bob is shown as %+v", got)
	}
}
