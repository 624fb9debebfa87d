package server

import (
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/prekeys"
)

// putPrekeys stores an upload of the requesting device. Repeating it changes
// nothing (R-REL-11).
func (c *conn) putPrekeys(body []byte) error {
	var req relay.PutPrekeysRequest
	if err := relay.Decode(body, &req); err != nil {
		return err
	}
	now := c.s.now()
	if err := c.s.limits.upload.take(c.dev, 1, now); err != nil {
		return err
	}
	upload, err := prekeys.ParseUpload(req.Upload)
	if err != nil {
		return err
	}
	row := prekeysRow(c.dev.ID, &upload)
	verified := false
	_, err = c.s.accounts.change(c.s.store, c.dev.User, func(a *account, ch *Change) (bool, error) {
		if !a.isActive(c.dev.ID) {
			return false, relay.Refuse(relay.Unauthorized)
		}
		held := a.prekeysOf(c.dev.ID)
		if held != nil && held.Digest == row.Digest {
			return false, nil
		}
		if !verified {
			d, _ := a.list.Device(c.dev.ID)
			if err := upload.Verify(prekeys.Owner{Account: a.list.Account, Device: uint64(d.ID)}, d.Sign, now); err != nil {
				return false, err
			}
			verified = true
		}
		if held != nil {
			*held = row
		} else {
			a.rec.Devices = append(a.rec.Devices, row)
		}
		ch.OneTime = oneTimeSets(c.dev.ID, &upload)
		return true, nil
	})
	return err
}

// prekeyStatus tells a device what is held for it, so that both sides notice
// when they disagree.
func (c *conn) prekeyStatus(body []byte) ([]byte, error) {
	if len(body) != 0 {
		return nil, relay.ErrMalformed
	}
	if err := c.s.limits.lookup.take(c.dev.User, 1, c.s.now()); err != nil {
		return nil, err
	}
	a, err := c.s.accounts.fresh(c.s.store, c.dev.User)
	if err != nil {
		return nil, err
	}
	ec, kem, err := c.s.conf.Directory.CountOneTime(c.s.store, c.dev)
	if err != nil {
		return nil, err
	}
	status := relay.PrekeyStatus{EC: uint64(ec), KEM: uint64(kem)}
	if held := a.prekeysOf(c.dev.ID); held != nil {
		status.Digest = held.Digest
	}
	return codec.Marshal(&status), nil
}

// takeBundle hands out one device's bundle. Each one-time key goes out at most
// once: the store's deletion decides (R-REL-12). Without one, the bundle has
// the last-resort key.
func (c *conn) takeBundle(body []byte) ([]byte, error) {
	var req relay.TakeBundleRequest
	if err := relay.Decode(body, &req); err != nil {
		return nil, err
	}
	target := Device{User: req.User, ID: req.Device}
	if err := c.mayTake(target); err != nil {
		return nil, err
	}
	a, err := c.s.accounts.recent(c.s.store, req.User)
	if err != nil {
		return nil, err
	}
	held := a.prekeysOf(req.Device)
	if held == nil || !a.isActive(req.Device) {
		return nil, ErrNotFound
	}
	taken, err := c.s.conf.Directory.TakeOneTime(c.s.store, target)
	if err != nil {
		return nil, err
	}
	var ec, kem []byte
	if taken.EC != nil {
		ec = taken.EC.Public
	}
	if taken.KEM != nil {
		kem = taken.KEM.Public
	}
	return codec.Marshal(&relay.TakeBundleResult{
		Bundle: prekeys.AssembleBundle(held.Signed, held.LastResort, ec, kem),
	}), nil
}

// mayTake holds a take to its limits before anything is looked up, so that a
// refusal says nothing about the target. Draining a victim's one-time keys is
// a known attack: the limits fail closed (R-REL-13).
func (c *conn) mayTake(target Device) error {
	now := c.s.now()
	if err := c.s.limits.bundleRequester.take(c.dev.User, 1, now); err != nil {
		return err
	}
	if err := c.s.limits.bundlePair.take([2]Device{c.dev, target}, 1, now); err != nil {
		return err
	}
	return c.s.limits.bundleTarget.take(target, 1, now)
}
