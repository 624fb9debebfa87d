package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/groups"
)

// groupQuery asks for a change of a group.
type groupQuery struct {
	Who     string
	Name    string
	Members []string
	Change  GroupChange
}

var (
	callCreateGroup = method[groupQuery, Group]{"create group", func(ctx context.Context, e *engine, q groupQuery) (Group, error) {
		return e.CreateGroup(ctx, q.Name, q.Members)
	}}
	callGroups = method[none, []Group]{"groups", func(ctx context.Context, e *engine, _ none) ([]Group, error) {
		return e.Groups(ctx)
	}}
	callGroup = method[string, Group]{"group", func(ctx context.Context, e *engine, who string) (Group, error) {
		return e.Group(ctx, who)
	}}
	callChangeGroup = method[groupQuery, Group]{"change group", func(ctx context.Context, e *engine, q groupQuery) (Group, error) {
		return e.ChangeGroup(ctx, q.Who, q.Change)
	}}
	callLeaveGroup = method[string, Group]{"leave group", func(ctx context.Context, e *engine, who string) (Group, error) {
		return e.LeaveGroup(ctx, who)
	}}
	callGroupInvite = method[string, string]{"group invite", func(ctx context.Context, e *engine, who string) (string, error) {
		return e.GroupInvite(ctx, who)
	}}
	callJoinGroup = method[string, JoinRequest]{"join group", func(ctx context.Context, e *engine, link string) (JoinRequest, error) {
		return e.JoinGroup(ctx, link)
	}}
)

// CreateGroup implements API.
func (c *Client) CreateGroup(ctx context.Context, name string, members []string) (Group, error) {
	return run(ctx, c, callCreateGroup, groupQuery{Name: name, Members: members})
}

// Groups implements API.
func (c *Client) Groups(ctx context.Context) ([]Group, error) { return run(ctx, c, callGroups, none{}) }

// Group implements API.
func (c *Client) Group(ctx context.Context, who string) (Group, error) {
	return run(ctx, c, callGroup, who)
}

// ChangeGroup implements API.
func (c *Client) ChangeGroup(ctx context.Context, who string, change GroupChange) (Group, error) {
	return run(ctx, c, callChangeGroup, groupQuery{Who: who, Change: change})
}

// LeaveGroup implements API.
func (c *Client) LeaveGroup(ctx context.Context, who string) (Group, error) {
	return run(ctx, c, callLeaveGroup, who)
}

// GroupInvite implements API.
func (c *Client) GroupInvite(ctx context.Context, who string) (string, error) {
	return run(ctx, c, callGroupInvite, who)
}

// JoinGroup implements API.
func (c *Client) JoinGroup(ctx context.Context, link string) (JoinRequest, error) {
	return run(ctx, c, callJoinGroup, link)
}

// CreateGroup makes a group of this account, and adds the people.
func (e *engine) CreateGroup(ctx context.Context, name string, members []string) (Group, error) {
	if err := e.refusal(); err != nil {
		return Group{}, err
	}
	if !groups.ValidName(name) {
		return Group{}, ErrGroupName
	}
	who, err := e.asMembers(ctx, members)
	if err != nil {
		return Group{}, err
	}
	id, err := e.newGroup(ctx, name, who...)
	if err != nil {
		return Group{}, err
	}
	err = e.letFirstIn(ctx, id)
	g, gerr := e.groupNow(ctx, id)
	return g, errors.Join(err, gerr)
}

// ChangeGroup implements API.
func (e *engine) ChangeGroup(ctx context.Context, who string, c GroupChange) (Group, error) {
	if err := e.refusal(); err != nil {
		return Group{}, err
	}
	id, err := e.findGroup(ctx, who)
	if err != nil {
		return Group{}, err
	}
	if len(c.Add) > 0 {
		var people []groups.Member
		if people, err = e.asMembers(ctx, c.Add); err == nil && len(people) == 0 {
			err = ErrNothingToChange // nobody but oneself
		}
		if err == nil {
			err = e.addMembers(ctx, id, people)
		}
	} else {
		err = e.changeInWords(ctx, id, c)
	}
	g, gerr := e.groupNow(ctx, id)
	return g, errors.Join(err, gerr)
}

// changeInWords makes every change but an addition.
func (e *engine) changeInWords(ctx context.Context, id groups.ID, c GroupChange) error {
	var change groups.Change
	switch {
	case len(c.Remove) > 0:
		who, err := e.named(ctx, id, c.Remove)
		if err != nil {
			return err
		}
		change = groups.Change{Kind: groups.Remove, Members: who}
	case c.Member != "":
		who, err := e.named(ctx, id, []string{c.Member})
		if err != nil {
			return err
		}
		switch c.Role {
		case GroupAdminRole:
			who[0].Role = groups.Admin
		case GroupMemberRole:
			who[0].Role = groups.RoleMember
		default:
			return fmt.Errorf("%w: a member is an admin or a member", ErrInvalidText)
		}
		change = groups.Change{Kind: groups.SetRole, Members: who}
	case c.Name != "":
		change = groups.Change{Kind: groups.Rename, Name: c.Name}
	case c.Policy != nil:
		change = groups.Change{Kind: groups.SetPolicy, Policy: groups.Policy(*c.Policy)}
	case c.Rekey:
		change = groups.Change{Kind: groups.Rekey}
	default:
		return ErrNothingToChange
	}
	return e.changeGroup(ctx, id, func(r groups.Roster) (groups.Change, error) {
		if change.Kind != groups.Remove {
			return change, nil
		}
		// Who is gone by now need not be removed.
		left := change
		left.Members = slices.DeleteFunc(slices.Clone(change.Members), func(m groups.Member) bool {
			_, in := r.Member(m.Address)
			return !in
		})
		if len(left.Members) == 0 {
			return left, groups.ErrNothing
		}
		return left, nil
	})
}

// addMembers adds people, in as many entries as it takes. Who is in by now is
// left out.
func (e *engine) addMembers(ctx context.Context, id groups.ID, who []groups.Member) error {
	for part := range slices.Chunk(who, groups.MaxChangeMembers) {
		err := e.changeGroup(ctx, id, func(r groups.Roster) (groups.Change, error) {
			c := groups.Change{Kind: groups.Add}
			for _, m := range part {
				if _, in := r.Member(m.Address); !in {
					c.Members = append(c.Members, m)
				}
			}
			if len(c.Members) == 0 {
				return c, groups.ErrNothing
			}
			return c, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// LeaveGroup implements API.
func (e *engine) LeaveGroup(ctx context.Context, who string) (Group, error) {
	if err := e.refusal(); err != nil {
		return Group{}, err
	}
	id, err := e.findGroup(ctx, who)
	if err != nil {
		return Group{}, err
	}
	err = e.changeGroup(ctx, id, func(groups.Roster) (groups.Change, error) {
		return groups.Change{Kind: groups.Leave}, nil
	})
	g, gerr := e.groupNow(ctx, id)
	return g, errors.Join(err, gerr)
}

// asMembers looks people up: they are let in under the account keys that are
// pinned here, and their devices are those that the server shows now (R-GRP-81).
func (e *engine) asMembers(ctx context.Context, words []string) (who []groups.Member, err error) {
	for _, word := range words {
		addr, err := e.resolve(ctx, word)
		if err != nil {
			return nil, err
		}
		if addr == e.self.address || slices.ContainsFunc(who, func(m groups.Member) bool { return m.Address == addr.String() }) {
			continue
		}
		p, err := e.recipient(ctx, addr, true)
		switch {
		case err != nil:
			return nil, err
		case p == nil:
			return nil, ErrUnknownRecipient
		case p.pending != nil:
			return nil, ErrIdentityChanged
		}
		who = append(who, groups.Member{Address: addr.String(), Account: [32]byte(p.list.Account), Role: groups.RoleMember})
	}
	return who, nil
}

// named finds which members words mean.
func (e *engine) named(ctx context.Context, id groups.ID, words []string) (who []groups.Member, err error) {
	_, roster, err := e.readGroup(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, word := range words {
		addr, err := e.resolve(ctx, word)
		if err != nil {
			return nil, err
		}
		if _, in := roster.Member(addr.String()); !in {
			return nil, fmt.Errorf("%w among the members of the group", ErrUnknownRecipient)
		}
		if !slices.ContainsFunc(who, func(m groups.Member) bool { return m.Address == addr.String() }) {
			who = append(who, groups.Member{Address: addr.String()})
		}
	}
	return who, nil
}
