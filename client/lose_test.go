package client

import (
	"context"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// losing runs fn on the store of an open client, for each device of a person.
func losing(ctx context.Context, api API, with string, fn func(e *engine, tx *vault.Tx, k peerKey) error) error {
	e := api.(*Client).engine
	addr, err := e.resolve(ctx, with)
	if err != nil {
		return err
	}
	p, err := e.person(ctx, addr.String())
	if err != nil {
		return err
	}
	e.state.Lock()
	defer e.state.Unlock()
	return e.update(ctx, func(tx *vault.Tx) error {
		for _, d := range e.others(p) {
			if err := fn(e, tx, peerKey{addr.String(), d.ID}); err != nil {
				return err
			}
		}
		return nil
	})
}

// LoseSessions erases every session with a person, as if the store had lost
// them.
func LoseSessions(ctx context.Context, api API, with string) error {
	return losing(ctx, api, with, func(e *engine, tx *vault.Tx, k peerKey) error {
		pair, err := e.pair(tx, k)
		if err != nil {
			return err
		}
		var ch session.Change
		for _, s := range pair.Sessions() {
			ch.Erase = append(ch.Erase, s.ID)
		}
		delete(e.pairs, k)
		return storeChange(tx, k, ch)
	})
}

// LosePrekeys erases every private prekey.
func LosePrekeys(ctx context.Context, api API) error {
	e := api.(*Client).engine
	_, held, err := e.heldPrekeys(ctx)
	if err != nil {
		return err
	}
	return e.erasePrekeys(ctx, held)
}

// SayRepair sends a person's devices a question, or the word that one was
// answered.
func SayRepair(ctx context.Context, api API, to string, r content.Repair) error {
	defer wake(api.(*Client).engine.flushKick)
	return losing(ctx, api, to, func(e *engine, tx *vault.Tx, k peerKey) error {
		c, err := content.NewRepair(r, e.now())
		if err != nil {
			return err
		}
		w := &work{e: e, tx: tx, pairs: map[peerKey]session.Pair{}}
		if err := w.controlTo(k, c, 0); err != nil {
			return err
		}
		e.remember(w.pairs)
		return nil
	})
}

// AskForEver is a question without end.
func AskForEver() content.Repair {
	return content.Repair{Count: 1 << 40, Since: time.UnixMilli(1)}
}

// DoneForEver is an answer to nothing.
func DoneForEver() content.Repair { return content.Repair{Done: true, Count: 1 << 40} }

// KeepUnknown stores an incoming message of a kind that was not known, as an
// earlier version did, and forgets which kinds this version knows.
func KeepUnknown(ctx context.Context, api API, from string, kind uint64, body []byte) (id string, err error) {
	m := content.NewID()
	return m.String(), losing(ctx, api, from, func(e *engine, tx *vault.Tx, k peerKey) error {
		if _, err := tx.Delete(tableMeta, metaKinds); err != nil {
			return err
		}
		return putMessage(tx, &messageRecord{
			ID: m[:], Conversation: k.address, From: k.address, FromDevice: uint64(k.device), To: e.self.record.Address,
			Kind: string(KindUnknown), RawKind: kind, RawBody: body, SentAt: 1_800_000_000_000, ReceivedAt: e.now().UnixMilli(),
			Status: string(StatusReceived), order: e.nextOrder(),
		})
	})
}

// ListedCapabilities are those of each device in the account's own list.
func ListedCapabilities(ctx context.Context, api API) (all [][]uint64, err error) {
	p, err := api.(*Client).engine.ownPerson(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range p.list.Devices {
		all = append(all, d.Caps)
	}
	return all, nil
}
