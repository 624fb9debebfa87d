package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/owner"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Client is an account opened by this process: as the owner of its home, or
// attached to the process that is. It implements API.
type Client struct {
	cfg Config

	mu      sync.Mutex // held while the role changes
	role    owner.Role
	engine  *engine // when this process is the owner
	account Account
	closed  bool
}

var _ API = (*Client)(nil)

// Register makes a new account in cfg.Home, this being its first device, and
// opens it. Repeating a registration that was cut short takes it up again.
func Register(ctx context.Context, cfg Config, req RegisterRequest) (API, error) {
	if _, _, _, err := req.where(); err != nil {
		return nil, err
	}
	role, err := owner.Acquire(ctx, cfg.Home, owner.WithSecret(cfg.Unlock.secret()))
	if err != nil {
		return nil, ownerError(err)
	}
	own, ok := role.(*owner.Owner)
	if !ok {
		role.Close()
		return nil, ErrAlreadyHere // its owner has an account
	}
	v, err := vault.Create(cfg.Home, cfg.Unlock.vault(), tables())
	made := err == nil
	if errors.Is(err, vault.ErrExists) {
		v, err = vault.Open(cfg.Home, cfg.Unlock.vault(), tables())
	}
	if err != nil {
		own.Close()
		return nil, storeError(err)
	}
	if err := enroll(ctx, v, cfg, req); err != nil {
		if made && settledRefusal(err) {
			err = errors.Join(err, v.Destroy())
		} else {
			v.Close()
		}
		own.Close()
		return nil, err
	}
	c := &Client{cfg: cfg}
	if err := c.own(own, v); err != nil {
		return nil, err
	}
	return c, nil
}

// settledRefusal reports whether a registration has certainly not happened, so
// that its keys are of no use.
func settledRefusal(err error) bool {
	return errors.Is(err, ErrInvite) || errors.Is(err, ErrNameTaken) || errors.Is(err, ErrRefused) ||
		errors.Is(err, ErrServerIdentity) || errors.Is(err, ErrRateLimited)
}

// Open opens the account in cfg.Home.
func Open(ctx context.Context, cfg Config) (API, error) {
	c := &Client{cfg: cfg}
	if err := vault.Present(cfg.Home); err != nil {
		return nil, storeError(err)
	}
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// secret is what an owner checks of a process that attaches: empty when it
// gives none, which is enough for the same user of the machine.
func (u Unlock) secret() []byte {
	switch {
	case len(u.Passphrase) > 0:
		return append([]byte("p"), u.Passphrase...)
	case u.KeyFile != "":
		path, err := filepath.Abs(u.KeyFile)
		if err != nil {
			path = u.KeyFile
		}
		return append([]byte("k"), path...)
	}
	return nil
}

// acquire makes this process the owner or attaches it. The caller holds mu, or
// nobody else has c yet.
func (c *Client) acquire(ctx context.Context) error {
	for {
		role, err := owner.Acquire(ctx, c.cfg.Home, owner.WithSecret(c.cfg.Unlock.secret()))
		if err != nil {
			return ownerError(err)
		}
		if own, ok := role.(*owner.Owner); ok {
			v, err := vault.Open(c.cfg.Home, c.cfg.Unlock.vault(), tables())
			if err != nil {
				own.Close()
				return storeError(err)
			}
			return c.own(own, v)
		}
		c.role, c.engine = role, nil
		c.account, err = ask(ctx, role.(*owner.Peer), callAccount, none{})
		if !errors.Is(err, owner.ErrOwnerGone) {
			if err != nil {
				role.Close()
				c.role = nil
			}
			return err
		}
		role.Close()
	}
}

// own starts the engine in this process. It closes what it was given when it
// fails.
func (c *Client) own(own *owner.Owner, v *vault.Vault) error {
	s, err := readSelf(v)
	if err == nil && !s.record.Registered {
		err = fmt.Errorf("%w: its registration was not finished, repeat it", ErrNotRegistered)
	}
	var e *engine
	if err == nil {
		e, err = newEngine(v, s, c.cfg)
	}
	if err == nil {
		err = ownerError(own.Serve(&handler{e, answers(), lasting()}, func(secret []byte) bool {
			switch {
			case len(secret) == 0:
				return true
			case secret[0] == 'p':
				return v.CheckPassphrase(secret[1:])
			default:
				return v.Check(vault.Unlock{KeyFile: string(secret[1:])})
			}
		}))
	}
	if err != nil {
		v.Close()
		own.Close()
		return err
	}
	c.role, c.engine, c.account = own, e, e.Account()
	return nil
}

func ownerError(err error) error {
	if errors.Is(err, owner.ErrRefused) {
		return &wrapped{ErrWrongPassphrase, err}
	}
	return err
}

// handler answers attached processes.
type handler struct {
	e       *engine
	methods map[string]served
	lasting map[string]served
}

func (h *handler) Call(ctx context.Context, name string, body []byte) ([]byte, error) {
	m, ok := h.methods[name]
	if !ok {
		return nil, fmt.Errorf("client: no method %q", name)
	}
	return m(ctx, h.e, body)
}

// lasting serves what may wait for as long as it takes: a stream ends when the
// owner leaves, where a call would keep it.
func lasting() map[string]served {
	all := map[string]served{}
	for _, add := range []func() (string, served){
		func() (string, served) { return serve(callWait) },
		func() (string, served) { return serve(callAwait) },
		func() (string, served) { return serve(callFetchHistory) },
		func() (string, served) { return serve(callApprove) },
		func() (string, served) { return serve(callCreateGroup) },
		func() (string, served) { return serve(callChangeGroup) },
		func() (string, served) { return serve(callLeaveGroup) },
	} {
		name, s := add()
		all[name] = s
	}
	return all
}

// Stream serves the lasting methods.
func (h *handler) Stream(ctx context.Context, name string, body []byte, send func([]byte) error) error {
	wait, ok := h.lasting[name]
	if !ok {
		return fmt.Errorf("client: no stream %q", name)
	}
	b, err := wait(ctx, h.e, body)
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return send(b)
}

// ask sends a request to the owner.
func ask[Q, R any](ctx context.Context, p *owner.Peer, m method[Q, R], q Q) (R, error) {
	var zero R
	body, err := json.Marshal(q)
	if err != nil {
		return zero, err
	}
	var b []byte
	if _, ok := lasting()[m.name]; ok {
		err = owner.ErrOwnerGone // a stream that ends without an item
		for item, streamErr := range p.Stream(ctx, m.name, body) {
			b, err = item, streamErr
		}
	} else {
		b, err = p.Call(ctx, m.name, body)
	}
	if err != nil {
		return zero, err
	}
	var r reply[R]
	if err := json.Unmarshal(b, &r); err != nil {
		return zero, fmt.Errorf("client: the owner's answer is malformed")
	}
	err = r.Error.arrived()
	if errors.Is(err, errClosed) {
		err = owner.ErrOwnerGone // it left while it was at work on this
	}
	return r.Result, err
}

// run (R-CLT-10) does m here or at the owner, and again in a new role when the owner goes
// away: every method may be repeated.
func run[Q, R any](ctx context.Context, c *Client, m method[Q, R], q Q) (R, error) {
	for {
		c.mu.Lock()
		role, e, closed := c.role, c.engine, c.closed
		c.mu.Unlock()
		var zero R
		if closed {
			return zero, errClosed
		}
		if e != nil {
			return m.do(ctx, e, q)
		}
		r, err := ask(ctx, role.(*owner.Peer), m, q)
		// ErrClosed: another call found the owner gone and gave this role up.
		if !errors.Is(err, owner.ErrOwnerGone) && !errors.Is(err, owner.ErrClosed) {
			return r, err
		}
		if err := c.again(ctx, role); err != nil {
			return zero, err
		}
	}
}

// again takes a new role after old was lost, once for all who lost it.
func (c *Client) again(ctx context.Context, old owner.Role) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	if c.role != old {
		return nil
	}
	old.Close()
	return c.acquire(ctx)
}

// Close implements API. An owner finishes what attached processes have asked
// for, writes down what it knows, and leaves the home to whoever is next.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	own, ok := c.role.(*owner.Owner)
	if !ok {
		if c.role == nil {
			return nil
		}
		return c.role.Close()
	}
	own.Stop()
	err := c.engine.close()
	return errors.Join(err, own.Close())
}

// Account implements API.
func (c *Client) Account() Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account
}

// Send implements API.
func (c *Client) Send(ctx context.Context, to, text string, o SendOptions) (Message, error) {
	if !utf8.ValidString(text) || !utf8.ValidString(o.Subject) {
		return Message{}, ErrInvalidText
	}
	if len(text) > content.MaxText || len(o.Subject) > content.MaxSubject {
		return Message{}, fmt.Errorf("%w: at most %d bytes of text and %d of subject", ErrTooLong, content.MaxText, content.MaxSubject)
	}
	if o.ID == "" {
		o.ID = content.NewID().String() // one message, however often it is asked for
	}
	want, limit := o.Wait, o.Timeout
	switch want {
	case "", StatusAccepted, StatusDelivered, StatusRead:
	default:
		return Message{}, fmt.Errorf("%w: one can wait for accepted, delivered or read", ErrInvalidText)
	}
	o.Wait, o.Timeout = "", 0
	// R-CLT-20
	bounded, cancel := ctx, func() {}
	if limit > 0 {
		bounded, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	m, err := run(bounded, c, callSend, sendQuery{to, text, o})
	if err == nil && !o.NoWait && want != "" && !m.Status.reached(want) {
		m, err = run(bounded, c, callAwait, awaitQuery{m.ID, want})
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = ErrTimeout
		if sent, lost := c.Message(ctx, o.ID); lost == nil {
			m = sent
		}
	}
	return m, err
}

// Sync implements API.
func (c *Client) Sync(ctx context.Context) error {
	_, err := run(ctx, c, callSync, none{})
	return err
}

// Receive implements API.
func (c *Client) Receive(ctx context.Context, consumer string, limit int) ([]Message, error) {
	return run(ctx, c, callReceive, consumerQuery{Consumer: consumer, Limit: limit})
}

// Ack implements API.
func (c *Client) Ack(ctx context.Context, consumer string, ids ...string) error {
	_, err := run(ctx, c, callAck, consumerQuery{Consumer: consumer, IDs: ids})
	return err
}

// Follow implements API.
func (c *Client) Follow(ctx context.Context, consumer string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		fail := func(err error) {
			if ctx.Err() == nil {
				yield(Message{}, err)
			}
		}
		for {
			batch, err := c.Receive(ctx, consumer, 100)
			if err == nil && len(batch) == 0 {
				_, err = run(ctx, c, callWait, consumerQuery{Consumer: consumer})
			}
			if err != nil {
				fail(err)
				return
			}
			for _, m := range batch {
				if !yield(m, nil) {
					return
				}
				if err := c.Ack(ctx, consumer, m.ID); err != nil {
					fail(err)
					return
				}
			}
		}
	}
}

// Conversations implements API.
func (c *Client) Conversations(ctx context.Context) ([]Conversation, error) {
	return run(ctx, c, callConversations, none{})
}

// History implements API.
func (c *Client) History(ctx context.Context, with string, limit int, before string) ([]Message, error) {
	var out []Message
	for {
		page, err := run(ctx, c, callHistory, historyQuery{with, limit - len(out), before})
		if err != nil {
			return nil, err
		}
		out = append(page.Messages, out...)
		if !page.More || (limit > 0 && len(out) >= limit) {
			return out, nil
		}
		before = page.Messages[0].ID
		if limit <= 0 {
			limit = 0
		}
	}
}

// Message implements API.
func (c *Client) Message(ctx context.Context, id string) (Message, error) {
	return run(ctx, c, callMessage, id)
}

// Resolve implements API.
func (c *Client) Resolve(ctx context.Context, word string) (string, error) {
	return run(ctx, c, callResolve, word)
}

// Contacts implements API.
func (c *Client) Contacts(ctx context.Context) ([]Contact, error) {
	return run(ctx, c, callContacts, none{})
}

// Contact implements API.
func (c *Client) Contact(ctx context.Context, who string) (Contact, error) {
	return run(ctx, c, callContact, who)
}

// SetAlias implements API.
func (c *Client) SetAlias(ctx context.Context, who, alias string) error {
	_, err := run(ctx, c, callAlias, aliasQuery{who, alias})
	return err
}

// RemoveContact implements API.
func (c *Client) RemoveContact(ctx context.Context, who string) error {
	_, err := run(ctx, c, callRemove, who)
	return err
}

// SafetyNumber implements API.
func (c *Client) SafetyNumber(ctx context.Context, who string) (SafetyNumber, error) {
	return run(ctx, c, callSafety, who)
}

// Confirm implements API.
func (c *Client) Confirm(ctx context.Context, who string) error {
	_, err := run(ctx, c, callConfirm, who)
	return err
}

// Untrust implements API.
func (c *Client) Untrust(ctx context.Context, who string) error {
	_, err := run(ctx, c, callUntrust, who)
	return err
}

// Status implements API.
func (c *Client) Status(ctx context.Context) (StatusReport, error) {
	r, err := run(ctx, c, callStatus, none{})
	c.mu.Lock()
	if c.engine == nil && err == nil {
		r.Role = "attached"
	}
	c.mu.Unlock()
	return r, err
}

// Devices implements API.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	return run(ctx, c, callDevices, none{})
}

// RenameDevice implements API.
func (c *Client) RenameDevice(ctx context.Context, id, name string) (Device, error) {
	return run(ctx, c, callRenameDevice, deviceQuery{id, name})
}

// RevokeDevice implements API.
func (c *Client) RevokeDevice(ctx context.Context, id string) (Device, error) {
	return run(ctx, c, callRevokeDevice, id)
}

// FetchHistory implements API.
func (c *Client) FetchHistory(ctx context.Context) error {
	_, err := run(ctx, c, callFetchHistory, none{})
	return err
}

// Settings implements API.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	return run(ctx, c, callSettings, none{})
}

// SetSettings implements API.
func (c *Client) SetSettings(ctx context.Context, s Settings) error {
	_, err := run(ctx, c, callSetSettings, s)
	return err
}
