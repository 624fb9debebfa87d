package vault

import (
	"database/sql/driver"
	"maps"
	"slices"
	"strings"
)

// Table is one sealed table. The zero Table is none.
type Table struct{ Name string }

// valid reports whether the name may stand in a statement as it is.
func (t Table) valid() bool {
	if t.Name == "" || len(t.Name) > MaxTableName || t.Name[0] < 'a' || t.Name[0] > 'z' {
		return false
	}
	for _, c := range []byte(t.Name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// The header has a table of its own with a single row.
const (
	createHeader = "CREATE TABLE header (id INTEGER PRIMARY KEY CHECK (id = 1), b BLOB NOT NULL) STRICT"
	insertHeader = "INSERT INTO header (id, b) VALUES (1, ?)"
	updateHeader = "UPDATE header SET b = ? WHERE id = 1"
	selectHeader = "SELECT b FROM header WHERE id = 1"
)

// sealed is the SQL of one declared table. k and g are blinded names, v is
// sealed; only o, the order, is plain.
type sealed struct {
	name string

	create [3]string

	put, insert, get, del, delGroup string
	count, countGroup               string
	last, lastGroup                 string
	all, allBack                    string
	group, groupBack                string
	page, reseal                    string
}

// newSealed returns the SQL of a table whose name is valid.
func newSealed(t Table) *sealed {
	n := "t_" + t.Name
	s := &sealed{name: t.Name}
	s.create = [3]string{
		"CREATE TABLE " + n + " (id INTEGER PRIMARY KEY, k BLOB NOT NULL UNIQUE, g BLOB NOT NULL, o INTEGER NOT NULL, v BLOB NOT NULL) STRICT",
		"CREATE INDEX " + n + "_g ON " + n + " (g, o)",
		"CREATE INDEX " + n + "_o ON " + n + " (o)",
	}
	s.insert = "INSERT INTO " + n + " (k, g, o, v) VALUES (?, ?, ?, ?) ON CONFLICT (k) DO NOTHING"
	s.put = "INSERT INTO " + n + " (k, g, o, v) VALUES (?, ?, ?, ?) ON CONFLICT (k) DO UPDATE SET g = excluded.g, o = excluded.o, v = excluded.v"
	s.get = "SELECT g, o, v FROM " + n + " WHERE k = ?"
	s.del = "DELETE FROM " + n + " WHERE k = ?"
	s.delGroup = "DELETE FROM " + n + " WHERE g = ?"
	s.count = "SELECT count(*) FROM " + n
	s.countGroup = "SELECT count(*) FROM " + n + " WHERE g = ?"
	s.last = "SELECT id, k, g, o, v FROM " + n + " ORDER BY o DESC, id DESC LIMIT 1"
	s.lastGroup = "SELECT id, k, g, o, v FROM " + n + " WHERE g = ? ORDER BY o DESC, id DESC LIMIT 1"

	// One page of a scan: from a position on (an order and a row number),
	// up to an order, so many rows.
	s.all = "SELECT id, k, g, o, v FROM " + n + " WHERE o >= ?1 AND o <= ?3 AND (o > ?1 OR id > ?2) ORDER BY o, id LIMIT ?4"
	s.allBack = "SELECT id, k, g, o, v FROM " + n + " WHERE o <= ?1 AND o >= ?3 AND (o < ?1 OR id < ?2) ORDER BY o DESC, id DESC LIMIT ?4"
	s.group = "SELECT id, k, g, o, v FROM " + n + " WHERE g = ?5 AND o >= ?1 AND o <= ?3 AND (o > ?1 OR id > ?2) ORDER BY o, id LIMIT ?4"
	s.groupBack = "SELECT id, k, g, o, v FROM " + n + " WHERE g = ?5 AND o <= ?1 AND o >= ?3 AND (o < ?1 OR id < ?2) ORDER BY o DESC, id DESC LIMIT ?4"

	s.page = "SELECT id, k, g, o, v FROM " + n + " WHERE id > ? ORDER BY id LIMIT ?"
	s.reseal = "UPDATE " + n + " SET k = ?, g = ?, v = ? WHERE id = ?"
	return s
}

// declare returns the SQL of the tables by name.
func declare(tables []Table) (map[string]*sealed, error) {
	m := make(map[string]*sealed, len(tables))
	for _, t := range tables {
		if !t.valid() {
			return nil, ErrTable
		}
		m[t.Name] = newSealed(t)
	}
	return m, nil
}

// checkSchema refuses a database that holds anything this package did not
// make: a trigger or a view would run in our transactions. It returns the
// sealed tables that exist, declared or not.
func checkSchema(c *connection) ([]Table, error) {
	// R-VLT-12
	found := make(map[string]string)
	err := c.query("SELECT name, sql FROM sqlite_schema", 2, func(d []driver.Value) error {
		name, _ := d[0].(string)
		sql, _ := d[1].(string)
		found[name] = sql
		return nil
	})
	if err != nil {
		return nil, classify("reading the schema", err)
	}
	if found["header"] != createHeader {
		return nil, ErrDamaged
	}
	delete(found, "header")
	var tables []Table
	for name := range found {
		n, ok := strings.CutPrefix(name, "t_")
		if t := (Table{n}); ok && t.valid() && strings.HasPrefix(found[name], "CREATE TABLE ") {
			tables = append(tables, t)
		}
	}
	for _, t := range tables {
		s := newSealed(t)
		n := "t_" + t.Name
		if found[n] != s.create[0] || found[n+"_g"] != s.create[1] || found[n+"_o"] != s.create[2] {
			return nil, ErrDamaged
		}
		auto := "sqlite_autoindex_" + n + "_1"
		if sql, ok := found[auto]; !ok || sql != "" {
			return nil, ErrDamaged
		}
		for _, x := range []string{n, n + "_g", n + "_o", auto} {
			delete(found, x)
		}
	}
	if len(found) > 0 {
		return nil, ErrDamaged
	}
	return tables, nil
}

// createTables makes the declared tables that do not exist yet.
func createTables(c *connection, declared map[string]*sealed, have []Table) error {
	there := make(map[string]bool, len(have))
	for _, t := range have {
		there[t.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if there[name] {
			continue
		}
		for _, sql := range declared[name].create {
			if _, err := c.exec(sql); err != nil {
				return classify("creating a table", err)
			}
		}
	}
	return nil
}

// readHeader returns the encoded header.
func readHeader(c *connection) ([]byte, error) {
	var b []byte
	err := c.query(selectHeader, 1, func(d []driver.Value) error {
		b, _ = d[0].([]byte)
		return nil
	})
	if err != nil {
		return nil, notOurs("reading the header", err)
	}
	if b == nil {
		return nil, ErrDamaged
	}
	return b, nil
}
