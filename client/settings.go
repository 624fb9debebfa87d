package client

import (
	"context"

	"github.com/pawl-chat/pawl/internal/vault"
)

// settingsRecord is what the person has chosen. Its zero value is the default.
type settingsRecord struct {
	NoReadReceipts bool `cbor:"1,keyasint"`
}

var metaSettings = []byte("settings")

// Settings implements API.
func (e *engine) Settings(ctx context.Context) (s Settings, err error) {
	err = e.view(ctx, func(tx *vault.Tx) error {
		r, _, err := getRecord[settingsRecord](tx, tableMeta, metaSettings)
		s.ReadReceipts = !r.NoReadReceipts
		return err
	})
	return s, err
}

// SetSettings implements API.
func (e *engine) SetSettings(ctx context.Context, s Settings) error {
	return e.update(ctx, func(tx *vault.Tx) error {
		return tx.Put(tableMeta, metaSettings, nil, 0, encodeRecord(settingsRecord{NoReadReceipts: !s.ReadReceipts}))
	})
}
