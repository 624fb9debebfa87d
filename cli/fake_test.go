package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/cli"
	"github.com/pawl-chat/pawl/client"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const digits = "012345678901234567890123456789012345678901234567890123456789"

// fake is a client.API of one small world: alice, who knows bob and two people
// called carol. fail gives the error of a method by name.
type fake struct {
	mu       sync.Mutex
	fail     map[string]error
	messages []client.Message // incoming
	acked    map[string]bool
	sent     []client.Message
	trust    client.Trust
	alias    string
	removed  bool
	unread   bool // read receipts are off
	closed   int
	// devices of the account, made by the first that asks; offered is the history
	// that the other device lets this one have.
	devices  []client.Device
	offered  client.HistoryProgress
	given    []client.HistoryGiven
	link     client.LinkRequest
	words    client.WordsRequest
	approved client.ApproveOptions
	// groups are rosters as the world of fake_groups_test.go begins with them;
	// changed keeps what was asked, step is what a change is seen at meanwhile.
	groups  []client.Group
	hidden  []client.Group // known after a Sync
	changed []client.GroupChange
	step    func() *client.GroupStep
	onSync  func()
	// opened keeps what Open and Register were given.
	opened  []client.Config
	request client.RegisterRequest
	// needs is the passphrase that opens the store; empty opens to anything.
	needs string
}

func newFake() *fake {
	return &fake{fail: map[string]error{}, acked: map[string]bool{}, trust: client.TrustFirstUse, groups: rosters()}
}

func (f *fake) engine() cli.Engine {
	return cli.Engine{
		Register: func(_ context.Context, c client.Config, r client.RegisterRequest) (client.API, error) {
			f.opened, f.request = append(f.opened, c), r
			if err := f.fail["Register"]; err != nil {
				return nil, err
			}
			return f, os.MkdirAll(c.Home, 0o700)
		},
		Link: func(ctx context.Context, c client.Config, r client.LinkRequest) (client.API, error) {
			return f.linked(ctx, "Link", c, r)
		},
		Relink: func(ctx context.Context, c client.Config, r client.LinkRequest) (client.API, error) {
			return f.linked(ctx, "Relink", c, r)
		},
		ParseLink: parseLink,
		RestoreWords: func(_ context.Context, c client.Config, r client.WordsRequest) (client.API, error) {
			f.opened, f.words = append(f.opened, c), r
			if err := f.fail["RestoreWords"]; err != nil {
				return nil, err
			}
			return f, os.MkdirAll(c.Home, 0o700)
		},
		Open: func(_ context.Context, c client.Config) (client.API, error) {
			f.opened = append(f.opened, c)
			switch {
			case f.fail["Open"] != nil:
				return nil, f.fail["Open"]
			case f.needs == "" || string(c.Unlock.Passphrase) == f.needs:
				return f, nil
			case len(c.Unlock.Passphrase) == 0 && c.Unlock.KeyFile == "":
				return nil, client.ErrLocked
			}
			return nil, client.ErrWrongPassphrase
		},
		Serve: func(c cli.ServeConfig) (cli.Server, error) { return fakeServer{c}, f.fail["Serve"] },
	}
}

type fakeServer struct{ cfg cli.ServeConfig }

func (s fakeServer) Addr() string { return "127.0.0.1:34567" }
func (s fakeServer) Invite(context.Context) (string, error) {
	if s.cfg.Registration == "closed" {
		return "", nil
	}
	return "pawl://127.0.0.1:34567/invite/TOKEN?pin=PIN", nil
}
func (s fakeServer) Serve(ctx context.Context) error { <-ctx.Done(); return nil }

func (f *fake) Account() client.Account {
	return client.Account{Address: "alice@localhost", Device: "00000000000000a1", DeviceName: "laptop", Server: "localhost:7295", CreatedAt: noon, Identity: "AAAA BBBB"}
}

func (f *fake) Close() error { f.closed++; return f.fail["Close"] }

func (f *fake) Send(_ context.Context, to, text string, o client.SendOptions) (client.Message, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(text) > 100_000 {
		return client.Message{}, client.ErrTooLong
	}
	if strings.ToValidUTF8(text, "") != text {
		return client.Message{}, client.ErrInvalidText
	}
	for i := range f.sent {
		if m := &f.sent[i]; o.ID != "" && m.ID == o.ID { // again under its ID: the receipt is asked for
			switch {
			case strings.Contains(text, "never"):
				return *m, client.ErrTimeout
			case strings.Contains(text, "lost"):
				m.Status = client.StatusFailed
				return *m, client.ErrRefused
			}
			m.Status = o.Wait
			return *m, nil
		}
	}
	m := client.Message{
		ID: fmt.Sprintf("MSG%d", len(f.sent)+1), Conversation: to, From: "alice@localhost", FromDevice: "00000000000000a1", To: to,
		Direction: client.Out, Kind: client.KindText, Text: text, Subject: o.Subject, ReplyTo: o.ReplyTo, SentAt: noon,
		Status: client.StatusAccepted, PerDevice: map[string]client.Status{"00000000000000b1": client.StatusAccepted},
	}
	m.Sealed = []client.SealedCopy{
		{Device: "00000000000000b1", Session: "0123456789abcdef", Chain: 4, Number: 2, At: noon},
		{Device: "00000000000000a2", Own: true, Session: "fedcba9876543210", Number: 7, At: noon},
	}
	if strings.HasPrefix(to, "#") {
		f.sendToGroup(&m, o)
	}
	if o.TTL > 0 {
		m.ExpiresAt = noon.Add(o.TTL)
	}
	err := f.fail["Send"]
	if strings.Contains(text, "half") {
		m.PerDevice["00000000000000b2"] = client.StatusFailed
	}
	if errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrServerIdentity) || errors.Is(err, client.ErrRateLimited) || errors.Is(err, client.ErrTimeout) {
		m.Status = client.StatusSending
		m.PerDevice = nil
	} else if err != nil {
		return client.Message{}, err
	}
	if o.NoWait {
		m.Status = client.StatusSending
	}
	f.sent = append(f.sent, m)
	return m, err
}

func (f *fake) Sync(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail["Sync"] == nil {
		if f.onSync != nil {
			f.onSync()
		}
		f.groups, f.hidden = append(f.groups, f.hidden...), nil
	}
	return f.fail["Sync"]
}

func (f *fake) Receive(_ context.Context, consumer string, limit int) ([]client.Message, error) {
	var out []client.Message
	for _, m := range f.messages {
		if !f.acked[consumer+"/"+m.ID] && len(out) < limit {
			out = append(out, m)
		}
	}
	return out, f.fail["Receive"]
}

func (f *fake) Ack(_ context.Context, consumer string, ids ...string) error {
	for _, id := range ids {
		f.acked[consumer+"/"+id] = true
	}
	return f.fail["Ack"]
}

func (f *fake) Follow(ctx context.Context, consumer string) iter.Seq2[client.Message, error] {
	return func(yield func(client.Message, error) bool) {
		for {
			list, _ := f.Receive(ctx, consumer, 1)
			if len(list) == 0 {
				<-ctx.Done()
				yield(client.Message{}, ctx.Err())
				return
			}
			if !yield(list[0], nil) {
				return
			}
			f.Ack(ctx, consumer, list[0].ID)
		}
	}
}

func (f *fake) Conversations(context.Context) ([]client.Conversation, error) {
	c := client.Conversation{Peer: "bob@localhost", Alias: f.alias, Trust: f.trust, Unread: len(f.messages)}
	if len(f.messages) > 0 {
		c.Last = f.messages[len(f.messages)-1]
	}
	return append([]client.Conversation{c}, f.groupConversations()...), f.fail["Conversations"]
}

func (f *fake) History(_ context.Context, with string, limit int, before string) ([]client.Message, error) {
	all := slices.Concat(f.messages, f.sent)
	return all[max(0, len(all)-limit):], f.fail["History"]
}

func (f *fake) Message(_ context.Context, id string) (client.Message, error) {
	for _, m := range slices.Concat(f.messages, f.sent) {
		if m.ID == id {
			return m, nil
		}
	}
	return client.Message{}, client.ErrNotFound
}

func (f *fake) Export(_ context.Context, with string) (int, iter.Seq2[client.Message, error], error) {
	all := slices.Concat(f.messages, f.sent)
	return len(all), func(yield func(client.Message, error) bool) {
		for i, m := range all {
			if err := f.fail["Export"]; err != nil && i == 1 {
				yield(client.Message{}, err)
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}, nil
}

func (f *fake) Backup(_ context.Context, to io.Writer, _ client.BackupOptions) (client.BackupSummary, error) {
	_, err := io.WriteString(to, "half a backup")
	return client.BackupSummary{Address: "alice@localhost", Identity: "AAAA BBBB", Device: "00000000000000a1", MadeAt: noon, Contacts: 1, Messages: 2}, errors.Join(err, f.fail["Backup"])
}

func (f *fake) RecoveryWords(context.Context) (client.RecoveryWords, error) {
	r := client.RecoveryWords{Address: "alice@localhost", Pin: "PIN"}
	for i := range 24 {
		r.Words = append(r.Words, []string{"abandon", "zoo", "ability"}[i%3])
	}
	return r, f.fail["RecoveryWords"]
}

func (f *fake) Resend(ctx context.Context, id string, o client.SendOptions) (client.Message, error) {
	m, err := f.Message(ctx, id)
	if err != nil {
		return m, err
	}
	if m.Direction == client.In {
		return m, client.ErrCannotResend
	}
	return f.Send(ctx, m.To, m.Text, o)
}

func (f *fake) Resolve(_ context.Context, word string) (string, error) {
	if err := f.fail["Resolve"]; err != nil {
		return "", err
	}
	if strings.HasPrefix(word, "#") {
		g, err := f.find(word)
		return g.ID, err
	}
	switch word {
	case "dave@localhost", "erin@localhost":
		return word, nil
	case "me":
		return "alice@localhost", nil
	case "bob", "bob@localhost":
		return "bob@localhost", nil
	case "carol":
		return "", &client.AmbiguousError{Word: word, Candidates: []string{"carol@here", "carol@\u202ethere"}}
	}
	return "", client.ErrUnknownRecipient
}

func (f *fake) bob() client.Contact {
	c := client.Contact{
		Address: "bob@localhost", Alias: f.alias, Trust: f.trust, Identity: "CCCC DDDD", FirstSeen: noon,
		Devices: []client.Device{
			{ID: "00000000000000b1", Name: "phone", AddedAt: noon},
			{ID: "00000000000000b2", Name: "old\x1b[31m", Revoked: true, AddedAt: noon},
		},
	}
	if f.trust == client.TrustChanged {
		c.Pending = "EEEE FFFF"
	}
	return c
}

func (f *fake) Contacts(context.Context) ([]client.Contact, error) {
	if f.removed {
		return nil, nil
	}
	return []client.Contact{f.bob()}, f.fail["Contacts"]
}

func (f *fake) Contact(_ context.Context, who string) (client.Contact, error) {
	return f.bob(), f.fail["Contact"]
}
func (f *fake) SetAlias(_ context.Context, who, alias string) error { f.alias = alias; return nil }
func (f *fake) RemoveContact(_ context.Context, who string) error   { f.removed = true; return nil }
func (f *fake) SafetyNumber(_ context.Context, who string) (client.SafetyNumber, error) {
	return client.SafetyNumber{Peer: who, Digits: digits, QR: "PAWL:1:" + digits, Trust: f.trust}, f.fail["SafetyNumber"]
}
func (f *fake) Confirm(context.Context, string) error { f.trust = client.TrustVerified; return nil }
func (f *fake) Untrust(context.Context, string) error { f.trust = client.TrustFirstUse; return nil }

func (f *fake) Status(context.Context) (client.StatusReport, error) {
	return client.StatusReport{
		Account: f.Account(), Role: "attached", OwnerPID: 4711, LastError: "connection refused", LastContact: noon, ClockOffset: 2 * time.Hour,
		Outbox: 1, Undelivered: 2, OneTimeLeft: 93, SignedPrekey: noon, Sessions: 3, SkippedKeys: 4, Warnings: []string{"the clock is off by 2 hours"}, History: f.offered, HistoryGiven: f.given,
	}, f.fail["Status"]
}

func (f *fake) Settings(context.Context) (client.Settings, error) {
	return client.Settings{ReadReceipts: !f.unread}, f.fail["Settings"]
}

func (f *fake) SetSettings(_ context.Context, s client.Settings) error {
	f.unread = !s.ReadReceipts
	return f.fail["SetSettings"]
}

// greeting is an incoming message.
func greeting(n int, text string) client.Message {
	return client.Message{
		ID: fmt.Sprintf("IN%d", n), Conversation: "bob@localhost", From: "bob@localhost", FromDevice: "00000000000000b1", To: "alice@localhost",
		Direction: client.In, Kind: client.KindText, Text: text, SentAt: noon, ReceivedAt: noon.Add(time.Second), Status: client.StatusReceived,
	}
}

func notice(n int, what string) client.Message {
	m := greeting(n, "")
	m.Kind, m.Notice = client.KindNotice, what
	return m
}

// fakeMain is a program for scripts: pawl with the fake behind it. PAWL_FAKE
// lists failures as METHOD:name; what was acknowledged is added to the file
// acked in the home.
func fakeMain() int {
	f := newFake()
	for _, word := range strings.Fields(os.Getenv("PAWL_FAKE")) {
		method, name, _ := strings.Cut(word, ":")
		if method == "Offered" {
			f.offered = client.HistoryProgress{Offered: true, Messages: 3, Total: 10}
			continue
		}
		f.fail[method] = sentinels()[name]
	}
	f.messages = []client.Message{greeting(1, "one"), notice(2, client.NoticeIdentityChanged), greeting(3, "three\nfour")}
	env := cli.System()
	env.Zone = time.UTC
	env.Engine = f.engine()
	code := cli.RunProcess(env, os.Args[1:])
	if home := os.Getenv("PAWL_HOME"); home != "" && len(f.acked) > 0 {
		list, _ := json.Marshal(slices.Sorted(maps.Keys(f.acked)))
		os.MkdirAll(home, 0o700)
		os.WriteFile(filepath.Join(home, "acked"), append(list, '\n'), 0o600)
	}
	return code
}

func sentinels() map[string]error {
	return map[string]error{
		"not_registered": client.ErrNotRegistered, "already_registered": client.ErrAlreadyHere, "name_taken": client.ErrNameTaken,
		"wrong_passphrase": client.ErrWrongPassphrase, "locked": client.ErrLocked, "store_damaged": client.ErrStoreDamaged,
		"disk_full": client.ErrDiskFull, "server_unreachable": client.ErrUnreachable, "server_identity": client.ErrServerIdentity,
		"refused": client.ErrRefused, "invite_invalid": client.ErrInvite, "unknown_recipient": client.ErrUnknownRecipient,
		"identity_changed": client.ErrIdentityChanged, "rate_limited": client.ErrRateLimited, "mailbox_full": client.ErrMailboxFull,
		"text_too_long": client.ErrTooLong, "text_invalid": client.ErrInvalidText, "revoked": client.ErrRevoked, "clock": client.ErrClock,
		"message_not_found": client.ErrNotFound, "backup_damaged": client.ErrBackupDamaged, "backup_newer": client.ErrBackupNewer,
		"backup_passphrase": client.ErrBackupPassphrase,
		"timeout":           client.ErrTimeout, "cannot_resend": client.ErrCannotResend,
		"rolled_back": client.ErrRolledBack, "home_in_use": client.ErrInUse, "no_account_key": client.ErrNoAccountKey, "unknown_device": client.ErrUnknownDevice,
		"too_many_devices": client.ErrTooManyDevices, "link_invalid": client.ErrLinkInvalid, "link_expired": client.ErrLinkExpired,
		"unknown_group": client.ErrUnknownGroup, "not_a_member": client.ErrNotMember, "not_allowed": client.ErrNotAllowed, "group_full": client.ErrGroupFull,
		"nothing_to_change": client.ErrNothingToChange, "group_changed": client.ErrGroupChanged, "group_forked": client.ErrGroupForked, "group_name": client.ErrGroupName, "group_invite": client.ErrGroupInvite,
		"device_list": client.ErrDeviceList, "words_invalid": client.ErrWords, "not_recorded": client.ErrNotRecorded, "not_signed": client.ErrNotSigned, "cannot_edit": client.ErrCannotEdit,
		"proof_malformed": client.ErrNotProof, "proof_newer": client.ErrProofNewer, "proof_fails": client.ErrProofFails,
	}
}
