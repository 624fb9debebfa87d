package client

import (
	"context"
	"errors"
	"time"
)

// GroupAPI is what a program can do with groups. A group is named by '#' and
// its name, its id, or as much of the id as means one group only; the '#' may be
// left out where only a group can be meant.
type GroupAPI interface {
	// CreateGroup makes a group of this account and the given people and returns
	// when the server has it and every device of theirs was sent its keys. When it
	// is cut short it goes on by itself.
	CreateGroup(ctx context.Context, name string, members []string) (Group, error)
	// Groups returns the groups of this device, those it has left included.
	Groups(ctx context.Context) ([]Group, error)
	Group(ctx context.Context, who string) (Group, error)
	// ChangeGroup makes one change. Where another member's change came first it
	// is made on top of that, if it is still allowed and still changes something;
	// else ErrGroupChanged tells so and nothing was done. Group.Pending tells of
	// its progress meanwhile.
	ChangeGroup(ctx context.Context, who string, c GroupChange) (Group, error)
	// LeaveGroup leaves a group; its history stays.
	LeaveGroup(ctx context.Context, who string) (Group, error)
	// GroupInvite returns a link with which somebody can ask this device's account
	// to be let in. It needs the right to add members.
	GroupInvite(ctx context.Context, who string) (string, error)
	// JoinGroup asks the admin who made the link. The group appears when they
	// have added this account.
	JoinGroup(ctx context.Context, link string) (JoinRequest, error)
}

// Group is what this device knows of a group.
type Group struct {
	ID       string // '#' and 26 characters of base32: the conversation's name in Message
	Name     string
	Epoch    uint64    // counts the times that everybody's keys were replaced
	EpochAt  time.Time // when that was last
	RekeyDue bool      // the next message replaces the keys first
	Seq      uint64    // how many changes the roster has seen
	Head     string    // hash of the newest, hexadecimal: the same for all members
	Members  []GroupMember
	Policy   GroupPolicy
	Mine     GroupRole    // of this account; empty when it is no member any more
	Pending  *GroupStep   // a change or a rekey that is under way here
	Requests []JoinAsked  // who asks to be let in, on the device that was asked
	Alarm    *GroupBranch // the server has shown different members different rosters
}

// GroupRole is what a member may do.
type GroupRole string

// Roles.
const (
	GroupMemberRole GroupRole = "member"
	GroupAdminRole  GroupRole = "admin"
)

// GroupPolicy is what all members have agreed to by being members.
type GroupPolicy struct {
	AddByMembers bool // not only admins may add
	OpenHistory  bool // whoever adds somebody tells them what was said before
}

// GroupMember is one account in a group.
type GroupMember struct {
	Address string
	Role    GroupRole
	You     bool
	Trust   Trust // of the contact; verified for oneself
	Devices []GroupDevice
}

// GroupDevice is one device that receives what is said in a group.
type GroupDevice struct {
	ID      string
	Name    string
	Current bool // it is this one
	HasKeys bool // it was given this device's present sender key
}

// GroupStep is how far something has come that takes many messages.
type GroupStep struct {
	What  string // "create", "add", "remove", "role", "rename", "policy", "rekey"
	Done  int    // devices that were sent the keys
	Total int
}

// JoinAsked is somebody who has used an invite link.
type JoinAsked struct {
	Address string
	At      time.Time
}

// JoinRequest is what was asked.
type JoinRequest struct {
	Group string // the id
	Asked string // the admin's address
}

// GroupBranch tells where two members' rosters part.
type GroupBranch struct {
	With  string // the other member, or empty if the server itself contradicts what is held
	At    time.Time
	Seq   uint64   // the first change that differs
	Ours  []string // the changes from there on, in words, as held here
	Other []string // the same as the other side holds them, if it has said
}

// GroupChange is one change; exactly one part of it is set.
type GroupChange struct {
	Add    []string // people
	Remove []string
	Member string // with Role
	Role   GroupRole
	Name   string
	Policy *GroupPolicy
	Rekey  bool
}

// Errors about groups.
var (
	ErrUnknownGroup = errors.New("there is no such group on this device")
	ErrNotAllowed   = errors.New("the group does not let you do that")
	ErrNotMember    = errors.New("you are not a member of this group")
	ErrGroupFull    = errors.New("the group is full")
	// ErrNothingToChange: what was asked for is so already.
	ErrNothingToChange = errors.New("that changes nothing")
	ErrGroupChanged    = errors.New("somebody else changed the group first")
	ErrGroupForked     = errors.New("the members of this group were shown different rosters")
	ErrGroupName       = errors.New("that is not a name for a group")
	ErrGroupInvite     = errors.New("that is not an invite link of a group")
)

// Notices of a group's conversation; Message.Text names people, From who did it.
const (
	NoticeGroupCreated  = "group_created"
	NoticeGroupAdded    = "group_added"
	NoticeGroupRemoved  = "group_removed"
	NoticeGroupLeft     = "group_left"
	NoticeGroupRole     = "group_role"
	NoticeGroupRenamed  = "group_renamed"
	NoticeGroupPolicy   = "group_policy"
	NoticeGroupRekeyed  = "group_rekeyed"
	NoticeGroupJoinAsk  = "group_join_request"
	NoticeGroupForked   = "group_forked"   // an alarm
	NoticeGroupRollback = "group_rollback" // an alarm: the server shows an older roster
)
