package content_test

import (
	"testing"

	"github.com/pawl-chat/pawl/internal/content"
)

// TestR_CNT_09_Receipts: any number of messages goes into receipts of a bounded
// size, each id once, which decode to what they were made of and look like
// texts from outside.
func TestR_CNT_09_Receipts(t *testing.T) {
	var ids []content.ID
	want := map[content.ID]bool{}
	for range 3*content.MaxReceipt - 1 {
		id := content.NewID()
		ids, want[id] = append(ids, id), true
	}
	ids = append(ids, ids[0]) // asked for twice
	made := content.NewReceipts(content.Read, ids, now)
	if len(made) != 3 {
		t.Fatalf("%d receipts", len(made))
	}
	for _, c := range made {
		got, err := content.Decode(c.Encode())
		if err != nil || got.Kind != content.KindReceipt || got.Receipt.State != content.Read || len(got.Receipt.IDs) > content.MaxReceipt {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, id := range got.Receipt.IDs {
			if !want[id] {
				t.Fatal("an id that was not asked for, or twice")
			}
			delete(want, id)
		}
	}
	if len(want) != 0 {
		t.Errorf("%d ids are missing", len(want))
	}
	one := content.NewReceipts(content.Delivered, ids[:1], now)[0].Encode()
	if yes := text(t, 0, content.Text{Text: "yes"}).Encode(); len(one) != len(yes) {
		t.Errorf("a receipt of %d bytes, a short text of %d", len(one), len(yes))
	}
	if len(content.NewReceipts(content.Read, nil, now)) != 0 {
		t.Error("a receipt of nothing")
	}
}
