package vault

import (
	"context"
	"database/sql/driver"
)

// Tx is one transaction. It is valid only within the function it was given to,
// and only for one goroutine at a time.
type Tx struct {
	v        *Vault
	c        *connection
	ctx      context.Context
	keys     *keys
	writable bool
	buf      []byte
	args     [4]driver.NamedValue
	// err is the first error of the database. The database may have rolled
	// back by itself, so everything later in this transaction fails with it.
	err error
}

// table returns the SQL of t, or why this transaction cannot go on.
func (tx *Tx) table(t Table) (*sealed, error) {
	if tx.c == nil {
		return nil, ErrClosed
	}
	if tx.err != nil {
		return nil, tx.err
	}
	if err := tx.ctx.Err(); err != nil {
		return nil, err
	}
	s, ok := tx.v.tables[t.Name]
	if !ok {
		return nil, ErrTable
	}
	return s, nil
}

// fail keeps the first error of the database.
func (tx *Tx) fail(step string, err error) error {
	if err == nil {
		return nil
	}
	err = classify(step, err)
	if tx.err == nil {
		tx.err = err
	}
	return err
}

// Put stores a row, in place of the one that has the same key.
func (tx *Tx) Put(t Table, key, group []byte, order int64, value []byte) error {
	s, err := tx.table(t)
	if err != nil {
		return err
	}
	_, err = tx.store(s.put, t, Row{key, group, order, value})
	return err
}

// Insert stores a row unless there is one of the same key, and reports whether
// it did.
func (tx *Tx) Insert(t Table, key, group []byte, order int64, value []byte) (bool, error) {
	s, err := tx.table(t)
	if err != nil {
		return false, err
	}
	n, err := tx.store(s.insert, t, Row{key, group, order, value})
	return n > 0, err
}

// store seals a row and runs one of the statements that write it.
func (tx *Tx) store(query string, t Table, r Row) (int64, error) {
	if !tx.writable {
		return 0, ErrReadOnly
	}
	if len(r.Key) > MaxKey || len(r.Group) > MaxKey || len(r.Value) > MaxValue {
		// R-VLT-14
		return 0, ErrTooLarge
	}
	kb := tx.keys.name(ofKey, t.Name, r.Key)
	gb := tx.keys.name(ofGroup, t.Name, r.Group)
	// Only ciphertext is bound: the database keeps what it was given in
	// memory that is never cleared (R-VLT-01).
	tx.buf = tx.keys.seal(tx.buf, t.Name, kb, gb, r)
	tx.args = [4]driver.NamedValue{arg(1, kb[:]), arg(2, gb[:]), arg(3, r.Order), arg(4, tx.buf)}
	n, err := tx.c.exec(query, tx.args[:]...)
	return n, tx.fail("storing a row", err)
}

// Get returns the value of a key, and whether there is one.
func (tx *Tx) Get(t Table, key []byte) ([]byte, bool, error) {
	r, ok, err := tx.Row(t, key)
	return r.Value, ok, err
}

// Row returns the whole row of a key, and whether there is one.
func (tx *Tx) Row(t Table, key []byte) (Row, bool, error) {
	s, err := tx.table(t)
	if err != nil {
		return Row{}, false, err
	}
	kb := tx.keys.name(ofKey, t.Name, key)
	var v []byte
	var gb blind
	var order int64
	found := false
	tx.args[0] = arg(1, kb[:])
	err = tx.c.query(s.get, 3, func(d []driver.Value) error {
		found = true
		g, _ := d[0].([]byte)
		if len(g) == len(gb) {
			gb = blind(g)
		}
		order, _ = d[1].(int64)
		v, _ = d[2].([]byte)
		return nil
	}, tx.args[:1]...)
	if err != nil || !found {
		return Row{}, false, tx.fail("reading a row", err)
	}
	r, err := tx.keys.open(v, t.Name, kb, gb, order)
	if err != nil || !r.named(key) {
		return Row{}, false, ErrDamaged
	}
	return r, true, nil
}

// Delete removes the row of a key and reports whether there was one.
func (tx *Tx) Delete(t Table, key []byte) (bool, error) {
	s, err := tx.table(t)
	if err != nil {
		return false, err
	}
	kb := tx.keys.name(ofKey, t.Name, key)
	n, err := tx.delete(s.del, kb)
	return n > 0, err
}

// DeleteGroup removes the rows of a group and returns how many there were.
func (tx *Tx) DeleteGroup(t Table, group []byte) (int, error) {
	s, err := tx.table(t)
	if err != nil {
		return 0, err
	}
	return tx.delete(s.delGroup, tx.keys.name(ofGroup, t.Name, group))
}

func (tx *Tx) delete(query string, name blind) (int, error) {
	if !tx.writable {
		return 0, ErrReadOnly
	}
	tx.args[0] = arg(1, name[:])
	n, err := tx.c.exec(query, tx.args[:1]...)
	return int(n), tx.fail("deleting", err)
}

// Count returns how many rows a group has, or the whole table when group is
// nil. The number is the database's: unlike everything else it is not
// authenticated.
func (tx *Tx) Count(t Table, group []byte) (int, error) {
	s, err := tx.table(t)
	if err != nil {
		return 0, err
	}
	var n int64
	take := func(d []driver.Value) error { n, _ = d[0].(int64); return nil }
	if group == nil {
		err = tx.c.query(s.count, 1, take)
	} else {
		gb := tx.keys.name(ofGroup, t.Name, group)
		err = tx.c.query(s.countGroup, 1, take, arg(1, gb[:]))
	}
	return int(n), tx.fail("counting", err)
}

// MaxOrder returns the highest order in a group, or in the whole table when
// group is nil, and whether there is any row.
func (tx *Tx) MaxOrder(t Table, group []byte) (int64, bool, error) {
	s, err := tx.table(t)
	if err != nil {
		return 0, false, err
	}
	var page []stored
	take := func(d []driver.Value) error { page = append(page, storedRow(d)); return nil }
	if group == nil {
		err = tx.c.query(s.last, 5, take)
	} else {
		gb := tx.keys.name(ofGroup, t.Name, group)
		err = tx.c.query(s.lastGroup, 5, take, arg(1, gb[:]))
	}
	if err != nil || len(page) == 0 {
		return 0, false, tx.fail("finding the last row", err)
	}
	r, err := page[0].open(tx.keys, t.Name)
	return r.Order, err == nil, err
}
