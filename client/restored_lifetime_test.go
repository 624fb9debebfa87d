package client

import (
	"testing"

	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// TestR_CLT_22_Restored: a lifetime goes on in a device that was restored from
// a backup.
func TestR_CLT_22_Restored(t *testing.T) {
	dir := t.TempDir()
	v, err := vault.Create(dir+"/home", vault.Unlock{KeyFile: dir + "/key"}, tables())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	id, order := content.NewID(), int64(0)
	m := &backup.Message{
		ID: id[:], Conversation: "bob@example.org", From: "bob@example.org", FromDevice: 2, To: "alice@example.org",
		Kind: string(KindText), Text: "burn this", SentAt: 1, ReceivedAt: 1, ExpiresAt: 42, Status: string(StatusReceived),
	}
	if err := v.Update(t.Context(), func(tx *vault.Tx) error { return fillRecord(tx, m, &order) }); err != nil {
		t.Fatal(err)
	}
	var due int64
	err = v.View(t.Context(), func(tx *vault.Tx) error {
		return tx.Scan(tableExpiry, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
			due = r.Order
			return nil
		})
	})
	if err != nil || due != 42 {
		t.Errorf("to be erased at %d, %v", due, err)
	}
}
