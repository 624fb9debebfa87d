package client

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/vault"
)

// spoken is who said what in a conversation, as the history shows it.
func (c *circle) spoken(who, with string) (out []string) {
	c.t.Helper()
	all, err := c.of[who].History(c.t.Context(), with, 100, "")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, m := range all {
		if m.Kind == KindText {
			out = append(out, m.From[:3]+": "+m.Text)
		}
	}
	return out
}

// R-CLT-61: a text, its sender, its time, whether it is there: all of it can be
// changed, on this device only; nobody hears of it, and nothing that is new gets
// lost.
func TestR_CLT_61_EditHistory(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	ctx := t.Context()
	word := func(s string) *string { return &s }
	for i, text := range []string{"one", "two", "three"} {
		from, to := "alice", "bob"
		if i == 1 {
			from, to = to, from
		}
		if _, err := c.of[from].Send(ctx, to, text, SendOptions{Sign: true}); err != nil {
			t.Fatal(err)
		}
		c.look("alice", "bob")
		c.until("the text", func() bool { return slices.Contains(c.spoken(to, from), from[:3]+": "+text) }, "alice", "bob")
	}
	c.got("alice")
	c.got("bob")
	theirs := c.spoken("bob", "alice")
	all, err := c.of["alice"].History(ctx, "bob", 10, "")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range all {
		if m.Kind == KindText {
			ids = append(ids, m.ID)
		}
	}
	edit := func(q HistoryEdit) Message {
		t.Helper()
		m, err := c.of["alice"].EditHistory(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := func(texts ...string) {
		t.Helper()
		if got := c.spoken("alice", "bob"); !slices.Equal(got, texts) {
			t.Fatalf("%q, want %q", got, texts)
		}
	}
	want("ali: one", "bob: two", "ali: three")
	if m := edit(HistoryEdit{ID: ids[1], Text: word("I confess.")}); m.Text != "I confess." || m.Signature != SignatureNone {
		t.Errorf("%+v", m)
	}
	if _, err := c.of["alice"].Proof(ctx, ids[1]); !errors.Is(err, ErrNotSigned) {
		t.Errorf("an edited message is proven: %v", err)
	}
	want("ali: one", "bob: I confess.", "ali: three")
	if m := edit(HistoryEdit{ID: ids[0], From: word("bob")}); m.Direction != In || m.Status != StatusReceived || len(m.PerDevice) != 0 {
		t.Errorf("%+v", m)
	}
	if m := edit(HistoryEdit{ID: ids[1], From: word("me")}); m.Direction != Out || m.Status != StatusDelivered || len(m.PerDevice) != 1 {
		t.Errorf("%+v", m)
	}
	want("bob: one", "ali: I confess.", "ali: three")
	first := all[0].SentAt
	for _, m := range all {
		if m.SentAt.Before(first) {
			first = m.SentAt
		}
	}
	early, late := first.Add(-time.Hour), time.Now().Add(time.Hour)
	edit(HistoryEdit{ID: ids[2], SentAt: &early})
	want("ali: three", "bob: one", "ali: I confess.")
	edit(HistoryEdit{ID: ids[2], SentAt: &late})
	want("bob: one", "ali: I confess.", "ali: three")
	between := early.Add(-time.Minute)
	inserted := edit(HistoryEdit{With: "bob", Text: word("zero"), From: word("bob"), SentAt: &between})
	want("bob: zero", "bob: one", "ali: I confess.", "ali: three")
	edit(HistoryEdit{With: "bob", Text: word("last")})
	want("bob: zero", "bob: one", "ali: I confess.", "ali: last", "ali: three")
	edit(HistoryEdit{ID: inserted.ID, Delete: true})
	edit(HistoryEdit{ID: ids[2], Delete: true})
	want("bob: one", "ali: I confess.", "ali: last")
	for name, q := range map[string]HistoryEdit{
		"nothing to insert": {With: "bob"}, "a delete of nothing": {With: "bob", Delete: true}, "no time": {ID: ids[0], SentAt: new(time.Time)},
		"somebody else": {ID: ids[0], From: word(c.of["alice"].Account().Address + "x")},
		"gone":          {ID: ids[2], Text: word("x")}, "no text": {ID: ids[0], Text: word("\xff")}, "a long text": {ID: ids[0], Text: word(strings.Repeat("x", 70000))},
	} {
		if m, err := c.of["alice"].EditHistory(ctx, q); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	// What has not been taken yet is neither lost nor given twice.
	if _, err := c.of["bob"].Send(ctx, "alice", "news", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	c.look("alice")
	if _, err := c.of["alice"].EditHistory(ctx, HistoryEdit{ID: ids[0], SentAt: &late}); err != nil {
		t.Fatal(err)
	}
	edit(HistoryEdit{With: "bob", Text: word("before it all"), From: word("bob"), SentAt: &between})
	if got := c.got("alice"); !slices.Equal(got, []string{"bob: news"}) {
		t.Errorf("%q is new", got)
	}
	// Nobody was told, and no device that asks again is given what was edited.
	c.look("alice", "bob")
	c.got("bob")
	if got := c.spoken("bob", "alice"); !slices.Equal(got[:3], theirs) || len(got) != 4 {
		t.Errorf("bob has %q", got)
	}
	e := c.of["alice"].engine
	bob, err := e.resolve(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.person(ctx, bob.String())
	if err != nil {
		t.Fatal(err)
	}
	err = e.view(ctx, func(tx *vault.Tx) error {
		w := &work{e: e, tx: tx}
		for _, own := range []bool{false, true} {
			found, err := w.unheard(peerKey{bob.String(), p.list.Devices[0].ID}, own, 0, time.Now())
			for _, m := range found {
				t.Errorf("%q would be sent again", m.Text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// R-CLT-61: in a group, for its members.
func TestEditGroupHistory(t *testing.T) {
	c, group := talkers(t, "alice", "bob", "carol")
	ctx := t.Context()
	m, err := c.of["alice"].Send(ctx, group, "mine", SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	who, text := c.of["carol"].Account().Address, "not mine"
	m, err = c.of["alice"].EditHistory(ctx, HistoryEdit{ID: m.ID, From: &who, Text: &text})
	if err != nil || m.From != who || m.Direction != In || m.Text != text || m.Group != group {
		t.Errorf("%+v, %v", m, err)
	}
	other := "nobody@" + strings.SplitN(who, "@", 2)[1]
	if _, err := c.of["alice"].EditHistory(ctx, HistoryEdit{ID: m.ID, From: &other}); !errors.Is(err, ErrCannotEdit) && !errors.Is(err, ErrUnknownRecipient) {
		t.Error(err)
	}
	if _, err := c.of["alice"].EditHistory(ctx, HistoryEdit{With: group, Text: &text, From: &who}); err != nil {
		t.Error(err)
	}
	if got := c.spoken("alice", group); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
