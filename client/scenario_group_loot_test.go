package client

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/x3dh"
)

// loot is what a copy of a device's store gives to whoever has it.
type loot struct {
	at      int // by the archive's clock
	secrets []epochSecret
	current epochSecret // of the present epoch
	chains  []groups.Receiving
	// Of a thief's only.
	of      *device
	own     *x3dh.Own
	pairs   map[peerKey]session.Pair
	prekeys map[string][]byte
}

type epochSecret struct {
	epoch  uint64
	secret groups.Secret
}

// epoch is the newest whose secret is in the loot.
func (x *loot) epoch() (n uint64) {
	for _, s := range x.secrets {
		n = max(n, s.epoch)
	}
	return n
}

// loot copies what a device holds of the group.
func (c *crowd) loot(d *device, v *vault.Vault) {
	c.archive.mu.Lock()
	at, id := c.archive.clock, c.id
	c.archive.mu.Unlock()
	x, err := pillage(v, id, false)
	if err != nil {
		return // the process is being killed
	}
	x.at = at
	c.archive.mu.Lock()
	defer c.archive.mu.Unlock()
	c.archive.loots[d] = append(c.archive.loots[d], x)
}

// steal copies the whole store of a device.
func (c *crowd) steal(d *device) {
	d.todo <- func() {
		d.start()
		l := d.alive()
		if l == nil {
			return
		}
		l.commits.Lock() // between two transactions
		c.archive.mu.Lock()
		at := c.archive.tick()
		c.archive.mu.Unlock()
		x, err := pillage(l.vault, c.id, true)
		l.commits.Unlock()
		if err != nil || len(x.secrets) == 0 {
			return
		}
		x.at, x.of, x.own = at, d, &l.engine.self.own
		c.note("the store of %s is stolen in epoch %d", d.name(), x.epoch())
		c.archive.mu.Lock()
		c.archive.stolen = append(c.archive.stolen, x)
		c.archive.mu.Unlock()
	}
}

// pillage reads every key of the group in a store and, if whole, every session
// and prekey as well.
func pillage(v *vault.Vault, id groups.ID, whole bool) (*loot, error) {
	x := &loot{pairs: map[peerKey]session.Pair{}, prekeys: map[string][]byte{}}
	return x, v.View(context.Background(), func(tx *vault.Tx) error {
		if err := x.group(tx, id); err != nil {
			return err
		}
		if err := x.candidates(tx, id); err != nil {
			return err
		}
		err := tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[chainRecord](row.Value)
			if err != nil {
				return err
			}
			s, err := groups.ParseReceiving(r.State)
			if err == nil {
				x.chains = append(x.chains, s)
			}
			return err
		})
		if err != nil || !whole {
			return err
		}
		return x.sessions(tx)
	})
}

// group takes the secrets and own sender keys of the group's row.
func (x *loot) group(tx *vault.Tx, id groups.ID) error {
	r, err := getGroup(tx, id)
	if err != nil || r == nil {
		return err
	}
	roster, err := r.roster()
	if err != nil {
		return err
	}
	if len(r.Secret) > 0 {
		x.current = epochSecret{roster.Epoch, r.secret()}
		x.secrets = append(x.secrets, x.current)
	}
	states := [][]byte{r.Sending}
	if p := r.Pending; p != nil {
		states = append(states, p.Sending)
		if len(p.Secret) > 0 {
			x.secrets = append(x.secrets, epochSecret{roster.Epoch + 1, groups.Secret(p.Secret)})
		}
	}
	for _, b := range states {
		if len(b) == 0 {
			continue
		}
		s, err := groups.ParseSending(b)
		if err != nil {
			return err
		}
		if err := x.take(s.Key(), s.Sender()); err != nil {
			return err
		}
	}
	return nil
}

// take adds a sender key.
func (x *loot) take(k groups.ChainKey, s groups.Sender) error {
	r, err := groups.Accept(k, s)
	if err != nil {
		return fmt.Errorf("a sender key is refused: %w", err)
	}
	x.chains = append(x.chains, r)
	return nil
}

// candidates takes what was handed out for entries to come.
func (x *loot) candidates(tx *vault.Tx, id groups.ID) error {
	return tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		r, err := decodeRecord[candidateRecord](row.Value)
		if err != nil {
			return err
		}
		s, err := groups.ParseSignal(r.Signal)
		if err == nil && s.Key != nil {
			x.secrets = append(x.secrets, epochSecret{s.Key.Epoch, s.Key.Secret})
		}
		return err
	})
}

// sessions takes the pairwise sessions and the private prekeys.
func (x *loot) sessions(tx *vault.Tx) error {
	peers := map[string]bool{}
	err := tx.Scan(tableSession, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		peers[string(row.Group)] = true
		return nil
	})
	for group := range peers {
		if err != nil {
			return err
		}
		k := peerKey{group[8:], address.Device(binary.BigEndian.Uint64([]byte(group)))}
		x.pairs[k], err = loadPair(tx, k)
	}
	if err != nil {
		return err
	}
	return tx.Scan(tablePrekey, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		x.prekeys[string(row.Key)] = append([]byte(nil), row.Value...)
		return nil
	})
}
