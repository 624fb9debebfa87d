package client

import (
	"context"
	"slices"
	"testing"
	"time"
)

// talkers are people in one group, made by the first of them.
func talkers(t *testing.T, names ...string) (*circle, string) {
	t.Helper()
	c := newCircle(t, names...)
	g, err := c.of[names[0]].CreateGroup(t.Context(), "friends", names[1:])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.look(names...)
	}
	return c, g.ID
}

// got takes what a person has been sent, texts and notices.
func (c *circle) got(name string) (texts []string) {
	c.t.Helper()
	c.look(name)
	for {
		all, err := c.of[name].Receive(c.t.Context(), "", 100)
		if err != nil {
			c.t.Fatal(err)
		}
		if len(all) == 0 {
			return texts
		}
		for _, m := range all {
			if m.Kind == KindText {
				texts = append(texts, m.From[:3]+": "+m.Text)
			} else if m.Kind != KindNotice {
				texts = append(texts, string(m.Kind)+":"+m.Cause)
			}
			if err := c.of[name].Ack(c.t.Context(), "", m.ID); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// until waits for a condition, looking after everybody's groups.
func (c *circle) until(what string, done func() bool, names ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	pace := time.NewTicker(50 * time.Millisecond) // every look costs the server a few
	defer pace.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			c.t.Fatalf("in vain: %s", what)
		case <-pace.C:
		}
		c.look(names...)
		for _, n := range names {
			if _, err := c.of[n].engine.sealReceipts(ctx); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// R-GRP-61, R-GRP-62, R-GRP-64, R-GRP-65: what one says, everybody gets once,
// and the sender sees who has it.
func TestR_GRP_61_Talk(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "carol")
	ctx := t.Context()
	m, err := c.of["alice"].Send(ctx, "#friends", "hello", SendOptions{Mentions: []string{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	if m.Status != StatusAccepted || m.Conversation != group || m.Group != group || len(m.PerMember) != 2 || len(m.PerDevice) != 2 {
		t.Errorf("%+v", m)
	}
	for _, n := range []string{"bob", "carol"} {
		if got := c.got(n); !slices.Equal(got, []string{"ali: hello"}) {
			t.Errorf("%s got %q", n, got)
		}
	}
	if _, err := c.of["bob"].Send(ctx, group, "hi", SendOptions{ReplyTo: m.ID}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"alice", "carol"} {
		if got := c.got(n); !slices.Equal(got, []string{"bob: hi"}) {
			t.Errorf("%s got %q", n, got)
		}
	}
	c.until("read by both", func() bool {
		m, err = c.of["alice"].Message(ctx, m.ID)
		return err != nil || m.Status == StatusRead
	}, "alice", "bob", "carol")
	if err != nil || m.PerMember[c.address("bob")] != StatusRead || m.PerMember[c.address("carol")] != StatusRead || len(m.Receipts) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	h, err := c.of["bob"].History(ctx, group, 10, "")
	if err != nil || len(h) == 0 {
		t.Fatal(h, err)
	}
	i := slices.IndexFunc(h, func(x Message) bool { return x.ID == m.ID })
	if i < 0 || h[i].Group != group || !slices.Equal(h[i].Mentions, []string{c.address("bob")}) || h[i].From != c.address("alice") {
		t.Errorf("%+v", h)
	}
}
