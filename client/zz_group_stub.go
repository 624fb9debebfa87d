package client

import "context"

func (c *Client) CreateGroup(context.Context, string, []string) (Group, error) {
	return Group{}, ErrUnknownGroup
}
func (c *Client) Groups(context.Context) ([]Group, error)           { return nil, nil }
func (c *Client) Group(context.Context, string) (Group, error)      { return Group{}, ErrUnknownGroup }
func (c *Client) LeaveGroup(context.Context, string) (Group, error) { return Group{}, ErrUnknownGroup }
func (c *Client) ChangeGroup(context.Context, string, GroupChange) (Group, error) {
	return Group{}, ErrUnknownGroup
}
func (c *Client) GroupInvite(context.Context, string) (string, error) { return "", ErrUnknownGroup }
func (c *Client) JoinGroup(context.Context, string) (JoinRequest, error) {
	return JoinRequest{}, ErrUnknownGroup
}
