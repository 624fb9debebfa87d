package client_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/server"
)

// puppet is a person whose keys a test has, to sign lists with that an honest
// account would not.
type puppet struct {
	*villain
	addr    address.Address
	account ed25519.PrivateKey
	sign    map[address.Device]ed25519.PrivateKey
	chain   [][]byte
	lists   []devicelist.List
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// puppet makes a person with one device whom the server does not know.
func (l *villain) puppet(user string) *puppet {
	l.t.Helper()
	addr, err := address.New(user, l.target.Host)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &puppet{villain: l, addr: addr, account: newKey(l.t), sign: map[address.Device]ed25519.PrivateKey{}}
	p.add(p.entry(devicelist.First(p.public(), addr, p.device("first"), time.Now())))
	return p
}

func (p *puppet) public() ed25519.PublicKey { return p.account.Public().(ed25519.PublicKey) }

func (p *puppet) device(name string) devicelist.Device {
	id := address.NewDevice()
	p.sign[id] = newKey(p.t)
	_, identity := dh.Generate()
	return devicelist.NewDevice(p.public(), p.addr, id, p.sign[id], identity, name, time.Now())
}

func (p *puppet) entry(l devicelist.List) []byte {
	p.t.Helper()
	e, err := devicelist.Sign(l, p.account)
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

// add makes an entry the person's newest.
func (p *puppet) add(entry []byte) {
	p.t.Helper()
	p.chain = append(slices.Clip(p.chain), entry)
	l, err := devicelist.VerifyChain(p.chain)
	if err != nil {
		p.t.Fatal(err)
	}
	p.lists = append(p.lists, l)
}

// after is an entry that follows a version, with the change made.
func (p *puppet) after(version int, change func(*devicelist.List)) []byte {
	l := p.lists[version-1].Next(time.Now())
	change(&l)
	return p.entry(l)
}

func with(d devicelist.Device) func(*devicelist.List) {
	return func(l *devicelist.List) { l.Devices = append(l.Devices, d) }
}

func (p *puppet) upload(id address.Device) []byte {
	up, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: p.public(), Device: uint64(id)}, p.sign[id])
	return up.Bytes()
}

func (p *puppet) login(id address.Device) *relayclient.Conn {
	p.t.Helper()
	c, err := relayclient.Dial(p.t.Context(), p.target, relayclient.Login{User: p.addr.User(), Device: id, Key: p.sign[id]})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(c.Close)
	return c
}

// enroll registers the person at the honest server and adds a second device.
func (p *puppet) enroll() {
	p.t.Helper()
	invite, err := relay.ParseInvite(p.invite)
	if err != nil {
		p.t.Fatal(err)
	}
	first := p.lists[0].Devices[0].ID
	_, err = relayclient.Register(p.t.Context(), p.target, relay.RegisterRequest{Invite: invite.Token, Entry: p.chain[0], Upload: p.upload(first)})
	if err != nil {
		p.t.Fatal(err)
	}
	d := p.device("second")
	p.add(p.after(1, with(d)))
	if err := p.login(first).PutDeviceList(p.t.Context(), p.chain[1]); err != nil {
		p.t.Fatal(err)
	}
	if err := p.login(d.ID).PutPrekeys(p.t.Context(), p.upload(d.ID)); err != nil {
		p.t.Fatal(err)
	}
}

// mailbox is how many messages wait for each of the person's devices.
func (p *puppet) mailbox() (n []int) {
	p.t.Helper()
	for _, d := range p.lists[len(p.lists)-1].Devices {
		st, err := p.stores.Mailbox.Stat(p.t.Context(), server.Device{User: p.addr.User(), ID: d.ID})
		if err != nil {
			p.t.Fatal(err)
		}
		n = append(n, st.Count)
	}
	return n
}

// view is all that a person is shown of another.
type view struct {
	contact client.Contact
	number  string
	texts   []string
	notices []string
}

func viewOf(t *testing.T, c client.API, who string) (v view) {
	t.Helper()
	var err error
	if v.contact, err = c.Contact(ctx(t), who); err != nil {
		t.Fatal(err)
	}
	n, err := c.SafetyNumber(ctx(t), who)
	if err != nil {
		t.Fatal(err)
	}
	v.number = n.Digits
	all, err := c.History(ctx(t), who, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Kind == client.KindNotice {
			v.notices = append(v.notices, m.Notice)
		} else if m.Status != client.StatusFailed {
			v.texts = append(v.texts, string(m.Kind)+" "+m.Text)
		}
	}
	return v
}

// chains answers questions after somebody's device list with a chain.
func chains(user string, chain [][]byte) lie {
	return func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
		var asked relay.AccountRequest
		if q.op != relay.OpAccount || relay.Decode(q.body, &asked) != nil || asked.User != user {
			return code, body, true
		}
		rest := [][]byte{}
		if asked.From <= uint64(len(chain)) {
			rest = chain[asked.From-1:]
		}
		return relay.OK, codec.Marshal(&relay.AccountResult{Entries: rest}), true
	}
}

// staleWith answers the first send as stale, with what a chain has after a
// version, and lies about the list as chains does.
func staleWith(user string, own bool, version int, chain [][]byte) lie {
	told := false
	account := chains(user, chain)
	return func(q question, code relay.Code, body []byte) (relay.Code, []byte, bool) {
		if q.op == relay.OpSend && !told {
			told = true
			e := relay.Error{Code: relay.Stale, Version: uint64(len(chain)), Own: own}
			if len(chain) > version {
				e.Entries = chain[version:]
			}
			return relay.Stale, e.Body(), true
		}
		return account(q, code, body)
	}
}

// TestR_CLT_07_LiesAboutAContact: whatever a relay says of a contact's devices
// and is not signed by the account, or contradicts what was seen before,
// changes nothing of what a person is shown and is refused or reported, once.
func TestR_CLT_07_LiesAboutAContact(t *testing.T) {
	type lied struct {
		chain  func(bob, carol, other *puppet) [][]byte
		err    error
		notice string
	}
	flipped := func(b []byte) []byte {
		c := bytes.Clone(b)
		c[len(c)-1] ^= 1
		return c
	}
	l := newVillain(t)
	bob, carol, other := l.puppet("bob"), l.puppet("carol"), l.puppet("bob")
	bob.enroll()
	alice := l.join(config(t, "alice"), "alice")
	send(t, alice, "bob", "before")
	first := viewOf(t, alice, "bob")
	for name, c := range map[string]lied{
		"a fork": {func(bob, _, _ *puppet) [][]byte {
			return [][]byte{bob.chain[0], bob.after(1, with(bob.device("spy")))}
		}, client.ErrDeviceList, client.NoticeListForked},
		"a fork that goes on": {func(bob, _, _ *puppet) [][]byte {
			fork := *bob
			fork.chain, fork.lists = bob.chain[:1:1], bob.lists[:1:1]
			fork.add(bob.after(1, with(bob.device("spy"))))
			fork.add(fork.after(2, with(bob.device("another"))))
			return fork.chain
		}, client.ErrDeviceList, client.NoticeListForked},
		"an older state": {func(bob, _, _ *puppet) [][]byte { return bob.chain[:1] }, client.ErrDeviceList, client.NoticeListRolledBack},
		"a device that nobody signed": {func(bob, _, _ *puppet) [][]byte {
			return append(slices.Clip(bob.chain), flipped(bob.after(2, with(bob.device("spy")))))
		}, client.ErrRefused, ""},
		"a device that another account signed": {func(bob, _, other *puppet) [][]byte {
			return append(slices.Clip(bob.chain), other.chain[0])
		}, client.ErrRefused, ""},
		"a device's place taken": {func(bob, _, _ *puppet) [][]byte {
			return append(slices.Clip(bob.chain), bob.after(2, func(l *devicelist.List) { l.Devices[1] = bob.device("second") }))
		}, client.ErrRefused, ""},
		"a device hidden": {func(bob, _, _ *puppet) [][]byte {
			return append(slices.Clip(bob.chain), bob.after(2, func(l *devicelist.List) { l.Devices = l.Devices[:1] }))
		}, client.ErrRefused, ""},
		"a gap": {func(bob, _, _ *puppet) [][]byte {
			ahead := *bob
			ahead.add(bob.after(2, with(bob.device("third"))))
			return [][]byte{ahead.chain[0], ahead.chain[2]}
		}, client.ErrRefused, ""},
		"somebody else's list": {func(_, carol, _ *puppet) [][]byte { return carol.chain }, client.ErrRefused, ""},
		"garbage":              {func(_, _, _ *puppet) [][]byte { return [][]byte{{1}, {2}, {3}} }, client.ErrRefused, ""},
		"nothing new for ever": {func(bob, _, _ *puppet) [][]byte { return bob.chain }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, waiting := viewOf(t, alice, "bob"), bob.mailbox()
			chain := c.chain(bob, carol, other)
			for n := range 4 { // asked for, then told
				l.lies(chains("bob", chain))
				if n > 1 {
					l.lies(staleWith("bob", false, 2, chain))
				}
				_, err := alice.Send(ctx(t), "bob", "lied to", client.SendOptions{Refresh: n < 2})
				if c.err == nil && err != nil || !errors.Is(err, c.err) {
					t.Errorf("send %d: %v, want %v", n, err, c.err)
				}
			}
			got := viewOf(t, alice, "bob")
			want := before.notices
			if c.notice != "" {
				want = append(slices.Clip(want), c.notice)
			}
			if !slices.Equal(got.notices, want) {
				t.Errorf("alice is told %q, want %q", got.notices, want)
			}
			got.notices, got.texts = first.notices, first.texts
			if !reflect.DeepEqual(got, first) {
				t.Errorf("bob is shown as %+v, was %+v", got, first)
			}
			l.lies(nil)
			send(t, alice, "bob", "after")
			if n := bob.mailbox(); n[0] != n[1] || n[0] <= waiting[0] {
				t.Errorf("%d messages wait for bob's devices", n)
			}
		})
	}
}
