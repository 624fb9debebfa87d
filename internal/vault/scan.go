package vault

import (
	"database/sql/driver"
	"math"
)

// stored is a row as the database returns it.
type stored struct {
	id    int64
	k, g  []byte
	order int64
	v     []byte
}

// storedRow takes the columns id, k, g, o, v. A column of another type, which
// a STRICT table cannot hold, becomes its zero value and fails to open.
func storedRow(d []driver.Value) (r stored) {
	r.id, _ = d[0].(int64)
	r.k, _ = d[1].([]byte)
	r.g, _ = d[2].([]byte)
	r.order, _ = d[3].(int64)
	r.v, _ = d[4].([]byte)
	return r
}

// open opens the row and checks that its names are those it is kept under.
func (r *stored) open(k *keys, table string) (Row, error) {
	if len(r.k) != len(blind{}) || len(r.g) != len(blind{}) {
		return Row{}, ErrDamaged
	}
	return k.open(r.v, table, blind(r.k), blind(r.g), r.order)
}

// Scan calls fn for each row of a group, or of the whole table when group is
// nil (an empty group that is not nil is the group of rows without one), whose
// order is between from and to, both included: in rising order, in the order
// of insertion where orders are equal, or the other way round with reverse. It
// stops after limit rows when limit is above zero. The row is fn's to keep.
//
// fn may use the transaction, also to change the rows that Scan walks over: a
// row removed before Scan comes to it may still be handed over, at most
// scanPage rows ahead. An error of fn ends the scan and is returned.
func (tx *Tx) Scan(t Table, group []byte, from, to int64, limit int, reverse bool, fn func(Row) error) error {
	s, err := tx.table(t)
	if err != nil {
		return err
	}
	query := s.all
	args := make([]driver.NamedValue, 4, 5)
	switch {
	case group != nil && reverse:
		query = s.groupBack
	case group != nil:
		query = s.group
	case reverse:
		query = s.allBack
	}
	if group != nil {
		gb := tx.keys.name(ofGroup, t.Name, group)
		args = append(args, arg(5, gb[:]))
	}
	// The position (order, id) just before the first row.
	at, id, end := from, int64(math.MinInt64), to
	if reverse {
		at, id, end = to, math.MaxInt64, from
	}
	left := limit
	if limit <= 0 {
		left = math.MaxInt
	}
	page := make([]stored, 0, min(left, scanPage))
	for left > 0 {
		page = page[:0]
		n := min(left, scanPage)
		args[0], args[1], args[2], args[3] = arg(1, at), arg(2, id), arg(3, end), arg(4, int64(n))
		err := tx.c.query(query, 5, func(d []driver.Value) error {
			page = append(page, storedRow(d))
			return nil
		}, args...)
		if err != nil {
			return tx.fail("scanning", err)
		}
		for i := range page {
			r, err := page[i].open(tx.keys, t.Name)
			if err != nil {
				return err
			}
			at, id = page[i].order, page[i].id
			page[i] = stored{}
			if err := fn(r); err != nil {
				return err
			}
			if _, err := tx.table(t); err != nil {
				return err
			}
		}
		if len(page) < n {
			return nil
		}
		left -= n
	}
	return nil
}
