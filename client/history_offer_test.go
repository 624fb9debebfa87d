package client

import (
	"context"
	"testing"

	"github.com/pawl-chat/pawl/internal/content"
)

// R-CLT-48: what was handed out is counted page by page, and a page that is
// asked for again, whether in the middle or at the end, counts once.
func TestR_CLT_48_HowMuchWasGiven(t *testing.T) {
	first, second := twoDevices(t)
	e, to := first.engine, second.engine.self.device
	given := func() (all []HistoryGiven) {
		t.Helper()
		s, err := e.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s.HistoryGiven
	}
	if err := e.asked(to, content.HistoryAsk{Limit: 10}); err != nil {
		t.Fatal(err)
	}
	if g := given(); len(g) != 0 {
		t.Fatalf("nothing was offered: %+v", g)
	}
	before := len(e.stored(t))
	Fill(t, first, stranger, 25)
	total := before + 25
	OfferHistory(t, first, second)
	if g := given(); len(g) != 1 || g[0] != (HistoryGiven{Device: to.String()}) {
		t.Fatalf("nothing was asked yet: %+v", g)
	}
	from, want := uint64(0), 0
	for !given()[0].Done {
		for range 2 { // every page is lost once
			if err := e.asked(to, content.HistoryAsk{From: from, Limit: 10}); err != nil {
				t.Fatal(err)
			}
			queued, _ := e.queued(t)
			page := queued[len(queued)-1].Page
			g := given()[0]
			if g.Asked.IsZero() || g.Done != (page.Next == 0) || g.Total < total {
				t.Fatalf("%+v after the page from %d to %d", g, page.From, page.Next)
			}
		}
		queued, _ := e.queued(t)
		page := queued[len(queued)-1].Page
		want += len(page.Entries)
		from = page.Next
		if g := given()[0]; g.Messages != want {
			t.Fatalf("%d messages are counted, %d were handed out", g.Messages, want)
		}
	}
	if g := given()[0]; g.Messages != total || g.Total != total {
		t.Errorf("at the end: %+v of %d", g, total)
	}
	OfferHistory(t, first, second) // as an approval does that is settled twice
	if g := given()[0]; !g.Done || g.Messages != total {
		t.Errorf("an offer that was repeated began anew: %+v", g)
	}
}
