package cli

import "github.com/pawl-chat/pawl/client"

// groupObject is a group as this device knows it (R-CLI-30).
type groupObject struct {
	header
	ID       string               `json:"id" doc:"# and 26 characters; the group's name as a conversation"`
	Name     string               `json:"name" doc:"name that its members gave it, without the #"`
	Epoch    int64                `json:"epoch" doc:"how often everybody's keys were replaced"`
	EpochAt  *string              `json:"epoch_at" doc:"when that was last, RFC 3339, UTC; null when it is not known"`
	RekeyDue bool                 `json:"rekey_due" doc:"the next message replaces the keys first"`
	Seq      int64                `json:"seq" doc:"how many changes the roster has seen"`
	Head     string               `json:"head" doc:"hash of the newest change, hexadecimal; the same for all members"`
	Members  []groupMemberObject  `json:"members" doc:"everybody in it, by address"`
	Policy   groupPolicyObject    `json:"policy" doc:"what its members have agreed to"`
	Mine     string               `json:"mine" enum:"member,admin," doc:"role of this account; empty when it is no member any more"`
	Pending  *groupStepObject     `json:"pending" doc:"what is under way here; null when nothing is"`
	Requests []groupRequestObject `json:"requests" doc:"who has used a link of this account and waits to be added"`
	Alarm    *groupAlarmObject    `json:"alarm" doc:"members were shown different rosters; null when all is well"`
}

type groupMemberObject struct {
	Address string              `json:"address" doc:"user@host[:port]"`
	Role    string              `json:"role" enum:"member,admin" doc:"what the member may do"`
	You     bool                `json:"you" doc:"it is this account"`
	Trust   string              `json:"trust" enum:"first_use,verified,changed," doc:"what is known about the member's identity; verified for oneself"`
	Devices []groupDeviceObject `json:"devices" doc:"devices that receive what is said"`
}

type groupDeviceObject struct {
	ID      string `json:"id" doc:"16 hexadecimal digits"`
	Name    string `json:"name" doc:"name that the device's owner gave it"`
	Current bool   `json:"current" doc:"it is this device"`
	HasKeys bool   `json:"has_keys" doc:"it was given this device's present sender key"`
}

type groupPolicyObject struct {
	AddByMembers bool `json:"add_by_members" doc:"not only admins may add members"`
	OpenHistory  bool `json:"open_history" doc:"whoever adds somebody tells them what was said before"`
}

type groupStepObject struct {
	What  string `json:"what" doc:"create, add, remove, role, rename, policy or rekey"`
	Done  int    `json:"done" doc:"devices that were sent the keys"`
	Total int    `json:"total" doc:"devices that have to be sent the keys"`
}

type groupRequestObject struct {
	Address string `json:"address" doc:"who asks to be added"`
	At      string `json:"at" doc:"RFC 3339, UTC"`
}

type groupAlarmObject struct {
	With  string   `json:"with" doc:"the member whose roster differs; empty when the server contradicts what is held here"`
	At    string   `json:"at" doc:"when it was seen, RFC 3339, UTC"`
	Seq   int64    `json:"seq" doc:"number of the first change that differs"`
	Ours  []string `json:"ours" doc:"the changes from there on as held here, in words"`
	Other []string `json:"other" doc:"the same as the other side holds them; empty while it has not said"`
}

// groupInviteObject is a link with which somebody can ask to be let in.
type groupInviteObject struct {
	header
	Group string `json:"group" doc:"the group's id"`
	Link  string `json:"link" doc:"what pawl group join takes; also the text of the QR code"`
}

// groupJoinObject is what pawl group join has asked.
type groupJoinObject struct {
	header
	Group string `json:"group" doc:"the group's id"`
	Asked string `json:"asked" doc:"address of the admin who was asked"`
}

func groupOf(g client.Group) groupObject {
	o := groupObject{
		header: head("group"), ID: g.ID, Name: g.Name, Epoch: int64(g.Epoch), EpochAt: maybeInstant(g.EpochAt), RekeyDue: g.RekeyDue,
		Seq: int64(g.Seq), Head: g.Head, Members: []groupMemberObject{}, Policy: groupPolicyObject{g.Policy.AddByMembers, g.Policy.OpenHistory},
		Mine: string(g.Mine), Requests: []groupRequestObject{},
	}
	for _, m := range g.Members {
		member := groupMemberObject{m.Address, string(m.Role), m.You, string(m.Trust), []groupDeviceObject{}}
		for _, d := range m.Devices {
			member.Devices = append(member.Devices, groupDeviceObject{d.ID, d.Name, d.Current, d.HasKeys})
		}
		o.Members = append(o.Members, member)
	}
	if p := g.Pending; p != nil {
		o.Pending = &groupStepObject{p.What, p.Done, p.Total}
	}
	for _, r := range g.Requests {
		o.Requests = append(o.Requests, groupRequestObject{r.Address, instant(r.At)})
	}
	if b := g.Alarm; b != nil {
		o.Alarm = &groupAlarmObject{b.With, instant(b.At), int64(b.Seq), append([]string{}, b.Ours...), append([]string{}, b.Other...)}
	}
	return o
}
