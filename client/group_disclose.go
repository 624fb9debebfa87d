package client

import (
	"bytes"
	"context"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/vault"
)

// What was said in a group is to be deniable: once every device has closed a
// chain, its signing key is told to all of them, and from then on everybody who
// was in the group can have made its messages.

// disclose tells the signing keys of own chains that are over (R-GRP-74): when
// every device that holds the present chain has said that it has a message on it,
// and so has closed the ones before; or after DiscloseAfter, when no mailbox
// holds a message of the old chain any more.
func (e *engine) disclose(ctx context.Context, id groups.ID, all []listener) error {
	g, roster, err := e.readGroup(ctx, id)
	if err != nil || g == nil || len(g.Closed) == 0 {
		return err
	}
	due := slices.ContainsFunc(g.Closed, func(c closedChain) bool { return passedSince(e.now(), c.Last, DiscloseAfter) })
	if !due {
		err = e.view(ctx, func(tx *vault.Tx) error {
			due, err = e.heard(tx, g, roster, all)
			return err
		})
	}
	if err != nil || !due {
		return err
	}
	return e.groupStep(ctx, func(w *work) error {
		g, err := getGroup(w.tx, id)
		if err != nil || g == nil || g.Out {
			return err
		}
		roster, err := g.roster()
		if err != nil || g.mayTalk(roster) != nil {
			return err
		}
		heard, err := e.heard(w.tx, g, roster, all)
		if err != nil {
			return err
		}
		var rest []closedChain
		for _, c := range g.Closed {
			if !heard && !passedSince(e.now(), c.Last, DiscloseAfter) {
				rest = append(rest, c)
				continue
			}
			if len(all) == 0 {
				continue // nobody has anything that was signed with it
			}
			d := &groups.Disclosed{Chain: groups.ChainID(c.Chain), Seed: [32]byte(c.Seed)}
			if err := e.sayInGroup(w.tx, groups.Signal{Group: id, Disclosed: d}); err != nil {
				return err
			}
			if err := e.recordOwnKey(w.tx, id, d, roster.Epoch); err != nil {
				return err
			}
		}
		if len(rest) == len(g.Closed) {
			return nil
		}
		g.Closed = rest
		return putGroup(w.tx, g)
	})
}

// heard reports whether every device that the present chain is for has a message
// on it.
func (e *engine) heard(tx *vault.Tx, g *groupRecord, roster groups.Roster, all []listener) (bool, error) {
	own, now, err := g.sending(roster.Epoch)
	if err != nil || !now {
		return false, err
	}
	chain := own.ID()
	for _, d := range all {
		h, ok, err := getLedger(tx, g.id(), d.peerKey)
		if err != nil || !ok || !h.Heard || !bytes.Equal(h.Chain, chain[:]) {
			return false, err
		}
	}
	// Who holds the chain and is not meant to listen any more has said nothing.
	silent := false
	err = tx.Scan(tableLedger, g.ID, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		h, err := decodeRecord[ledgerRecord](row.Value)
		k := peerKey{h.Address, address.Device(h.Device)}
		if err == nil && !h.Heard && !slices.ContainsFunc(all, func(d listener) bool { return d.peerKey == k }) {
			silent = true
		}
		return err
	})
	return !silent, err
}

// disclosed takes the signing key of a chain from the device whose chain it is.
// Nothing is taken on the chain from then on; the key stays with it, so that a
// transcript can show what it proves: nothing (R-GRP-75).
func (w *work) disclosed(k peerKey, id groups.ID, d *groups.Disclosed) error {
	c, err := w.chain(d.Chain)
	if err != nil || c == nil {
		return err
	}
	if c.record.From != k.address || c.record.Device != uint64(k.device) || !bytes.Equal(c.record.Group, id[:]) {
		w.e.log.Warn("a device has disclosed a chain that is not its own")
		return nil
	}
	if missed := c.state.Missed(); len(missed) > 0 {
		w.follows(id)
		if err := w.e.lackMessages(w.tx, id, k, d.Chain, missed); err != nil {
			return err
		}
	}
	next, err := c.state.Close(&d.Seed)
	if err != nil {
		w.e.log.Warn("a device has disclosed a key that is not that of its chain")
		return nil
	}
	c.state, c.changed = next, true
	return w.e.recordKey(w.tx, id, d.Chain, next.Epoch(), k.address, uint64(k.device), d.Seed)
}
