package client

import (
	"context"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// SendForeign sends a contact everything that only one's own devices may say:
// a message in their name, marks, a contact's removal, claims.
func SendForeign(ctx context.Context, api API, to string) error {
	e := api.(*Client).engine
	addr, err := e.resolve(ctx, to)
	if err != nil {
		return err
	}
	p, err := e.person(ctx, addr.String())
	if err != nil {
		return err
	}
	text, err := content.NewText(content.NewID(), e.now(), 0, content.Text{Text: "in your name"})
	if err != nil {
		return err
	}
	mark := &content.ContactMark{
		Address: e.self.record.Address, Account: [32]byte(e.self.own.Account), Alias: "friend", Verified: true, At: e.now(),
	}
	removed := *mark
	removed.Removed = true
	e.state.Lock()
	defer e.state.Unlock()
	w := &work{e: e, pairs: map[peerKey]session.Pair{}}
	err = e.update(ctx, func(tx *vault.Tx) error {
		w.tx = tx
		for _, s := range []content.Sync{
			{Sent: content.NewSent(e.self.record.Address, text, nil)},
			{Read: []content.ID{text.ID}}, {Contact: mark}, {Contact: &removed}, {Refresh: true},
			{Claims: &content.Claims{Peer: e.self.record.Address, Device: e.self.device, State: content.Read, IDs: []content.ID{text.ID}}},
		} {
			c, err := content.NewSync(s, e.now())
			if err != nil {
				return err
			}
			for _, d := range p.list.Active() {
				k := peerKey{addr.String(), d.ID}
				pair, err := w.pair(k)
				if err != nil {
					return err
				}
				next, copied, err := e.sealOne(tx, k, pair, c.Encode())
				if err != nil {
					return err
				}
				w.pairs[k] = next
				if err := w.control(k, copied); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		e.remember(w.pairs)
	}
	return err
}
