package client

import (
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/vault"
)

// newInGroups makes a home that goes on as a new device one in its groups, too:
// its own sender keys were the old device's. That one counts as a device that was
// let in and is gone, so that every group gets new keys as soon as there is a
// connection.
func newInGroups(tx *vault.Tx, old address.Device) error {
	var all []groupRecord
	err := tx.Scan(tableGroup, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		r, err := decodeRecord[groupRecord](row.Value)
		all = append(all, r)
		return err
	})
	for i := range all {
		if err != nil {
			return err
		}
		r := &all[i]
		if r.Out {
			continue
		}
		r.Sending, r.Closed, r.Pending, r.Sent = nil, nil, nil, 0
		r.Welcomed = append(r.Welcomed, uint64(old))
		err = putGroup(tx, r)
	}
	return err
}
