package client_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/server"
)

// TestR_GRP_12_Replayed: a server that delivers a group's messages three times,
// under other ids, in another group's time or in another's name, shows nothing
// twice and nothing as somebody else's.
func TestR_GRP_12_Replayed(t *testing.T) {
	w, box := newHostileWorld(t)
	of := map[string]client.API{}
	for _, n := range []string{"alice", "bob", "carol"} {
		of[n] = w.join(config(t, n), n)
	}
	group := found(t, of)
	other, err := of["alice"].CreateGroup(ctx(t), "other", []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"bob", "carol"} {
		until(t, who+" is in the other group", func() bool {
			_, err := of[who].Group(ctx(t), other.ID)
			return err == nil
		})
	}
	n := byte(0)
	var old [][]byte
	box.set(func(e server.Envelope) []server.Envelope {
		out := []server.Envelope{e}
		env, err := content.DecodeEnvelope(e.Body)
		if err != nil || env.To != 0 {
			return out
		}
		old = append(old, bytes.Clone(e.Body))
		for i := range 3 {
			c := e
			n++
			c.ID[0] ^= n
			c.ID[1] ^= byte(i) + 1
			if i == 2 { // in the name of whom it is delivered to, of the device's number
				claim := env
				claim.From, err = address.New(e.Device.User, claim.From.Host())
				if err != nil {
					t.Error(err)
				}
				claim.Device = e.Device.ID
				c.Body = claim.Encode()
			}
			out = append(out, c)
		}
		for i, b := range old { // everything that any group ever said
			c := e
			c.ID[2], c.ID[3], c.ID[4], c.Body = byte(i)+1, n, 0xff, b
			out = append(out, c)
		}
		return out
	})
	for i, text := range []string{"one", "two", "three"} {
		to := []string{group, other.ID}[i%2]
		if _, err := of["alice"].Send(ctx(t), to, text, client.SendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, who := range []string{"bob", "carol"} {
		until(t, who+" has all three", func() bool {
			return slices.Contains(groupTexts(t, of[who], group), "three") && slices.Contains(groupTexts(t, of[who], other.ID), "two")
		})
		a, b := groupTexts(t, of[who], group), groupTexts(t, of[who], other.ID)
		if !slices.Equal(a, []string{"welcome", "one", "three"}) || !slices.Equal(b, []string{"two"}) {
			t.Errorf("%s was shown %q, and in the other group %q", who, a, b)
		}
	}
}

// TestR_GRP_41_OtherBlob: a server that puts something else in the place of an
// entry is caught by whoever reads it.
func TestR_GRP_41_OtherBlob(t *testing.T) {
	l, of, _ := band(t)
	group := found(t, of)
	l.lies(func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
		var page relay.GroupPage
		if q.op != relay.OpGroupRead || q.user != "carol" || relay.Decode(body, &page) != nil || len(page.Entries) == 0 {
			return code, body, true
		}
		for i := range page.Entries {
			page.Entries[i].Blob[70] ^= 1
		}
		return code, codec.Marshal(&page), true
	})
	if _, err := of["alice"].ChangeGroup(ctx(t), group, client.GroupChange{Remove: []string{"bob"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := of["alice"].Send(ctx(t), group, "bob is gone", client.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := of["carol"].ChangeGroup(ctx(t), group, client.GroupChange{Rekey: true})
	if err == nil {
		t.Error("carol changes the group")
	}
	g, err := of["carol"].Group(ctx(t), group)
	if err != nil || g.Seq != 3 || len(g.Members) != 3 {
		t.Errorf("carol has followed: %+v, %v", g, err)
	}
	l.lies(nil)
	until(t, "carol follows the truth, or is told", func() bool {
		if err := of["carol"].Sync(ctx(t)); err != nil {
			t.Fatal(err)
		}
		_, err := of["carol"].ChangeGroup(ctx(t), group, client.GroupChange{Rekey: true})
		return err == nil || alarm(t, of["carol"], group) != nil
	})
}
