package sqlitestore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

// Connection settings, constants only: the path is the sole variable part of a
// DSN and goes through url.URL. The driver runs them in lexicographic order,
// busy_timeout first. The fullfsync pair matters on macOS, where a plain fsync
// leaves data in the drive's cache, and is ignored elsewhere. secure_delete
// overwrites what is deleted (R-STO-22).
const (
	settings = "_dqs=0&_defensive=1&_txlock=immediate&mode=rw" +
		"&_pragma=busy_timeout(5000)&_pragma=checkpoint_fullfsync(1)&_pragma=foreign_keys(1)&_pragma=fullfsync(1)" +
		"&_pragma=secure_delete(1)&_pragma=synchronous(FULL)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(0)"
	writerSettings = settings + "&_pragma=cache_size(-32768)"
	readerSettings = settings + "&_pragma=cache_size(-8192)&_pragma=query_only(1)"
)

// dsn builds the address of the database at an absolute path.
func dsn(path, query string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // C:/dir
	}
	return (&url.URL{Scheme: "file", Path: p, RawQuery: query}).String()
}

// conn is one connection, used by one goroutine at a time. It stands directly
// on the driver: database/sql would add a lock, a pool and several allocations
// to every statement of a batch.
type conn struct {
	c     driver.Conn
	stmts []driver.Stmt
}

func connect(path, query string) (*conn, error) {
	connector, err := sqlite.NewConnector(dsn(path, query))
	if err != nil {
		return nil, err
	}
	c, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{c: c}, nil
}

// Close finalizes the statements first: with one left, SQLite would keep the
// files open behind our back.
func (c *conn) Close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.c.Close())...)
}

// run executes SQL without arguments, several statements if need be.
func (c *conn) run(sql string) error {
	x, ok := c.c.(driver.ExecerContext)
	if !ok {
		return errors.New("sqlitestore: the driver cannot execute")
	}
	_, err := x.ExecContext(context.Background(), sql, nil)
	return err
}

// stmt is a prepared statement of one connection.
type stmt struct {
	s interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
	args []driver.NamedValue
	row  []driver.Value
}

// prepare compiles one statement whose parameters are ?1 to at most ?9.
func (c *conn) prepare(sql string, columns int) (*stmt, error) {
	s, err := c.c.Prepare(sql)
	if err != nil {
		return nil, err
	}
	c.stmts = append(c.stmts, s)
	p := &stmt{row: make([]driver.Value, columns)}
	var ok bool
	if p.s, ok = s.(interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}); !ok {
		return nil, errors.New("sqlitestore: the driver cannot prepare")
	}
	for n := 1; strings.Contains(sql, "?"+strconv.Itoa(n)); n++ {
		p.args = append(p.args, driver.NamedValue{Ordinal: n})
	}
	return p, nil
}

func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	if len(args) != len(s.args) {
		panic(fmt.Sprintf("sqlitestore: %d arguments for %d parameters", len(args), len(s.args)))
	}
	for i := range args {
		s.args[i].Value = args[i]
	}
	return s.args
}

// exec runs the statement and returns how many rows it changed. Values are
// int64, string or []byte.
func (s *stmt) exec(args ...driver.Value) (int64, error) {
	r, err := s.s.ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// each calls f for every row; f's slice is valid during the call. It stops at
// the first error of f.
func (s *stmt) each(f func(row []driver.Value) error, args ...driver.Value) error {
	rows, err := s.s.QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	for {
		if err = rows.Next(s.row); err != nil {
			break
		}
		if err = f(s.row); err != nil {
			break
		}
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// one fetches at most one row and reports whether there was one.
func (s *stmt) one(args ...driver.Value) (row []driver.Value, found bool, err error) {
	err = s.each(func([]driver.Value) error { found = true; return nil }, args...)
	return s.row, found, err
}

// Column values. A blob of length zero arrives as a nil slice.

func integer(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

func blob(v driver.Value) []byte {
	b, _ := v.([]byte)
	return b
}
