package client

import (
	"context"
	"encoding/json"
	"errors"
)

// method is one thing a backend does, written once for both sides of the local
// socket: the owner runs do, others send the request and get the reply.
type method[Q, R any] struct {
	name string
	do   func(ctx context.Context, e *engine, q Q) (R, error)
}

// none stands for no request or no result.
type none struct{}

type sendQuery struct {
	To, Text string
	Options  SendOptions
}

type consumerQuery struct {
	Consumer string
	Limit    int
	IDs      []string
}

type historyQuery struct {
	With   string
	Limit  int
	Before string
}

type historyPage struct {
	Messages []Message
	More     bool
}

type awaitQuery struct {
	ID   string
	Want Status
}

type aliasQuery struct{ Who, Alias string }

type deviceQuery struct{ ID, Name string }

var (
	callAccount = method[none, Account]{"account", func(_ context.Context, e *engine, _ none) (Account, error) {
		return e.Account(), nil
	}}
	callSend = method[sendQuery, Message]{"send", func(ctx context.Context, e *engine, q sendQuery) (Message, error) {
		return e.Send(ctx, q.To, q.Text, q.Options)
	}}
	callSync = method[none, none]{"sync", func(ctx context.Context, e *engine, _ none) (none, error) {
		return none{}, e.Sync(ctx)
	}}
	callReceive = method[consumerQuery, []Message]{"receive", func(ctx context.Context, e *engine, q consumerQuery) ([]Message, error) {
		return e.Receive(ctx, q.Consumer, q.Limit)
	}}
	callAck = method[consumerQuery, none]{"ack", func(ctx context.Context, e *engine, q consumerQuery) (none, error) {
		return none{}, e.Ack(ctx, q.Consumer, q.IDs...)
	}}
	callWait = method[consumerQuery, none]{"wait", func(ctx context.Context, e *engine, q consumerQuery) (none, error) {
		return none{}, e.Wait(ctx, q.Consumer)
	}}
	callConversations = method[none, []Conversation]{"conversations", func(ctx context.Context, e *engine, _ none) ([]Conversation, error) {
		return e.Conversations(ctx)
	}}
	callHistory = method[historyQuery, historyPage]{"history", func(ctx context.Context, e *engine, q historyQuery) (historyPage, error) {
		return e.History(ctx, q)
	}}
	callMessage = method[string, Message]{"message", func(ctx context.Context, e *engine, id string) (Message, error) {
		return e.Message(ctx, id)
	}}
	callResolve = method[string, string]{"resolve", func(ctx context.Context, e *engine, word string) (string, error) {
		return e.Resolve(ctx, word)
	}}
	callContacts = method[none, []Contact]{"contacts", func(ctx context.Context, e *engine, _ none) ([]Contact, error) {
		return e.Contacts(ctx)
	}}
	callContact = method[string, Contact]{"contact", func(ctx context.Context, e *engine, who string) (Contact, error) {
		return e.Contact(ctx, who)
	}}
	callAlias = method[aliasQuery, none]{"alias", func(ctx context.Context, e *engine, q aliasQuery) (none, error) {
		return none{}, e.SetAlias(ctx, q.Who, q.Alias)
	}}
	callRemove = method[string, none]{"remove", func(ctx context.Context, e *engine, who string) (none, error) {
		return none{}, e.RemoveContact(ctx, who)
	}}
	callSafety = method[string, SafetyNumber]{"safety", func(ctx context.Context, e *engine, who string) (SafetyNumber, error) {
		return e.SafetyNumber(ctx, who)
	}}
	callConfirm = method[string, none]{"confirm", func(ctx context.Context, e *engine, who string) (none, error) {
		return none{}, e.Confirm(ctx, who)
	}}
	callUntrust = method[string, none]{"untrust", func(ctx context.Context, e *engine, who string) (none, error) {
		return none{}, e.Untrust(ctx, who)
	}}
	callStatus = method[none, StatusReport]{"status", func(ctx context.Context, e *engine, _ none) (StatusReport, error) {
		return e.Status(ctx)
	}}
)

var (
	callAwait = method[awaitQuery, Message]{"await", func(ctx context.Context, e *engine, q awaitQuery) (Message, error) {
		return e.awaitStatus(ctx, q)
	}}
	callSettings = method[none, Settings]{"settings", func(ctx context.Context, e *engine, _ none) (Settings, error) {
		return e.Settings(ctx)
	}}
	callDevices = method[none, []Device]{"devices", func(ctx context.Context, e *engine, _ none) ([]Device, error) {
		return e.Devices(ctx)
	}}
	callRenameDevice = method[deviceQuery, Device]{"rename device", func(ctx context.Context, e *engine, q deviceQuery) (Device, error) {
		return e.RenameDevice(ctx, q.ID, q.Name)
	}}
	callRevokeDevice = method[string, Device]{"revoke device", func(ctx context.Context, e *engine, id string) (Device, error) {
		return e.RevokeDevice(ctx, id)
	}}
	callFetchHistory = method[none, none]{"fetch history", func(ctx context.Context, e *engine, _ none) (none, error) {
		return none{}, e.FetchHistory(ctx)
	}}
	callSetSettings = method[Settings, none]{"set settings", func(ctx context.Context, e *engine, s Settings) (none, error) {
		return none{}, e.SetSettings(ctx, s)
	}}
)

// served answers a method by its name and encoded request.
type served func(ctx context.Context, e *engine, body []byte) ([]byte, error)

func serve[Q, R any](m method[Q, R]) (string, served) {
	return m.name, func(ctx context.Context, e *engine, body []byte) ([]byte, error) {
		var q Q
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, err
		}
		r, err := m.do(ctx, e, q)
		return json.Marshal(reply[R]{Result: r, Error: travelling(err)})
	}
}

// answers lists what an owner answers.
func answers() map[string]served {
	all := map[string]served{}
	add := func(name string, s served) { all[name] = s }
	add(serve(callAccount))
	add(serve(callSend))
	add(serve(callSync))
	add(serve(callReceive))
	add(serve(callAck))
	add(serve(callConversations))
	add(serve(callHistory))
	add(serve(callMessage))
	add(serve(callExport))
	add(serve(callBackup))
	add(serve(callResolve))
	add(serve(callContacts))
	add(serve(callContact))
	add(serve(callAlias))
	add(serve(callRemove))
	add(serve(callSafety))
	add(serve(callConfirm))
	add(serve(callUntrust))
	add(serve(callStatus))
	add(serve(callSecurity))
	add(serve(callSecurityCopy))
	add(serve(callDevices))
	add(serve(callRenameDevice))
	add(serve(callRevokeDevice))
	add(serve(callSettings))
	add(serve(callSetSettings))
	add(serve(callProof))
	add(serve(callEditHistory))
	add(serve(callRecord))
	add(serve(callRecordings))
	add(serve(callTranscript))
	add(serve(callPublicKeys))
	add(serve(callGroups))
	add(serve(callGroup))
	add(serve(callGroupInvite))
	add(serve(callJoinGroup))
	return all
}

// reply is a result and an error, either or both: a send that stays queued has
// both.
type reply[R any] struct {
	Result R
	Error  *wireError `json:",omitempty"`
}

// wireError carries an error of this package over the local socket.
type wireError struct {
	Kind       string
	Text       string
	Word       string   `json:",omitempty"`
	Candidates []string `json:",omitempty"`
}

// kinds names the errors that callers react to.
func kinds() map[string]error {
	return map[string]error{
		"not_registered": ErrNotRegistered, "already_here": ErrAlreadyHere, "name_taken": ErrNameTaken,
		"wrong_passphrase": ErrWrongPassphrase, "locked": ErrLocked, "store_damaged": ErrStoreDamaged,
		"disk_full": ErrDiskFull, "unreachable": ErrUnreachable, "server_identity": ErrServerIdentity,
		"refused": ErrRefused, "invite": ErrInvite, "unknown_recipient": ErrUnknownRecipient,
		"identity_changed": ErrIdentityChanged, "rate_limited": ErrRateLimited, "mailbox_full": ErrMailboxFull,
		"too_long": ErrTooLong, "invalid_text": ErrInvalidText, "revoked": ErrRevoked, "clock": ErrClock,
		"not_found": ErrNotFound, "timeout": ErrTimeout, "cannot_resend": ErrCannotResend, "backup_damaged": ErrBackupDamaged,
		"rolled_back": ErrRolledBack, "no_account_key": ErrNoAccountKey, "unknown_device": ErrUnknownDevice,
		"too_many_devices": ErrTooManyDevices, "link_invalid": ErrLinkInvalid, "link_expired": ErrLinkExpired,
		"device_list": ErrDeviceList, "unknown_group": ErrUnknownGroup, "not_allowed": ErrNotAllowed,
		"not_member": ErrNotMember, "group_full": ErrGroupFull, "nothing_to_change": ErrNothingToChange,
		"group_changed": ErrGroupChanged, "group_forked": ErrGroupForked, "group_name": ErrGroupName, "group_invite": ErrGroupInvite,
		"in_use": ErrInUse, "backup_newer": ErrBackupNewer, "backup_passphrase": ErrBackupPassphrase,
		"not_recorded": ErrNotRecorded, "not_signed": ErrNotSigned, "cannot_edit": ErrCannotEdit, "self": errIsMe, "closed": errClosed, "canceled": context.Canceled, "deadline": context.DeadlineExceeded,
	}
}

func travelling(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	var amb *AmbiguousError
	if errors.As(err, &amb) {
		w.Kind, w.Word, w.Candidates = "ambiguous", amb.Word, amb.Candidates
		return w
	}
	for name, kind := range kinds() {
		if errors.Is(err, kind) {
			w.Kind = name
			break
		}
	}
	return w
}

// arrived rebuilds an error that travelled.
func (w *wireError) arrived() error {
	if w == nil {
		return nil
	}
	if w.Kind == "ambiguous" {
		return &AmbiguousError{Word: w.Word, Candidates: w.Candidates}
	}
	return &ownersError{kinds()[w.Kind], w.Text}
}

type ownersError struct {
	kind error
	text string
}

func (e *ownersError) Error() string { return e.text }
func (e *ownersError) Unwrap() error { return e.kind }
