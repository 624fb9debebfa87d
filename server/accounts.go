package server

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// record is what Account.Record encodes: the device-list chain as it was
// signed, and for each device what its last prekey upload left beside the
// one-time keys. It holds nothing of the server's, so that repeating a
// registration gives the same bytes.
type record struct {
	Entries [][]byte        `cbor:"1,keyasint"`
	Devices []devicePrekeys `cbor:"2,keyasint"`
}

type devicePrekeys struct {
	_          struct{} `cbor:",toarray"`
	Device     address.Device
	Digest     [32]byte // of the upload
	Signed     []byte
	LastResort []byte
}

// account is a decoded record. It is never changed: a change makes another.
type account struct {
	user    string
	version Version
	rec     record
	list    devicelist.List // the last entry
	active  []address.Device
	loaded  time.Time
}

func decodeAccount(a Account) (*account, error) {
	out := &account{user: a.User, version: a.Version}
	if err := codec.Unmarshal(a.Record, MaxRecord, &out.rec); err != nil || len(out.rec.Entries) == 0 {
		return nil, ErrDamaged
	}
	var err error
	if out.list, err = devicelist.Verify(out.rec.Entries[len(out.rec.Entries)-1]); err != nil {
		return nil, ErrDamaged
	}
	for _, d := range out.list.Active() {
		out.active = append(out.active, d.ID)
	}
	return out, nil
}

// prekeysOf returns what is held for a device, nil when it uploaded nothing.
func (a *account) prekeysOf(dev address.Device) *devicePrekeys {
	for i := range a.rec.Devices {
		if a.rec.Devices[i].Device == dev {
			return &a.rec.Devices[i]
		}
	}
	return nil
}

func (a *account) isActive(dev address.Device) bool { return slices.Contains(a.active, dev) }

// cacheLife is how long a decoded account is used without asking the
// directory, which other servers may write to as well.
const cacheLife = 5 * time.Second

// accounts reads accounts through a bounded cache.
type accounts struct {
	dir  Directory
	size int

	mu   sync.Mutex
	by   map[string]*list.Element
	used list.List // of *account, most recent in front
}

func newAccounts(dir Directory, size int) *accounts {
	return &accounts{dir: dir, size: max(size, 1), by: make(map[string]*list.Element)}
}

// recent returns an account as it was at most cacheLife ago.
func (c *accounts) recent(ctx context.Context, user string) (*account, error) {
	c.mu.Lock()
	if e, ok := c.by[user]; ok {
		a := e.Value.(*account)
		if time.Since(a.loaded) < cacheLife {
			c.used.MoveToFront(e)
			c.mu.Unlock()
			return a, nil
		}
	}
	c.mu.Unlock()
	return c.fresh(ctx, user)
}

// fresh returns an account as it is.
func (c *accounts) fresh(ctx context.Context, user string) (*account, error) {
	began := time.Now()
	stored, err := c.dir.Account(ctx, user)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			c.drop(user)
		}
		return nil, err
	}
	a := c.at(user, stored.Version)
	if a == nil {
		if a, err = decodeAccount(stored); err != nil {
			return nil, err
		}
	}
	a = a.asOf(began)
	c.keep(a)
	return a, nil
}

// at returns the cached account if it has that version: verifying a device list
// costs more than everything else that is done with it.
func (c *accounts) at(user string, v Version) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[user]; ok {
		if a := e.Value.(*account); a.version == v {
			return a
		}
	}
	return nil
}

// asOf returns a as it was still true at t.
func (a *account) asOf(t time.Time) *account {
	b := *a
	b.loaded = t
	return &b
}

// keep puts a into the cache unless something newer is there.
func (c *accounts) keep(a *account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[a.user]; ok {
		if held := e.Value.(*account); held.version <= a.version {
			e.Value = a
		}
		c.used.MoveToFront(e)
		return
	}
	if len(c.by) >= c.size {
		e := c.used.Back()
		c.used.Remove(e)
		delete(c.by, e.Value.(*account).user)
	}
	c.by[a.user] = c.used.PushFront(a)
}

func (c *accounts) drop(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[user]; ok {
		c.used.Remove(e)
		delete(c.by, user)
	}
}

// change reads an account, has edit make the change, and writes it, again if
// it moved on meanwhile. edit returns false when there is nothing to change.
func (c *accounts) change(ctx context.Context, user string, edit func(*account, *Change) (bool, error)) (*account, error) {
	var err error
	for range 5 {
		var a *account
		if a, err = c.fresh(ctx, user); err != nil {
			return nil, err
		}
		next := &account{user: user, rec: record{
			Entries: slices.Clip(a.rec.Entries),
			Devices: slices.Clone(a.rec.Devices),
		}, version: a.version, list: a.list, active: a.active, loaded: a.loaded}
		ch := Change{User: user, Old: a.version}
		changed, eerr := edit(next, &ch)
		if eerr != nil {
			return nil, eerr
		}
		if !changed {
			return a, nil
		}
		ch.Record = codec.Marshal(next.rec)
		var v Version
		if v, err = c.dir.UpdateAccount(ctx, ch); err == nil {
			next.version, next.active, next.loaded = v, nil, time.Now()
			for _, d := range next.list.Active() {
				next.active = append(next.active, d.ID)
			}
			c.keep(next)
			return next, nil
		}
		if !errors.Is(err, ErrConflict) {
			c.drop(user)
			return nil, err
		}
	}
	return nil, err
}
