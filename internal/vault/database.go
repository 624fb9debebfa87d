package vault

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"modernc.org/sqlite"
)

// pragmas of every connection. Full synchronisation is not a matter of taste:
// in WAL mode anything less may lose the last transaction when power fails,
// and a sending chain rolled back uses a key twice.
const pragmas = "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)" +
	"&_pragma=temp_store(MEMORY)&_pragma=foreign_keys(1)&_pragma=trusted_schema(0)" +
	"&_pragma=cell_size_check(1)&_txlock=immediate&_dqs=0&_defensive=1"

// dsn names the database file at path. The path is escaped, so that no
// character in it is taken for a parameter; mode=rw never creates a file.
func dsn(path, more string) string {
	q := pragmas + "&mode=rw&_pragma=busy_timeout(" + strconv.Itoa(busyMillis) + ")" + more
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q}).String()
}

// volatile, added to a dsn, lets a commit return before it has reached the disk.
const volatile = "&_pragma=synchronous(OFF)"

// connector opens connections to the database file at path.
func connector(path, more string) (driver.Connector, error) {
	// A parameter that is more than one statement is refused in this process
	// from now on; the switch is the driver's own and only ever turned on.
	sqlite.StrictPragmas(true)
	c, err := sqlite.NewConnector(dsn(path, more))
	if err != nil {
		return nil, fmt.Errorf("naming the database: %w", err)
	}
	return c, nil
}

// connection is one connection and the statements prepared on it. It serves
// one goroutine at a time. It speaks to the driver directly: database/sql
// would add a goroutine and several locks to each small transaction.
type connection struct {
	c     driver.Conn
	stmts map[string]statement
}

type statement interface {
	driver.StmtExecContext
	driver.StmtQueryContext
	Close() error
}

func connect(ctx context.Context, to driver.Connector) (*connection, error) {
	c, err := to.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{c: c, stmts: make(map[string]statement)}, nil
}

func (c *connection) prepare(query string) (statement, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.c.(driver.ConnPrepareContext).PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	st, ok := s.(statement)
	if !ok {
		s.Close()
		return nil, errors.New("vault: the driver's statements take no context")
	}
	c.stmts[query] = st
	return st, nil
}

// exec runs a statement and returns how many rows it changed. A cancelled
// context does not interrupt a single statement: each is short.
func (c *connection) exec(query string, args ...driver.NamedValue) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query runs a statement and hands each row to fn; dest is valid only within
// fn, the byte strings in it are fn's to keep.
func (c *connection) query(query string, columns int, fn func(dest []driver.Value) error, args ...driver.NamedValue) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), args)
	if err != nil {
		return err
	}
	var row [6]driver.Value
	for err == nil {
		if err = rows.Next(row[:columns]); err == nil {
			err = fn(row[:columns])
		}
	}
	if cerr := rows.Close(); cerr != nil && (err == io.EOF) {
		err = cerr
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func (c *connection) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	clear(c.stmts)
	return c.c.Close()
}

func arg(n int, v driver.Value) driver.NamedValue { return driver.NamedValue{Ordinal: n, Value: v} }
