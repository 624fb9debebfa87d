package sqlitestore

import (
	"bytes"
	"context"
	"database/sql/driver"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/server"
)

// accountOf reads an account in the transaction.
func accountOf(st *stmt, user string) (a server.Account, err error) {
	row, found, err := st.one(user)
	switch {
	case err != nil:
		return a, err
	case !found:
		return a, server.ErrNotFound
	}
	a = server.Account{User: user, Version: server.Version(integer(row[0])), Record: blob(row[1])}
	if sumAccount(user, integer(row[0]), a.Record) != integer(row[2]) {
		return server.Account{}, errRow
	}
	if a.Record == nil {
		a.Record = []byte{}
	}
	return a, nil
}

func weigh(record []byte, sets []server.OneTimeSet) int {
	n := len(record)
	for _, s := range sets {
		for _, k := range s.Keys {
			n += len(k.Public)
		}
	}
	return n
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return empty
	}
	return b
}

// CreateAccount implements server.Directory: account, invite and keys in one
// transaction (R-STO-04).
func (s *Store) CreateAccount(ctx context.Context, r server.Registration) error {
	if err := r.Valid(); err != nil {
		return err
	}
	return s.do(ctx, weigh(r.Record, r.OneTime), func(w *writer) error {
		switch a, err := accountOf(w.account, r.User); {
		case err == nil && a.Version == 1 && bytes.Equal(a.Record, r.Record):
			return nil
		case err == nil:
			return server.ErrExists
		case err != server.ErrNotFound:
			return err
		}
		if r.Invite != nil {
			i, err := inviteOf(w.invite, *r.Invite)
			if err != nil {
				return err
			}
			if i.Uses == 0 || i.Expires.UnixMilli() <= r.Now.UnixMilli() {
				return server.ErrInvite
			}
			left := int64(i.Uses) - 1
			if _, err := w.useInvite.exec(i.Hash[:], left, sumInvite(i.Hash[:], i.Expires.UnixMilli(), left)); err != nil {
				return err
			}
		}
		if _, err := w.addAccount.exec(r.User, orEmpty(r.Record), sumAccount(r.User, 1, r.Record)); err != nil {
			return err
		}
		return w.putSets(r.User, r.OneTime)
	})
}

// Account implements server.Directory.
func (s *Store) Account(ctx context.Context, user string) (a server.Account, err error) {
	err = s.read(ctx, func(r *reader) error {
		a, err = accountOf(r.account, user)
		return err
	})
	return a, err
}

// UpdateAccount implements server.Directory.
func (s *Store) UpdateAccount(ctx context.Context, c server.Change) (version server.Version, err error) {
	if err := c.Valid(); err != nil {
		return 0, err
	}
	err = s.do(ctx, weigh(c.Record, c.OneTime), func(w *writer) error {
		a, err := accountOf(w.account, c.User)
		if err != nil {
			return err
		}
		version = c.Old + 1
		if a.Version == version && bytes.Equal(a.Record, c.Record) {
			return nil
		}
		if a.Version != c.Old {
			return server.ErrConflict
		}
		if _, err := w.setAccount.exec(c.User, int64(version), orEmpty(c.Record), sumAccount(c.User, int64(version), c.Record)); err != nil {
			return err
		}
		for _, id := range c.Removed {
			if err := w.dropState(c.User, id); err != nil {
				return err
			}
		}
		return w.putSets(c.User, c.OneTime)
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// dropState removes the one-time prekeys and the epoch of a device.
func (w *writer) dropState(user string, id address.Device) error {
	b, err := w.box(server.Device{User: user, ID: id}, false)
	if b == nil || err != nil {
		return err
	}
	for _, kind := range []server.OneTimeKind{server.OneTimeEC, server.OneTimeKEM} {
		if _, err := w.dropOneTime.exec(b.num, int64(kind)); err != nil {
			return err
		}
	}
	_, err = w.dropEpoch.exec(b.num)
	return err
}

// putSets replaces sets of one-time prekeys whose batch is new (R-STO-06).
func (w *writer) putSets(user string, sets []server.OneTimeSet) error {
	for _, set := range sets {
		b, err := w.box(server.Device{User: user, ID: set.Device}, true)
		if err != nil {
			return err
		}
		kind := int64(set.Kind)
		n, err := w.addUpload.exec(b.num, kind, set.Batch[:])
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if _, err := w.trimUploads.exec(b.num, kind, int64(server.RememberBatches)); err != nil {
			return err
		}
		if _, err := w.dropOneTime.exec(b.num, kind); err != nil {
			return err
		}
		for _, k := range set.Keys {
			public := orEmpty(k.Public)
			if _, err := w.addOneTime.exec(b.num, kind, int64(k.ID), public, sumOneTime(server.Device{User: user, ID: set.Device}, kind, int64(k.ID), public)); err != nil {
				return err
			}
		}
	}
	return nil
}

// PutOneTime implements server.Directory.
func (s *Store) PutOneTime(ctx context.Context, user string, sets ...server.OneTimeSet) error {
	for _, set := range sets {
		if err := set.Valid(); err != nil {
			return err
		}
	}
	return s.do(ctx, weigh(nil, sets), func(w *writer) error {
		_, found, err := w.hasAccount.one(user)
		if err != nil {
			return err
		}
		if !found {
			return server.ErrNotFound
		}
		return w.putSets(user, sets)
	})
}

// TakeOneTime implements server.Directory. The keys are gone from the file
// before they are returned (R-STO-07).
func (s *Store) TakeOneTime(ctx context.Context, dev server.Device) (t server.Taken, err error) {
	err = s.do(ctx, 0, func(w *writer) error {
		t = server.Taken{}
		b, err := w.box(dev, false)
		if b == nil || err != nil {
			return err
		}
		if t.EC, err = w.takeKey(dev, b.num, server.OneTimeEC); err != nil {
			return err
		}
		t.KEM, err = w.takeKey(dev, b.num, server.OneTimeKEM)
		return err
	})
	if err != nil {
		return server.Taken{}, err
	}
	return t, nil
}

// takeKey deletes one key and returns it, passing over damaged ones.
func (w *writer) takeKey(dev server.Device, num int64, kind server.OneTimeKind) (*server.OneTimeKey, error) {
	for {
		row, found, err := w.take.one(num, int64(kind))
		if !found || err != nil {
			return nil, err
		}
		id, public := integer(row[0]), blob(row[1])
		if sumOneTime(dev, int64(kind), id, public) == integer(row[2]) {
			return &server.OneTimeKey{ID: uint64(id), Public: public}, nil
		}
	}
}

// AdvanceEpoch implements server.Directory: one small write in the batch of the
// moment (R-STO-23). A damaged row counts as none: a flipped bit does not lock a
// device out.
func (s *Store) AdvanceEpoch(ctx context.Context, dev server.Device, from, to server.Epoch) error {
	if dev.User == "" || dev.ID == 0 {
		return server.ErrInvalid
	}
	return s.do(ctx, 0, func(w *writer) error {
		_, found, err := w.hasAccount.one(dev.User)
		if err == nil && !found {
			err = server.ErrNotFound
		}
		if err != nil {
			return err
		}
		b, err := w.box(dev, false)
		if err != nil {
			return err
		}
		if b != nil {
			row, found, err := w.epoch.one(b.num)
			if err != nil {
				return err
			}
			if found {
				held := blob(row[0])
				switch {
				case len(held) != len(to) || sumEpoch(dev, held) != integer(row[1]):
				case bytes.Equal(held, to[:]):
					return nil // an earlier attempt went through
				case !bytes.Equal(held, from[:]):
					return server.ErrConflict
				}
			}
		} else if b, err = w.box(dev, true); err != nil {
			return err
		}
		_, err = w.setEpoch.exec(b.num, to[:], sumEpoch(dev, to[:]))
		return err
	})
}

// CountOneTime implements server.Directory.
func (s *Store) CountOneTime(ctx context.Context, dev server.Device) (ec, kem int, err error) {
	err = s.read(ctx, func(r *reader) error {
		return r.count.each(func(row []driver.Value) error {
			switch server.OneTimeKind(integer(row[0])) {
			case server.OneTimeEC:
				ec = int(integer(row[1]))
			case server.OneTimeKEM:
				kem = int(integer(row[1]))
			}
			return nil
		}, dev.User, int64(dev.ID))
	})
	return ec, kem, err
}

// inviteOf reads an invite.
func inviteOf(st *stmt, h server.InviteHash) (i server.Invite, err error) {
	row, found, err := st.one(h[:])
	switch {
	case err != nil:
		return i, err
	case !found:
		return i, server.ErrInvite
	case sumInvite(h[:], integer(row[0]), integer(row[1])) != integer(row[2]):
		return i, errRow
	}
	return server.Invite{Hash: h, Expires: time.UnixMilli(integer(row[0])), Uses: uint32(integer(row[1]))}, nil
}

// PutInvite implements server.Directory.
func (s *Store) PutInvite(ctx context.Context, i server.Invite) error {
	return s.do(ctx, 0, func(w *writer) error {
		expires, uses := i.Expires.UnixMilli(), int64(i.Uses)
		_, err := w.putInvite.exec(i.Hash[:], expires, uses, sumInvite(i.Hash[:], expires, uses))
		return err
	})
}

// Invite implements server.Directory.
func (s *Store) Invite(ctx context.Context, h server.InviteHash) (i server.Invite, err error) {
	err = s.read(ctx, func(r *reader) error {
		i, err = inviteOf(r.invite, h)
		return err
	})
	return i, err
}

// DropInvites implements server.Directory.
func (s *Store) DropInvites(ctx context.Context, now time.Time) error {
	return s.do(ctx, 0, func(w *writer) error {
		_, err := w.dropInvites.exec(now.UnixMilli())
		return err
	})
}

// Generation implements server.Directory.
func (s *Store) Generation(ctx context.Context) (g uint64, err error) {
	err = s.read(ctx, func(r *reader) error {
		row, found, err := r.meta.one("generation")
		if err == nil && !found {
			err = errRow
		}
		if err == nil {
			g = uint64(integer(row[0]))
		}
		return err
	})
	return g, err
}

// Restored implements server.Directory (R-STO-18). Seqs jump as well, past any that the
// lost part of the store can have given out.
func (s *Store) Restored(ctx context.Context) (g uint64, err error) {
	err = s.do(ctx, 0, func(w *writer) error {
		if _, err := w.void.exec(); err != nil {
			return err
		}
		if _, err := w.voidEpochs.exec(); err != nil {
			return err
		}
		if _, err := w.generation.exec(); err != nil {
			return err
		}
		if _, err := w.reserve.exec(w.reserved + restoredJump); err != nil {
			return err
		}
		w.reserved += restoredJump
		w.seq = w.reserved
		n, err := w.number("generation")
		g = uint64(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return g, nil
}
