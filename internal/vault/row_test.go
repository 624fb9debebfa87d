package vault

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// raw runs SQL on the store behind the vault's back.
func raw(t testing.TB, path, query string, args ...driver.Value) {
	t.Helper()
	to, err := connector(path, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(context.Background(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var named []driver.NamedValue
	for i, a := range args {
		named = append(named, arg(i+1, a))
	}
	if _, err := c.exec(query, named...); err != nil {
		t.Fatal(err)
	}
}

// rows reads a table behind the vault's back.
func rows(t testing.TB, path, table string) (page []stored) {
	t.Helper()
	to, err := connector(path, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(context.Background(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	err = c.query("SELECT id, k, g, o, v FROM t_"+table+" ORDER BY id", 5, func(d []driver.Value) error {
		page = append(page, storedRow(d))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func scanAll(v *Vault, tb Table) (keys []string, err error) {
	err = v.View(context.Background(), func(tx *Tx) error {
		return tx.Scan(tb, nil, math.MinInt64, math.MaxInt64, 0, false, func(r Row) error {
			keys = append(keys, string(r.Key))
			return nil
		})
	})
	return keys, err
}

// R-VLT-03: every bit of every column counts.
func TestR_VLT_03_EachByteOfARow(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "key", "group", 77, "a value")
	r := rows(t, v.path, "message")[0]
	write := func(r stored) {
		raw(t, v.path, "UPDATE t_message SET k = ?, g = ?, o = ?, v = ?", r.k, r.g, r.order, r.v)
	}
	broken := func(what string) {
		t.Helper()
		if _, err := scanAll(v, messages); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: scan returned %v", what, err)
		}
	}
	for i := range r.k {
		c := r
		c.k = bytes.Clone(r.k)
		c.k[i] ^= 1
		write(c)
		broken(fmt.Sprint("key byte ", i))
	}
	for i := range r.g {
		c := r
		c.g = bytes.Clone(r.g)
		c.g[i] ^= 0x80
		write(c)
		broken(fmt.Sprint("group byte ", i))
	}
	for i := range 64 {
		c := r
		c.order ^= 1 << i
		write(c)
		broken(fmt.Sprint("order bit ", i))
	}
	for i := range r.v {
		c := r
		c.v = bytes.Clone(r.v)
		c.v[i] ^= 4
		write(c)
		broken(fmt.Sprint("value byte ", i))
		err := v.View(t.Context(), func(tx *Tx) error { _, _, err := tx.Get(messages, []byte("key")); return err })
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("value byte %d: get returned %v", i, err)
		}
		err = v.View(t.Context(), func(tx *Tx) error { _, _, err := tx.MaxOrder(messages, nil); return err })
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("value byte %d: last returned %v", i, err)
		}
	}
	for n := range len(r.v) {
		c := r
		c.v = r.v[:n]
		write(c)
		broken(fmt.Sprint("value cut to ", n))
	}
	c := r
	c.k = append(bytes.Clone(r.k), 0)
	write(c)
	broken("key made longer")
	write(r)
	if s, ok := get(t, v, messages, "key"); !ok || s != "a value" {
		t.Fatalf("the row as it was: %q, %v", s, ok)
	}
}

// R-VLT-03: a row is bound to its table, key, group and order.
func TestR_VLT_03_SwappedRows(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "one", "g", 1, "first")
	put(t, v, messages, "two", "g", 1, "other")
	put(t, v, outbox, "one", "g", 1, "third")
	m, o := rows(t, v.path, "message"), rows(t, v.path, "outbox")
	raw(t, v.path, "UPDATE t_message SET v = ? WHERE id = ?", m[1].v, m[0].id)
	if _, err := scanAll(v, messages); !errors.Is(err, ErrDamaged) {
		t.Errorf("value of another key: %v", err)
	}
	raw(t, v.path, "UPDATE t_message SET k = ?, g = ?, v = ? WHERE id = ?", o[0].k, o[0].g, o[0].v, m[0].id)
	if _, err := scanAll(v, messages); !errors.Is(err, ErrDamaged) {
		t.Errorf("row of another table: %v", err)
	}
}

// R-VLT-03: a row from another store does not open.
func TestR_VLT_03_ForeignRow(t *testing.T) {
	v, _, _ := made(t)
	w, _, _ := made(t)
	put(t, v, messages, "one", "g", 1, "mine")
	put(t, w, messages, "one", "g", 1, "theirs")
	r := rows(t, w.path, "message")[0]
	raw(t, v.path, "UPDATE t_message SET v = ?", r.v)
	if _, err := scanAll(v, messages); !errors.Is(err, ErrDamaged) {
		t.Errorf("value of another store: %v", err)
	}
	raw(t, v.path, "UPDATE t_message SET k = ?, g = ?", r.k, r.g)
	if _, err := scanAll(v, messages); !errors.Is(err, ErrDamaged) {
		t.Errorf("row of another store: %v", err)
	}
}

func TestR_VLT_02_BlindedNames(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "same", "same", 1, "v")
	put(t, v, outbox, "same", "same", 1, "v")
	m, o := rows(t, v.path, "message")[0], rows(t, v.path, "outbox")[0]
	names := [][]byte{m.k, m.g, o.k, o.g}
	for i := range names {
		if len(names[i]) != 16 {
			t.Errorf("name of %d bytes", len(names[i]))
		}
		for j := range i {
			if bytes.Equal(names[i], names[j]) {
				t.Errorf("names %d and %d are equal", i, j)
			}
		}
	}
	// Where one part ends and the next begins is part of the name.
	k := v.keys
	if k.name(ofKey, "ab", []byte("c")) == k.name(ofKey, "a", []byte("bc")) {
		t.Error("table and key run into each other")
	}
	// Equal plaintexts are sealed differently each time.
	put(t, v, messages, "same", "same", 1, "v")
	if bytes.Equal(rows(t, v.path, "message")[0].v, m.v) {
		t.Error("sealed twice to the same bytes")
	}
}

// The size of a sealed row says its length only in steps.
func TestR_VLT_03_Padding(t *testing.T) {
	v, _, _ := made(t)
	put(t, v, messages, "a", "g", 1, "yes")
	put(t, v, messages, "b", "g", 1, "certainly not")
	r := rows(t, v.path, "message")
	if len(r[0].v) != len(r[1].v) || (len(r[0].v)-24-16)%64 != 0 {
		t.Errorf("lengths %d and %d", len(r[0].v), len(r[1].v))
	}
}

func TestR_VLT_14_Limits(t *testing.T) {
	v, _, _ := made(t)
	long, longer := make([]byte, MaxKey), make([]byte, MaxKey+1)
	for _, c := range []struct {
		key, group, value []byte
		want              error
	}{
		{long, long, make([]byte, MaxValue), nil},
		{longer, nil, nil, ErrTooLarge},
		{nil, longer, nil, ErrTooLarge},
		{nil, nil, make([]byte, MaxValue+1), ErrTooLarge},
		{nil, nil, nil, nil},
	} {
		err := v.Update(t.Context(), func(tx *Tx) error { return tx.Put(messages, c.key, c.group, 0, c.value) })
		if !errors.Is(err, c.want) {
			t.Errorf("%d, %d, %d bytes: %v", len(c.key), len(c.group), len(c.value), err)
		}
	}
	if b, ok := get(t, v, messages, string(long)); !ok || len(b) != MaxValue {
		t.Errorf("longest row: %d bytes, %v", len(b), ok)
	}
	if b, ok := get(t, v, messages, ""); !ok || b != "" {
		t.Errorf("empty row: %q, %v", b, ok)
	}
	for _, name := range []string{"", "Message", "a-b", "1a", "a b", "a;b", "é", string(bytes.Repeat([]byte("a"), 33))} {
		if _, err := Create(t.TempDir(), keyed(t), []Table{{name}}); !errors.Is(err, ErrTable) {
			t.Errorf("table %q: %v", name, err)
		}
	}
	if err := v.Update(t.Context(), func(tx *Tx) error { return tx.Put(Table{"other"}, nil, nil, 0, nil) }); !errors.Is(err, ErrTable) {
		t.Errorf("undeclared table: %v", err)
	}
	err := v.View(t.Context(), func(tx *Tx) error { return tx.Put(messages, nil, nil, 0, nil) })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("put in a view: %v", err)
	}
	err = v.View(t.Context(), func(tx *Tx) error { _, err := tx.Delete(messages, nil); return err })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("delete in a view: %v", err)
	}
}

// naive is what a table should be: a slice in the order of insertion.
type naive []Row

func (n naive) index(key []byte) int {
	return slices.IndexFunc(n, func(r Row) bool { return bytes.Equal(r.Key, key) })
}

func (n naive) scan(group []byte, from, to int64, limit int, reverse bool) (keys []string) {
	s := slices.Clone(n)
	slices.SortStableFunc(s, func(a, b Row) int {
		return int(max(-1, min(1, a.Order-b.Order)))
	})
	if reverse {
		slices.Reverse(s)
	}
	for _, r := range s {
		if (group == nil || bytes.Equal(group, r.Group)) && r.Order >= from && r.Order <= to && (limit <= 0 || len(keys) < limit) {
			keys = append(keys, string(r.Key)+"="+string(r.Value))
		}
	}
	return keys
}

// A table agrees with a slice under random operations, across transactions
// that are kept and ones that are not.
func TestTableAgainstModel(t *testing.T) {
	v, _, _ := made(t)
	stop := errors.New("not kept")
	rapid.Check(t, func(rt *rapid.T) {
		if err := v.Update(context.Background(), func(tx *Tx) error {
			for _, r := range []string{"", "g", "h"} {
				if _, err := tx.DeleteGroup(messages, []byte(r)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		var model naive
		key := rapid.Map(rapid.IntRange(0, 400), func(i int) []byte { return fmt.Append(nil, i) })
		group := rapid.SampledFrom([][]byte{{}, []byte("g"), []byte("h")})
		order := rapid.Int64Range(-3, 3)
		for range rapid.IntRange(1, 4).Draw(rt, "transactions") {
			before := slices.Clone(model)
			keep := rapid.Bool().Draw(rt, "keep")
			err := v.Update(context.Background(), func(tx *Tx) error {
				for i := range rapid.IntRange(0, 60).Draw(rt, "puts") {
					r := Row{key.Draw(rt, "key"), group.Draw(rt, "group"), order.Draw(rt, "order"), fmt.Append(nil, "v", i)}
					if err := tx.Put(messages, r.Key, r.Group, r.Order, r.Value); err != nil {
						return err
					}
					if at := model.index(r.Key); at >= 0 {
						model[at] = r
					} else {
						model = append(model, r)
					}
				}
				for range rapid.IntRange(0, 5).Draw(rt, "deletes") {
					k := key.Draw(rt, "key")
					was, err := tx.Delete(messages, k)
					if err != nil {
						return err
					}
					at := model.index(k)
					if was != (at >= 0) {
						rt.Fatalf("delete said %v", was)
					}
					if at >= 0 {
						model = slices.Delete(model, at, at+1)
					}
				}
				if rapid.IntRange(0, 5).Draw(rt, "clear") == 0 {
					g := group.Draw(rt, "group")
					n, err := tx.DeleteGroup(messages, g)
					if err != nil {
						return err
					}
					was := len(model)
					model = slices.DeleteFunc(model, func(r Row) bool { return bytes.Equal(r.Group, g) })
					if was-len(model) != n {
						rt.Fatalf("deleted %d of %d", n, was-len(model))
					}
				}
				if !keep {
					return stop
				}
				return nil
			})
			if !keep {
				model = before
			}
			if err != nil && (keep || err != stop) {
				rt.Fatal(err)
			}
		}
		err := v.View(context.Background(), func(tx *Tx) error {
			for range 6 {
				var g []byte
				if rapid.Bool().Draw(rt, "grouped") {
					g = group.Draw(rt, "group")
				}
				from, to := order.Draw(rt, "from"), order.Draw(rt, "to")
				limit := rapid.SampledFrom([]int{0, 1, 7, scanPage, scanPage + 1}).Draw(rt, "limit")
				reverse := rapid.Bool().Draw(rt, "reverse")
				var got []string
				err := tx.Scan(messages, g, from, to, limit, reverse, func(r Row) error {
					got = append(got, string(r.Key)+"="+string(r.Value))
					return nil
				})
				if err != nil {
					return err
				}
				if want := model.scan(g, from, to, limit, reverse); !slices.Equal(got, want) {
					rt.Fatalf("scan %q %d to %d, limit %d, reverse %v:\n got %v\nwant %v", g, from, to, limit, reverse, got, want)
				}
				all := model.scan(g, math.MinInt64, math.MaxInt64, 0, true)
				if n, err := tx.Count(messages, g); err != nil || n != len(all) {
					rt.Fatalf("count %d, %v", n, err)
				}
				_, ok, err := tx.MaxOrder(messages, g)
				if err != nil || ok != (len(all) > 0) {
					rt.Fatalf("last %v, %v", ok, err)
				}
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// fn may change what Scan walks over.
func TestScanWhileChanging(t *testing.T) {
	v, _, _ := made(t)
	err := v.Update(t.Context(), func(tx *Tx) error {
		for i := range 3 * scanPage {
			if err := tx.Put(messages, fmt.Append(nil, i), []byte("g"), int64(i), nil); err != nil {
				return err
			}
		}
		seen := 0
		err := tx.Scan(messages, []byte("g"), 0, math.MaxInt64, 0, false, func(r Row) error {
			seen++
			if ok, err := tx.Delete(messages, r.Key); err != nil || !ok {
				t.Errorf("delete: %v, %v", ok, err)
			}
			_, _, err := tx.Get(messages, r.Key)
			return err
		})
		if seen != 3*scanPage {
			t.Errorf("saw %d rows", seen)
		}
		n, cerr := tx.Count(messages, nil)
		if n != 0 || cerr != nil {
			t.Errorf("%d rows are left, %v", n, cerr)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	put(t, v, messages, "k", "", 1, "")
	err = v.View(t.Context(), func(tx *Tx) error {
		return tx.Scan(messages, nil, 0, 9, 0, true, func(Row) error { return stop })
	})
	if err != stop {
		t.Errorf("fn's error became %v", err)
	}
}
