package server

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/relay"
)

// fanWorkers is how many users' mailboxes one message to a group is written to
// at a time, maxFan how many all of them together: what a store commits at once.
const (
	fanWorkers = 64
	maxFan     = 512
)

// sendGroup stores one body for every device of an audience and returns when
// that is durable (R-REL-45). It counts as sent at the moment when the log is
// looked at: what is placed in it afterwards comes after this message.
func (c *conn) sendGroup(own *account, body []byte) ([]byte, error) {
	var req relay.GroupSendRequest
	if err := relay.Decode(body, &req); err != nil {
		return nil, err
	}
	if req.TooLarge() {
		return nil, relay.Refuse(relay.TooLarge)
	}
	now := c.s.now()
	if err := c.s.limits.sendRequester.take(c.dev.User, 1, now); err != nil {
		return nil, err
	}
	_, st, err := c.s.conf.Directory.ReadGroup(c.s.store, req.Group, groupToken(req.Token), relay.MaxGroupEntries, 0, 0)
	if err != nil {
		return nil, err
	}
	if st.Ended || st.Seq != req.Seq || st.Head != req.Head { // R-REL-46
		return (&relay.GroupSendAnswer{Stale: &relay.GroupStale{Seq: st.Seq, Head: st.Head}}).Body(), nil
	}
	audience, err := c.audience(&req)
	if err != nil {
		return nil, err
	}
	if err := c.afford(audience, len(req.Body), now); err != nil {
		return nil, err
	}
	lists, err := c.moved(own, audience)
	if err != nil {
		return nil, err
	}
	if len(lists) > 0 { // R-REL-48
		return (&relay.GroupSendAnswer{Lists: lists}).Body(), nil
	}
	f := fanOut{c: c, members: audience.Members(), like: Envelope{ID: storedID(c.dev, req.ID), At: now, Body: req.Body}}
	if req.TTL > 0 {
		f.like.Expires = now.Add(time.Duration(req.TTL) * time.Second)
	}
	full, err := f.run()
	if err != nil {
		return nil, err
	}
	return (&relay.GroupSendAnswer{Full: full}).Body(), nil
}

// audience returns the audience of a message: the one that came along, or the
// one that is held under its hash (R-REL-47).
func (c *conn) audience(req *relay.GroupSendRequest) (*relay.Audience, error) {
	if len(req.Audience) == 0 {
		a := c.s.audiences.find(audienceName{req.Group, req.Hash})
		if a == nil {
			return nil, relay.Refuse(relay.NeedAudience)
		}
		return a, nil
	}
	a, err := relay.ParseAudience(req.Audience)
	if err != nil {
		return nil, err
	}
	if a.Hash != req.Hash {
		return nil, relay.ErrMalformed
	}
	c.s.audiences.keep(req.Group, a)
	return a, nil
}

// afford holds a message against what its sender may have copied for groups:
// copies, bytes, and messages for each pair of accounts (R-REL-50).
func (c *conn) afford(a *relay.Audience, size int, now time.Time) error {
	copies := weightOf(a) - len(a.Members())
	if err := c.s.limits.groupCopies.take(c.dev.User, copies, now); err != nil {
		return err
	}
	if err := c.s.limits.groupBytes.take(c.dev.User, copies*size, now); err != nil {
		return err
	}
	for i := range a.Members() {
		if err := c.s.limits.groupPair.take([2]string{c.dev.User, a.Members()[i].User}, 1, now); err != nil {
			return err
		}
	}
	return nil
}

// moved returns the users whose device list is not the one that the audience
// was made of, in ascending order. Nobody is told of a list that was only at
// hand and not read from the store (R-REL-48).
func (c *conn) moved(own *account, audience *relay.Audience) ([]string, error) {
	var lists []string
	for i := range audience.Members() {
		m := &audience.Members()[i]
		a, err := own, error(nil)
		if m.User != c.dev.User {
			a, err = c.s.accounts.recent(c.s.store, m.User)
		}
		if err == nil && !c.covers(a, m) {
			a, err = c.s.accounts.fresh(c.s.store, m.User)
		}
		switch {
		case errors.Is(err, ErrNotFound): // whoever it was, there is no such list
			lists = append(lists, m.User)
		case err != nil:
			return nil, err
		case m.User == c.dev.User && !a.isActive(c.dev.ID):
			return nil, relay.Refuse(relay.Unauthorized)
		case !c.covers(a, m):
			lists = append(lists, m.User)
		}
	}
	return lists, nil
}

// covers reports whether m is the present version of a's list and names its
// active devices, less the sending one.
func (c *conn) covers(a *account, m *relay.GroupAudience) bool {
	if m.Version != a.list.Version {
		return false
	}
	want := len(a.active)
	for _, d := range m.Devices {
		if !a.isActive(d) || d == c.dev.ID && a.user == c.dev.User {
			return false
		}
	}
	if a.user == c.dev.User {
		want--
	}
	return len(m.Devices) == want
}

// fanOut copies one message into many mailboxes. Each user's devices are
// written in one step; what one user's mailboxes refuse does not concern the
// others. A repetition under the same id finds what was written before and
// adds the rest, also when the server has died in between (R-REL-45).
type fanOut struct {
	c       *conn
	members []relay.GroupAudience
	like    Envelope // but for the device
	next    atomic.Int64

	mu     sync.Mutex
	full   []relay.GroupFull
	stored bool  // somebody has got it
	failed error // the first failure that is not a full mailbox
}

// run returns who was left out for want of room (R-REL-49).
func (f *fanOut) run() ([]relay.GroupFull, error) {
	var all sync.WaitGroup
	for range min(fanWorkers, len(f.members)) {
		f.c.s.fan <- struct{}{}
		all.Go(func() {
			defer func() { <-f.c.s.fan }()
			f.work()
		})
	}
	all.Wait()
	switch {
	case f.failed != nil:
		return nil, f.failed
	case !f.stored && len(f.full) > 0:
		return nil, ErrFull
	}
	return f.full, nil
}

// work takes one user after another until none is left.
func (f *fanOut) work() {
	for {
		i := int(f.next.Add(1)) - 1
		if i >= len(f.members) {
			return
		}
		full, stored, err := f.store(&f.members[i])
		f.mu.Lock()
		f.stored = f.stored || stored
		if len(full) > 0 {
			f.full = append(f.full, relay.GroupFull{User: f.members[i].User, Devices: full})
		}
		if f.failed == nil {
			f.failed = err
		}
		done := f.failed != nil
		f.mu.Unlock()
		if done {
			return
		}
	}
}

// store writes the copies for one user: all at once or, when a mailbox has no
// room or is gone, each alone. A device that is removed meanwhile is passed
// over: it never receives again.
func (f *fanOut) store(m *relay.GroupAudience) (full []address.Device, stored bool, err error) {
	envelopes := make([]Envelope, 0, len(m.Devices))
	for _, d := range m.Devices {
		e := f.like
		e.Device = Device{User: m.User, ID: d}
		// A device that is being flooded is left out as one without room is: it
		// must not hold up the others.
		if f.c.s.limits.sendBytes.take(e.Device, len(e.Body), e.At) != nil {
			full = append(full, d)
			continue
		}
		envelopes = append(envelopes, e)
	}
	if len(envelopes) == 0 {
		return full, false, nil
	}
	_, err = f.c.s.conf.Mailbox.Append(f.c.s.store, envelopes)
	if err == nil {
		return full, true, nil
	}
	if !errors.Is(err, ErrFull) && !errors.Is(err, ErrRemoved) {
		return nil, false, err
	}
	for i := range envelopes {
		_, err := f.c.s.conf.Mailbox.Append(f.c.s.store, envelopes[i:i+1])
		switch {
		case err == nil:
			stored = true
		case errors.Is(err, ErrFull):
			full = append(full, envelopes[i].Device.ID)
		case !errors.Is(err, ErrRemoved):
			return full, stored, err
		}
	}
	return full, stored, nil
}
