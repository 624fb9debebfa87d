package client

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vault"
)

// R-GRP-60: a group is meant by its name, its id, or the beginning of that; two
// of one name are told apart.
func TestR_GRP_60_Names(t *testing.T) {
	c := newCircle(t, "alice")
	ctx := t.Context()
	a := c.of["alice"]
	one, err := a.CreateGroup(ctx, "Book club", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"#Book club", "#book CLUB", one.ID, strings.ToUpper(one.ID), one.ID[:8], one.ID[1:], "Book club"} {
		if g, err := a.Group(ctx, word); err != nil || g.ID != one.ID {
			t.Errorf("%q: %+v, %v", word, g, err)
		}
	}
	for _, word := range []string{"#", "#nobody", "#b", ""} {
		if _, err := a.Group(ctx, word); !errors.Is(err, ErrUnknownGroup) {
			t.Errorf("%q: %v", word, err)
		}
	}
	two, err := a.CreateGroup(ctx, "book club", nil)
	if err != nil {
		t.Fatal(err)
	}
	var amb *AmbiguousError
	if _, err := a.Send(ctx, "#book club", "x", SendOptions{}); !errors.As(err, &amb) || len(amb.Candidates) != 2 || !strings.Contains(err.Error(), "group") {
		t.Errorf("%v", err)
	}
	if _, err := a.LeaveGroup(ctx, two.ID); err != nil {
		t.Fatal(err)
	}
	if g, err := a.Group(ctx, "#book club"); err != nil || g.ID != one.ID {
		t.Errorf("%+v, %v", g, err)
	}
	if m, err := a.Send(ctx, one.ID, "alone", SendOptions{Wait: StatusDelivered}); err != nil || m.Status != StatusAccepted {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := a.Send(ctx, two.ID, "x", SendOptions{}); !errors.Is(err, ErrNotMember) {
		t.Errorf("to a group that was left: %v", err)
	}
	if _, err := a.CreateGroup(ctx, " x", nil); !errors.Is(err, ErrGroupName) {
		t.Errorf("a name with a space: %v", err)
	}
}

// R-GRP-80, R-GRP-81: what the person sees of a group, and what is refused.
func TestR_GRP_80_View(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "carol")
	ctx := t.Context()
	a, b := c.of["alice"], c.of["bob"]
	c.say("alice", "one")
	if err := a.Confirm(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	g, err := a.Group(ctx, "#friends")
	if err != nil {
		t.Fatal(err)
	}
	if g.ID != group || g.Name != "friends" || g.Epoch != 1 || g.EpochAt.IsZero() || g.Seq != 2 || len(g.Head) != 64 ||
		g.Mine != GroupAdminRole || len(g.Members) != 3 || g.Pending != nil || g.Alarm != nil {
		t.Errorf("%+v", g)
	}
	for _, m := range g.Members {
		want := map[string]Trust{c.address("alice"): TrustVerified, c.address("bob"): TrustVerified, c.address("carol"): TrustFirstUse}[m.Address]
		if m.Trust != want || len(m.Devices) != 1 || m.Devices[0].HasKeys != !m.You || m.Devices[0].Current != m.You {
			t.Errorf("%+v", m)
		}
	}
	all, err := a.Conversations(ctx)
	i := slices.IndexFunc(all, func(c Conversation) bool { return c.Peer == group })
	if err != nil || i < 0 || all[i].Alias != "friends" || all[i].Trust != TrustFirstUse || all[i].Last.Text != "one" {
		t.Errorf("%+v, %v", all, err)
	}
	n, iter, err := a.Export(ctx, "#friends")
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	found := false
	for m, err := range iter {
		if err != nil {
			t.Fatal(err)
		}
		found = found || m.Text == "one" && m.Group == group
	}
	if !found {
		t.Error("an export of a group has none of its messages")
	}
	for what, err := range map[string]error{
		"rename by a member": refusalOf(b.ChangeGroup(ctx, "#friends", GroupChange{Name: "x"})),
		"add by a member":    refusalOf(b.ChangeGroup(ctx, "#friends", GroupChange{Add: []string{"alice", "carol", "dave"}})),
		"remove by a member": refusalOf(b.ChangeGroup(ctx, "#friends", GroupChange{Remove: []string{"carol"}})),
		"invite by a member": refusalOf(b.GroupInvite(ctx, "#friends")),
	} {
		if !errors.Is(err, ErrNotAllowed) && !errors.Is(err, ErrUnknownRecipient) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := a.ChangeGroup(ctx, "#friends", GroupChange{Remove: []string{"mallory"}}); !errors.Is(err, ErrUnknownRecipient) {
		t.Errorf("removing a stranger: %v", err)
	}
	if _, err := a.ChangeGroup(ctx, "#friends", GroupChange{Name: "friends"}); !errors.Is(err, ErrNothingToChange) {
		t.Errorf("the same name: %v", err)
	}
	if _, err := a.Send(ctx, "#friends", "x", SendOptions{Mentions: []string{"mallory"}}); !errors.Is(err, ErrUnknownRecipient) {
		t.Errorf("mentioning a stranger: %v", err)
	}
	if _, err := a.Send(ctx, "bob", "x", SendOptions{Mentions: []string{"carol"}}); !errors.Is(err, ErrInvalidText) {
		t.Errorf("mentioning outside a group: %v", err)
	}
	if g, err := a.ChangeGroup(ctx, "#friends", GroupChange{Member: "bob", Role: GroupAdminRole}); err != nil || g.Members[1].Role != GroupAdminRole {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err := a.ChangeGroup(ctx, "#friends", GroupChange{Remove: []string{"carol"}}); err != nil || len(g.Members) != 2 || g.Epoch != 2 {
		t.Errorf("%+v, %v", g, err)
	}
	c.look("bob", "carol")
	if _, err := c.of["carol"].Send(ctx, group, "x", SendOptions{}); !errors.Is(err, ErrNotMember) {
		t.Errorf("a removed member sends: %v", err)
	}
	m := c.say("alice", "two")
	if got := c.got("carol"); slices.Contains(got, "ali: two") {
		t.Errorf("a removed member got %q", got)
	}
	if len(m.PerMember) != 1 {
		t.Errorf("%+v", m.PerMember)
	}
	if again, err := a.Resend(ctx, m.ID, SendOptions{}); err != nil || again.Group != group || again.ID == m.ID {
		t.Errorf("%+v, %v", again, err)
	}
}

func refusalOf[T any](_ T, err error) error { return err }

// R-GRP-82: a link asks, and an admin decides.
func TestR_GRP_82_Invite(t *testing.T) {
	c, group := talkers(t, "alice", "bob")
	ctx := t.Context()
	c.of["dave"], _ = c.w.join("dave")
	t.Cleanup(func() { c.of["dave"].Close() })
	link, err := c.of["alice"].GroupInvite(ctx, "#friends")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.of["alice"].GroupInvite(ctx, "#friends"); err != nil || again != link {
		t.Errorf("%q, %q, %v", link, again, err)
	}
	d := c.of["dave"]
	for _, bad := range []string{"", "pawl://x", link + "A", strings.Replace(link, "pawl://", "pawl://other.example.org", 1)} {
		if _, err := d.JoinGroup(ctx, bad); !errors.Is(err, ErrGroupInvite) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	i, err := groups.ParseInvite(link)
	if err != nil {
		t.Fatal(err)
	}
	i.Token[0] ^= 1
	if _, err := d.JoinGroup(ctx, i.String()); err != nil {
		t.Fatal(err)
	}
	c.look("alice")
	if g, err := c.of["alice"].Group(ctx, "#friends"); err != nil || len(g.Requests) != 0 {
		t.Errorf("with another token: %+v, %v", g.Requests, err)
	}
	req, err := d.JoinGroup(ctx, link)
	if err != nil || req.Group != group || req.Asked != c.address("alice") {
		t.Fatalf("%+v, %v", req, err)
	}
	if _, err := d.JoinGroup(ctx, link); err != nil {
		t.Fatal(err)
	}
	c.look("alice")
	g, err := c.of["alice"].Group(ctx, "#friends")
	if err != nil || len(g.Requests) != 1 || g.Requests[0].Address != c.address("dave") {
		t.Fatalf("%+v, %v", g.Requests, err)
	}
	c.look("dave")
	if _, err := d.Group(ctx, group); !errors.Is(err, ErrUnknownGroup) {
		t.Errorf("a link lets somebody in: %v", err)
	}
	if g, err = c.of["alice"].ChangeGroup(ctx, "#friends", GroupChange{Add: []string{"dave"}}); err != nil || len(g.Requests) != 0 || len(g.Members) != 3 {
		t.Fatalf("%+v, %v", g, err)
	}
	c.look("dave")
	if g, err := d.Group(ctx, "#friends"); err != nil || g.Mine != GroupMemberRole {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := d.JoinGroup(ctx, link); !errors.Is(err, ErrNothingToChange) {
		t.Errorf("joining twice: %v", err)
	}
}

// R-GRP-78, R-GRP-79: with an open history, who is let in is told what was said,
// as the word of who lets them in; else nothing.
func TestR_GRP_78_OpenHistory(t *testing.T) {
	for _, open := range []bool{true, false} {
		c, group := talkers(t, "alice", "bob")
		ctx := t.Context()
		if open {
			if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Policy: &GroupPolicy{OpenHistory: true}}); err != nil {
				t.Fatal(err)
			}
		}
		first := c.say("alice", "one")
		c.look("bob")
		c.say("bob", "two")
		c.look("alice")
		if _, err := c.of["alice"].Send(ctx, group, "for a minute", SendOptions{TTL: 60e9}); err != nil {
			t.Fatal(err)
		}
		c.of["dave"], _ = c.w.join("dave")
		t.Cleanup(func() { c.of["dave"].Close() })
		d := c.of["dave"]
		if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Add: []string{"dave"}}); err != nil {
			t.Fatal(err)
		}
		c.look("alice", "dave", "alice", "dave")
		if got := c.got("dave"); len(got) != 0 {
			t.Errorf("open=%v: new: %q", open, got)
		}
		h, err := d.History(ctx, group, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, m := range h {
			if m.Kind == KindText {
				texts = append(texts, m.Text)
				if m.RetoldBy != c.address("alice") || m.Direction != In {
					t.Errorf("%+v", m)
				}
			}
		}
		want := []string{"one", "two"}
		if !open {
			want = nil
		}
		if !slices.Equal(texts, want) {
			t.Errorf("open=%v: %q", open, texts)
		}
		if !open {
			continue
		}
		// The one who has said it says it again: first hand takes its place.
		row, _, _, err := getMessageOf(c.of["alice"].engine, first.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := row.content()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := groupID(group)
		alice := peerKey{c.address("alice"), c.of["alice"].engine.self.device}
		err = d.engine.groupStep(ctx, func(w *work) error { return w.keepInGroup(alice, id, groupPlace{}, text, 1) })
		if err != nil {
			t.Fatal(err)
		}
		if m, err := d.Message(ctx, first.ID); err != nil || m.RetoldBy != "" {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

// R-GRP-41, R-GRP-85, R-GRP-86: members who were shown different logs find out by the next
// message, see which entries differ, and say nothing more; when one of them is
// out, the others go on.
func TestR_GRP_85_Branches(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "carol")
	ctx := t.Context()
	id, _ := groupID(group)
	if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Name: "friends"}); !errors.Is(err, ErrNothingToChange) {
		t.Fatal(err)
	}
	if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Policy: &GroupPolicy{AddByMembers: true}}); err != nil {
		t.Fatal(err)
	}
	c.look("bob", "carol")
	// As if the server had shown bob another third entry.
	e := c.of["bob"].engine
	e.state.Lock()
	err := e.update(ctx, func(tx *vault.Tx) error {
		r, err := getGroup(tx, id)
		if err != nil {
			return err
		}
		roster, err := r.roster()
		if err != nil {
			return err
		}
		line, _, err := getRecord[logRecord](tx, tableGroupLog, seqKey(id, roster.Seq))
		if err != nil {
			return err
		}
		roster.Head[0] ^= 1
		line.Head, line.Change = roster.Head[:], encodeChange(groups.Change{Kind: groups.Rename, Name: "enemies"})
		r.Roster = roster.Encode()
		if err := tx.Put(tableGroupLog, seqKey(id, roster.Seq), id[:], int64(roster.Seq), codec.Marshal(line)); err != nil {
			return err
		}
		return putGroup(tx, r)
	})
	e.state.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	c.say("alice", "one")
	if err := e.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	c.look("alice")
	c.look("alice")
	g, err := c.of["bob"].Group(ctx, group)
	if err != nil || g.Alarm == nil || g.Alarm.With != c.address("alice") || g.Alarm.Seq != 3 {
		t.Fatalf("bob: %+v, %v", g.Alarm, err)
	}
	g, err = c.of["alice"].Group(ctx, group)
	if err != nil || g.Alarm == nil || g.Alarm.With != c.address("bob") || g.Alarm.Seq != 3 || len(g.Alarm.Ours) != 1 || len(g.Alarm.Other) != 1 ||
		!strings.Contains(g.Alarm.Ours[0], "policy") || !strings.Contains(g.Alarm.Other[0], "enemies") {
		t.Fatalf("alice: %+v, %v", g.Alarm, err)
	}
	for _, n := range []string{"alice", "bob"} {
		if _, err := c.of[n].Send(ctx, group, "x", SendOptions{}); !errors.Is(err, ErrGroupForked) {
			t.Errorf("%s: %v", n, err)
		}
		h, err := c.of[n].History(ctx, group, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range h {
			if m.Notice == NoticeGroupForked {
				n++
			}
			if m.Direction == In && m.Text == "one" {
				t.Error("bob is shown what was said on another branch")
			}
		}
		if n != 1 {
			t.Errorf("%d alarms", n)
		}
	}
	if _, err := c.of["alice"].ChangeGroup(ctx, group, GroupChange{Remove: []string{"bob"}}); err != nil {
		t.Fatal(err)
	}
	c.say("alice", "two")
	if got := c.got("carol"); !slices.Contains(got, "ali: two") {
		t.Errorf("carol got %q", got)
	}
}
