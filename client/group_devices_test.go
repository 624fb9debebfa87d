package client_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// shownTexts are what a device shows of a conversation, in its order, own ones marked.
func shownTexts(t *testing.T, c client.API, with string) (out []string) {
	t.Helper()
	for _, m := range history(t, c, with) {
		if m.Kind == client.KindText {
			text := m.Text
			if m.Direction == client.Out {
				text = "me: " + text
			}
			out = append(out, text)
		}
	}
	return out
}

// R-GRP-64, R-GRP-65: every device of everybody has what was said, own other
// devices as said by oneself, and the sender hears of each member.
func TestR_GRP_65_SeveralDevices(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	phone := w.another(alice, "phone")
	all := []client.API{alice, phone, bob}
	g, err := alice.CreateGroup(ctx(t), "friends", []string{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	reached(t, "everybody is in", func() bool {
		for _, c := range all {
			if got, err := c.Group(ctx(t), "#friends"); err != nil || len(got.Members) != 2 {
				return false
			}
		}
		return true
	}, all...)
	if _, err := phone.Send(ctx(t), "#friends", "one", client.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Send(ctx(t), "#friends", "two", client.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	m, err := alice.Send(ctx(t), "#friends", "three", client.SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"me: one", "me: three", "two"}, {"me: one", "me: three", "two"}, {"me: two", "one", "three"}}
	reached(t, "everything everywhere", func() bool {
		for i, c := range all {
			got := shownTexts(t, c, "#friends")
			slices.Sort(got)
			if !slices.Equal(got, want[i]) {
				return false
			}
		}
		return true
	}, all...)
	for i, c := range all {
		got := shownTexts(t, c, g.ID)
		slices.Sort(got)
		if !slices.Equal(got, want[i]) {
			t.Errorf("device %d shows %q", i, got)
		}
	}
	reached(t, "read, as both devices of the sender know", func() bool {
		x, err := alice.Message(ctx(t), m.ID)
		y, err2 := phone.Message(ctx(t), m.ID)
		return err == nil && err2 == nil && x.Status == client.StatusRead && y.Status == client.StatusRead
	}, all...)
	if m, err = alice.Message(ctx(t), m.ID); err != nil || len(m.PerMember) != 1 || len(m.PerDevice) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	// A device that joins later listens from then on.
	desk := w.another(alice, "desk")
	all = append(all, desk)
	reached(t, "the new device is in", func() bool {
		_, err := desk.Group(ctx(t), "#friends")
		return err == nil
	}, all...)
	if _, err := bob.Send(ctx(t), "#friends", "four", client.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	reached(t, "a text at the new device", func() bool { return slices.Equal(shownTexts(t, desk, "#friends"), []string{"four"}) }, all...)
}

// R-CLT-10: what one can do with groups one can do in any process.
func TestGroupsInAnotherProcess(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	owner, bob := w.join(home, "alice"), w.join(config(t, "bob"), "bob")
	other := open(t, home)
	if s, err := other.Status(ctx(t)); err != nil || s.Role != "attached" {
		t.Fatalf("%+v, %v", s, err)
	}
	g, err := other.CreateGroup(ctx(t), "friends", []string{"bob"})
	if err != nil || len(g.Members) != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	if g, err = other.ChangeGroup(ctx(t), "#friends", client.GroupChange{Name: "old friends", Policy: nil}); err != nil || g.Name != "old friends" {
		t.Fatalf("%+v, %v", g, err)
	}
	if all, err := other.Groups(ctx(t)); err != nil || len(all) != 1 || all[0].ID != g.ID || !all[0].EpochAt.Equal(g.EpochAt) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := other.Group(ctx(t), "#none"); !errors.Is(err, client.ErrUnknownGroup) {
		t.Errorf("%v", err)
	}
	if link, err := other.GroupInvite(ctx(t), g.ID); err != nil || link == "" {
		t.Errorf("%q, %v", link, err)
	}
	if _, err := other.JoinGroup(ctx(t), "x"); !errors.Is(err, client.ErrGroupInvite) {
		t.Errorf("%v", err)
	}
	m, err := other.Send(ctx(t), "#old friends", "hello", client.SendOptions{Mentions: []string{"bob"}})
	if err != nil || len(m.PerMember) != 1 || len(m.Mentions) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	reached(t, "bob is in", func() bool { _, err := bob.Group(ctx(t), g.ID); return err == nil }, bob, owner)
	reached(t, "bob has it", func() bool { return slices.Equal(shownTexts(t, bob, g.ID), []string{"hello"}) }, bob, owner)
	if g, err := other.LeaveGroup(ctx(t), g.ID); err != nil || g.Mine != "" {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := other.Send(ctx(t), g.ID, "x", client.SendOptions{}); !errors.Is(err, client.ErrNotMember) {
		t.Errorf("%v", err)
	}
}
