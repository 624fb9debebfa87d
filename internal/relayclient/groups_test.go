package relayclient_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
)

// answering is a connection to a server that gives these answers, one after
// the other, and then falls silent. It checks what it is asked, if told to.
func answering(t *testing.T, check func(n int, f relay.Frame), answers ...relay.Frame) *relayclient.Conn {
	t.Helper()
	l := newLiar(t, welcome(func(ctx context.Context, ws *websocket.Conn) {
		for n, a := range answers {
			f := take(ctx, ws)
			if check != nil {
				check(n, f)
			}
			a.ID = f.ID
			put(ctx, ws, a)
		}
	}).serve)
	c, err := relayclient.Dial(t.Context(), l.target, l.login)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func done(m relay.Message) relay.Frame { return relay.Frame{Body: codec.Marshal(m)} }

// R-REL-51: a page whose entries do not follow each other, or that begins before
// what was asked for, is no answer; nor is an entry placed that nobody asked for.
func TestR_REL_51_LyingLog(t *testing.T) {
	entry := func(seq uint64, prev, head byte) relay.GroupEntry {
		return relay.GroupEntry{Seq: seq, Prev: [32]byte{prev}, Head: [32]byte{head}, Blob: []byte{1}}
	}
	entries := func(e ...relay.GroupEntry) []relay.GroupEntry { return e }
	for name, c := range map[string]struct {
		page relay.GroupPage
		good bool
	}{
		"two that follow":        {relay.GroupPage{Entries: entries(entry(2, 1, 2), entry(3, 2, 3)), Seq: 3, Head: [32]byte{3}}, true},
		"a later beginning":      {relay.GroupPage{Entries: entries(entry(3, 2, 3)), Seq: 3, Head: [32]byte{3}}, true},
		"nothing":                {relay.GroupPage{Entries: entries(), Seq: 1, Head: [32]byte{1}}, true},
		"before what was asked":  {relay.GroupPage{Entries: entries(entry(1, 0, 1)), Seq: 1, Head: [32]byte{1}}, false},
		"a gap":                  {relay.GroupPage{Entries: entries(entry(2, 1, 2), entry(4, 2, 4)), Seq: 4, Head: [32]byte{4}}, false},
		"another line":           {relay.GroupPage{Entries: entries(entry(2, 1, 2), entry(3, 9, 3)), Seq: 3, Head: [32]byte{3}}, false},
		"another head":           {relay.GroupPage{Entries: entries(entry(2, 1, 2)), Seq: 2, Head: [32]byte{9}}, false},
		"an end before its last": {relay.GroupPage{Entries: entries(entry(2, 1, 2), entry(3, 2, 3)), Seq: 2, Head: [32]byte{2}}, false},
		"more, and nothing":      {relay.GroupPage{Entries: entries(), Seq: 3, Head: [32]byte{3}, More: true}, false},
		"cut off":                {relay.GroupPage{Entries: entries(entry(2, 1, 2)), Seq: 3, Head: [32]byte{3}}, false},
	} {
		conn := answering(t, nil, done(&c.page))
		page, err := conn.GroupRead(t.Context(), relay.GroupRead{From: 2})
		if c.good && (err != nil || !bytes.Equal(codec.Marshal(&page), codec.Marshal(&c.page))) || !c.good && !errors.Is(err, relayclient.ErrProtocol) {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
	asked := relay.GroupAppend{Seq: 5, Head: [32]byte{5}, Blob: []byte{1}}
	for name, c := range map[string]struct {
		placed relay.GroupPlaced
		good   bool
	}{
		"placed":               {relay.GroupPlaced{Ok: true, Seq: 5, Head: [32]byte{5}}, true},
		"lost":                 {relay.GroupPlaced{Seq: 5, Head: [32]byte{6}}, true},
		"placed somewhere":     {relay.GroupPlaced{Ok: true, Seq: 6, Head: [32]byte{5}}, false},
		"another entry placed": {relay.GroupPlaced{Ok: true, Seq: 5, Head: [32]byte{6}}, false},
	} {
		conn := answering(t, nil, done(&c.placed))
		placed, err := conn.GroupAppend(t.Context(), asked)
		if c.good && (err != nil || placed != c.placed) || !c.good && !errors.Is(err, relayclient.ErrProtocol) {
			t.Errorf("%s: %+v, %v", name, placed, err)
		}
	}
	conn := answering(t, nil, relay.Frame{Body: []byte{0xa0}})
	if err := conn.GroupCreate(t.Context(), relay.GroupCreate{Blob: []byte{1}}); !errors.Is(err, relayclient.ErrProtocol) {
		t.Errorf("a creation that is answered with something: %v", err)
	}
}

// R-REL-51: what is said of a message can be true of its audience.
func TestR_REL_51_LyingSend(t *testing.T) {
	devices := func(d ...address.Device) []address.Device { return d }
	message := relay.GroupSend{Seq: 1, Body: []byte{1}, Audience: []relay.GroupAudience{
		{User: "bob", Version: 1, Devices: devices(2, 1)}, {User: "alice", Version: 1}, {User: "carol", Version: 1, Devices: devices(3)},
	}}
	full := func(f ...relay.GroupFull) relay.GroupSendAnswer { return relay.GroupSendAnswer{Full: f} }
	left := func(pairs ...relay.GroupDevice) *relay.GroupSendResult { return &relay.GroupSendResult{Full: pairs} }
	for name, c := range map[string]struct {
		answer relay.GroupSendAnswer
		want   *relay.GroupSendResult // nil for ErrProtocol
	}{
		"done":              {relay.GroupSendAnswer{}, &relay.GroupSendResult{}},
		"stale":             {relay.GroupSendAnswer{Stale: &relay.GroupStale{Seq: 2}}, &relay.GroupSendResult{Stale: &relay.GroupStale{Seq: 2}}},
		"lists":             {relay.GroupSendAnswer{Lists: []string{"alice", "carol"}}, &relay.GroupSendResult{Lists: []string{"alice", "carol"}}},
		"another's list":    {relay.GroupSendAnswer{Lists: []string{"alice", "eve"}}, nil},
		"two are full":      {full(relay.GroupFull{User: "bob", Devices: devices(2)}, relay.GroupFull{User: "carol", Devices: devices(3)}), left(relay.GroupDevice{User: "bob", Device: 2}, relay.GroupDevice{User: "carol", Device: 3})},
		"all are full":      {full(relay.GroupFull{User: "bob", Devices: devices(1, 2)}, relay.GroupFull{User: "carol", Devices: devices(3)}), nil},
		"another user":      {full(relay.GroupFull{User: "eve", Devices: devices(1)}), nil},
		"another device":    {full(relay.GroupFull{User: "bob", Devices: devices(9)}), nil},
		"another's device":  {full(relay.GroupFull{User: "bob", Devices: devices(3)}), nil},
		"the sender's none": {full(relay.GroupFull{User: "alice", Devices: devices(1)}), nil},
	} {
		conn := answering(t, nil, relay.Frame{Body: c.answer.Body()})
		got, err := conn.GroupSend(t.Context(), message)
		if c.want == nil && !errors.Is(err, relayclient.ErrProtocol) || c.want != nil && (err != nil || !reflect.DeepEqual(&got, c.want)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// R-REL-47: the audience goes along when it is asked for, once; a server that
// asks without end has broken the protocol.
func TestR_REL_47_Asked(t *testing.T) {
	message := relay.GroupSend{Seq: 1, ID: relay.MessageID{7}, Body: []byte{1}, Audience: []relay.GroupAudience{{User: "bob", Version: 1, Devices: []address.Device{2}}}}
	prepared := message
	prepared.Prepared, prepared.Audience = relay.NewAudience(message.Audience), nil
	check := func(n int, f relay.Frame) {
		var r relay.GroupSendRequest
		if relay.Op(f.Kind) != relay.OpGroupSend || relay.Decode(f.Body, &r) != nil || r.ID != message.ID {
			t.Errorf("request %d: %+v", n, r)
		}
		if n == 0 && r.Audience != nil {
			t.Error("the audience was sent unasked")
		}
		if n == 1 {
			if a, err := relay.ParseAudience(r.Audience); err != nil || a.Hash != r.Hash || len(a.Members()) != 1 {
				t.Errorf("the audience does not fit its hash: %v", err)
			}
		}
	}
	need := relay.Frame{Kind: uint64(relay.NeedAudience)}
	for name, m := range map[string]relay.GroupSend{"listed": message, "prepared": prepared} {
		if _, err := answering(t, check, need, relay.Frame{}).GroupSend(t.Context(), m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := answering(t, check, need, need).GroupSend(t.Context(), m); !errors.Is(err, relayclient.ErrProtocol) {
			t.Errorf("%s, asked twice: %v", name, err)
		}
		refused := relay.Frame{Kind: uint64(relay.RateLimited)}
		if _, err := answering(t, check, need, refused).GroupSend(t.Context(), m); !errors.Is(err, relay.RateLimited) {
			t.Errorf("%s, refused: %v", name, err)
		}
	}
}
