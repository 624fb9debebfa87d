package devicelist

import (
	"bytes"
)

// Extend verifies entry and that it is the next version after prev (R-IDN-10):
// version one higher, prev's hash inside, the same account key and address,
// every device still there at its place with its keys, none back from revoked,
// and not dated earlier. prev is a value that Verify, Extend, VerifyChain or
// Advance returned.
func Extend(prev List, entry []byte) (List, error) {
	l, err := verify(entry, &prev)
	if err != nil {
		return List{}, err
	}
	switch {
	case !l.Account.Equal(prev.Account):
		return List{}, ErrAccount
	case l.Address != prev.Address:
		return List{}, ErrAddress
	case l.Version < prev.Version:
		return List{}, ErrRollback
	case l.Version == prev.Version && l.hash != prev.hash:
		return List{}, ErrFork
	case l.Version != prev.Version+1:
		return List{}, ErrNotExtending
	case l.Prev != prev.hash:
		return List{}, ErrFork
	case l.Time < prev.Time:
		return List{}, ErrTime
	case len(l.Devices) < len(prev.Devices):
		return List{}, ErrNotExtending
	}
	for i := range l.Devices {
		d := &l.Devices[i]
		if i >= len(prev.Devices) {
			if d.Status != Active {
				return List{}, ErrNotExtending
			}
			continue
		}
		p := &prev.Devices[i] // R-IDN-04: a revoked device stays revoked
		if !sameDevice(p, d) || (p.Status == Revoked && d.Status != Revoked) {
			return List{}, ErrNotExtending
		}
	}
	return l, nil
}

// sameDevice compares all that may not change of a device, its proof included.
func sameDevice(a, b *Device) bool {
	return a.ID == b.ID && a.DH == b.DH && a.AddedAt == b.AddedAt &&
		bytes.Equal(a.Sign, b.Sign) && bytes.Equal(a.Proof, b.Proof)
}

// VerifyChain verifies an account's whole history, from version 1 on, and
// returns its latest list. Which account it is, the caller compares with what
// it pinned.
func VerifyChain(entries [][]byte) (List, error) {
	if len(entries) == 0 {
		return List{}, ErrMalformed
	}
	if len(entries) > MaxChain {
		return List{}, ErrLimit
	}
	l, err := Verify(entries[0])
	if err != nil {
		return List{}, err
	}
	if l.Version != 1 {
		return List{}, ErrNotExtending
	}
	for _, e := range entries[1:] {
		if l, err = Extend(l, e); err != nil {
			return List{}, err
		}
	}
	return l, nil
}

// Advance brings a held list up to date with an account's whole history as a
// server tells it (R-IDN-13): the history must be that of the same account and
// address, reach at least the version held, and hold the very same entry at
// that version. Without news the list held comes back.
func Advance(held List, entries [][]byte) (List, error) {
	if len(entries) == 0 || uint64(len(entries)) < held.Version {
		return List{}, ErrRollback
	}
	if len(entries) > MaxChain {
		return List{}, ErrLimit
	}
	if Hash(entries[held.Version-1]) != held.hash {
		l, err := VerifyChain(entries)
		switch {
		case err != nil:
			return List{}, err
		case !l.Account.Equal(held.Account):
			return List{}, ErrAccount
		case l.Address != held.Address:
			return List{}, ErrAddress
		}
		return List{}, ErrFork
	}
	l, err := held, error(nil)
	for _, e := range entries[held.Version:] {
		if l, err = Extend(l, e); err != nil {
			return List{}, err
		}
	}
	return l, nil
}
