package client

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"

	"github.com/pawl-chat/pawl/internal/vault"
)

// people keeps decoded contacts at hand: verifying a device list costs more
// than everything else that a message needs of its contact. A row is found by
// the hash of what is stored, so that what is at hand is never older than the
// store.
type people struct {
	mu sync.Mutex
	by map[[32]byte]*person
}

// maxDecoded bounds what is kept; beyond it the table starts afresh.
const maxDecoded = 1024

func (c *people) decode(row []byte) (*person, error) {
	key := sha256.Sum256(row)
	c.mu.Lock()
	p := c.by[key]
	c.mu.Unlock()
	if p == nil {
		r, err := decodeRecord[contactRecord](row)
		if err != nil {
			return nil, err
		}
		if p, err = r.live(); err != nil {
			return nil, err
		}
		c.mu.Lock()
		if c.by == nil || len(c.by) >= maxDecoded {
			c.by = map[[32]byte]*person{}
		}
		c.by[key] = p
		c.mu.Unlock()
	}
	own := *p // callers change the record of theirs
	return &own, nil
}

// readPerson returns a pinned contact, or nil.
func (e *engine) readPerson(tx *vault.Tx, addr string) (*person, error) {
	row, ok, err := tx.Get(tableContact, []byte(addr))
	if err != nil || !ok {
		return nil, err
	}
	return e.people.decode(row)
}

// name is what a contact can be called by.
type name struct{ address, user, alias string }

// nameList is everybody's names as of a state of the contact table.
type nameList struct {
	version uint64
	all     []name
}

// names returns what the contacts can be called by, from memory unless a
// contact has changed since.
func (e *engine) names(ctx context.Context) ([]name, error) {
	version := e.contacts.Load() // before reading: a change meanwhile makes it old
	if known := e.known.Load(); known != nil && known.version == version {
		return known.all, nil
	}
	records, err := e.contactRecords(ctx)
	if err != nil {
		return nil, err
	}
	fresh := &nameList{version: version}
	for _, c := range records {
		user, _, _ := strings.Cut(c.Address, "@")
		fresh.all = append(fresh.all, name{c.Address, user, c.Alias})
	}
	e.known.Store(fresh)
	return fresh.all, nil
}

func (e *engine) putContact(tx *vault.Tx, c contactRecord) error {
	e.contacts.Add(1)
	return putContact(tx, c)
}

func (e *engine) dropContact(tx *vault.Tx, addr string) error {
	e.contacts.Add(1)
	_, err := tx.Delete(tableContact, []byte(addr))
	return err
}
