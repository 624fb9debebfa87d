package client

import (
	"context"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/vault"
)

func (w *work) keepGroup(m *incoming, k peerKey, id groups.ID, r *chainRecord, opened groups.Opened, c content.Content) error {
	return nil
}
func (w *work) groupAsked(k peerKey, p *person, id groups.ID, a *groups.Ask) error       { return nil }
func (w *work) groupAgain(k peerKey, p *person, id groups.ID, a *groups.Again) error     { return nil }
func (w *work) groupHistory(k peerKey, p *person, id groups.ID, a *groups.History) error { return nil }
func (w *work) groupJoin(k peerKey, p *person, id groups.ID, a *groups.Join) error       { return nil }
func (w *work) groupBranch(k peerKey, p *person, id groups.ID, a *groups.Branch) error   { return nil }
func (w *work) groupGone(k peerKey, p *person, id groups.ID) error                       { return nil }
func (w *work) forked(id groups.ID, k peerKey, seq uint64, head groups.Head) error       { return nil }
func (w *work) groupTombstone(m *incoming, k peerKey, id groups.ID, cause string) error  { return nil }
func (w *work) missedAtEnd(id groups.ID, k peerKey, old *openChain, before groups.Before) error {
	return nil
}
func (e *engine) forkedByServer(ctx context.Context, id groups.ID, seq uint64) error {
	return ErrGroupForked
}
func (e *engine) noteFork(tx *vault.Tx, r *groupRecord, with string, seq uint64) error {
	return ErrGroupForked
}
func (e *engine) askForKeys(ctx context.Context, id groups.ID, entry groups.Entry, secret bool) error {
	return nil
}
func (e *engine) tellHistory(ctx context.Context, l *link, id groups.ID, to []listener) error {
	return nil
}
func (e *engine) groupChores(ctx context.Context, l *link, id groups.ID) error { return nil }
func (e *engine) settleGroup(o *outboxRecord, res *relay.GroupSendResult)      {}
func (e *engine) noteGroupSealed(tx *vault.Tx, id []byte, chain groups.ChainID, index uint32, seq uint64, all []listener) error {
	return nil
}

func (c *Client) CreateGroup(ctx context.Context, name string, members []string) (Group, error) {
	return Group{}, nil
}
func (c *Client) Groups(ctx context.Context) ([]Group, error)          { return nil, nil }
func (c *Client) Group(ctx context.Context, who string) (Group, error) { return Group{}, nil }
func (c *Client) ChangeGroup(ctx context.Context, who string, g GroupChange) (Group, error) {
	return Group{}, nil
}
func (c *Client) LeaveGroup(ctx context.Context, who string) (Group, error)   { return Group{}, nil }
func (c *Client) GroupInvite(ctx context.Context, who string) (string, error) { return "", nil }
func (c *Client) JoinGroup(ctx context.Context, link string) (JoinRequest, error) {
	return JoinRequest{}, nil
}
