package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// joined is a second device of alice's that may fetch the first one's history.
func joined(t *testing.T, w *world, first client.API) client.API {
	t.Helper()
	second := w.another(first, "desktop")
	client.ExpectHistory(t, second, first)
	client.OfferHistory(t, first, second)
	return second
}

// fetch waits for the history.
func fetch(t *testing.T, c client.API) {
	t.Helper()
	if err := c.FetchHistory(ctx(t)); err != nil {
		t.Fatalf("fetching the history: %v", err)
	}
	if s := progress(t, c); !s.Done || !s.Offered || s.Messages != s.Total {
		t.Errorf("at the end: %+v", s)
	}
}

func progress(t *testing.T, c client.API) client.HistoryProgress {
	t.Helper()
	s, err := c.Status(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return s.History
}

func TestR_CLT_40_HistoryComes(t *testing.T) {
	w := newWorld(t)
	laptop, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	bobs := bob.Account().Address
	first := send(t, laptop, "bob", "first")
	take(t, bob)
	long := strings.Repeat("long ", 65536/5)
	for _, o := range []client.SendOptions{{Subject: "subject", ReplyTo: first.ID}, {TTL: time.Hour}} {
		if _, err := bob.Send(ctx(t), "alice", long, o); err != nil {
			t.Fatal(err)
		}
	}
	take(t, laptop)
	send(t, laptop, "me", "note")
	desktop := joined(t, w, laptop)
	if s := progress(t, desktop); !s.Offered || s.Done || s.Messages != 0 {
		t.Errorf("before: %+v", s)
	}
	listens(t, laptop)
	fetch(t, desktop)
	for _, with := range []string{bobs, laptop.Account().Address} {
		want, got := history(t, laptop, with), history(t, desktop, with)
		if len(want) == 0 || len(got) != len(want) {
			t.Fatalf("%d of %d messages came", len(got), len(want))
		}
		for i := range want {
			a, b := want[i], got[i]
			if a.ID != b.ID || a.Text != b.Text || a.Subject != b.Subject || a.ReplyTo != b.ReplyTo || a.Direction != b.Direction ||
				a.FromDevice != b.FromDevice || !a.SentAt.Equal(b.SentAt) || !a.ReceivedAt.Equal(b.ReceivedAt) ||
				!a.ExpiresAt.Equal(b.ExpiresAt) || a.Status != b.Status || len(a.PerDevice) != len(b.PerDevice) {
				t.Errorf("message %d came as %+v, was %+v", i, b, a)
			}
		}
	}
	fetch(t, desktop) // nothing to do
	if err := laptop.FetchHistory(ctx(t)); !errors.Is(err, client.ErrRefused) {
		t.Errorf("a device that was offered nothing: %v", err)
	}
}

// listens connects a device, which stays connected.
func listens(t *testing.T, c client.API) {
	t.Helper()
	if err := c.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
}

// TestR_CLT_41_Restarts: the history comes whole and each message once although
// both devices end and begin again in the middle.
func TestR_CLT_41_Restarts(t *testing.T) {
	w := newWorld(t)
	laptopHome := config(t, "alice")
	laptop, bob := w.join(laptopHome, "alice"), w.join(config(t, "bob"), "bob")
	bobs := bob.Account().Address
	send(t, laptop, "bob", "hello")
	const n = 5000
	client.Fill(t, laptop, bobs, n)
	desktop := joined(t, w, laptop)
	desktopHome := client.HomeOf(desktop)
	for turn := 1; ; turn++ {
		limit, cancel := context.WithCancel(ctx(t))
		done := make(chan error, 1)
		go func() { done <- desktop.FetchHistory(limit) }()
		listens(t, laptop)
		start := progress(t, desktop).Messages
		until(t, "another page", func() bool { s := progress(t, desktop); return s.Done || s.Messages > start })
		switch turn % 2 {
		case 0: // the giver goes away
			laptop.Close()
			laptop = open(t, laptopHome)
			listens(t, laptop)
		default: // the fetching device goes away
			cancel()
			<-done
			desktop.Close()
			desktop = open(t, desktopHome)
			go func() { done <- nil }()
		}
		finished := progress(t, desktop).Done
		cancel()
		<-done
		if finished {
			if turn < 2 {
				t.Errorf("it was over after %d turns", turn)
			}
			break
		}
	}
	fetch(t, desktop)
	got := history(t, desktop, bobs)
	if len(got) != n+1 || got[0].Text != "hello" {
		t.Fatalf("%d messages, the first %q", len(got), got[0].Text)
	}
	for i, m := range got[1:] {
		if m.Text != fmt.Sprintf("text %d", i) {
			t.Fatalf("message %d is %q", i, m.Text)
		}
	}
}

// TestR_CLT_42_BeforeWhatIsNew: what a device receives after it joined stands
// after the history, also when it came first, and only that is new.
func TestR_CLT_42_BeforeWhatIsNew(t *testing.T) {
	w := newWorld(t)
	laptop, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	send(t, bob, "alice", "old one")
	take(t, laptop)
	send(t, laptop, "bob", "old two")
	take(t, bob)
	send(t, bob, "alice", "old three")
	take(t, laptop)
	desktop := joined(t, w, laptop)
	for range 2 { // bob's device hears of the desktop with the first
		send(t, bob, "alice", "new")
	}
	if err := desktop.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	listens(t, laptop)
	fetch(t, desktop)
	send(t, bob, "alice", "newer")
	var texts []string
	reached(t, "the newest", func() bool {
		texts = nil
		for _, m := range history(t, desktop, bob.Account().Address) {
			texts = append(texts, m.Text)
		}
		return slices.Contains(texts, "newer")
	}, desktop)
	if want := []string{"old one", "old two", "old three", "new", "new", "newer"}; !slices.Equal(texts, want) {
		t.Errorf("the history is %q, want %q", texts, want)
	}
	if s, err := desktop.Status(ctx(t)); err != nil || s.Undelivered != 3 {
		t.Errorf("%d undelivered, %v", s.Undelivered, err)
	}
	if all, err := desktop.Conversations(ctx(t)); err != nil || len(all) == 0 || all[0].Unread > 3 {
		t.Errorf("conversations: %+v, %v", all, err)
	}
	if got := take(t, desktop); !slices.Equal(got, []string{"new", "new", "newer"}) {
		t.Errorf("the desktop was given %q", got)
	}
	// A consumer that begins now is not given the history either.
	if got, err := desktop.Receive(ctx(t), "script", 100); err != nil || len(got) != 3 {
		t.Errorf("a new consumer was given %d messages, %v", len(got), err)
	}
}

// TestR_CLT_43_Refused: a device that was offered nothing is told so, however
// it asks.
func TestR_CLT_43_Refused(t *testing.T) {
	w := newWorld(t)
	laptop, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	send(t, laptop, "bob", "hello")
	desktop := w.another(laptop, "desktop")
	client.ExpectHistory(t, desktop, laptop) // and yet it asks
	client.Refusals(t, desktop, client.HistoryRefusals-1)
	listens(t, laptop)
	for range 2 {
		if err := desktop.FetchHistory(ctx(t)); !errors.Is(err, client.ErrRefused) {
			t.Fatalf("fetching: %v", err)
		}
	}
	if got := history(t, desktop, bob.Account().Address); len(got) != 0 {
		t.Errorf("it was given %+v", got)
	}
	client.OfferHistory(t, laptop, desktop)
	fetch(t, desktop)
	if got := history(t, desktop, bob.Account().Address); len(got) != 1 {
		t.Errorf("after the offer it has %+v", got)
	}
}

// TestR_CLT_40_Link: a device that is linked with the offer of the history
// fetches it, also through another process, and one without it has none.
func TestR_CLT_40_Link(t *testing.T) {
	w := newWorld(t)
	laptop, bob := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	bobs := bob.Account().Address
	send(t, laptop, "bob", "hello")
	client.Fill(t, laptop, bobs, 700)
	listens(t, laptop)
	for _, history := range []bool{true, false} {
		cfg := config(t, "desk")
		offer, done := linkTo(t, cfg, client.LinkRequest{DeviceName: "desk"})
		if _, err := laptop.Approve(ctx(t), offer.URI, client.ApproveOptions{History: history}); err != nil {
			t.Fatalf("approve: %v", err)
		}
		desk := arrived(t, done)
		if s := progress(t, desk); s.Offered != history {
			t.Fatalf("offered: %+v", s)
		}
		if !history {
			if err := desk.FetchHistory(ctx(t)); !errors.Is(err, client.ErrRefused) {
				t.Errorf("without an offer: %v", err)
			}
			continue
		}
		send(t, bob, "alice", "new")
		if err := desk.Sync(ctx(t)); err != nil {
			t.Fatal(err)
		}
		attached := open(t, cfg)
		fetch(t, attached)
		all, err := attached.History(ctx(t), bobs, 0, "")
		if err != nil || len(all) != 702 || all[700].Text != "text 699" || all[701].Text != "new" {
			t.Errorf("%d messages came, %v", len(all), err)
		}
		if got := take(t, desk); !slices.Equal(got, []string{"new"}) {
			t.Errorf("given as new: %q", got)
		}
	}
}
