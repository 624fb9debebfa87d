package vault

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
)

// Rekey changes what opens the store. It draws a new data key and seals every
// row anew in one transaction, then empties the log: the old passphrase, also
// together with an older copy of the file, opens nothing written afterwards.
// It takes time in proportion to the store, waits for running transactions
// and lets none run beside it. After ErrBusy the change stands, and Checkpoint
// has to be called to remove the old ciphertext.
func (v *Vault) Rekey(ctx context.Context, unlock Unlock) error {
	return v.rekey(ctx, unlock, cost{argonTime, argonMemory, argonThreads})
}

func (v *Vault) rekey(ctx context.Context, unlock Unlock, price cost) error {
	// R-VLT-15
	s, err := prepare(unlock, true)
	if err != nil {
		return err
	}
	defer s.erase()
	var master [32]byte
	rand.Read(master[:])
	defer clear(master[:])
	fresh := derive(&master)
	head := wrap(&master, s, price).encode()

	err = v.write(ctx, &v.mu, func(tx *Tx) error {
		have, err := checkSchema(tx.c)
		if err != nil {
			return err
		}
		for _, t := range have {
			if err := tx.reseal(t, fresh); err != nil {
				return err
			}
		}
		_, err = tx.c.exec(updateHeader, arg(1, head))
		if err != nil {
			return tx.fail("replacing the header", err)
		}
		return nil
	}, func() {
		v.keys = fresh
		v.remember(s)
	})
	if err != nil {
		return err
	}
	return v.Checkpoint(ctx)
}

// reseal seals every row of a table, declared or not, under other keys.
func (tx *Tx) reseal(t Table, fresh *keys) error {
	s := newSealed(t)
	last := int64(-1 << 63)
	page := make([]stored, 0, scanPage)
	for {
		if err := tx.ctx.Err(); err != nil {
			return err
		}
		page = page[:0]
		err := tx.c.query(s.page, 5, func(d []driver.Value) error {
			page = append(page, storedRow(d))
			return nil
		}, arg(1, last), arg(2, int64(scanPage)))
		if err != nil {
			return tx.fail("reading rows to seal anew", err)
		}
		for i := range page {
			r, err := page[i].open(tx.keys, t.Name)
			if err != nil {
				return err
			}
			kb := fresh.name(ofKey, t.Name, r.Key)
			gb := fresh.name(ofGroup, t.Name, r.Group)
			tx.buf = fresh.seal(tx.buf, t.Name, kb, gb, r)
			last = page[i].id
			if _, err := tx.c.exec(s.reseal, arg(1, kb[:]), arg(2, gb[:]), arg(3, tx.buf), arg(4, last)); err != nil {
				return tx.fail("sealing a row anew", err)
			}
		}
		if len(page) < scanPage {
			return nil
		}
	}
}
