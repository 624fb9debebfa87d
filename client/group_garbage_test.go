package client

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
)

// R-GRP-66, R-GRP-67: what a server makes up in the name of a member, under a
// head that it knows, costs a question and its answer, and leaves nothing.
func TestR_GRP_66_Garbage(t *testing.T) {
	c, group, s := lossyCircle(t, "alice", "bob")
	ctx := t.Context()
	id, _ := groupID(group)
	a, b := c.of["alice"].engine, c.of["bob"].engine
	_, roster, err := a.readGroup(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	c.of["bob"].Close() // and does not answer yet
	for n := range 3 {
		message := make([]byte, groups.Overhead+256)
		rand.Read(message)
		message[0] = 1
		for i := 17; i < 29; i++ {
			message[i] = 0
		}
		message[20], message[28] = byte(n), byte(roster.Seq)
		copy(message[29:], roster.Head[:])
		if w, err := groups.ParseMessage(message); err != nil || w.Seq != roster.Seq || w.Head != roster.Head || w.Index != uint32(n) {
			t.Fatalf("%+v, %v", w, err)
		}
		env := content.Envelope{From: b.self.address, Device: b.self.device, Message: message}
		_, err := s.Append(ctx, []server.Envelope{{
			Device: server.Device{User: "alice", ID: a.self.device}, ID: server.MessageID(content.NewID()), At: time.Now(), Body: env.Encode(),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := c.got("alice"); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	open := func() (held, lacks int) {
		err := a.view(ctx, func(tx *vault.Tx) error {
			if held, err = tx.Count(tableGroupHeld, nil); err != nil {
				return err
			}
			r, err := getAsk(tx, id, peerKey{c.address("bob"), b.self.device})
			lacks = len(r.Lacks)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return held, lacks
	}
	if held, lacks := open(); held != 3 || lacks != 3 {
		t.Fatalf("%d held, %d lacking: the test tests nothing", held, lacks)
	}
	c.restart("bob", nil)
	c.until("answers", func() bool { held, lacks := open(); return held == 0 && lacks == 0 }, "bob", "alice")
	m := c.say("bob", "still here")
	if got := c.got("alice"); len(got) != 1 {
		t.Errorf("got %q, %v", got, m.ID)
	}
	h, err := c.of["alice"].History(ctx, group, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range h {
		if m.Kind == KindUndecryptable || m.Notice == NoticeMessagesMissing {
			t.Errorf("%+v", m)
		}
	}
}
