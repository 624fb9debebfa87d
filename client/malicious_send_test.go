package client_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// TestR_CLT_27_StaleForEver: a relay that calls every picture stale, the
// recipient's or one's own, gets a bounded number of requests, uses up no
// prekeys and changes nothing; what was refused waits and leaves once when the
// relay has had enough of it.
func TestR_CLT_27_StaleForEver(t *testing.T) {
	l := newVillain(t)
	bob := l.puppet("bob")
	bob.enroll()
	alice := l.join(config(t, "alice"), "alice")
	send(t, alice, "bob", "before")
	before := viewOf(t, alice, "bob")
	devices, err := alice.Devices(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]relay.Error{
		"the version that is held":  {Code: relay.Stale, Version: 2},
		"a version to come":         {Code: relay.Stale, Version: 99},
		"an older version":          {Code: relay.Stale, Version: 1},
		"no version":                {Code: relay.Stale},
		"the own list as it is":     {Code: relay.Stale, Version: 1, Own: true},
		"an own version to come":    {Code: relay.Stale, Version: 7, Own: true},
		"entries that are none":     {Code: relay.Stale, Version: 3, Entries: [][]byte{{1}}},
		"own entries that are none": {Code: relay.Stale, Version: 2, Own: true, Entries: [][]byte{{1}}},
	} {
		t.Run(name, func(t *testing.T) {
			arrived := bob.mailbox()[0]
			sends, bundles, asked := l.count(relay.OpSend), l.count(relay.OpTakeBundle), l.count(relay.OpAccount)
			l.lies(func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
				if q.op == relay.OpSend {
					return relay.Stale, e.Body(), true
				}
				return code, body, true
			})
			m, err := alice.Send(ctx(t), "bob", "refused", client.SendOptions{})
			if err == nil || m.Status != client.StatusSending && m.Status != client.StatusFailed {
				t.Fatalf("sent as %s, %v", m.Status, err)
			}
			if n := l.count(relay.OpSend) - sends; n > 16 {
				t.Errorf("%d sends", n)
			}
			if n := l.count(relay.OpAccount) - asked; n > 20 {
				t.Errorf("%d questions for lists", n)
			}
			if n := l.count(relay.OpTakeBundle) - bundles; n != 0 {
				t.Errorf("%d bundles were taken", n)
			}
			after := viewOf(t, alice, "bob")
			after.texts = before.texts
			if !reflect.DeepEqual(after, before) {
				t.Errorf("bob is shown as %+v, was %+v", after, before)
			}
			if now, err := alice.Devices(ctx(t)); err != nil || !reflect.DeepEqual(now, devices) {
				t.Errorf("the own devices are shown as %+v, %v", now, err)
			}
			l.lies(nil)
			send(t, alice, "bob", "after")
			until(t, "the refused one leaves", func() bool {
				m, err = alice.Message(ctx(t), m.ID)
				return err != nil || m.Status != client.StatusSending
			})
			want := []int{arrived + 2, arrived + 2}
			if m.Status == client.StatusFailed {
				want = []int{arrived + 1, arrived + 1}
			}
			if n := bob.mailbox(); !slices.Equal(n, want) {
				t.Errorf("%d messages wait for bob, who was sent %d", n, want)
			}
		})
	}
}

// TestR_PRE_FalseBundles: a bundle of another person or device, or one that was
// altered, starts no session and nothing is sealed under it.
func TestR_CLT_27_FalseBundles(t *testing.T) {
	l := newVillain(t)
	bob, carol := l.puppet("bob"), l.puppet("carol")
	bob.enroll()
	carol.enroll()
	alice := l.join(config(t, "alice"), "alice")
	take := func(who *puppet, device int) []byte {
		b, err := who.login(who.lists[0].Devices[0].ID).TakeBundle(t.Context(), who.addr.User(), who.lists[1].Devices[device].ID)
		if err != nil {
			t.Fatal(err)
		}
		return codec.Marshal(&relay.TakeBundleResult{Bundle: b})
	}
	carols, seconds := take(carol, 0), take(bob, 1)
	first := bob.lists[1].Devices[0].ID
	instead := func(f func(body []byte) (relay.Code, []byte)) lie {
		return func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
			var asked relay.TakeBundleRequest
			if q.op != relay.OpTakeBundle || relay.Decode(q.body, &asked) != nil || asked.Device != first {
				return code, body, true
			}
			code, body = f(body)
			return code, body, true
		}
	}
	n := 0
	for name, f := range map[string]func([]byte) (relay.Code, []byte){
		"another person's": func([]byte) (relay.Code, []byte) { return relay.OK, carols },
		"another device's": func([]byte) (relay.Code, []byte) { return relay.OK, seconds },
		"garbage": func([]byte) (relay.Code, []byte) {
			return relay.OK, codec.Marshal(&relay.TakeBundleResult{Bundle: []byte{1}})
		},
		"there is no such one": func([]byte) (relay.Code, []byte) { return relay.NotFound, nil },
		"altered": func(body []byte) (relay.Code, []byte) {
			b := bytes.Clone(body)
			n += 97
			b[len(b)-1-n%1500] ^= 1
			return relay.OK, b
		},
	} {
		l.lies(instead(f))
		if _, err := alice.Send(ctx(t), "bob", "secret", client.SendOptions{}); !errors.Is(err, client.ErrRefused) && !errors.Is(err, client.ErrUnknownRecipient) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := bob.mailbox(); !slices.Equal(n, []int{0, 0}) {
		t.Fatalf("%d messages were sealed and sent", n)
	}
	l.lies(nil)
	send(t, alice, "bob", "at last")
	if n := bob.mailbox(); !slices.Equal(n, []int{1, 1}) {
		t.Errorf("%d messages wait", n)
	}
}
