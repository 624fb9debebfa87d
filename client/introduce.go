package client

import (
	"context"
	"errors"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/internal/vault"
)

// introduce asks the server for the senders that are not known yet, or that
// use a device which the pinned list does not have. It runs before the
// transaction: nothing waits for the network inside one.
func (e *engine) introduce(ctx context.Context, l *link, in []incoming) error {
	asked, err := e.acquaintances(ctx, in)
	if err != nil {
		return err
	}
	for i := range in {
		m := &in[i]
		if !m.known {
			continue
		}
		env, k := m.env, peerKey{m.env.From.String(), m.env.Device}
		if err, done := asked[k]; done {
			m.nobody = err != nil
			continue
		}
		_, err = e.lookup(ctx, l, env.From)
		var refusal *relay.Error
		switch {
		case err == nil:
		case errors.Is(err, ErrUnknownRecipient), errors.Is(err, ErrRefused):
			m.nobody = true
		case errors.Is(err, ErrDeviceList):
			err = nil // the person was told; it leaves a tombstone and holds up nobody's mail
		case errors.As(err, &refusal), errors.Is(err, relayclient.ErrUnreachable):
			return err // come back later; nothing was acknowledged
		default:
			return err
		}
		asked[k] = err
	}
	return nil
}

// acquaintances decodes what came and finds, in one look at the store, the
// devices that are known.
func (e *engine) acquaintances(ctx context.Context, in []incoming) (map[peerKey]error, error) {
	known := map[peerKey]error{}
	err := e.view(ctx, func(tx *vault.Tx) error {
		looked := map[peerKey]bool{}
		for i := range in {
			m := &in[i]
			env, err := content.DecodeEnvelope(m.body)
			if err != nil || env.To != e.self.device && env.To != 0 || env.From == e.self.address && env.Device == e.self.device {
				continue
			}
			m.env, m.known = env, true
			k := peerKey{env.From.String(), env.Device}
			if looked[k] {
				continue
			}
			looked[k] = true
			p, err := e.readPerson(tx, k.address)
			if err != nil {
				return err
			}
			if p != nil && p.knows(env.Device) {
				known[k] = nil
			}
		}
		return nil
	})
	return known, err
}

// knows reports whether a device is in the pinned or the pending list.
func (p *person) knows(d address.Device) bool {
	if _, ok := p.list.Device(d); ok {
		return true
	}
	if p.pending != nil {
		_, ok := p.pending.Device(d)
		return ok
	}
	return false
}
