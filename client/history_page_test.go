package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

const stranger = "carol@example.org"

// twoDevices are two of one account; the second expects the history of the
// first.
func twoDevices(t *testing.T) (first, second *Client) {
	t.Helper()
	store := memstore.New()
	w := newBench(t, server.Stores{Directory: store, Mailbox: store, Wake: store})
	first, _ = w.join("alice")
	t.Cleanup(func() { first.Close() })
	var file bytes.Buffer
	secret := BackupOptions{Passphrase: []byte("a long enough passphrase"), Recovery: true}
	if _, err := first.Backup(context.Background(), &file, secret); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := Config{Home: filepath.Join(dir, "second"), Unlock: Unlock{KeyFile: filepath.Join(dir, "key")}}
	c, _, err := Restore(context.Background(), cfg, bytes.NewReader(file.Bytes()), RestoreRequest{BackupOptions: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	second = c.(*Client)
	// The first one knows the second, and neither is connected: what they queue
	// stays to be looked at.
	own, err := second.engine.ownPerson(context.Background())
	if err == nil {
		_, err = first.engine.takeList(context.Background(), own.address, own.record.Chain)
	}
	if err != nil {
		t.Fatal(err)
	}
	ExpectHistory(t, second, first)
	return first, second
}

// came hands a page to a device as if another had sent it.
func (e *engine) came(from address.Device, page content.HistoryPage) error {
	return e.batched(func(w *work) error {
		return w.historyCame(peerKey{e.self.record.Address, from}, &page)
	})
}

// asked asks a device for a page.
func (e *engine) asked(from address.Device, asks ...content.HistoryAsk) error {
	return e.batched(func(w *work) error {
		for _, a := range asks {
			if err := w.historyAsked(peerKey{e.self.record.Address, from}, &a); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *engine) stateOfHistory(t *testing.T) (h historyRecord) {
	t.Helper()
	err := e.view(context.Background(), func(tx *vault.Tx) (err error) {
		h, _, err = getHistory(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// stored reads all messages, oldest first.
func (e *engine) stored(t *testing.T) (all []messageRecord) {
	t.Helper()
	err := e.view(context.Background(), func(tx *vault.Tx) error {
		return scanMessages(tx, "", firstOrder, lastOrder, 0, false, func(m *messageRecord) error {
			all = append(all, *m)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestR_CLT_43_OnePageForOneDevice: an offer is for the device that it names,
// and however often that asks at once, there is one answer, to the last.
func TestR_CLT_43_OnePageForOneDevice(t *testing.T) {
	first, second := twoDevices(t)
	e, to := first.engine, second.engine.self.device
	Fill(t, first, stranger, 600)
	before, _ := e.queued(t)
	OfferHistory(t, first, second)
	asks := []content.HistoryAsk{{From: 0, Limit: 10}, {From: 0, Limit: 256}, {From: 300, Limit: 20}}
	if err := e.asked(to, asks...); err != nil {
		t.Fatal(err)
	}
	// One that nothing was offered to, and one that the account does not have.
	for _, other := range []address.Device{e.self.device, to + 1} {
		if err := e.asked(other, asks...); err != nil {
			t.Fatal(err)
		}
	}
	all, devices := e.queued(t)
	all, devices = all[len(before):], devices[len(before):]
	if len(all) != 2 || all[0].Page == nil || all[1].Page == nil || devices[0] != to || devices[1] != e.self.device {
		t.Fatalf("queued %+v for %v", all, devices)
	}
	if p := all[0].Page; p.Refused || p.From != 300 || len(p.Entries) != 20 || p.Next <= 300 || p.Total < 600 {
		t.Errorf("the page is from %d to %d with %d entries of %d", p.From, p.Next, len(p.Entries), p.Total)
	}
	if p := all[1].Page; !p.Refused || len(p.Entries) != 0 {
		t.Errorf("a device without an offer was answered with %d entries", len(p.Entries))
	}
	// Of what is not handed out only so much is looked at for one answer.
	e.state.Lock()
	err := e.update(context.Background(), func(tx *vault.Tx) error {
		for i := range historyLook + 10 {
			m := e.received(stranger, 1000+i)
			m.Kind = string(KindUndecryptable)
			if err := putMessage(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	e.state.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	rows := e.stored(t)
	at := len(rows) - historyLook - 11
	from := uint64(rows[at].order)
	for _, want := range []uint64{uint64(rows[at+historyLook].order), 0} {
		if err := e.asked(to, content.HistoryAsk{From: from, Limit: 256}); err != nil {
			t.Fatal(err)
		}
		all, _ := e.queued(t)
		p := all[len(all)-1].Page
		if p.Next != want || len(p.Entries) != 0 {
			t.Errorf("after %d comes %d with %d entries, want %d", from, p.Next, len(p.Entries), want)
		}
		from = p.Next
	}
	for _, from := range []uint64{1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		if err := e.asked(to, content.HistoryAsk{From: from, Limit: 1}); err != nil {
			t.Fatal(err)
		}
		all, _ := e.queued(t)
		if p := all[len(all)-1].Page; len(p.Entries) != 0 || p.Next != 0 || p.From != from {
			t.Errorf("after position %d: %+v", from, p)
		}
	}
}

// TestR_CLT_44_WhatIsHandedOut: tombstones, what has not left and what has
// expired stay; everything else comes as it is, the longest message there is
// among it, on pages that fit.
func TestR_CLT_44_WhatIsHandedOut(t *testing.T) {
	first, second := twoDevices(t)
	e, f := first.engine, second.engine
	now := e.now().UnixMilli()
	own := e.self.record.Address
	put := func(i int, change func(*messageRecord)) {
		t.Helper()
		e.state.Lock()
		defer e.state.Unlock()
		err := e.update(context.Background(), func(tx *vault.Tx) error {
			m := e.received(stranger, i)
			change(m)
			return putMessage(tx, m)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sent := func(status Status) func(*messageRecord) {
		return func(m *messageRecord) {
			m.Outgoing, m.From, m.To, m.Status = true, own, stranger, string(status)
			m.Devices = []deviceState{{Device: 5, Status: string(status)}}
		}
	}
	put(1, func(m *messageRecord) {
		m.Text, m.Subject = strings.Repeat("x", content.MaxText), strings.Repeat("y", content.MaxSubject)
	})
	put(2, func(m *messageRecord) { m.Kind, m.Text, m.Cause = string(KindUndecryptable), "", CauseForged })
	put(3, func(m *messageRecord) { m.Kind, m.Text, m.Notice = string(KindNotice), "", NoticeSessionReset })
	put(4, sent(StatusSending))
	put(5, sent(StatusDelivered))
	put(6, sent(StatusFailed))
	put(7, func(m *messageRecord) { m.ExpiresAt = now - 1 })
	put(8, func(m *messageRecord) { m.ExpiresAt = now + time.Hour.Milliseconds() })
	put(9, func(m *messageRecord) {
		m.Kind, m.Text, m.RawKind, m.RawBody = string(KindUnknown), "", 77, []byte("later")
	})
	put(10, func(m *messageRecord) {
		m.Kind, m.Text, m.RawBody = string(KindUnknown), "", make([]byte, backup.MaxBody)
	})
	for _, m := range e.stored(t) { // at the giver, not only where it is taken
		entry := e.historyEntry(&m, now)
		if m.Kind == string(KindUndecryptable) && entry != nil {
			t.Error("a tombstone was handed out")
		}
		if bytes.Contains(entry, []byte("text 7")) {
			t.Error("content whose time is over was handed out")
		}
	}
	OfferHistory(t, first, second)
	pages := 0
	for h := f.stateOfHistory(t); !h.Done; h = f.stateOfHistory(t) {
		if err := e.asked(f.self.device, content.HistoryAsk{From: h.Next, Limit: content.MaxPageEntries}); err != nil {
			t.Fatal(err)
		}
		all, _ := e.queued(t)
		if err := f.came(e.self.device, *all[len(all)-1].Page); err != nil {
			t.Fatal(err)
		}
		if pages++; pages > 10 {
			t.Fatal("no end")
		}
	}
	if pages < 2 {
		t.Errorf("%d pages: the longest text and the rest fit none together", pages)
	}
	got := map[byte]messageRecord{}
	for _, m := range f.stored(t) {
		if bytes.HasPrefix(m.ID, []byte{0, 7}) {
			got[m.ID[11]-1] = m
		}
	}
	for i, is := range map[byte]func(m messageRecord) bool{
		1: func(m messageRecord) bool {
			return len(m.Text) == content.MaxText && len(m.Subject) == content.MaxSubject
		},
		3:  func(m messageRecord) bool { return m.Notice == NoticeSessionReset },
		5:  func(m messageRecord) bool { return m.Status == string(StatusDelivered) && len(m.Devices) == 1 },
		6:  func(m messageRecord) bool { return m.Status == string(StatusFailed) },
		7:  func(m messageRecord) bool { return m.Text == "" && m.Expired },
		8:  func(m messageRecord) bool { return m.Text != "" && m.ExpiresAt > now },
		9:  func(m messageRecord) bool { return m.RawKind == 77 && string(m.RawBody) == "later" },
		10: func(m messageRecord) bool { return m.Kind == string(KindUnknown) && len(m.RawBody) == 0 },
	} {
		if m, ok := got[i]; !ok || !is(m) {
			t.Errorf("message %d came as %+v", i, m)
		}
		delete(got, i)
	}
	if len(got) != 0 {
		t.Errorf("beside these came %+v", got)
	}
	// The lifetime that goes on ends here, too.
	f.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if err := f.expire(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.stored(t) {
		if m.ExpiresAt != 0 && (!m.Expired || m.Text != "") {
			t.Errorf("still here: %+v", m)
		}
	}
}

// TestR_CLT_44_SettledCounts: what the server has, though that is not written
// down yet, is handed out as accepted.
func TestR_CLT_44_SettledCounts(t *testing.T) {
	first, _ := twoDevices(t)
	e := first.engine
	m := e.received(stranger, 1)
	m.Outgoing, m.From, m.To, m.Status = true, e.self.record.Address, stranger, string(StatusSending)
	if e.historyEntry(m, 0) != nil {
		t.Error("what is on its way was handed out")
	}
	e.mu.Lock()
	e.settled = append(e.settled, settledMessage{id: m.ID})
	e.mu.Unlock()
	got, err := backup.DecodeMessage(e.historyEntry(m, 0))
	if err != nil || got.Status != string(StatusAccepted) {
		t.Errorf("%+v, %v", got, err)
	}
	e.mu.Lock()
	e.settled = nil
	e.mu.Unlock()
}

// TestR_CLT_45_HostilePage: what another device claims about the past is held
// to what this one would have stored, and never takes the place of anything.
func TestR_CLT_45_HostilePage(t *testing.T) {
	first, second := twoDevices(t)
	f, from := second.engine, first.engine.self.device
	own := f.self.record.Address
	entry := func(i int, change func(*messageRecord)) []byte {
		m := f.received(stranger, i)
		if change != nil {
			change(m)
		}
		saved := m.saved()
		return saved.Encode()
	}
	f.state.Lock()
	mine := f.received("bob@example.org", 1)
	mine.Text = "kept"
	if err := f.update(context.Background(), func(tx *vault.Tx) error { return putMessage(tx, mine) }); err != nil {
		t.Fatal(err)
	}
	f.state.Unlock()
	page := content.HistoryPage{Next: 50, Total: 1 << 63, Entries: [][]byte{
		entry(1, func(m *messageRecord) { m.Text = "in the place of another" }), // this ID is here
		entry(2, nil), entry(2, func(m *messageRecord) { m.Text = "again" }), // this one comes twice
		entry(3, func(m *messageRecord) { m.Conversation = "dave@example.org" }),
		entry(4, func(m *messageRecord) { m.To = "dave@example.org" }),
		entry(5, func(m *messageRecord) { m.Outgoing = true }),
		entry(6, func(m *messageRecord) { m.From, m.Conversation = own, own }),
		entry(7, func(m *messageRecord) { m.Kind = string(KindUndecryptable) }),
		entry(8, func(m *messageRecord) { m.ID = make([]byte, 16) }),
		entry(9, func(m *messageRecord) { m.ID = m.ID[:15] }),
		entry(10, func(m *messageRecord) { m.Text = strings.Repeat("x", content.MaxText+1) }),
		entry(11, func(m *messageRecord) { m.FromDevice = 0 }),
		entry(12, func(m *messageRecord) { m.Conversation, m.From = "Carol@example.org", "Carol@example.org" }),
		entry(13, func(m *messageRecord) { m.ExpiresAt = -1 }),
		{0xff}, append(entry(14, nil), 0),
		entry(15, func(m *messageRecord) {
			m.Outgoing, m.From, m.To, m.Status = true, own, stranger, string(StatusSending)
		}),
		entry(16, func(m *messageRecord) { m.Status = string(StatusRead) }),
	}}
	contacts, err := second.Contacts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.came(from, page); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range f.stored(t) {
		if bytes.HasPrefix(m.ID, []byte{0, 7}) {
			if !m.Outgoing && m.Past != (m.Told && m.Elsewhere) {
				t.Errorf("it would be told of, or count as unread: %+v", m)
			}
			got = append(got, fmt.Sprint(m.ID[11]-1, m.Text, m.Status, m.Cause))
		}
	}
	want := []string{"2text 2received", "15text 15failedrestored", "16text 16received", "1keptreceived"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("stored %q, want %q", got, want)
	}
	after, err := second.Contacts(context.Background())
	if err != nil || len(after) != len(contacts) {
		t.Errorf("contacts %+v, %v", after, err)
	}
	h := f.stateOfHistory(t)
	if h.Next != 50 || h.Messages != uint64(len(page.Entries)) || h.Total > 1<<31 {
		t.Errorf("the state is %+v", h)
	}
	// A stranger stays one, and is owed nothing.
	if p, err := f.person(context.Background(), stranger); err != nil || p != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := second.History(context.Background(), stranger, 10, ""); err != nil {
		t.Error(err)
	}
	err = f.view(context.Background(), func(tx *vault.Tx) error {
		n, err := tx.Count(tableOwed, nil)
		if n != 0 {
			t.Errorf("%d receipts are owed", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestR_CLT_41_ExactlyOnce: a page counts once, from the device that was named,
// at the position that was asked for; and a batch that is not committed leaves
// no trace.
func TestR_CLT_41_ExactlyOnce(t *testing.T) {
	first, second := twoDevices(t)
	f, from := second.engine, first.engine.self.device
	page := func(at, next uint64, i int) content.HistoryPage {
		saved := f.received(stranger, i).saved()
		return content.HistoryPage{From: at, Next: next, Total: 3, Entries: [][]byte{saved.Encode()}}
	}
	same := func(what string, do func() error) {
		t.Helper()
		before, rows := f.stateOfHistory(t), len(f.stored(t))
		asks, _ := f.queued(t)
		if err := do(); err != nil && !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		now, _ := f.queued(t)
		if after := f.stateOfHistory(t); after != before || len(f.stored(t)) != rows || len(now) != len(asks) {
			t.Errorf("%s: from %+v to %+v, %d messages, %d questions", what, before, after, len(f.stored(t))-rows, len(now)-len(asks))
		}
	}
	same("another device's", func() error { return f.came(from+1, page(0, 4, 1)) })
	same("of another position", func() error { return f.came(from, page(2, 4, 1)) })
	same("not committed", func() error {
		return f.batched(func(w *work) error {
			p := page(0, 4, 1)
			if err := w.historyCame(peerKey{f.self.record.Address, from}, &p); err != nil {
				return err
			}
			return errEnough // a disk that is full, for instance
		})
	})
	if err := f.came(from, page(0, 4, 1)); err != nil {
		t.Fatal(err)
	}
	all, to := f.queued(t)
	if last := all[len(all)-1].Ask; last == nil || last.From != 4 || to[len(to)-1] != from {
		t.Errorf("the next question is %+v", last)
	}
	same("repeated", func() error { return f.came(from, page(0, 4, 2)) })
	if err := f.came(from, page(4, 0, 3)); err != nil {
		t.Fatal(err)
	}
	if h := f.stateOfHistory(t); !h.Done || h.Messages != 2 || h.Total != 2 {
		t.Errorf("at the end: %+v", h)
	}
	same("after the end", func() error { return f.came(from, page(4, 9, 4)) })
	same("a refusal after the end", func() error { return f.came(from, content.HistoryPage{From: 4, Refused: true}) })
}

// TestR_CLT_41_AskedAgain: a page that does not come is asked for again, less
// and less often.
func TestR_CLT_41_AskedAgain(t *testing.T) {
	var h historyRecord
	_, second := twoDevices(t)
	e := second.engine
	at := time.Now()
	e.now = func() time.Time { return at }
	var pauses []time.Duration
	for range 12 {
		err := e.batched(func(w *work) error { return e.askHistory(w.tx, &h) })
		if err != nil {
			t.Fatal(err)
		}
		pauses = append(pauses, time.UnixMilli(h.After).Sub(at).Round(time.Second))
	}
	if pauses[0] != HistoryPatience || pauses[1] != 2*HistoryPatience || pauses[11] != time.Hour {
		t.Errorf("asked after %v", pauses)
	}
	h.Tries = 1 << 60
	if historyPause(h.Tries) != time.Hour {
		t.Error("the pause overflows")
	}
}

// TestR_CLT_42_Orders: the orders of the history lie between what a device had
// and what it gets, however often it joins anew.
func TestR_CLT_42_Orders(t *testing.T) {
	first, second := twoDevices(t)
	e := second.engine
	h := e.stateOfHistory(t)
	if h.Last > 9 || h.Top != HistoryOrders || e.lastOrder < h.Top {
		t.Errorf("%+v, next %d", h, e.lastOrder)
	}
	Fill(t, second, stranger, 3)
	all := e.stored(t)
	newest := all[len(all)-1].order
	ExpectHistory(t, second, first)
	again := e.stateOfHistory(t)
	if newest <= h.Top || again.Last != newest || again.Top <= newest || e.lastOrder < again.Top {
		t.Errorf("%+v after %d, next %d", again, newest, e.lastOrder)
	}
	saved := e.received("bob@example.org", 9).saved()
	if err := e.came(first.engine.self.device, content.HistoryPage{Entries: [][]byte{saved.Encode()}}); err != nil {
		t.Fatal(err)
	}
	all = e.stored(t)
	if last := all[len(all)-1]; last.order != newest+1 || !last.Past {
		t.Errorf("the history continues at %d after %d", last.order, newest)
	}
	got, err := second.Receive(context.Background(), "", 100)
	if err != nil || len(got) != 3 {
		t.Errorf("given %d, %v", len(got), err)
	}
}

// TestR_CLT_43_Revoked: a device that is no longer on the list is not answered,
// and its pages are dropped, though a session with it exists.
func TestR_CLT_43_Revoked(t *testing.T) {
	first, second := twoDevices(t)
	OfferHistory(t, first, second)
	own, err := first.engine.ownPerson(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(e *engine, id address.Device) {
		t.Helper()
		next := own.list.Next(time.Now())
		for i := range next.Devices {
			if next.Devices[i].ID == id {
				next.Devices[i].Status = devicelist.Revoked
			}
		}
		entry, err := devicelist.Sign(next, first.engine.self.account)
		if err == nil {
			_, err = e.takeList(context.Background(), own.address, append(slices.Clip(own.record.Chain), entry))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	e, f := first.engine, second.engine
	revoke(e, f.self.device)
	before, _ := e.queued(t)
	if err := e.asked(f.self.device, content.HistoryAsk{Limit: 10}); err != nil {
		t.Fatal(err)
	}
	if after, _ := e.queued(t); len(after) != len(before) {
		t.Errorf("answered with %+v", after[len(before):])
	}
	revoke(f, e.self.device)
	rows := len(f.stored(t))
	saved := f.received(stranger, 1).saved()
	if err := f.came(e.self.device, content.HistoryPage{Entries: [][]byte{saved.Encode()}}); err != nil {
		t.Fatal(err)
	}
	if len(f.stored(t)) != rows {
		t.Error("a page of a revoked device was taken")
	}
}
