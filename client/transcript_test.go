package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/transcript"
)

// R-TRN-01: nothing is kept unless it was asked for; then what goes
// over the wire is, its transcript verifies, both sides have the same envelopes,
// and taking the wish back leaves nothing.
func TestR_TRN_01_Recorded(t *testing.T) {
	w := newWorld(t)
	home := config(t, "alice")
	alice, bob := w.join(home, "alice"), w.join(config(t, "bob"), "bob")
	send(t, alice, "bob", "before")
	take(t, bob)
	if _, err := alice.Transcript(ctx(t), "bob"); !errors.Is(err, client.ErrNotRecorded) {
		t.Fatalf("not asked for: %v", err)
	}
	for _, side := range []struct {
		api client.API
		who string
	}{{alice, "bob"}, {bob, "alice"}} {
		if r, err := side.api.Record(ctx(t), side.who, true); err != nil || r.Messages != 0 {
			t.Fatal(r, err)
		}
	}
	for i := range 6 {
		from, to, peer := alice, bob, "bob"
		if i%2 == 1 {
			from, to, peer = bob, alice, "alice"
		}
		send(t, from, peer, fmt.Sprintf("message %d", i))
		take(t, to)
	}
	if err := alice.Close(); err != nil { // the wish is durable
		t.Fatal(err)
	}
	alice, err := client.Open(ctx(t), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { alice.Close() })
	send(t, alice, "bob", "after the restart")
	take(t, bob)
	send(t, bob, "alice", "the last")
	take(t, alice)
	mine, err := alice.Transcript(ctx(t), "bob")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := bob.Transcript(ctx(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	beside, err := client.Open(ctx(t), home) // asks the process that has the home
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { beside.Close() })
	if same, err := beside.Transcript(ctx(t), "bob"); err != nil || !reflect.DeepEqual(same, mine) {
		t.Errorf("through the owner: %v, %v", same, err)
	}
	r, err := mine.Verify()
	if err != nil || r.Verified < 5 || r.Bad != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	seen, texts := map[string]bool{}, map[string]int{}
	for _, m := range theirs.Messages {
		seen[string(m.Envelope)] = true
	}
	missing := 0
	for _, m := range mine.Messages {
		texts[m.Text]++
		if !seen[string(m.Envelope)] {
			missing++ // the last receipts may not have come
		}
	}
	if len(mine.Messages) < 8 || missing > 2 || texts["before"] != 0 {
		t.Errorf("%d messages, %d of them not with bob; %v", len(mine.Messages), missing, texts)
	}
	for i := range 6 {
		if texts[fmt.Sprintf("message %d", i)] != 1 {
			t.Errorf("message %d: %v", i, texts)
		}
	}
	var file bytes.Buffer
	if err := mine.Write(&file); err != nil {
		t.Fatal(err)
	}
	list, err := alice.Recordings(ctx(t))
	if err != nil || len(list) != 1 || list[0].Messages != len(mine.Messages) || list[0].Since.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
	// The text of a genuine message is changed, and the transcript is as good.
	for i, m := range mine.Messages {
		if m.Text == "message 0" {
			if err := mine.Modify(i, "", "massage 0"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if again, err := mine.Verify(); err != nil || again.Verified != r.Verified || again.Bad != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	// A conversation that never was, of what the contacts hold.
	me, err := alice.PublicKeys(ctx(t), "me")
	if err != nil {
		t.Fatal(err)
	}
	you, err := alice.PublicKeys(ctx(t), "bob")
	if err != nil {
		t.Fatal(err)
	}
	lines := []transcript.Line{{From: you.Address, Text: "I confess.", At: mine.Messages[0].At}, {From: me.Address, Text: "Noted.", At: mine.Messages[0].At}}
	if _, err := transcript.Forge(me, you, lines); err != nil {
		t.Error(err)
	}
	if _, err := alice.Record(ctx(t), "bob", false); err != nil {
		t.Fatal(err)
	}
	send(t, alice, "bob", "unseen")
	if _, err := alice.Transcript(ctx(t), "bob"); !errors.Is(err, client.ErrNotRecorded) {
		t.Errorf("taken back: %v", err)
	}
	if r, err := alice.Record(ctx(t), "bob", true); err != nil || r.Messages != 0 || r.Bytes != 0 {
		t.Errorf("what was taken back is still there: %+v, %v", r, err)
	}
	if tr, err := alice.Transcript(ctx(t), "bob"); err != nil || len(tr.Messages) != 0 {
		t.Errorf("what was taken back is still there: %v, %v", tr, err)
	}
}
