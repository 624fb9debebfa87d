package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
)

// lookup asks the server for a person's device list and holds it against what
// is pinned. It returns the contact as it then stands.
func (e *engine) lookup(ctx context.Context, l *link, addr address.Address) (*person, error) {
	defer e.contactMu.lock(addr.String())()
	if addr.Host() != e.self.address.Host() {
		return nil, fmt.Errorf("%w at this server: people on other servers cannot be reached yet", ErrUnknownRecipient)
	}
	entries, err := l.conn.Account(ctx, addr.User())
	if err != nil {
		return nil, relayError(err)
	}
	return e.takeList(ctx, addr, entries)
}

// takeList verifies a device list as a server tells it, from version 1 on,
// against what is pinned, and commits what follows: the first is pinned, an
// extension is taken and the person told what changed, one under another
// account key waits for the person, and a fork or an older list changes nothing
// but is told of (R-CLT-07). With an alarm the error is ErrDeviceList, and the
// person is returned beside it.
func (e *engine) takeList(ctx context.Context, addr address.Address, entries [][]byte) (*person, error) {
	size := 0
	for _, entry := range entries {
		size += len(entry)
	}
	if len(entries) > MaxChain || size > MaxChainBytes {
		return nil, fmt.Errorf("%w: the device list is too long", ErrRefused)
	}
	e.state.Lock()
	defer e.state.Unlock()
	var p *person
	var alarm error
	before := e.lastOrder
	err := e.update(ctx, func(tx *vault.Tx) error {
		e.lastOrder = before
		var err error
		if p, err = e.readPerson(tx, addr.String()); err != nil {
			return err
		}
		news, err := e.compare(p, addr, entries)
		if err != nil {
			return err
		}
		if alarm = news.alarm; news.next == nil {
			return nil
		}
		if err := e.putContact(tx, *news.next); err != nil {
			return err
		}
		for _, n := range news.notices {
			if err := e.putNotice(tx, addr.String(), n); err != nil {
				return err
			}
		}
		before := p
		if p, err = news.next.live(); err != nil || addr != e.self.address || before == nil {
			return err
		}
		return e.welcome(tx, before.list, p.list)
	})
	if err != nil {
		e.lastOrder = before
		return nil, err
	}
	e.changed()
	if addr == e.self.address {
		wake(e.flushKick) // what a new device is told of this account waits there
		e.allGroups()
	}
	return p, alarm
}

// notice is something to tell the person, and what it is about.
type notice struct {
	kind, about string
	by          string // who did it, in a group; empty for the conversation itself
	mine        bool   // this device did it: no news to its person
}

// listNews is what a list from the server comes to.
type listNews struct {
	next    *contactRecord // to store; nil for no change
	notices []notice
	alarm   error
}

// compare decides what a list from the server does to a person's record.
func (e *engine) compare(p *person, addr address.Address, entries [][]byte) (news listNews, err error) {
	if p == nil {
		list, err := devicelist.VerifyChain(entries)
		if err != nil {
			return news, &wrapped{ErrRefused, err}
		}
		if list.Address != addr {
			return news, fmt.Errorf("%w: the server answered with another person's device list", ErrRefused)
		}
		news.next = &contactRecord{Address: addr.String(), Chain: entries, FirstSeen: e.now().UnixMilli()}
		return news, nil
	}
	list, err := devicelist.Advance(p.list, entries)
	switch {
	case err == nil:
		if list.Version > p.list.Version {
			next := p.record
			next.Chain, next.Alarm = entries, nil
			news.next, news.notices = &next, changes(p.list, list)
		}
	case errors.Is(err, devicelist.ErrAccount) && addr != e.self.address:
		return e.otherAccount(p, addr, entries)
	case errors.Is(err, devicelist.ErrRollback):
		return e.shorter(p, addr, entries)
	case errors.Is(err, devicelist.ErrFork), errors.Is(err, devicelist.ErrAccount):
		news.raiseAlarm(p, NoticeListForked, entries)
	case errors.Is(err, devicelist.ErrAddress):
		return news, fmt.Errorf("%w: the server answered with another person's device list", ErrRefused)
	default:
		return news, &wrapped{ErrRefused, err}
	}
	return news, nil
}

// shorter decides about a list that has fewer entries than the one held: it may
// be another account's, a fork, or an older state.
func (e *engine) shorter(p *person, addr address.Address, entries [][]byte) (news listNews, err error) {
	list, err := devicelist.VerifyChain(entries)
	switch {
	case err != nil:
		return news, &wrapped{ErrRefused, err}
	case !list.Account.Equal(p.list.Account) && addr != e.self.address:
		return e.otherAccount(p, addr, entries)
	case bytes.Equal(entries[len(entries)-1], p.record.Chain[len(entries)-1]):
		news.raiseAlarm(p, NoticeListRolledBack, entries)
	default:
		news.raiseAlarm(p, NoticeListForked, entries)
	}
	return news, nil
}

// raiseAlarm tells of a contradiction once.
func (n *listNews) raiseAlarm(p *person, kind string, entries [][]byte) {
	n.alarm = ErrDeviceList
	h := sha256.New()
	h.Write([]byte(kind))
	if len(entries) > 0 {
		h.Write(entries[len(entries)-1])
	}
	if seen := h.Sum(nil); !bytes.Equal(seen, p.record.Alarm) {
		next := p.record
		next.Alarm = seen
		n.next, n.notices = &next, []notice{{kind: kind}}
	}
}

// otherAccount keeps a list under another account key until the person has
// decided.
func (e *engine) otherAccount(p *person, addr address.Address, entries [][]byte) (news listNews, err error) {
	list, err := devicelist.VerifyChain(entries)
	if err != nil {
		return news, &wrapped{ErrRefused, err}
	}
	if list.Address != addr {
		return news, fmt.Errorf("%w: the server answered with another person's device list", ErrRefused)
	}
	next := p.record
	next.Pending = entries
	if p.pending == nil || !p.pending.Account.Equal(list.Account) {
		news.next, news.notices = &next, []notice{{kind: NoticeIdentityChanged}}
	} else if len(entries) > len(p.record.Pending) {
		news.next = &next
	}
	return news, nil
}

// changes says in notices how a device list moved on (R-CLT-25).
func changes(before, now devicelist.List) (out []notice) {
	survivors := 0
	for i, d := range now.Devices {
		switch {
		case i >= len(before.Devices):
			if d.Status == devicelist.Active {
				out = append(out, notice{kind: NoticeDeviceAdded, about: described(d)})
			}
		case before.Devices[i].Status == devicelist.Active:
			if d.Status == devicelist.Revoked {
				out = append(out, notice{kind: NoticeDeviceRevoked, about: described(d)})
				continue
			}
			survivors++
			if d.Name != before.Devices[i].Name {
				out = append(out, notice{kind: NoticeDeviceRenamed, about: described(d)})
			}
		}
	}
	if survivors == 0 {
		out = slices.DeleteFunc(out, func(n notice) bool { return n.kind == NoticeDeviceRevoked })
		for i := range out {
			out[i].kind = NoticeAccountRecovered
		}
	}
	return out
}

func described(d devicelist.Device) string {
	if d.Name == "" {
		return d.ID.String()
	}
	return d.Name + " (" + d.ID.String() + ")"
}

// putNotice writes a notice into a conversation. The caller holds state.
func (e *engine) putNotice(tx *vault.Tx, conversation string, n notice) error {
	id, now := content.NewID(), e.now().UnixMilli()
	from := conversation
	if n.by != "" {
		from = n.by
	}
	return putMessage(tx, &messageRecord{
		ID: id[:], Conversation: conversation, From: from, To: e.self.record.Address,
		Kind: string(KindNotice), Notice: n.kind, Text: n.about, SentAt: now, ReceivedAt: now,
		Status: string(StatusReceived), order: e.nextOrder(), Past: n.mine,
	})
}
