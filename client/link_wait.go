package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/linking"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
)

// linkPatience bounds how long two devices that have met take over the rest.
const linkPatience = 2 * time.Minute

// meeting is where a new device waits for the other one.
type meeting interface {
	// place is what the URI says of it.
	place() linking.Meet
	// next returns the next connection that has greeted rightly.
	next(ctx context.Context) (guest, error)
	close()
}

// guest is a connection that has greeted.
type guest struct {
	linking.Greeting
	until func(time.Time) // sets when the connection ends by itself
}

// wait shows the URI and answers whoever comes until the device is in the
// account or the time is over.
func (j *joining) wait(ctx context.Context) error {
	w, err := j.keys()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.Expires().Sub(j.now()), ErrLinkExpired)
	defer cancel()
	m, err := j.meet(ctx, w)
	if err != nil {
		return err
	}
	defer m.close()
	l, err := w.Link(m.place())
	if err != nil {
		return linkError(err)
	}
	if j.req.Show != nil {
		j.req.Show(offerOf(l))
	}
	j.steps.done("shown")
	for {
		g, err := m.next(ctx)
		if err == nil {
			g.until(time.Now().Add(linkPatience))
			err = j.join(ctx, w, g.Greeting)
			g.Close()
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(context.Cause(ctx), ErrLinkExpired) && !j.told:
			return ErrLinkExpired
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err)
		case !errors.Is(err, errAfresh):
			return err
		}
	}
}

// join lets the device at the other end take this one into its account. With
// errAfresh it came to nothing and the device goes on waiting: whatever was
// stored of it is erased with the next attempt, or when the home is opened for
// the next link (R-LNK-07).
func (j *joining) join(ctx context.Context, w *linking.Waiting, g linking.Greeting) error {
	stop := context.AfterFunc(ctx, func() { g.Close() })
	defer stop()
	part, err := j.begin(ctx, w, &g)
	if err != nil {
		return err
	}
	j.steps.done("stored")
	if err := g.Send(&part); err != nil {
		return errAfresh
	}
	j.steps.done("joined")
	list, chain := g.List, slices.Clip(g.Chain)
	for range maxListTries {
		var e linking.Entry
		switch err, refused := g.Receive(&e), new(linking.Refusal); {
		case errors.As(err, &refused) && refused.Reason == linking.Full:
			return ErrTooManyDevices
		case err != nil:
			return errAfresh
		}
		next, err := w.Accept(list, e, part)
		if err != nil {
			g.Send(&linking.Refusal{Reason: linking.Failed})
			return errAfresh
		}
		for _, lacking := range e.Lacking {
			if list, err = devicelist.Extend(list, lacking); err != nil {
				return errAfresh
			}
			chain = append(chain, lacking)
		}
		if next.Version != list.Version+1 || len(chain) >= MaxChain {
			return errAfresh
		}
		if err := j.take(ctx, append(slices.Clip(chain), e.Entry)); err != nil {
			return err
		}
		j.steps.done("taken")
		result, err := j.submit(ctx)
		j.steps.done("submitted")
		switch {
		case err != nil:
			g.Send(&linking.Refusal{Reason: reasonOf(err)})
			return err
		case result == linking.Conflict:
			if err := j.void(ctx); err != nil {
				return err
			}
			if err := g.Send(&linking.Outcome{Result: result}); err != nil {
				return errAfresh
			}
			continue
		}
		if err := j.registered(ctx); err != nil {
			return err
		}
		j.steps.done("registered")
		// Who does not hear of it finds the device in its list.
		g.Send(&linking.Outcome{Result: linking.Done})
		return nil
	}
	g.Send(&linking.Refusal{Reason: linking.Failed})
	return errAfresh
}

func reasonOf(err error) linking.Reason {
	if errors.Is(err, ErrRefused) {
		return linking.Rejected
	}
	return linking.Unreachable
}

// begin draws the rest of the device's keys for the account and makes all of
// them durable before anybody hears of them.
func (j *joining) begin(ctx context.Context, w *linking.Waiting, g *linking.Greeting) (linking.Join, error) {
	if j.old != nil {
		return j.beginRelink(ctx, w, g)
	}
	key := w.DH.Export()
	created := g.List.Time
	if first, err := devicelist.Verify(g.Chain[0]); err == nil {
		created = first.Time
	}
	j.record = accountRecord{
		Version: 1, Address: g.List.Address.String(), Device: uint64(address.NewDevice()), DeviceName: j.req.DeviceName,
		SignKey: w.Sign.Seed(), DHKey: bytes.Clone(key[:]), Host: g.Host, Pin: g.Pin, Created: created,
		Chain: g.Chain, Account: bytes.Clone(g.List.Account),
	}
	j.mark = linkRecord{Device: j.record.Device, From: uint64(g.Device), History: g.History}
	j.told = false
	up, private := prekeys.Generate(j.now(), prekeys.Owner{Account: ed25519.PublicKey(j.record.Account), Device: j.record.Device}, w.Sign)
	j.record.Upload = up.Bytes()
	digest := up.Digest()
	err := storeError(j.vault.Update(ctx, func(tx *vault.Tx) error {
		if err := erasePending(tx); err != nil {
			return err
		}
		if err := tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(j.record)); err != nil {
			return err
		}
		if err := tx.Put(tableMeta, metaLink, nil, 0, codec.Marshal(j.mark)); err != nil {
			return err
		}
		return storePrekeys(tx, private, prekeyRecord{Digest: digest[:], Left: prekeys.OneTimeKeys})
	}))
	return w.Join(g.List, address.Device(j.record.Device), j.req.DeviceName, capabilities()), err
}

// take makes the entry durable that lets this device in: from here on the
// server may have heard of it.
func (j *joining) take(ctx context.Context, chain [][]byte) error {
	j.record.Chain, j.mark.Entry, j.told = chain, true, true
	return j.writeMark(ctx)
}

// void notes that the entry can never be used.
func (j *joining) void(ctx context.Context) error {
	j.mark.Entry, j.told = false, false
	return j.writeMark(ctx)
}

func (j *joining) writeMark(ctx context.Context) error {
	return storeError(j.vault.Update(ctx, func(tx *vault.Tx) error {
		if err := tx.Put(tableMeta, metaLink, nil, 0, codec.Marshal(j.mark)); err != nil {
			return err
		}
		if j.old != nil {
			return j.old.keep(tx, j.record)
		}
		return tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(j.record))
	}))
}

// keys draws the keys of the offer; those of the device itself may be there.
func (j *joining) keys() (*linking.Waiting, error) {
	if j.old != nil {
		return j.old.waiting(j.now())
	}
	return linking.New(j.now())
}

// meet opens the place where the other device is to come.
func (j *joining) meet(ctx context.Context, w *linking.Waiting) (meeting, error) {
	if j.at.Host == "" {
		return listen(ctx, j.req.Listen, w, j.now)
	}
	return knock(ctx, j.at, w, j.now)
}
