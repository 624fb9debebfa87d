package cli

import (
	"time"

	"github.com/pawl-chat/pawl/client"
)

// The objects of --json (R-CLI-04). These structs are their one source: the
// JSON Schemas in cli/schema are made from them, `doc` becoming the
// description, `enum` the allowed words, and a pointer meaning null is allowed.
// A field is never renamed or removed; new ones may come.

// header opens every object.
type header struct {
	Schema string `json:"schema" doc:"name and version of this shape"`
	Type   string `json:"type" doc:"what this object is"`
}

func head(kind string) header { return header{"pawl." + kind + "/1", kind} }

type accountObject struct {
	header
	Address    string `json:"address" doc:"user@host[:port] in canonical form"`
	Device     string `json:"device" doc:"id of this device, 16 hexadecimal digits"`
	DeviceName string `json:"device_name" doc:"name of this device, may be empty"`
	Server     string `json:"server" doc:"host[:port] of the server"`
	CreatedAt  string `json:"created_at" doc:"RFC 3339, UTC"`
	Identity   string `json:"identity" doc:"fingerprint of the account key"`
}

type messageObject struct {
	header
	ID           string            `json:"id" doc:"chosen by the sender"`
	Conversation string            `json:"conversation" doc:"the peer's address, or a group's id"`
	From         string            `json:"from" doc:"address of the sender"`
	FromDevice   string            `json:"from_device" doc:"device of the sender"`
	To           string            `json:"to" doc:"address of the recipient, or a group's id"`
	Group        string            `json:"group,omitempty" doc:"the group's id, of a message in a group"`
	Direction    string            `json:"direction" enum:"in,out" doc:"in: received here; out: sent from this account"`
	Kind         string            `json:"kind" doc:"text; unknown: from a newer version; undecryptable: a message that could not be opened, cause says why; notice: only as the last entry of a conversation"`
	Text         string            `json:"text" doc:"empty unless kind is text, and when expired"`
	Subject      string            `json:"subject,omitempty" doc:"subject line"`
	ReplyTo      string            `json:"reply_to,omitempty" doc:"id of the message this one answers"`
	Mentions     []string          `json:"mentions,omitempty" doc:"addresses of the members that the message mentions"`
	RetoldBy     string            `json:"retold_by,omitempty" doc:"member who has told of a message from before one was in the group: that from said so is their word"`
	Cause        string            `json:"cause,omitempty" doc:"a stable word: why it failed or cannot be opened"`
	Repair       string            `json:"repair,omitempty" enum:"asked,repaired,nothing" doc:"undecryptable only: the sender's device was asked to send it again; it did; it had nothing that is not here"`
	SentAt       string            `json:"sent_at" doc:"the sender's clock, RFC 3339, UTC"`
	ReceivedAt   *string           `json:"received_at" doc:"RFC 3339, UTC; null for own messages"`
	ExpiresAt    *string           `json:"expires_at" doc:"RFC 3339, UTC; null when it has no lifetime"`
	Status       string            `json:"status" enum:"sending,accepted,delivered,read,failed,received" doc:"sending: durable here; accepted: durable at the server; none implies a later one; of several devices the furthest decides, and of a group the member who has it least"`
	PerDevice    map[string]string `json:"per_device" doc:"own messages: status by recipient device; else empty"`
	PerMember    map[string]string `json:"per_member,omitempty" doc:"own messages to a group: status by member, the furthest of their devices"`
	AcceptedAt   *string           `json:"accepted_at,omitempty" doc:"own messages: when the server had it, RFC 3339, UTC"`
	Signature    string            `json:"signature,omitempty" enum:"valid,invalid" doc:"of a message whose author asked for a signature: whether it holds; invalid: the message is as good as unsigned"`
	Expired      bool              `json:"expired,omitempty" doc:"true when its lifetime is over: text and subject are erased"`
	Sealed       []sealedObject    `json:"sealed,omitempty" doc:"message show and explain only: where each copy stands that was sealed or opened here"`
}

// sealedObject is where one copy of a message stands.
type sealedObject struct {
	Device  string `json:"device" doc:"that it was sealed for, or that sealed it"`
	Own     bool   `json:"own" doc:"it is a copy for another device of this account"`
	Session string `json:"session" doc:"beginning of the session's id, 16 hexadecimal digits"`
	Chain   int64  `json:"chain" doc:"number of the chain in the session, from 0"`
	Number  int64  `json:"number" doc:"number of the message in the chain, from 0"`
	At      string `json:"at" doc:"when it was sealed or opened here, RFC 3339, UTC"`
}

func sealedOf(copies []client.SealedCopy) (out []sealedObject) {
	for _, c := range copies {
		out = append(out, sealedObject{c.Device, c.Own, c.Session, int64(c.Chain), int64(c.Number), instant(c.At)})
	}
	return out
}

type eventObject struct {
	header
	Event        string `json:"event" doc:"identity_changed: the contact has another account key; session_reset: a new session had to be started; last_resort_key: the first message found no one-time key; device_added, device_revoked, device_renamed: the device list has changed; account_recovered: every earlier device was revoked at once and a new one added; relinked: this home was an older copy of itself and is a new device now; device_list_forked, device_list_rolled_back: the server has shown a device list that contradicts the one held, or an older one; messages_missing: messages were sent and have not come; messages_recovered: what was missing was sent again; signature_invalid: a message came with a signature that does not hold; group_created, group_added, group_removed, group_left, group_role, group_renamed, group_policy, group_rekeyed: the roster of a group has changed; group_join_request: somebody asks to be let into a group; group_change_lost: a change of a group that was cut short was not made, for others came first; group_forked: members of a group were shown different rosters; group_rollback: the server has shown an older roster of a group than the one held"`
	ID           string `json:"id" doc:"id of the event in the history"`
	Conversation string `json:"conversation" doc:"the peer's address, or a group's id; one's own address for an event of the own account"`
	At           string `json:"at" doc:"RFC 3339, UTC"`
	Device       string `json:"device,omitempty" doc:"device that it is about, by name or id"`
	Group        string `json:"group,omitempty" doc:"the group's id, of an event in a group"`
	By           string `json:"by,omitempty" doc:"address of the member who did it, of an event in a group"`
	About        string `json:"about,omitempty" doc:"whom or what it is about, of an event in a group: addresses, a role, a name"`
	Count        int64  `json:"count,omitempty" doc:"how many messages are missing or have come"`
	Alarm        bool   `json:"alarm,omitempty" doc:"true when somebody may be interfering, so that a person has to look at it"`
}

type conversationObject struct {
	header
	Peer   string         `json:"peer" doc:"the peer's address, or a group's id"`
	Alias  string         `json:"alias" doc:"own name for the peer, may be empty; of a group its name"`
	Group  bool           `json:"group,omitempty" doc:"true when it is a group"`
	Trust  string         `json:"trust" enum:"first_use,verified,changed," doc:"what is known about the peer's identity; empty for a group, whose members have one each"`
	Unread int            `json:"unread" doc:"messages not yet taken by the default consumer"`
	Last   *messageObject `json:"last" doc:"the newest message, null when there is none"`
}

// linkObject is what a waiting device shows.
type linkObject struct {
	header
	URI       string `json:"uri" doc:"what pawl device approve takes on the other device; also the text of the QR code"`
	Code      string `json:"code" doc:"short code; the other device shows the same"`
	ExpiresAt string `json:"expires_at" doc:"until when this device waits, RFC 3339, UTC"`
}

func linkOf(o client.LinkOffer) linkObject {
	return linkObject{head("link"), o.URI, o.Code, instant(o.Expires)}
}

// deviceObject is a device of one's own account.
type deviceObject struct {
	header
	ID      string `json:"id" doc:"16 hexadecimal digits"`
	Name    string `json:"name" doc:"name that was given to it, may be empty"`
	Current bool   `json:"current" doc:"it is this device"`
	Revoked bool   `json:"revoked" doc:"no longer part of the account"`
	AddedAt string `json:"added_at" doc:"RFC 3339, UTC"`
}

func deviceOf(d client.Device) deviceObject {
	return deviceObject{head("device"), d.ID, d.Name, d.Current, d.Revoked, instant(d.AddedAt)}
}

// contactDevice is a device of a contact.
type contactDevice struct {
	ID      string `json:"id" doc:"16 hexadecimal digits"`
	Name    string `json:"name" doc:"name that the device's owner gave it"`
	Revoked bool   `json:"revoked" doc:"no longer part of the account"`
	AddedAt string `json:"added_at" doc:"RFC 3339, UTC"`
}

type contactObject struct {
	header
	Address   string          `json:"address" doc:"user@host[:port]"`
	Alias     string          `json:"alias" doc:"own name for the contact, may be empty"`
	Trust     string          `json:"trust" enum:"first_use,verified,changed" doc:"first_use: pinned when first seen; verified: safety number compared; changed: another account key was seen, nothing is sent"`
	Identity  string          `json:"identity" doc:"fingerprint of the pinned account key"`
	Pending   string          `json:"pending,omitempty" doc:"fingerprint of the new account key when trust is changed"`
	FirstSeen string          `json:"first_seen" doc:"RFC 3339, UTC"`
	Devices   []contactDevice `json:"devices" doc:"the contact's signed device list"`
	Removed   bool            `json:"removed,omitempty" doc:"true when this command removed the contact"`
}

type safetyNumberObject struct {
	header
	Peer   string   `json:"peer" doc:"the peer's address"`
	Digits string   `json:"digits" doc:"60 digits; the same on both sides"`
	Groups []string `json:"groups" doc:"the digits in twelve groups of five, as people read them out"`
	QR     string   `json:"qr" doc:"text of the QR code"`
	Trust  string   `json:"trust" enum:"first_use,verified,changed" doc:"what is known about the peer's identity"`
}

type statusObject struct {
	header
	Account        accountObject  `json:"account" doc:"this device's account"`
	Role           string         `json:"role" doc:"owner: this process held the store; attached: it used a running owner"`
	OwnerPID       int            `json:"owner_pid" doc:"process that holds the store"`
	Connected      bool           `json:"connected" doc:"whether the owner is connected to the server"`
	LastError      string         `json:"last_error,omitempty" doc:"why not, in words"`
	LastContact    *string        `json:"last_contact" doc:"RFC 3339, UTC; null when never"`
	ClockOffsetMS  int64          `json:"clock_offset_ms" doc:"the server's clock minus this machine's; 0 when unknown"`
	Outbox         int            `json:"outbox" doc:"messages that wait to leave"`
	Undelivered    int            `json:"undelivered" doc:"incoming messages not yet taken by the default consumer"`
	OneTimeLeft    int            `json:"one_time_left" doc:"one-time prekeys at the server, the smaller of both kinds"`
	SignedPrekeyAt *string        `json:"signed_prekey_at" doc:"age of the signed prekey, RFC 3339, UTC"`
	Sessions       int            `json:"sessions" doc:"ratchet sessions"`
	SkippedKeys    int            `json:"skipped_keys" doc:"keys kept for messages that may still come"`
	History        *historyObject `json:"history,omitempty" doc:"how far the copy of an older device's history has come; absent when none was offered"`
	Warnings       []string       `json:"warnings" doc:"what needs attention, in words"`
}

type historyObject struct {
	Messages int  `json:"messages" doc:"how many have come"`
	Total    int  `json:"total" doc:"about how many there are; 0 when it is not known yet"`
	Done     bool `json:"done" doc:"all of it is here"`
}

func historyOf(h client.HistoryProgress) *historyObject {
	if !h.Offered {
		return nil
	}
	return &historyObject{h.Messages, h.Total, h.Done}
}

type backupObject struct {
	header
	File     string `json:"file" doc:"path of the backup, as given"`
	Address  string `json:"address" doc:"the account, user@host[:port]"`
	Identity string `json:"identity" doc:"fingerprint of the account key"`
	Device   string `json:"device" doc:"device that made the backup"`
	MadeAt   string `json:"made_at" doc:"RFC 3339, UTC"`
	Contacts int    `json:"contacts" doc:"how many contacts it holds"`
	Messages int    `json:"messages" doc:"how many messages it holds, notices and tombstones included"`
}

type recoveryWordsObject struct {
	header
	Address string   `json:"address" doc:"the account, user@host[:port]"`
	Pin     string   `json:"pin,omitempty" doc:"of the server's key; absent when its certificate is public"`
	Words   []string `json:"words" doc:"the account key as 24 words: whoever has them has the account"`
}

type serverObject struct {
	header
	Listen string `json:"listen" doc:"address and port it answers on"`
	Invite string `json:"invite,omitempty" doc:"link for pawl register; good for 24 hours, many uses"`
}

type versionObject struct {
	header
	Version string `json:"version" doc:"version of the program"`
	Commit  string `json:"commit,omitempty" doc:"revision it was built from"`
	Go      string `json:"go" doc:"version of the Go toolchain"`
	OS      string `json:"os" doc:"operating system"`
	Arch    string `json:"arch" doc:"processor architecture"`
}

type errorObject struct {
	header
	Code       string   `json:"code" doc:"stable name of the kind of failure"`
	Exit       int      `json:"exit" doc:"exit code of the program"`
	Message    string   `json:"message" doc:"what went wrong, for people"`
	Retryable  bool     `json:"retryable" doc:"whether the same command may succeed later; false also when repeating would do a thing twice"`
	Hint       string   `json:"hint" doc:"what to do, for people; may be empty"`
	MessageID  string   `json:"message_id,omitempty" doc:"id of the message it is about"`
	Candidates []string `json:"candidates,omitempty" doc:"who an ambiguous word could mean"`
}

type demoStepObject struct {
	header
	Step   int            `json:"step" doc:"number of the step"`
	Name   string         `json:"name" doc:"stable name of the step"`
	Title  string         `json:"title" doc:"what the step shows"`
	OK     bool           `json:"ok" doc:"whether what it claims was checked and holds"`
	Claims []string       `json:"claims" doc:"what was checked, in words"`
	Data   map[string]any `json:"data" doc:"figures of the step"`
	MS     int64          `json:"ms" doc:"how long it took, in milliseconds"`
}

// instant writes a time as RFC 3339 in UTC, always to the millisecond, so that
// equal lengths sort as text.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func maybeInstant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := instant(t)
	return &s
}

func accountOf(a client.Account) accountObject {
	return accountObject{head("account"), a.Address, a.Device, a.DeviceName, a.Server, instant(a.CreatedAt), a.Identity}
}

// objectOf gives the object of one entry of a conversation: a message, or an
// event for a notice.
func objectOf(m client.Message) any {
	if m.Kind == client.KindNotice {
		o := eventObject{
			header: head("event"), Event: m.Notice, ID: m.ID, Conversation: m.Conversation, At: instant(shownAt(m)),
			Device: about(m), Group: groupIn(m), Count: counted(m), Alarm: alarming(m.Notice),
		}
		if o.Group != "" {
			o.By, o.About = m.From, m.Text
		}
		return o
	}
	return messageOf(m)
}

func messageOf(m client.Message) messageObject {
	o := messageObject{
		header: head("message"), ID: m.ID, Conversation: m.Conversation, From: m.From, FromDevice: m.FromDevice, To: m.To, Group: m.Group,
		Direction: string(m.Direction), Kind: string(m.Kind), Text: m.Text, Subject: m.Subject, ReplyTo: m.ReplyTo, Mentions: m.Mentions, RetoldBy: m.RetoldBy, Signature: string(m.Signature), Cause: m.Cause, Repair: string(m.Repair),
		SentAt: instant(m.SentAt), ReceivedAt: maybeInstant(m.ReceivedAt), ExpiresAt: maybeInstant(m.ExpiresAt),
		Status: string(m.Status), PerDevice: map[string]string{}, AcceptedAt: maybeInstant(m.AcceptedAt), Expired: m.Expired,
	}
	if m.Kind == client.KindNotice {
		o.Text = "" // what a notice is about stands in its event
	}
	for device, status := range m.PerDevice {
		o.PerDevice[device] = string(status)
	}
	if len(m.PerMember) > 0 {
		o.PerMember = map[string]string{}
		for member, status := range m.PerMember {
			o.PerMember[member] = string(status)
		}
	}
	return o
}

// shownAt is the time a person cares for: when it came, or when it was sent.
func shownAt(m client.Message) time.Time {
	if m.ReceivedAt.IsZero() {
		return m.SentAt
	}
	return m.ReceivedAt
}

func conversationOf(c client.Conversation) conversationObject {
	o := conversationObject{header: head("conversation"), Peer: c.Peer, Alias: c.Alias, Group: isGroup(c.Peer), Trust: string(c.Trust), Unread: c.Unread}
	if o.Group {
		o.Trust = ""
	}
	if c.Last.ID != "" {
		last := messageOf(c.Last)
		o.Last = &last
	}
	return o
}

func contactOf(c client.Contact) contactObject {
	o := contactObject{
		header: head("contact"), Address: c.Address, Alias: c.Alias, Trust: string(c.Trust),
		Identity: c.Identity, Pending: c.Pending, FirstSeen: instant(c.FirstSeen), Devices: []contactDevice{},
	}
	for _, d := range c.Devices {
		o.Devices = append(o.Devices, contactDevice{d.ID, d.Name, d.Revoked, instant(d.AddedAt)})
	}
	return o
}

func safetyNumberOf(n client.SafetyNumber) safetyNumberObject {
	return safetyNumberObject{head("safety_number"), n.Peer, n.Digits, fives(n.Digits), n.QR, string(n.Trust)}
}

// fives cuts digits into groups of five.
func fives(digits string) []string {
	groups := []string{}
	for len(digits) > 5 {
		groups, digits = append(groups, digits[:5]), digits[5:]
	}
	return append(groups, digits)
}

func backupOf(path string, b client.BackupSummary) backupObject {
	return backupObject{head("backup"), path, b.Address, b.Identity, b.Device, instant(b.MadeAt), b.Contacts, b.Messages}
}

func statusOf(s client.StatusReport) statusObject {
	warnings := s.Warnings
	if warnings == nil {
		warnings = []string{}
	}
	return statusObject{
		header: head("status"), Account: accountOf(s.Account), Role: s.Role, OwnerPID: s.OwnerPID, Connected: s.Connected,
		LastError: s.LastError, LastContact: maybeInstant(s.LastContact), ClockOffsetMS: s.ClockOffset.Milliseconds(),
		Outbox: s.Outbox, Undelivered: s.Undelivered, OneTimeLeft: s.OneTimeLeft, SignedPrekeyAt: maybeInstant(s.SignedPrekey),
		Sessions: s.Sessions, SkippedKeys: s.SkippedKeys, History: historyOf(s.History), Warnings: warnings,
	}
}
