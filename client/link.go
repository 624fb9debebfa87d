package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/linking"
	"github.com/pawl-chat/pawl/internal/owner"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/internal/vault"
)

// metaLink marks a home whose device is on its way into an account.
var metaLink = []byte("link")

// linkRecord is how far a device has come that joins an account. It goes away
// with the registration.
type linkRecord struct {
	Device  uint64 `cbor:"1,keyasint"`           // this one, of the account record it belongs to
	From    uint64 `cbor:"2,keyasint"`           // the device that lets it in
	History bool   `cbor:"3,keyasint"`           // and offers its history
	Entry   bool   `cbor:"4,keyasint,omitempty"` // the chain ends with the entry for this device
}

// ParseLink reads the URI of a waiting device and derives its short code. It
// asks nobody.
func ParseLink(uri string) (LinkOffer, error) {
	l, err := linking.ParseURI(uri)
	if err != nil {
		return LinkOffer{}, ErrLinkInvalid
	}
	return offerOf(l), nil
}

func offerOf(l linking.Link) LinkOffer {
	return LinkOffer{URI: l.URI(), Code: l.Code(), Expires: l.Expires}
}

// linkError turns the protocol's errors into the client's.
func linkError(err error) error {
	refused := new(linking.Refusal)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		switch refused.Reason {
		case linking.Full:
			return ErrTooManyDevices
		case linking.Unreachable:
			return fmt.Errorf("%w from the new device, which will try again by itself", ErrUnreachable)
		}
		return fmt.Errorf("%w: the other device gave up", ErrRefused)
	case errors.Is(err, linking.ErrExpired):
		return ErrLinkExpired
	case errors.Is(err, linking.ErrURI):
		return &wrapped{ErrLinkInvalid, err}
	case errors.Is(err, linking.ErrFull):
		return ErrTooManyDevices
	}
	for _, ours := range []error{
		linking.ErrMalformed, linking.ErrTooLong, linking.ErrOffer, linking.ErrHello, linking.ErrReplayed,
		linking.ErrAccount, linking.ErrDevice, linking.ErrEntry, linking.ErrChannel,
	} {
		if errors.Is(err, ours) {
			return &wrapped{ErrRefused, err}
		}
	}
	return err
}

// steps is told of each step of a link as it is done; tests end there.
type steps func(string)

func (s steps) done(step string) {
	if s != nil {
		s(step)
	}
}

// place is where the two devices are to meet: at a server, or nowhere but here.
func (r LinkRequest) place() (t relayclient.Target, err error) {
	switch inv, invalid := relay.ParseInvite(r.Server); {
	case r.Server == "":
		return t, nil
	case invalid == nil:
		return relayclient.Target{Host: inv.Host, Pin: inv.Pin}, nil
	}
	if a, err := address.Parse(r.Server); err == nil {
		return relayclient.Target{Host: a.Host()}, nil
	}
	host, err := address.Host(r.Server)
	if err != nil {
		return t, &wrapped{ErrInvite, err}
	}
	return relayclient.Target{Host: host}, nil
}

// Link makes cfg.Home a device of an account that another device holds. It shows
// what the person carries there, waits until that device has let this one in,
// and opens the account. Repeating a link that was cut short takes it up again
// where the server may have heard of it, and starts afresh where not
// (R-LNK-12).
func Link(ctx context.Context, cfg Config, req LinkRequest) (API, error) {
	return linkHome(ctx, cfg, req, nil)
}

func linkHome(ctx context.Context, cfg Config, req LinkRequest, s steps) (API, error) {
	at, err := req.place()
	if err != nil {
		return nil, err
	}
	if err := devicelist.CheckName(req.DeviceName); err != nil {
		return nil, &wrapped{ErrInvalidText, err}
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
	at.Dial = cfg.Dial
	j := &joining{cfg: cfg, req: req, at: at, vault: v, now: cfg.clock(), steps: s}
	if err := j.do(ctx); err != nil {
		// Keys that the server may have heard of are kept.
		if made && !j.told {
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

// joining is one link under way, on the side of the new device.
type joining struct {
	cfg   Config
	req   LinkRequest
	at    relayclient.Target
	vault *vault.Vault
	now   func() time.Time
	steps steps

	record accountRecord
	mark   linkRecord
	told   bool    // the server may have heard of this device
	old    *relink // the home has a device, whose place this one takes; nil for an empty home
}

// errAfresh: this attempt came to nothing, and nobody has heard of its keys.
var errAfresh = errors.New("client: the link starts afresh")

func (j *joining) do(ctx context.Context) error {
	err := j.resume(ctx)
	if !errors.Is(err, errAfresh) {
		return err
	}
	return j.wait(ctx)
}

// resume finishes an attempt that was cut short after the server may have heard
// of it (R-LNK-12). What went less far is forgotten: errAfresh.
func (j *joining) resume(ctx context.Context) error {
	if j.old != nil {
		return j.resumeRelink(ctx)
	}
	self, err := readSelf(j.vault)
	if errors.Is(err, ErrNotRegistered) {
		return errAfresh
	}
	if err != nil {
		return err
	}
	if self.record.Registered {
		return ErrAlreadyHere
	}
	var mark linkRecord
	var linked, restoring bool
	err = storeError(j.vault.View(ctx, func(tx *vault.Tx) error {
		if mark, linked, err = getRecord[linkRecord](tx, tableMeta, metaLink); err != nil {
			return err
		}
		_, restoring, err = tx.Get(tableMeta, metaRestore)
		return err
	}))
	switch {
	case err != nil:
		return err
	case restoring:
		return ErrAlreadyHere // a restore is to be repeated
	case !linked || mark.Device != self.record.Device || !mark.Entry:
		return j.forget(ctx)
	}
	j.record, j.mark = self.record, mark
	return j.repeat(ctx)
}

// repeat hands in an entry again of which nobody here knows what became.
func (j *joining) repeat(ctx context.Context) error {
	j.told = true
	switch result, err := j.submit(ctx); {
	case err != nil:
		return err
	case result == linking.Done:
		return j.registered(ctx)
	}
	return j.forget(ctx)
}

// forget erases keys that are of no use, and says to start afresh.
func (j *joining) forget(ctx context.Context) error {
	j.told = false
	err := storeError(j.vault.Update(ctx, func(tx *vault.Tx) error {
		if j.old != nil {
			_, err := tx.Delete(tableMeta, metaLink)
			return err
		}
		return erasePending(tx)
	}))
	if err != nil {
		return err
	}
	return errAfresh
}

// erasePending removes an account that is not registered, with its prekeys.
func erasePending(tx *vault.Tx) error {
	var keys [][]byte
	err := tx.Scan(tablePrekey, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
		keys = append(keys, r.Key)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			_, err = tx.Delete(tablePrekey, key)
		}
	}
	for _, key := range [][]byte{metaAccount, metaLink, metaPrekeys} {
		if err == nil {
			_, err = tx.Delete(tableMeta, key)
		}
	}
	return err
}

// submit hands the entry at the end of the chain to the server, together with
// the prekeys: both are there afterwards, or neither. It may be repeated.
func (j *joining) submit(ctx context.Context) (linking.Result, error) {
	self, err := j.record.live()
	if err != nil {
		return 0, err
	}
	last := len(j.record.Chain) - 1
	entry := j.record.Chain[last]
	lacking, err := relayclient.Recover(ctx, self.target(j.cfg.Dial), relay.RecoverRequest{Entry: entry, Upload: j.record.Upload})
	if err == nil {
		return linking.Done, nil
	}
	if !errors.Is(err, relay.Conflict) {
		err = relayError(err)
		j.told = !settledRefusal(err) && !errors.Is(err, ErrRevoked)
		if errors.Is(err, ErrRevoked) { // the server's word for no such account
			err = fmt.Errorf("%w: it does not have this account under this key", ErrRefused)
		}
		return 0, err
	}
	if len(lacking) == 0 || string(lacking[0]) != string(entry) {
		j.told = false
		return linking.Conflict, nil // another entry has taken its place: this one is void
	}
	// It was let in by an earlier attempt, and the list has moved on since.
	list, err := devicelist.VerifyChain(j.record.Chain)
	if err != nil {
		return 0, ErrStoreDamaged
	}
	for _, e := range lacking[1:] {
		if list, err = devicelist.Extend(list, e); err != nil {
			return 0, &wrapped{ErrDeviceList, err}
		}
		j.record.Chain = append(j.record.Chain, e)
	}
	if d, ok := list.Device(self.device); !ok || d.Status != devicelist.Active {
		return 0, ErrRevoked
	}
	return linking.Done, nil
}

// registered makes this device one of the account.
func (j *joining) registered(ctx context.Context) error {
	if j.old != nil {
		return nil // the home becomes this device in the last step of the relink
	}
	j.record.Registered, j.record.Upload = true, nil
	return storeError(j.vault.Update(ctx, func(tx *vault.Tx) error {
		if _, err := tx.Delete(tableMeta, metaLink); err != nil {
			return err
		}
		if j.mark.History {
			if err := expectHistory(tx, address.Device(j.mark.From)); err != nil {
				return err
			}
		}
		return tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(j.record))
	}))
}
