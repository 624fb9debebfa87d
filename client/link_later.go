package client

import (
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/vault"
)

// offerHistory lets another device of this account fetch the history.
func offerHistory(*vault.Tx, address.Device) error { return nil }

// expectHistory notes that another device lets this one fetch its history.
func expectHistory(*vault.Tx, address.Device) error { return nil }

