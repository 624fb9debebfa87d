package content_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

const bob = "bob@example.org"

// syncs is one of each, by name.
func syncs(tb testing.TB) map[string]content.Sync {
	hello := text(tb, time.Hour, content.Text{Text: "hello", Subject: "s"})
	unknown := content.Content{Kind: 77, ID: id, SentAt: now, Body: []byte("later")}
	return map[string]content.Sync{
		"sent":            {Sent: content.NewSent(bob, hello, []address.Device{9, 7, 1<<64 - 1})},
		"sent to nobody":  {Sent: content.NewSent(bob, hello, nil)},
		"sent unknown":    {Sent: content.NewSent(bob, unknown, []address.Device{9})},
		"read":            {Read: []content.ID{{1}, {2}, {2, 1}}},
		"contact":         {Contact: &content.ContactMark{Address: bob, Account: [32]byte{7}, Alias: "b", Verified: true, Known: true, At: now}},
		"contact removed": {Contact: &content.ContactMark{Address: bob, Removed: true, At: time.UnixMilli(0).UTC()}},
		"claims":          {Claims: &content.Claims{Peer: bob, Device: 9, State: content.Read, IDs: []content.ID{{1}, {2}}}},
		"ask":             {Ask: &content.HistoryAsk{From: 1<<64 - 1, Limit: content.MaxPageEntries}},
		"page":            {Page: &content.HistoryPage{From: 3, Next: 9, Total: 12, Entries: [][]byte{{1}, {2, 3}}}},
		"last page":       {Page: &content.HistoryPage{From: 9, Total: 12, Entries: [][]byte{}}},
		"refused page":    {Page: &content.HistoryPage{From: 9, Entries: [][]byte{}, Refused: true}},
		"refresh":         {Refresh: true},
	}
}

// newSync makes the content or fails.
func newSync(tb testing.TB, s content.Sync) content.Content {
	tb.Helper()
	c, err := content.NewSync(s, now)
	if err != nil {
		tb.Fatal(err)
	}
	c.ID = id
	return c
}

// syncObject is a content object of KindSync around any body.
func syncObject(b []byte) object { return object{Kind: 5, ID: id[:], SentAt: 1, TTL: 0, Body: b} }

// refuseBodies checks that no body is accepted under the kind.
func refuseBodies(t *testing.T, kind int, want error, bodies map[string]any) {
	t.Helper()
	for name, b := range bodies {
		raw, ok := b.([]byte)
		if !ok {
			raw = codec.Marshal(b)
		}
		if c, err := content.Decode(padded(object{Kind: kind, ID: id[:], SentAt: 1, TTL: 0, Body: raw})); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestR_CNT_10_Sync(t *testing.T) {
	for name, s := range syncs(t) {
		c := newSync(t, s)
		if c.Kind != content.KindSync || c.SentAt != now || c.TTL != 0 {
			t.Errorf("%s: %+v", name, c)
		}
		b := c.Encode()
		got, err := content.Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got.Sync, s) {
			t.Errorf("%s: got %+v, want %+v", name, got.Sync, s)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Errorf("%s: encodes to other bytes", name)
		}
	}
	ask := &content.HistoryAsk{Limit: 1}
	for name, s := range map[string]content.Sync{
		"nothing": {}, "two": {Ask: ask, Refresh: true}, "two others": {Read: []content.ID{{1}}, Ask: ask},
	} {
		if _, err := content.NewSync(s, now); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := map[int]any{}
	refuseBodies(t, 5, content.ErrMalformed, map[string]any{
		"no body":            []byte{},
		"empty map":          empty,
		"an array":           []any{1},
		"two keys":           map[int]any{5: map[int]any{1: 0, 2: 1}, 7: empty},
		"a known and other":  map[int]any{7: empty, 8: empty},
		"two unknown":        map[int]any{8: empty, 9: empty},
		"key negative":       map[int]any{-1: empty},
		"key as text":        map[string]any{"7": empty},
		"null":               map[int]any{7: nil},
		"refresh not empty":  map[int]any{7: map[int]any{1: 1}},
		"refresh an integer": map[int]any{7: 1},
		"bytes after":        append(codec.Marshal(map[int]any{7: empty}), 0),
		"a key twice":        []byte{0xa2, 7, 0xa0, 7, 0xa0},
		"long key":           []byte{0xa1, 0x18, 7, 0xa0},
		"unknown, truncated": []byte{0xa1, 8, 0x42, 1},
		"unknown, tagged":    []byte{0xa1, 8, 0xc1, 1},
		"unknown, no length": []byte{0xa1, 8, 0x9f, 0xff},
	})
}

// TestR_CNT_10_LaterKeys: what a later version says is no error, means nothing
// here and is kept.
func TestR_CNT_10_LaterKeys(t *testing.T) {
	for name, b := range map[string]any{
		"8": map[int]any{8: map[int]any{1: "x"}}, "0": map[int]any{0: []int{1}}, "far": map[uint64]any{1<<64 - 1: "x"},
	} {
		in := padded(syncObject(codec.Marshal(b)))
		c, err := content.Decode(in)
		if err != nil || !reflect.DeepEqual(c.Sync, content.Sync{}) || c.Kind != content.KindSync {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if !bytes.Equal(c.Encode(), in) {
			t.Errorf("%s is not kept", name)
		}
	}
}

func TestR_CNT_11_Sent(t *testing.T) {
	hello := text(t, time.Hour, content.Text{Text: "hello", ReplyTo: content.ID{3}})
	s := content.NewSent(bob, hello, []address.Device{1})
	if got, err := s.Open(); err != nil || !same(got, hello) {
		t.Errorf("%+v, %v", got, err)
	}
	// The copy is the original without its padding.
	if p := hello.Encode(); !bytes.HasPrefix(p, append(bytes.Clone(s.Content), 0x80)) {
		t.Error("the copy is not the original")
	}
	unknown := content.Content{Kind: 77, ID: id, SentAt: now, Body: []byte("later")}
	if got, err := content.NewSent(bob, unknown, nil).Open(); err != nil || !same(got, unknown) {
		t.Errorf("an unknown kind: %+v, %v", got, err)
	}
	repair, err := content.NewRepair(content.Repair{Done: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]content.Content{
		"heartbeat": content.NewControl(content.KindHeartbeat, now), "farewell": content.NewControl(content.KindFarewell, now),
		"receipt": content.NewReceipts(content.Read, []content.ID{{1}}, now)[0],
		"sync":    newSync(t, content.Sync{Refresh: true}), "repair": repair,
		"nothing": {}, "without id": {Kind: 77},
	} {
		s := content.NewSent(bob, c, nil)
		if got, err := s.Open(); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := content.NewSync(content.Sync{Sent: s}, now); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: made: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"padded": hello.Encode(), "bytes after": append(bytes.Clone(s.Content), 0), "cut": s.Content[:len(s.Content)-1],
	} {
		if _, err := (&content.Sent{To: bob, Content: b}).Open(); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sent := func(to, b, devices any) any { return map[int]any{1: map[int]any{1: to, 2: b, 3: devices}} }
	good := s.Content
	nine := []int{1, 2, 3, 4, 5, 6, 7, 8, 9}
	if c, err := content.Decode(padded(syncObject(codec.Marshal(sent(bob, good, nine[:8]))))); err != nil || len(c.Sync.Sent.Devices) != 8 {
		t.Fatal(err)
	}
	refuseBodies(t, 5, content.ErrMalformed, map[string]any{
		"to nobody": sent("", good, nine[:1]), "not canonical": sent("Bob@example.org", good, nine[:1]),
		"no content": sent(bob, []byte{}, nine[:1]), "content as text": sent(bob, "x", nine[:1]),
		"nine devices": sent(bob, good, nine), "device zero": sent(bob, good, []int{0}), "device twice": sent(bob, good, []int{3, 3}),
		"device negative": sent(bob, good, []int{-1}), "devices null": sent(bob, good, nil), "no devices": map[int]any{1: map[int]any{1: bob, 2: good}},
		"a key more": map[int]any{1: map[int]any{1: bob, 2: good, 3: nine[:1], 4: 1}},
	})
	refuseBodies(t, 5, content.ErrTooLong, map[string]any{"long": sent(bob, make([]byte, content.MaxContent+1), nine[:1])})
}

// TestR_CNT_11_LongestFits: the copy of the longest message there is passes
// through the ratchet and stands in an envelope, with everything else as long
// as it can be.
func TestR_CNT_11_LongestFits(t *testing.T) {
	longest := text(t, content.MaxTTL, content.Text{
		Text: strings.Repeat("x", content.MaxText), Subject: strings.Repeat("y", content.MaxSubject), ReplyTo: id,
	})
	// The longest content of any kind.
	body := make([]byte, content.MaxContent)
	for longestEncoding(body) > content.MaxContent {
		body = body[1:]
	}
	devices := make([]address.Device, content.MaxSentDevices)
	for i := range devices {
		devices[i] = ^address.Device(i)
	}
	host := strings.Repeat("h", 60) + "." + strings.Repeat("h", 60) + "." + strings.Repeat("h", 60) + ".example.org"
	to, err := address.Parse(strings.Repeat("u", address.MaxUser) + "@" + host + ":65535")
	if err != nil {
		t.Fatal(err)
	}
	entries := make([][]byte, content.MaxPageEntries)
	for i := range entries {
		entries[i] = bytes.Repeat([]byte{1}, content.MaxPageBytes/content.MaxPageEntries)
	}
	for name, s := range map[string]content.Sync{
		"text": {Sent: content.NewSent(to.String(), longest, devices)},
		"unknown": {Sent: content.NewSent(to.String(), content.Content{
			Kind: 1<<64 - 1, ID: id, SentAt: time.UnixMilli(1 << 48), TTL: content.MaxTTL, Body: body}, devices)},
		"page":          {Page: &content.HistoryPage{From: 1<<64 - 2, Next: 1<<64 - 1, Total: 1<<64 - 1, Entries: entries}},
		"page with one": {Page: &content.HistoryPage{Entries: [][]byte{bytes.Repeat([]byte{1}, content.MaxPageBytes)}}},
	} {
		plain := newSync(t, s).Encode()
		got, err := content.Decode(plain)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "text" {
			if inner, err := got.Sync.Sent.Open(); err != nil || !same(inner, longest) {
				t.Errorf("%s: %v", name, err)
			}
		}
		sealed := sealFirst(t, plain)
		e := content.Envelope{From: to, Device: 1<<64 - 1, To: 1<<64 - 1, Initial: make([]byte, x3dh.MaxInitial), Message: sealed}
		// Beside this message a sender may disclose keys.
		if n := len(e.Encode()) + ratchet.MaxFarewell*32; n > content.MaxEnvelope {
			t.Errorf("%s: an envelope of %d bytes", name, n)
		} else if _, err := content.DecodeEnvelope(e.Encode()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func longestEncoding(body []byte) int {
	c := content.Content{Kind: 1<<64 - 1, ID: id, SentAt: time.UnixMilli(1 << 48), TTL: content.MaxTTL, Body: body}
	return len(content.NewSent(bob, c, nil).Content)
}

// sealFirst seals under a new session.
func sealFirst(t *testing.T, plain []byte) []byte {
	t.Helper()
	_, peer := dh.Generate()
	s, err := ratchet.Initiate(&[32]byte{1}, peer)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal(plain, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return sealed.Message
}

func TestR_CNT_12_ReadAndClaims(t *testing.T) {
	many := make([]content.ID, content.MaxReceipt+1)
	for i := range many {
		many[i] = content.ID{byte(len(many) - i)}
	}
	// Ids come in any order and twice; one encoding leaves.
	c := newSync(t, content.Sync{Read: append(many[1:], many[1])})
	if len(c.Sync.Read) != content.MaxReceipt || c.Sync.Read[0] != many[content.MaxReceipt] {
		t.Errorf("%d ids from %v on", len(c.Sync.Read), c.Sync.Read[0])
	}
	for name, s := range map[string]content.Sync{
		"too many read": {Read: many}, "zero": {Read: []content.ID{{}}},
		"too many claims": {Claims: &content.Claims{Peer: bob, Device: 1, State: content.Read, IDs: many}},
		"claims nothing":  {Claims: &content.Claims{Peer: bob, Device: 1, State: content.Read}},
		"no state":        {Claims: &content.Claims{Peer: bob, Device: 1, IDs: many[:1]}},
		"no peer":         {Claims: &content.Claims{Device: 1, State: content.Read, IDs: many[:1]}},
	} {
		if _, err := content.NewSync(s, now); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	one, two := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
	read := func(ids ...[]byte) any { return map[int]any{2: map[int]any{1: ids}} }
	claims := func(peer, device, state any, ids ...[]byte) any {
		return map[int]any{4: map[int]any{1: peer, 2: device, 3: state, 4: ids}}
	}
	refuseBodies(t, 5, content.ErrMalformed, map[string]any{
		"read nothing": read(), "read zero": read(make([]byte, 16)), "read short": read(one[:15]), "read twice": read(one, one),
		"read descending": read(two, one), "read a list": map[int]any{2: [][]byte{one}},
		"claims nothing": claims(bob, 1, 1), "claims twice": claims(bob, 1, 1, one, one), "claims descending": claims(bob, 1, 1, two, one),
		"state 0": claims(bob, 1, 0, one), "state 3": claims(bob, 1, 3, one), "device 0": claims(bob, 0, 1, one),
		"peer": claims("bob", 1, 1, one),
	})
}

func TestR_CNT_13_Contact(t *testing.T) {
	mark := func(change func(map[int]any)) any {
		m := map[int]any{1: bob, 2: make([]byte, 32), 3: "", 4: false, 5: true, 6: false, 7: 1}
		change(m)
		return map[int]any{3: m}
	}
	good := codec.Marshal(mark(func(m map[int]any) { m[3] = strings.Repeat("x", content.MaxAlias) }))
	if c, err := content.Decode(padded(syncObject(good))); err != nil || !c.Sync.Contact.Known || c.Sync.Contact.At.UnixMilli() != 1 {
		t.Fatal(err)
	}
	refuseBodies(t, 5, content.ErrMalformed, map[string]any{
		"address": mark(func(m map[int]any) { m[1] = "Bob@example.org" }), "key of 31": mark(func(m map[int]any) { m[2] = make([]byte, 31) }),
		"long alias": mark(func(m map[int]any) { m[3] = strings.Repeat("x", content.MaxAlias+1) }), "no alias": mark(func(m map[int]any) { delete(m, 3) }),
		"alias as bytes": mark(func(m map[int]any) { m[3] = []byte("x") }), "verified as number": mark(func(m map[int]any) { m[4] = 1 }),
		"far time": mark(func(m map[int]any) { m[7] = uint64(1<<48 + 1) }), "a key more": mark(func(m map[int]any) { m[8] = 1 }),
	})
	if _, err := content.NewSync(content.Sync{Contact: &content.ContactMark{Address: bob, Alias: "\xff"}}, now); !errors.Is(err, content.ErrMalformed) {
		t.Error("an alias that is not UTF-8 was made")
	}
}

func TestR_CNT_14_History(t *testing.T) {
	ask := func(from, limit any) any { return map[int]any{5: map[int]any{1: from, 2: limit}} }
	page := func(from, next, total any, entries ...[]byte) any {
		return map[int]any{6: map[int]any{1: from, 2: next, 3: total, 4: entries}}
	}
	refused := func(next, total any, entries ...[]byte) any {
		return map[int]any{6: map[int]any{1: 9, 2: next, 3: total, 4: entries, 5: true}}
	}
	e := []byte{1}
	refuseBodies(t, 5, content.ErrMalformed, map[string]any{
		"limit 0": ask(0, 0), "limit": ask(0, content.MaxPageEntries+1), "from": ask(-1, 1),
		"in place": page(5, 5, 9, e), "backwards": page(5, 4, 9, e), "empty entry": page(5, 6, 9, e, []byte{}),
		"entries": page(5, 6, 9, slicesOf(content.MaxPageEntries+1, 1)...), "entries null": map[int]any{6: map[int]any{1: 0, 2: 0, 3: 0, 4: nil}},
		"refused, goes on": refused(10, 0), "refused with total": refused(0, 1), "refused with entries": refused(0, 0, e),
		"not refused": map[int]any{6: map[int]any{1: 9, 2: 0, 3: 0, 4: [][]byte{}, 5: false}},
	})
	refuseBodies(t, 5, content.ErrTooLong, map[string]any{"bytes": page(5, 6, 9, slicesOf(2, content.MaxPageBytes/2+1)...)})
	if _, err := content.NewSync(content.Sync{Page: &content.HistoryPage{Entries: slicesOf(2, content.MaxPageBytes/2+1)}}, now); !errors.Is(err, content.ErrTooLong) {
		t.Errorf("a long page was made: %v", err)
	}
}

func slicesOf(n, size int) (out [][]byte) {
	for range n {
		out = append(out, bytes.Repeat([]byte{7}, size))
	}
	return out
}

func TestR_CNT_15_Repair(t *testing.T) {
	for name, r := range map[string]content.Repair{
		"ask": {Count: 3, Since: now}, "ask, since when is not known": {Count: 1}, "done": {Done: true, Count: 3}, "nothing was lost": {Done: true},
		"many": {Done: true, Count: 1<<64 - 1},
	} {
		c, err := content.NewRepair(r, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := content.Decode(c.Encode())
		if err != nil || got.Kind != content.KindRepair || got.Repair != r || !bytes.Equal(got.Encode(), c.Encode()) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if yes := text(t, 0, content.Text{Text: "yes"}).Encode(); len(c.Encode()) != len(yes) {
			t.Errorf("%s: %d bytes, a short text %d", name, len(c.Encode()), len(yes))
		}
	}
	if _, err := content.NewRepair(content.Repair{}, now); !errors.Is(err, content.ErrMalformed) {
		t.Error("a request without a loss was made")
	}
	refuseBodies(t, 6, content.ErrMalformed, map[string]any{
		"no body": []byte{}, "what 0": map[int]any{1: 0, 2: 1}, "what 3": map[int]any{1: 3, 2: 1}, "no count": map[int]any{1: 1},
		"of nothing": map[int]any{1: 1, 2: 0}, "count": map[int]any{1: 2, 2: -1}, "since 0": map[int]any{1: 1, 2: 1, 3: 0},
		"since": map[int]any{1: 1, 2: 1, 3: uint64(1<<48 + 1)}, "a key more": map[int]any{1: 1, 2: 1, 4: 1},
	})
}
