package client_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// branch is a group's log as a lying relay shows it to some people: it ends where
// it stood when the lie began, and goes on with what they write themselves, which
// nobody else is shown.
type branch struct {
	t  *testing.T
	l  *villain
	of []string // users who are shown it

	mu      sync.Mutex
	on      bool
	honest  relay.GroupPlaced  // the newest entry at the honest server
	from    relay.GroupPlaced  // where the branch begins
	entries []relay.GroupEntry // of the branch
}

func newBranch(t *testing.T, l *villain, of ...string) *branch {
	b := &branch{t: t, l: l, of: of}
	l.asks(b.ask)
	l.lies(b.answer)
	return b
}

// begin begins the lie.
func (b *branch) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on, b.from = true, b.honest
}

func (b *branch) shown(user string) bool { return b.on && slices.Contains(b.of, user) }

// end is where the branch stands.
func (b *branch) end() relay.GroupPlaced {
	if n := len(b.entries); n > 0 {
		return relay.GroupPlaced{Ok: true, Seq: b.entries[n-1].Seq, Head: b.entries[n-1].Head}
	}
	return b.from
}

func (b *branch) ask(q question) question {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.shown(q.user) {
		return q
	}
	switch q.op {
	case relay.OpGroupAppend: // is not placed
		var a relay.GroupAppend
		if relay.Decode(q.body, &a) == nil {
			q.op, q.body = relay.OpGroupRead, codec.Marshal(&relay.GroupRead{Group: a.Group, From: 1, Token: a.Token})
		}
	case relay.OpGroupSend: // is taken as if it were up to date
		var s relay.GroupSendRequest
		if relay.Decode(q.body, &s) == nil && s.Seq == b.end().Seq && s.Head == b.end().Head {
			s.Seq, s.Head = b.honest.Seq, b.honest.Head
			q.body = codec.Marshal(&s)
		}
	}
	return q
}

func (b *branch) answer(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case q.op == relay.OpGroupCreate && code == relay.OK:
		var c relay.GroupCreate
		if relay.Decode(q.body, &c) == nil {
			b.honest = relay.GroupPlaced{Ok: true, Seq: 1, Head: c.Head}
		}
	case !b.shown(q.user):
		var p relay.GroupPlaced
		if q.op == relay.OpGroupAppend && code == relay.OK && relay.Decode(body, &p) == nil && p.Ok {
			b.honest = p
		}
	case q.op == relay.OpGroupAppend:
		var a relay.GroupAppend
		if relay.Decode(q.body, &a) != nil || a.Prev != b.end().Head {
			break
		}
		b.entries = append(b.entries, relay.GroupEntry{Seq: a.Seq, Prev: a.Prev, Head: a.Head, Blob: a.Blob})
		end := b.end()
		return relay.OK, codec.Marshal(&end), true
	case q.op == relay.OpGroupRead && code == relay.OK:
		var r relay.GroupRead
		var page relay.GroupPage
		if relay.Decode(q.body, &r) != nil || relay.Decode(body, &page) != nil {
			break
		}
		page.Entries = slices.DeleteFunc(page.Entries, func(e relay.GroupEntry) bool { return e.Seq > b.from.Seq })
		for _, e := range b.entries {
			if e.Seq >= r.From {
				page.Entries = append(page.Entries, e)
			}
		}
		if page.Entries == nil {
			page.Entries = []relay.GroupEntry{}
		}
		end := b.end()
		page.Seq, page.Head, page.More, page.Moved = end.Seq, end.Head, false, false
		return relay.OK, codec.Marshal(&page), true
	}
	return code, body, true
}

// band is a group of alice, bob and carol of whom the first two are admins, at a
// relay that lies.
func band(t *testing.T) (l *villain, of map[string]client.API, group string) {
	t.Helper()
	l = newVillain(t)
	of = map[string]client.API{}
	for _, n := range []string{"alice", "bob", "carol"} {
		of[n] = l.join(config(t, n), n)
	}
	return l, of, ""
}

func found(t *testing.T, of map[string]client.API) string {
	t.Helper()
	for _, c := range of {
		if err := c.Sync(ctx(t)); err != nil { // from now on they are connected
			t.Fatal(err)
		}
	}
	g, err := of["alice"].CreateGroup(ctx(t), "band", []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := of["alice"].ChangeGroup(ctx(t), g.ID, client.GroupChange{Member: "bob", Role: client.GroupAdminRole}); err != nil {
		t.Fatal(err)
	}
	if _, err := of["alice"].Send(ctx(t), g.ID, "welcome", client.SendOptions{}); err != nil { // by which they notice
		t.Fatal(err)
	}
	for _, n := range []string{"bob", "carol"} {
		until(t, n+" is in without asking for it", func() bool {
			_, err := of[n].Group(ctx(t), g.ID)
			return err == nil
		})
		until(t, n+" knows of the second admin", func() bool {
			got, err := of[n].Group(ctx(t), g.ID)
			return err == nil && got.Seq == 3
		})
	}
	return g.ID
}

func groupNotices(t *testing.T, c client.API, group string) (all []string) {
	t.Helper()
	h, err := c.History(ctx(t), group, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range h {
		if m.Kind == client.KindNotice {
			all = append(all, m.Notice)
		}
	}
	return all
}

func groupTexts(t *testing.T, c client.API, group string) (all []string) {
	t.Helper()
	h, err := c.History(ctx(t), group, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range h {
		if m.Kind == client.KindText && m.Status == client.StatusReceived {
			all = append(all, m.Text)
		}
	}
	return all
}

func alarm(t *testing.T, c client.API, group string) *client.GroupBranch {
	t.Helper()
	g, err := c.Group(ctx(t), group)
	if err != nil {
		t.Fatal(err)
	}
	return g.Alarm
}

// TestR_GRP_41_ForkedLog: a server that shows one member a log of their own is
// caught by the first message between the two sides; both see which changes
// differ, and nothing more is said.
func TestR_GRP_41_ForkedLog(t *testing.T) {
	l, of, _ := band(t)
	b := newBranch(t, l, "alice")
	group := found(t, of)
	b.begin()
	if _, err := of["alice"].ChangeGroup(ctx(t), group, client.GroupChange{Name: "ours"}); err != nil {
		t.Fatal(err)
	}
	if _, err := of["bob"].ChangeGroup(ctx(t), group, client.GroupChange{Name: "theirs"}); err != nil {
		t.Fatal(err)
	}
	if _, err := of["bob"].Send(ctx(t), group, "on the other side", client.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "alice and bob are told", func() bool {
		a, o := alarm(t, of["alice"], group), alarm(t, of["bob"], group)
		return a != nil && o != nil && len(a.Other) > 0 && len(o.Other) > 0
	})
	a, o := alarm(t, of["alice"], group), alarm(t, of["bob"], group)
	if !strings.HasPrefix(a.With, "bob@") || !strings.HasPrefix(o.With, "alice@") || a.Seq != 4 || o.Seq != 4 ||
		!strings.Contains(strings.Join(a.Ours, ""), "ours") || !strings.Contains(strings.Join(a.Other, ""), "theirs") ||
		!slices.Equal(a.Ours, o.Other) || !slices.Equal(a.Other, o.Ours) {
		t.Errorf("alice is told %+v, bob %+v", a, o)
	}
	for _, n := range []string{"alice", "bob"} {
		if got := groupNotices(t, of[n], group); !slices.Contains(got, client.NoticeGroupForked) {
			t.Errorf("%s is told %q", n, got)
		}
		if _, err := of[n].Send(ctx(t), group, "and now?", client.SendOptions{}); !errors.Is(err, client.ErrGroupForked) {
			t.Errorf("%s sends: %v", n, err)
		}
	}
	if got := groupTexts(t, of["alice"], group); len(got) != 0 {
		t.Errorf("alice was shown %q", got)
	}
}

// TestR_GRP_41_OldHead: a server that shows an older end of the log, or another
// entry at its end, is caught when it is next asked.
func TestR_GRP_41_OldHead(t *testing.T) {
	for name, change := range map[string]func(p *relay.GroupPage){
		"older": func(p *relay.GroupPage) { p.Seq-- },
		"other": func(p *relay.GroupPage) { p.Head[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			l, of, _ := band(t)
			group := found(t, of)
			l.lies(func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
				var page relay.GroupPage
				if q.op != relay.OpGroupRead || q.user != "carol" || relay.Decode(body, &page) != nil || len(page.Entries) > 0 {
					return code, body, true
				}
				change(&page)
				return code, codec.Marshal(&page), true
			})
			_, err := of["carol"].ChangeGroup(ctx(t), group, client.GroupChange{Rekey: true})
			if !errors.Is(err, client.ErrGroupForked) {
				t.Errorf("carol changes the group: %v", err)
			}
			a := alarm(t, of["carol"], group)
			want := map[string]string{"older": client.NoticeGroupRollback, "other": client.NoticeGroupForked}[name]
			if got := groupNotices(t, of["carol"], group); a == nil || a.With != "" || !slices.Contains(got, want) {
				t.Errorf("carol is told %q, %+v", got, a)
			}
			if _, err := of["carol"].Send(ctx(t), group, "hello", client.SendOptions{}); !errors.Is(err, client.ErrGroupForked) {
				t.Errorf("carol sends: %v", err)
			}
		})
	}
}

// TestR_GRP_41_Withheld: a server that withholds a removal from one member, and
// takes what they send under the old keys, is caught by the next message of a
// member who knows of it. Until then the removed member reads what that one
// member says, if the server lets them, and nothing that the others say.
func TestR_GRP_41_Withheld(t *testing.T) {
	l, of, _ := band(t)
	b := newBranch(t, l, "carol")
	group := found(t, of)
	for _, n := range []string{"alice", "bob", "carol"} {
		if _, err := of[n].Send(ctx(t), group, "hello", client.SendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	b.begin()
	if _, err := of["alice"].ChangeGroup(ctx(t), group, client.GroupChange{Remove: []string{"bob"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := of["alice"].Send(ctx(t), group, "bob is gone", client.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "carol is told", func() bool { return alarm(t, of["carol"], group) != nil })
	if a := alarm(t, of["carol"], group); !strings.HasPrefix(a.With, "alice@") {
		t.Errorf("%+v", a)
	}
	if got := groupTexts(t, of["carol"], group); slices.Contains(got, "bob is gone") {
		t.Errorf("carol was shown %q under a roster that is not hers", got)
	}
	if _, err := of["carol"].Send(ctx(t), group, "what?", client.SendOptions{}); !errors.Is(err, client.ErrGroupForked) {
		t.Errorf("carol sends: %v", err)
	}
	if got := groupTexts(t, of["bob"], group); slices.Contains(got, "bob is gone") {
		t.Errorf("bob was shown %q", got)
	}
}
