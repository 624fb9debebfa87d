package client

import (
	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/vault"
)

// tableGroupStrange holds of which groups that are not known here somebody has
// handed out keys; by group id and person, group: person, order: first seen.
var tableGroupStrange = vault.Table{Name: "groupstrange"}

// MaxStrangeGroups is of how many groups that this device is not in it keeps the
// keys that one person hands out.
const MaxStrangeGroups = 32

// roomForStrange makes room for keys of a group that is not known here: it is
// told of before this device is in it, but whoever makes up groups gets no more
// than their share, and loses their own oldest.
func (w *work) roomForStrange(k peerKey, id groups.ID) error {
	g, err := getGroup(w.tx, id)
	if err != nil || g != nil && !g.Out {
		return err
	}
	who := []byte(k.address)
	key := append(append([]byte(nil), id[:]...), who...)
	if _, known, err := w.tx.Get(tableGroupStrange, key); err != nil || known {
		return err
	}
	n, err := w.tx.Count(tableGroupStrange, who)
	if err != nil {
		return err
	}
	if n >= MaxStrangeGroups {
		if err := w.forgetStrange(k); err != nil {
			return err
		}
	}
	return w.tx.Put(tableGroupStrange, key, who, w.e.nextOrder(), id[:])
}

// forgetStrange drops the oldest of a person's groups, with what they have handed
// out of it if it is still not known.
func (w *work) forgetStrange(k peerKey) error {
	var key, id []byte
	err := w.tx.Scan(tableGroupStrange, []byte(k.address), firstOrder, lastOrder, 1, false, func(row vault.Row) error {
		key, id = row.Key, row.Value
		return nil
	})
	if err != nil || len(id) != len(groups.ID{}) {
		return err
	}
	if _, err := w.tx.Delete(tableGroupStrange, key); err != nil {
		return err
	}
	g, err := getGroup(w.tx, groups.ID(id))
	if err != nil || g != nil && !g.Out {
		return err
	}
	err = deleteSome(w.tx, tableGroupKey, id, func(row vault.Row) (bool, error) {
		c, err := decodeRecord[candidateRecord](row.Value)
		return c.From == k.address, err
	})
	if err != nil {
		return err
	}
	return deleteSome(w.tx, tableChain, id, func(row vault.Row) (bool, error) {
		c, err := decodeRecord[chainRecord](row.Value)
		if c.From != k.address {
			return false, err
		}
		delete(w.chains, groups.ChainID(row.Key))
		return true, err
	})
}
