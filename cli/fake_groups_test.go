package cli_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/client"
)

const (
	rowing   = "#aaaaaaaaaaaaaaaaaaaaaaaaaa"
	chess    = "#bbbbbbbbbbbbbbbbbbbbbbbbbb"
	chessToo = "#cccccccccccccccccccccccccc"
)

// rosters are the groups of the fake: rowing, with alice as its admin, and two
// that are called chess.
func rosters() []client.Group {
	alice := client.GroupMember{Address: "alice@localhost", Role: client.GroupAdminRole, You: true, Trust: client.TrustVerified, Devices: []client.GroupDevice{
		{ID: "00000000000000a1", Name: "laptop", Current: true, HasKeys: true}, {ID: "00000000000000a2", Name: "phone", HasKeys: true},
	}}
	bob := client.GroupMember{Address: "bob@localhost", Role: client.GroupMemberRole, Trust: client.TrustFirstUse, Devices: []client.GroupDevice{
		{ID: "00000000000000b1", Name: "pho\x1bne", HasKeys: true}, {ID: "00000000000000b2", Name: "tablet"},
	}}
	carol := client.GroupMember{Address: "carol@here", Role: client.GroupMemberRole, Trust: client.TrustVerified, Devices: []client.GroupDevice{
		{ID: "00000000000000c1", HasKeys: true},
	}}
	group := func(id, name string, members ...client.GroupMember) client.Group {
		return client.Group{
			ID: id, Name: name, Epoch: 4, EpochAt: noon.Add(-time.Hour), Seq: 17, Head: strings.Repeat("0123abcd", 8), Members: members, Mine: members[0].Role,
		}
	}
	asked := group(rowing, "rowing", alice, bob, carol)
	asked.Requests = []client.JoinAsked{{Address: "dave@localhost", At: noon}}
	left := group(chessToo, "chess", alice, bob)
	left.Mine, left.Members = "", left.Members[1:]
	return []client.Group{asked, group(chess, "chess", alice, bob), left}
}

// forked is rowing after the server has lied to somebody.
func forked(with string) client.Group {
	g := rosters()[0]
	g.Requests, g.RekeyDue = nil, true
	g.Pending = &client.GroupStep{What: "rekey", Done: 2, Total: 4}
	g.Alarm = &client.GroupBranch{With: with, At: noon, Seq: 16, Ours: []string{"alice@localhost removed dave@localhost", "alice@localhost renamed it to row\x1bing"}}
	if with != "" {
		g.Alarm.Other = []string{"mallory@localhost added dave@localhost"}
	}
	g.Members = slices.Clone(g.Members)
	g.Members[1].Trust, g.Members[2].Trust, g.Members[2].Devices = client.TrustChanged, "", nil
	return g
}

func (f *fake) find(word string) (client.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	word = strings.TrimPrefix(word, "#")
	var found []client.Group
	for _, g := range f.groups {
		if g.ID == "#"+word {
			return g, nil
		}
		if g.Name == word || strings.HasPrefix(g.ID, "#"+word) && len(word) >= 4 {
			found = append(found, g)
		}
	}
	switch len(found) {
	case 0:
		return client.Group{}, client.ErrUnknownGroup
	case 1:
		if f.step != nil {
			found[0].Pending = f.step()
		}
		return found[0], nil
	}
	ambiguous := &client.AmbiguousError{Word: "#" + word}
	for _, g := range found {
		ambiguous.Candidates = append(ambiguous.Candidates, g.ID)
	}
	return client.Group{}, ambiguous
}

func (f *fake) Groups(context.Context) ([]client.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.groups), f.fail["Groups"]
}

func (f *fake) Group(_ context.Context, who string) (client.Group, error) {
	if err := f.fail["Group"]; err != nil {
		return client.Group{}, err
	}
	g, err := f.find(who)
	if f.step != nil {
		g.Pending = f.step()
	}
	return g, err
}

func (f *fake) CreateGroup(ctx context.Context, name string, members []string) (client.Group, error) {
	if err := f.fail["CreateGroup"]; err != nil {
		return client.Group{ID: rowing, Name: name, Pending: &client.GroupStep{What: "create"}}, err
	}
	g := rosters()[1]
	g.ID, g.Name, g.Members = "#dddddddddddddddddddddddddd", name, g.Members[:1]
	f.mu.Lock()
	f.groups = append(f.groups, g)
	f.mu.Unlock()
	if len(members) == 0 {
		return g, nil
	}
	return f.ChangeGroup(ctx, g.ID, client.GroupChange{Add: members})
}

func (f *fake) ChangeGroup(ctx context.Context, who string, c client.GroupChange) (client.Group, error) {
	f.mu.Lock()
	f.changed = append(f.changed, c)
	f.mu.Unlock()
	for f.step != nil {
		if p := f.step(); p.Done == p.Total {
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return client.Group{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.groups, func(g client.Group) bool { return g.ID == who })
	if err := f.fail["ChangeGroup"]; err != nil {
		g := f.groups[i]
		g.Pending = &client.GroupStep{What: "remove", Done: 1, Total: 3}
		return g, err
	}
	g := &f.groups[i]
	g.Seq++
	for _, address := range c.Add {
		g.Members = append(slices.Clone(g.Members), client.GroupMember{Address: address, Role: client.GroupMemberRole})
	}
	g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m client.GroupMember) bool { return slices.Contains(c.Remove, m.Address) })
	for j := range g.Members {
		if g.Members[j].Address == c.Member {
			g.Members[j].Role = c.Role
		}
	}
	if c.Name != "" {
		g.Name = c.Name
	}
	if c.Policy != nil {
		g.Policy = *c.Policy
	}
	if c.Rekey || c.Remove != nil {
		g.Epoch++
	}
	return *g, nil
}

func (f *fake) LeaveGroup(_ context.Context, who string) (client.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.groups, func(g client.Group) bool { return g.ID == who })
	f.groups[i].Mine = ""
	return f.groups[i], f.fail["LeaveGroup"]
}

func (f *fake) GroupInvite(_ context.Context, who string) (string, error) {
	return "pawl://localhost/group/" + strings.TrimPrefix(who, "#") + "?by=alice@localhost&t=TOKEN", f.fail["GroupInvite"]
}

func (f *fake) JoinGroup(_ context.Context, link string) (client.JoinRequest, error) {
	if err := f.fail["JoinGroup"]; err != nil || !strings.HasPrefix(link, "pawl://") {
		return client.JoinRequest{}, client.ErrGroupInvite
	}
	return client.JoinRequest{Group: rowing, Asked: "bob@localhost"}, nil
}

// sendToGroup makes of a message one that a few have had.
func (f *fake) sendToGroup(m *client.Message, o client.SendOptions) {
	m.Group, m.Mentions = m.To, o.Mentions
	status := map[string]client.Status{"bob@localhost": client.StatusAccepted, "carol@here": client.StatusAccepted}
	device := map[string]client.Status{"00000000000000b1": client.StatusAccepted, "00000000000000b2": client.StatusAccepted, "00000000000000c1": client.StatusAccepted}
	if o.Wait != "" {
		status["bob@localhost"], device["00000000000000b1"], m.Status = o.Wait, o.Wait, o.Wait
	}
	m.PerMember, m.PerDevice, m.Sealed = status, device, nil
}

// inGroup is an incoming message of a group.
func inGroup(n int, text string) client.Message {
	m := greeting(n, text)
	m.Conversation, m.To, m.Group = rowing, rowing, rowing
	return m
}

func groupEvent(n int, what, by, text string) client.Message {
	m := inGroup(n, text)
	m.Kind, m.Notice, m.From = client.KindNotice, what, by
	return m
}

// groupConversations are those groups in which something was said.
func (f *fake) groupConversations() (list []client.Conversation) {
	last := map[string]client.Message{}
	for _, m := range slices.Concat(f.messages, f.sent) {
		if m.Group != "" {
			last[m.Group] = m
		}
	}
	for _, id := range slices.Sorted(maps.Keys(last)) {
		g, _ := f.find(id)
		list = append(list, client.Conversation{Peer: id, Alias: g.Name, Last: last[id], Unread: 1})
	}
	return list
}
