package client

import (
	"context"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

// readyAudience is whom the messages of a group go to, as long as the head, the
// contacts and the own chain are the same: all of them hold the chain, and nobody
// else does. What it takes to know that grows with the group, so it is found out
// once and not for every message.
type readyAudience struct {
	head     groups.Head
	contacts uint64 // the version of all contacts' device lists
	chain    groups.ChainID
	all      []listener
	audience *relay.Audience
}

// maxReady bounds the groups of which it is kept at hand.
const maxReady = 64

// readyAudience returns what was found out, if that still holds.
func (e *engine) readyAudience(r *groupRecord, roster groups.Roster, contacts uint64) (*readyAudience, error) {
	e.mu.Lock()
	ready := e.ready[r.id()]
	e.mu.Unlock()
	if ready == nil || ready.head != roster.Head || ready.contacts != contacts {
		return nil, nil
	}
	own, now, err := r.sending(roster.Epoch)
	if err != nil || !now || own.ID() != ready.chain {
		return nil, err
	}
	return ready, nil
}

// makeReady hands out the own chain to whoever lacks it, and keeps what is ready
// then if nobody was left out.
func (e *engine) makeReady(ctx context.Context, l *link, id groups.ID, roster groups.Roster, all []listener, contacts uint64) (*readyAudience, error) {
	chain, err := e.ownChain(ctx, l, id)
	if err != nil {
		return nil, err
	}
	list, err := e.audienceOfGroup(ctx, all)
	if err != nil {
		return nil, err
	}
	ready := &readyAudience{head: roster.Head, contacts: contacts, chain: chain.ID(), all: all, audience: relay.NewAudience(list)}
	lacking, err := e.lackingChain(ctx, id, ready.chain, all)
	if err != nil || len(lacking) > 0 {
		return ready, err // they are tried again with the next message
	}
	if gone, err := e.departed(ctx, id, all); err != nil || gone {
		return ready, err // with the next message, new keys
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ready) >= maxReady {
		clear(e.ready)
	}
	e.ready[id] = ready
	return ready, nil
}

// addressees are the devices that a message is for, as far as is known without
// asking the server.
func (e *engine) addressees(tx *vault.Tx, r *groupRecord, roster groups.Roster) ([]listener, error) {
	ready, err := e.readyAudience(r, roster, e.contacts.Load())
	if err != nil {
		return nil, err
	}
	if ready != nil {
		return ready.all, nil
	}
	all, _, err := e.listeners(tx, roster)
	return all, err
}
