package client

import (
	"context"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// probe lets a simulation watch an engine and end it between any two steps
// (docs/design/scenarios.md). No exported name leads to one.
type probe struct {
	// commit runs a durable transaction of the engine, or fails before it or
	// after it.
	commit func(ctx context.Context, v *vault.Vault, fn func(*vault.Tx) error) error
	// sealed sees each use of a message key, before it is durable.
	sealed func(k peerKey, plaintext []byte, s session.Sealed)
	// groupSealed sees each use of a sender key, likewise.
	groupSealed func(id groups.ID, chain groups.ChainID, index uint32, plaintext []byte)
}
